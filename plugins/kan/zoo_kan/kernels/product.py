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


def _blocks(x: Tensor, weight: Tensor) -> list[slice]:
    """Rows of ``x`` (n, i) in blocks whose features have at most `BLOCK` numbers."""
    size = max(1, BLOCK // max(1, weight[0].numel()))
    return [slice(start, start + size) for start in range(0, max(1, len(x)), size)]


def _features(x: Tensor, cells: Cells, base: str) -> Tensor:
    """Features (n, c, i) of a block of rows."""
    nodes = x.shape[1]
    features = x.new_zeros(len(x), cells.grid + cells.order + 1, nodes)
    places, flat = cells.places.view(-1), features.view(-1)
    for m, weight in enumerate(cells.weights()):
        flat[m * nodes :].scatter_(0, places, weight.view(-1))
    if base != "none":
        features[:, -1] = base_feature(x, base)
    return features


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
        rows_of_weights, blocks = weight.flatten(1), _blocks(x, weight)
        results = []
        for rows in blocks:
            nodes = x[rows].to(lower.dtype)
            cells = Cells.locate(nodes, lower, per_interval, grid=grid, order=order)
            features = _features(nodes, cells, base).to(weight.dtype)
            # with few outputs twice as fast as the product the other way round
            results.append(torch.addmm(bias[:, None], rows_of_weights, features.flatten(1).T))
        kept = []
        if len(blocks) == 1:
            kept = [features, cells.t, cells.places] if ctx.needs_input_grad[0] else [features]
        ctx.save_for_backward(x, weight, bias, lower, per_interval, *kept)
        return torch.cat(results, dim=1).T.contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by ``x``, ``weight`` and ``bias``."""
        x, weight, _, lower, per_interval, *kept = ctx.saved_tensors
        (gradient,) = gradients
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            return _differentiable(ctx, gradient)
        slopes = _slopes(weight).flatten(1) if wanted[0] else None
        by_x: list[Tensor] = []
        by_weight: Tensor | None = None
        for rows in _blocks(x, weight):
            nodes, block = x[rows].to(lower.dtype), gradient[rows]
            if len(kept) == 3:
                cells = Cells(kept[1], kept[2], None, ctx.grid, ctx.order)
            elif not kept:
                cells = Cells.locate(nodes, lower, per_interval, grid=ctx.grid, order=ctx.order)
            if wanted[1]:
                features = kept[0] if kept else _features(nodes, cells, ctx.base)
                part = block.T @ features.to(weight.dtype).flatten(1)
                by_weight = part if by_weight is None else by_weight.add_(part)
            if slopes is not None:
                mixed = (block @ slopes).to(lower.dtype)
                mixed = mixed.view(len(nodes), weight.shape[1] - 1, nodes.shape[1])
                part = _input_gradient(nodes, cells, mixed, per_interval, ctx.base)
                by_x.append(part.to(x.dtype))
        return (
            (by_x[0] if len(by_x) == 1 else torch.cat(by_x)) if by_x else None,
            None if by_weight is None else by_weight.view_as(weight),
            gradient.sum(0) if wanted[2] else None,
            *[None] * 5,
        )


def _differentiable(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients as differentiable functions of the inputs and of ``gradient``."""
    # views, so that no derivative runs on into what the inputs were made of
    x, weight, bias = (tensor.view_as(tensor) for tensor in ctx.saved_tensors[:3])
    lower, per_interval = ctx.saved_tensors[3:5]
    out = plain_product(x, weight, bias, lower, per_interval, ctx.grid, ctx.order, ctx.base)
    wanted = [number for number in range(3) if ctx.needs_input_grad[number]]
    found = torch.autograd.grad(
        out, [(x, weight, bias)[number] for number in wanted], gradient, create_graph=True
    )
    gradients: list[Tensor | None] = [None] * 8
    for number, by_input in zip(wanted, found, strict=True):
        gradients[number] = by_input
    return tuple(gradients)
