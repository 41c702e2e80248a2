"""Where people stand: rows as in a group photograph, apart, touching or overlapping."""

import math

import torch
from torch import Tensor

__all__ = ["CROWDING", "arrange"]

CROWDING: dict[str, tuple[float, float]] = {
    "apart": (2.0, 2.1),
    "touching": (1.55, 1.65),
    "overlapping": (1.2, 1.35),
}
"""Distance of neighbours in a row, and of rows, in head units."""

_HEAD_WIDTH, _HEAD_HEIGHT, _MIDDLE = 2.05, 2.25, 0.12


def arrange(
    n: int,
    people: int,
    *,
    size: tuple[int, int],
    crowding: str = "apart",
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Place the heads of ``n`` scenes at random.

    Parameters
    ----------
    n, people : int
    size : tuple of int
        Height and width of the canvas in pixels.
    crowding : {"apart", "touching", "overlapping"}, default="apart"
    generator : torch.Generator

    Returns
    -------
    centre : Tensor of shape (n, people, 2)
        Pixel position (x, y) of each head; the order of the people is random.
    scale : Tensor of shape (n, people)
        Pixels per head unit.
    depth : Tensor of shape (n, people)
        Order of drawing: 0 is furthest back.
    """
    height, width = size
    gap, row_gap = CROWDING[crowding]

    def fit(rows: int) -> float:
        columns = math.ceil(people / rows)
        wide = (columns - 1) * gap + _HEAD_WIDTH + (0.5 * gap if _staggered(people, rows) else 0.0)
        return min(width / wide, height / ((rows - 1) * row_gap + _HEAD_HEIGHT))

    rows = max(range(1, people + 1), key=fit)
    columns = math.ceil(people / rows)
    scale = fit(rows) * (0.86 + 0.12 * torch.rand(n, generator=generator))
    place = torch.arange(people)
    row, column = place // columns, place % columns
    in_row = torch.where(row < rows - 1, columns, people - columns * (rows - 1))
    x = (column - (in_row - 1) / 2) * gap
    if _staggered(people, rows):
        x = x + torch.where(row % 2 == 0, 0.25, -0.25) * gap
    y = (row - (rows - 1) / 2) * row_gap + _MIDDLE

    def jitter(amount: float) -> Tensor:
        return amount * (2.0 * torch.rand(n, people, generator=generator) - 1.0)

    own = scale[:, None] * (1.0 + jitter(0.05))
    slack = torch.rand(n, 1, 2, generator=generator) - 0.5
    spare_x = (width - scale * ((columns - 1) * gap + _HEAD_WIDTH)).clamp(min=0.0)
    spare_y = (height - scale * ((rows - 1) * row_gap + _HEAD_HEIGHT)).clamp(min=0.0)
    centre_x = (
        width / 2 + scale[:, None] * (x + jitter(0.05 * gap)) + slack[..., 0] * spare_x[:, None]
    )
    centre_y = (
        height / 2 + scale[:, None] * (y + jitter(0.06)) + 0.6 * slack[..., 1] * spare_y[:, None]
    )
    order = torch.argsort(torch.rand(n, people, generator=generator), 1)
    depth = torch.argsort(
        torch.argsort(row + 0.9 * torch.rand(n, people, generator=generator), 1), 1
    )
    centre = torch.stack([centre_x.gather(1, order), centre_y.gather(1, order)], -1)
    return centre, own.gather(1, order), depth.gather(1, order)


def _staggered(people: int, rows: int) -> bool:
    """Whether full rows stand in the gaps of each other."""
    return rows > 1 and people % rows == 0 and people > 4
