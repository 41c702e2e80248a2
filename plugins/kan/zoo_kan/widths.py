"""How many nodes a layer has: a number of sums, or a pair of numbers, sums and products.

The notation is KAN 2.0's (arXiv 2408.10205, Section 3.1): ``[2, (5, 2), 1]`` is two inputs, a layer
of five sums and two products of two sums each, and one output.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Width", "edges_into", "hidden_widths", "nodes", "sums_and_products"]

Width = int | tuple[int, int]


def sums_and_products(width: Width) -> tuple[int, int]:
    """Number of nodes that are sums and that are products."""
    return width if isinstance(width, tuple) else (width, 0)


def nodes(width: Width) -> int:
    """Number of nodes."""
    return sum(sums_and_products(width))


def edges_into(width: Width) -> int:
    """Number of sums that edges lead into: one for each node, two for a product."""
    plain, products = sums_and_products(width)
    return plain + 2 * products


def hidden_widths(hidden: int | Sequence[Any]) -> tuple[Width, ...]:
    """Hidden layers as the estimators' ``hidden`` names them.

    Parameters
    ----------
    hidden : int or sequence of (int or pair of int)
        One layer of so many nodes, or one entry per layer.

    Returns
    -------
    tuple of (int or tuple of int)
        A pair without products is a number.
    """
    entries: Sequence[Any] = [hidden] if isinstance(hidden, (int, np.integer)) else hidden
    widths: list[Width] = []
    for entry in entries:
        if isinstance(entry, (int, np.integer)):
            widths.append(int(entry))
        else:
            plain, products = (int(count) for count in entry)
            widths.append((plain, products) if products else plain)
    return tuple(widths)
