"""Antialiased drawing of signed distances: the brush that every part of a person is drawn with."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Brush", "capsule", "column", "ellipse", "smooth"]


def column(values: Tensor) -> Tensor:
    """Per-person values of shape ``(people,)`` as ``(people, 1, 1, 1)``, to meet the pixels."""
    return values[:, None, None, None]


def smooth(x: Tensor) -> Tensor:
    """Cubic step of ``x`` clipped to [0, 1]."""
    x = x.clamp(0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def ellipse(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """First-order signed distance to an ellipse with half axes ``a`` and ``b`` at the origin.

    The implicit function over the length of its gradient: exact on the outline, where
    antialiasing looks at it.
    """
    p, q = x / a, y / b
    slope = 2.0 * torch.sqrt((p / a) ** 2 + (q / b) ** 2 + 1e-8)
    return (p * p + q * q - 1.0) / slope


def capsule(
    x: Tensor, y: Tensor, x1: Tensor | float, y1: Tensor | float, radius: Tensor | float
) -> Tensor:
    """Signed distance to a thick line from the origin to ``(x1, y1)``."""
    along = (x * x1 + y * y1) / (x1 * x1 + y1 * y1 + 1e-8)
    along = along.clamp(0.0, 1.0)
    return torch.sqrt((x - along * x1) ** 2 + (y - along * y1) ** 2 + 1e-8) - radius


@dataclass(frozen=True)
class Brush:
    """A canvas and where its pixels lie in the coordinates of each head.

    Attributes
    ----------
    canvas : Tensor of shape (people, 4, height, width)
        Red, green, blue multiplied by opacity, and opacity. Drawn on in place.
    u, v : Tensor of shape (people, 1, height, width)
        Position of each pixel centre in head units: the head's middle is the origin, ``u`` points
        right, ``v`` down, and 1 is about half a head with its hair.
    pixel : Tensor of shape (people, 1, 1, 1)
        Size of one pixel in head units.
    area : tuple of slice
        For a window, where it lies in the brush it was cut from: ``plane[window.area]``.
    """

    canvas: Tensor
    u: Tensor
    v: Tensor
    pixel: Tensor
    area: tuple[slice, ...] = ()

    def inside(self, distance: Tensor, blur: float = 0.0) -> Tensor:
        """Coverage in [0, 1] of the set where ``distance`` (head units) is negative.

        ``blur`` widens the one-pixel edge by so many head units.
        """
        if blur:
            return smooth(0.5 - distance / (self.pixel + blur))
        return (0.5 - distance / self.pixel).clamp(0.0, 1.0)

    def paint(self, colour: Tensor, mask: Tensor) -> None:
        """Lay ``colour`` (people, 3 or 4, 1 or height, 1 or width) over the canvas where masked."""
        if colour.shape[1] == 3:
            colour = torch.cat([colour, torch.ones_like(colour[:, :1])], 1)
        self.canvas.lerp_(colour, mask)

    def shade(self, factor: Tensor, mask: Tensor) -> None:
        """Multiply the colours by ``factor`` (people, 3, ...) where masked; opacity stays."""
        self.canvas[:, :3].mul_(1.0 + (factor - 1.0) * mask)

    def window(self, u0: float, u1: float, v0: float, v1: float) -> "Brush":
        """Brush for the smallest rectangle that holds ``[u0, u1] x [v0, v1]`` of all heads.

        Features are small beside the canvas: drawing each in its own window saves most of the
        work. The rectangle may be empty where the heads lie off the canvas.
        """
        with torch.no_grad():
            held = (self.u >= u0) & (self.u <= u1) & (self.v >= v0) & (self.v <= v1)
            held = held.flatten(0, 1).any(0)
            rows = held.any(1).nonzero()
            columns = held.any(0).nonzero()
        if not len(rows):
            rows, columns = torch.zeros(2, 1, dtype=torch.long), torch.zeros(2, 1, dtype=torch.long)
            rows[1] = columns[1] = -1
        area = (
            slice(None),
            slice(None),
            slice(int(rows[0]), int(rows[-1]) + 1),
            slice(int(columns[0]), int(columns[-1]) + 1),
        )
        return replace(self, canvas=self.canvas[area], u=self.u[area], v=self.v[area], area=area)
