"""What the estimators' parameters may be, checked when they are fitted."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo_kan.network import BASES
from zoo_kan.spline import ORDERS

__all__ = ["CONSTRAINTS", "SOLVERS", "check_parameters", "generator"]

SOLVERS = ("auto", "lm", "lbfgs", "adam")


def _integer(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: bool(
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and low <= value <= high
    )


def _real(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: bool(
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and low <= value <= high
        and bool(np.isfinite(value))
    )


def _one_of(*choices: object) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (str, int, np.integer)) and value in choices


def _hidden(value: Any) -> bool:
    if isinstance(value, str):
        return value == "auto"
    width = _integer(1, 10_000)
    if isinstance(value, (tuple, list)):
        return len(value) <= 32 and all(width(item) or _pair(item) for item in value)
    return width(value)


def _pair(value: Any) -> bool:
    """Whether it is (sums, products) with at least one node."""
    count = _integer(0, 10_000)
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(count(item) for item in value)
        and sum(value) > 0
    )


def _or_auto(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value == "auto" if isinstance(value, str) else check(value)


def _seed(value: Any) -> bool:
    return (
        value is None
        or _integer(0, 2**32 - 1)(value)
        or isinstance(value, (np.random.RandomState, np.random.Generator))
    )


CONSTRAINTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "hidden": (
        "'auto', an int from 1 to 10000 or a tuple of such ints or of pairs (sums, products)",
        _hidden,
    ),
    "grid": ("'auto' or an int from 1 to 512", _or_auto(_integer(1, 512))),
    "order": (f"one of {ORDERS}", _one_of(*ORDERS)),
    "base": (f"one of {BASES}", _one_of(*BASES)),
    "solver": (f"one of {SOLVERS}", _one_of(*SOLVERS)),
    "smoothness": ("'auto' or a finite float of at least 0", _or_auto(_real(0.0, np.inf))),
    "sparsity": ("a finite float of at least 0", _real(0.0, np.inf)),
    "max_iter": ("an int of at least 1", _integer(1, 2**62)),
    "tol": ("a finite float of at least 0", _real(0.0, np.inf)),
    "early_stopping": ("a bool", lambda value: isinstance(value, (bool, np.bool_))),
    "validation_fraction": (
        "a float between 0 and 1, both excluded",
        lambda value: _real(0.0, 1.0)(value) and 0.0 < value < 1.0,
    ),
    "warm_start": ("a bool", lambda value: isinstance(value, (bool, np.bool_))),
    "class_weight": (
        "None, 'balanced' or a dict of class to weight",
        lambda value: (
            value is None
            or (isinstance(value, str) and value == "balanced")
            or (
                isinstance(value, Mapping)
                and all(_real(0.0, np.inf)(weight) for weight in value.values())
            )
        ),
    ),
    "keep_rows": ("an int of at least 0", _integer(0, 2**62)),
    "solver_params": (
        "None or a dict with str keys",
        lambda value: (
            value is None
            or (isinstance(value, Mapping) and all(isinstance(key, str) for key in value))
        ),
    ),
    "random_state": ("None, an int from 0 to 4294967295, a RandomState or a Generator", _seed),
    "verbose": (
        "an int of at least 0 or a bool",
        lambda value: isinstance(value, (bool, np.bool_)) or _integer(0, 2**62)(value),
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


def generator(random_state: Any) -> np.random.Generator:
    """Build a local random generator; no global one is read or moved, not even for ``None``."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**32, size=4, dtype=np.uint32))
    return np.random.default_rng(random_state)
