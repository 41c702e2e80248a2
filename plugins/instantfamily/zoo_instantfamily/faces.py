"""Faces: from what a user passes to the features that the generator is given.

A detector says where faces are, a recogniser says whose they are; :class:`FaceReader` puts one of
each together. The drawn-face pair ships with the plugin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from zoo_instantfamily.drawing import CROP_MARGIN, crop_faces
from zoo_instantfamily.encoders import DrawnFaceEncoder, FaceFeatures, load_encoder

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "DetectedFace",
    "DrawnRecogniser",
    "FaceDetector",
    "FaceReader",
    "FaceRecogniser",
    "WholeFrame",
    "read_image",
]


@dataclass(frozen=True)
class DetectedFace:
    """One face in a picture.

    Attributes
    ----------
    box : tuple of float
        Left, top, right, bottom in pixels.
    score : float
        Confidence in [0, 1].
    keypoints : Tensor of shape (5, 2), optional
        Eyes, nose, corners of the mouth: (x, y) in pixels.
    """

    box: tuple[float, float, float, float]
    score: float = 1.0
    keypoints: Tensor | None = None

    @property
    def area(self) -> float:
        """Size of the box in square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


@runtime_checkable
class FaceDetector(Protocol):
    """Finds faces."""

    licence: str
    """Under which the weights may be used."""

    def detect(self, image: Tensor) -> list[DetectedFace]:
        """Faces in an image (3, height, width) in [0, 1], in any order; possibly none."""
        ...


@runtime_checkable
class FaceRecogniser(Protocol):
    """Describes faces."""

    licence: str
    """Under which the weights may be used."""
    vector_dim: int
    token_dim: int
    side: int
    """Tokens along one side of the local map."""

    def embed(self, images: Tensor, faces: Sequence[DetectedFace]) -> FaceFeatures:
        """Features of one face in each of some images (3, height, width) of equal size."""
        ...


class WholeFrame:
    """Detector for pictures that show one face, framed as the drawn portraits are.

    The box is the largest centred square, less the margin of a crop.
    """

    licence = "Apache-2.0"

    def detect(self, image: Tensor) -> list[DetectedFace]:
        """The one box in the middle of an image (3, height, width)."""
        height, width = image.shape[1:]
        half = min(height, width) / 2 / CROP_MARGIN
        box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
        return [DetectedFace(box)]


class DrawnRecogniser:
    """Recogniser of drawn faces, by the encoder that ships with the plugin.

    Parameters
    ----------
    encoder : DrawnFaceEncoder, optional
        Another one than the shipped.
    """

    licence = "Apache-2.0"

    def __init__(self, encoder: DrawnFaceEncoder | None = None) -> None:
        self.encoder = load_encoder() if encoder is None else encoder
        self.vector_dim = self.encoder.vector_dim
        self.token_dim = self.encoder.token_dim
        self.side = self.encoder.side

    @torch.no_grad()
    def embed(self, images: Tensor, faces: Sequence[DetectedFace]) -> FaceFeatures:
        """Features of one face in each image.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width)
            In [0, 1].
        faces : sequence of DetectedFace, length n

        Returns
        -------
        features : FaceFeatures
            Of n faces.
        """
        boxes = torch.tensor([face.box for face in faces], dtype=torch.float32)[:, None]
        crops = crop_faces(images, boxes.to(images.device), self.encoder.image_size)
        return self.encoder.features(crops[:, 0])


def read_image(image: object, *, name: str = "image") -> Tensor:
    """Read a picture in any of the usual forms.

    Parameters
    ----------
    image : PIL.Image.Image, ndarray or Tensor
        Arrays have the shape (height, width, 3) and the type uint8, or floats in [0, 1]; tensors
        (3, height, width) in [0, 1]. Transparency is laid over white.
    name : str, default="image"
        What an error calls it.

    Returns
    -------
    tensor : Tensor of float32, shape (3, height, width)
        In [0, 1].

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If its shape or values do not fit.
    """
    if isinstance(image, Tensor):
        tensor = image.detach().float()
    elif isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"{name} as an array must have the shape (height, width, 3), got {image.shape}."
            )
        scale = 255.0 if image.dtype == np.uint8 else 1.0
        tensor = torch.from_numpy(image.astype(np.float32) / scale).permute(2, 0, 1)
    elif _is_picture(image):
        tensor = _from_pillow(cast("Image.Image", image))
    else:
        raise TypeError(
            f"{name} must be a PIL image, an array or a tensor, got {type(image).__name__}."
        )
    if tensor.ndim != 3 or tensor.shape[0] != 3 or min(tensor.shape[1:]) < 1:
        raise ValueError(
            f"{name} as a tensor must have the shape (3, height, width), got {tuple(tensor.shape)}."
        )
    if not (float(tensor.min()) >= 0.0 and float(tensor.max()) <= 1.0):
        raise ValueError(f"{name} must have values in [0, 1], and some are outside or missing.")
    return tensor


class FaceReader:
    """Detector and recogniser as one: from pictures, or features computed before, to features.

    Parameters
    ----------
    detector : FaceDetector, optional
        :class:`WholeFrame` by default.
    recogniser : FaceRecogniser, optional
        :class:`DrawnRecogniser` by default.

    Examples
    --------
    >>> from zoo_instantfamily.drawing import DrawnFaces
    >>> from zoo_instantfamily.faces import FaceReader
    >>> faces = DrawnFaces(seed=1)
    >>> features = FaceReader().read(list(faces.portraits(faces.identities(2))))
    >>> features.vector.shape, features.tokens.shape
    (torch.Size([2, 128]), torch.Size([2, 36, 64]))
    """

    def __init__(
        self,
        *,
        detector: FaceDetector | None = None,
        recogniser: FaceRecogniser | None = None,
    ) -> None:
        self.detector: FaceDetector = WholeFrame() if detector is None else detector
        self.recogniser: FaceRecogniser = DrawnRecogniser() if recogniser is None else recogniser

    def read(self, faces: Sequence[Any]) -> FaceFeatures:
        """Describe each of some faces.

        Parameters
        ----------
        faces : sequence
            Pictures as :func:`read_image` takes them, the largest face of each counting, or
            :class:`FaceFeatures` of one face each; mixed as you like.

        Returns
        -------
        features : FaceFeatures
            Of all faces, in their order.

        Raises
        ------
        TypeError, ValueError
            If a picture cannot be read, shows no face, or features have another size than the
            recogniser's.
        """
        if not len(faces):
            raise ValueError("faces must hold at least one face, got none.")
        parts = [self._one(face, f"faces[{k}]") for k, face in enumerate(faces)]
        return FaceFeatures(
            torch.cat([part.vector for part in parts]), torch.cat([part.tokens for part in parts])
        )

    def _one(self, face: object, name: str) -> FaceFeatures:
        if isinstance(face, FaceFeatures):
            recogniser = self.recogniser
            vector = (1, recogniser.vector_dim)
            tokens = (1, recogniser.side**2, recogniser.token_dim)
            if face.vector.shape != vector or face.tokens.shape != tokens:
                raise ValueError(
                    f"{name} must have features of the shapes {vector} and {tokens}, "
                    f"got {tuple(face.vector.shape)} and {tuple(face.tokens.shape)}."
                )
            return face
        image = read_image(face, name=name)
        found = self.detector.detect(image)
        if not found:
            height, width = image.shape[1:]
            raise ValueError(
                f"{name} must show a face, but none was found in the {width} x {height} pixels."
            )
        largest = max(found, key=lambda one: one.area)
        return self.recogniser.embed(image[None], [largest])


def _is_picture(image: object) -> bool:
    from PIL import Image

    return isinstance(image, Image.Image)


def _from_pillow(image: "Image.Image") -> Tensor:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if "A" in upright.getbands() or "transparency" in upright.info:
        layered = upright.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        upright = Image.alpha_composite(white, layered)
    pixels = np.asarray(upright.convert("RGB"), np.float32) / 255.0
    return torch.from_numpy(pixels).permute(2, 0, 1)
