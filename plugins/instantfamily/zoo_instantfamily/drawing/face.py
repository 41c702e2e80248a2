"""The face: ears, skin, eyes, brows, nose, mouth, beard, glasses and small marks."""

import torch
from torch import Tensor

from zoo_instantfamily.drawing.brush import Brush, capsule, ellipse, smooth
from zoo_instantfamily.drawing.head import Head

__all__ = ["draw_beard", "draw_eyes", "draw_glasses", "draw_head", "draw_mouth", "draw_nose"]


def _planes(colours: Tensor) -> Tensor:
    """Colours (people, 3) as (people, 3, 1, 1)."""
    return colours[:, :, None, None]


def _tone(brush: Brush, red: float, green: float, blue: float) -> Tensor:
    tone = torch.tensor([red, green, blue], device=brush.u.device).view(1, 3, 1, 1)
    return tone.expand(len(brush.u), 3, 1, 1)


def draw_head(head: Head) -> None:
    """Ears, skin with its light, blush, freckles, mole and the lines of age."""
    brush = head.brush
    skin = _planes(head.traits.skin)
    yaw = head.state("yaw")
    for side in (-1.0, 1.0):
        part = brush.window(0.725 * side - 0.375, 0.725 * side + 0.375, -0.4, 0.6)
        x = part.u - side * (head["width"] + 0.01) + 0.12 * yaw
        y = part.v - 0.06 + 0.2 * head.state("pitch")
        size = 0.115 * head["ear"]
        mask = part.inside(ellipse(x, y, size, 1.55 * size))
        part.paint(skin * (0.93 + 0 * part.u), mask)
        inner = part.inside(ellipse(x + 0.025 * side, y, 0.55 * size, 0.95 * size), 0.04)
        part.shade(_tone(part, 0.80, 0.66, 0.64), inner * mask * 0.8)
        ring = torch.sqrt(x * x + (y - 1.75 * size - 0.06 * head["hoop"]) ** 2 + 1e-6)
        thick = torch.where(head["hoop"] > 0, (ring - 0.085).abs() - 0.022, ring - 0.05)
        part.paint(_planes(head.traits.trim) + 0 * part.u, part.inside(thick) * head["earrings"])
    mask = brush.inside(head.outline(brush))
    brush.paint(skin * head.light(brush), mask)
    part = brush.window(-0.85, 0.85, -0.4, 0.75)
    inside = mask[part.area]
    for side in (-1.0, 1.0):
        u, v, narrow = head.project(0 * yaw + side * 0.36, 0 * yaw + 0.28)
        cheek = torch.exp(-(((part.u - u) / (0.15 * narrow)) ** 2) - ((part.v - v) / 0.115) ** 2)
        part.shade(_tone(part, 1.04, 0.66, 0.66), cheek * inside * head["blush"])
        if bool((head["freckles"] > 0).any()):
            x, y = (part.u - u) / narrow, part.v - v + 0.05
            spots = torch.sin(45.0 * x + 1.5 * torch.sin(31.0 * y)) * torch.sin(
                49.0 * y + 1.5 * torch.sin(27.0 * x)
            )
            spots = smooth((spots - 0.4) / 0.3) * torch.exp(-((x / 0.2) ** 2) - (y / 0.11) ** 2)
            part.shade(_tone(part, 0.74, 0.52, 0.42), spots * inside * head["freckles"] * 0.9)
        if bool((head["elder"] > 0).any()):
            a, b, _ = head.project(0 * yaw + side * 0.2, 0 * yaw + 0.26)
            fold = capsule(part.u - a, part.v - b, 0 * yaw + side * 0.1, 0 * yaw + 0.19, 0.008)
            part.shade(_tone(part, 0.74, 0.62, 0.60), part.inside(fold, 0.03) * head["elder"] * 0.8)
    if bool((head["mole"] > 0).any()):
        u, v, _ = head.project(head["mole_u"], head["mole_v"])
        spot = part.inside(ellipse(part.u - u, part.v - v, 0.032, 0.032))
        part.shade(_tone(part, 0.36, 0.24, 0.22), spot * inside * head["mole"])


def draw_eyes(head: Head) -> None:
    """Sclera, iris with pupil and catch light, lids, lashes and brows."""
    lid = head.traits.skin * head.traits.skin.new_tensor([0.62, 0.50, 0.50])
    dark = torch.cat([torch.minimum(lid * 0.55, lid.new_tensor(0.3))], 1)
    brow = head.traits.hair_colour * 0.62 + head.traits.skin * 0.08
    brow = torch.where((head.traits.hair["present"] > 0)[:, None], brow, lid * 0.7)
    size, tilt = head["eye"], head["eye_tilt"]
    for side in (-1.0, 1.0):
        u, v, narrow = head.project(side * head["eye_u"], head["eye_v"])
        part = head.brush.window(0.285 * side - 0.635, 0.285 * side + 0.635, -0.62, 0.38)
        x, y = (part.u - u) / narrow, part.v - v
        out = side * x
        y = y + tilt * out * 0.55
        half = 1.28 * size
        t = (x / half) ** 2
        opened = (
            head["eye_open"] * head.state("lids") * (1.0 - 0.22 * head.state("smile").clamp(0, 1))
        )
        upper = y + size * opened * (1.0 - t)
        lower = size * (0.72 * opened + 0.08) * (1.0 - t) - y
        slope = 0.72
        shape = torch.maximum(-upper, -lower) * slope
        socket = part.inside(ellipse(x, y + 0.03, 1.75 * size, 1.35 * size), 0.16)
        part.shade(_tone(part, 0.84, 0.72, 0.72), socket * 0.55)
        white = part.inside(shape)
        part.paint(_tone(part, 0.965, 0.955, 0.94) + 0 * x, white)
        a = x - head.state("gaze_u") * size * 0.9
        b = y - head.state("gaze_v") * size + 0.06 * size
        radius = torch.sqrt(a * a + b * b + 1e-7)
        iris_size = 0.66 * size
        iris = part.inside(radius - iris_size) * white
        ramp = _planes(head.traits.iris) * (1.25 - 0.55 * smooth(0.5 - 0.5 * b / iris_size))
        edge = 1.0 - 0.5 * smooth((radius / iris_size - 0.72) / 0.28)
        part.paint((ramp * edge).clamp(0, 1), iris)
        part.paint(_tone(part, 0.06, 0.05, 0.07), part.inside(radius - 0.36 * iris_size) * iris)
        shade = (1.0 - smooth(upper / (0.55 * size))) * white
        part.shade(_tone(part, 0.60, 0.56, 0.62), shade * 0.75)
        spark = ellipse(a + 0.24 * size, b + 0.26 * size, 0.19 * size, 0.19 * size)
        part.paint(_tone(part, 1.0, 1.0, 1.0), part.inside(spark) * iris)
        line = (upper.abs() - 0.019 - 0.016 * head["lashes"]) * slope
        line = torch.maximum(line, x.abs() - half * (1.05 + 0.02 * head["lashes"]))
        part.paint(_planes(dark), part.inside(line))
        under = torch.maximum((lower.abs() - 0.006) * slope, x.abs() - half * 0.9)
        part.shade(_tone(part, 0.62, 0.48, 0.48), part.inside(under) * 0.6)
        if bool((head["lashes"] > 0).any()):
            wing = capsule(out - 0.92 * half, y + 0.02, 0.42 * size, -0.42 * size, 0.018)
            part.paint(_planes(dark), part.inside(wing) * head["lashes"])
        crease = torch.maximum(
            ((y + size * (opened + 0.30) * (1.0 - 0.8 * t)).abs() - 0.004) * slope, x.abs() - half
        )
        part.shade(
            _planes(dark / head.traits.skin.clamp(min=0.05)), part.inside(crease, 0.012) * 0.5
        )
        _draw_brow(head, part, side, _planes(brow))


def _draw_brow(head: Head, part: Brush, side: float, colour: Tensor) -> None:
    raised = head["eye_v"] - head["brow_v"] - 0.35 * (head["eye"] - 0.12) - head.state("brow_raise")
    u, v, narrow = head.project(side * (head["eye_u"] + 0.015), raised)
    x = (part.u - u) / narrow * side
    half = 0.205
    t = x / half
    sad = 0.12 * (-head.state("smile")).clamp(0, 1)
    curve = head["brow_arch"] * (1.0 - t * t) - (head["brow_slope"] * 0.5 - sad) * x - 0.03 * t * t
    thick = head["brow"] * (1.0 - 0.42 * t - 0.35 * t * t).clamp(min=0.1)
    shape = torch.maximum((part.v - v + curve).abs() - thick, x.abs() - half)
    part.paint(colour, part.inside(shape * 0.9, 0.008))


def draw_nose(head: Head) -> None:
    """Shaded side, wings with nostrils, a light on the tip."""
    part = head.brush.window(-0.55, 0.55, -0.4, 0.65)
    size = head["nose"]
    zero = 0 * size
    u, v, _ = head.project(zero, head["eye_v"] + head["nose_v"], depth=0.14)
    root, high, _ = head.project(zero, head["eye_v"] - 0.06, depth=0.02)
    side = torch.where(head.state("light_u") > 0, -1.0, 1.0)
    bridge = capsule(
        part.u - root - side * 0.05, part.v - high, u - root + side * 0.25 * size, v - high, 0.022
    )
    part.shade(_tone(part, 0.76, 0.62, 0.60), part.inside(bridge, 0.07) * 0.6)
    tip = head["nose_tip"]
    ball = ellipse(part.u - u, part.v - v, (0.55 + 0.25 * tip) * size + 0.02, 0.055 + 0.03 * tip)
    under = part.inside(ellipse(part.u - u, part.v - v - 0.045, size + 0.02, 0.05), 0.05)
    part.shade(_tone(part, 0.70, 0.54, 0.52), under * 0.75)
    base = _planes(head.traits.skin) * _tone(part, 0.99, 0.90, 0.88)
    for wing in (-1.0, 1.0):
        shape = ellipse(part.u - u - wing * 0.72 * size, part.v - v - 0.012, 0.42 * size, 0.048)
        part.paint(base * (0.93 + 0 * part.u), part.inside(shape, 0.012))
    part.paint(base * (1.02 + 0 * part.u), part.inside(ball, 0.03) * 0.9)
    for wing in (-1.0, 1.0):
        hole = ellipse(part.u - u - wing * 0.5 * size, part.v - v - 0.042, 0.26 * size, 0.018)
        part.shade(_tone(part, 0.36, 0.22, 0.22), part.inside(hole, 0.012) * 0.9)
    glint = ellipse(part.u - u + side * 0.25 * size, part.v - v + 0.03, 0.028, 0.022)
    part.canvas[:, :3].add_(part.inside(glint, 0.04) * 0.16 * part.canvas[:, 3:])


def draw_mouth(head: Head) -> None:
    """Lips, and between them teeth and tongue."""
    part = head.brush.window(-0.6, 0.6, 0.1, 0.9)
    width = head["mouth"] * (1.0 + 0.14 * head.state("smile").clamp(0, 1))
    level = head["eye_v"] + head["nose_v"] + head["mouth_v"]
    u, v, narrow = head.project(0 * width, level, depth=0.05)
    x = (part.u - u) / narrow
    t = x / width
    bend = head.state("smile") * 0.095 * (t * t - 0.35)
    y = part.v - v + bend
    inside = (1.0 - t * t).clamp(min=0.0)
    gap = 0.085 * head.state("mouth_open") * inside
    lips = head["lips"]
    bow = 1.0 - 0.30 * torch.exp(-((t / 0.16) ** 2))
    top = gap * 0.45 + lips * 0.85 * inside * bow
    bottom = gap * 0.75 + lips * 1.25 * inside.sqrt() * inside
    shape = torch.maximum(torch.maximum(-y - top, y - bottom) * 0.85, x.abs() - width)
    under = part.inside(ellipse(x, y - gap * 0.75 - lips * 1.25 - 0.055, 0.6 * width, 0.03), 0.07)
    part.shade(_tone(part, 0.74, 0.60, 0.58), under * 0.55)
    mask = part.inside(shape)
    lip = _planes(head.traits.lip)
    light = 0.86 + 0.22 * smooth(0.5 + y / (2.2 * lips + 0.02))
    part.paint((lip * light).clamp(0, 1), mask)
    gloss = ellipse(x - 0.02, y - gap * 0.75 - lips * 0.55, 0.30 * width, 0.30 * lips)
    part.canvas[:, :3].add_(part.inside(gloss, 0.03) * mask * 0.14)
    hole = torch.maximum(torch.maximum(-y - gap * 0.45, y - gap * 0.75) * 0.85, x.abs() - width)
    opening = part.inside(hole) * (head.state("mouth_open") > 0.02)
    part.paint(_tone(part, 0.30, 0.09, 0.11) + 0 * x, opening)
    tongue = ellipse(x, y - gap * 0.75 - 0.01, 0.55 * width, 0.035)
    part.paint(_tone(part, 0.80, 0.38, 0.40), part.inside(tongue, 0.01) * opening)
    teeth = (y + gap * 0.45 - 0.042).clamp(min=-1.0)
    part.paint(_tone(part, 0.97, 0.96, 0.93), part.inside(torch.maximum(teeth, hole)) * opening)
    corner = torch.maximum((y - 0.004).abs() - 0.009, x.abs() - width * 1.04)
    part.shade(_tone(part, 0.48, 0.28, 0.30), part.inside(corner, 0.008) * (1.0 - opening) * 0.9)


def draw_beard(head: Head) -> None:
    """Beard, goatee, stubble and moustache, in a shade of the hair."""
    if not bool((head["beard"] + head["stubble"] + head["moustache"] > 0).any()):
        return
    part = head.brush.window(-0.9, 0.9, -0.1, 1.25)
    level = head["eye_v"] + head["nose_v"] + head["mouth_v"]
    u, v, narrow = head.project(0 * level, level, depth=0.05)
    x, y = (part.u - u) / narrow, part.v - v
    hair = _planes(head.traits.hair_colour * 0.8 + head.traits.skin * 0.06)
    grain = 1.0 + 0.10 * torch.sin(60.0 * part.u + 9.0 * part.v) * smooth(
        0.1 / part.pixel / 3 - 0.4
    )
    grain = grain * (0.84 + 0.22 * smooth(0.5 - 0.8 * (part.v - 0.6)))
    low = smooth((part.v - 0.15) / 0.5)
    grown = head.outline(part) - (0.02 + head["beard_length"] * low) * head["beard"]
    cheek = head["eye_v"] + 0.50 - 1.15 * (part.u - 0.5 * head.state("yaw")) ** 2
    edge = torch.maximum(grown, cheek - part.v)
    clear = ellipse(x, y - 0.01, head["mouth"] * 1.12, 0.085 + 0.03 * head.state("mouth_open"))
    edge = torch.maximum(edge, -clear)
    tuft = ellipse(x, y - 0.12, head["mouth"] * 0.95, 0.24 + 0.6 * head["beard_length"])
    edge = torch.lerp(edge, torch.maximum(tuft, torch.maximum(-clear, -0.03 - y)), head["goatee"])
    part.paint((hair * grain).clamp(0, 1), part.inside(edge, 0.02) * head["beard"])
    part.shade(_tone(part, 0.74, 0.70, 0.74), part.inside(edge, 0.12) * head["stubble"] * 0.8)
    curl = head["moustache_curl"]
    t = x / (head["mouth"] * (1.0 + 0.35 * curl))
    sag = 0.055 * t * t - 0.085 * curl * (t * t) ** 2
    thick = 0.052 * (1.05 - t * t).clamp(min=0.0) * (0.75 + 0.25 * (t.abs() * 4).clamp(max=1.0))
    whisker = torch.maximum((y + 0.092 - sag).abs() - thick - 0.004, t.abs() - 1.05)
    part.paint((hair * grain * 1.06).clamp(0, 1), part.inside(whisker, 0.012) * head["moustache"])


def draw_glasses(head: Head) -> None:
    """Frames round, square or winged, with a little glare."""
    if not bool((head["glasses"] > 0).any()):
        return
    part = head.brush.window(-0.95, 0.95, -0.5, 0.5)
    frame = _planes(head.traits.frame)
    on = head["glasses"]
    shape = head["glasses_shape"]
    square, winged = (shape > 0.4).float(), (shape > 0.75).float()
    radius = 0.21 + 0.03 * torch.sin(40.0 * shape)
    edges = []
    for side in (-1.0, 1.0):
        u, v, narrow = head.project(
            side * (head["eye_u"] + 0.01), head["eye_v"] + 0.015, depth=0.06
        )
        x, y = (part.u - u) / narrow, part.v - v
        y = y + winged * 0.28 * (side * x).clamp(min=0.0)
        a, b = x.abs() / radius, y.abs() / (radius * (1.0 - 0.22 * square))
        circle = torch.sqrt(a * a + b * b + 1e-6)
        box = torch.sqrt(torch.sqrt((a * a) ** 2 + (b * b) ** 2 + 1e-6))
        rim = (torch.lerp(circle, box, square) - 1.0) * radius
        lens = part.inside(rim)
        glare = torch.maximum((x + y + 0.05).abs() - 0.045, rim + 0.03)
        part.canvas[:, :3].lerp_(part.canvas[:, 3:], (lens * 0.07 + part.inside(glare) * 0.16) * on)
        part.paint(frame, part.inside(rim.abs() - 0.024) * on)
        edges.append((u, v, narrow))
        arm = capsule(
            part.u - u - side * radius * narrow,
            part.v - v + 0.04,
            side * (head["width"] + 0.02) - 0.3 * head.state("yaw") - u - side * radius * narrow,
            0 * u - 0.01,
            0.018,
        )
        part.paint(frame * 0.85, part.inside(arm) * on)
    (u1, v1, n1), (u2, v2, n2) = edges
    start = u1 + radius * n1
    bridge = capsule(part.u - start, part.v - v1 + 0.03, u2 - radius * n2 - start, v2 - v1, 0.02)
    part.paint(frame, part.inside(bridge) * on)
