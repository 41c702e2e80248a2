"""A tiny pipeline with random weights, made in code."""

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from zoo_instantfamily.adapter import IDAdapter
from zoo_instantfamily.pipeline import InstantFamilyPipeline
from zoo_instantfamily.pipeline_xl import InstantFamilyXLPipeline
from zoo_instantfamily.projector import IDProjector


def tokenizer():
    characters = [chr(code) for code in range(33, 127)]
    words = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=20
    )


def text_encoder(cls=CLIPTextModel):
    return cls(
        CLIPTextConfig(
            vocab_size=190,
            hidden_size=16,
            intermediate_size=20,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=20,
            projection_dim=16,
            bos_token_id=188,
            eos_token_id=189,
            pad_token_id=189,
        )
    ).eval()


def networks(**options):
    unet = UNet2DConditionModel(
        block_out_channels=(4, 8, 8),
        layers_per_block=1,
        sample_size=8,
        norm_num_groups=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        **{"cross_attention_dim": 16, **options},
    ).eval()
    controlnet = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(4, 4, 4, 4)
    ).eval()
    # A fresh ControlNet's last layers are zero and it would have no effect.
    for block in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        torch.nn.init.normal_(block.weight, std=0.1)
    # Random weights hardly look at the text: louder cross-attention, so that a lost token shows.
    for net in (unet, controlnet):
        for name, weight in net.named_parameters():
            if "attn2.to_" in name and name.endswith("weight"):
                weight.data.mul_(4)
    return unet, controlnet


def autoencoder():
    return AutoencoderKL(
        block_out_channels=[4, 4, 4, 4],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=4,
        norm_num_groups=2,
    ).eval()


def scheduler():
    return DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False)


def projector(channels=16):
    made = IDProjector(global_dim=6, local_dim=5, grid=2, cross_attention_dim=channels).eval()
    torch.nn.init.normal_(made.null)
    torch.nn.init.normal_(made.position)
    return made


def build(*, seed=0, decoupled=False, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet, controlnet = networks()
        if decoupled:
            options |= {"id_adapter": IDAdapter.for_unet(unet), "unet_attention": "decoupled"}
        pipe = InstantFamilyPipeline(
            vae=autoencoder(),
            text_encoder=text_encoder(),
            tokenizer=tokenizer(),
            unet=unet,
            controlnet=controlnet,
            scheduler=scheduler(),
            requires_safety_checker=False,
            **{"id_projector": projector(), **options},
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def build_xl(*, seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet, controlnet = networks(
            cross_attention_dim=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=40,
            transformer_layers_per_block=(1, 2, 1),
            use_linear_projection=True,
        )
        pipe = InstantFamilyXLPipeline(
            vae=autoencoder(),
            text_encoder=text_encoder(),
            text_encoder_2=text_encoder(CLIPTextModelWithProjection),
            tokenizer=tokenizer(),
            tokenizer_2=tokenizer(),
            unet=unet,
            controlnet=controlnet,
            scheduler=scheduler(),
            add_watermarker=False,
            **{"id_projector": projector(32), **options},
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def make_pipe():
    return build


@pytest.fixture(scope="session")
def make_pipe_xl():
    return build_xl


@pytest.fixture(scope="module")
def pipe():
    return build()


@pytest.fixture(scope="module")
def pipe_xl():
    return build_xl()
