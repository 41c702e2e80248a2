"""One person from back to front."""

import torch
from torch import Tensor

from zoo_instantfamily.drawing.body import draw_body
from zoo_instantfamily.drawing.brush import Brush, column
from zoo_instantfamily.drawing.face import (
    draw_beard,
    draw_eyes,
    draw_glasses,
    draw_head,
    draw_mouth,
    draw_nose,
)
from zoo_instantfamily.drawing.hair import draw_back_hair, draw_front_hair, draw_headwear, grow_hair
from zoo_instantfamily.drawing.head import Head
from zoo_instantfamily.drawing.nuisance import Nuisance
from zoo_instantfamily.drawing.traits import read_traits

__all__ = ["draw_people"]

_CHUNK_PIXELS = 40_000


def draw_people(
    identities: Tensor, nuisance: Nuisance, centre: Tensor, scale: Tensor, *, size: tuple[int, int]
) -> Tensor:
    """Draw each person on a transparent sheet of its own.

    Parameters
    ----------
    identities : Tensor of shape (people, traits)
    nuisance : Nuisance
        Of length ``people``.
    centre : Tensor of shape (people, 2)
        Pixel position (x, y) of the middle of each head.
    scale : Tensor of shape (people,)
        Pixels per head unit.
    size : tuple of int
        Height and width of the sheets in pixels.

    Returns
    -------
    sheets : Tensor of shape (people, 4, height, width)
        Colours multiplied by opacity, and opacity, in [0, 1].
    """
    height, width = size
    # Few people at a time, so that the planes stay in the processor's cache.
    step = max(1, _CHUNK_PIXELS // (height * width))
    if identities.device.type != "cpu":
        step = len(identities)
    sheets = [
        _draw(identities[i : i + step], nuisance[i : i + step], centre[i : i + step],
              scale[i : i + step], height, width)
        for i in range(0, len(identities), step)
    ]  # fmt: skip
    if not sheets:
        return identities.new_zeros(0, 4, height, width)
    return torch.cat(sheets)


def _draw(
    identities: Tensor, nuisance: Nuisance, centre: Tensor, scale: Tensor, height: int, width: int
) -> Tensor:
    device = identities.device
    y, x = torch.meshgrid(
        torch.arange(height, device=device) + 0.5,
        torch.arange(width, device=device) + 0.5,
        indexing="ij",
    )
    dx = (x - column(centre[:, 0])) / column(scale)
    dy = (y - column(centre[:, 1])) / column(scale)
    cos, sin = column(torch.cos(nuisance.roll)), column(torch.sin(nuisance.roll))
    brush = Brush(
        canvas=identities.new_zeros(len(identities), 4, height, width),
        u=cos * dx + sin * dy,
        v=cos * dy - sin * dx,
        pixel=column(1.0 / scale),
    )
    head = Head(brush, read_traits(identities), nuisance)
    hair = grow_hair(head)
    draw_back_hair(head, hair)
    draw_body(head)
    draw_head(head)
    draw_nose(head)
    draw_beard(head)
    draw_mouth(head)
    draw_eyes(head)
    draw_glasses(head)
    draw_front_hair(head, hair)
    draw_headwear(head, hair)
    warmth = nuisance.warmth
    tint = torch.stack([1.0 + warmth, torch.ones_like(warmth), 1.0 - warmth], 1)
    colours = brush.canvas[:, :3] * (tint * nuisance.gain[:, None])[:, :, None, None]
    opacity = brush.canvas[:, 3:].clamp(0.0, 1.0)
    return torch.cat([torch.minimum(colours.clamp(min=0.0), opacity), opacity], 1)
