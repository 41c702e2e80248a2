"""The trained recognisers that come with the plugin."""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from zoo_instantfamily.encoders.encoder import DrawnFaceEncoder
from zoo_instantfamily.encoders.judge import DrawnFaceJudge

__all__ = ["WEIGHTS", "load_encoder", "load_judge", "save_weights"]

WEIGHTS = Path(__file__).parents[1] / "weights"


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state of ``model`` in half precision, whole or not at all."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    written = path.with_name(path.name + ".part")
    # Bytes rather than save_file, which gives the file to its owner alone.
    written.write_bytes(save({k: v.contiguous() for k, v in state.items()}))
    os.replace(written, path)


def load_encoder() -> DrawnFaceEncoder:
    """The encoder of drawn faces, in evaluation mode.

    Returns
    -------
    encoder : DrawnFaceEncoder
    """
    encoder = DrawnFaceEncoder()
    _fill(encoder, "encoder.safetensors")
    return encoder


def load_judge() -> DrawnFaceJudge:
    """The judge of drawn faces, in evaluation mode.

    Returns
    -------
    judge : DrawnFaceJudge
    """
    judge = DrawnFaceJudge()
    _fill(judge, "judge.safetensors")
    return judge


def _fill(model: nn.Module, name: str) -> None:
    state = load_file(WEIGHTS / name)
    model.load_state_dict(
        {k: v.float() if v.dtype == torch.float16 else v for k, v in state.items()}
    )
    model.requires_grad_(requires_grad=False).eval()
