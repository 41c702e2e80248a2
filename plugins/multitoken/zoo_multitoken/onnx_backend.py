"""The decoding loop's backend on onnxruntime: numpy and an exported graph, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from zoo.onnx.session import import_onnxruntime, open_session, session_device
from zoo_multitoken.config import ModelConfig
from zoo_multitoken.decoding import Backend, Forward, Heads, Plan
from zoo_multitoken.graph import cache_names, choose_dialect, read_weights, step_graph

__all__ = ["OnnxBackend"]

_ROUND = 64


class OnnxBackend(Backend):
    """Decodes with the graph of a bundle.

    One row at a time is decoded with the fused dialect of the graph, several rows, and strict
    decoding, with the standard one; each is opened when it is first needed. Inputs, outputs and
    the cache are bound to buffers once; the cache stays on the device and is written in place.

    Parameters
    ----------
    graph : onnx.ModelProto
        What an export wrote.
    config : ModelConfig
        The model's shape.
    positions : int
        Most positions of a row.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to run.
    threads : int or None, default=None
        Threads within an operator.
    """

    # Measured with models of 3 to 6 million parameters on a CPU.
    draft_cost, token_cost = 0.4, 0.12

    def __init__(
        self,
        graph: onnx.ModelProto,
        config: ModelConfig,
        *,
        positions: int,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.config = config
        self.n_heads, self.vocab_size = config.n_heads, config.vocab_size
        self.context = config.context
        self._weights = read_weights(graph.graph)
        self._positions, self._device, self._threads = positions, device, threads
        self._sessions: dict[str, Any] = {}
        self._buffers: _Buffers | None = None
        self._kept = np.zeros(0, dtype=np.int64)
        self._plan = Plan(capacity=0, block=0, heads=False)

    @property
    def device(self) -> str:
        """Where it runs: ``"cpu"`` or ``"cuda"``."""
        return session_device(self._session("standard"))

    @property
    def drawn(self) -> bool:
        """Whether the decoding under way reads logits."""
        return self._plan.drawn

    def prefill(self, prompts: Sequence[NDArray[np.int64]], plan: Plan) -> Forward:
        """Read the prompts, padded to one length."""
        rows, lengths = len(prompts), np.array([len(prompt) for prompt in prompts])
        tokens = np.zeros((rows, lengths.max()), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = prompt
        capacity = -(-(plan.capacity + plan.block) // _ROUND) * _ROUND
        self._plan = plan
        self._kept = np.zeros(rows, dtype=np.int64)
        if self._buffers is None or not self._buffers.fits(rows, capacity, strict=plan.strict):
            self._buffers = self._open_buffers(rows, capacity)
        asked = 1 if plan.heads else 0
        run = self._buffers.run(tokens, self._kept, lengths, (lengths - 1)[:, None][:, :asked])
        self._kept = lengths
        return _OnnxForward(self, run, last=lengths - 1)

    def step(self, tokens: NDArray[np.int64], lengths: Sequence[int]) -> Forward:
        """Read a block; padding is read as well."""
        assert self._buffers is not None
        rows, width = tokens.shape
        if not self._plan.heads:
            at = np.zeros((rows, 0), dtype=np.int64)
        elif self._plan.drawn and self.config.head != "causal":
            at = np.broadcast_to(np.arange(width), tokens.shape)
        else:
            at = np.full((rows, 1), -1)
        return _OnnxForward(self, self._buffers.run(tokens, self._kept, lengths, at))

    def keep(self, counts: Sequence[int]) -> None:
        """Move the rows' lengths on."""
        self._kept = self._kept + np.asarray(counts, dtype=np.int64)

    def select(self, rows: Sequence[int]) -> None:
        """Copy the cache of these rows."""
        assert self._buffers is not None
        self._kept = self._kept[list(rows)]
        old = self._buffers
        self._buffers = self._open_buffers(len(rows), old.capacity)
        self._buffers.take(old, rows)

    def _open_buffers(self, rows: int, capacity: int) -> "_Buffers":
        dialect = choose_dialect(self.config, rows, strict=self._plan.strict)
        dtype = self._weights["norm.weight"].dtype
        return _Buffers(self._session(dialect), dialect, self.config, rows, capacity, dtype)

    def _session(self, dialect: str) -> Any:
        if dialect not in self._sessions:
            graph = step_graph(
                self.config, self._weights, positions=self._positions, dialect=dialect
            )
            self._sessions[dialect] = open_session(
                graph.SerializeToString(), device=self._device, threads=self._threads
            )
        return self._sessions[dialect]

    def draft_head(
        self, head: int, state: NDArray, tokens: NDArray[np.int64]
    ) -> tuple[NDArray, NDArray]:
        """Compute one causal head on numpy, where its token is drawn outside of the graph.

        Parameters
        ----------
        head : int
            2 to n.
        state : ndarray of shape (rows, d_model)
            Of the head before.
        tokens : ndarray of int64, shape (rows,)
            The tokens that the head before stands for.

        Returns
        -------
        state : ndarray of shape (rows, d_model)
            Of this head.
        logits : ndarray of shape (rows, vocab)
            Of this head.
        """
        weights, name = self._weights, f"heads.{head - 1}"
        joint = np.concatenate(
            [
                self._normalise(state, f"{name}.state_norm.weight"),
                self._normalise(weights["embedding.weight"][tokens], f"{name}.token_norm.weight"),
            ],
            axis=-1,
        )
        gate, up = np.split(joint @ weights[f"{name}.unit.gate_up.weight"], 2, axis=-1)
        gate = gate * (0.5 * (1.0 + np.tanh(0.5 * gate)))  # silu, without overflow
        state = state + (gate * up) @ weights[f"{name}.unit.down.weight"]
        matrix = weights["embedding.weight"].T if self.config.tied else None
        matrix = weights["unembedding.weight"] if matrix is None else matrix
        return state, self._normalise(state, "norm.weight") @ matrix

    def _normalise(self, x: NDArray, weight: str) -> NDArray:
        wide = x.astype(np.float32)
        scale = np.sqrt((wide * wide).mean(-1, keepdims=True) + self.config.norm_eps)
        return wide / scale * self._weights[weight]


@dataclass(slots=True)
class _Run:
    """A binding of one shape, with the arrays that its inputs and outputs share."""

    binding: Any
    inputs: dict[str, NDArray]
    outputs: dict[str, NDArray]


class _Buffers:
    """A cache, and bindings of a session to it."""

    def __init__(
        self,
        session: Any,
        dialect: str,
        config: ModelConfig,
        rows: int,
        capacity: int,
        dtype: np.dtype,
    ) -> None:
        self.session, self.dialect, self.config = session, dialect, config
        self.rows, self.capacity = rows, capacity
        self.device = session_device(session)
        shape = (rows, config.kv_heads, capacity, config.head_width)
        values = import_onnxruntime().OrtValue
        self._make = values.ortvalue_from_numpy
        names = cache_names(config)
        self._arrays = {name: np.zeros(shape, dtype) for name in names}
        self._caches = {name: self._on_device(array) for name, array in self._arrays.items()}
        self._runs: dict[tuple[int, int], _Run] = {}

    def fits(self, rows: int, capacity: int, *, strict: bool) -> bool:
        dialect = choose_dialect(self.config, rows, strict=strict)
        return (self.rows, self.capacity, self.dialect) == (rows, capacity, dialect)

    def take(self, other: "_Buffers", rows: Sequence[int]) -> None:
        """Copy the cache of some rows of another."""
        for name, value in other._caches.items():
            array = other._arrays[name] if other.device == "cpu" else value.numpy()
            self._arrays[name][...] = array[list(rows)]
            if self.device != "cpu":
                self._caches[name] = self._on_device(self._arrays[name])

    def _on_device(self, array: NDArray) -> Any:
        return self._make(array) if self.device == "cpu" else self._make(array, self.device, 0)

    def run(
        self,
        tokens: NDArray[np.int64],
        start: NDArray[np.int64],
        lengths: Sequence[int] | NDArray[np.int64],
        at: NDArray[np.int64],
    ) -> dict[str, NDArray]:
        """Run the graph; the result is overwritten by the next run of the same shape."""
        shape = (tokens.shape[1], at.shape[1])
        if shape not in self._runs:
            # Steps come in a few shapes, prompts in many.
            if len(self._runs) > 64:
                self._runs.clear()
            self._runs[shape] = self._bind(*shape)
        run = self._runs[shape]
        run.inputs["tokens"][...] = tokens
        run.inputs["start"][...] = start
        run.inputs["lengths"][...] = lengths
        run.inputs["at"][...] = at
        self.session.run_with_iobinding(run.binding)
        return run.outputs

    def _bind(self, block: int, asked: int) -> _Run:
        sizes = {"rows": self.rows, "block": block, "asked": asked, "capacity": self.capacity}
        binding = self.session.io_binding()
        kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
        arrays: list[dict[str, NDArray]] = [{}, {}]
        sides = (
            (self.session.get_inputs(), binding.bind_ortvalue_input),
            (self.session.get_outputs(), binding.bind_ortvalue_output),
        )
        for (values, bind), bound in zip(sides, arrays, strict=True):
            for value in values:
                name = value.name.removeprefix("past_").removeprefix("present_")
                if name in self._caches:
                    bind(value.name, self._caches[name])
                    continue
                shape = [sizes.get(size, size) for size in value.shape]
                bound[value.name] = np.zeros(shape, kinds[value.type])
                bind(value.name, self._make(bound[value.name]))
        return _Run(binding, *arrays)


class _OnnxForward(Forward):
    def __init__(
        self,
        backend: OnnxBackend,
        outputs: dict[str, NDArray],
        *,
        last: NDArray[np.int64] | None = None,
    ) -> None:
        self._backend, self._outputs, self._last = backend, outputs, last

    def _read(self, name: str) -> NDArray:
        values = self._outputs[name]
        return values if self._last is None else values[np.arange(len(values)), self._last][:, None]

    def logits(self) -> NDArray:
        return self._read("logits")

    def best(self) -> NDArray[np.int64]:
        return self._read("best")

    def heads(self, at: Sequence[int]) -> Heads:
        places = np.asarray(at)
        every = np.arange(len(places))
        if "state" in self._outputs and self._backend.drawn:
            return _CausalHeads(self._backend, self._read("state")[every, places])
        asked = self._outputs["drafts"].shape[1]
        return _OnnxHeads(self._outputs, every, places if asked > 1 else places * 0)


class _OnnxHeads(Heads):
    def __init__(
        self, outputs: dict[str, NDArray], rows: NDArray[np.int64], places: NDArray[np.int64]
    ) -> None:
        self._outputs, self._rows, self._places, self._head = outputs, rows, places, 0

    def logits(self, tokens: NDArray[np.int64]) -> NDArray:
        logits = self._outputs["head_logits"][self._rows, self._places, self._head]
        self._head += 1
        return logits

    def best(self, tokens: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        return self._outputs["drafts"][self._rows, self._places, :count]


class _CausalHeads(Heads):
    def __init__(self, backend: OnnxBackend, state: NDArray) -> None:
        self._backend, self._state, self._head = backend, state, 1

    def logits(self, tokens: NDArray[np.int64]) -> NDArray:
        self._head += 1
        self._state, logits = self._backend.draft_head(self._head, self._state, tokens)
        return logits
