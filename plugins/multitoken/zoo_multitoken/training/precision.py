"""The arithmetic of a training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["mixed_precision"]


@contextmanager
def mixed_precision(device: str) -> Iterator[None]:
    """Matrix products in bfloat16.

    On a CPU attention is computed from whole tables of scores, which is a sixth faster per training
    step than the fused kernel for windows of 512 and heads of width 64.

    Parameters
    ----------
    device : str
        Type of the device.
    """
    with torch.autocast(device, torch.bfloat16):
        if device != "cpu":
            yield
            return
        before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(enabled=True)
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(enabled=before)
