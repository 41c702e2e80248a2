"""What the estimator's parameters may be, checked when it is fitted."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from zoo_multitoken.config import HEAD_KINDS
from zoo_multitoken.texts import INPUTS
from zoo_multitoken.training.schedule import head_weights

__all__ = ["CONSTRAINTS", "check_parameters", "generator"]


def _integer(low: int, high: int = 2**62) -> Callable[[Any], bool]:
    return lambda value: bool(
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and low <= value <= high
    )


def _real(low: float, high: float = np.inf) -> Callable[[Any], bool]:
    return lambda value: bool(
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and low <= value <= high
        and np.isfinite(value)
    )


def _positive(value: Any) -> bool:
    return _real(0.0)(value) and value > 0.0


def _one_of(*choices: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in choices


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _weights(value: Any) -> bool:
    if isinstance(value, str):
        return value == "curriculum"
    if isinstance(value, (Sequence, np.ndarray)):
        return len(value) > 0 and all(_real(0.0)(weight) for weight in value)
    return _real(0.0)(value)


def _seed(value: Any) -> bool:
    return (
        value is None
        or _integer(0, 2**32 - 1)(value)
        or isinstance(value, (np.random.RandomState, np.random.Generator))
    )


_SIZE = ("an int from 1 to 16777216", _integer(1, 2**24))
_COUNT = ("an int of at least 1", _integer(1))
_SIZE_OR_NONE = ("None or an int from 1 to 16777216", _or_none(_integer(1, 2**24)))
_FLAG = ("a bool", _flag)

CONSTRAINTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "n_heads": ("an int from 1 to 1024", _integer(1, 1024)),
    "head": (f"one of {', '.join(HEAD_KINDS)}", _one_of(*HEAD_KINDS)),
    "d_model": _SIZE,
    "n_layers": ("an int from 1 to 1024", _integer(1, 1024)),
    "attention_heads": _SIZE,
    "kv_heads": _SIZE_OR_NONE,
    "d_ff": _SIZE_OR_NONE,
    "d_head": _SIZE_OR_NONE,
    "context": _SIZE,
    "tied": _FLAG,
    "tokenizer": ("'bytes' or the path of a tokenizer.json", _path),
    "end_token": ("a str that is not empty", _text),
    "input": (f"one of {', '.join(INPUTS)}", _one_of(*INPUTS)),
    "column": ("None or a str that is not empty", _or_none(_text)),
    "pattern": ("a str that is not empty", _text),
    "loss_weights": (
        "a number of at least 0, 'curriculum' or a sequence of such numbers",
        _weights,
    ),
    "freeze_trunk": _FLAG,
    "optimizer": ("one of muon, adamw", _one_of("muon", "adamw")),
    "learning_rate": (
        "'auto' or a positive number",
        lambda value: value == "auto" if isinstance(value, str) else _positive(value),
    ),
    "epochs": ("a positive number", _positive),
    "max_steps": ("None or an int of at least 1", _or_none(_integer(1))),
    "batch_size": _COUNT,
    "accumulation": _COUNT,
    "memory_efficient": _FLAG,
    "mixed_precision": _FLAG,
    "validation_fraction": (
        "a number from 0 to 1, 1 excluded",
        lambda value: _real(0.0, 1.0)(value) and value < 1.0,
    ),
    "evaluate_every": _COUNT,
    "early_stopping": _FLAG,
    "patience": _COUNT,
    "warm_start": _FLAG,
    "checkpoint": ("None or a path", _or_none(_path)),
    "checkpoint_seconds": ("a number of at least 0", _real(0.0)),
    "device": ("'auto' or the name of a device", _text),
    "random_state": ("None, an int from 0 to 4294967295, a RandomState or a Generator", _seed),
    "verbose": (
        "an int of at least 0 or a bool",
        lambda value: _flag(value) or _integer(0)(value),
    ),
}


def check_parameters(owner: str, params: Mapping[str, Any]) -> None:
    """Refuse the first parameter that is not what it may be.

    Parameters
    ----------
    owner : str
        Name of the estimator's class, for the message.
    params : mapping
        As ``get_params(deep=False)`` returns them.

    Raises
    ------
    ValueError
        One sentence: which parameter of what, what is allowed, what came.
    """
    for name, value in params.items():
        allowed, check = CONSTRAINTS[name]
        if not check(value):
            raise ValueError(
                f"The {name!r} parameter of {owner} must be {allowed}. Got {value!r} instead."
            )
    weights = params["loss_weights"]
    if isinstance(weights, (Sequence, np.ndarray)) and not isinstance(weights, str):
        head_weights(tuple(weights), n_heads=int(params["n_heads"]))
    if params["early_stopping"] and not params["validation_fraction"]:
        raise ValueError(
            f"The 'early_stopping' parameter of {owner} needs a 'validation_fraction' above 0. "
            f"Got {params['validation_fraction']!r}."
        )


def generator(random_state: Any) -> np.random.Generator:
    """Build a local random generator; no global one is read or moved, not even for ``None``.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None

    Returns
    -------
    numpy.random.Generator
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31, size=4))
    return np.random.default_rng(random_state)
