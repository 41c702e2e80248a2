"""A codec without weights: blocks of pixels become the channels of a latent, and come back exactly.

In the place of a Stable Diffusion VAE it lets a small model draw pixels, with nothing lost that no
network could bring back.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor
from torch.nn import functional

__all__ = ["SpaceToDepth"]

_CERTAIN = -30.0


class SpaceToDepth(ModelMixin, ConfigMixin):
    """Folds blocks of pixels into channels.

    Parameters
    ----------
    block_out_channels : sequence of int, default=(3, 12)
        Channels at each resolution, as a VAE of diffusers states them; each halves the side of the
        one before and has four times its channels.
    scaling_factor : float, default=2.0
        What latents are multiplied by before noise is added, so that their spread is about one.

    Raises
    ------
    ValueError
        The channels do not grow fourfold.
    """

    config: Any

    @register_to_config
    def __init__(
        self, *, block_out_channels: Sequence[int] = (3, 12), scaling_factor: float = 2.0
    ) -> None:
        super().__init__()
        if any(4 * few != many for few, many in pairwise(block_out_channels)):
            raise ValueError(
                "The block_out_channels of a SpaceToDepth must grow fourfold at each step. "
                f"Got {tuple(block_out_channels)}."
            )
        self.block = 2 ** (len(block_out_channels) - 1)
        # Pipelines ask a module for its dtype, which one without tensors does not have.
        self.register_buffer("shift", torch.zeros(1))

    def encode(self, images: Tensor, return_dict: bool = True) -> Any:  # noqa: FBT001, FBT002
        """Latents of images.

        Parameters
        ----------
        images : Tensor of shape (batch, 3, height, width)
            In [-1, 1]; the sides are multiples of the block.
        return_dict : bool, default=True
            As in diffusers.

        Returns
        -------
        AutoencoderKLOutput or tuple
            Its ``latent_dist`` has no spread worth the name.
        """
        folded = functional.pixel_unshuffle(images - self.shift, self.block)
        parameters = torch.cat([folded, torch.full_like(folded, _CERTAIN)], 1)
        found = DiagonalGaussianDistribution(parameters, deterministic=True)
        return AutoencoderKLOutput(latent_dist=found) if return_dict else (found,)

    def decode(
        self,
        latents: Tensor,
        return_dict: bool = True,  # noqa: FBT001, FBT002 - as in diffusers
        generator: torch.Generator | None = None,
    ) -> Any:
        """Images of latents.

        Parameters
        ----------
        latents : Tensor of shape (batch, 3 * block**2, height / block, width / block)
        return_dict : bool, default=True
            As in diffusers.
        generator : torch.Generator or None
            Not used.

        Returns
        -------
        DecoderOutput or tuple
            With images of shape (batch, 3, height, width).
        """
        images = functional.pixel_shuffle(latents, self.block) + self.shift
        return DecoderOutput(sample=images) if return_dict else (images,)
