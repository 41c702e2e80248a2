"""The networks of the model ``drawn-faces``, made in code: small, and nothing to download."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from zoo_instantfamily.codec import SpaceToDepth
from zoo_instantfamily.drawing.background import BACKGROUND_STYLES
from zoo_instantfamily.drawing.nuisance import MOODS
from zoo_instantfamily.drawing.palette import BACKGROUND_COLOURS, CLOTHES_COLOURS
from zoo_instantfamily.drawing.scene import NUMBERS
from zoo_instantfamily.encoders import DrawnFaceEncoder, load_encoder
from zoo_instantfamily.face_encoder import DrawnFaceReader
from zoo_instantfamily.pipeline import InstantFamilyPipeline
from zoo_instantfamily.projector import IDProjector

__all__ = ["build_drawn_faces", "build_text", "build_tokenizer"]

_START, _END = "<|startoftext|>", "<|endoftext|>"
_LENGTH = 16
_WIDTH = 64


def build_tokenizer() -> Any:
    """A CLIP tokenizer to which every word of the drawn faces' captions is one token.

    Returns
    -------
    CLIPTokenizer
        Other words fall into characters.
    """
    words = [
        *NUMBERS, *MOODS, *CLOTHES_COLOURS, *BACKGROUND_COLOURS, *BACKGROUND_STYLES,
        "person", "people", "in", "colourful", "clothes", "background",
    ]  # fmt: skip
    merges = _merges(dict.fromkeys(part for word in words for part in word.split()))
    characters = [chr(code) for code in range(33, 127)]
    tokens = [*characters, *(c + "</w>" for c in characters), *map("".join, merges), _START, _END]
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=merges,
        model_max_length=_LENGTH,
    )


def _merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair encoding (arXiv 1508.07909) of words until each is one token."""
    parts = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for part in parts for pair in pairwise(part))
        if not pairs:
            return merges
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for part in parts:
            k = 0
            while k + 1 < len(part):
                if (part[k], part[k + 1]) == best:
                    part[k : k + 2] = ["".join(best)]
                k += 1


def build_text(tokenizer: Any, *, width: int = _WIDTH) -> Any:
    """A text encoder of two layers.

    Parameters
    ----------
    tokenizer : CLIPTokenizer
        Whose tokens it reads.
    width : int, default=64
        Channels, a multiple of 16.

    Returns
    -------
    CLIPTextModel
    """
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            projection_dim=width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_drawn_faces(
    *,
    seed: int = 0,
    channels: tuple[int, ...] = (48, 96, 96),
    side: int = 64,
    encoder: DrawnFaceEncoder | None = None,
) -> InstantFamilyPipeline:
    """The pipeline of drawn faces with untrained networks.

    Pixels are folded by two (`SpaceToDepth`), and the networks predict the picture rather than the
    noise. There is no attention at the finest level, where it would cost the most and where a head
    has more cells than the face encoder has tokens.

    Parameters
    ----------
    seed : int, default=0
        Of the initial weights; torch's global generator is left as it was.
    channels : tuple of int, default=(48, 96, 96)
        Of the levels, finest first, multiples of 16.
    side : int, default=64
        The side of a picture in pixels where no size is asked for.
    encoder : DrawnFaceEncoder or None
        Reads the faces; ``None`` is the shipped one.

    Returns
    -------
    InstantFamilyPipeline
    """
    encoder = load_encoder() if encoder is None else encoder
    tokenizer = build_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        count = len(channels)
        unet = UNet2DConditionModel(
            sample_size=side // 2,
            in_channels=12,
            out_channels=12,
            block_out_channels=channels,
            layers_per_block=1,
            norm_num_groups=16,
            cross_attention_dim=_WIDTH,
            # diffusers' name notwithstanding, this is the number of heads.
            attention_head_dim=4,
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (count - 1)),
            up_block_types=(*["CrossAttnUpBlock2D"] * (count - 1), "UpBlock2D"),
        )
        controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32))
        projector = IDProjector(
            global_dim=encoder.vector_dim,
            local_dim=encoder.token_dim,
            grid=encoder.side,
            cross_attention_dim=_WIDTH,
        )
        for weight in (projector.position, projector.null):
            torch.nn.init.normal_(weight, std=0.3)
        text = build_text(tokenizer)
    return InstantFamilyPipeline(
        vae=SpaceToDepth(),
        text_encoder=text.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        controlnet=controlnet.eval(),
        scheduler=DDIMScheduler(
            beta_schedule="squaredcos_cap_v2",
            prediction_type="sample",
            timestep_spacing="trailing",
            clip_sample=True,
            clip_sample_range=2.0,
            set_alpha_to_one=True,
        ),
        id_projector=projector.eval(),
        face_encoder=DrawnFaceReader.of(encoder),
        requires_safety_checker=False,
    )
