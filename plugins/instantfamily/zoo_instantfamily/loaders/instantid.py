"""InstantID (arXiv 2401.07519) for several people: each face in its own region.

The published folder holds ``ip-adapter.bin`` and ``ControlNetModel/``, the IdentityNet, whose
cross-attention sees the faces and not the text.
"""

import os
from pathlib import Path
from typing import Any

from zoo.errors import FormatError
from zoo_instantfamily.loaders.weights import Identity, build_adapter, fill, read_groups
from zoo_instantfamily.resampler import ResamplerProjector

__all__ = ["LICENCE", "load_instantid"]

LICENCE = (
    "InstantID's weights are Apache-2.0; the face embeddings they need come from insightface's "
    "models, which are for non-commercial research only"
)


def load_instantid(path: str | os.PathLike[str], *, unet: Any, head_dim: int = 64) -> Identity:
    """Load the face adapter of InstantID.

    Parameters
    ----------
    path : path-like
        ``ip-adapter.bin``, a ``.safetensors`` file with the same names, or the folder with it.
    unet : UNet2DConditionModel
        The UNet it is for.
    head_dim : int, default=64
        Size of the attention heads of its resampler, which no file says.

    Returns
    -------
    Identity

    Raises
    ------
    zoo.errors.SourceError
        There is no such file.
    zoo.errors.FormatError
        The file is no InstantID adapter, or one for another UNet.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "ip-adapter.bin"
    weights, layers = read_groups(file)
    try:
        projector = ResamplerProjector(
            embedding_dim=weights["proj_in.weight"].shape[1],
            width=weights["proj_in.weight"].shape[0],
            depth=len({name.split(".")[1] for name in weights if name.startswith("layers.")}),
            heads=max(weights["layers.0.0.to_q.weight"].shape[0] // head_dim, 1),
            head_dim=head_dim,
            queries=weights["latents"].shape[1],
            cross_attention_dim=weights["proj_out.weight"].shape[0],
        )
    except (KeyError, IndexError) as error:
        raise FormatError(
            f"The file {file} must hold InstantID's resampler. Missing: {error.args[0]}."
        ) from error
    fill(projector, weights, str(file))
    adapter, changes = build_adapter(unet, layers, str(file))
    return Identity(
        projector=projector.eval(),
        adapter=adapter,
        controlnet_attention="faces",
        licence=LICENCE,
        changes=changes,
    )
