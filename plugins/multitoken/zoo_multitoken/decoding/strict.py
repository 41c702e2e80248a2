r"""What ``lossless="strict"`` guarantees, and the probe that says where it can be had.

A forward over one token and a forward over a block run different kernels, or the same ones with
other tiles, and round differently. In float32 that hardly ever changes which token is the most
likely; in bfloat16 and int8 it does now and then, and then speculative and plain decoding part.

In strict mode every forward after the prompt has one shape in both strategies: all rows of the
batch, finished or not, blocks padded to the longest draft plus one, and attention over a length
that does not grow with the cache. Plain decoding feeds its one token as the first of such a block.
A token's result then depends on

1. the token and the cached keys and values before it, which are equal by induction;
2. its place in the block, and what stands behind it: padding in plain decoding, drafts in
   speculative decoding.

The second must not matter: each row of a matrix product must be computed alike wherever it stands
and whatever the other rows are. That is a property of the kernels, so it is measured, not assumed:
`check_rows_agree` feeds a block at once and again one token at a time, in the very shapes of the
decoding to come, and compares all bits. Quantisation that takes its scale from the whole block
fails it, for one.

Guaranteed, then: with the same backend, batch, options and threads, speculative greedy decoding
gives the tokens of plain decoding, as far as the probe can tell. Not guaranteed: that a text
continues alike in batches of different size, or with another ``n_draft``, since both change the
shapes.
"""

from dataclasses import replace

import numpy as np

from zoo.errors import DeviceError
from zoo_multitoken.decoding.backend import Backend, Plan

__all__ = ["check_rows_agree"]


def check_rows_agree(backend: Backend, rows: int, plan: Plan) -> None:
    """Check that a token's logits do not depend on its place in a block.

    Parameters
    ----------
    backend : Backend
        The network. What it has cached is lost.
    rows : int
        Rows of the batch.
    plan : Plan
        The strict plan whose shapes are probed.

    Raises
    ------
    zoo.errors.DeviceError
        The logits of some token differ in some bit.
    """
    draw = np.random.default_rng(0)
    # Rows of different length, as in a decoding under way.
    longest = max(1, min(plan.capacity - plan.block, 9 + rows))
    prompts = [draw.integers(backend.vocab_size, size=max(1, longest - row)) for row in range(rows)]
    block = draw.integers(backend.vocab_size, size=(rows, plan.block))
    count = min(plan.block, plan.capacity - longest)
    backend.prefill(prompts, replace(plan, drawn=True))
    together = backend.step(block, [plan.block] * rows).logits().copy()
    backend.keep([0] * rows)
    for place in range(count):
        padded = draw.integers(backend.vocab_size, size=(rows, plan.block))
        padded[:, 0] = block[:, place]
        alone = backend.step(padded, [1] * rows).logits()[:, 0]
        backend.keep([1] * rows)
        if not np.array_equal(alone, together[:, place]):
            gap = np.abs(alone.astype(np.float64) - together[:, place]).max()
            raise DeviceError(
                "The generation option lossless='strict' needs kernels that compute a token alike "
                "at every place of a block. Those of this device and precision differ by "
                f"{gap:.2g} at place {place} of {plan.block}: use lossless='standard'."
            )
