"""One forward of a multi-token model as an ONNX graph, from its weights. Free of torch.

The graph reads a block of tokens per row behind what each row's cache holds, and gives the logits
of head 1 at every position, how many drafts the greedy rule accepts, and the drafts of the other
heads: at the accepted position, or wherever they are asked. Prompts and steps are the same graph.

It is written in one of two dialects, from one description:

``"standard"``
    Operators of opset 24 alone (TensorScatter, Attention, RMSNormalization, RotaryEmbedding): rows
    of different length, any batch. This is what a bundle holds.
``"fused"``
    For one row at a time, with onnxruntime's own GroupQueryAttention, which attends over the kept
    positions only, and its fused normalisation. A runner makes it from the weights in the bundle.

Axes of inputs and outputs: ``rows``, ``block`` (tokens fed), ``asked`` (positions at which heads
draft), ``capacity`` (positions of the cache), ``vocab``.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zoo_multitoken._graph_writer import SCALE, GraphWriter
from zoo_multitoken.config import ModelConfig

__all__ = [
    "DIALECTS",
    "EXPORTABLE_HEADS",
    "cache_names",
    "choose_dialect",
    "read_weights",
    "step_graph",
]

DIALECTS = ("standard", "fused")
#: Modules of DeepSeek-V3 are not among them: their keys depend on drafts that may be refused.
EXPORTABLE_HEADS = ("linear", "causal", "parallel", "anticausal")
_OPSET, _IR = 24, 11
_CONTRIB = "com.microsoft"


def cache_names(config: ModelConfig) -> list[str]:
    """Name the caches of a graph: every layer with attention has one of keys, one of values.

    Parameters
    ----------
    config : ModelConfig
        The model's shape.

    Returns
    -------
    list of str
        Inputs are called ``past_<name>``, outputs ``present_<name>``; each has shape
        (rows, kv_heads, capacity, head_width).
    """
    layers = config.trunk_layers
    if config.head in ("parallel", "anticausal"):
        layers += config.n_heads
    return [f"{what}_{layer}" for layer in range(layers) for what in ("key", "value")]


def choose_dialect(config: ModelConfig, rows: int, *, strict: bool) -> str:
    """Choose the fastest dialect that can do what is asked.

    Parameters
    ----------
    config : ModelConfig
        The model's shape.
    rows : int
        Texts at once.
    strict : bool
        Whether attention must reduce over a length that does not depend on what is kept.

    Returns
    -------
    str
        One of `DIALECTS`.
    """
    fits = config.head_width % 16 == 0  # what GroupQueryAttention is written for
    return "fused" if fits and rows == 1 and not strict else "standard"


def read_weights(graph: onnx.GraphProto) -> dict[str, NDArray]:
    """Take the weights out of a graph that `step_graph` made, int8 ones scaled to float32.

    Parameters
    ----------
    graph : onnx.GraphProto
        Such a graph.

    Returns
    -------
    dict of str to ndarray
        What `step_graph` takes.
    """
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {}
    for name, value in tensors.items():
        if name.endswith(".weight"):
            scale = tensors.get(name + SCALE)
            weights[name] = value if scale is None else value.astype(np.float32) * scale
    return weights


def step_graph(
    config: ModelConfig,
    weights: Mapping[str, NDArray],
    *,
    positions: int,
    dialect: str = "standard",
    scales: Mapping[str, NDArray] | None = None,
) -> onnx.ModelProto:
    """Build the graph of one forward.

    Parameters
    ----------
    config : ModelConfig
        The model's shape; its heads must be among `EXPORTABLE_HEADS`.
    weights : mapping of str to ndarray
        By the names of the model's state; matrices of shape (inputs, outputs), the embedding
        (vocab, d_model). Their floating type is that of the computation.
    positions : int
        Most positions of a row.
    dialect : {"standard", "fused"}, default="standard"
        See above.
    scales : mapping of str to ndarray of shape (outputs,) or None, default=None
        For matrices given as int8: what each column is multiplied by.

    Returns
    -------
    onnx.ModelProto
        The graph.
    """
    return _StepGraph(config, weights, positions, dialect, scales or {}).build()


class _StepGraph(GraphWriter):
    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, NDArray],
        positions: int,
        dialect: str,
        scales: Mapping[str, NDArray],
    ) -> None:
        super().__init__(weights, scales, dtype=weights["norm.weight"].dtype)
        self.config, self.positions, self.fused = config, positions, dialect == "fused"
        self.rows: int | str = 1 if self.fused else "rows"

    def build(self) -> onnx.ModelProto:
        """Put the graph together."""
        config = self.config
        self._input("tokens", [self.rows, "block"], np.int64)
        self._input("start", [self.rows], np.int64)
        self._input("lengths", [self.rows], np.int64)
        self._input("at", [self.rows, "asked"], np.int64)
        self._prepare_positions()
        state = self._op("Gather", [self._weight("embedding.weight"), "tokens"])
        branch = None
        for layer in range(config.trunk_layers):
            state, branch = self._layer(f"layers.{layer}", layer, state, branch)
        trunk = state if branch is None else self._op("Add", [state, branch])
        chain: dict[int, str] = {}
        first = trunk
        if config.head == "parallel":
            first = self._head_layer(1, trunk)
        elif config.head == "anticausal":
            for head in range(config.n_heads, 0, -1):
                first = chain[head] = self._head_layer(head, first)
        logits = self._unembed(first)
        best = self._op("ArgMax", [logits], axis=-1, keepdims=0)
        accepted = self._accept(best)
        self._output(self._float32(logits), "logits", [self.rows, "block", config.vocab_size])
        self._output(best, "best", [self.rows, "block"], np.int64)
        self._output(accepted, "accepted", [self.rows], np.int64)
        if config.n_heads > 1:
            self._draft(trunk, best, accepted, chain)
        graph = helper.make_graph(
            self._nodes,
            "multitoken_step",
            self._inputs,
            self._outputs,
            list(self._tensors.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        if self.fused:
            opsets.append(helper.make_opsetid(_CONTRIB, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)

    # What every dialect knows of positions.

    def _prepare_positions(self) -> None:
        width = self.config.head_width
        exponents = np.arange(0, width, 2) / width
        angles = np.outer(np.arange(self.positions), self.config.rope_theta**-exponents)
        cos = self._constant(np.cos(angles).astype(np.float32), self.dtype, "cos")
        sin = self._constant(np.sin(angles).astype(np.float32), self.dtype, "sin")
        block = self._op("Shape", ["tokens"], start=1, end=2)
        if self.fused:
            total = self._op("Cast", [self._op("Add", ["start", block])], to=onnx.TensorProto.INT32)
            self._last = self._op("Sub", [total, self._constant([1], np.int32)])
            self._total = self._op("Squeeze", [total])
            self._tables = [cos, sin]
            return
        zero, one = self._constant(0), self._constant(1)
        steps = self._op("Range", [zero, self._op("Squeeze", [block]), one])
        begin = self._op("Unsqueeze", ["start", self._constant([1])])
        places = self._op("Add", [begin, steps])  # (rows, block)
        # Padding may reach past the last position; what it computes is never read.
        inside = self._op("Min", [places, self._constant(self.positions - 1)])
        self._cos, self._sin = (self._op("Gather", [table, inside]) for table in (cos, sin))
        past = f"past_{cache_names(self.config)[0]}"
        capacity = self._op("Squeeze", [self._op("Shape", [past], start=2, end=3)])
        keys = self._op("Range", [zero, capacity, one])
        seen = self._op("LessOrEqual", [keys, self._op("Unsqueeze", [places, self._constant([2])])])
        self._mask = self._op(
            "Unsqueeze", [seen, self._constant([1])]
        )  # (rows, 1, block, capacity)

    # Layers.

    def _norm(self, x: str, weight: str) -> str:
        epsilon = self.config.norm_eps
        if self.fused:
            inputs = [x, self._weight(weight)]
            return self._op("SimplifiedLayerNormalization", inputs, axis=-1, epsilon=epsilon)
        return self._op("RMSNormalization", [x, self._weight(weight)], axis=-1, epsilon=epsilon)

    def _add_norm(self, x: str, branch: str | None, weight: str) -> tuple[str, str]:
        """The normalised sum, and the sum."""
        if branch is None:
            return self._norm(x, weight), x
        if not self.fused:
            total = self._op("Add", [x, branch])
            return self._norm(total, weight), total
        normed, total = self._name("normed"), self._name("sum")
        self._nodes.append(
            helper.make_node(
                "SkipSimplifiedLayerNormalization",
                [x, branch, self._weight(weight)],
                [normed, "", "", total],
                domain=_CONTRIB,
                epsilon=self.config.norm_eps,
            )
        )
        return normed, total

    def _unit(self, x: str, name: str) -> str:
        inner = self._op("MatMul", [x, self._weight(f"{name}.gate_up.weight")])
        gate, up = self._ops("Split", [inner], 2, axis=-1, num_outputs=2)
        if self.fused:
            open_gate = self._op("QuickGelu", [gate], domain=_CONTRIB, alpha=1.0)
        else:
            open_gate = self._op("Swish", [gate], alpha=1.0)
        product = self._op("Mul", [open_gate, up])
        return self._op("MatMul", [product, self._weight(f"{name}.down.weight")])

    def _attention(self, x: str, name: str, layer: int) -> str:
        config = self.config
        heads, kv_heads, width = config.attention_heads, config.kv_heads, config.head_width
        qkv = self._op("MatMul", [x, self._weight(f"{name}.qkv.weight")])
        caches = [f"{what}_{layer}" for what in ("key", "value")]
        shape = [self.rows, kv_heads, "capacity", width]
        past = [self._input(f"past_{cache}", shape, self.dtype) for cache in caches]
        present = [f"present_{cache}" for cache in caches]
        element = helper.np_dtype_to_tensor_dtype(self.dtype)
        self._outputs += [helper.make_tensor_value_info(n, element, shape) for n in present]
        if self.fused:
            mixed = self._name("mixed")
            self._nodes.append(
                helper.make_node(
                    "GroupQueryAttention",
                    [qkv, "", "", *past, self._last, self._total, *self._tables],
                    [mixed, *present],
                    domain=_CONTRIB,
                    num_heads=heads,
                    kv_num_heads=kv_heads,
                    do_rotary=1,
                    rotary_interleaved=0,
                )
            )
        else:
            split = self._constant([heads * width, kv_heads * width, kv_heads * width])
            flat = self._ops("Split", [qkv, split], 3, axis=-1)
            counts = (heads, kv_heads, kv_heads)
            query, key, value = (
                self._op(
                    "Transpose",
                    [self._op("Reshape", [part, self._constant([0, 0, count, width])])],
                    perm=[0, 2, 1, 3],
                )
                for part, count in zip(flat, counts, strict=True)
            )
            query, key = (
                self._op("RotaryEmbedding", [part, self._cos, self._sin]) for part in (query, key)
            )
            for new, old, out in zip((key, value), past, present, strict=True):
                self._nodes.append(
                    helper.make_node("TensorScatter", [old, new, "start"], [out], axis=2)
                )
            mixed = self._op("Attention", [query, *present, self._mask])
            mixed = self._op("Transpose", [mixed], perm=[0, 2, 1, 3])
            mixed = self._op("Reshape", [mixed, self._constant([0, 0, heads * width])])
        return self._op("MatMul", [mixed, self._weight(f"{name}.out.weight")])

    def _layer(self, name: str, layer: int, x: str, branch: str | None) -> tuple[str, str]:
        """One transformer layer; its last branch is left to be added by what follows."""
        normed, x = self._add_norm(x, branch, f"{name}.attention_norm.weight")
        mixed = self._attention(normed, f"{name}.attention", layer)
        normed, x = self._add_norm(x, mixed, f"{name}.unit_norm.weight")
        return x, self._unit(normed, f"{name}.unit")

    def _head_layer(self, head: int, x: str) -> str:
        layer = self.config.trunk_layers + head - 1
        return self._op("Add", list(self._layer(f"heads.{head - 1}.block", layer, x, None)))

    def _unembed(self, state: str) -> str:
        normed = self._norm(state, "norm.weight")
        if self.config.tied:
            matrix = self._op("Transpose", [self._weight("embedding.weight")], perm=[1, 0])
        else:
            matrix = self._weight("unembedding.weight")
        return self._op("MatMul", [normed, matrix])

    # Accepting and drafting.

    def _accept(self, best: str) -> str:
        """Count the drafts that are what head 1 says, before the first that is not."""
        one, end = self._constant([1]), self._constant([2**31])
        drafts = self._op("Slice", ["tokens", one, end, one])
        said = self._op("Slice", [best, self._constant([0]), self._constant([-1]), one])
        width = self._op("Squeeze", [self._op("Shape", [drafts], start=1, end=2)])
        places = self._op(
            "Range",
            [self._constant(1), self._op("Add", [width, self._constant(1)]), self._constant(1)],
        )
        real = self._op("Less", [places, self._op("Unsqueeze", ["lengths", one])])
        right = self._op("And", [self._op("Equal", [drafts, said]), real])
        wrong = self._op("Cast", [self._op("Not", [right])], to=onnx.TensorProto.INT32)
        misses = self._op("CumSum", [wrong, self._constant(1)])
        hits = self._op("Equal", [misses, self._constant(0, np.int32)])
        counted = self._op("Cast", [hits], to=onnx.TensorProto.INT64)
        return self._op("ReduceSum", [counted, one], keepdims=0)

    def _draft(self, trunk: str, best: str, accepted: str, chain: dict[int, str]) -> None:
        """Heads 2 to n where they are asked; -1 stands for the accepted position."""
        config = self.config
        accepted = self._op("Unsqueeze", [accepted, self._constant([1])])
        negative = self._op("Less", ["at", self._constant(0)])
        where = self._op("Where", [negative, accepted, "at"])  # (rows, asked)
        later = range(2, config.n_heads + 1)
        if config.head in ("linear", "causal"):
            state = self._pick(trunk, where)
        if config.head == "linear":
            states = [self._shift(state, f"heads.{head - 1}.change.weight") for head in later]
        elif config.head == "parallel":
            states = [self._pick(self._head_layer(head, trunk), where) for head in later]
        elif config.head == "anticausal":
            states = [self._pick(chain[head], where) for head in later]
        else:
            self._draft_in_turn(state, self._op("GatherElements", [best, where], axis=1))
            self._output(self._float32(trunk), "state", [self.rows, "block", config.d_model])
            return
        stacked = self._op(
            "Concat",
            [self._op("Unsqueeze", [each, self._constant([2])]) for each in states],
            axis=2,
        )
        logits = self._unembed(stacked)
        self._output_drafts(self._op("ArgMax", [logits], axis=-1, keepdims=0), logits)

    def _draft_in_turn(self, state: str, token: str) -> None:
        """Causal heads: each reads the token that the one before it drafts."""
        tokens, tables = [], []
        for head in range(2, self.config.n_heads + 1):
            name = f"heads.{head - 1}"
            following = self._op("Gather", [self._weight("embedding.weight"), token])
            joint = self._op(
                "Concat",
                [
                    self._norm(state, f"{name}.state_norm.weight"),
                    self._norm(following, f"{name}.token_norm.weight"),
                ],
                axis=-1,
            )
            state = self._op("Add", [state, self._unit(joint, f"{name}.unit")])
            logits = self._unembed(state)
            token = self._op("ArgMax", [logits], axis=-1, keepdims=0)
            two = self._constant([2])
            tokens.append(self._op("Unsqueeze", [token, two]))
            tables.append(self._op("Unsqueeze", [logits, two]))
        self._output_drafts(self._op("Concat", tokens, axis=2), self._op("Concat", tables, axis=2))

    def _output_drafts(self, tokens: str, logits: str) -> None:
        shape = [self.rows, "asked", self.config.n_heads - 1]
        self._output(tokens, "drafts", shape, np.int64)
        self._output(self._float32(logits), "head_logits", [*shape, self.config.vocab_size])

    def _shift(self, state: str, matrix: str) -> str:
        return self._op("Add", [state, self._op("MatMul", [state, self._weight(matrix)])])

    def _pick(self, state: str, where: str) -> str:
        """States at some positions of each row, (rows, asked, d_model)."""
        if self.fused:
            flat = self._op("Squeeze", [where, self._constant([0])])
            return self._op("Gather", [state, flat], axis=1)
        index = self._op("Unsqueeze", [where, self._constant([2])])
        return self._op("GatherND", [state, index], batch_dims=1)
