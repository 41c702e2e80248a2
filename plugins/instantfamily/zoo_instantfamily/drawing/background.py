"""What is behind the people: a colour and a style, both named in the caption."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo_instantfamily.drawing import palette
from zoo_instantfamily.drawing.brush import smooth

__all__ = ["BACKGROUND_STYLES", "draw_backgrounds"]


def _plain(x: Tensor, y: Tensor, r: Tensor, pixel: float) -> Tensor:
    return 0.06 - 0.28 * (x * x + (y + 0.1) ** 2)


def _gradient(x: Tensor, y: Tensor, r: Tensor, pixel: float) -> Tensor:
    return 0.24 - 0.62 * smooth(y + 0.5)


def _striped(x: Tensor, y: Tensor, r: Tensor, pixel: float) -> Tensor:
    count = 5.0 + (r[:, 0:1] * 3).floor()
    wave = ((x * count + r[:, 1:2]) % 1.0 - 0.5).abs() - 0.25
    return 0.32 * (0.5 - wave / (count * pixel)).clamp(0, 1) - 0.1 - 0.1 * y


def _dotted(x: Tensor, y: Tensor, r: Tensor, pixel: float) -> Tensor:
    count = 6.0 + (r[:, 0:1] * 3).floor()
    row = (y * count).floor()
    a = (x * count + 0.5 * (row % 2.0) + r[:, 1:2]) % 1.0 - 0.5
    b = (y * count) % 1.0 - 0.5
    ball = torch.sqrt(a * a + b * b) - 0.26
    return 0.36 * (0.5 - ball / (count * pixel)).clamp(0, 1) - 0.06 - 0.08 * y


def _glowing(x: Tensor, y: Tensor, r: Tensor, pixel: float) -> Tensor:
    light = torch.zeros_like(x + y + r[:, 0:1])
    for k in range(7):
        a = x - 1.2 * (r[:, k : k + 1] - 0.5)
        b = y - (r[:, k + 1 : k + 2] - 0.5)
        size = 0.06 + 0.12 * r[:, k + 2 : k + 3]
        light = light + 0.14 * smooth((size - torch.sqrt(a * a + b * b)) / 0.03 + 0.5)
    return light - 0.14 - 0.25 * y


def _hilly(x: Tensor, y: Tensor, r: Tensor, pixel: float) -> Tensor:
    ground = torch.zeros_like(x + y + r[:, 0:1]) + 0.30 - 0.25 * (y + 0.5)
    sun = torch.sqrt((x - 0.7 * (r[:, 6:7] - 0.5)) ** 2 + (y + 0.28) ** 2) - 0.09
    ground = torch.lerp(ground, 0.55 + 0 * ground, (0.5 - sun / pixel).clamp(0, 1))
    for k, level in enumerate((-0.08, 0.12, 0.3)):
        crest = level + 0.07 * torch.sin((5.0 + 2 * k) * x + 2 * math.pi * r[:, k : k + 1])
        inside = (0.5 - (crest - y) / pixel).clamp(0, 1)
        ground = torch.lerp(ground, -0.05 - 0.16 * k + 0 * ground, inside)
    return ground


def _sunlit(x: Tensor, y: Tensor, r: Tensor, pixel: float) -> Tensor:
    angle = torch.atan2(y - 0.6, x - 0.3 * (r[:, 0:1] - 0.5))
    count = 9.0
    ray = ((angle / math.pi * count + r[:, 1:2]) % 1.0 - 0.5).abs() - 0.25
    reach = torch.sqrt(x * x + (y - 0.6) ** 2) + 0.05
    return 0.24 * (0.5 - ray * reach / (count * pixel) * 2.0).clamp(0, 1) + 0.08 - 0.3 * reach**2


_DRAW: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "plain": _plain,
    "gradient": _gradient,
    "striped": _striped,
    "dotted": _dotted,
    "glowing": _glowing,
    "hilly": _hilly,
    "sunlit": _sunlit,
}
BACKGROUND_STYLES: tuple[str, ...] = tuple(_DRAW)


def draw_backgrounds(
    colour: Tensor, style: Tensor, *, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Draw one background per picture.

    Parameters
    ----------
    colour : Tensor of shape (n,)
        Index into the names of ``palette.BACKGROUND_COLOURS``.
    style : Tensor of shape (n,)
        Index into :data:`BACKGROUND_STYLES`.
    size : tuple of int
        Height and width in pixels.
    generator : torch.Generator
        Chooses phases and places within a style.

    Returns
    -------
    images : Tensor of shape (n, 3, height, width)
        In [0, 1].
    """
    height, width = size
    device = colour.device
    table = torch.stack(list(palette.BACKGROUND_COLOURS.values())).to(device)
    chance = torch.rand(len(colour), 9, generator=generator).to(device)
    side = max(height, width)
    y, x = torch.meshgrid(
        (torch.arange(height, device=device) + 0.5 - height / 2) / side,
        (torch.arange(width, device=device) + 0.5 - width / 2) / side,
        indexing="ij",
    )
    lift = torch.zeros(len(colour), 1, height, width, device=device)
    x, y = x[None, None], y[None, None]
    for k, draw in enumerate(_DRAW.values()):
        rows = (style == k).nonzero()[:, 0]
        if len(rows):
            lift[rows] = draw(x, y, chance[rows][:, :, None, None], 1.0 / side)
    base = table[colour][:, :, None, None]
    dark = base * base.new_tensor([0.50, 0.48, 0.58]).view(1, 3, 1, 1)
    image = torch.lerp(base, torch.ones_like(base), lift.clamp(min=0.0))
    return torch.lerp(image, dark.expand_as(image), (-lift).clamp(min=0.0)).clamp(0, 1)
