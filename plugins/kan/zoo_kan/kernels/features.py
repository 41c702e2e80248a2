"""Features of the inputs, and their product with weights, in plain differentiable operations.

Axes: ``n`` rows, ``i`` input nodes, ``o`` output nodes, ``b`` basis functions (grid + order),
``c = b + 1`` features. The input nodes are the inner axis: memory is read in order, and all
features of a row lie side by side for the one matrix product that follows.
"""

import torch
from torch import Tensor
from torch.nn import functional

from zoo_kan.kernels.pieces import end_slopes, piece_weights

__all__ = ["UNROLLED", "base_feature", "plain_features", "plain_product"]

UNROLLED = 16
"""A compiler sees up to so many basis functions one by one, each a choice between the pieces, and
makes one loop of all. Beyond that, and without a compiler, pieces are scattered to their places."""


def base_feature(x: Tensor, base: str) -> Tensor:
    """Base function beside the spline at ``x`` (any shape)."""
    if base == "silu":
        return functional.silu(x)
    return x if base == "linear" else torch.zeros_like(x)


def _selected(cell: Tensor, weights: list[Tensor], base: Tensor, grid: int) -> Tensor:
    """Features (n, c, i), each basis function chosen from ``weights`` by the interval's number."""
    order = len(weights) - 1
    columns = []
    for column in range(grid + order):
        first, last = max(0, column - grid + 1), min(order, column)
        total = torch.where(cell == column - first, weights[first], 0.0)
        for m in range(first + 1, last + 1):
            total = total + torch.where(cell == column - m, weights[m], 0.0)
        columns.append(total)
    # one stack of all: a stack within a concatenation would be written to memory twice
    return torch.stack([*columns, base], dim=1)


def _scattered(cell: Tensor, weights: list[Tensor], base: Tensor, grid: int) -> Tensor:
    """The same as `_selected`, with zeros first and then only what is not zero."""
    rows, nodes = cell.shape
    order = len(weights) - 1
    places = torch.arange(order + 1, device=cell.device)[:, None] + cell.long()[:, None, :]
    last = places.new_full((rows, 1, nodes), grid + order)
    empty = cell.new_zeros(rows, grid + order + 1, nodes)
    return empty.scatter(1, torch.cat([places, last], dim=1), torch.stack([*weights, base], dim=1))


def plain_features(
    x: Tensor, lower: Tensor, per_interval: Tensor, *, grid: int, order: int, base: str
) -> Tensor:
    """Basis functions, continued along the tangent outside the grid, then the base function.

    Parameters
    ----------
    x : Tensor of shape (n, i)
        Input nodes.
    lower : Tensor of shape (i,)
        Lower ends of the grids.
    per_interval : Tensor of shape (i,)
        Grid intervals per unit of ``x``.
    grid : int
        Number of intervals.
    order : int
        Degree of the splines, 1 to 5.
    base : {"silu", "linear", "none"}
        The base function.

    Returns
    -------
    Tensor of shape (n, c, i)
        Differentiable by ``x`` to any order.
    """
    position = (x - lower) * per_interval
    inside = position.clamp(0.0, float(grid))
    excess = position - inside
    known = inside.detach()
    # what is not a number falls into the first interval
    cell = torch.where(known >= 1.0, known.floor(), 0.0).clamp(max=grid - 1.0)
    below, above = excess.clamp(max=0.0), excess.clamp(min=0.0)
    weights = piece_weights(inside - cell, order)
    for m, (low, high) in enumerate(zip(*end_slopes(order), strict=True)):
        if low:
            weights[m] = weights[m] + below * low
        if high:
            weights[m] = weights[m] + above * high
    unrolled = torch.compiler.is_compiling() and grid + order <= UNROLLED
    return (_selected if unrolled else _scattered)(cell, weights, base_feature(x, base), grid)


def plain_product(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    lower: Tensor,
    per_interval: Tensor,
    grid: int,
    order: int,
    base: str,
) -> Tensor:
    """Output nodes (n, o), as `zoo_kan.kernels.SplineProduct` computes them.

    Parameters
    ----------
    x : Tensor of shape (n, i)
        Input nodes, in any floating-point dtype.
    weight : Tensor of shape (o, c, i)
        Coefficients, then weights of the base function.
    bias : Tensor of shape (o,)
        Constants of the output nodes.
    lower, per_interval, grid, order, base
        As in `plain_features`.

    Returns
    -------
    Tensor of shape (n, o)
        In the dtype of ``weight``. Features are evaluated in the dtype of ``lower``.
    """
    features = plain_features(
        x.to(lower.dtype), lower, per_interval, grid=grid, order=order, base=base
    )
    return torch.addmm(bias, features.to(weight.dtype).flatten(1), weight.flatten(1).T)
