"""Fitted estimators as a folder of two files, read without running code from it.

``config.json`` holds the constructor parameters, the fitted values and a record of every tensor;
``model.safetensors`` holds the tensors. The class is never named by the file: the registry resolves
it from the model and task, so that a folder can only become what an installed plugin offers.
Floats that JSON does not know (NaN, the infinities), tuples and keys that are not strings are kept
as `zoo.params` writes them.
"""

import json
import math
import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import safetensors
import safetensors.numpy

from zoo.errors import (
    FormatError,
    IntegrityError,
    ParameterError,
    SourceError,
    UnknownModelError,
    ZooError,
)
from zoo.files import atomic_folder, checked_member, read_json, sha256
from zoo.params import from_json, to_json
from zoo.registry import Entry, registry
from zoo.spec import ModelSpec
from zoo.targets import import_target

__all__ = ["FORMAT_VERSION", "FittedState", "PretrainedMixin", "load_pretrained"]

FORMAT_VERSION = 1
CONFIG = "config.json"
TENSORS = "model.safetensors"
MAX_CONFIG_BYTES = 16 * 2**20
DTYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "complex64"),
)
_KEYS = {
    "format_version": int,
    "model": str,
    "task": str,
    "distribution": str,
    "plugin_version": str,
    "versions": dict,
    "params": dict,
    "fitted": dict,
    "tensors": dict,
    "sha256": dict,
}


@dataclass
class FittedState:
    """What fitting added to an estimator.

    Attributes
    ----------
    values : dict of str to object
        Whatever `zoo.params.to_json` accepts.
    arrays : dict of str to ndarray
        Numbers and booleans; strings belong into ``values`` as a list.
    """

    values: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class PretrainedMixin:
    """Saving to and loading from a folder, for an estimator that a plugin registers.

    The estimator implements ``_get_fitted_state() -> FittedState`` and
    ``_set_fitted_state(state) -> None``, which raises ``ValueError`` when values and arrays do not
    belong together.
    """

    def _get_fitted_state(self) -> FittedState:
        raise NotImplementedError

    def _set_fitted_state(self, state: FittedState) -> None:
        raise NotImplementedError

    def save_pretrained(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the fitted estimator.

        Parameters
        ----------
        folder : path-like
            Where to. The folder is written whole or not at all.
        overwrite : bool, default=False
            Replace a model that was saved there.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        zoo.errors.FolderExistsError
            The folder exists, and ``overwrite`` is false or it holds no saved model.
        zoo.errors.ParameterError
            A parameter cannot be saved.
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.
        """
        from sklearn.utils.validation import check_is_fitted

        entry, task = registry().owner_of(type(self))
        check_is_fitted(self)
        config, arrays = _describe(self, entry, task)
        with atomic_folder(folder, overwrite=overwrite, marker=CONFIG) as sibling:
            safetensors.numpy.save_file(arrays, sibling / TENSORS)
            config["sha256"] = {TENSORS: sha256(sibling / TENSORS)}
            text = json.dumps(config, indent=2, allow_nan=False)
            (sibling / CONFIG).write_text(text + "\n", encoding="utf-8")
        return Path(folder)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """Load an estimator of this class.

        Parameters
        ----------
        folder : path-like
            A folder that `save_pretrained` wrote.

        Returns
        -------
        estimator
            Fitted.

        Raises
        ------
        zoo.errors.SourceError
            There is no such folder.
        zoo.errors.FormatError
            The folder is damaged, or holds another model.
        """
        return cast(Self, _load(Path(folder), cls=cls))


def load_pretrained(
    folder: str | os.PathLike[str], *, links_within: str | os.PathLike[str] | None = None
) -> Any:
    """Load whatever estimator a folder holds.

    Parameters
    ----------
    folder : path-like
        A folder that `PretrainedMixin.save_pretrained` wrote.
    links_within : path-like or None, default=None
        Accept files that are symlinks into this folder. ``None`` refuses all symlinks.

    Returns
    -------
    estimator
        Fitted, of the class that the registry gives for the folder's model and task.

    Raises
    ------
    zoo.errors.SourceError
        There is no such folder.
    zoo.errors.FormatError
        The folder is damaged.
    zoo.errors.UnknownModelError
        The distribution that saved it is not installed.

    Warns
    -----
    UserWarning
        The installed plugin differs in major or minor version from the one that saved it.
    """
    return _load(Path(folder), links_within=links_within)


def _describe(
    estimator: Any, entry: Entry[ModelSpec], task: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    owner = type(estimator).__name__
    params = estimator.get_params(deep=False)
    state = estimator._get_fitted_state()
    arrays = {name: _plain_array(value, name, owner) for name, value in state.arrays.items()}
    config = {
        "format_version": FORMAT_VERSION,
        "model": entry.spec.name,
        "task": task,
        "distribution": entry.distribution,
        "plugin_version": entry.version,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("zoo-estimators", "numpy", "scikit-learn")},
        },
        "params": {
            name: to_json(value, f"The parameter {name!r} of {owner}")
            for name, value in params.items()
        },
        "fitted": {
            name: to_json(value, f"The fitted value {name!r} of {owner}")
            for name, value in state.values.items()
        },
        "tensors": {
            name: {"dtype": array.dtype.name, "shape": list(array.shape)}
            for name, array in arrays.items()
        },
    }
    return config, arrays


def _plain_array(value: object, name: str, owner: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        raise ParameterError(
            f"The fitted array {name!r} of {owner} cannot be saved: its dtype must be one of "
            f"{', '.join(DTYPES)}. Got {array.dtype}."
        )
    # safetensors reads the buffer as it lies in memory.
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _load(
    folder: Path, *, cls: type | None = None, links_within: str | os.PathLike[str] | None = None
) -> Any:
    folder = Path(os.path.expanduser(folder))  # unlike Path's, leaves '~nobody' as it is
    if not folder.is_dir():
        raise SourceError(f"Cannot load a model from {folder}: there is no such folder.")
    config = _read_config(folder, links_within)
    entry, target = _resolve(config, folder)
    cls = _narrow(cls, target, config, folder)
    params = from_json(config["params"], f"The parameters in {folder / CONFIG}")
    values = from_json(config["fitted"], f"The fitted values in {folder / CONFIG}")
    arrays = _read_tensors(config, folder, links_within)
    unknown = sorted(set(params) - set(cls._get_param_names()))
    if unknown:
        raise FormatError(
            f"The model in {folder} was saved with parameters that {cls.__name__} of "
            f"{entry.distribution} {entry.version} does not have: {', '.join(unknown)}."
        )
    _warn_of_versions(config, entry, folder)
    estimator = cls(**params)
    try:
        estimator._set_fitted_state(FittedState(values, arrays))
    except ZooError:
        raise
    except Exception as error:
        raise FormatError(
            f"The fitted state in {folder} does not belong to a {cls.__name__}: "
            f"{type(error).__name__}: {error}."
        ) from error
    return estimator


def _read_config(folder: Path, links_within: str | os.PathLike[str] | None) -> dict[str, Any]:
    path = checked_member(folder, CONFIG, max_bytes=MAX_CONFIG_BYTES, links_within=links_within)
    config = read_json(path, max_bytes=MAX_CONFIG_BYTES)
    found = config.get("format_version")
    if type(found) is not int or found != FORMAT_VERSION:
        raise FormatError(
            f"The format_version in {path} must be {FORMAT_VERSION}, the one that this version of "
            f"zoo reads. Got {found!r}."
        )
    if set(config) != set(_KEYS):
        wrong = sorted(set(config) ^ set(_KEYS))
        raise FormatError(
            f"The object in {path} must have exactly the keys {', '.join(_KEYS)}. "
            f"Missing or unknown: {', '.join(wrong)}."
        )
    for key, kind in _KEYS.items():
        if not isinstance(config[key], kind):
            raise FormatError(f"The {key} in {path} must be a {kind.__name__}.")
    if set(config["sha256"]) != {TENSORS}:
        raise FormatError(
            f"The sha256 in {path} must be of {TENSORS} alone. Got {sorted(config['sha256'])}."
        )
    return config


def _resolve(config: Mapping[str, Any], folder: Path) -> tuple[Entry[ModelSpec], type[Any]]:
    model, distribution, task = config["model"], config["distribution"], config["task"]
    try:
        entry = registry().find(f"{distribution}:{model}")
    except UnknownModelError:
        raise UnknownModelError(
            f"The folder {folder} holds the model {model!r} of the distribution {distribution!r}, "
            f"which is not installed."
        ) from None
    if task not in entry.spec.targets:
        raise FormatError(
            f"The task in {folder / CONFIG} must be one of {', '.join(entry.spec.targets)}. "
            f"Got {task!r}."
        )
    target = import_target(entry.spec.targets[task])
    if not isinstance(target, type) or not issubclass(target, PretrainedMixin):
        raise FormatError(
            f"The target of task {task!r} of model {model!r} does not load from a folder: it is no "
            f"PretrainedMixin."
        )
    return entry, target


def _narrow(
    cls: type | None, target: type[Any], config: Mapping[str, Any], folder: Path
) -> type[Any]:
    if cls is None or issubclass(target, cls):
        return target
    # A user's subclass of the target, but not the target of another task that derives from it.
    if issubclass(cls, target) and registry().owner_of(cls)[1] == config["task"]:
        return cls
    raise FormatError(f"The folder {folder} holds a {target.__name__}, not a {cls.__name__}.")


def _read_tensors(
    config: Mapping[str, Any], folder: Path, links_within: str | os.PathLike[str] | None
) -> dict[str, np.ndarray]:
    declared = {name: _declaration(name, value) for name, value in config["tensors"].items()}
    path = checked_member(folder, TENSORS, links_within=links_within)
    _check_size(path, declared)
    if sha256(path) != config["sha256"][TENSORS]:
        raise IntegrityError(f"The sha256 of {path} is not the one recorded in {CONFIG}.")
    try:
        arrays = safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"The file {path} is not a valid safetensors file: {error}.") from error
    if set(arrays) != set(declared):
        wrong = sorted(set(arrays) ^ set(declared))
        raise FormatError(
            f"The tensors in {path} must be those that {CONFIG} declares. Missing or undeclared: "
            f"{', '.join(wrong)}."
        )
    for name, (dtype, shape) in declared.items():
        array = arrays[name]
        if array.dtype != dtype or array.shape != shape:
            raise FormatError(
                f"The tensor {name!r} in {path} must be {dtype} of shape {shape}. "
                f"Got {array.dtype} of shape {array.shape}."
            )
    return {name: np.require(array, requirements="W") for name, array in arrays.items()}


def _declaration(name: str, value: object) -> tuple[np.dtype, tuple[int, ...]]:
    match value:
        case {"dtype": str(dtype), "shape": list(shape), **rest} if (
            not rest
            and dtype in DTYPES
            and all(type(size) is int and 0 <= size < 2**63 for size in shape)
        ):
            return np.dtype(dtype), tuple(shape)
    raise FormatError(
        f"The declaration of tensor {name!r} in {CONFIG} must be an object with a dtype, one of "
        f"{', '.join(DTYPES)}, and a shape, a list of sizes. Got {value!r}."
    )


def _check_size(path: Path, declared: Mapping[str, tuple[np.dtype, tuple[int, ...]]]) -> None:
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > 2**20 + 1024 * len(declared):
        raise FormatError(f"The header of {path} is too long for {len(declared)} tensors.")
    expected = 8 + header + sum(d.itemsize * math.prod(shape) for d, shape in declared.values())
    if size != expected:
        raise IntegrityError(
            f"The file {path} must have {expected} bytes for the tensors that {CONFIG} declares. "
            f"Got {size}: it is {'truncated' if size < expected else 'too long'}."
        )


def _warn_of_versions(config: Mapping[str, Any], entry: Entry[ModelSpec], folder: Path) -> None:
    saved = config["plugin_version"]
    if saved.split(".")[:2] != entry.version.split(".")[:2]:
        warnings.warn(
            f"The model in {folder} was saved by {entry.distribution} {saved}, and {entry.version} "
            f"is installed: its predictions may differ.",
            UserWarning,
            stacklevel=4,
        )
