"""Regions: from boxes or masks in pixels to one mask per identity at each latent resolution.

Plain numpy, so that drawing through onnxruntime uses the same code.
"""

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from zoo_instantfamily.slots import MOST_PEOPLE, SLOTS

__all__ = [
    "MARGIN",
    "Overlaps",
    "box_masks",
    "circle_boxes",
    "latent_mask",
    "layout_masks",
    "level_masks",
    "read_regions",
]

MARGIN = 0.25
"""How much larger than the face box its mask is (the paper, section 3.2)."""

Overlaps = Literal["share", "nearest", "refuse"]
"""What becomes of pixels that two regions claim."""

Array = npt.NDArray[np.float32]

_SAME_REGION = 0.9


def read_regions(
    *,
    people: int,
    size: tuple[int, int],
    boxes: npt.ArrayLike | None = None,
    masks: npt.ArrayLike | None = None,
    batch: int = 1,
    margin: float = MARGIN,
    overlaps: Overlaps = "share",
) -> Array:
    """Turn what a user says about places into one mask per identity.

    Parameters
    ----------
    people : int
        Number of faces, 1 to 16.
    size : tuple of int
        Height and width of the canvas in pixels.
    boxes : array-like of shape (people, 4) or (batch, people, 4), optional
        Left, top, right, bottom in pixels. Exactly one of ``boxes`` and ``masks`` is given.
    masks : array-like of shape (people, h, w) or (batch, people, h, w), optional
        Values in [0, 1] (or bool), of any resolution; stretched to the canvas.
    batch : int, default=1
        Number of pictures. Regions without a batch axis hold for all of them.
    margin : float, default=0.25
        How much larger than its box a region is. Masks are taken as they are.
    overlaps : {"share", "nearest", "refuse"}, default="share"
        Pixels that two regions claim belong to both, to the one whose middle is nearer (in units
        of its own size), or are an error.

    Returns
    -------
    regions : ndarray of float32, shape (batch, people, height, width)
        Share of each pixel that belongs to each identity, in [0, 1].

    Raises
    ------
    ValueError
        If the counts differ, a region is empty, turned around or off the canvas, or two regions
        are the same.
    """
    if not 1 <= people <= MOST_PEOPLE:
        raise ValueError(f"faces must be 1 to {MOST_PEOPLE} per picture, got {people}.")
    if (boxes is None) == (masks is None):
        came = "neither" if boxes is None else "both"
        raise ValueError(f"exactly one of boxes and masks must say where the faces go, got {came}.")
    if overlaps not in ("share", "nearest", "refuse"):
        raise ValueError(f"overlaps must be 'share', 'nearest' or 'refuse', got {overlaps!r}.")
    if boxes is not None:
        if not margin >= 0.0:
            raise ValueError(f"margin of the boxes must be at least 0, got {margin}.")
        regions = box_masks(_read_boxes(boxes, people, batch, size), size=size, margin=margin)
    else:
        regions = _read_masks(cast(npt.ArrayLike, masks), people, batch, size)
    _refuse_twins(regions, "boxes" if boxes is not None else "masks")
    if overlaps == "share":
        return regions
    claimed = np.asarray((regions > 0.5).sum(1) > 1)
    if overlaps == "refuse":
        if claimed.any():
            sample = int(np.argwhere(claimed)[0, 0])
            raise ValueError(
                f"regions of picture {sample} overlap on {int(claimed[sample].sum())} pixels, "
                "which overlaps='refuse' does not allow; 'share' and 'nearest' do."
            )
        return regions
    return _give_to_nearest(regions, claimed)


def box_masks(boxes: npt.ArrayLike, *, size: tuple[int, int], margin: float = MARGIN) -> Array:
    """Exact pixel coverage of boxes, enlarged by ``margin`` about their middles.

    Parameters
    ----------
    boxes : array-like of shape (..., 4)
        Left, top, right, bottom in pixels.
    size : tuple of int
        Height and width in pixels.
    margin : float, default=0.25

    Returns
    -------
    masks : ndarray of float32, shape (..., height, width)
        In [0, 1]; a fraction on pixels that an edge crosses.
    """
    box = np.asarray(boxes, np.float64)
    middle = (box[..., :2] + box[..., 2:]) / 2
    half = (box[..., 2:] - box[..., :2]) / 2 * (1.0 + margin)
    across = _overlap(middle[..., 0] - half[..., 0], middle[..., 0] + half[..., 0], size[1])
    down = _overlap(middle[..., 1] - half[..., 1], middle[..., 1] + half[..., 1], size[0])
    return (down[..., :, None] * across[..., None, :]).astype(np.float32)


def latent_mask(regions: Array, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Regions at a coarser resolution, none of them ever empty.

    A cell belongs to a region that covers at least half of it; a region that covers half of no
    cell gets the one it covers most.

    Parameters
    ----------
    regions : ndarray of shape (batch, people, height, width)
        In [0, 1], as :func:`read_regions` makes them.
    shape : tuple of int
        Height and width of the latent.

    Returns
    -------
    masks : ndarray of bool, shape (batch, people, *shape)
    """
    down, across = (_resample(regions.shape[i], shape[i - 2]) for i in (2, 3))
    covered = down @ regions.astype(np.float64) @ across.T
    flat = covered.reshape(*covered.shape[:2], -1)
    # Ties at exactly half must not hang on rounding.
    masks = np.asarray(flat >= 0.5 - 1e-6)
    best = flat.argmax(-1)
    lost = ~masks.any(-1, keepdims=True)
    at_best = np.take_along_axis(masks, best[..., None], -1)
    np.put_along_axis(masks, best[..., None], at_best | lost, -1)
    return masks.reshape(covered.shape)


def level_masks(regions: Array, shapes: Sequence[tuple[int, int]]) -> list[npt.NDArray[np.bool_]]:
    """:func:`latent_mask` for each resolution of a network, finest to coarsest or any order."""
    return [latent_mask(regions, shape) for shape in shapes]


def circle_boxes(control: npt.ArrayLike, *, people: int) -> npt.NDArray[np.float64]:
    """Find the face boxes in a control image by its coloured circles.

    Parameters
    ----------
    control : array-like of shape (height, width, 3)
        In [0, 1], as the drawn faces' control images are.
    people : int
        Circles to look for: the first so many colours.

    Returns
    -------
    boxes : ndarray of shape (people, 4)
        Left, top, right, bottom in pixels.

    Raises
    ------
    ValueError
        If a circle is missing.
    """
    boxes = np.empty((people, 4))
    for k, mask in enumerate(_by_colour(control, people, "control")):
        y, x = np.nonzero(mask)
        # The spread of a disc is half its radius along each axis, and white points may cover
        # part of it, so the spread is steadier than the extent.
        radius = x.std() + y.std()
        middle = np.array([x.mean() + 0.5, y.mean() + 0.5 - 0.17 / 0.3 * radius])
        boxes[k] = np.concatenate([middle - 0.96 / 0.3 * radius, middle + 0.96 / 0.3 * radius])
    return boxes


def layout_masks(layout: npt.ArrayLike, *, people: int) -> Array:
    """Read a layout image, in which each person's region is painted in their colour.

    Parameters
    ----------
    layout : array-like of shape (height, width, 3)
        In [0, 1]. Pixels near one of the first ``people`` colours of
        :data:`~zoo_instantfamily.slots.SLOTS` belong to that person, all others to nobody.
    people : int

    Returns
    -------
    masks : ndarray of float32, shape (people, height, width)

    Raises
    ------
    ValueError
        If a colour is missing.
    """
    return np.stack(_by_colour(layout, people, "layout")).astype(np.float32)


def _by_colour(image: npt.ArrayLike, people: int, name: str) -> list[npt.NDArray[np.bool_]]:
    pixels = np.asarray(image, np.float64)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"{name} image must have the shape (height, width, 3), got {pixels.shape}."
        )
    distance = np.stack([np.abs(pixels - colour).max(-1) for colour in SLOTS])
    nearest, close = distance.argmin(0), distance.min(0) < 0.18
    found = [(nearest == k) & close for k in range(people)]
    for k, mask in enumerate(found):
        if not mask.any():
            red, green, blue = (round(255 * c) for c in SLOTS[k])
            raise ValueError(
                f"{name} image must show every face, but the colour of face {k} "
                f"(#{red:02x}{green:02x}{blue:02x}) is not in it."
            )
    return found


def _read_boxes(
    boxes: npt.ArrayLike, people: int, batch: int, size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    try:
        box = np.asarray(boxes, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("boxes must be rows of left, top, right, bottom.") from error
    box = _with_batch(box, people, batch, "boxes", "box", "4", 2)
    if box.shape[-1] != 4:
        raise ValueError(
            f"boxes must have four numbers each (left, top, right, bottom), got {box.shape[-1]}."
        )
    height, width = size
    left, top, right, bottom = np.moveaxis(box, -1, 0)
    for wrong, what in (
        (~np.isfinite(box).all(-1), "must hold finite numbers"),
        (
            (right <= left) | (bottom <= top),
            "must have left below right and top below bottom",
        ),
        (
            (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height),
            f"must touch the canvas of {width} x {height} pixels",
        ),
    ):
        if wrong.any():
            sample, k = (int(i) for i in np.argwhere(wrong)[0])
            came = tuple(float(value) for value in box[sample, k])
            raise ValueError(f"boxes[{k}] of picture {sample} {what}, got {came}.")
    return box


def _read_masks(masks: npt.ArrayLike, people: int, batch: int, size: tuple[int, int]) -> Array:
    try:
        mask = np.asarray(masks, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("masks must be numbers in [0, 1], all of one height and width.") from error
    mask = _with_batch(mask, people, batch, "masks", "mask", "height, width", 3)
    if not (np.isfinite(mask).all() and mask.min() >= 0.0 and mask.max() <= 1.0):
        raise ValueError("masks must be numbers in [0, 1], and some are outside or missing.")
    down, across = (_resample(mask.shape[i], size[i - 2]) for i in (2, 3))
    regions = down @ mask @ across.T
    empty = ~(regions > 0.0).any((2, 3))
    if empty.any():
        sample, k = (int(i) for i in np.argwhere(empty)[0])
        raise ValueError(f"masks[{k}] of picture {sample} must mark at least one pixel, got none.")
    return regions.astype(np.float32)


def _with_batch(
    values: npt.NDArray[np.float64],
    people: int,
    batch: int,
    name: str,
    one: str,
    axes: str,
    single: int,
) -> npt.NDArray[np.float64]:
    if values.ndim not in (single, single + 1):
        raise ValueError(
            f"{name} must have the shape (people, {axes}) or (batch, people, {axes}), "
            f"got {values.shape}."
        )
    if values.ndim == single:
        values = np.broadcast_to(values, (batch, *values.shape))
    if values.shape[0] != batch:
        raise ValueError(
            f"{name} must be given once or for each of the {batch} pictures, got {values.shape[0]}."
        )
    if values.shape[1] != people:
        raise ValueError(
            f"{name} must hold one {one} per face: {people} faces came with {values.shape[1]}."
        )
    return values


def _refuse_twins(regions: Array, name: str) -> None:
    flat = regions.reshape(*regions.shape[:2], -1).astype(np.float64)
    shared = flat @ flat.transpose(0, 2, 1)
    own = np.einsum("bpp->bp", shared)
    united = own[:, :, None] + own[:, None, :] - shared
    twins = np.triu(shared > _SAME_REGION * united, 1)
    if twins.any():
        sample, k, m = (int(i) for i in np.argwhere(twins)[0])
        raise ValueError(
            f"{name}[{k}] and {name}[{m}] of picture {sample} must be different places, "
            "but they are almost the same one."
        )


def _give_to_nearest(regions: Array, claimed: npt.NDArray[np.bool_]) -> Array:
    height, width = regions.shape[2:]
    y, x = np.mgrid[:height, :width]
    weight = regions.sum((2, 3))
    middle_y = (regions * y).sum((2, 3)) / weight
    middle_x = (regions * x).sum((2, 3)) / weight
    distance = (y - middle_y[..., None, None]) ** 2 + (x - middle_x[..., None, None]) ** 2
    distance = distance / weight[..., None, None]
    distance = np.where(regions > 0.5, distance, np.inf)
    owner = distance.argmin(1)[:, None] == np.arange(regions.shape[1])[None, :, None, None]
    return np.where(claimed[:, None] & ~owner, np.float32(0), regions).astype(np.float32)


def _overlap(
    start: npt.NDArray[np.float64], stop: npt.NDArray[np.float64], cells: int
) -> npt.NDArray[np.float64]:
    """Share of each unit cell [i, i + 1) within [start, stop]: shape (..., cells)."""
    edge = np.arange(cells, dtype=np.float64)
    inside = np.minimum(stop[..., None], edge + 1) - np.maximum(start[..., None], edge)
    return inside.clip(0.0, 1.0)


def _resample(source: int, target: int) -> npt.NDArray[np.float64]:
    """Matrix (target, source) that averages ``source`` cells over ``target`` equal parts."""
    edge = np.arange(target, dtype=np.float64) * source / target
    part = source / target
    return _overlap(edge, edge + part, source) / part
