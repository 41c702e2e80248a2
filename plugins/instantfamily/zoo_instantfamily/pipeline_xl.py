"""``InstantFamilyXLPipeline``: several identities in one image, on SDXL."""

from typing import Any

from diffusers import StableDiffusionXLControlNetPipeline

from zoo_instantfamily.family import FamilyMixin
from zoo_instantfamily.persistence import PersistentMixin

__all__ = ["InstantFamilyXLPipeline"]


class InstantFamilyXLPipeline(PersistentMixin, FamilyMixin, StableDiffusionXLControlNetPipeline):
    """The twin of `zoo_instantfamily.pipeline.InstantFamilyPipeline` for SDXL.

    Parameters
    ----------
    vae, text_encoder, text_encoder_2, tokenizer, tokenizer_2, unet, controlnet, scheduler
        As for `diffusers.StableDiffusionXLControlNetPipeline`.
    id_projector, face_encoder, id_adapter, unet_attention, controlnet_attention, circles,
    overlaps
        As for the twin.
    force_zeros_for_empty_prompt, add_watermarker, feature_extractor, image_encoder
        As for the parent.

    Raises
    ------
    ValueError
        The attention of a network is unknown, or decoupled attention has no adapter.
    """

    model_cpu_offload_seq = (
        "image_encoder->face_encoder->id_projector->id_adapter->"
        "text_encoder->text_encoder_2->unet->vae"
    )
    _optional_components = [
        *StableDiffusionXLControlNetPipeline._optional_components,
        "face_encoder",
        "id_adapter",
    ]

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        text_encoder_2: Any,
        tokenizer: Any,
        tokenizer_2: Any,
        unet: Any,
        controlnet: Any,
        scheduler: Any,
        id_projector: Any,
        face_encoder: Any = None,
        id_adapter: Any = None,
        force_zeros_for_empty_prompt: bool = True,  # noqa: FBT001, FBT002 - as in the parent
        add_watermarker: bool | None = None,  # noqa: FBT001 - as in the parent
        feature_extractor: Any = None,
        image_encoder: Any = None,
        unet_attention: str = "stack",
        controlnet_attention: str = "stack",
        circles: bool = True,  # noqa: FBT001, FBT002 - diffusers saves what is not keyword-only
        overlaps: str = "share",
    ) -> None:
        super().__init__(
            vae=vae,
            text_encoder=text_encoder,
            text_encoder_2=text_encoder_2,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            unet=unet,
            controlnet=controlnet,
            scheduler=scheduler,
            force_zeros_for_empty_prompt=force_zeros_for_empty_prompt,
            add_watermarker=add_watermarker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
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
