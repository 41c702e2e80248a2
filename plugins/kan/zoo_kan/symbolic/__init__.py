"""Formulas from networks: what may appear in one, how one is found, and what one can do."""

from zoo_kan.symbolic.boundary.equation import Boundary, BoundaryRow
from zoo_kan.symbolic.boundary.find import find_boundary
from zoo_kan.symbolic.driver import to_symbolic
from zoo_kan.symbolic.formula import SymbolicKAN
from zoo_kan.symbolic.library import LIBRARY, Function
from zoo_kan.symbolic.pareto import FormulaRow

__all__ = [
    "LIBRARY",
    "Boundary",
    "BoundaryRow",
    "FormulaRow",
    "Function",
    "SymbolicKAN",
    "find_boundary",
    "to_symbolic",
]
