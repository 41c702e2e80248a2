"""A fitted language model as plain values and arrays, and back."""

from typing import Any

import numpy as np
import torch

from zoo.persistence import FittedState
from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.tokens import tokenizer_from_json

__all__ = ["build_model", "model_arrays", "restore", "snapshot"]

_VALUES = {"n_bytes_seen": int, "n_steps": int, "history": list}


def model_arrays(model: MultiTokenModel) -> dict[str, np.ndarray]:
    """Weights by name, a tied matrix once.

    Where half precision holds every weight exactly, as after `MultiTokenLM.round_weights`, they
    are given in half precision.

    Parameters
    ----------
    model : MultiTokenModel

    Returns
    -------
    dict of str to ndarray of float32 or float16
    """
    arrays = {
        name: value.detach().float().cpu().numpy() for name, value in model.named_parameters()
    }
    with np.errstate(over="ignore"):
        halves = {name: value.astype(np.float16) for name, value in arrays.items()}
    exact = all(
        np.array_equal(halves[name].astype(np.float32), value) for name, value in arrays.items()
    )
    return halves if exact else arrays


def build_model(config: ModelConfig, arrays: dict[str, np.ndarray]) -> MultiTokenModel:
    """A model of given weights, in single precision.

    Parameters
    ----------
    config : ModelConfig
    arrays : dict of str to ndarray
        Of `model_arrays`.

    Returns
    -------
    MultiTokenModel

    Raises
    ------
    ValueError
        If arrays are missing, unknown, of another shape, or not finite.
    """
    shapes = MultiTokenModel.shapes(config)
    if set(arrays) != set(shapes):
        wrong = sorted(set(arrays) ^ set(shapes))
        raise ValueError(f"Weights of a model are missing or unknown: {', '.join(wrong[:5])}.")
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype not in (np.float32, np.float16):
            raise ValueError(
                f"The weight {name} of a model must be float32 or float16 of shape {shape}. "
                f"Got {array.dtype} of shape {array.shape}."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"The weight {name} of a model must be finite.")
    model = MultiTokenModel(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(arrays[name].astype(np.float32)))
    return model.eval()


def snapshot(estimator: Any) -> FittedState:
    """State of a fitted `MultiTokenLM`."""
    values: dict[str, Any] = {
        "config": estimator.model_.config.to_json(),
        "tokenizer": estimator.tokenizer_.to_json(),
        "n_bytes_seen": estimator.n_bytes_seen_,
        "n_steps": estimator.n_steps_,
        "history": estimator.history_,
    }
    return FittedState(values=values, arrays=model_arrays(estimator.model_))


def restore(estimator: Any, state: FittedState) -> None:
    """Set the fitted attributes of an estimator from a state.

    Raises
    ------
    ValueError
        If values or arrays are missing, of another type, or do not fit together.
    """
    values = state.values
    for name, kind in _VALUES.items():
        if not isinstance(values.get(name), kind) or isinstance(values.get(name), bool):
            raise ValueError(f"The value {name!r} of a language model must be a {kind.__name__}.")
    config = ModelConfig.from_json(values.get("config"))
    tokenizer = tokenizer_from_json(values.get("tokenizer"))
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"The vocabulary of a language model must hold its tokenizer's "
            f"{tokenizer.vocab_size} tokens. Got {config.vocab_size}."
        )
    model = build_model(config, state.arrays)
    for name in _VALUES:
        setattr(estimator, f"{name}_", values[name])
    estimator.model_, estimator.tokenizer_ = model, tokenizer
