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
from zoo_kan.kernels.work import Work

__all__ = ["BLOCK", "SplineProduct"]

BLOCK = 2**21
"""Features of so many numbers stay in memory for the backward pass. Beyond that, rows are taken in
blocks of this size and their features computed once more in the backward pass, so that memory grows
like that of a layer of numbers."""
FEW = 32
"""With fewer output nodes the product is twice as fast the other way round."""
WIDE = 256
"""From so many input nodes on, the gradient by the weights is taken feature by feature: the rows of
all features together lie so far apart that the processor waits for them."""


def _blocks(x: Tensor, weight: Tensor) -> list[slice]:
    """Rows of ``x`` (n, i) in blocks whose features have at most `BLOCK` numbers."""
    size = max(1, BLOCK // max(1, weight.shape[1] * weight.shape[2]))
    return [slice(start, start + size) for start in range(0, max(1, len(x)), size)]


def _fill(features: Tensor, x: Tensor, cells: Cells, base: str) -> None:
    """Write the features of a block of rows to ``features`` (n, c, i)."""
    nodes = x.shape[1]
    features.zero_()
    places, flat = cells.places.view(-1), features.view(-1)
    # numbers of two bytes are scattered two to three times faster as integers
    kind = torch.int16 if features.element_size() == 2 else features.dtype
    for m, weight in enumerate(cells.weights()):
        values = weight.to(features.dtype).view(kind).view(-1)
        flat.view(kind)[m * nodes :].scatter_(0, places, values)
    if base == "silu" and x.dtype == features.dtype:
        torch.ops.aten.silu.out(x, out=features[:, -1])
    elif base != "none":
        features[:, -1] = base_feature(x, base)


def _apply(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Output nodes (n, o) of features (n, c, i): ``weight`` is (o, c, i), ``bias`` (o,)."""
    rows, columns = features.flatten(1), weight.flatten(1)
    if len(weight) < FEW:
        return torch.addmm(bias[:, None], columns, rows.T).T.contiguous()
    return torch.addmm(bias, rows, columns.T)


def _weight_gradient(gradient: Tensor, features: Tensor) -> Tensor:
    """Gradient (o, c, i) of output gradients (n, o) and features (n, c, i)."""
    rows, columns, nodes = features.shape
    outputs = gradient.shape[1]
    if nodes < WIDE or outputs < FEW:
        return (gradient.T @ features.flatten(1)).view(outputs, columns, nodes)
    result = features.new_empty(outputs, columns, nodes)
    each = gradient.T.expand(columns, outputs, rows)
    torch.bmm(each, features.transpose(0, 1), out=result.transpose(0, 1))
    return result


def _slopes(weight: Tensor) -> Tensor:
    """Coefficients of the splines' derivatives per grid interval, then the base: (o, c - 1, i)."""
    return torch.cat([weight[:, 1:-1] - weight[:, :-2], weight[:, -1:]], dim=1)


def _input_gradient(
    x: Tensor, cells: Cells, mixed: Tensor, per_interval: Tensor, base: str
) -> Tensor:
    """Gradient (n, i) from ``mixed`` (n, c, i): output gradients times `_slopes`, then anything."""
    nodes = x.shape[1]
    places, flat = cells.places.view(-1), mixed.view(-1)
    total: Tensor | None = None
    for m, weight in enumerate(piece_weights(cells.t, cells.order - 1)):
        picked = flat[m * nodes :].index_select(0, places).view(x.shape)
        total = weight.mul_(picked) if total is None else total.addcmul_(weight, picked)
    assert total is not None
    total.mul_(per_interval)
    if base == "silu":
        total.add_(torch.ops.aten.silu_backward(mixed[:, -2].to(x.dtype), x))
    elif base == "linear":
        total.add_(mixed[:, -2])
    return total


class SplineProduct(torch.autograd.Function):
    """Output nodes of a layer of edges.

    ``SplineProduct.apply`` takes what `zoo_kan.kernels.plain_product` takes and a `Work`, and
    returns the same numbers. The features of the latest forward pass stay in that work memory; the
    backward pass of an earlier one computes its own once more. First derivatives are written by
    hand; where derivatives of these are asked for (``create_graph=True``), `plain_product` is
    differentiated instead.
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
        work: Work,
    ) -> Tensor:
        """Values (n, o); the features stay in ``work`` if they fit into one block."""
        ctx.grid, ctx.order, ctx.base, ctx.work = grid, order, base, work
        blocks = _blocks(x, weight)
        results = []
        for rows in blocks:
            nodes = x[rows].to(lower.dtype)
            cells = Cells.locate(nodes, lower, per_interval, grid=grid, order=order)
            with work.lent((len(nodes), *weight.shape[1:]), weight) as (features, ctx.content):
                _fill(features, nodes, cells, base)
                results.append(_apply(features, weight, bias))
        kept = []
        if len(blocks) > 1:
            ctx.content = None
        elif ctx.needs_input_grad[0]:
            kept = [cells.t, cells.places]
        ctx.save_for_backward(x, weight, bias, lower, per_interval, *kept)
        return results[0] if len(results) == 1 else torch.cat(results)

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
            shape = (len(nodes), *weight.shape[1:])
            with ctx.work.lent(shape, weight, ctx.content) as (features, content):
                still_there = content is not None and content == ctx.content
                fill = wanted[1] and not still_there
                if kept and not fill:
                    cells = Cells(kept[0], kept[1], None, ctx.grid, ctx.order)
                elif fill or slopes is not None:
                    cells = Cells.locate(nodes, lower, per_interval, grid=ctx.grid, order=ctx.order)
                if fill:
                    _fill(features, nodes, cells, ctx.base)
                if wanted[1]:
                    part = _weight_gradient(block, features)
                    by_weight = part if by_weight is None else by_weight.add_(part)
                if slopes is not None:
                    if content is not None:
                        ctx.work.forget()
                    torch.mm(block, slopes, out=features.flatten(1)[:, : slopes.shape[1]])
                    part = _input_gradient(nodes, cells, features, per_interval, ctx.base)
                    by_x.append(part.to(x.dtype))
        return (
            (by_x[0] if len(by_x) == 1 else torch.cat(by_x)) if by_x else None,
            by_weight,
            gradient.sum(0) if wanted[2] else None,
            *[None] * 6,
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
    gradients: list[Tensor | None] = [None] * 9
    for number, by_input in zip(wanted, found, strict=True):
        gradients[number] = by_input
    return tuple(gradients)
