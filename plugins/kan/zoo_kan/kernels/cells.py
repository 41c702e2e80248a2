"""Where inputs lie in their grids: the interval each one falls into, and where in it.

Axes: ``n`` rows, ``i`` input nodes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_kan.kernels.pieces import end_slopes, piece_weights

__all__ = ["Cells"]

_EXACT_IN_FLOAT32 = 2**24


@dataclass
class Cells:
    """Intervals of a block of inputs.

    Attributes
    ----------
    t : Tensor of shape (n, i)
        Distance to the knot below in grid intervals, 0 to 1; not a number where the input is none.
    places : int64 Tensor of shape (n, i)
        Where the first basis function that is not zero lies in a flat block of features
        (n, c, i), ``c = grid + order + 1``. The next one lies ``i`` numbers further on. So do the
        derivatives, of which there is one less.
    excess : Tensor of shape (n, i) or None
        Distance to the grid in grid intervals, negative below it; None if all inputs are inside.
    grid, order : int
        Number of intervals and degree of the splines.
    """

    t: Tensor
    places: Tensor
    excess: Tensor | None
    grid: int
    order: int

    @classmethod
    def locate(
        cls, x: Tensor, lower: Tensor, per_interval: Tensor, *, grid: int, order: int
    ) -> "Cells":
        """Cells of inputs ``x`` (n, i) in grids from ``lower`` (i,) on."""
        position = (x - lower).mul_(per_interval)
        excess = None
        if _all_inside(position, grid):
            cell = position.floor()
            t = position.sub_(cell)
        else:
            inside = position.clamp(0.0, float(grid))
            excess = position.sub_(inside)
            cell = inside.floor().nan_to_num_(0.0).clamp_(max=grid - 1.0)
            t = inside.sub_(cell)
        return cls(t, _places(cell, grid + order + 1), excess, grid, order)

    def weights(self) -> list[Tensor]:
        """Basis functions that are not zero, continued along tangents; ``order + 1`` of (n, i)."""
        weights = piece_weights(self.t, self.order)
        if self.excess is None:
            return weights
        below, above = self.excess.clamp(max=0.0), self.excess.clamp(min=0.0)
        for weight, low, high in zip(weights, *end_slopes(self.order), strict=True):
            if low:
                weight.add_(below, alpha=low)
            if high:
                weight.add_(above, alpha=high)
        return weights


def _all_inside(position: Tensor, grid: int) -> bool:
    """Whether tangents can be left out; not asked where one would have to wait for the answer."""
    if position.device.type != "cpu" or position.numel() == 0:
        return False
    lowest, highest = torch.aminmax(position)
    return lowest.item() >= 0.0 and highest.item() < grid


def _places(cell: Tensor, n_features: int) -> Tensor:
    rows, nodes = cell.shape
    per_row = n_features * nodes
    # floating-point arithmetic is several times faster here, and exact for whole numbers
    cell = cell if rows * per_row <= _EXACT_IN_FLOAT32 else cell.double()
    first = torch.arange(rows, dtype=cell.dtype, device=cell.device).mul_(per_row)
    node = torch.arange(nodes, dtype=cell.dtype, device=cell.device)
    return torch.add(first[:, None], cell, alpha=nodes).add_(node).long()
