"""A whole pipeline as a folder that draws without torch.

The layout is that of optimum-onnx (``model_index.json``, ``scheduler/``, ``tokenizer/``, and for
each network a folder with ``model.onnx`` and ``config.json``) with ``controlnet/``,
``id_projector/`` and ``face_encoder/`` beside the rest. Two folders are new: ``context/`` computes
keys and values of the text and the identities for every layer, ``control/`` the convolutions over
the control image. Both run once for an image and not in every step, so the UNet takes keys and
values as its inputs in place of ``encoder_hidden_states``.
"""

import json
import os
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import onnx
import torch
from numpy.typing import NDArray

import zoo
from zoo.errors import ExportError, VerificationError
from zoo.files import atomic_folder
from zoo.onnx.bundle import MANIFEST, read_bundle, write_bundle
from zoo_instantfamily.clip_tokens import merges_text
from zoo_instantfamily.encoders import FaceFeatures
from zoo_instantfamily.face_encoder import DrawnFaceReader
from zoo_instantfamily.graphs.parts import (
    face_encoder_graph,
    projector_graph,
    text_encoder_graph,
    vae_decoder_graph,
    vae_encoder_graph,
)
from zoo_instantfamily.graphs.unet import (
    context_graph,
    control_graph,
    controlnet_graph,
    unet_graph,
)
from zoo_instantfamily.pipeline import InstantFamilyPipeline
from zoo_instantfamily.runtime import SCHEDULER_FILE, TOKENIZER_FOLDER, FamilyRunner
from zoo_instantfamily.schedulers import SCHEDULERS, make_scheduler

__all__ = ["export_pipeline"]

_TOLERANCE = 1e-3
_STEPS = 2
_PRIVATE = ("_name_or_path", "_commit_hash", "_attn_implementation_autoset")


def export_pipeline(
    pipe: Any,
    folder: str | os.PathLike[str],
    *,
    verify: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write a pipeline as a folder for `zoo.load_onnx`, whole or not at all.

    Parameters
    ----------
    pipe : InstantFamilyPipeline
        The pipeline. Weights are written in float32.
    folder : path-like
        Where to.
    verify : bool, default=True
        Draw one image of two people in two steps with both and compare.
    overwrite : bool, default=False
        Replace an exported folder that is there.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    zoo.errors.ExportError
        A part of the pipeline is of a kind that cannot be written.
    zoo.errors.VerificationError
        The images differ by more than 1e-3. Nothing is left behind.
    zoo.errors.FolderExistsError
        Something is at ``folder`` that may not be replaced.
    zoo.errors.MissingDependencyError
        onnxruntime, which verifies, is missing.
    """
    if not isinstance(pipe, InstantFamilyPipeline) or len(_nets(pipe.controlnet)) != 1:
        raise ExportError(
            "An exported pipeline must be an InstantFamilyPipeline with one ControlNet. "
            f"Got a {type(pipe).__name__} with {len(_nets(pipe.controlnet))}."
        )
    graphs = _graphs(pipe)
    with atomic_folder(folder, overwrite=overwrite, marker=MANIFEST) as new:
        write_bundle(
            new,
            {f"{name}/model": graph for name, graph in graphs.items()},
            model="instantfamily",
            task="generation",
            distribution="zoo-instantfamily",
            version=_version(),
            runner="instantfamily",
            metadata={"config": _config(pipe)},
            files=_files(pipe, graphs),
        )
        if verify:
            _verify(pipe, new)
    return Path(folder)


def _version() -> str:
    from zoo_instantfamily import __version__

    return __version__


def _nets(controlnet: Any) -> list[Any]:
    nets = getattr(controlnet, "nets", None)
    return [controlnet] if nets is None else list(nets)


def _graphs(pipe: Any) -> dict[str, onnx.ModelProto]:
    kinds = {
        "unet": pipe.config.unet_attention,
        "controlnet": pipe.config.controlnet_attention,
    }
    networks = [(name, getattr(pipe, name), kind) for name, kind in kinds.items()]
    graphs = {
        "text_encoder": text_encoder_graph(pipe.text_encoder),
        "id_projector": projector_graph(pipe.id_projector),
        "context": context_graph(
            networks, channels=pipe.unet.config.cross_attention_dim, adapter=pipe.id_adapter
        ),
        "control": control_graph(pipe.controlnet),
        "controlnet": controlnet_graph(pipe.controlnet, kind=kinds["controlnet"]),
        "unet": unet_graph(pipe.unet, kind=kinds["unet"]),
        "vae_encoder": vae_encoder_graph(pipe.vae),
        "vae_decoder": vae_decoder_graph(pipe.vae),
    }
    if isinstance(pipe.face_encoder, DrawnFaceReader):
        graphs["face_encoder"] = face_encoder_graph(pipe.face_encoder.encoder)
    elif pipe.face_encoder is not None:
        raise ExportError(
            "The face_encoder of an exported pipeline must be a DrawnFaceReader or None. "
            f"Got a {type(pipe.face_encoder).__name__}."
        )
    return graphs


def _config(pipe: Any) -> dict[str, Any]:
    vae = pipe.vae.config
    tokenizer = pipe.tokenizer
    return {
        "unet_attention": pipe.config.unet_attention,
        "controlnet_attention": pipe.config.controlnet_attention,
        "circles": bool(pipe.config.circles),
        "overlaps": pipe.config.overlaps,
        "levels": len(pipe.unet.config.block_out_channels),
        "pixels_per_latent": int(pipe.vae_scale_factor),
        "side": int(pipe.unet.config.sample_size * pipe.vae_scale_factor),
        "latent_channels": int(pipe.unet.config.in_channels),
        "scaling_factor": float(vae.scaling_factor),
        "shift_factor": 0.0,
        "tokenizer": {
            "length": int(tokenizer.model_max_length),
            "start": tokenizer.bos_token,
            "end": tokenizer.eos_token,
            "pad": tokenizer.pad_token,
            "unknown": tokenizer.unk_token,
        },
    }


def _files(pipe: Any, graphs: dict[str, onnx.ModelProto]) -> dict[str, bytes]:
    found = {
        "model_index.json": _json(_index(pipe, graphs)),
        SCHEDULER_FILE: _json(_scheduler(pipe.scheduler)),
        **_tokenizer_files(pipe.tokenizer),
    }
    for name in graphs:
        component = "vae" if name.startswith("vae_") else name
        module = pipe.components.get(component)
        if module is not None:
            found[f"{name}/config.json"] = _json(_plain(module.config))
    return found


def _index(pipe: Any, graphs: dict[str, onnx.ModelProto]) -> dict[str, Any]:
    parts = {name: ["diffusers", "OnnxRuntimeModel"] for name in graphs}
    return {
        "_class_name": type(pipe).__name__,
        "_diffusers_version": diffusers.__version__,
        "_zoo_version": zoo.__version__,
        **parts,
        "scheduler": ["diffusers", type(pipe.scheduler).__name__],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }


def _scheduler(scheduler: Any) -> dict[str, Any]:
    config = {**_plain(scheduler.config), "_class_name": type(scheduler).__name__}
    if config["_class_name"] not in SCHEDULERS:
        raise ExportError(
            f"The scheduler of an exported pipeline must be one of {', '.join(SCHEDULERS)}. "
            f"Got a {config['_class_name']}."
        )
    make_scheduler(config, 1)
    return config


def _tokenizer_files(tokenizer: Any) -> dict[str, bytes]:
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model = state.get("model", {})
    if model.get("type") != "BPE" or model.get("end_of_word_suffix") != "</w>":
        raise ExportError(
            "The tokenizer of an exported pipeline must be CLIP's. "
            f"Got a {type(tokenizer).__name__} of type {model.get('type')!r}."
        )
    special = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token}
    added = [token["content"] for token in state.get("added_tokens", [])]
    odd = [token for token in added if token not in special]
    if odd:
        raise ExportError(
            "The tokenizer of an exported pipeline must have no tokens added by textual inversion. "
            f"Got {odd[0]!r}."
        )
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    options = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": int(tokenizer.model_max_length),
        "bos_token": tokenizer.bos_token,
        "eos_token": tokenizer.eos_token,
        "pad_token": tokenizer.pad_token,
        "unk_token": tokenizer.unk_token,
    }
    return {
        f"{TOKENIZER_FOLDER}/vocab.json": _json(tokenizer.get_vocab()),
        f"{TOKENIZER_FOLDER}/merges.txt": merges_text(merges).encode(),
        f"{TOKENIZER_FOLDER}/tokenizer_config.json": _json(options),
    }


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as JSON, without what it says about the machine it was made on."""
    values = dict(config) if isinstance(config, dict) else config.to_dict()
    kept = {name: value for name, value in values.items() if name not in _PRIVATE}
    return dict(json.loads(json.dumps(kept, default=str).replace("-Infinity", "null")))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _verify(pipe: Any, folder: Path) -> None:
    side = int(pipe.unet.config.sample_size * pipe.vae_scale_factor)
    boxes = [(0, 0, side // 2, side // 2), (side // 2, side // 2, side, side)]
    draw = np.random.default_rng(0)
    config = pipe.id_projector.config
    faces = []
    for _ in boxes:
        vector = draw.normal(size=(1, config.global_dim)).astype(np.float32)
        tokens = draw.normal(size=(1, config.grid**2, config.local_dim)).astype(np.float32)
        faces.append(FaceFeatures(torch.from_numpy(vector), torch.from_numpy(tokens)))
    options: dict[str, Any] = {"num_inference_steps": _STEPS, "output_type": "np"}
    generator = torch.Generator().manual_seed(0)
    wanted = pipe("two people", faces, boxes, generator=generator, **options).images
    found = FamilyRunner(read_bundle(folder), device="cpu")("two people", faces, boxes, **options)
    _compare(np.asarray(found.images), np.asarray(wanted))


def _compare(found: NDArray, wanted: NDArray) -> None:
    largest = float(np.abs(found - wanted).max())
    if not largest <= _TOLERANCE:
        raise VerificationError(
            f"The images of an exported pipeline must differ from its own by at most {_TOLERANCE}. "
            f"Got {largest:.3g}."
        )
