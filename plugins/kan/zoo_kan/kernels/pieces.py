"""The polynomial pieces of a uniform B-spline, by the recursion of de Boor and Cox.

Between two knots a spline of order ``k`` is a sum of ``k + 1`` basis functions. With the knots one
apart, the weights of level ``d`` follow from those of level ``d - 1`` by

    w[d, m] = (t + d - m)/d * w[d - 1, m - 1] + (1 + m - t)/d * w[d - 1, m],

with ``t`` from 0 to 1 (de Boor, On calculating with B-splines, 1972, Equation 6). Every term is
positive, so no digits cancel.
"""

import torch
from torch import Tensor

__all__ = ["piece_weights"]


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
        From the basis function that ends at the knot above to the one that begins at the knot
        below. They add up to 1.
    """
    if order == 0:
        return [torch.ones_like(t)]
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
