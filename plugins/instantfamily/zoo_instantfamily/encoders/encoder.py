"""The encoder of drawn faces: one vector and a 6 x 6 map of tokens per face."""

from torch import Tensor, nn
from torch.nn import functional

from zoo_instantfamily.encoders.features import FaceFeatures

__all__ = ["DrawnFaceEncoder"]


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.PReLU(outputs),
    )


class DrawnFaceEncoder(nn.Module):
    """Plain convolutional encoder of faces at 48 px.

    Parameters
    ----------
    width : int, default=32
        Channels of the first stage.
    vector_dim : int, default=128
        Length of the global vector.
    token_dim : int, default=64
        Length of each local token.
    """

    def __init__(self, width: int = 32, vector_dim: int = 128, token_dim: int = 64) -> None:
        super().__init__()
        self.width = width
        self.vector_dim = vector_dim
        self.token_dim = token_dim
        self.image_size = 48
        self.side = 6
        self.body = nn.Sequential(
            _stage(3, width, 2),
            _stage(width, 2 * width, 2),
            _stage(2 * width, 2 * width, 1),
            _stage(2 * width, 3 * width, 2),
            _stage(3 * width, 3 * width, 1),
            nn.Conv2d(3 * width, token_dim, 1, bias=False),
            nn.BatchNorm2d(token_dim),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(token_dim * self.side**2, vector_dim, bias=False),
            nn.BatchNorm1d(vector_dim),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors (faces, vector_dim) of images (faces, 3, 48, 48) in [0, 1]."""
        return self.features(images).vector

    def features(self, images: Tensor) -> FaceFeatures:
        """Vector and tokens of images (faces, 3, 48, 48) in [0, 1]."""
        local = self.body(images * 2.0 - 1.0)
        vector = functional.normalize(self.head(local), dim=-1)
        return FaceFeatures(vector, local.flatten(2).transpose(1, 2))
