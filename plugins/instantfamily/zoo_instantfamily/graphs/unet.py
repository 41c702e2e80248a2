"""The UNet and the ControlNet, with keys and values of the text and the identities as inputs.

Neither depends on the step, so `context_graph` computes them once for an image. The convolutions
over the control image are taken out of the ControlNet for the same reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.transformers.transformer_2d import Transformer2DModel

from zoo_instantfamily.attention import levels_of
from zoo_instantfamily.graphs.layers import LayerBuilder

__all__ = ["CrossLayer", "context_graph", "control_graph", "controlnet_graph", "unet_graph"]

_DOWN = ("DownBlock2D", "CrossAttnDownBlock2D")
_UP = ("UpBlock2D", "CrossAttnUpBlock2D")
_MID = ("UNetMidBlock2D", "UNetMidBlock2DCrossAttn")


@dataclass(frozen=True, slots=True)
class CrossLayer:
    """A cross-attention layer of a network.

    Attributes
    ----------
    name : str
        Of its processor.
    layer : Attention
        The module.
    level : int
        Its resolution level.
    """

    name: str
    layer: Any
    level: int


def cross_layers(network: Any) -> list[CrossLayer]:
    """The cross-attention layers of a network, in its own order."""
    return [
        CrossLayer(name, network.get_submodule(name.removesuffix(".processor")), level)
        for name, level in levels_of(network).items()
        if name.endswith("attn2.processor")
    ]


class _Network(LayerBuilder):
    """A UNet or ControlNet whose cross-attention takes keys and values from outside."""

    def __init__(self, name: str, network: Any, kind: str) -> None:
        super().__init__(name)
        self.network, self.kind = network, kind
        self.cross = {
            id(found.layer): (number, found.level)
            for number, found in enumerate(cross_layers(network))
        }
        config = network.config
        odd = {
            name: config.get(name)
            for name in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type")
            if config.get(name) is not None
        }
        if odd or config.get("center_input_sample"):
            raise self.refuse(network, "it must be given a sample, a timestep and a text alone")

    def open(self) -> tuple[str, str]:
        """Declare what both networks take: the sample and the activated moment."""
        network = self.network
        channels = network.config.in_channels
        sample = self.input("sample", ["batch", channels, "height", "width"])
        timestep = self.input("timestep", [1])
        for found in cross_layers(network):
            number, _ = self.cross[id(found.layer)]
            heads, width = found.layer.heads, found.layer.to_q.out_features
            depth = width // heads
            name = self.name
            self.input(f"{name}_key_{number}", ["batch", heads, depth, "keys"])
            self.input(f"{name}_value_{number}", ["batch", heads, "keys", depth])
            if self.kind == "decoupled":
                self.input(f"{name}_own_key_{number}", ["batch", "people", heads, depth, "tokens"])
                self.input(
                    f"{name}_own_value_{number}", ["batch", "people", heads, "tokens", depth]
                )
        if self.kind != "text":
            for level in sorted({level for _, level in self.cross.values()}):
                if self.kind == "decoupled":
                    shape: list[int | str] = ["some", "people", 1, f"pixels_{level}", 1]
                else:
                    shape = ["some", 1, f"pixels_{level}", "keys"]
                self.input(f"{self.name}_bias_{level}", shape)
        return sample, self._moment(timestep)

    def _moment(self, timestep: str) -> str:
        network = self.network
        wave = network.time_proj
        half = wave.num_channels // 2
        exponent = -np.log(10000) * np.arange(half, dtype=np.float32)
        speed = wave.scale * np.exp(exponent / (half - wave.downscale_freq_shift))
        phase = self.node(
            "Mul",
            [self.reshape(timestep, 1, 1), self.weight("speed", speed[None])],
            "phase",
        )
        parts = [self.node("Sin", [phase], "sin"), self.node("Cos", [phase], "cos")]
        waves = self.concat(parts[::-1] if wave.flip_sin_to_cos else parts, 1)
        embed = network.time_embedding
        if embed.post_act is not None or wave.num_channels % 2:
            raise self.refuse(embed, "the embedding of the timestep must be plain")
        hidden = self.activate(self.linear(waves, embed.linear_1), embed.act)
        # Every residual block activates the moment first; once is enough.
        resnet = network.down_blocks[0].resnets[0]
        return self.activate(self.linear(hidden, embed.linear_2), resnet.nonlinearity)

    def down(self, x: str, moment: str) -> tuple[str, list[str]]:
        """The way down: the last value and all that are passed across."""
        kept = [x]
        for block in self.network.down_blocks:
            if type(block).__name__ not in _DOWN:
                raise self.refuse(block, f"its way down must be of {' and '.join(_DOWN)}")
            attentions = getattr(block, "attentions", [None] * len(block.resnets))
            for resnet, attention in zip(block.resnets, attentions, strict=True):
                x = self.resnet(x, resnet, moment)
                x = x if attention is None else self.transformer(x, attention)
                kept.append(x)
            for layer in block.downsamplers or []:
                x = self.downsample(x, layer)
                kept.append(x)
        return x, kept

    def middle(self, x: str, moment: str) -> str:
        """The block at the lowest resolution."""
        block = self.network.mid_block
        if block is None:
            return x
        if type(block).__name__ not in _MID:
            raise self.refuse(block, f"its middle must be {' or '.join(_MID)}")
        x = self.resnet(x, block.resnets[0], moment)
        for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
            x = x if attention is None else self.transformer(x, attention)
            x = self.resnet(x, resnet, moment)
        return x

    def up(self, x: str, kept: list[str], moment: str) -> str:
        """The way up."""
        kept = list(kept)
        blocks = self.network.up_blocks
        for number, block in enumerate(blocks):
            if type(block).__name__ not in _UP:
                raise self.refuse(block, f"its way up must be of {' and '.join(_UP)}")
            attentions = getattr(block, "attentions", [None] * len(block.resnets))
            for resnet, attention in zip(block.resnets, attentions, strict=True):
                x = self.resnet(self.concat([x, kept.pop()], 1), resnet, moment)
                x = x if attention is None else self.transformer(x, attention)
            for layer in block.upsamplers or []:
                like = kept[-1] if number + 1 < len(blocks) else None
                x = self.upsample(x, layer, like=like)
        return x

    def transformer(self, x: str, module: Any) -> str:
        """Transformer blocks over the pixels."""
        if type(module) is not Transformer2DModel or not module.is_input_continuous:
            raise self.refuse(module, "attention must be that of a Transformer2DModel")
        inner = module.inner_dim
        sizes = self.node("Shape", [x], "sizes")
        hidden = self.group_norm(x, module.norm)
        if not module.use_linear_projection:
            hidden = self.convolve(hidden, module.proj_in)
        hidden = self.transpose(self.reshape(hidden, 0, inner, -1), 0, 2, 1)
        if module.use_linear_projection:
            hidden = self.linear(hidden, module.proj_in)
        for block in module.transformer_blocks:
            hidden = self._block(hidden, block)
        if module.use_linear_projection:
            hidden = self.linear(hidden, module.proj_out)
        hidden = self.node("Reshape", [self.transpose(hidden, 0, 2, 1), sizes], "back")
        if not module.use_linear_projection:
            hidden = self.convolve(hidden, module.proj_out)
        return self.add(hidden, x)

    def _block(self, x: str, block: Any) -> str:
        plain = type(block) is BasicTransformerBlock and block.norm_type == "layer_norm"
        if not plain or block.only_cross_attention or block.attn2 is None:
            raise self.refuse(block, "a transformer block must be plain")
        x = self.add(x, self.self_attention(self.layer_norm(x, block.norm1), block.attn1))
        x = self.add(x, self._cross(self.layer_norm(x, block.norm2), block.attn2))
        return self.add(x, self.feed_forward(self.layer_norm(x, block.norm3), block.ff))

    def _cross(self, x: str, layer: Any) -> str:
        number, level = self.cross[id(layer)]
        name = self.name
        scaled = self.linear(x, layer.to_q, scale=float(layer.scale))
        query = self.heads(scaled, layer.heads)
        bias = f"{name}_bias_{level}"
        stacked = bias if self.kind in ("stack", "faces") else None
        out = self.attend(query, f"{name}_key_{number}", f"{name}_value_{number}", stacked)
        if self.kind == "decoupled":
            each = self.attend(
                self.node("Unsqueeze", [query, self.shape(1)], "for_each"),
                f"{name}_own_key_{number}",
                f"{name}_own_value_{number}",
            )
            weighed = self.node("Mul", [each, bias], "weighed")
            own = self.node("ReduceSum", [weighed, self.shape(1)], "own", keepdims=0)
            out = self.add(out, own)
        return self.linear(self.merge(out), layer.to_out[0])


def unet_graph(unet: Any, *, kind: str) -> onnx.ModelProto:
    """The UNet.

    Parameters
    ----------
    unet : UNet2DConditionModel
        The module.
    kind : {"stack", "decoupled", "faces", "text"}
        How its cross-attention sees the identities.

    Returns
    -------
    onnx.ModelProto
        Inputs ``sample`` (batch, channels, height, width), ``timestep`` (1,), the ``down_i`` and
        ``mid`` of the ControlNet, keys, values and biases; output ``out_sample``.
    """
    graph = _Network("unet", unet, kind)
    sample, moment = graph.open()
    x, kept = graph.down(graph.convolve(sample, unet.conv_in), moment)
    widths = _widths(unet)
    added = [
        graph.add(
            value, graph.input(f"down_{i}", ["batch", widths[i], f"height_{i}", f"width_{i}"])
        )
        for i, value in enumerate(kept)
    ]
    x = graph.middle(x, moment)
    x = graph.add(x, graph.input("mid", ["batch", widths[-1], "height_mid", "width_mid"]))
    x = graph.up(x, added, moment)
    if unet.conv_norm_out is not None:
        x = graph.activate(graph.group_norm(x, unet.conv_norm_out), unet.conv_act)
    x = graph.convolve(x, unet.conv_out)
    graph.output(x, "out_sample", ["batch", unet.config.out_channels, "height", "width"])
    return graph.model()


def controlnet_graph(controlnet: Any, *, kind: str) -> onnx.ModelProto:
    """The ControlNet, without the convolutions over the control image.

    Parameters
    ----------
    controlnet : ControlNetModel
        The module.
    kind : {"stack", "faces", "text"}
        How its cross-attention sees the identities.

    Returns
    -------
    onnx.ModelProto
        Inputs as for the UNet, ``condition`` (batch, channels, height, width) as `control_graph`
        gives it, and ``conditioning_scale`` (1,); outputs ``down_i`` and ``mid``.
    """
    graph = _Network("controlnet", controlnet, kind)
    sample, moment = graph.open()
    widths = _widths(controlnet)
    condition = graph.input("condition", ["batch", widths[0], "height", "width"])
    strength = graph.input("conditioning_scale", [1])
    x = graph.add(graph.convolve(sample, controlnet.conv_in), condition)
    x, kept = graph.down(x, moment)
    x = graph.middle(x, moment)

    def give(value: str, layer: Any, name: str, width: int) -> None:
        scaled = graph.node("Mul", [graph.convolve(value, layer), strength], f"scaled_{name}")
        graph.output(scaled, name, ["batch", width, f"height_{name}", f"width_{name}"])

    for i, (value, layer) in enumerate(zip(kept, controlnet.controlnet_down_blocks, strict=True)):
        give(value, layer, f"down_{i}", widths[i])
    give(x, controlnet.controlnet_mid_block, "mid", widths[-1])
    return graph.model()


def control_graph(controlnet: Any) -> onnx.ModelProto:
    """The convolutions over the control image.

    Parameters
    ----------
    controlnet : ControlNetModel
        The module.

    Returns
    -------
    onnx.ModelProto
        ``image`` (batch, 3, 8 * height, 8 * width) to ``condition``.
    """
    graph = LayerBuilder("control")
    embed = controlnet.controlnet_cond_embedding
    channels = embed.conv_in.in_channels
    x = graph.input("image", ["batch", channels, "pixels_down", "pixels_across"])
    if controlnet.config.controlnet_conditioning_channel_order == "bgr":
        order = graph.weight("order", np.arange(channels)[::-1].copy(), np.int64)
        x = graph.node("Gather", [x, order], "bgr", axis=1)
    silu = controlnet.down_blocks[0].resnets[0].nonlinearity
    x = graph.activate(graph.convolve(x, embed.conv_in), silu)
    for block in embed.blocks:
        x = graph.activate(graph.convolve(x, block), silu)
    x = graph.convolve(x, embed.conv_out)
    graph.output(x, "condition", ["batch", embed.conv_out.out_channels, "height", "width"])
    return graph.model()


def context_graph(
    networks: Sequence[tuple[str, Any, str]], *, channels: int, adapter: Any = None
) -> onnx.ModelProto:
    """Keys and values of the text and the identities, for all layers of all networks.

    Parameters
    ----------
    networks : sequence of (str, Module, str)
        Name, network, and kind of its cross-attention.
    channels : int
        Of the tokens.
    adapter : IDAdapter or None
        For decoupled attention.

    Returns
    -------
    onnx.ModelProto
        Inputs ``text`` (batch, length, channels), ``identities`` (batch, people, tokens, channels)
        and, where faces stand in place of the text, ``nobody`` (batch, tokens, channels).
    """
    graph = LayerBuilder("context")
    text = graph.input("text", ["batch", "length", channels])
    people = graph.input("identities", ["batch", "people", "tokens", channels])
    flat = graph.reshape(people, 0, -1, channels)
    contexts = {"text": text, "decoupled": text, "stack": graph.concat([text, flat], 1)}
    if any(kind == "faces" for *_, kind in networks):
        nobody = graph.input("nobody", ["batch", "tokens", channels])
        contexts["faces"] = graph.concat([nobody, flat], 1)
    for name, network, kind in networks:
        for number, found in enumerate(cross_layers(network)):
            layer = found.layer
            depth = layer.to_q.out_features // layer.heads
            key, value = (
                graph.heads(graph.linear(contexts[kind], project), layer.heads, turned=turned)
                for project, turned in ((layer.to_k, True), (layer.to_v, False))
            )
            graph.output(key, f"{name}_key_{number}", ["batch", layer.heads, depth, f"{name}_keys"])
            graph.output(
                value, f"{name}_value_{number}", ["batch", layer.heads, f"{name}_keys", depth]
            )
            if kind != "decoupled":
                continue
            place = [row[0] for row in adapter.config.layers].index(found.name)
            for what, project, order, shape in (
                ("key", adapter.to_k[place], (0, 1, 3, 4, 2), [layer.heads, depth, "tokens"]),
                ("value", adapter.to_v[place], (0, 1, 3, 2, 4), [layer.heads, "tokens", depth]),
            ):
                split = graph.reshape(graph.linear(people, project), 0, 0, 0, layer.heads, -1)
                graph.output(
                    graph.transpose(split, *order),
                    f"{name}_own_{what}_{number}",
                    ["batch", "people", *shape],
                )
    return graph.model()


def _widths(network: Any) -> list[int]:
    """Channels of what the ControlNet hands to the UNet, the middle last."""
    widths = [network.conv_in.out_channels]
    for block in network.down_blocks:
        widths += [resnet.out_channels for resnet in block.resnets]
        widths += [layer.out_channels for layer in block.downsamplers or []]
    return [*widths, network.config.block_out_channels[-1]]
