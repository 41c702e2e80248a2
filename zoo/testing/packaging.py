"""Checks of a plugin as a citizen of an environment."""

import inspect
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from zoo.persistence import PretrainedMixin
from zoo.testing.interpreter import run_job
from zoo.testing.subject import Subject, require

__all__ = ["check_docstrings", "check_listing", "check_offline"]

#: Packages whose import takes longer than listing every model may.
HEAVY = frozenset(
    (
        *("numpy", "scipy", "sklearn", "pandas", "torch", "skorch", "sympy", "matplotlib"),
        *("onnx", "onnxruntime", "skl2onnx", "transformers", "diffusers", "safetensors"),
    )
)


def check_listing(subject: Subject) -> None:
    """Listing the model imports its light module and nothing heavy."""
    entry = subject.entry
    result = run_job("list", variables={"ZOO_PLUGINS": entry.plugin})
    known = {entry.spec.name, entry.qualified_name} & set(result["available"])
    require(known, f"listing gives {result['available']}, without {entry.spec.name!r}")
    heavy = sorted(HEAVY & set(result["loaded"]))
    require(not heavy, f"listing imports {', '.join(heavy)}")
    targets = {target.partition(":")[0] for target in entry.spec.targets.values()}
    early = sorted(targets & set(result["loaded"]))
    require(not early, f"listing imports the target's module {', '.join(early)}")


def check_offline(subject: Subject, task: str) -> None:
    """Fitting, saving and loading try no connection."""
    X, y = subject.data(task)
    saves = issubclass(subject.cls(task), PretrainedMixin)
    with tempfile.TemporaryDirectory() as parent:
        np.save(Path(parent, "X.npy"), X)
        if y is not None:
            np.save(Path(parent, "y.npy"), y)
        result = run_job(
            "fit",
            offline=True,
            name=subject.entry.qualified_name,
            task=task,
            X=Path(parent, "X.npy"),
            y=None if y is None else Path(parent, "y.npy"),
            params=subject.params,
            folder=Path(parent, "model") if saves else None,
        )
    require(not result["attempts"], f"it tries to connect: {'; '.join(result['attempts'])}")


def check_docstrings(subject: Subject, task: str) -> None:
    """The class documents its parameters and fitted attributes, and every public method is told."""
    cls = subject.cls(task)
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    require(text, f"{cls.__name__} has no docstring")
    problems = [
        f"the parameter {name!r} is not under Parameters"
        for name in sorted(set(cls._get_param_names()) - _documented(text, "Parameters"))
    ]
    fitted = {name for name in vars(subject.fitted(task)) if re.fullmatch(r"[a-z]\w*_", name)}
    problems += [
        f"the attribute {name!r} is not under Attributes"
        for name in sorted(fitted - _documented(text, "Attributes"))
    ]
    problems += [f"{name} has no docstring" for name in _silent_methods(cls)]
    require(not problems, f"{cls.__name__}: {'; '.join(problems)}")


def _documented(text: str, section: str) -> set[str]:
    """Names that a numpydoc section has an entry for."""
    match = re.search(rf"^{section}\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}$|\Z)", text, re.M | re.S)
    if match is None:
        return set()
    entries = [line for line in match[1].splitlines() if line and not line[0].isspace()]
    return {name.strip() for line in entries for name in line.partition(":")[0].split(",")}


def _silent_methods(cls: Any) -> list[str]:
    package = cls.__module__.partition(".")[0]
    return sorted(
        f"{base.__name__}.{name}"
        for base in cls.__mro__
        if base.__module__.partition(".")[0] == package
        for name, value in vars(base).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod)))
        and not inspect.getdoc(getattr(base, name) if inspect.isfunction(value) else value)
    )
