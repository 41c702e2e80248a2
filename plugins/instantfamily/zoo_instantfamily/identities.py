"""Faces as the user gives them, brought to one shape: a row of faces for every sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo_instantfamily.encoders.features import FaceFeatures
from zoo_instantfamily.faces import read_image

__all__ = ["Face", "by_sample", "numbers_by_sample", "read_face"]


@dataclass(frozen=True, slots=True)
class Face:
    """One face to be drawn.

    Attributes
    ----------
    image : PIL.Image.Image or None
        A picture of it.
    vector : Tensor of shape (vector_dim,) or (pictures, vector_dim), or None
        Its global embedding, or one from each of several pictures.
    tokens : Tensor of shape (side * side, token_dim) or None
        Its local features, row by row.
    """

    image: Image.Image | None = None
    vector: Tensor | None = None
    tokens: Tensor | None = None


def read_face(value: Any, where: str) -> Face:
    """One face from a picture, an embedding, or features.

    Parameters
    ----------
    value : Face, PIL.Image.Image, array, Tensor or FaceFeatures
        The face: a picture as `zoo_instantfamily.faces.read_image` takes it, an embedding of
        shape (vector_dim,), several of shape (pictures, vector_dim), or features of one face.
    where : str
        Its name in messages.

    Returns
    -------
    Face

    Raises
    ------
    ValueError
        It is none of these.
    """
    match value:
        case Face():
            return value
        case Image.Image():
            return Face(image=value.convert("RGB"))
        case FaceFeatures(vector=vector, tokens=tokens) if len(vector) == 1:
            return Face(vector=vector[0], tokens=None if tokens is None else tokens[0])
        case Tensor() | np.ndarray():
            vector = torch.as_tensor(value)
            if vector.ndim in (1, 2) and vector.is_floating_point():
                return Face(vector=vector)
            if vector.ndim == 3:
                return Face(image=_picture(read_image(value, name=where)))
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor | np.ndarray) else ""
    raise ValueError(
        f"{where} must be a picture, an embedding (a vector of floats) or the FaceFeatures of one "
        f"face. Got a {type(value).__name__}{shape}."
    )


def _picture(image: Tensor) -> Image.Image:
    pixels = (image.permute(1, 2, 0) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.cpu().numpy())


def by_sample(
    values: Any, *, samples: int, what: str, is_item: Callable[[Any], bool]
) -> list[list[Any]]:
    """A list for every sample: one list is shared by all, a list of lists is one for each.

    Parameters
    ----------
    values : sequence, or sequence of sequences
        As the user gave them.
    samples : int
        Number of prompts.
    what : str
        Name of the parameter in messages.
    is_item : callable
        Tells an item that is a list itself (a box) from a list of items.

    Returns
    -------
    list of list
        One for each prompt.

    Raises
    ------
    ValueError
        It is no list, or its length is not the number of prompts.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray | Tensor):
        raise ValueError(
            f"The {what} must be a list, one for each face. Got a {type(values).__name__}."
        )
    rows = list(values)
    nested = bool(rows) and all(_is_list(row) and not is_item(row) for row in rows)
    if not nested:
        return [rows] * samples
    if len(rows) != samples:
        raise ValueError(
            f"A list of lists as {what} must have one list for each prompt, {samples}. "
            f"Got {len(rows)}."
        )
    return [list(row) for row in rows]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray | Tensor) and not isinstance(value, str | bytes)


def numbers_by_sample(
    value: Any, *, counts: list[int], what: str, low: float, high: float
) -> list[list[float]]:
    """A number for every face of every sample.

    Parameters
    ----------
    value : float, list of float, or list of list of float
        One for all, one for each face, or one for each face of each prompt.
    counts : list of int
        Number of faces of each prompt.
    what : str
        Name of the parameter in messages.
    low, high : float
        Limits of what is allowed.

    Returns
    -------
    list of list of float

    Raises
    ------
    ValueError
        The count is wrong, or a number is outside the limits.
    """
    if isinstance(value, int | float):
        rows = [[float(value)] * count for count in counts]
    else:
        rows = by_sample(
            value, samples=len(counts), what=what, is_item=lambda row: not _is_list(row)
        )
    for row, count in zip(rows, counts, strict=True):
        if len(row) != count:
            raise ValueError(
                f"The {what} must be one number or one for each face, {count}. Got {len(row)}."
            )
        for number in row:
            if not isinstance(number, int | float) or not low <= number <= high:
                raise ValueError(
                    f"The {what} must be between {low:g} and {high:g}. Got {number!r}."
                )
    return [[float(number) for number in row] for row in rows]
