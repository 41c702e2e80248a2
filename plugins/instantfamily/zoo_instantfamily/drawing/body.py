"""Neck, shoulders and clothes."""

import torch

from zoo_instantfamily.drawing.brush import ellipse, smooth
from zoo_instantfamily.drawing.head import Head

__all__ = ["draw_body"]


def draw_body(head: Head) -> None:
    """Draw neck and clothes upright below the head.

    The body does not roll with the head: its frame hangs from the neck.
    """
    brush = head.brush
    roll = head.state("roll")
    cos, sin = torch.cos(roll), torch.sin(roll)
    # Back to the upright frame of the picture, hung at the neck.
    u = cos * brush.u - sin * brush.v + 0.5 * sin
    v = sin * brush.u + cos * brush.v + 0.5 * (1.0 - cos)
    skin = head.traits.skin[:, :, None, None]
    neck_width = 0.27 + 0.12 * (head["width"] - 0.545) / 0.135
    neck = torch.maximum(u.abs() - neck_width - 0.10 * smooth((v - 0.8) / 0.5), (v - 1.35))
    neck = torch.maximum(neck, 0.3 - v)
    shadow = smooth((1.06 - v) / 0.32)
    tone = u.new_tensor([0.62, 0.48, 0.50]).view(1, 3, 1, 1)
    brush.paint(skin * (0.95 * (1.0 - shadow) + 0.95 * tone * shadow), brush.inside(neck))

    cloth = head.nuisance.cloth_colour[:, :, None, None]
    collar = head.state("collar")
    pattern = head.state("cloth_pattern")
    span = 1.06
    x = u.abs() / span
    shoulder = 1.02 + 0.16 * x + 0.55 * (x * x) ** 2
    torso = torch.maximum((shoulder - v) * 0.9, (u.abs() - span) * 0.9)
    depth = 0.20 + 0.16 * (collar > 0.6)
    sharp = (collar > 0.6).float() * (collar < 0.8)
    scoop = torch.lerp(
        ellipse(u, v - 0.98, neck_width + 0.07, depth),
        (u.abs() * 1.3 + v - 1.42) * 0.6,
        sharp,
    )
    turtle = (collar < 0.2).float()
    scoop = torch.lerp(scoop, 0.5 + 0 * scoop, turtle)
    body = torch.maximum(torso, -scoop)
    shade = 1.04 - 0.22 * smooth((v - 1.05) / 0.7) - 0.20 * x**3
    shade = shade * (1.0 + 0.10 * u * head.state("light_u"))
    stripes = smooth((((v * 5.0) % 1.0 - 0.5).abs() - 0.22) / 0.06) * (pattern > 0.78)
    dots = (((u * 4.5) % 1.0 - 0.5) ** 2 + ((v * 4.5) % 1.0 - 0.5) ** 2 < 0.05).float()
    dots = dots * (pattern < 0.12)
    fine = smooth(0.2 / brush.pixel / 3.0 - 0.4)
    pale = cloth + (0.93 - cloth) * 0.62
    fabric = torch.lerp(cloth * shade, pale * shade, (stripes + dots) * fine)
    brush.paint(fabric.clamp(0, 1), brush.inside(body))
    rim = torch.maximum((scoop - 0.03).abs() - 0.03, torso)
    brush.shade(u.new_tensor([0.80, 0.80, 0.83]).view(1, 3, 1, 1), brush.inside(rim) * (1 - turtle))
    roll_neck = torch.maximum(u.abs() - neck_width - 0.05, (v - 1.0).abs() - 0.13)
    knit = cloth * (0.98 + 0.06 * torch.sin(48.0 * u) * fine) * (1.02 - 0.3 * x)
    brush.paint(knit.clamp(0, 1), brush.inside(roll_neck, 0.02) * turtle)
    shirt = (collar > 0.8).float()
    for side in (-1.0, 1.0):
        x = side * u - neck_width
        outer = 0.8 * (x - 0.22) + 0.6 * (v - 1.1)
        inner = -0.9 * (x + 0.02) - 0.45 * (v - 1.0)
        top = -0.75 * (v - 0.93) + 0.55 * x
        flap = torch.maximum(torch.maximum(outer, inner), top)
        flap_light = 0.94 + 0.08 * smooth(0.5 - 2.0 * x)
        brush.paint((pale * flap_light).clamp(0, 1), brush.inside(flap) * shirt)
        brush.shade(
            u.new_tensor([0.72, 0.70, 0.74]).view(1, 3, 1, 1),
            brush.inside(flap.abs() - 0.006, 0.02) * shirt * 0.6,
        )
