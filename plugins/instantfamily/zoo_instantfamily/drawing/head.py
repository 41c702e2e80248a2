"""The head as a solid: where a point of the face lands in the picture, and how it is lit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_instantfamily.drawing.brush import Brush, column, smooth
from zoo_instantfamily.drawing.nuisance import Nuisance
from zoo_instantfamily.drawing.traits import Traits

__all__ = ["SKULL", "Head"]

SKULL = 0.8
"""Half height of the skull in head units."""

_DEPTH = 0.62


@dataclass(frozen=True)
class Head:
    """One batch of heads: who they are, how they are held, and the brush that draws them.

    Attributes
    ----------
    brush : Brush
    traits : Traits
    nuisance : Nuisance
    """

    brush: Brush
    traits: Traits
    nuisance: Nuisance

    def __getitem__(self, name: str) -> Tensor:
        return column(self.traits[name])

    def state(self, name: str) -> Tensor:
        """A field of the nuisance, shape ``(people, 1, 1, 1)``."""
        value: Tensor = getattr(self.nuisance, name)
        return column(value)

    def hair(self, name: str) -> Tensor:
        """A number of the hair style, shape ``(people, 1, 1, 1)``."""
        return column(self.traits.hair[name])

    def project(self, x: Tensor, y: Tensor, depth: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """Where a point of the face lands once the head is turned.

        Parameters
        ----------
        x, y : Tensor of shape (people, 1, 1, 1)
            Position on the face seen from the front, in head units.
        depth : float, default=0.0
            How far it stands out of the head.

        Returns
        -------
        u, v : Tensor of shape (people, 1, 1, 1)
        narrow : Tensor of shape (people, 1, 1, 1)
            By how much things there appear narrower.
        """
        yaw, pitch = self.state("yaw"), self.state("pitch")
        round_ = torch.sqrt((1.0 - x * x).clamp(min=0.05))
        z = _DEPTH * round_ + depth
        u = x * torch.cos(yaw) + z * torch.sin(yaw)
        v = y * torch.cos(pitch) + 0.55 * z * torch.sin(pitch)
        narrow = torch.cos(yaw) - _DEPTH * x / round_ * torch.sin(yaw)
        return u, v, narrow.clamp(0.35, 1.2)

    def outline(self, brush: Brush, grow: float = 0.0) -> Tensor:
        """Signed distance (head units) to the outline of skull and jaw."""
        width = self["width"] + grow
        below = (brush.v / SKULL).clamp(0.0, 1.0)
        lean = 0.10 * self.state("yaw") * below
        taper = 1.0 - self["taper"] * below * below
        x = ((brush.u - lean) / (width * taper)).abs()
        y = (brush.v / (SKULL + grow)).abs()
        round_ = torch.sqrt(x * x + y * y)
        square = torch.sqrt(torch.sqrt((x * x) ** 2 + (y * y) ** 2))
        boxy = self["jaw"] * smooth(brush.v / 0.35)
        return (torch.lerp(round_, square, boxy) - 1.0) * width

    def light(self, brush: Brush) -> Tensor:
        """Factor (people, 3, height, width) of light and coloured shadow over a round head."""
        x = (brush.u / 0.78).clamp(-0.9, 0.9)
        y = (brush.v / 0.95).clamp(-0.9, 0.9)
        z = torch.sqrt((1.0 - 0.75 * (x * x + y * y)).clamp(min=0.05))
        facing = 0.62 * (x * self.state("light_u") + y * self.state("light_v")) + 0.72 * z
        lit = smooth((facing - 0.05) / 0.95)
        shadow = torch.tensor([0.66, 0.56, 0.62], device=lit.device).view(1, 3, 1, 1)
        bright = torch.tensor([1.07, 1.04, 1.01], device=lit.device).view(1, 3, 1, 1)
        shadow = 1.0 - (1.0 - shadow) * self.state("contrast")
        return shadow + (bright - shadow) * lit
