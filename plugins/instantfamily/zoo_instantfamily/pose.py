"""The control image: who stands where, in which order.

The paper (arXiv 2404.19427, section 3.3) gives the ControlNet an OpenPose picture with a coloured
circle at the centre of each selected face: the colour says which identity it is. InstantID draws
five key points instead. Both are drawn here; `zoo_instantfamily.masks.circle_boxes` reads discs.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from zoo_instantfamily.slots import SLOTS

__all__ = ["boxes_from_points", "draw_circles", "draw_points"]

_POINT_COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
_LIMBS = ((0, 2), (1, 2), (3, 2), (4, 2))


def draw_points(
    points: Sequence[np.ndarray] | np.ndarray,
    *,
    height: int,
    width: int,
) -> Image.Image:
    """Five key points of each face on black, in the colours that InstantID's IdentityNet knows.

    Parameters
    ----------
    points : array of shape (identities, 5, 2)
        Eyes, nose and corners of the mouth, left to right: (x, y) in pixels.
    height, width : int
        Size of the canvas in pixels.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    ValueError
        The points have another shape.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 3 or array.shape[1:] != (5, 2):
        raise ValueError(
            "The points must have the shape (identities, 5, 2): eyes, nose and corners of the "
            f"mouth. Got {array.shape}."
        )
    canvas = np.zeros((height, width, 3), dtype=np.float64)
    y, x = np.mgrid[:height, :width] + 0.5
    for face in array:
        for a, b in _LIMBS:
            along = face[b] - face[a]
            span = max(float(along @ along), 1e-9)
            offset_x, offset_y = x - face[a, 0], y - face[a, 1]
            share = np.clip((offset_x * along[0] + offset_y * along[1]) / span, 0, 1)
            distance = np.hypot(offset_x - share * along[0], offset_y - share * along[1])
            canvas[distance <= 2] = np.multiply(_POINT_COLOURS[a], 0.6)
    image = Image.fromarray(np.round(canvas).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for face in array:
        for (px, py), colour in zip(face, _POINT_COLOURS, strict=True):
            pen.ellipse((px - 5, py - 5, px + 5, py + 5), fill=colour)
    return image


def draw_circles(
    image: Image.Image | None,
    boxes: Sequence[Sequence[float]] | np.ndarray,
    *,
    height: int,
    width: int,
    size: float = 0.3,
) -> Image.Image:
    """Mark each face with a disc in the colour of its place in the list.

    Parameters
    ----------
    image : PIL.Image.Image or None
        What to draw on, resized to the canvas; ``None`` is black.
    boxes : array of shape (identities, 4)
        Left, top, right, bottom in pixels of the canvas.
    height, width : int
        Size of the canvas in pixels.
    size : float, default=0.3
        Diameter of a disc as a part of the shorter side of its box.

    Returns
    -------
    PIL.Image.Image
        A new picture.
    """
    if image is None:
        result = Image.new("RGB", (width, height))
    else:
        result = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(result)
    places = np.asarray(boxes, dtype=np.float64)
    for (left, top, right, bottom), slot in zip(places, SLOTS, strict=False):
        x, y = (left + right) / 2, (top + bottom) / 2
        radius = max(size * min(right - left, bottom - top) / 2, 1.0)
        red, green, blue = (round(255 * channel) for channel in slot)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(red, green, blue))
    return result


def boxes_from_points(points: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Boxes of faces from their five key points.

    In the upright template of ArcFace, 112 pixels wide, the five points span 35 pixels; the box
    takes the template's proportions, centred on the points.

    Parameters
    ----------
    points : array of shape (identities, 5, 2)
        Eyes, nose and corners of the mouth: (x, y) in pixels.

    Returns
    -------
    ndarray of shape (identities, 4)
        Left, top, right, bottom in pixels.
    """
    array = np.asarray(points, dtype=np.float64)
    middle = array.mean(1)
    eyes, mouth = array[:, :2].mean(1), array[:, 3:].mean(1)
    # ArcFace's template: the mouth lies 40.8 pixels below the eyes, the eyes are 35.2 apart.
    down = np.linalg.norm(mouth - eyes, axis=1) / 40.8
    across = np.linalg.norm(array[:, 1] - array[:, 0], axis=1) / 35.2
    half = (56 * np.maximum(down, across))[:, None]
    return np.concatenate([middle - half, middle + half], 1)
