"""Exporting a trained model as a bundle that decodes speculatively without torch."""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.errors import ExportError
from zoo.onnx.export import Export
from zoo_multitoken.graph import EXPORTABLE_HEADS, cache_names, step_graph
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.runtime import TOKENIZER_FILE

__all__ = ["DTYPES", "export", "export_model"]

DTYPES = ("float32", "float16", "int8")
#: Room behind the context for the padding of a block.
_MARGIN = 64
_ROWS, _LENGTH, _CAPACITY = 8, 24, 32
_CANDIDATES = 128
#: How far logits may lie from the model's, in the worst case and by the largest of them.
_TOLERANCE = {"float32": (1e-4, 1e-5), "int8": (1e-4, 1e-5), "float16": (2e-2, 2e-2)}


def export(estimator: Any, X: Any = None, *, dtype: str = "float32") -> Export:
    """Turn a fitted `MultiTokenLM` into an export.

    Parameters
    ----------
    estimator : MultiTokenLM
        Fitted.
    X : iterable of str or None, default=None
        Texts to verify on. ``None``: random tokens.
    dtype : {"float32", "float16", "int8"}, default="float32"
        Precision. ``"int8"`` keeps each matrix as int8 with a scale for every output, and computes
        in float32: the file is a quarter as large, and rows still do not depend on each other.

    Returns
    -------
    zoo.onnx.Export
        Graph, metadata, tokenizer, and what to verify.

    Raises
    ------
    zoo.errors.ExportError
        The heads or the precision cannot be exported.
    """
    tokenizer = estimator.tokenizer_
    texts = [] if X is None else [tokenizer.encode(text) for text in X]
    result = export_model(estimator.model_, texts, dtype=dtype)
    content = json.dumps(tokenizer.to_json(), ensure_ascii=False)
    result.files[TOKENIZER_FILE] = content.encode()
    return result


def export_model(
    model: MultiTokenModel, texts: Iterable[NDArray[np.int64]] = (), *, dtype: str = "float32"
) -> Export:
    """Turn a model into an export that lacks the tokenizer.

    Parameters
    ----------
    model : MultiTokenModel
        The network.
    texts : iterable of ndarray of int64, shape (length,)
        Tokens to verify on.
    dtype : {"float32", "float16", "int8"}, default="float32"
        See `export`.

    Returns
    -------
    zoo.onnx.Export
        Graph, metadata, and what to verify.

    Raises
    ------
    zoo.errors.ExportError
        The heads or the precision cannot be exported.
    """
    config = model.config
    if config.head not in EXPORTABLE_HEADS:
        raise ExportError(
            f"The heads of an exported model must be of the kinds {', '.join(EXPORTABLE_HEADS)}. "
            f"Got {config.head!r}."
        )
    if dtype not in DTYPES:
        raise ExportError(
            f"The dtype of an exported model must be one of {', '.join(DTYPES)}. Got {dtype!r}."
        )
    weights = _read_weights(model)
    scales: dict[str, NDArray] = {}
    if dtype == "int8":
        weights, scales = _quantise(weights)
    elif dtype == "float16":
        weights = {name: _halve(name, value) for name, value in weights.items()}
    positions = config.context + _MARGIN
    rounded = _round_model(model, weights, scales)
    atol, rtol = _TOLERANCE[dtype]
    return Export(
        graphs={"model": step_graph(config, weights, positions=positions, scales=scales)},
        metadata={"config": config.to_json(), "positions": positions, "dtype": dtype},
        samples=_sample(rounded, list(texts), np.float16 if dtype == "float16" else np.float32),
        reference=lambda inputs: _reference(rounded, inputs),
        atol=atol,
        rtol=rtol,
    )


def _read_weights(model: MultiTokenModel) -> dict[str, NDArray]:
    """The model's state, matrices as (inputs, outputs)."""
    weights = {}
    for name, value in model.state_dict().items():
        array = value.detach().float().cpu().numpy()
        turned = array.ndim == 2 and name != "embedding.weight"
        weights[name] = np.ascontiguousarray(array.T) if turned else array
    if model.config.tied:
        weights.pop("unembedding.weight", None)
    return weights


def _halve(name: str, value: NDArray) -> NDArray:
    if np.abs(value).max() > np.finfo(np.float16).max:
        raise ExportError(
            f"The weights of a model exported as float16 must be at most 65504. "
            f"Got {np.abs(value).max():g} in {name!r}."
        )
    return value.astype(np.float16)


def _quantise(
    weights: Mapping[str, NDArray],
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Matrices as int8, symmetric, with a scale for each output."""
    quantised, scales = dict(weights), {}
    for name, value in weights.items():
        if value.ndim != 2 or name == "embedding.weight":
            continue
        scale = np.maximum(np.abs(value).max(axis=0), np.finfo(np.float32).tiny) / 127
        scales[name] = scale.astype(np.float32)
        quantised[name] = np.rint(value / scales[name]).clip(-127, 127).astype(np.int8)
    return quantised, scales


def _round_model(
    model: MultiTokenModel, weights: Mapping[str, NDArray], scales: Mapping[str, NDArray]
) -> MultiTokenModel:
    """A float32 copy of the model with the exported weights, as they were rounded."""
    copy = deepcopy(model).float().cpu().eval()
    state = copy.state_dict()
    for name, value in weights.items():
        wide = value.astype(np.float32) * scales.get(name, np.float32(1))
        turned = wide.ndim == 2 and name != "embedding.weight"
        state[name].copy_(torch.from_numpy(wide.T.copy() if turned else wide))
    return copy


def _sample(
    model: MultiTokenModel, texts: list[NDArray[np.int64]], dtype: type[np.floating]
) -> dict[str, NDArray]:
    """Texts at the start of an empty cache, and positions asked for drafts."""
    config = model.config
    length = min(_LENGTH, config.context)
    draw = np.random.default_rng(0)
    tokens = draw.integers(config.vocab_size, size=(_CANDIDATES, length))
    long_enough = [text[:length] for text in texts if len(text) >= length]
    for row, text in enumerate(long_enough[:_CANDIDATES]):
        tokens[row] = text
    at = np.tile(np.arange(length), (_ROWS, 1))
    if config.head == "causal" and config.n_heads > 1:
        # A head reads what the one before it drafts. Where two tokens are about equally likely,
        # rounding picks the draft: the texts furthest from that are compared, at one position.
        outputs = _compute(model, tokens)
        tables = np.concatenate([outputs["logits"][:, :, None], outputs["head_logits"]], axis=2)
        best = np.sort(tables[:, -1], axis=-1)
        margins = (best[..., -1] - best[..., -2]).min(axis=-1)
        tokens, at = tokens[np.argsort(-margins)], at[:, -1:]
    samples = {
        "tokens": tokens[:_ROWS],
        "start": np.zeros(_ROWS, dtype=np.int64),
        "lengths": np.full(_ROWS, length),
        "at": at,
    }
    shape = (_ROWS, config.kv_heads, _CAPACITY, config.head_width)
    return samples | {f"past_{name}": np.zeros(shape, dtype) for name in cache_names(config)}


def _reference(model: MultiTokenModel, inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """What the graph is to compute from `_sample`."""
    outputs = _compute(model, inputs["tokens"])
    if "head_logits" in outputs:
        places = inputs["at"][:, :, None, None]
        outputs["head_logits"] = np.take_along_axis(outputs["head_logits"], places, axis=1)
    return outputs


@torch.inference_mode()
def _compute(model: MultiTokenModel, tokens: NDArray[np.int64]) -> dict[str, NDArray]:
    """The model's own logits; each head reads what the ones before it draft."""
    ids = torch.from_numpy(tokens)
    trunk = model.trunk(ids)
    states = {0: trunk}
    config = model.config
    logits: dict[int, torch.Tensor] = {}
    following = None
    for head in model.head_order():
        module = model.head(head)
        parent = states[module.parent]
        reads = module.reads_tokens and following is not None
        embedded = model.embedding(following) if reads else None
        states[head] = module(parent, embedded, model.rotary(ids.shape[1]))
        logits[head] = model.unembed(states[head])
        following = logits[head].argmax(-1)
    outputs = {"logits": logits[1].numpy()}
    if config.n_heads > 1:
        later = [logits[head] for head in range(2, config.n_heads + 1)]
        outputs["head_logits"] = torch.stack(later, dim=2).numpy()
    return outputs
