"""How large a network is, and which equations are affordable for it."""

from collections.abc import Sequence
from itertools import pairwise

from zoo_kan.widths import Width, edges_into, nodes

__all__ = ["affordable", "count_parameters"]

_MOST_PARAMETERS = 1500
_MOST_WORK = 2e10  # rows times outputs times parameters squared: about a second per step


def count_parameters(widths: Sequence[Width], *, grid: int, order: int, base: str) -> int:
    """Number of weights and biases of a network of such a shape."""
    per_edge = grid + order + (base != "none")
    return sum(
        edges_into(after) * (nodes(before) * per_edge + 1) for before, after in pairwise(widths)
    )


def affordable(n_rows: float, n_outputs: int, n_parameters: int) -> bool:
    """Whether a second-order step with the matrix formed and factored takes about a second."""
    work = n_rows * n_outputs * n_parameters**2
    return n_parameters <= _MOST_PARAMETERS and work <= _MOST_WORK
