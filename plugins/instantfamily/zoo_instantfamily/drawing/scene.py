"""Scenes: several people in front of one background, with all that a training needs to know."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo_instantfamily.drawing import palette
from zoo_instantfamily.drawing.background import BACKGROUND_STYLES, draw_backgrounds
from zoo_instantfamily.drawing.brush import Brush
from zoo_instantfamily.drawing.control import control_image
from zoo_instantfamily.drawing.head import Head
from zoo_instantfamily.drawing.layout import arrange
from zoo_instantfamily.drawing.nuisance import MOODS, Nuisance, sample_nuisance
from zoo_instantfamily.drawing.portrait import draw_people
from zoo_instantfamily.drawing.traits import read_traits

__all__ = ["BOX_HALF", "NUMBERS", "Scenes", "caption", "compose", "draw_scenes", "face_boxes"]

BOX_HALF = 0.96
"""Half side of the square box of a face, in head units."""

_BOX_LIFT = -0.05
_SHEET = (1.4, 1.5, 1.75)  # reach of a person beside, above and below the middle of the head
NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
)  # fmt: skip


@dataclass(frozen=True)
class Scenes:
    """Drawn pictures of several people.

    Attributes
    ----------
    images : Tensor of shape (n, 3, height, width)
        In [0, 1].
    control : Tensor of shape (n, 3, height, width)
        Pose and order of the people, see :func:`~zoo_instantfamily.drawing.control_image`.
    boxes : Tensor of shape (n, people, 4)
        Square around each head: left, top, right, bottom in pixels; may leave the canvas.
    keypoints : Tensor of shape (n, people, 5, 2)
        Eyes, nose and corners of the mouth, left to right: (x, y) in pixels.
    masks : Tensor of shape (n, people, height, width)
        What is seen of each person, in [0, 1].
    visible : Tensor of shape (n, people)
        Share of each person within their box that nobody hides, in [0, 1].
    depth : Tensor of shape (n, people)
        0 is furthest back.
    identities : Tensor of shape (n, people, traits)
    codes : Tensor of shape (n, 5)
        What the captions say: people - 1, mood, clothes (0 is mixed), colour and style of the
        background.
    captions : list of str
    """

    images: Tensor
    control: Tensor
    boxes: Tensor
    keypoints: Tensor
    masks: Tensor
    visible: Tensor
    depth: Tensor
    identities: Tensor
    codes: Tensor
    captions: list[str]


def caption(code: Tensor) -> str:
    """The sentence for one row of :attr:`Scenes.codes`."""
    people, mood, clothes, colour, style = (int(c) for c in code)
    worn = ("colourful", *palette.CLOTHES_COLOURS)[clothes]
    shade = list(palette.BACKGROUND_COLOURS)[colour]
    who = "person" if people == 0 else "people"
    return (
        f"{NUMBERS[people]} {MOODS[mood]} {who} in {worn} clothes, "
        f"{shade} {BACKGROUND_STYLES[style]} background"
    )


def face_boxes(centre: Tensor, scale: Tensor, roll: Tensor) -> Tensor:
    """Square boxes (..., 4) around heads at ``centre`` (..., 2): left, top, right, bottom."""
    lift = _BOX_LIFT * scale
    x = centre[..., 0] - lift * torch.sin(roll)
    y = centre[..., 1] + lift * torch.cos(roll)
    half = BOX_HALF * scale
    return torch.stack([x - half, y - half, x + half, y + half], -1)


def _keypoints(identities: Tensor, nuisance: Nuisance, centre: Tensor, scale: Tensor) -> Tensor:
    """Key points (people, 5, 2) in pixels."""
    empty = identities.new_zeros(len(identities), 1, 1, 1)
    head = Head(Brush(empty, empty, empty, empty + 1.0), read_traits(identities), nuisance)
    level = head["eye_v"] + head["nose_v"]
    points = [
        head.project(-head["eye_u"], head["eye_v"]),
        head.project(head["eye_u"], head["eye_v"]),
        head.project(0 * level, level, depth=0.14),
        head.project(-head["mouth"], level + head["mouth_v"], depth=0.05),
        head.project(head["mouth"], level + head["mouth_v"], depth=0.05),
    ]
    u = torch.cat([p[0].flatten(1) for p in points], 1)
    v = torch.cat([p[1].flatten(1) for p in points], 1)
    cos, sin = nuisance.roll.cos()[:, None], nuisance.roll.sin()[:, None]
    turned = torch.stack([cos * u - sin * v, sin * u + cos * v], -1)
    return centre[:, None] + scale[:, None, None] * turned


def compose(sheets: Tensor, corner: Tensor, depth: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Lay people over backgrounds, from the back to the front.

    Parameters
    ----------
    sheets : Tensor of shape (n, people, 4, sheet_height, sheet_width)
        As :func:`draw_people` makes them. The last row is repeated down to the canvas's edge, so
        that nobody's body ends in the air.
    corner : Tensor of int, shape (n, people, 2)
        Canvas column and row of each sheet's first pixel.
    depth : Tensor of shape (n, people)
    images : Tensor of shape (n, 3, height, width)
        Backgrounds; not changed.

    Returns
    -------
    images : Tensor of shape (n, 3, height, width)
    layers : Tensor of shape (n, people, 2, height, width)
        Opacity of each person alone, and what is seen of them.
    """
    n, people, _, sheet_height, sheet_width = sheets.shape
    height, width = images.shape[2:]
    device = images.device
    x, y = torch.arange(width, device=device), torch.arange(height, device=device)
    order = torch.argsort(depth, 1)
    rows = torch.arange(n, device=device)
    layers = images.new_zeros(n, people, 2, height, width)
    flat = sheets.flatten(3)
    for k in range(people):
        who = order[:, k]
        at_x = x - corner[rows, who, 0][:, None]
        at_y = y - corner[rows, who, 1][:, None]
        held = ((at_x >= 0) & (at_x < sheet_width))[:, None] & (at_y >= 0)[:, :, None]
        index = at_y.clamp(0, sheet_height - 1)[:, :, None] * sheet_width
        index = (index + at_x.clamp(0, sheet_width - 1)[:, None]).flatten(1)
        layer = flat[rows, who].gather(2, index[:, None].expand(-1, 4, -1))
        layer = layer.view(n, 4, height, width) * held[:, None]
        opacity = layer[:, 3:]
        images = images * (1.0 - opacity) + layer[:, :3]
        layers[:, :, 1] *= 1.0 - opacity
        layers[rows, who] = opacity
    return images, layers


def draw_scenes(
    identities: Tensor,
    *,
    size: tuple[int, int],
    generator: torch.Generator,
    crowding: str = "apart",
    selected: Tensor | None = None,
    codes: Tensor | None = None,
) -> Scenes:
    """Draw one scene per row of identities.

    Parameters
    ----------
    identities : Tensor of shape (n, people, traits)
    size : tuple of int
        Height and width in pixels.
    generator : torch.Generator
        The only source of randomness.
    crowding : {"apart", "touching", "overlapping"}, default="apart"
    selected : Tensor of bool, shape (n, people), optional
        Who gets a circle in the control image; all by default.
    codes : Tensor of shape (n, 5), optional
        What the captions say, see :class:`Scenes`; at random by default. The number of people is
        taken from ``identities``.

    Returns
    -------
    scenes : Scenes
    """
    n, people, _ = identities.shape
    device = identities.device
    if codes is None:
        limits = (1, len(MOODS), 12, len(palette.BACKGROUND_COLOURS), len(BACKGROUND_STYLES))
        codes = torch.stack([torch.randint(m, (n,), generator=generator) for m in limits], 1)
        codes[:, 2] = (codes[:, 2] - 3).clamp(min=0)
    codes = codes.clone()
    codes[:, 0] = people - 1
    if selected is None:
        selected = torch.ones(n, people, dtype=torch.bool, device=device)
    centre, scale, depth = arrange(n, people, size=size, crowding=crowding, generator=generator)
    mood = codes[:, 1].repeat_interleave(people)
    nuisance = sample_nuisance(n * people, generator=generator, mood=mood)
    worn = codes[:, 2].repeat_interleave(people)
    uniform = (worn - 0.5) / len(palette.CLOTHES_COLOURS)
    # The light is the scene's; everybody stands in it.
    shared = {
        name: getattr(nuisance, name)[::people].repeat_interleave(people)
        for name in ("light_u", "light_v", "contrast", "gain", "warmth")
    }
    nuisance = replace(nuisance, cloth=torch.where(worn > 0, uniform, nuisance.cloth), **shared)
    centre, scale, depth = (t.to(device) for t in (centre, scale, depth))
    nuisance = nuisance.to(device)
    flat = identities.flatten(0, 1)
    beside, above, below = (float(scale.max()) * reach for reach in _SHEET)
    sheet = (int(above + below) + 2, int(2 * beside) + 2)
    corner = torch.stack(
        [(centre[..., 0] - beside).floor(), (centre[..., 1] - above).floor()], -1
    ).long()
    local = (centre - corner).flatten(0, 1)
    sheets = draw_people(flat, nuisance, local, scale.flatten(), size=sheet)
    sheets = sheets.view(n, people, 4, *sheet)
    behind = draw_backgrounds(
        codes[:, 3].to(device), codes[:, 4].to(device), size=size, generator=generator
    )
    images, layers = compose(sheets, corner, depth, behind)
    roll = nuisance.roll.view(n, people)
    boxes = face_boxes(centre, scale, roll)
    keypoints = _keypoints(flat, nuisance, centre.flatten(0, 1), scale.flatten())
    keypoints = keypoints.view(n, people, 5, 2)
    return Scenes(
        images=images.clamp(0, 1),
        control=control_image(centre, scale, roll, keypoints, selected.to(device), size=size),
        boxes=boxes,
        keypoints=keypoints,
        masks=layers[:, :, 1],
        visible=_visible(layers, boxes),
        depth=depth,
        identities=identities,
        codes=codes,
        captions=[caption(code) for code in codes],
    )


def _visible(layers: Tensor, boxes: Tensor) -> Tensor:
    height, width = layers.shape[3:]
    x = torch.arange(width, device=layers.device) + 0.5
    y = torch.arange(height, device=layers.device) + 0.5
    left, top, right, bottom = (b[..., None] for b in boxes.unbind(-1))
    across = ((x >= left) & (x <= right)).to(layers)
    down = ((y >= top) & (y <= bottom)).to(layers)
    within = torch.einsum("nplyx,npy,npx->npl", layers, down, across)
    return (within[..., 1] / within[..., 0].clamp(min=1e-6)).clamp(0, 1)
