"""Multi-token prediction (arXiv 2404.19737): language models that decode several tokens a step.

Public names are resolved on first use, so that listing the plugin imports neither numpy nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_multitoken.config import ModelConfig
    from zoo_multitoken.estimator import MultiTokenLM
    from zoo_multitoken.model import MultiTokenModel
    from zoo_multitoken.tokens import ByteTokenizer, FileTokenizer

__version__ = "0.1.0"

__all__ = ["ByteTokenizer", "FileTokenizer", "ModelConfig", "MultiTokenLM", "MultiTokenModel"]

_HOME = {
    "ByteTokenizer": "zoo_multitoken.tokens",
    "FileTokenizer": "zoo_multitoken.tokens",
    "ModelConfig": "zoo_multitoken.config",
    "MultiTokenLM": "zoo_multitoken.estimator",
    "MultiTokenModel": "zoo_multitoken.model",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo_multitoken' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
