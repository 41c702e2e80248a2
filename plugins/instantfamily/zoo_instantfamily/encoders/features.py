"""What a face encoder says about a face."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["FaceFeatures"]


@dataclass(frozen=True)
class FaceFeatures:
    """Identity of some faces, as one vector and as a map.

    Attributes
    ----------
    vector : Tensor of shape (faces, vector_dim)
        Global embedding of length one: the cosine of two of them says how alike two faces are.
    tokens : Tensor of shape (faces, side * side, token_dim)
        The last feature map, row by row: what is where in the face (the paper, section 3.1).
    """

    vector: Tensor
    tokens: Tensor
