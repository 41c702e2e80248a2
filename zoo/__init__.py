"""zoo: research models as scikit-learn estimators, from plugins, out as ONNX.

>>> import zoo
>>> model = zoo.load("kan")  # doctest: +SKIP

Every public name is resolved on first use, so that ``import zoo`` stays cheap.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.hookspecs import hookimpl
    from zoo.loading import load
    from zoo.registry import available
    from zoo.runtime import load_onnx
    from zoo.spec import Checkpoint, CommandSpec, DemoSpec, ModelSpec, Paper

__version__ = "0.1.0"

__all__ = [
    "Checkpoint",
    "CommandSpec",
    "DemoSpec",
    "ModelSpec",
    "Paper",
    "available",
    "hookimpl",
    "load",
    "load_onnx",
]

_HOME = {
    "Checkpoint": "zoo.spec",
    "CommandSpec": "zoo.spec",
    "DemoSpec": "zoo.spec",
    "ModelSpec": "zoo.spec",
    "Paper": "zoo.spec",
    "available": "zoo.registry",
    "hookimpl": "zoo.hookspecs",
    "load": "zoo.loading",
    "load_onnx": "zoo.runtime",
}
_SUBPACKAGES = ("onnx", "testing")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:  # zoo.onnx.to_onnx(...) after a plain import zoo
        return importlib.import_module(f"zoo.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
