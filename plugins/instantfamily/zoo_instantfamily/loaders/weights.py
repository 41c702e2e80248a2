"""Files of weights, read as tensors and nothing else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.errors import FormatError, SourceError
from zoo_instantfamily.adapter import IDAdapter

__all__ = ["Identity", "build_adapter", "fill", "read_groups", "read_tensors"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a checkpoint of identities brings to a pipeline.

    Attributes
    ----------
    projector : Module
        For the component ``id_projector``.
    adapter : IDAdapter
        For the component ``id_adapter``.
    controlnet_attention : str
        One of `zoo_instantfamily.attention.KINDS`.
    changes : dict of str to Tensor
        What is to be added to weights of the UNet, by name.
    licence : str
        Under which the weights may be used.
    """

    projector: nn.Module
    adapter: IDAdapter
    controlnet_attention: str
    licence: str
    changes: Tensors = field(default_factory=dict)


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a file of weights.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file, or one that `torch.save` wrote; of the latter only tensors and
        plain containers are read (``weights_only``), so that no code in it is run.

    Returns
    -------
    dict

    Raises
    ------
    zoo.errors.SourceError
        There is no such file.
    zoo.errors.FormatError
        It is damaged, or holds something else than weights.
    """
    file = Path(path)
    if not file.is_file():
        raise SourceError(f"Cannot load weights from {file}: there is no such file.")
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch's reader raise almost anything
        raise FormatError(
            f"The file {file} must hold tensors alone, by name. {type(error).__name__}: "
            f"{(str(error).splitlines() or [''])[0]:.160}"
        ) from error
    if not isinstance(found, dict):
        raise FormatError(
            f"The file {file} must hold tensors by name. Got a {type(found).__name__}."
        )
    return found


def read_groups(path: str | os.PathLike[str]) -> tuple[Tensors, Tensors]:
    """Read an IP-Adapter file: the projector and the matrices of the layers.

    Parameters
    ----------
    path : path-like
        With two dictionaries, ``image_proj`` and ``ip_adapter``; as ``.safetensors`` with these
        words and a dot before the names.

    Returns
    -------
    projector, layers : dict of str to Tensor

    Raises
    ------
    zoo.errors.FormatError
        The file holds something else.
    """
    found = read_tensors(path)
    if Path(path).suffix == ".safetensors":
        groups: dict[str, Tensors] = {}
        for name, tensor in found.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = tensor
    else:
        groups = found
    if set(groups) != {"image_proj", "ip_adapter"} or not all(map(_is_tensors, groups.values())):
        raise FormatError(
            f"The file {os.fspath(path)} must hold the tensors of 'image_proj' and 'ip_adapter'. "
            f"Got {', '.join(map(repr, sorted(groups)[:6])) or 'nothing'}."
        )
    return groups["image_proj"], groups["ip_adapter"]


def _is_tensors(group: Any) -> bool:
    return isinstance(group, Mapping) and all(isinstance(t, Tensor) for t in group.values())


def fill(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Set all weights of a module.

    Parameters
    ----------
    module : Module
        Changed in place; keeps its dtype.
    tensors : mapping of str to Tensor
        By the names of the module's own weights.
    where : str
        The source, for messages.

    Raises
    ------
    zoo.errors.FormatError
        A name is missing or unknown, or a shape differs.
    """
    expected = module.state_dict()
    wrong = sorted(set(expected) ^ set(tensors))
    if wrong:
        raise FormatError(
            f"The weights in {where} must be those of a {type(module).__name__}. "
            f"Missing or unknown: {', '.join(wrong[:6])}{' ...' if len(wrong) > 6 else ''}."
        )
    for name, tensor in tensors.items():
        if expected[name].shape != tensor.shape:
            raise FormatError(
                f"The weight {name!r} in {where} must have the shape "
                f"{tuple(expected[name].shape)}. Got {tuple(tensor.shape)}."
            )
    module.load_state_dict(dict(tensors))


def build_adapter(unet: Any, layers: Mapping[str, Tensor], where: str) -> tuple[IDAdapter, Tensors]:
    """Match the layers of an IP-Adapter file to those of a UNet.

    The file numbers the attention processors of the UNet in their own order; every second one is
    a cross-attention.

    Parameters
    ----------
    unet : UNet2DConditionModel
        The network.
    layers : mapping of str to Tensor
        ``"3.to_k_ip.weight"`` and so on; and of FaceID the low-rank changes
        ``"3.to_q_lora.down.weight"``.
    where : str
        The source, for messages.

    Returns
    -------
    adapter : IDAdapter
    changes : dict of str to Tensor
        By name of the UNet's weight, what the low-rank matrices add to it.

    Raises
    ------
    zoo.errors.FormatError
        The file belongs to another UNet.
    """
    adapter = IDAdapter.for_unet(unet)
    left = dict(layers)
    changes: Tensors = {}
    filled: Tensors = {}
    position = 0
    try:
        for number, name in enumerate(unet.attn_processors):
            layer = name.removesuffix(".processor")
            if name.endswith("attn2.processor"):
                for kind in ("k", "v"):
                    filled[f"to_{kind}.{position}.weight"] = left.pop(
                        f"{number}.to_{kind}_ip.weight"
                    )
                position += 1
            for target in ("to_q", "to_k", "to_v", "to_out"):
                down = left.pop(f"{number}.{target}_lora.down.weight", None)
                if down is None:
                    continue
                up = left.pop(f"{number}.{target}_lora.up.weight")
                weight = f"{layer}.{target}{'.0' if target == 'to_out' else ''}.weight"
                changes[weight] = up.float() @ down.float()
    except KeyError as error:
        raise FormatError(
            f"The layers in {where} must be those of this UNet, which has {position} or more. "
            f"Missing: {error.args[0]}."
        ) from error
    if left:
        raise FormatError(
            f"The layers in {where} must be those of this UNet. "
            f"Unknown: {', '.join(sorted(left)[:6])}."
        )
    fill(adapter, filled, where)
    shapes = {name: tuple(weight.shape) for name, weight in unet.state_dict().items()}
    for name, change in changes.items():
        if shapes[name] != tuple(change.shape):
            raise FormatError(
                f"The low-rank change of {name!r} in {where} must have the shape {shapes[name]}. "
                f"Got {tuple(change.shape)}."
            )
    return adapter.eval(), changes
