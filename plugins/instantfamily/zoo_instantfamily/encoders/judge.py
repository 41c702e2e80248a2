"""The judge: a second recogniser, built and trained apart, that only measures."""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DrawnFaceJudge"]


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.silu(self.first_norm(self.first(x)))
        return functional.silu(x + self.second_norm(self.second(inner)))


class DrawnFaceJudge(nn.Module):
    """Residual recogniser of faces at 40 px.

    It shares neither architecture, weights, seed nor training images with
    :class:`~zoo_instantfamily.encoders.encoder.DrawnFaceEncoder`, so that a generator which
    learns the encoder's blind spots gains nothing before it.

    Parameters
    ----------
    width : int, default=24
        Channels of the first stage.
    vector_dim : int, default=96
        Length of the vector.
    """

    def __init__(self, width: int = 24, vector_dim: int = 96) -> None:
        super().__init__()
        self.width = width
        self.vector_dim = vector_dim
        self.image_size = 40
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 5, 2, 2),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            _Residual(2 * width),
            nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=False),
            nn.BatchNorm2d(4 * width),
            _Residual(4 * width),
            nn.Conv2d(4 * width, 32, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.SiLU(),
        )
        self.head = nn.Linear(32 * 25, vector_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors (faces, vector_dim) of images (faces, 3, 40, 40) in [0, 1]."""
        local = self.body(images * 4.0 - 2.0)
        return functional.normalize(self.head(local.flatten(1)), dim=-1)
