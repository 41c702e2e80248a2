"""The model under test: its classes, small data for each task, a fitted instance of each."""

import unittest
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from zoo.loading import model_class
from zoo.registry import Entry
from zoo.spec import ModelSpec
from zoo.testing.tasks import TASKS, Task

__all__ = ["Subject", "compare", "outputs", "require", "skip"]


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


class Subject:
    """A registered model and what the checks need of it.

    Parameters
    ----------
    entry : Entry
        The model.
    params : mapping of str to object
        Parameters that are not to have their defaults.
    """

    def __init__(self, entry: Entry[ModelSpec], params: Mapping[str, Any]) -> None:
        self.entry, self.params = entry, dict(params)
        self._fitted: dict[str, Any] = {}

    def cls(self, task: str) -> Any:
        """The class that does a task."""
        return model_class(self.entry, task)

    def build(self, task: str) -> Any:
        """Make a new instance, seeded with 0 where it takes a seed."""
        cls = self.cls(task)
        self.task(task)
        seed = {"random_state": 0} if "random_state" in cls._get_param_names() else {}
        return cls(**seed | self.params)

    def task(self, task: str) -> Task:
        """What the suite knows of a task; the check is skipped if it is none of its own."""
        if task not in TASKS:
            skip(f"the suite has data for {', '.join(TASKS)}, not for {task!r}")
        return TASKS[task]

    def data(self, task: str, n_samples: int | None = None) -> tuple[NDArray, NDArray | None]:
        """Small data for a task, see `zoo.testing.tasks`."""
        about = self.task(task)
        return about.data(about.samples if n_samples is None else n_samples)

    def fitted(self, task: str) -> Any:
        """Return the instance that is fitted to `data`, once for all checks."""
        if task not in self._fitted:
            self._fitted[task] = self.build(task).fit(*self.data(task))
        return self._fitted[task]


def outputs(
    model: Any, X: NDArray, task: str, only: Collection[str] | None = None
) -> dict[str, NDArray]:
    """Everything a model predicts.

    Parameters
    ----------
    model : object
        A fitted estimator, or the runner of an exported one.
    X : ndarray of shape (n_samples, ...)
        Rows.
    task : str
        Of `TASKS`.
    only : collection of str or None, default=None
        Ask these questions of the task only.

    Returns
    -------
    dict of str to ndarray of shape (n_samples, ...)
        What each method that the model has returned.

    Raises
    ------
    AssertionError
        It has none of them.
    """
    found = {}
    for name, question in TASKS[task].questions.items():
        method = getattr(model, question.verb, None)
        if method is not None and (only is None or name in only):
            values = np.asarray(method(X, **question.options))
            found[name] = values.astype(str) if values.dtype == object else values
    require(found, f"{type(model).__name__} has no method for the task {task!r}")
    return found


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
            require(not wrong, f"{what}: {name}: {wrong} of {len(want)} differ")
            continue
        scale = max(1.0, float(np.max(np.abs(want), initial=0.0)))
        difference = float(np.max(np.abs(have - want), initial=0.0))
        require(
            difference <= tolerance * scale,
            f"{what}: {name} differs by up to {difference:.3g}, allowed is {tolerance * scale:.3g}",
        )
