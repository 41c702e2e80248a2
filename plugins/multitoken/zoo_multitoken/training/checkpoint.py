"""Where a training stands, in folders that are whole or absent, newest last.

Each checkpoint is a folder of its own, written beside the older ones, which are removed
afterwards: whenever the process is killed, the last whole checkpoint is there. Tensors lie in a
safetensors file, everything else in JSON; nothing is unpickled.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from zoo.errors import FormatError
from zoo.files import atomic_folder, checked_member, read_json, sha256

__all__ = ["latest", "read_checkpoint", "write_checkpoint"]

_STATE, _TENSORS = "state.json", "tensors.safetensors"
_NAME = re.compile(r"step-(\d{9})\Z")


def latest(folder: str | os.PathLike[str]) -> Path | None:
    """The newest whole checkpoint.

    Parameters
    ----------
    folder : path-like
        Where the checkpoints of a training lie; it need not exist.

    Returns
    -------
    pathlib.Path or None
    """
    found = _checkpoints(Path(folder))
    return found[-1] if found else None


def _checkpoints(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.match(path.name) and path.is_dir())


def write_checkpoint(
    folder: str | os.PathLike[str],
    step: int,
    state: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    keep: int = 2,
) -> Path:
    """Write a checkpoint, then remove old ones.

    Parameters
    ----------
    folder : path-like
        Where the checkpoints of a training lie.
    step : int
        Steps that are done.
    state : mapping
        What JSON can hold.
    tensors : mapping of str to Tensor
    keep : int, default=2
        How many checkpoints to leave.

    Returns
    -------
    pathlib.Path
        The checkpoint.
    """
    parent = Path(folder)
    target = parent / f"step-{step:09d}"
    # The same step again is the same training: what is there is as good.
    if not target.is_dir():
        with atomic_folder(target) as sibling:
            plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
            safetensors.torch.save_file(plain, sibling / _TENSORS)
            content = {"state": dict(state), "sha256": sha256(sibling / _TENSORS)}
            text = json.dumps(content, indent=1, allow_nan=False)
            (sibling / _STATE).write_text(text + "\n", encoding="utf-8")
    for old in _checkpoints(parent)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def read_checkpoint(checkpoint: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write_checkpoint` wrote.

    Parameters
    ----------
    checkpoint : path-like
        The folder of one checkpoint.

    Returns
    -------
    state : dict
    tensors : dict of str to Tensor

    Raises
    ------
    zoo.errors.FormatError
        If it is damaged.
    """
    folder = Path(checkpoint)
    content = read_json(checked_member(folder, _STATE), max_bytes=256 * 2**20)
    path = checked_member(folder, _TENSORS)
    if set(content) != {"state", "sha256"} or not isinstance(content["state"], dict):
        raise FormatError(f"The object in {folder / _STATE} must have the keys state and sha256.")
    if sha256(path) != content["sha256"]:
        raise FormatError(f"The sha256 of {path} is not the one recorded in {_STATE}.")
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise FormatError(f"The file {path} is not a valid safetensors file: {error}.") from error
    return content["state"], {name: torch.clone(value) for name, value in tensors.items()}
