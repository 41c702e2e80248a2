"""Features of the references, from whatever reads faces for a pipeline."""

from typing import Any

import torch
from torch.nn import functional

from zoo_instantfamily.encoders import DrawnFaceEncoder
from zoo_instantfamily.encoders.features import FaceFeatures
from zoo_instantfamily.face_encoder import DrawnFaceReader
from zoo_instantfamily.training.batch import FamilyBatch

__all__ = ["TrainingReader"]


class TrainingReader:
    """Reads the references of a batch.

    Parameters
    ----------
    pipe : InstantFamilyPipeline
    device : torch.device
        Where the features go.

    Attributes
    ----------
    encoder : DrawnFaceEncoder or None
        What an identity loss can pass gradients through, if there is such a thing.

    Raises
    ------
    ValueError
        The pipeline reads no faces.
    """

    def __init__(self, pipe: Any, *, device: torch.device) -> None:
        self.device = device
        self.encoder: DrawnFaceEncoder | None = None
        self._reader = pipe.face_reader
        if self._reader is None and pipe.face_encoder is None:
            raise ValueError("A pipeline that is trained must have a face_encoder. Got none.")
        if self._reader is None:
            self._reader = pipe.face_encoder
            if isinstance(self._reader, DrawnFaceReader):
                self.encoder = self._reader.encoder.to(device).eval()
                self.encoder.requires_grad_(requires_grad=False)

    @torch.no_grad()
    def read(self, batch: FamilyBatch) -> FaceFeatures:
        """Features of all places of a batch, of those where nobody is too.

        Parameters
        ----------
        batch : FamilyBatch

        Returns
        -------
        FaceFeatures
            Of batch times people faces.
        """
        pictures = batch.references.flatten(0, 1).to(self.device)
        if self.encoder is not None:
            side = self.encoder.image_size
            if pictures.shape[-1] != side:
                pictures = functional.interpolate(
                    pictures, size=(side, side), mode="bilinear", antialias=True
                )
            return self.encoder.features(pictures)
        found = self._reader.read(list(pictures))
        return FaceFeatures(found.vector.to(self.device), found.tokens.to(self.device))
