"""``zoo.load``: one address for everything that can be had."""

import importlib.resources
import inspect
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zoo.errors import (
    MissingDependencyError,
    ParameterError,
    SourceError,
    UnknownModelError,
)
from zoo.registry import Entry, registry
from zoo.spec import Checkpoint, ModelSpec
from zoo.targets import did_you_mean, import_target

__all__ = ["load", "model_class"]

_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?\Z", re.ASCII)
_HUB_FILES = ["config.json", "model.safetensors"]


def load(source: str | os.PathLike[str], *, task: str | None = None, **params: Any) -> Any:
    """Load a model.

    Parameters
    ----------
    source : str or path-like
        One of

        - ``"name"`` or ``"distribution:name"``: a model that a plugin registers, unfitted;
        - ``"name:checkpoint"``: a trained model that a plugin ships or names;
        - a folder that ``save_pretrained`` wrote: a path object, a string with a ``/`` or one that
          starts with ``.`` or ``~``, or the bare name of a folder that no model has;
        - ``"hf:org/name@revision"``: such a folder on the Hugging Face hub.
    task : str or None, default=None
        Which of the model's tasks; by default its first. A trained model has one already.
    **params
        Constructor parameters of an unfitted model.

    Returns
    -------
    estimator
        A new instance, fitted when the source is a trained model.

    Raises
    ------
    zoo.errors.UnknownModelError
        There is no model, task or checkpoint of that name; the message lists or suggests what is.
    zoo.errors.PluginError
        Its plugin cannot be used, or two distributions claim the name.
    zoo.errors.ParameterError
        The model has no such parameter, or parameters came with a trained model.
    zoo.errors.SourceError
        A path or hub address leads nowhere.
    zoo.errors.FormatError
        A folder is damaged.
    zoo.errors.MissingDependencyError
        A hub address needs the extra ``hub``.

    Examples
    --------
    >>> import zoo
    >>> zoo.load("kan", task="classification")  # doctest: +SKIP
    KANClassifier()
    """
    if isinstance(source, str) and source.startswith("hf:"):
        _refuse_params(source, params)
        return _load_hub(source, task)
    reason = _why_a_path(source)
    if reason is not None:
        _refuse_params(source, params)
        return _load_folder(Path(source), task, missing=f"it is taken for a path because {reason}")
    try:
        entry, checkpoint = _find(str(source))
    except UnknownModelError:
        if not source or not Path(source).is_dir():
            raise
        _refuse_params(source, params)
        return _load_folder(Path(source), task)
    if checkpoint is None:
        cls = model_class(entry, task)
        _check_params(cls, params, entry)
        return cls(**params)
    _refuse_params(source, params)
    return _load_checkpoint(entry, checkpoint, task)


def model_class(entry: Entry[ModelSpec], task: str | None = None) -> Any:
    """Import the class that does a task.

    Parameters
    ----------
    entry : Entry
        A registered model.
    task : str or None, default=None
        One of its tasks; by default the first.

    Returns
    -------
    type
        The target.

    Raises
    ------
    zoo.errors.UnknownModelError
        The model has no such task.
    zoo.errors.BrokenPluginError
        The target cannot be imported.
    """
    task = entry.spec.default_task if task is None else task
    if task not in entry.spec.targets:
        tasks = ", ".join(entry.spec.targets)
        raise UnknownModelError(
            f"The task of model {entry.spec.name!r} must be one of {tasks}. Got {task!r}."
        )
    return import_target(entry.spec.targets[task])


def _why_a_path(source: str | os.PathLike[str]) -> str | None:
    if not isinstance(source, str):
        return "it is a path object"
    for separator in {"/", os.sep, os.altsep or os.sep}:
        if separator in source:
            return f"it contains {separator!r}"
    if source.startswith((".", "~")):
        return f"it starts with {source[0]!r}"
    return None


def _find(source: str) -> tuple[Entry[ModelSpec], str | None]:
    found = registry()
    left, _, right = source.rpartition(":")
    if not left:
        return found.find(source), None
    try:
        return found.find(source), None
    except UnknownModelError as error:
        unknown = error
    try:
        return found.find(left), right
    except UnknownModelError:
        raise unknown from None


def _load_checkpoint(entry: Entry[ModelSpec], name: str, task: str | None) -> Any:
    checkpoints = {checkpoint.name: checkpoint for checkpoint in entry.spec.checkpoints}
    if name not in checkpoints:
        known = did_you_mean(name, checkpoints) or f" It has: {', '.join(checkpoints) or 'none'}."
        raise UnknownModelError(f"The model {entry.spec.name!r} has no checkpoint {name!r}.{known}")
    source = checkpoints[name].source
    if source.startswith("hf:"):
        return _load_hub(source, task)
    return _load_shipped(entry, checkpoints[name], task)


def _load_shipped(entry: Entry[ModelSpec], checkpoint: Checkpoint, task: str | None) -> Any:
    package, _, inside = checkpoint.source.partition("/")
    try:
        traversable = importlib.resources.files(package).joinpath(*inside.split("/"))
    except ImportError as error:
        raise SourceError(
            f"The checkpoint {checkpoint.name!r} of model {entry.spec.name!r} is in the package "
            f"{package!r}, which cannot be imported: {error}."
        ) from error
    with importlib.resources.as_file(traversable) as folder:
        return _load_folder(folder, task)


def _load_folder(
    folder: Path,
    task: str | None,
    *,
    missing: str = "there is no such folder",
    links_within: Path | None = None,
) -> Any:
    # numpy and scikit-learn are needed from here on, and not for a look-up that fails.
    from zoo.persistence import load_pretrained

    folder = Path(os.path.expanduser(folder))  # unlike Path's, leaves '~nobody' as it is
    if not folder.exists():
        raise SourceError(f"Cannot load {str(folder)!r}: {missing}, and nothing is there.")
    if not folder.is_dir():
        raise SourceError(f"Cannot load {str(folder)!r}: it is a file, and a folder is needed.")
    estimator = load_pretrained(folder, links_within=links_within)
    if task is not None:
        _, own = registry().owner_of(type(estimator))
        if own != task:
            raise UnknownModelError(
                f"The task of the trained model in {str(folder)!r} is {own!r}. Got {task!r}."
            )
    return estimator


def _load_hub(source: str, task: str | None) -> Any:
    match = _HUB.match(source)
    if match is None:
        raise SourceError(
            f"A hub address must be 'hf:org/name' or 'hf:org/name@revision'. Got {source!r}."
        )
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingDependencyError(
            f"Loading {source!r} needs huggingface_hub: pip install 'zoo-estimators[hub]'."
        ) from error
    try:
        snapshot = huggingface_hub.snapshot_download(
            match["repo"], revision=match["revision"], allow_patterns=_HUB_FILES
        )
    except Exception as error:  # the hub raises its own, requests' and the system's errors
        raise SourceError(
            f"Cannot load {source!r} from the hub: {type(error).__name__}: {error}."
        ) from error
    # The hub's cache keeps its files as links from snapshots/<revision>/ to blobs/.
    folder = Path(snapshot)
    return _load_folder(folder, task, links_within=folder.parent.parent)


def _refuse_params(source: object, params: Iterable[str]) -> None:
    given = ", ".join(params)
    if given:
        raise ParameterError(
            f"The trained model {str(source)!r} has its parameters already. Got {given}."
        )


def _check_params(cls: Any, params: Iterable[str], entry: Entry[ModelSpec]) -> None:
    accepted = inspect.signature(cls).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted):
        return
    valid = [parameter.name for parameter in accepted]
    for name in params:
        if name not in valid:
            raise ParameterError(
                f"The model {entry.spec.name!r} has no parameter {name!r}."
                f"{did_you_mean(name, valid)} Valid are: {', '.join(valid) or 'none'}."
            )
