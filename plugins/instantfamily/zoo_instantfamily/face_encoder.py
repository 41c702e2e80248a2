"""The encoder of drawn faces as a component that a pipeline saves and loads."""

from collections.abc import Sequence
from typing import Any

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from zoo_instantfamily.encoders import DrawnFaceEncoder, FaceFeatures
from zoo_instantfamily.faces import DrawnRecogniser, FaceReader

__all__ = ["DrawnFaceReader"]


class DrawnFaceReader(ModelMixin, ConfigMixin):
    """Reads pictures that each show one drawn face.

    Parameters
    ----------
    width, vector_dim, token_dim : int, default=32, 128 and 64
        As for `zoo_instantfamily.encoders.DrawnFaceEncoder`.
    """

    config: Any

    @register_to_config
    def __init__(self, *, width: int = 32, vector_dim: int = 128, token_dim: int = 64) -> None:
        super().__init__()
        self.encoder = DrawnFaceEncoder(width, vector_dim, token_dim)

    @classmethod
    def of(cls, encoder: DrawnFaceEncoder) -> "DrawnFaceReader":
        """Wrap an encoder, such as `zoo_instantfamily.encoders.load_encoder` gives.

        Parameters
        ----------
        encoder : DrawnFaceEncoder
            Its weights are shared, not copied.

        Returns
        -------
        DrawnFaceReader
        """
        made = cls(width=encoder.width, vector_dim=encoder.vector_dim, token_dim=encoder.token_dim)
        made.encoder = encoder
        return made.eval()

    def forward(self, faces: Sequence[Any]) -> FaceFeatures:
        """Describe each of some faces.

        Parameters
        ----------
        faces : sequence of pictures
            As `zoo_instantfamily.faces.FaceReader.read` takes them.

        Returns
        -------
        FaceFeatures
        """
        return FaceReader(recogniser=DrawnRecogniser(self.encoder)).read(faces)

    read = forward
