"""What a plugin says about its models: plain frozen records with strings for everything heavy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from zoo.errors import SpecError

__all__ = ["Checkpoint", "CommandSpec", "DemoSpec", "ModelSpec", "Paper"]

_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")


def _check_name(value: object, what: str) -> None:
    if not isinstance(value, str) or not _NAME.match(value):
        raise SpecError(
            f"The name of a {what} must be lower-case letters, digits, '-' and '_', "
            f"starting with a letter. Got {value!r}."
        )


def _check_target(value: object, what: str) -> None:
    if not isinstance(value, str) or not _TARGET.match(value):
        raise SpecError(f"The target of {what} must be 'package.module:attribute'. Got {value!r}.")


@dataclass(frozen=True, slots=True)
class Paper:
    """The paper a model comes from."""

    title: str
    authors: str
    year: int
    arxiv: str | None = None
    doi: str | None = None

    @property
    def url(self) -> str | None:
        """Where to read it."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model that a plugin ships or names.

    Attributes
    ----------
    name : str
        What follows the colon in ``zoo.load("model:name")``.
    source : str
        ``"package/path/to/folder"``, a folder that ``save_pretrained`` wrote, inside an installed
        package, or ``"hf:org/name@revision"``.
    summary, licence : str
        One line each.
    """

    name: str
    source: str
    summary: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name, "checkpoint")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model family.

    Attributes
    ----------
    name : str
        What ``zoo.load`` is called with.
    targets : mapping of str to str
        Task to ``"package.module:Class"``. The first task is the family's default.
    exporter : str or None
        ``"package.module:function"`` that turns a fitted model into a `zoo.onnx.Export`.
    runner : str or None
        ``"package.module:Class"`` that executes an exported folder. ``None`` stands for the
        core's runner of tabular predictors.
    summary : str
        One line for ``zoo list``.
    paper : Paper or None
        Where the model comes from.
    licence : str
        Licence of the code, an SPDX expression.
    tags : tuple of str
        Free words to filter by.
    checkpoints : tuple of Checkpoint
        Trained models that come with it.
    api : int
        Version of the plugin contract it was written for.
    """

    name: str
    targets: Mapping[str, str]
    exporter: str | None = None
    runner: str | None = None
    summary: str = ""
    paper: Paper | None = None
    licence: str = ""
    tags: tuple[str, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    api: int = 1

    def __post_init__(self) -> None:
        _check_name(self.name, "model")
        if not isinstance(self.api, int) or isinstance(self.api, bool) or self.api < 1:
            raise SpecError(
                f"The api of model {self.name!r} must be a positive integer. Got {self.api!r}."
            )
        if not isinstance(self.targets, Mapping) or not self.targets:
            raise SpecError(
                f"The targets of model {self.name!r} must map at least one task to "
                f"'package.module:Class'. Got {self.targets!r}."
            )
        for task, target in self.targets.items():
            _check_name(task, f"task of model {self.name!r}")
            _check_target(target, f"task {task!r} of model {self.name!r}")
        for what in ("exporter", "runner"):
            if getattr(self, what) is not None:
                _check_target(getattr(self, what), f"the {what} of model {self.name!r}")
        object.__setattr__(self, "targets", MappingProxyType(dict(self.targets)))
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "checkpoints", tuple(self.checkpoints))

    @property
    def default_task(self) -> str:
        """The task that ``zoo.load(name)`` picks."""
        return next(iter(self.targets))


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A group of subcommands, ``zoo NAME ...``, that a plugin adds to the command line.

    ``target`` is a `typer.Typer`, imported when the group is first used.
    """

    name: str
    target: str
    summary: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name, "command")
        _check_target(self.target, f"command {self.name!r}")


@dataclass(frozen=True, slots=True)
class DemoSpec:
    """A demonstration that ``zoo demo`` runs.

    ``target`` is a function ``run(folder: pathlib.Path, console: rich.console.Console) -> None``
    that writes its files into ``folder``, ``report.html`` among them.
    """

    name: str
    target: str
    summary: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name, "demo")
        _check_target(self.target, f"demo {self.name!r}")
