"""Where inputs lie in their grids: the interval each one falls into, and where in it.

Axes: ``n`` rows, ``i`` input nodes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_kan import spline
from zoo_kan.kernels.pieces import piece_weights

__all__ = ["Cells"]

_EXACT_IN_FLOAT32 = 2**24


@dataclass
class Cells:
    """Intervals of a block of inputs.

    Attributes
    ----------
    cell : Tensor of shape (n, i)
        Number of the interval, 0 to ``grid - 1``, as a floating-point number.
    t : Tensor of shape (n, i)
        Distance to the knot below in grid intervals, 0 to 1; not a number where the input is none.
    excess : Tensor of shape (n, i) or None
        Distance to the grid in grid intervals, negative below it; None if all inputs are inside.
    grid : int
        Number of intervals.
    """

    cell: Tensor
    t: Tensor
    excess: Tensor | None
    grid: int

    @classmethod
    def locate(cls, x: Tensor, lower: Tensor, per_interval: Tensor, grid: int) -> "Cells":
        """Cells of inputs ``x`` (n, i) in grids from ``lower`` (i,) on."""
        position = (x - lower).mul_(per_interval)
        if _all_inside(position, grid):
            cell = position.floor().clamp_(max=grid - 1.0)
            return cls(cell, position.sub_(cell), None, grid)
        inside = position.clamp(0.0, float(grid))
        cell = inside.floor().nan_to_num_(0.0).clamp_(max=grid - 1.0)
        return cls(cell, inside - cell, position.sub_(inside), grid)

    def weights(self, order: int) -> list[Tensor]:
        """Basis functions that are not zero, continued along tangents; ``order + 1`` of (n, i)."""
        weights = piece_weights(self.t, order)
        if self.excess is None:
            return weights
        low, high = spline.end_slopes(self.grid, order)
        below, above = self.excess.clamp(max=0.0), self.excess.clamp(min=0.0)
        for weight, slope_below, slope_above in zip(
            weights, low[: order + 1], high[self.grid - 1 :], strict=True
        ):
            if slope_below:
                weight.add_(below, alpha=float(slope_below))
            if slope_above:
                weight.add_(above, alpha=float(slope_above))
        return weights

    def places(self, per_row: int) -> Tensor:
        """Places (n * i,) of the first of them in a flat block of ``per_row`` features a row."""
        rows, nodes = self.cell.shape
        # floating-point arithmetic is several times faster here, and exact for whole numbers
        small = rows * per_row * nodes <= _EXACT_IN_FLOAT32
        cell = self.cell if small else self.cell.double()
        first = torch.arange(rows, dtype=cell.dtype, device=cell.device)[:, None]
        places = torch.add(first * (per_row * nodes), cell, alpha=nodes)
        return (
            places.add_(torch.arange(nodes, dtype=cell.dtype, device=cell.device)).long().view(-1)
        )


def _all_inside(position: Tensor, grid: int) -> bool:
    """Whether tangents can be left out; not asked where one would have to wait for the answer."""
    if position.device.type != "cpu" or position.numel() == 0:
        return False
    lowest, highest = torch.aminmax(position)
    return bool(lowest >= 0.0) and bool(highest <= grid)
