"""Layers of diffusion networks as ONNX nodes.

Written by hand rather than traced: a graph is there in a second, its axes are dynamic by
construction, and keys and values can come in from outside.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from diffusers.models.activations import GEGLU, GELU
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from zoo.errors import ExportError
from zoo.onnx.builder import GraphBuilder

__all__ = ["LayerBuilder", "array"]

OPSET = 20


def array(tensor: Tensor) -> np.ndarray:
    """A weight as float32."""
    return tensor.detach().float().cpu().numpy()


class LayerBuilder(GraphBuilder):
    """Collects the nodes of one network.

    Parameters
    ----------
    name : str
        Name of the graph.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, dtype="float32", opset=OPSET)
        self._whole: dict[tuple[int, ...], str] = {}

    def refuse(self, module: Any, why: str) -> ExportError:
        """The error of a module that cannot be written."""
        return ExportError(
            f"The graph {self.name!r} must be made of the layers of Stable Diffusion 1.5: {why}. "
            f"Got a {type(module).__name__}."
        )

    def shape(self, *sizes: int) -> str:
        """A constant for Reshape and the like, once for each value."""
        if sizes not in self._whole:
            self._whole[sizes] = self.weight("shape", np.array(sizes), np.int64)
        return self._whole[sizes]

    def reshape(self, x: str, *sizes: int) -> str:
        """Reshape; 0 keeps an axis, -1 is what is left."""
        return self.node("Reshape", [x, self.shape(*sizes)], "reshape")

    def transpose(self, x: str, *order: int) -> str:
        """Transpose."""
        return self.node("Transpose", [x], "transpose", perm=list(order))

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """Concatenate."""
        return self.node("Concat", list(parts), "concat", axis=axis)

    def add(self, one: str, two: str) -> str:
        """Add."""
        return self.node("Add", [one, two], "add")

    def scaled(self, x: str, factor: float) -> str:
        """Multiply by a number; by 1 it stays as it is."""
        if factor == 1:
            return x
        return self.node("Mul", [x, self.weight("factor", np.float32(factor))], "scaled")

    def linear(self, x: str, layer: Any, *, scale: float = 1.0) -> str:
        """A linear layer over the last axis, its result scaled at no cost."""
        if type(layer) is not nn.Linear:
            raise self.refuse(layer, "a linear layer must be torch's own; unload adapters first")
        weight = self.weight("weight", array(layer.weight).T * np.float32(scale))
        out = self.node("MatMul", [x, weight], "matmul")
        if layer.bias is None:
            return out
        return self.add(out, self.weight("bias", array(layer.bias) * np.float32(scale)))

    def convolve(self, x: str, layer: Any) -> str:
        """A two-dimensional convolution."""
        if type(layer) is not nn.Conv2d or layer.padding_mode != "zeros":
            raise self.refuse(layer, "a convolution must be torch's own; unload adapters first")
        if isinstance(layer.padding, str):
            raise self.refuse(layer, "the padding of a convolution must be a number")
        inputs = [x, self.weight("weight", array(layer.weight))]
        if layer.bias is not None:
            inputs.append(self.weight("bias", array(layer.bias)))
        return self.node(
            "Conv",
            inputs,
            "conv",
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=list(layer.padding) * 2,
            dilations=list(layer.dilation),
            group=layer.groups,
        )

    def group_norm(self, x: str, layer: Any) -> str:
        """Group normalisation of (batch, channels, height, width)."""
        return self._group_norm(x, layer, (-1, 1, 1))

    def group_norm_flat(self, x: str, layer: Any) -> str:
        """Group normalisation of (batch, channels, pixels)."""
        return self._group_norm(x, layer, (-1, 1))

    def _group_norm(self, x: str, layer: Any, column: tuple[int, ...]) -> str:
        ones = self.weight("ones", np.ones(layer.num_groups))
        zeros = self.weight("zeros", np.zeros(layer.num_groups))
        groups = self.reshape(x, 0, layer.num_groups, -1)
        normal = self.node(
            "InstanceNormalization", [groups, ones, zeros], "normal", epsilon=layer.eps
        )
        back = self.node("Reshape", [normal, self.node("Shape", [x], "sizes")], "back")
        weight = self.weight("weight", array(layer.weight).reshape(column))
        bias = self.weight("bias", array(layer.bias).reshape(column))
        return self.add(self.node("Mul", [back, weight], "mul"), bias)

    def layer_norm(self, x: str, layer: Any) -> str:
        """Layer normalisation over the last axis."""
        if type(layer) is not nn.LayerNorm or layer.weight is None:
            raise self.refuse(layer, "a transformer must have plain layer normalisations")
        inputs = [x, self.weight("weight", array(layer.weight))]
        if layer.bias is not None:
            inputs.append(self.weight("bias", array(layer.bias)))
        return self.node("LayerNormalization", inputs, "norm", axis=-1, epsilon=layer.eps)

    def activate(self, x: str, layer: Any) -> str:
        """An activation function, by its module."""
        match layer:
            case nn.SiLU():
                return self.node("Mul", [x, self.node("Sigmoid", [x], "sigmoid")], "silu")
            case nn.GELU():
                return self.node("Gelu", [x], "gelu", approximate=layer.approximate)
            case nn.ReLU():
                return self.node("Relu", [x], "relu")
            case nn.PReLU():
                slope = self.weight("slope", array(layer.weight).reshape(-1, 1, 1))
                return self.node("PRelu", [x, slope], "prelu")
            case nn.Identity():
                return x
        if type(layer).__name__ == "QuickGELUActivation":
            gate = self.node("Sigmoid", [self.scaled(x, 1.702)], "sigmoid")
            return self.node("Mul", [x, gate], "quick_gelu")
        if type(layer).__name__ in ("GELUActivation", "SiLUActivation"):
            return self.activate(x, nn.GELU() if "GELU" in type(layer).__name__ else nn.SiLU())
        raise self.refuse(layer, "activations are SiLU, GELU, ReLU and PReLU")

    def batch_norm(self, x: str, layer: Any) -> str:
        """Batch normalisation with the statistics of training."""
        values = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        inputs = [x, *(self.weight("statistic", array(value)) for value in values)]
        return self.node("BatchNormalization", inputs, "norm", epsilon=layer.eps)

    def sequence(self, x: str, layers: Any) -> str:
        """Modules one after the other."""
        for layer in layers:
            match layer:
                case nn.Sequential():
                    x = self.sequence(x, layer)
                case nn.Linear():
                    x = self.linear(x, layer)
                case nn.Conv2d():
                    x = self.convolve(x, layer)
                case nn.LayerNorm():
                    x = self.layer_norm(x, layer)
                case nn.BatchNorm1d() | nn.BatchNorm2d():
                    x = self.batch_norm(x, layer)
                case nn.Flatten():
                    x = self.reshape(x, 0, -1)
                case nn.Dropout():
                    pass
                case _:
                    x = self.activate(x, layer)
        return x

    def heads(self, x: str, heads: int, *, turned: bool = False) -> str:
        """(batch, tokens, channels) to (batch, heads, tokens, d), or (..., d, tokens) if turned."""
        split = self.reshape(x, 0, 0, heads, -1)
        return self.transpose(split, *((0, 2, 3, 1) if turned else (0, 2, 1, 3)))

    def merge(self, x: str) -> str:
        """(batch, heads, tokens, d) to (batch, tokens, channels)."""
        return self.reshape(self.transpose(x, 0, 2, 1, 3), 0, 0, -1)

    def attend(self, query: str, key: str, value: str, bias: str | None = None) -> str:
        """Softmax attention; the key is turned, the query scaled already."""
        logits = self.node("MatMul", [query, key], "logits")
        if bias is not None:
            logits = self.add(logits, bias)
        share = self.node("Softmax", [logits], "share", axis=-1)
        return self.node("MatMul", [share, value], "attended")

    def self_attention(self, x: str, layer: Attention, *, bias: str | None = None) -> str:
        """Self-attention over (batch, tokens, channels), with the projection that follows."""
        scale = float(layer.scale)
        query = self.heads(self.linear(x, layer.to_q, scale=scale), layer.heads)
        key = self.heads(self.linear(x, layer.to_k), layer.heads, turned=True)
        value = self.heads(self.linear(x, layer.to_v), layer.heads)
        return self.linear(self.merge(self.attend(query, key, value, bias)), layer.to_out[0])

    def feed_forward(self, x: str, layer: Any) -> str:
        """The two layers behind the attention of a transformer block."""
        first = layer.net[0]
        match first:
            case GEGLU():
                both = self.linear(x, first.proj)
                width = first.proj.out_features // 2
                hidden, gate = (
                    self.node(
                        "Slice",
                        [both, self.shape(start), self.shape(start + width), self.shape(-1)],
                        "half",
                    )
                    for start in (0, width)
                )
                gate = self.node("Gelu", [gate], "gelu")
                x = self.node("Mul", [hidden, gate], "gated")
            case GELU():
                x = self.node(
                    "Gelu", [self.linear(x, first.proj)], "gelu", approximate=first.approximate
                )
            case _:
                raise self.refuse(first, "a transformer block must use GEGLU or GELU")
        return self.linear(x, layer.net[2])

    def resnet(self, x: str, layer: Any, moment: str | None) -> str:
        """A residual block; the moment is the activated embedding of the timestep."""
        plain = (
            type(layer) is ResnetBlock2D
            and (layer.time_embedding_norm == "default" or layer.time_emb_proj is None)
            and not (layer.up or layer.down or layer.skip_time_act)
        )
        if not plain:
            raise self.refuse(layer, "a residual block must be plain")
        hidden = self.activate(self.group_norm(x, layer.norm1), layer.nonlinearity)
        hidden = self.convolve(hidden, layer.conv1)
        if layer.time_emb_proj is not None and moment is not None:
            shift = self.reshape(self.linear(moment, layer.time_emb_proj), 0, -1, 1, 1)
            hidden = self.add(hidden, shift)
        hidden = self.activate(self.group_norm(hidden, layer.norm2), layer.nonlinearity)
        hidden = self.convolve(hidden, layer.conv2)
        if layer.conv_shortcut is not None:
            x = self.convolve(x, layer.conv_shortcut)
        return self.scaled(self.add(x, hidden), 1 / layer.output_scale_factor)

    def downsample(self, x: str, layer: Any) -> str:
        """Half the height and width."""
        if type(layer) is not Downsample2D or layer.norm is not None:
            raise self.refuse(layer, "downsampling must be a convolution or a mean")
        if not layer.use_conv:
            return self.node("AveragePool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2])
        if layer.padding == 0:
            x = self.node("Pad", [x, self.shape(0, 0, 0, 0, 0, 0, 1, 1)], "pad")
        return self.convolve(x, layer.conv)

    def upsample(self, x: str, layer: Any, *, like: str | None = None) -> str:
        """Twice the height and width, or those of another value."""
        plain = type(layer) is Upsample2D and layer.norm is None and not layer.use_conv_transpose
        if not plain or not layer.interpolate:
            raise self.refuse(layer, "upsampling must be nearest")
        how = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        if like is None:
            scales = self.weight("scales", np.array([1, 1, 2, 2], dtype=np.float32))
            x = self.node("Resize", [x, "", scales], "resize", **how)
        else:
            sizes = self.concat(
                [
                    self.node("Shape", [x], "own", start=0, end=2),
                    self.node("Shape", [like], "theirs", start=2, end=4),
                ],
                0,
            )
            x = self.node("Resize", [x, "", "", sizes], "resize", **how)
        return self.convolve(x, layer.conv) if layer.use_conv else x
