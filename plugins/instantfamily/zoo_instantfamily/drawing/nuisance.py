"""What changes from picture to picture of one person: pose, light, expression, clothes."""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from zoo_instantfamily.drawing import palette

__all__ = ["MOODS", "Nuisance", "sample_nuisance"]

MOODS: tuple[str, ...] = ("sad", "calm", "happy")


@dataclass(frozen=True)
class Nuisance:
    """Pose, light, expression and clothes of some people; every field has shape ``(people,)``.

    Attributes
    ----------
    roll, yaw, pitch : Tensor
        Angles of the head in radians: clockwise in the picture, towards the right of the
        picture, downwards.
    light_u, light_v : Tensor
        Where the light comes from, in head units (negative ``light_v`` is above).
    contrast, gain, warmth : Tensor
        Depth of the shading, overall brightness, tint towards orange (positive) or blue.
    smile, mouth_open, lids, gaze_u, gaze_v, brow_raise : Tensor
        Smile from -1 to 1; openness of mouth and eyes from 0 to 1; direction of the gaze.
    cloth, collar, cloth_pattern, cloth_shade : Tensor
        Quantiles in [0, 1] of the clothes' colour, collar, pattern and shade.
    """

    roll: Tensor
    yaw: Tensor
    pitch: Tensor
    light_u: Tensor
    light_v: Tensor
    contrast: Tensor
    gain: Tensor
    warmth: Tensor
    smile: Tensor
    mouth_open: Tensor
    lids: Tensor
    gaze_u: Tensor
    gaze_v: Tensor
    brow_raise: Tensor
    cloth: Tensor
    collar: Tensor
    cloth_pattern: Tensor
    cloth_shade: Tensor

    def __len__(self) -> int:
        return len(self.roll)

    def __getitem__(self, index: slice | Tensor) -> "Nuisance":
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> "Nuisance":
        """The same on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @property
    def cloth_colour(self) -> Tensor:
        """Colour of the clothes, shape ``(people, 3)``."""
        table = torch.stack(list(palette.CLOTHES_COLOURS.values()))
        return (palette.pick(table, self.cloth) * (0.86 + 0.3 * self.cloth_shade)[:, None]).clamp(
            0, 1
        )


def sample_nuisance(
    people: int,
    *,
    generator: torch.Generator,
    mood: Tensor | None = None,
    strength: float = 1.0,
) -> Nuisance:
    """Draw pose, light, expression and clothes at random.

    Parameters
    ----------
    people : int
    generator : torch.Generator
        The only source of randomness.
    mood : Tensor of shape (people,), optional
        Index into :data:`MOODS`, which narrows the smile; any smile when left out.
    strength : float, default=1.0
        Scale of pose and light; 0 looks straight ahead in plain light.

    Returns
    -------
    nuisance : Nuisance
    """

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(people, generator=generator)

    smile = between(-0.6, 1.0)
    opened = between(0.0, 1.0)
    if mood is not None:
        smile = (mood.float() - 1.0) * 0.75 + 0.15 + between(-0.15, 0.15)
    angle = between(-0.5 * math.pi - 1.2, -0.5 * math.pi + 1.2)
    return Nuisance(
        roll=strength * between(-0.24, 0.24),
        yaw=strength * between(-0.42, 0.42),
        pitch=strength * between(-0.16, 0.16),
        light_u=angle.cos(),
        light_v=angle.sin(),
        contrast=strength * between(0.25, 1.0),
        gain=1.0 + strength * between(-0.16, 0.12),
        warmth=strength * between(-0.07, 0.07),
        smile=smile,
        mouth_open=((opened - 0.45) / 0.55).clamp(0, 1) * between(0.3, 1.0),
        lids=between(0.7, 1.0),
        gaze_u=between(-0.3, 0.3),
        gaze_v=between(-0.12, 0.12),
        brow_raise=between(-0.025, 0.035),
        cloth=between(0.0, 1.0),
        collar=between(0.0, 1.0),
        cloth_pattern=between(0.0, 1.0),
        cloth_shade=between(0.0, 1.0),
    )
