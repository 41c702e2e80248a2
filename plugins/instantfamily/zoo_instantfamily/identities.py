"""A face as the user gives it: a picture, an embedding, or features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo_instantfamily.encoders.features import FaceFeatures
from zoo_instantfamily.faces import read_image

__all__ = ["Face", "read_face"]


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
