"""InstantID's projector: a fixed number of learned queries reads the embedding of a face.

The arrangement is that of Flamingo's perceiver resampler (arXiv 2204.14198, section 3.1.1), as
InstantID (arXiv 2401.07519) and IP-Adapter (arXiv 2308.06721) store it; the names of the weights
are those of their files.
"""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

__all__ = ["Perceiver", "ResamplerProjector", "check_vectors"]


class _Attention(nn.Module):
    """Queries attend to the features and to themselves."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, heads * head_dim, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * head_dim, bias=False)
        self.to_out = nn.Linear(heads * head_dim, width, bias=False)

    def forward(self, features: Tensor, queries: Tensor) -> Tensor:
        queries = self.norm2(queries)
        both = torch.cat([self.norm1(features), queries], 1)
        query = self.to_q(queries)
        key, value = self.to_kv(both).chunk(2, -1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        found = F.scaled_dot_product_attention(query, key, value)
        return self.to_out(found.transpose(1, 2).flatten(2))


def _feed_forward(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 4 * width, bias=False),
        nn.GELU(),
        nn.Linear(4 * width, width, bias=False),
    )


class Perceiver(nn.Module):
    """The layers between queries and tokens.

    Parameters
    ----------
    feature_dim : int
        Length of a feature vector.
    width : int
        Length of a query.
    depth, heads, head_dim : int
        Number of layers, of attention heads, and their size.
    output_dim : int
        Length of a token.
    """

    def __init__(
        self,
        *,
        feature_dim: int,
        width: int,
        depth: int,
        heads: int,
        head_dim: int,
        output_dim: int,
    ) -> None:
        super().__init__()
        self.proj_in = nn.Linear(feature_dim, width)
        self.proj_out = nn.Linear(width, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)
        self.layers = nn.ModuleList(
            [
                nn.ModuleList([_Attention(width, heads, head_dim), _feed_forward(width)])
                for _ in range(depth)
            ]
        )

    def read(self, queries: Tensor, features: Tensor) -> Tensor:
        """Tokens (batch, queries, output_dim) of features (batch, n, feature_dim)."""
        features = self.proj_in(features)
        for layer in self.layers:
            attention, feed = layer.children()
            queries = queries + attention(features, queries)
            queries = queries + feed(queries)
        return self.norm_out(self.proj_out(queries))

    forward = read


class ResamplerProjector(Perceiver, ModelMixin, ConfigMixin):
    """Tokens of a face from its embedding, as InstantID's ``image_proj``.

    Parameters
    ----------
    embedding_dim : int, default=512
        Length of the embedding.
    width : int, default=1280
        Length of a query.
    depth : int, default=4
        Number of layers.
    heads : int, default=20
        Number of attention heads.
    head_dim : int, default=64
        Size of a head.
    queries : int, default=16
        Number of tokens of a face.
    cross_attention_dim : int, default=2048
        Channels of the tokens.
    """

    config: Any
    inputs = ("vector",)

    @register_to_config
    def __init__(
        self,
        *,
        embedding_dim: int = 512,
        width: int = 1280,
        depth: int = 4,
        heads: int = 20,
        head_dim: int = 64,
        queries: int = 16,
        cross_attention_dim: int = 2048,
    ) -> None:
        super().__init__(
            feature_dim=embedding_dim,
            width=width,
            depth=depth,
            heads=heads,
            head_dim=head_dim,
            output_dim=cross_attention_dim,
        )
        self.latents = nn.Parameter(torch.randn(1, queries, width) / width**0.5)

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Project faces.

        Parameters
        ----------
        vector : Tensor of shape (faces, embedding_dim)
            Embeddings, not normalised: InstantID was trained on insightface's raw output.

        Returns
        -------
        tokens : Tensor of shape (faces, queries, cross_attention_dim)
        null : Tensor of shape (faces, queries, cross_attention_dim)
            The projection of zeros, for classifier-free guidance.

        Raises
        ------
        ValueError
            The embeddings have another shape.
        """
        check_vectors(vector, self.config.embedding_dim)
        both = torch.cat([vector, torch.zeros_like(vector)])[:, None]
        tokens, null = self.read(self.latents.expand(len(both), -1, -1), both).chunk(2)
        return tokens, null


def check_vectors(vector: Tensor, length: int) -> None:
    """Refuse embeddings of another length.

    Parameters
    ----------
    vector : Tensor of shape (faces, length)
        Embeddings.
    length : int
        What the projector reads.

    Raises
    ------
    ValueError
        They have another shape.
    """
    if vector.ndim != 2 or vector.shape[1] != length:
        raise ValueError(
            f"The vectors of the faces must have the shape (faces, {length}). "
            f"Got {tuple(vector.shape)}."
        )
