"""Faces to tokens: the projection of the global vector and of the local features.

Section 3.1 of the paper (arXiv 2404.19427): a face-recognition network gives a global vector and,
from its last layer, a two-dimensional map; each goes through a projection of its own, and together
they are the ``L * L + 1`` tokens of one identity.
"""

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from zoo_instantfamily.resampler import check_vectors

__all__ = ["IDProjector"]


def _projection(width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 2 * channels),
        nn.GELU(),
        nn.Linear(2 * channels, channels),
        nn.LayerNorm(channels),
    )


class IDProjector(ModelMixin, ConfigMixin):
    """Tokens of a face from its global vector and its map of local tokens.

    Parameters
    ----------
    global_dim : int, default=512
        Length of the global vector.
    local_dim : int, default=512
        Length of a local token.
    grid : int, default=7
        Side of the map of local tokens, ``L`` in the paper.
    cross_attention_dim : int, default=768
        Channels of the tokens, those of the text.
    features : {"both", "global", "local"}, default="both"
        Which tokens are made; the others are left out of the stack.
    """

    config: Any
    inputs = ("vector", "tokens")

    @register_to_config
    def __init__(
        self,
        *,
        global_dim: int = 512,
        local_dim: int = 512,
        grid: int = 7,
        cross_attention_dim: int = 768,
        features: str = "both",
    ) -> None:
        super().__init__()
        if features not in ("both", "global", "local"):
            raise ValueError(
                "The features of an IDProjector must be one of both, global, local. "
                f"Got {features!r}."
            )
        tokens = 0
        if features != "local":
            self.vector = _projection(global_dim, cross_attention_dim)
            tokens += 1
        if features != "global":
            self.map = _projection(local_dim, cross_attention_dim)
            self.position = nn.Parameter(torch.zeros(grid * grid, cross_attention_dim))
            tokens += grid * grid
        self.null = nn.Parameter(torch.zeros(tokens, cross_attention_dim))

    def forward(self, vector: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Project faces.

        Parameters
        ----------
        vector : Tensor of shape (faces, global_dim)
            Global vectors.
        tokens : Tensor of shape (faces, grid * grid, local_dim), or None
            Local tokens, row by row; ``None`` only where none are used.

        Returns
        -------
        tokens : Tensor of shape (faces, 1 + grid * grid, cross_attention_dim)
        null : Tensor of shape (faces, 1 + grid * grid, cross_attention_dim)
            The learned tokens of nobody, for classifier-free guidance.

        Raises
        ------
        ValueError
            The features have another shape.
        """
        config = self.config
        found = []
        check_vectors(vector, config.global_dim)
        if config.features != "local":
            found.append(self.vector(vector)[:, None])
        if config.features != "global":
            shape = (len(vector), config.grid**2, config.local_dim)
            if tokens is None or tokens.shape != shape:
                raise ValueError(
                    f"The local tokens of the faces must have the shape {shape}. "
                    f"Got {None if tokens is None else tuple(tokens.shape)}."
                )
            found.append(self.map(tokens) + self.position)
        return torch.cat(found, 1), self.null.expand(len(vector), -1, -1)
