"""Where a training stands: folders that are whole or absent, tensors and JSON, nothing pickled."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from zoo.errors import FormatError
from zoo.files import atomic_folder, checked_member, read_json, sha256

__all__ = ["find_checkpoint", "load_checkpoint", "save_checkpoint"]

_NAME = re.compile(r"checkpoint-(\d+)")
_STATE, _TENSORS = "state.json", "tensors.safetensors"


def find_checkpoint(folder: str | os.PathLike[str]) -> Path | None:
    """The checkpoint of the most steps, or ``None``."""
    steps = {int(match[1]): path for path, match in _all(Path(folder))}
    return steps[max(steps)] if steps else None


def _all(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    if not folder.is_dir():
        return []
    pairs = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
    return [(path, match) for path, match in pairs if match is not None and path.is_dir()]


def save_checkpoint(
    folder: str | os.PathLike[str], state: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Path:
    """Write a checkpoint, then remove all older than the one before it.

    Parameters
    ----------
    folder : path-like
        Of the training.
    state : mapping
        What JSON can hold, with the key ``step``.
    tensors : mapping of str to Tensor

    Returns
    -------
    pathlib.Path
        The checkpoint.
    """
    target = Path(folder) / f"checkpoint-{state['step']}"
    with atomic_folder(target, overwrite=True, marker=_STATE) as sibling:
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        safetensors.torch.save_file(plain, sibling / _TENSORS)
        content = {**state, "sha256": sha256(sibling / _TENSORS)}
        (sibling / _STATE).write_text(json.dumps(content) + "\n", encoding="utf-8")
    by_step = sorted((int(match[1]), path) for path, match in _all(Path(folder)))
    for _, old in by_step[:-2]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a checkpoint.

    Parameters
    ----------
    path : pathlib.Path
        As `find_checkpoint` gives it.

    Returns
    -------
    state : dict
    tensors : dict of str to Tensor

    Raises
    ------
    zoo.errors.FormatError
        It is damaged.
    """
    state = read_json(checked_member(path, _STATE), max_bytes=2**28)
    file = checked_member(path, _TENSORS)
    if sha256(file) != state.get("sha256"):
        raise FormatError(f"The sha256 of {file} must be the one recorded in {_STATE}; it is not.")
    tensors = safetensors.torch.load_file(file)
    return state, {name: value.clone() for name, value in tensors.items()}
