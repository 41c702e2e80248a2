"""InstantFamily (arXiv 2404.19427): several people in one picture, each with their own face.

Public names are resolved on first use, so that listing the plugin imports neither numpy nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_instantfamily.drawing import DrawnFaces
    from zoo_instantfamily.encoders import load_encoder, load_judge
    from zoo_instantfamily.pipeline import InstantFamilyPipeline
    from zoo_instantfamily.pipeline_xl import InstantFamilyXLPipeline

__version__ = "0.1.0"

__all__ = [
    "DrawnFaces",
    "InstantFamilyPipeline",
    "InstantFamilyXLPipeline",
    "load_encoder",
    "load_judge",
]

_HOME = {
    "DrawnFaces": "zoo_instantfamily.drawing",
    "InstantFamilyPipeline": "zoo_instantfamily.pipeline",
    "InstantFamilyXLPipeline": "zoo_instantfamily.pipeline_xl",
    "load_encoder": "zoo_instantfamily.encoders",
    "load_judge": "zoo_instantfamily.encoders",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo_instantfamily' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
