"""Where the faces go, from any of the ways to say it, and the control image that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from zoo_instantfamily.masks import circle_boxes, read_regions
from zoo_instantfamily.pose import boxes_from_points, draw_circles, draw_points
from zoo_instantfamily.samples import by_sample, is_tensor

__all__ = ["Places", "canvas_size", "control_images", "read_places"]


@dataclass(frozen=True, slots=True)
class Places:
    """Regions of the faces of all samples.

    Attributes
    ----------
    boxes : list of ndarray of shape (identities, 4)
        For each sample: left, top, right, bottom in pixels.
    regions : ndarray of shape (samples, most identities, height, width)
        Share of each pixel that belongs to each identity; zero beyond a sample's own count.
    """

    boxes: list[np.ndarray]
    regions: np.ndarray


def canvas_size(
    pose: Any, *, height: int | None, width: int | None, factor: int, side: int
) -> tuple[int, int]:
    """Size of the image: as asked, or that of the pose, or the model's own.

    Parameters
    ----------
    pose : object
        The control image in any form.
    height, width : int or None
        What was asked, in pixels.
    factor : int
        Pixels per latent, of which the size must be a multiple.
    side : int
        The model's own height and width.

    Returns
    -------
    height, width : int

    Raises
    ------
    ValueError
        What was asked is no multiple.
    """
    first = pose[0] if isinstance(pose, list) and pose else pose
    natural = (side, side)
    if isinstance(first, Image.Image):
        natural = (first.height, first.width)
    elif is_tensor(first) and first.ndim >= 3:
        natural = (first.shape[-2], first.shape[-1])
    elif isinstance(first, np.ndarray) and first.ndim >= 3 and first.shape[-1] == 3:
        natural = (first.shape[-3], first.shape[-2])
    size = (
        natural[0] // factor * factor if height is None else height,
        natural[1] // factor * factor if width is None else width,
    )
    if any(length % factor or length <= 0 for length in size):
        raise ValueError(
            f"The height and width must be multiples of {factor}. Got {size[0]} and {size[1]}."
        )
    return size


def read_places(
    *,
    boxes: Any,
    masks: Any,
    pose: Any,
    counts: Sequence[int],
    size: tuple[int, int],
    margin: float,
    overlaps: str,
) -> Places:
    """Read the regions of every sample.

    Parameters
    ----------
    boxes, masks : sequence, sequence of sequences, or None
        As the pipeline takes them; without both, the pose says where the faces are.
    pose : object
        The control image in any form.
    counts : sequence of int
        Number of faces of each sample.
    size : tuple of int
        Height and width of the canvas in pixels.
    margin : float
        How much larger than its box a region is.
    overlaps : {"share", "nearest", "refuse"}
        What becomes of pixels that two regions claim.

    Returns
    -------
    Places

    Raises
    ------
    ValueError
        The regions do not fit the faces or the canvas.
    """
    samples = len(counts)
    given: dict[str, list[Any]] = {}
    if boxes is not None:
        given["boxes"] = by_sample(boxes, samples=samples, what="boxes", is_item=_is_box)
    if masks is not None:
        rows = by_sample(masks, samples=samples, what="masks", is_item=_is_mask)
        given["masks"] = [_pixels(row, size) for row in rows]
    if not given:
        points = read_points(pose, samples)
        given["boxes"] = (
            _circle_boxes(pose, counts, size)
            if points is None
            else [boxes_from_points(row) for row in points]
        )
    found, parts = [], []
    for sample, count in enumerate(counts):
        regions = read_regions(
            people=count,
            size=size,
            margin=margin,
            overlaps=overlaps,  # type: ignore[arg-type]
            **{name: rows[sample] for name, rows in given.items()},
        )
        missing = np.zeros((1, max(counts) - count, *size), dtype=regions.dtype)
        parts.append(np.concatenate([regions, missing], 1))
        found.append(
            np.asarray(given["boxes"][sample], dtype=np.float64)
            if "boxes" in given
            else _bounds(regions[0])
        )
    return Places(found, np.concatenate(parts))


def control_images(
    pose: Any,
    boxes: list[np.ndarray],
    *,
    size: tuple[int, int],
    circles: bool,
    several: bool,
) -> Any:
    """The control image of every sample.

    Parameters
    ----------
    pose : object
        A picture, five key points of each face, a list of either, ``None`` for a black canvas, or
        anything else that diffusers takes, which is handed on as it is.
    boxes : list of ndarray of shape (identities, 4)
        Boxes of the faces, by sample.
    size : tuple of int
        Height and width of the canvas in pixels.
    circles : bool
        Draw a disc in the colour of its place on each face.
    several : bool
        Whether there are several ControlNets; the pose is then handed on as it is.

    Returns
    -------
    object
        For ``image`` of the parent's call.

    Raises
    ------
    ValueError
        There are neither one picture nor one for each prompt.
    """
    height, width = size
    points = read_points(pose, len(boxes))
    pictures: list[Any]
    if several:
        return pose
    if points is not None:
        pictures = [draw_points(row, height=height, width=width) for row in points]
    elif pose is None or isinstance(pose, Image.Image):
        pictures = [pose] * len(boxes)
    elif isinstance(pose, list) and all(isinstance(item, Image.Image) for item in pose):
        pictures = pose
    else:
        return pose
    if len(pictures) != len(boxes):
        raise ValueError(
            f"The pose must be one image or one for each prompt, {len(boxes)}. Got {len(pictures)}."
        )
    if circles:
        pictures = [
            draw_circles(picture, row, height=height, width=width)
            for picture, row in zip(pictures, boxes, strict=True)
        ]
    return [
        Image.new("RGB", (width, height)) if picture is None else picture for picture in pictures
    ]


def read_points(pose: Any, samples: int) -> list[np.ndarray] | None:
    """The key points of every sample, if that is what a pose is.

    Parameters
    ----------
    pose : object
        The pose in any form.
    samples : int
        Number of samples, which share points of three axes.

    Returns
    -------
    list of ndarray of shape (identities, 5, 2), or None
    """
    if not isinstance(pose, list | np.ndarray) or len(pose) == 0:
        return None
    if isinstance(pose, list) and (isinstance(pose[0], Image.Image) or is_tensor(pose[0])):
        return None
    rows = [np.asarray(row, dtype=np.float64) for row in pose]
    if all(row.shape == (5, 2) for row in rows):
        return [np.stack(rows)] * samples
    return rows if all(row.ndim == 3 and row.shape[1:] == (5, 2) for row in rows) else None


def _is_box(row: Any) -> bool:
    return len(row) == 4 and all(np.ndim(number) == 0 for number in row)


def _is_mask(row: Any) -> bool:
    return not isinstance(row, list) and np.ndim(row) < 3


def _pixels(masks: list[Any], size: tuple[int, int]) -> np.ndarray:
    """Masks of any kind as numbers in [0, 1]."""
    read = []
    for number, mask in enumerate(masks):
        picture = mask.convert("L") if isinstance(mask, Image.Image) else mask
        array = np.asarray(picture)
        if array.ndim != 2:
            raise ValueError(
                f"masks[{number}] must have the shape (height, width). Got {array.shape}."
            )
        read.append(array / (255.0 if array.dtype == np.uint8 else 1.0))
    if len({array.shape for array in read}) > 1:
        raise ValueError(
            "The masks of one image must all have one height and width. "
            f"Got {', '.join(str(array.shape) for array in read)}."
        )
    return np.stack(read) if read else np.empty((0, *size))


def _circle_boxes(pose: Any, counts: Sequence[int], size: tuple[int, int]) -> list[np.ndarray]:
    pictures = pose if isinstance(pose, list) else [pose] * len(counts)
    if len(pictures) != len(counts) or not all(isinstance(p, Image.Image) for p in pictures):
        raise ValueError(
            "The regions of the faces must be given as boxes or masks, or by a pose with coloured "
            "discs or key points. Got none of these."
        )
    boxes = []
    for picture, count in zip(pictures, counts, strict=True):
        canvas = picture.convert("RGB").resize(size[::-1], Image.Resampling.NEAREST)
        boxes.append(circle_boxes(np.asarray(canvas) / 255, people=count))
    return boxes


def _bounds(regions: np.ndarray) -> np.ndarray:
    boxes = []
    for region in regions:
        rows, columns = np.nonzero(region > 0)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return np.array(boxes, dtype=np.float64)
