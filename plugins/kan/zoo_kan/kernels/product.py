"""Features times weights as one operation, with its backward pass written by hand.

Forward, the ``order + 1`` basis functions that are not zero are evaluated by polynomials in (n, i),
put into their places of an otherwise empty (n, c, i) block, and one matrix product applies all
edges. Backward, the derivative of a spline is a spline of one order less whose coefficients are
the differences of neighbours, so the gradient by the inputs is one matrix product with these
differences, from which the ``order`` numbers that matter are picked.

Axes: ``n`` rows, ``i`` input nodes, ``o`` output nodes, ``b`` basis functions (grid + order),
``c = b + 1`` features.
"""

from typing import Any

import torch
from torch import Tensor

from zoo_kan.kernels.cells import Cells
from zoo_kan.kernels.features import base_feature, plain_product
from zoo_kan.kernels.pieces import piece_weights

__all__ = ["BLOCK", "SplineProduct"]

BLOCK = 2**21
"""Features of so many numbers are kept for the backward pass. Beyond that, rows are taken in blocks
of this size and their features computed once more in the backward pass, so that memory grows like
that of a layer of numbers."""


def _rows(n_rows: int, per_row: int, size: int) -> list[slice]:
    """Slices of ``n_rows`` rows, each with about ``size`` numbers in all."""
    step = max(1, size // max(1, per_row))
    return [slice(start, start + step) for start in range(0, max(1, n_rows), step)]


def _fill(features: Tensor, x: Tensor, cells: Cells, base: str) -> None:
    """Write the features of ``x`` (n, i) into ``features`` (n, c, i)."""
    nodes = x.shape[1]
    places, flat = cells.places.view(-1), features.zero_().view(-1)
    for m, weight in enumerate(cells.weights()):
        flat[m * nodes :].scatter_(0, places, weight.view(-1))
    if base != "none":
        features[:, -1] = base_feature(x, base)


def _slopes(weight: Tensor) -> Tensor:
    """Coefficients of the splines' derivatives per grid interval, then the base: (o, c - 1, i)."""
    return torch.cat([weight[:, 1:-1] - weight[:, :-2], weight[:, -1:]], dim=1)


def _input_gradient(
    x: Tensor, cells: Cells, mixed: Tensor, per_interval: Tensor, base: str
) -> Tensor:
    """Gradient (n, i) from ``mixed``: output gradients times `_slopes`, (n, c - 1, i)."""
    nodes = x.shape[1]
    places, flat = cells.slope_places().view(-1), mixed.view(-1)
    total: Tensor | None = None
    for m, weight in enumerate(piece_weights(cells.t, cells.order - 1)):
        picked = flat[m * nodes :].index_select(0, places).view(x.shape).mul_(weight)
        total = picked if total is None else total.add_(picked)
    assert total is not None
    total.mul_(per_interval)
    if base == "silu":
        total.add_(torch.ops.aten.silu_backward(mixed[:, -1], x))
    elif base == "linear":
        total.add_(mixed[:, -1])
    return total


def _build(x: Tensor, lower: Tensor, per_interval: Tensor, ctx: Any) -> tuple[Tensor, list[Cells]]:
    """Features (n, c, i) of a block of rows, and the cells of each of its tiles."""
    n_features = ctx.grid + ctx.order + 1
    features = x.new_empty(len(x), n_features, x.shape[1])
    cells = []
    for tile in _rows(len(x), features[0].numel() if len(x) else 1, TILE):
        cells.append(Cells.locate(x[tile], lower, per_interval, grid=ctx.grid, order=ctx.order))
        _fill(features[tile], x[tile], cells[-1], ctx.base)
    return features, cells


import os

TILE = 2 ** int(os.environ.get("TILE", "18"))


class SplineProduct(torch.autograd.Function):
    """Output nodes of a layer of edges.

    ``SplineProduct.apply`` takes what `zoo_kan.kernels.plain_product` takes and returns the same
    numbers. First derivatives are written by hand; where derivatives of these are asked for
    (``create_graph=True``), `plain_product` is differentiated instead.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        lower: Tensor,
        per_interval: Tensor,
        grid: int,
        order: int,
        base: str,
    ) -> Tensor:
        """Values (n, o); keeps the features if they fit into one block."""
        ctx.grid, ctx.order, ctx.base = grid, order, base
        per_row = weight[0].numel()
        columns = weight.flatten(1).T
        blocks = _rows(len(x), per_row, BLOCK)
        kept: list[Tensor] = []
        results = []
        for rows in blocks:
            nodes = x[rows].to(lower.dtype)
            features, cells = _build(nodes, lower, per_interval, ctx)
            results.append(torch.addmm(bias, features.to(weight.dtype).flatten(1), columns))
        if len(blocks) == 1:
            kept = [features.to(weight.dtype)]
            if ctx.needs_input_grad[0]:
                kept += [tensor for cell in cells for tensor in (cell.t, cell.places)]
        ctx.save_for_backward(x, weight, bias, lower, per_interval, *kept)
        return results[0] if len(results) == 1 else torch.cat(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by ``x``, ``weight`` and ``bias``."""
        x, weight, _, lower, per_interval, *kept = ctx.saved_tensors
        (gradient,) = gradients
        grid, order, base = ctx.grid, ctx.order, ctx.base
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            return _differentiable(ctx, gradient)
        slopes = _slopes(weight).flatten(1) if wanted[0] else None
        by_x: list[Tensor] = []
        by_weight: Tensor | None = None
        for rows in _rows(len(x), weight[0].numel(), BLOCK):
            nodes, block = x[rows].to(lower.dtype), gradient[rows]
            if kept:
                features = kept[0]
                cells = [
                    Cells(t, places, None, grid, order)
                    for t, places in zip(kept[1::2], kept[2::2], strict=True)
                ]
            else:
                features, cells = _build(nodes, lower, per_interval, ctx)
            if wanted[1]:
                part = block.T @ features.to(weight.dtype).flatten(1)
                by_weight = part if by_weight is None else by_weight.add_(part)
            if slopes is not None:
                mixed = (block @ slopes).view(len(nodes), -1, nodes.shape[1]).to(lower.dtype)
                for tile, cell in zip(
                    _rows(len(nodes), weight[0].numel(), TILE), cells, strict=True
                ):
                    part = _input_gradient(nodes[tile], cell, mixed[tile], per_interval, base)
                    by_x.append(part.to(x.dtype))
        return (
            torch.cat(by_x) if len(by_x) > 1 else by_x[0] if by_x else None,
            None if by_weight is None else by_weight.view_as(weight),
            gradient.sum(0) if wanted[2] else None,
            *[None] * 5,
        )


def _differentiable(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients as differentiable functions of the inputs and of ``gradient``."""
    # views, so that no derivative runs on into what the inputs were made of
    x, weight, bias = (tensor.view_as(tensor) for tensor in ctx.saved_tensors[:3])
    inputs = (x, weight, bias)
    wanted = [number for number in range(3) if ctx.needs_input_grad[number]]
    lower, per_interval = ctx.saved_tensors[3:5]
    out = plain_product(x, weight, bias, lower, per_interval, ctx.grid, ctx.order, ctx.base)
    found = torch.autograd.grad(
        out, [inputs[number] for number in wanted], gradient, create_graph=True
    )
    gradients: list[Tensor | None] = [None] * 8
    for number, by_input in zip(wanted, found, strict=True):
        gradients[number] = by_input
    return tuple(gradients)
