"""IP-Adapter-FaceID (arXiv 2308.06721) for several people: base, plus, plusv2 and portrait."""

import os
from pathlib import Path
from typing import Any

from zoo.errors import FormatError
from zoo_instantfamily.faceid import FaceIDPlusProjector, FaceIDProjector
from zoo_instantfamily.loaders.weights import Identity, build_adapter, fill, read_groups

__all__ = ["LICENCE", "VARIANTS", "load_faceid"]

VARIANTS = ("base", "plus", "plusv2", "portrait")

LICENCE = (
    "IP-Adapter-FaceID's weights are for non-commercial research only, as are insightface's "
    "models, whose face embeddings they need"
)

_PORTRAIT_PICTURES = 5


def load_faceid(
    path: str | os.PathLike[str],
    *,
    unet: Any,
    variant: str | None = None,
    head_dim: int = 64,
    structure: float = 1.0,
) -> Identity:
    """Load an IP-Adapter-FaceID checkpoint.

    Parameters
    ----------
    path : path-like
        A ``.bin`` or ``.safetensors`` file.
    unet : UNet2DConditionModel
        The UNet it is for.
    variant : {"base", "plus", "plusv2", "portrait"} or None, default=None
        Files of plus and plusv2 hold the same names, as do base and portrait; ``None`` reads the
        variant off the name of the file.
    head_dim : int, default=64
        Size of the attention heads of the resampler of plus and plusv2, which no file says.
    structure : float, default=1.0
        Weight of what CLIP sees, in plusv2.

    Returns
    -------
    Identity
        With the low-rank changes of the UNet that most variants have.

    Raises
    ------
    ValueError
        The variant is none of these.
    zoo.errors.SourceError
        There is no such file.
    zoo.errors.FormatError
        The file is no such checkpoint, or one for another UNet.
    """
    file = Path(path)
    weights, layers = read_groups(file)
    plus = "perceiver_resampler.proj_in.weight" in weights
    if variant is None:
        named = [word for word in ("portrait", "plusv2", "plus") if word in file.name.lower()]
        variant = named[0] if named else ("plus" if plus else "base")
    if variant not in VARIANTS:
        raise ValueError(
            f"The variant of a FaceID checkpoint must be one of {', '.join(VARIANTS)}. "
            f"Got {variant!r}."
        )
    if plus != variant.startswith("plus"):
        holds = "CLIP's resampler" if plus else "no resampler for CLIP"
        raise FormatError(
            f"The file {file} must be a FaceID checkpoint {variant!r}. It has {holds}."
        )
    try:
        channels = weights["norm.weight"].shape[0]
        common = {
            "embedding_dim": weights["proj.0.weight"].shape[1],
            "tokens": weights["proj.2.weight"].shape[0] // channels,
            "cross_attention_dim": channels,
        }
        projector: FaceIDProjector | FaceIDPlusProjector
        if plus:
            inside = "perceiver_resampler.layers."
            projector = FaceIDPlusProjector(
                **common,
                clip_dim=weights["perceiver_resampler.proj_in.weight"].shape[1],
                depth=len({name.split(".")[2] for name in weights if name.startswith(inside)}),
                heads=max(weights[f"{inside}0.0.to_q.weight"].shape[0] // head_dim, 1),
                head_dim=head_dim,
                shortcut=variant == "plusv2",
                structure=structure,
            )
        else:
            pictures = _PORTRAIT_PICTURES if variant == "portrait" else 1
            projector = FaceIDProjector(**common, pictures=pictures)
    except (KeyError, IndexError) as error:
        raise FormatError(
            f"The file {file} must hold FaceID's projector. Missing: {error.args[0]}."
        ) from error
    fill(projector, weights, str(file))
    adapter, changes = build_adapter(unet, layers, str(file))
    return Identity(
        projector=projector.eval(),
        adapter=adapter,
        controlnet_attention="text",
        licence=LICENCE,
        changes=changes,
    )
