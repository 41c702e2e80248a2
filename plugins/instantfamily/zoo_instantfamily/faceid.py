"""The projectors of IP-Adapter-FaceID: embeddings of a face, with or without CLIP's view of it.

IP-Adapter (arXiv 2308.06721); the names of the weights are those of the published files. The
embeddings are insightface's, normalised to length one.
"""

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from zoo_instantfamily.resampler import Perceiver, check_vectors

__all__ = ["FaceIDPlusProjector", "FaceIDProjector"]


def _mlp(embedding_dim: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(embedding_dim, 2 * embedding_dim),
        nn.GELU(),
        nn.Linear(2 * embedding_dim, outputs),
    )


class FaceIDProjector(ModelMixin, ConfigMixin):
    """Tokens of a face from one or several embeddings: FaceID base and portrait.

    Parameters
    ----------
    embedding_dim : int, default=512
        Length of an embedding.
    tokens : int, default=4
        Tokens made of one embedding.
    cross_attention_dim : int, default=768
        Channels of the tokens.
    pictures : int, default=1
        Embeddings of each person, from as many pictures; the portrait variant reads five. A
        person with fewer has theirs repeated.
    """

    config: Any
    inputs = ("vector",)

    @register_to_config
    def __init__(
        self,
        *,
        embedding_dim: int = 512,
        tokens: int = 4,
        cross_attention_dim: int = 768,
        pictures: int = 1,
    ) -> None:
        super().__init__()
        self.proj = _mlp(embedding_dim, tokens * cross_attention_dim)
        self.norm = nn.LayerNorm(cross_attention_dim)

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Project faces.

        Parameters
        ----------
        vector : Tensor of shape (faces, embedding_dim) or (faces, n, embedding_dim)
            Embeddings of length one.

        Returns
        -------
        tokens : Tensor of shape (faces, pictures * tokens, cross_attention_dim)
        null : Tensor of shape (faces, pictures * tokens, cross_attention_dim)
            The projection of zeros, for classifier-free guidance.

        Raises
        ------
        ValueError
            The embeddings have another shape, or a face has too many.
        """
        config = self.config
        several = vector[:, None] if vector.ndim == 2 else vector
        check_vectors(several.flatten(0, 1), config.embedding_dim)
        if several.shape[1] > config.pictures:
            raise ValueError(
                f"A face of this projector must have 1 to {config.pictures} embeddings. "
                f"Got {several.shape[1]}."
            )
        several = several[:, torch.arange(config.pictures) % several.shape[1]]
        both = torch.cat([several, torch.zeros_like(several)])
        found = self.proj(both).unflatten(-1, (config.tokens, config.cross_attention_dim))
        tokens, null = self.norm(found).flatten(1, 2).chunk(2)
        return tokens, null


class FaceIDPlusProjector(ModelMixin, ConfigMixin):
    """Tokens of a face from its embedding and from CLIP's features: FaceID plus and plusv2.

    Parameters
    ----------
    embedding_dim : int, default=512
        Length of an embedding.
    clip_dim : int, default=1280
        Channels of CLIP's hidden states.
    tokens : int, default=4
        Tokens of a face.
    cross_attention_dim : int, default=768
        Channels of the tokens.
    depth, heads, head_dim : int, default=4, 12 and 64
        Layers of the resampler, its attention heads and their size.
    shortcut : bool, default=False
        Add what CLIP says to the projected embedding (plusv2) instead of putting it in its place.
    structure : float, default=1.0
        Weight of what CLIP says in plusv2.
    """

    config: Any
    inputs = ("vector", "clip")

    @register_to_config
    def __init__(
        self,
        *,
        embedding_dim: int = 512,
        clip_dim: int = 1280,
        tokens: int = 4,
        cross_attention_dim: int = 768,
        depth: int = 4,
        heads: int = 12,
        head_dim: int = 64,
        shortcut: bool = False,
        structure: float = 1.0,
    ) -> None:
        super().__init__()
        self.proj = _mlp(embedding_dim, tokens * cross_attention_dim)
        self.norm = nn.LayerNorm(cross_attention_dim)
        self.perceiver_resampler = Perceiver(
            feature_dim=clip_dim,
            width=cross_attention_dim,
            depth=depth,
            heads=heads,
            head_dim=head_dim,
            output_dim=cross_attention_dim,
        )

    def forward(self, vector: Tensor, clip: Tensor, null_clip: Tensor) -> tuple[Tensor, Tensor]:
        """Project faces.

        Parameters
        ----------
        vector : Tensor of shape (faces, embedding_dim)
            Embeddings of length one.
        clip : Tensor of shape (faces, patches, clip_dim)
            Last but one hidden states of CLIP's image encoder.
        null_clip : Tensor of shape (faces, patches, clip_dim)
            Those of a picture of zeros.

        Returns
        -------
        tokens : Tensor of shape (faces, tokens, cross_attention_dim)
        null : Tensor of shape (faces, tokens, cross_attention_dim)
            The projection of zeros, for classifier-free guidance.

        Raises
        ------
        ValueError
            The embeddings have another shape.
        """
        config = self.config
        check_vectors(vector, config.embedding_dim)
        both = torch.cat([vector, torch.zeros_like(vector)])
        found = self.proj(both).unflatten(-1, (config.tokens, config.cross_attention_dim))
        queries = self.norm(found)
        read = self.perceiver_resampler(queries, torch.cat([clip, null_clip]))
        tokens, null = (queries + config.structure * read if config.shortcut else read).chunk(2)
        return tokens, null
