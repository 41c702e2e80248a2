"""Features of the inputs, and their product with weights, in plain differentiable operations.

Axes: ``n`` rows, ``i`` input nodes, ``o`` output nodes, ``b`` basis functions (grid + order),
``c = b + 1`` features. The input nodes are the inner axis: memory is read in order, and all
features of a row lie side by side for the one matrix product that follows.
"""

import torch
from torch import Tensor
from torch.nn import functional

from zoo_kan import spline
from zoo_kan.kernels.pieces import piece_weights

__all__ = ["DENSE_BASIS", "base_feature", "plain_features", "plain_product"]

DENSE_BASIS = 24
"""Up to so many basis functions all of them are evaluated in closed form; beyond, only those that
are not zero, which are then scattered to their places."""


def base_feature(x: Tensor, base: str) -> Tensor:
    """Base function beside the spline at ``x`` (any shape)."""
    if base == "silu":
        return functional.silu(x)
    return x if base == "linear" else torch.zeros_like(x)


def _bells(inside: Tensor, grid: int, order: int) -> Tensor:
    """All basis functions (n, b, i) at grid positions (n, i), as sums of truncated powers."""
    centres = torch.arange(grid + order, dtype=inside.dtype, device=inside.device)
    distance = (inside[:, None, :] - (centres - (order - 1) / 2)[:, None]).abs()
    total = torch.zeros((), dtype=inside.dtype, device=inside.device)
    for weight, reach in spline.bell_terms(order):
        gap = (reach - distance).relu()
        power = gap
        for _ in range(order - 1):
            power = power * gap
        total = total + weight * power
    return total


def _scattered(inside: Tensor, grid: int, order: int) -> Tensor:
    """The same as `_bells`, from the ``order + 1`` that are not zero."""
    cell = inside.detach().floor().nan_to_num(0.0).clamp(max=grid - 1.0)
    weights = torch.stack(piece_weights(inside - cell, order), dim=1)
    places = torch.arange(order + 1, device=inside.device)[:, None] + cell.long()[:, None, :]
    empty = inside.new_zeros(inside.shape[0], grid + order, inside.shape[1])
    return empty.scatter(1, places, weights)


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
    splines = (_bells if grid + order <= DENSE_BASIS else _scattered)(inside, grid, order)
    excess = (position - inside)[:, None, :]
    low, high = (
        torch.tensor(slopes.tolist(), dtype=x.dtype, device=x.device)[:, None]
        for slopes in spline.end_slopes(grid, order)
    )
    splines = splines + excess.clamp(max=0.0) * low + excess.clamp(min=0.0) * high
    return torch.cat([splines, base_feature(x, base)[:, None, :]], dim=1)


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
