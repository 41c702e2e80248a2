"""The equation of what divides two classes."""

from zoo_kan.symbolic.boundary.equation import Boundary
from zoo_kan.symbolic.boundary.find import find_boundary

__all__ = ["Boundary", "find_boundary"]
