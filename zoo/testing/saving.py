"""Checks of a saved model."""

import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.files import sha256
from zoo.persistence import PretrainedMixin
from zoo.testing.interpreter import run_job
from zoo.testing.subject import Subject, compare, outputs, require, skip

__all__ = ["check_hostile_files", "check_saving"]

_CONFIG, _TENSORS = "config.json", "model.safetensors"


def _require_mixin(subject: Subject, task: str) -> None:
    if not issubclass(subject.cls(task), PretrainedMixin):
        skip(f"{subject.cls(task).__name__} is no PretrainedMixin")


def check_saving(subject: Subject, task: str) -> None:
    """A model that is saved here and loaded by a new interpreter predicts the same."""
    _require_mixin(subject, task)
    X, _ = subject.data(task)
    model = subject.fitted(task)
    with tempfile.TemporaryDirectory() as parent:
        folder = model.save_pretrained(Path(parent, "model"))
        np.save(Path(parent, "X.npy"), X)
        result = run_job(
            "predict",
            folder=folder,
            task=task,
            X=Path(parent, "X.npy"),
            out=Path(parent, "out.npz"),
        )
        require(
            result["class"] == type(model).__qualname__,
            f"a {type(model).__qualname__} was saved, and a {result['class']} is loaded",
        )
        params = repr(sorted(model.get_params().items()))
        require(
            result["params"] == params,
            f"saving changes parameters from {params} to {result['params']}",
        )
        with np.load(Path(parent, "out.npz")) as loaded:
            compare(
                dict(loaded), outputs(model, X, task), "before and after saving", tolerance=1e-12
            )


def check_hostile_files(subject: Subject, task: str) -> None:
    """Every damaged or forged folder is refused with an error of the zoo."""
    _require_mixin(subject, task)
    model = subject.fitted(task)
    accepted = []
    with tempfile.TemporaryDirectory() as parent:
        good = model.save_pretrained(Path(parent, "good"))
        for number, tamper in enumerate(_TAMPERINGS):
            folder = Path(shutil.copytree(good, Path(parent, str(number))))
            tamper(folder)
            what = str(tamper.__doc__).rstrip(".")
            try:
                type(model).from_pretrained(folder)
            except ZooError:
                continue
            except Exception as error:
                accepted.append(f"{what} (raises {type(error).__name__}, no ZooError)")
            else:
                accepted.append(what)
    require(not accepted, f"not refused: {'; '.join(accepted)}")


def _edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    (folder / _CONFIG).write_text(json.dumps(config | changes), encoding="utf-8")


def _truncated_tensors(folder: Path) -> None:
    """Truncated tensors."""
    content = (folder / _TENSORS).read_bytes()
    (folder / _TENSORS).write_bytes(content[: len(content) // 2])


def _flipped_bit(folder: Path) -> None:
    """One flipped bit."""
    content = bytearray((folder / _TENSORS).read_bytes())
    content[-1] ^= 1
    (folder / _TENSORS).write_bytes(content)


def _missing_tensors(folder: Path) -> None:
    """No tensors."""
    (folder / _TENSORS).unlink()


def _pickled_tensors(folder: Path) -> None:
    """A pickle in place of the tensors, its digest recorded."""
    (folder / _TENSORS).write_bytes(pickle.dumps({"weights": [1.0, 2.0]}))
    _edit(folder, sha256={_TENSORS: sha256(folder / _TENSORS)})


def _linked_tensors(folder: Path) -> None:
    """A symlink out of the folder."""
    elsewhere = folder.with_name(folder.name + "-elsewhere")
    (folder / _TENSORS).rename(elsewhere)
    (folder / _TENSORS).symlink_to(elsewhere)


def _truncated_config(folder: Path) -> None:
    """A truncated config."""
    text = (folder / _CONFIG).read_text(encoding="utf-8")
    (folder / _CONFIG).write_text(text[: len(text) // 2], encoding="utf-8")


def _config_of_other_kind(folder: Path) -> None:
    """A config that is no object."""
    (folder / _CONFIG).write_text("[]", encoding="utf-8")


def _newer_format(folder: Path) -> None:
    """An unknown format version."""
    _edit(folder, format_version=10**6)


def _dotted_path(folder: Path) -> None:
    """A dotted path as model."""
    _edit(folder, model="subprocess:Popen")


def _traversal(folder: Path) -> None:
    """A digest of a file outside."""
    _edit(folder, sha256={f"../{_TENSORS}": "0" * 64})


def _unknown_parameter(folder: Path) -> None:
    """A parameter that the class does not have."""
    _edit(folder, params={"a_parameter_of_nobody": 1})


_TAMPERINGS: tuple[Callable[[Path], None], ...] = (
    _truncated_tensors,
    _flipped_bit,
    _missing_tensors,
    _pickled_tensors,
    _linked_tensors,
    _truncated_config,
    _config_of_other_kind,
    _newer_format,
    _dotted_path,
    _traversal,
    _unknown_parameter,
)
