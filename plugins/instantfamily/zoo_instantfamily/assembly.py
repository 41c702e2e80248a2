"""Public weights put together: ``zoo.load("instantfamily", base=..., controlnet=...)``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, DiffusionPipeline, ModelMixin, UNet2DConditionModel

from zoo.errors import SourceError
from zoo_instantfamily.encoders import DrawnFaceEncoder
from zoo_instantfamily.face_encoder import DrawnFaceReader
from zoo_instantfamily.faces import FaceReader
from zoo_instantfamily.loaders import (
    load_arcface,
    load_faceid,
    load_insightface,
    load_instantid,
)
from zoo_instantfamily.loaders.weights import Identity
from zoo_instantfamily.pipeline import InstantFamilyPipeline
from zoo_instantfamily.pipeline_xl import InstantFamilyXLPipeline
from zoo_instantfamily.projector import IDProjector

__all__ = ["assemble"]

_INSTANTID_CONTROLNET = "ControlNetModel"


def assemble(
    *,
    base: str | os.PathLike[str],
    identity: Any,
    controlnet: Any = None,
    face_encoder: Any = None,
    lora_scale: float = 1.0,
    identity_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Put a pipeline together from a base model, a ControlNet, identity weights and a face encoder.

    Parameters
    ----------
    base : str or path-like
        A pipeline of Stable Diffusion 1.5 or SDXL: a folder, or a repository on the hub.
    identity : path-like, IDProjector or Identity
        InstantID's folder or ``ip-adapter.bin``; a file of IP-Adapter-FaceID; the folder of a
        saved `IDProjector`; or one of these loaded already.
    controlnet : path-like, ControlNetModel, list of these, or None
        ``None`` only with InstantID's folder, which has one.
    face_encoder : path-like, FaceReader, DrawnFaceReader, DrawnFaceEncoder, or None
        The folder of an insightface pack, a checkpoint of arcface_torch, or one loaded already.
        ``None`` takes embeddings only.
    lora_scale : float, default=1.0
        Weight of the low-rank changes that FaceID brings for the UNet; they are added to its
        weights.
    identity_options : mapping or None, default=None
        For `load_instantid` or `load_faceid`, such as ``{"variant": "plusv2"}``.
    **options
        For the pipeline: components to use instead of the base's, ``torch_dtype``, ``circles``...

    Returns
    -------
    InstantFamilyPipeline or InstantFamilyXLPipeline

    Raises
    ------
    zoo.errors.SourceError
        A path leads nowhere.
    zoo.errors.FormatError
        A file does not fit the base.
    ValueError
        A part is missing.
    """
    index = DiffusionPipeline.load_config(base)
    xl = "XL" in str(index.get("_class_name"))
    cls: Any = InstantFamilyXLPipeline if xl else InstantFamilyPipeline
    dtype = options.get("torch_dtype", torch.float32)
    unet = options.pop("unet", None)
    if unet is None:
        unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet", torch_dtype=dtype)
    parts = _read_identity(identity, unet, dict(identity_options or {}))
    normalise = True
    if isinstance(parts, Identity):
        _add(unet, parts.changes, lora_scale)
        normalise = parts.controlnet_attention != "faces"
        options = {
            "id_projector": parts.projector.to(dtype),
            "id_adapter": parts.adapter.to(dtype),
            "unet_attention": "decoupled",
            "controlnet_attention": parts.controlnet_attention,
            "circles": False,
            **options,
        }
    else:
        options = {"id_projector": parts.to(dtype), **options}
    if controlnet is None and isinstance(identity, str | os.PathLike):
        inside = Path(identity) / _INSTANTID_CONTROLNET
        controlnet = inside if inside.is_dir() else None
    if controlnet is None:
        raise ValueError(
            "A pipeline of several people must have a controlnet: a path or a ControlNetModel. "
            "Got none."
        )
    reader = _read_faces(face_encoder, normalise=normalise)
    if isinstance(reader, DrawnFaceReader):
        options["face_encoder"] = reader
    if "safety_checker" not in index:
        options.setdefault("requires_safety_checker", False) if not xl else None
    pipe = cls.from_pretrained(
        base, unet=unet, controlnet=_read_controlnet(controlnet, dtype), **options
    )
    if isinstance(reader, FaceReader):
        pipe.face_reader = reader
    return pipe


def _read_identity(identity: Any, unet: Any, options: dict[str, Any]) -> Any:
    if isinstance(identity, Identity | ModelMixin):
        return identity
    path = Path(identity)
    if not path.exists():
        raise SourceError(f"Cannot load identity weights from {path}: nothing is there.")
    if path.is_dir() and (path / "config.json").is_file():
        return IDProjector.from_pretrained(path)
    if path.is_dir() or path.stem == "ip-adapter":
        return load_instantid(path, unet=unet, **options)
    return load_faceid(path, unet=unet, **options)


def _read_controlnet(controlnet: Any, dtype: torch.dtype) -> Any:
    if isinstance(controlnet, list | tuple):
        return [_read_controlnet(one, dtype) for one in controlnet]
    if isinstance(controlnet, str | os.PathLike):
        return ControlNetModel.from_pretrained(controlnet, torch_dtype=dtype)
    return controlnet


def _read_faces(face_encoder: Any, *, normalise: bool) -> Any:
    if isinstance(face_encoder, DrawnFaceEncoder):
        return DrawnFaceReader.of(face_encoder)
    if not isinstance(face_encoder, str | os.PathLike):
        return face_encoder
    if Path(face_encoder).is_dir():
        return load_insightface(face_encoder, normalise=normalise)
    return FaceReader(recogniser=load_arcface(face_encoder, normalise=normalise))


def _add(unet: Any, changes: Mapping[str, torch.Tensor], scale: float) -> None:
    with torch.no_grad():
        for name, change in changes.items():
            weight = unet.get_parameter(name)
            weight.add_(scale * change.to(weight.device, weight.dtype))
