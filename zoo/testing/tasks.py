"""What the checks need to know of a task: small data, and what a fitted model is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TASKS", "Question", "Task"]

N_FEATURES = 4
_WORDS = (
    *("the", "a", "one", "small", "red", "old", "cat", "dog", "tree", "house", "bird", "sees"),
    *("likes", "knows", "finds", "and", "then", "café", "naïve", "1", "2", "3"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One call of a fitted model.

    Attributes
    ----------
    verb : str
        The method, called with the data.
    options : mapping of str to object
        Keyword arguments, fit for JSON.
    drawn : bool
        Whether the answer is drawn, and so need not be the same for a row alone and in a batch, or
        by another implementation.
    """

    verb: str
    options: Mapping[str, Any] = field(default_factory=dict)
    drawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the checks need to know of a task.

    Attributes
    ----------
    data : callable
        From a number of samples to ``X`` and ``y``, arrays without Python objects; ``y`` is
        ``None`` where ``X`` is all there is.
    samples : int
        How many of them a check takes.
    questions : mapping of str to Question
        What a fitted model is asked, of the methods that it has.
    deployed : frozenset of str
        Names of those that an exported model must answer as well.
    sizes : tuple of int
        Batches that an exported model is compared on.
    dtypes : mapping of str to float
        Precisions to export in, with the largest difference allowed, in units of the largest
        output.
    alone : float
        Largest difference, in the same units, between a row alone and in a batch.
    """

    data: Callable[[int], tuple[NDArray, NDArray | None]]
    samples: int
    questions: Mapping[str, Question]
    deployed: frozenset[str]
    sizes: tuple[int, ...]
    dtypes: Mapping[str, float]
    alone: float


def _table(n_samples: int) -> tuple[NDArray, NDArray, np.random.Generator]:
    """Features on different scales, float64 numbers that float32 holds exactly; and a signal."""
    rng = np.random.default_rng(0)
    unit = rng.uniform(-1.0, 1.0, size=(n_samples, N_FEATURES))
    signal = np.sin(3.0 * unit[:, 0]) + unit[:, 1] * unit[:, 2]
    X = (unit * [1.0, 2.0, 0.5, 10.0] + [0.0, 1.0, 0.0, 100.0]).astype(np.float32)
    return X.astype(np.float64), signal, rng


def _regression(n_samples: int) -> tuple[NDArray, NDArray]:
    X, signal, rng = _table(n_samples)
    return X, 10.0 + 3.0 * signal + rng.normal(scale=0.1, size=n_samples)


def _classification(n_samples: int) -> tuple[NDArray, NDArray]:
    X, signal, rng = _table(n_samples)
    noisy = signal + rng.normal(scale=0.1, size=n_samples)
    return X, np.array(["low", "middle", "high"])[np.digitize(noisy, [-0.5, 0.5])]


def _generation(n_samples: int) -> tuple[NDArray, None]:
    """Lines of 3 to 7 words, some of them with characters of several bytes."""
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(_WORDS, size=rng.integers(3, 8))) for _ in range(n_samples)]
    return np.array(lines), None


_PREDICTIONS = {verb: Question(verb) for verb in ("predict", "predict_proba")}
_PREDICTOR: dict[str, Any] = {
    "samples": 120,
    "questions": _PREDICTIONS,
    "deployed": frozenset(_PREDICTIONS),
    "sizes": (1, 7, 1000),
    "dtypes": {"float32": 1e-4, "float64": 1e-9},
    "alone": 1e-9,
}

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "regression": Task(data=_regression, **_PREDICTOR),
        "classification": Task(data=_classification, **_PREDICTOR),
        # A generative model of texts: generate continues each of them.
        "generation": Task(
            data=_generation,
            samples=20,
            questions={
                "generate": Question("generate", {"max_new_tokens": 12}),
                "drawn": Question(
                    "generate",
                    {"max_new_tokens": 12, "temperature": 1.0, "random_state": 0},
                    drawn=True,
                ),
                "score_samples": Question("score_samples"),
            },
            deployed=frozenset(["generate"]),
            sizes=(1, 7, 20),
            dtypes={"float32": 1e-4},
            alone=1e-5,
        ),
    }
)
