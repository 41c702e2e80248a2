"""``InstantFamilyPipeline``: several identities in one image, on Stable Diffusion 1.5."""

from typing import Any

from diffusers import StableDiffusionControlNetPipeline

from zoo_instantfamily.family import FamilyMixin
from zoo_instantfamily.persistence import PersistentMixin

__all__ = ["InstantFamilyPipeline"]


class InstantFamilyPipeline(PersistentMixin, FamilyMixin, StableDiffusionControlNetPipeline):
    """Draw several people, each into a region of their own, in one pass (arXiv 2404.19427).

    The loop is that of `diffusers.StableDiffusionControlNetPipeline`: schedulers, LoRA, textual
    inversion, offloading, callbacks and seeds are the parent's.

    Parameters
    ----------
    vae, text_encoder, tokenizer, unet, controlnet, scheduler
        As for the parent.
    id_projector : IDProjector
        Turns the features of a face into tokens.
    face_encoder : module or None, default=None
        Turns pictures of faces into features; ``None`` where only features are given.
    id_adapter : IDAdapter or None, default=None
        Keys and values of the identities; needed for decoupled attention.
    safety_checker, feature_extractor, image_encoder, requires_safety_checker
        As for the parent.
    unet_attention : {"stack", "decoupled"}, default="stack"
        How the UNet sees the identities, see `zoo_instantfamily.attention.KINDS`.
    controlnet_attention : {"stack", "faces", "text"}, default="stack"
        How the ControlNet sees them.
    circles : bool, default=True
        Whether the control image carries a coloured disc on each face (section 3.3).
    overlaps : {"share", "nearest", "refuse"}, default="share"
        What becomes of pixels that two regions claim, see `zoo_instantfamily.masks.read_regions`.

    Raises
    ------
    ValueError
        The attention of a network is none of these, or decoupled attention has no adapter.
    """

    model_cpu_offload_seq = (
        "image_encoder->face_encoder->id_projector->id_adapter->text_encoder->unet->vae"
    )
    _optional_components = [
        *StableDiffusionControlNetPipeline._optional_components,
        "face_encoder",
        "id_adapter",
    ]

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        controlnet: Any,
        scheduler: Any,
        id_projector: Any,
        face_encoder: Any = None,
        id_adapter: Any = None,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        image_encoder: Any = None,
        requires_safety_checker: bool = True,  # noqa: FBT001, FBT002 - as in the parent
        unet_attention: str = "stack",
        controlnet_attention: str = "stack",
        circles: bool = True,  # noqa: FBT001, FBT002 - diffusers saves what is not keyword-only
        overlaps: str = "share",
    ) -> None:
        super().__init__(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            controlnet=controlnet,
            scheduler=scheduler,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
            requires_safety_checker=requires_safety_checker,
        )
        self._init_family(
            id_projector=id_projector,
            face_encoder=face_encoder,
            id_adapter=id_adapter,
            unet_attention=unet_attention,
            controlnet_attention=controlnet_attention,
            circles=circles,
            overlaps=overlaps,
        )
