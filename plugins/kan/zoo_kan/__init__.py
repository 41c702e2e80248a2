"""Kolmogorov-Arnold networks (arXiv 2404.19756) as scikit-learn estimators.

Public names are resolved on first use, so that listing the plugin imports neither numpy nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_kan.classifier import KANClassifier
    from zoo_kan.formula import from_symbolic
    from zoo_kan.network import KANNetwork
    from zoo_kan.regressor import KANRegressor
    from zoo_kan.symbolic import SymbolicKAN

__version__ = "0.1.0"

__all__ = ["KANClassifier", "KANNetwork", "KANRegressor", "SymbolicKAN", "from_symbolic"]

_HOME = {
    "KANClassifier": "zoo_kan.classifier",
    "KANNetwork": "zoo_kan.network",
    "KANRegressor": "zoo_kan.regressor",
    "SymbolicKAN": "zoo_kan.symbolic",
    "from_symbolic": "zoo_kan.formula",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo_kan' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
