"""Training of Kolmogorov-Arnold networks."""

from zoo_kan.solvers.cost import affordable, count_parameters
from zoo_kan.solvers.lm import GRIDS, fit_lm
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.search import SHAPES, search_shape
from zoo_kan.solvers.shape import fit_shape
from zoo_kan.solvers.start import initial_network

__all__ = [
    "GRIDS",
    "SHAPES",
    "TrainingResult",
    "affordable",
    "count_parameters",
    "fit_lm",
    "fit_shape",
    "initial_network",
    "regrid",
    "search_shape",
]
