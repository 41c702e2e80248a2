"""The networks of a pipeline as one module, which several processes can share the gradients of."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from zoo_instantfamily.masks import box_masks, level_masks
from zoo_instantfamily.stack import FamilyStack
from zoo_instantfamily.training.settings import TRAINABLE

__all__ = ["FamilyNetwork", "regions_of"]


def regions_of(
    boxes: Tensor,
    present: Tensor,
    *,
    size: tuple[int, int],
    factor: int,
    levels: int,
    margin: float,
) -> list[Tensor]:
    """Masks of a batch at every level of the networks, as a pipeline makes them.

    Parameters
    ----------
    boxes : Tensor of shape (batch, people, 4)
        Left, top, right, bottom in pixels.
    present : Tensor of bool, shape (batch, people)
        Whether there is somebody.
    size : tuple of int
        Height and width in pixels.
    factor : int
        Pixels per latent.
    levels : int
        Number of levels.
    margin : float
        How much larger than its box a region is.

    Returns
    -------
    list of Tensor of shape (batch, people, level height, level width)
        0 or 1, all 0 where nobody is; finest first.
    """
    places = torch.where(present[..., None], boxes, torch.zeros_like(boxes))
    regions = box_masks(places.cpu().numpy(), size=size, margin=margin)
    shapes = [
        (-(-size[0] // factor // 2**level), -(-size[1] // factor // 2**level))
        for level in range(levels)
    ]
    return [
        torch.from_numpy(mask).to(boxes.device, torch.float32) * present[..., None, None]
        for mask in level_masks(regions, shapes)
    ]


class FamilyNetwork(nn.Module):
    """UNet, ControlNet, ID projector and text encoder of a pipeline.

    Parameters
    ----------
    pipe : InstantFamilyPipeline
        Its networks are trained in place.
    names : sequence of str
        Which of `TRAINABLE` are trained.

    Raises
    ------
    ValueError
        The pipeline cannot be trained here: it has several ControlNets, attention other than
        "stack" or a projector of another kind.
    """

    def __init__(self, pipe: Any, names: Sequence[str]) -> None:
        super().__init__()
        if (
            not isinstance(pipe.controlnet, ControlNetModel)
            or pipe.config.unet_attention != "stack"
        ):
            raise ValueError(
                "A pipeline that is trained must have one ControlNet and the attention 'stack'. "
                f"Got {type(pipe.controlnet).__name__} and {pipe.config.unet_attention!r}."
            )
        self.unet, self.controlnet = pipe.unet, pipe.controlnet
        self.id_projector, self.text_encoder = pipe.id_projector, pipe.text_encoder
        self.state = pipe.family_state
        for name in TRAINABLE:
            getattr(self, name).requires_grad_(name in names).train(name in names)

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        *,
        control: Tensor,
        input_ids: Tensor,
        vector: Tensor,
        tokens: Tensor,
        dropped: Tensor,
        masks: list[Tensor],
    ) -> Tensor:
        """Predict.

        Parameters
        ----------
        noisy : Tensor of shape (batch, latent channels, latent height, latent width)
        timestep : Tensor of shape (batch,)
        control : Tensor of shape (batch, 3, height, width)
        input_ids : Tensor of shape (batch, text tokens)
        vector : Tensor of shape (batch, people, global_dim)
        tokens : Tensor of shape (batch, people, grid * grid, local_dim)
        dropped : Tensor of bool, shape (batch,)
            Pictures whose faces are kept back.
        masks : list of Tensor of shape (batch, people, level height, level width)

        Returns
        -------
        Tensor of the shape of ``noisy``
        """
        shape = vector.shape[:2]
        made, null = (
            part.unflatten(0, shape)
            for part in self.id_projector(vector.flatten(0, 1), tokens.flatten(0, 1))
        )
        made = torch.where(dropped[:, None, None, None], null, made)
        text = self.text_encoder(input_ids)[0]
        self.state.start(FamilyStack(made, null, masks))
        try:
            down, middle = self.controlnet(
                noisy,
                timestep,
                encoder_hidden_states=text,
                controlnet_cond=control,
                return_dict=False,
            )
            return self.unet(
                noisy,
                timestep,
                encoder_hidden_states=text,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
                return_dict=False,
            )[0]
        finally:
            self.state.stop()
