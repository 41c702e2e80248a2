"""The polynomial pieces of a uniform B-spline, by the recursion of de Boor and Cox.

Between two knots a spline of order ``k`` is a sum of ``k + 1`` basis functions. With the knots one
apart, the weights of level ``d`` follow from those of level ``d - 1`` by

    w[d, m] = (t + d - m)/d * w[d - 1, m - 1] + (1 + m - t)/d * w[d - 1, m],

with ``t`` from 0 to 1 (de Boor, On calculating with B-splines, 1972, Equation 6). Every term is
positive, so no digits cancel. The two orders that minibatch training meets most, cubic splines and
their derivatives, are written out: half as many passes over memory.
"""

import torch
from torch import Tensor

__all__ = ["end_slopes", "piece_weights"]


def piece_weights(t: Tensor, order: int) -> list[Tensor]:
    """Basis functions that are not zero between two knots.

    Parameters
    ----------
    t : Tensor of any shape
        Distance to the knot below, in grid intervals: 0 to 1.
    order : int
        Degree of the spline, 0 or more.

    Returns
    -------
    list of ``order + 1`` tensors of the shape of ``t``
        New ones. The first basis function ends at the knot above, the last begins at the knot
        below; they add up to 1.
    """
    if order == 0:
        return [torch.ones_like(t)]
    if order == 1:
        return [1.0 - t, t.clone()]
    if order == 2:
        return _quadratic(t)
    if order == 3:
        return _cubic(t)
    rest = 1.0 - t
    weights = [rest, t]
    reaches = [rest, *(rest + m for m in range(1, order))]
    for level in range(2, order + 1):
        share = 1.0 / level
        first = (rest * weights[0]) * share
        following, left = [first], weights[0] - first
        for weight, reach in zip(weights[1:], reaches[1:level], strict=True):
            following.append(torch.addcmul(left, reach, weight, value=share))
            left = torch.addcmul(weight, reach, weight, value=-share)
        weights = [*following, left]
    return weights


def _quadratic(t: Tensor) -> list[Tensor]:
    last = (t * t).mul_(0.5)
    first = (last - t).add_(0.5)
    return [first, torch.sub(t, last, alpha=2.0).add_(0.5), last]


def _cubic(t: Tensor) -> list[Tensor]:
    rest = 1.0 - t
    first, last = rest.pow(3).mul_(1.0 / 6.0), t.pow(3).mul_(1.0 / 6.0)
    second = torch.add(rest, last).sub_(first, alpha=2.0)
    return [first, second, torch.add(t, first).sub_(last, alpha=2.0), last]


def end_slopes(order: int) -> tuple[list[float], list[float]]:
    """Slopes at the ends of a grid of the basis functions that are not zero there.

    Parameters
    ----------
    order : int
        Degree of the spline, 1 or more.

    Returns
    -------
    lower, upper : lists of ``order + 1`` floats
        Per grid interval, of the first and of the last ``order + 1`` basis functions.
    """
    # plain floats, so that a compiler sees constants
    values = [1.0]
    for level in range(1, order):
        parts = [(1.0 + m) / level * value for m, value in enumerate(values)]
        rest = [value - part for value, part in zip(values, parts, strict=True)]
        values = [a + b for a, b in zip([*parts, 0.0], [0.0, *rest], strict=True)]
    lower = [a - b for a, b in zip([0.0, *values], [*values, 0.0], strict=True)]
    return lower, [-slope for slope in reversed(lower)]
