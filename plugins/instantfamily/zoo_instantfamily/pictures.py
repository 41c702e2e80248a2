"""Faces and control images as plain arrays, for drawing without torch."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["PlainFace", "control_pixels", "face_crop", "read_plain_face"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class PlainFace:
    """One face to be drawn.

    Attributes
    ----------
    pixels : ndarray of float32, shape (3, height, width), or None
        A picture of it, in [0, 1].
    vector : ndarray of shape (vector_dim,), or None
        Its embedding.
    tokens : ndarray of shape (side * side, token_dim), or None
        Its local features.
    """

    pixels: Array | None = None
    vector: Array | None = None
    tokens: Array | None = None


def read_plain_face(value: Any, where: str) -> PlainFace:
    """One face from a picture, an embedding, or a pair of embedding and local features.

    Parameters
    ----------
    value : PIL.Image.Image, ndarray, pair of ndarray, or FaceFeatures of one face
        A picture as an array has the shape (height, width, 3), of uint8 or of floats in [0, 1].
    where : str
        Its name in messages.

    Returns
    -------
    PlainFace

    Raises
    ------
    ValueError
        It is none of these.
    """
    features = sys.modules.get("zoo_instantfamily.encoders.features")
    if features is not None and isinstance(value, features.FaceFeatures) and len(value.vector) == 1:
        value = (value.vector[0].numpy(force=True), value.tokens[0].numpy(force=True))
    match value:
        case Image.Image():
            return PlainFace(pixels=_pixels(value))
        case (vector, tokens) if np.ndim(vector) == 1 and np.ndim(tokens) == 2:
            return PlainFace(
                vector=np.asarray(vector, np.float32), tokens=np.asarray(tokens, np.float32)
            )
        case np.ndarray() if value.ndim == 1 and value.dtype.kind == "f":
            return PlainFace(vector=value.astype(np.float32))
        case np.ndarray() if value.ndim == 3 and value.shape[2] == 3 and _is_picture(value):
            whole = value if value.dtype == np.uint8 else (value * 255).round().astype(np.uint8)
            return PlainFace(pixels=_pixels(Image.fromarray(whole)))
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    raise ValueError(
        f"{where} must be a picture, an embedding (a vector of floats) or a pair of embedding and "
        f"local tokens. Got a {type(value).__name__}{shape}."
    )


def _is_picture(value: Array) -> bool:
    if value.dtype == np.uint8:
        return True
    return value.dtype.kind == "f" and bool((value >= 0).all() and (value <= 1).all())


def _pixels(picture: Image.Image) -> Array:
    return np.asarray(picture.convert("RGB"), np.float32).transpose(2, 0, 1) / np.float32(255)


def face_crop(pixels: Array, side: int) -> Array:
    """The square in the middle of a picture, as `zoo_instantfamily.drawing.crop_faces` cuts it.

    Parameters
    ----------
    pixels : ndarray of shape (3, height, width)
        The picture.
    side : int
        Of the crop, in pixels.

    Returns
    -------
    ndarray of float32, shape (3, side, side)
    """
    height, width = pixels.shape[1:]
    half = min(height, width) / 2
    fine = max(1, round(half * 2 / side))
    down, across = (_sampling(length, half, side, fine) for length in (height, width))
    return np.asarray(down @ pixels.astype(np.float64) @ across.T, dtype=np.float32)


def _sampling(length: int, half: float, side: int, fine: int) -> Array:
    """Matrix (side, length): bilinear samples, each the mean of several, the edges repeated."""
    step = (np.arange(side * fine) + 0.5) / (side * fine) * 2 - 1
    place = (length / 2 + half * step - 0.5).clip(0, length - 1)
    low = np.floor(place).astype(int).clip(0, max(length - 2, 0))
    matrix = np.zeros((side * fine, length))
    row = np.arange(side * fine)
    matrix[row, low] += 1 - (place - low)
    if length > 1:
        matrix[row, low + 1] += place - low
    return matrix.reshape(side, fine, length).mean(1)


def control_pixels(images: Any, size: tuple[int, int]) -> Array:
    """Control images as an array.

    Parameters
    ----------
    images : list of PIL.Image.Image
        One for each prompt.
    size : tuple of int
        Height and width in pixels, to which the images are brought.

    Returns
    -------
    ndarray of float32, shape (images, 3, height, width)
        In [0, 1].

    Raises
    ------
    ValueError
        They are no pictures.
    """
    pictures = all(isinstance(one, Image.Image) for one in images)
    if not isinstance(images, Sequence) or not pictures:
        raise ValueError(
            "The pose of an exported pipeline must be pictures or key points. "
            f"Got a {type(images).__name__}."
        )
    return np.stack(
        [_pixels(one.convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS)) for one in images]
    )
