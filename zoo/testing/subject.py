"""The model under test: its classes, small data for each task, a fitted instance of each."""

import unittest
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from zoo.loading import model_class
from zoo.registry import Entry
from zoo.spec import ModelSpec

__all__ = ["Subject", "compare", "outputs", "require", "skip"]

N_FEATURES = 4


def require(condition: object, message: str) -> None:
    """Fail a check unless a condition is true, also where Python drops ``assert``.

    Parameters
    ----------
    condition : object
        What must be true.
    message : str
        What is wrong otherwise.

    Raises
    ------
    AssertionError
        It is false.
    """
    if not condition:
        raise AssertionError(message)


def skip(reason: str) -> NoReturn:
    """End a check as skipped.

    Parameters
    ----------
    reason : str
        What is missing.

    Raises
    ------
    unittest.SkipTest
        Always; pytest and unittest both know it.
    """
    raise unittest.SkipTest(reason)


def _regression(signal: NDArray, rng: np.random.Generator) -> NDArray:
    return 10.0 + 3.0 * signal + rng.normal(scale=0.1, size=len(signal))


def _classification(signal: NDArray, rng: np.random.Generator) -> NDArray:
    noisy = signal + rng.normal(scale=0.1, size=len(signal))
    return np.array(["low", "middle", "high"])[np.digitize(noisy, [-0.5, 0.5])]


_TARGETS: dict[str, Callable[[NDArray, np.random.Generator], NDArray]] = {
    "regression": _regression,
    "classification": _classification,
}


class Subject:
    """A registered model and what the checks need of it.

    Parameters
    ----------
    entry : Entry
        The model.
    """

    def __init__(self, entry: Entry[ModelSpec]) -> None:
        self.entry = entry
        self._fitted: dict[str, Any] = {}

    def cls(self, task: str) -> Any:
        """The class that does a task."""
        return model_class(self.entry, task)

    def build(self, task: str) -> Any:
        """Make a new instance, seeded with 0 where it takes a seed."""
        cls = self.cls(task)
        self.data(task)
        return cls(random_state=0) if "random_state" in cls._get_param_names() else cls()

    def data(self, task: str, n_samples: int = 120) -> tuple[NDArray, NDArray]:
        """Small data for a task.

        Parameters
        ----------
        task : str
            The task.
        n_samples : int, default=120
            How many rows.

        Returns
        -------
        X : ndarray of shape (n_samples, 4)
            Features on different scales; float64 numbers that float32 holds exactly.
        y : ndarray of shape (n_samples,)
            Floats, or three classes named by text.
        """
        if task not in _TARGETS:
            skip(f"the suite has data for {' and '.join(_TARGETS)}, not for {task!r}")
        rng = np.random.default_rng(0)
        unit = rng.uniform(-1.0, 1.0, size=(n_samples, N_FEATURES))
        signal = np.sin(3.0 * unit[:, 0]) + unit[:, 1] * unit[:, 2]
        X = (unit * [1.0, 2.0, 0.5, 10.0] + [0.0, 1.0, 0.0, 100.0]).astype(np.float32)
        return X.astype(np.float64), _TARGETS[task](signal, rng)

    def fitted(self, task: str) -> Any:
        """Return the instance that is fitted to `data`, once for all checks."""
        if task not in self._fitted:
            self._fitted[task] = self.build(task).fit(*self.data(task))
        return self._fitted[task]


def outputs(
    model: Any, X: NDArray, verbs: Iterable[str] = ("predict", "predict_proba")
) -> dict[str, NDArray]:
    """Everything a model predicts.

    Parameters
    ----------
    model : object
        A fitted estimator, or the runner of an exported one.
    X : ndarray of shape (n_samples, n_features)
        Rows.
    verbs : iterable of str, default=("predict", "predict_proba")
        Which methods to call, of those it has.

    Returns
    -------
    dict of str to ndarray of shape (n_samples, ...)
        What each of them returned.
    """
    methods = {verb: getattr(model, verb, None) for verb in verbs}
    found = {verb: np.asarray(method(X)) for verb, method in methods.items() if method is not None}
    return {
        verb: values.astype(str) if values.dtype == object else values
        for verb, values in found.items()
    }


def compare(
    got: dict[str, NDArray], wanted: dict[str, NDArray], what: str, *, tolerance: float
) -> None:
    """Compare predictions.

    Parameters
    ----------
    got, wanted : dict of str to ndarray of shape (n_samples, ...)
        What `outputs` returned.
    what : str
        What is compared with what, for the message.
    tolerance : float
        Largest difference of numbers, in units of the largest magnitude of ``wanted`` (at least
        1). Labels may differ only where the two highest probabilities are closer than twice that.

    Raises
    ------
    AssertionError
        They differ.
    """
    require(set(got) == set(wanted), f"{what}: one gives {sorted(got)}, the other {sorted(wanted)}")
    near_tie: Any = False
    if "predict_proba" in wanted:
        top = np.sort(wanted["predict_proba"], axis=1)[:, -2:]
        near_tie = top[:, -1] - top[:, 0] <= 2 * tolerance
    for name, want in wanted.items():
        have = got[name]
        require(
            have.shape == want.shape, f"{what}: {name} has shape {have.shape}, not {want.shape}"
        )
        if want.dtype.kind != "f":
            wrong = int(np.sum((have != want) & ~near_tie))
            require(not wrong, f"{what}: {wrong} of {len(want)} labels differ")
            continue
        scale = max(1.0, float(np.max(np.abs(want), initial=0.0)))
        difference = float(np.max(np.abs(have - want), initial=0.0))
        require(
            difference <= tolerance * scale,
            f"{what}: {name} differs by up to {difference:.3g}, allowed is {tolerance * scale:.3g}",
        )
