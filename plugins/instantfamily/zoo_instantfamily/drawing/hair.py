"""Hair: its silhouette behind the head, the part that falls over the face, buns, tails, beanies."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_instantfamily.drawing.brush import Brush, column, ellipse, smooth
from zoo_instantfamily.drawing.head import SKULL, Head

__all__ = ["Hair", "draw_back_hair", "draw_front_hair", "draw_headwear", "grow_hair"]


@dataclass(frozen=True)
class Hair:
    """What front and back of the hair share, each of shape ``(people, 1, height, width)``.

    Attributes
    ----------
    curls : Tensor
        Egg-crate field in [-1, 1].
    silhouette : Tensor
        Signed distance (head units) to all hair seen from the front.
    lightness : Tensor
        Factor about 1 of strands and shine.
    """

    curls: Tensor
    silhouette: Tensor
    lightness: Tensor


def grow_hair(head: Head) -> Hair:
    """Silhouette and strands of the hair on the whole canvas of ``head``."""
    curls = _curls(head.brush)
    return Hair(curls, _silhouette(head, head.brush, curls), _strands(head, head.brush, curls))


def _fade(brush: Brush, wavelength: float) -> Tensor:
    """1 where a pattern of that wavelength (head units) is resolved by the pixels, else less."""
    return smooth(wavelength / brush.pixel / 3.0 - 0.4)


def _curls(brush: Brush) -> Tensor:
    """Egg-crate field in [-1, 1]: the curls of the hair."""
    u = brush.u + 0.15 * brush.v
    return torch.sin(17.0 * u + 0.6) * torch.sin(17.0 * brush.v + 2.0 * torch.sin(6.0 * u))


def _silhouette(head: Head, brush: Brush, curls: Tensor) -> Tensor:
    turn = head.state("yaw")
    u = brush.u + 0.14 * turn * (1.0 - (brush.v + 0.3).clamp(0, 1))
    v = brush.v + 0.02
    below = (v - 0.1).clamp(0.0, 2.0)
    width = (head["width"] + head.hair("side")) * (1.0 + head.hair("flare") * below)
    top = SKULL + head.hair("top")
    wave = (
        0.045 * head.hair("wave") * head.hair("flare") * 8.0 * torch.sin(9.0 * v) * smooth(v + 0.2)
    )
    x = (u + wave) / width
    y = v.clamp(max=0.0) / top
    angle_spikes = (
        head.hair("spike")
        * (((u * 4.6 + 0.6 * v) % 1.0 - 0.5).abs() * 2.0 - 0.5)
        * smooth((-0.25 - v) * 4.0)
    )
    shape = (torch.sqrt(x * x + y * y + 1e-6) - 1.0) * torch.minimum(width, top)
    shape = shape - angle_spikes - head.hair("curl") * curls
    strip = u.abs() - torch.lerp(3.0 + 0 * u, 0.2 - 0.05 * v, head.hair("narrow"))
    end = v - head.hair("length") + 0.22 * x * x - 0.02 * torch.sin(31.0 * u)
    return torch.maximum(torch.maximum(shape, strip), end)


def _strands(head: Head, brush: Brush, curls: Tensor) -> Tensor:
    """Lightness factor of the strands, about 1, and the shine on them."""
    part = head.hair("part") * head["width"]
    flow = (brush.u - part) / (brush.v + 1.75).clamp(min=0.3)
    flow = flow + 0.03 * head.hair("wave") * torch.sin(7.0 * brush.v + 3.0 * brush.u)
    fine = 0.045 * torch.sin(73.0 * flow + 1.3) * _fade(brush, 0.10)
    broad = 0.075 * torch.sin(29.0 * flow) * _fade(brush, 0.2)
    curl = curls * 0.12 * _fade(brush, 0.2) * (head.hair("curl") * 18.0).clamp(max=1.0)
    straight = 1.0 - (head.hair("curl") * 12.0).clamp(max=0.8)
    radius = torch.sqrt((brush.u / (head["width"] + 0.1)) ** 2 + ((brush.v + 0.12) / 0.86) ** 2)
    ring = torch.exp(-(((radius - 0.80) / 0.11) ** 2)) * smooth((-0.15 - brush.v) * 3.0)
    ring = ring * (0.65 + 0.35 * torch.sin(29.0 * flow + 0.8)) * head.hair("gloss")
    side = smooth(0.5 + 0.9 * (brush.u * head.state("light_u")))
    depth = 0.80 + 0.26 * smooth(0.75 - 0.55 * brush.v)
    return (
        depth * (1.0 + (fine + broad) * straight + curl) * (0.9 + 0.12 * side) + 0.30 * ring * side
    )


def _colour(head: Head, brush: Brush, lightness: Tensor) -> Tensor:
    base = torch.cat([column(c) for c in head.traits.hair_colour.unbind(1)], 1)
    lifted = base + (lightness - 1.0).clamp(min=0.0) * 0.35
    return (lifted * lightness.clamp(max=1.15)).clamp(0, 1)


def draw_back_hair(head: Head, hair: Hair) -> None:
    """Hair behind head and shoulders, with buns and tails."""
    brush = head.brush
    mask = brush.inside(hair.silhouette) * head.hair("present")
    lightness = hair.lightness * 0.72
    colour = _colour(head, brush, lightness)
    brush.paint(colour, mask)
    bare = 1.0 - head["beanie"]
    for name, x, y, a, b in (
        ("bun", 0.0, -1.02, 0.25, 0.22),
        ("buns", 0.52, -0.86, 0.2, 0.2),
        ("buns", -0.52, -0.86, 0.2, 0.2),
        ("tails", 0.80, 0.42, 0.19, 0.56),
        ("tails", -0.80, 0.42, 0.19, 0.56),
    ):
        if not bool((head.hair(name) > 0).any()):
            continue
        part = brush.window(x - a - 0.2, x + a + 0.2, y - b - 0.2, y + b + 0.2)
        shift = -0.12 * head.state("yaw")
        distance = ellipse(part.u - x - shift, part.v - y, a, b)
        if name == "tails":
            distance = distance + 0.02 * torch.sin(14.0 * part.v)
        shaded = lightness[part.area] * 1.25 - 0.25 * smooth((part.v - y) / b * 0.6 + 0.4)
        keep = bare if name != "tails" else 1.0
        part.paint(_colour(head, part, shaded), part.inside(distance) * head.hair(name) * keep)


def _fringe(head: Head, brush: Brush, curls: Tensor) -> Tensor:
    """Signed distance to the hair over the forehead and temples: negative above the hairline."""
    u = brush.u - 0.28 * head.state("yaw")
    part = head.hair("part") * head["width"]
    x = (u - part) / head["width"]
    x2 = x * x
    teeth = ((u * 7.0 + 0.3 * brush.v) % 1.0 - 0.5).abs() * 2.0 - 0.5
    line = (
        head.hair("line")
        + 0.30 * head.state("pitch")
        + head.hair("curve") * x2
        + head.hair("steep") * x2 * x2
        + head.hair("slant") * x
        + head.hair("jag") * teeth * _fade(brush, 0.14)
        + 0.6 * head.hair("curl") * curls
    )
    return (brush.v - line) * 0.8


def draw_front_hair(head: Head, hair: Hair) -> None:
    """Hair in front of the face, and the shadow it throws on the skin."""
    part = head.brush.window(-1.3, 1.3, -1.5, 1.3)
    line = _fringe(head, part, hair.curls[part.area])
    skin = part.inside(head.outline(part)) * head.hair("present")
    shadow = (1.0 - smooth((line + 0.02) / 0.17)) * skin * 0.42
    tone = torch.tensor([0.55, 0.40, 0.42], device=part.u.device).view(1, 3, 1, 1)
    part.shade(tone, shadow)
    mask = part.inside(torch.maximum(hair.silhouette[part.area], line)) * head.hair("present")
    lightness = hair.lightness[part.area] * (0.86 + 0.14 * smooth(-line / 0.25))
    part.paint(_colour(head, part, lightness), mask)


def draw_headwear(head: Head, hair: Hair) -> None:
    """Beanie or headband."""
    part = head.brush.window(-1.2, 1.2, -1.5, -0.1)
    trim = torch.cat([column(c) for c in head.traits.trim.unbind(1)], 1)
    u = part.u - 0.10 * head.state("yaw")
    pitch = 0.3 * head.state("pitch")
    bend = 0.16 * u * u - pitch
    width, top = head["width"] + 0.13, SKULL + 0.20
    knit = 1.0 + 0.06 * torch.sin(38.0 * u / (1.0 + 0.25 * part.v)) * _fade(part, 0.17)
    if bool((head["beanie"] > 0).any()):
        cap = ellipse(u, part.v.clamp(max=-0.3) + 0.02, width, top)
        cap = torch.maximum(cap, part.v + 0.50 - bend)
        ball = ellipse(u, part.v + 1.12, 0.17, 0.16)
        side = 0.88 + 0.18 * smooth(0.5 + 0.7 * u * head.state("light_u") - 0.3 * (part.v + 0.8))
        part.paint((trim * 1.12 * side).clamp(0, 1), part.inside(ball) * head["beanie"])
        part.paint((trim * knit * side).clamp(0, 1), part.inside(cap) * head["beanie"])
        fold = torch.maximum((part.v + 0.50 - bend).abs() - 0.115, u.abs() - width * 0.95)
        part.paint((trim * 0.86 * side).clamp(0, 1), part.inside(fold - 0.01) * head["beanie"])
    if bool((head["band"] > 0).any()):
        on_top = torch.minimum(hair.silhouette[part.area], head.outline(part)) - 0.012
        band = torch.maximum((part.v + 0.62 - 0.9 * bend).abs() - 0.075, on_top)
        part.paint(trim * 0.97 + 0 * u, part.inside(band) * head["band"])
