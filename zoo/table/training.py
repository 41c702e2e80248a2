"""Fit a model to a table."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from zoo.errors import DataError, ParameterError, ZooError
from zoo.loading import load
from zoo.registry import registry
from zoo.table.inference import infer_schema, rows_with_target
from zoo.table.pipeline import make_pipeline
from zoo.table.run import Run, check_savable
from zoo.table.scores import Score, held_out_scores

__all__ = ["fit_table", "held_out_rows"]

_MIN_HELD_OUT = 2


def _ignore(sentence: str) -> None:
    del sentence


def fit_table(
    frame: pd.DataFrame,
    model: str,
    target: str,
    *,
    task: str = "auto",
    params: Mapping[str, Any] | None = None,
    test_size: float = 0.2,
    seed: int = 0,
    drop: Iterable[str] = (),
    notify: Callable[[str], None] = _ignore,
    phase: Callable[[str], None] = _ignore,
) -> Run:
    """Fit a model to a table and score it on rows it has not seen.

    The model of the returned run is the one that was scored: fitted to the training part only.

    Parameters
    ----------
    frame : pandas.DataFrame of shape (n_rows, n_columns)
        The table. Rows without a target are left out.
    model : str
        What ``zoo.load`` takes: the name of an installed model.
    target : str
        The column to predict.
    task : {"auto", "regression", "classification"}, default="auto"
        See `infer_schema`.
    params : mapping of str to object or None, default=None
        Parameters of the model.
    test_size : float, default=0.2
        Part of the rows that is held out, at least 0 and below 1. With fewer than two rows to
        hold out there is no score.
    seed : int, default=0
        Of the split, and of the model if it has a ``random_state``.
    drop : iterable of str, default=()
        Columns to leave out.
    notify, phase : callable
        Told, in one sentence each, what was decided; and in one word what is going on.

    Returns
    -------
    Run

    Raises
    ------
    zoo.errors.DataError
        The table cannot be fitted to.
    zoo.errors.ParameterError
        The model has no such parameter, or ``test_size`` is out of range.
    zoo.errors.UnknownModelError
        No such model or task.
    """
    if not 0 <= test_size < 1:
        raise ParameterError(
            f"The test size must be at least 0 and less than 1. Got {test_size!r}."
        )
    phase("reading the columns")
    frame = rows_with_target(frame, target, notify=notify)
    schema = infer_schema(frame, target, task=task, drop=drop, notify=notify)
    estimator = _make_estimator(model, schema.task, dict(params or {}), seed=seed)
    X, notices = schema.conform(frame)
    for notice in notices:
        notify(notice)
    y = schema.encode_target(frame[target])
    test = held_out_rows(y, schema.task, test_size=test_size, seed=seed)
    if test_size and not test.any():
        notify(f"There is no held-out score: {len(y)} rows are too few to hold some out.")
    pipeline = make_pipeline(schema, estimator)
    phase("fitting")
    _fit(pipeline, X[~test], y[~test], model=model, notify=notify)
    numbers = schema.of_kind("number", "boolean")
    if numbers:
        # A column without any value in the training part is taken for zeros, as by the imputer.
        medians = np.nan_to_num(pipeline["columns"].named_transformers_["numbers"].statistics_)
        schema = schema.with_fill(dict(zip(numbers, medians, strict=True)))
    scores: list[Score] = []
    if test.any():
        phase("scoring")
        scores = held_out_scores(pipeline, X[test], y[test], y_train=y[~test], task=schema.task)
    return Run(
        pipeline=pipeline,
        schema=schema,
        scores=scores,
        n_train=int((~test).sum()),
        n_test=int(test.sum()),
    )


def _make_estimator(model: str, task: str, params: dict[str, Any], *, seed: int) -> Any:
    registry().find(model)  # a folder or checkpoint, which load also takes, cannot be fitted
    for name in ("source", "task"):
        if name in params:
            raise ParameterError(f"The model {model!r} has no parameter {name!r}.")
    estimator = load(model, task=task, **params)
    check_savable(estimator)
    if "random_state" in estimator.get_params(deep=False) and "random_state" not in params:
        estimator.set_params(random_state=seed)
    return estimator


def _fit(
    pipeline: Any, X: pd.DataFrame, y: np.ndarray, *, model: str, notify: Callable[[str], None]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            pipeline.fit(X, y)
        except ZooError:
            raise
        except (ValueError, TypeError) as error:
            raise DataError(f"The model {model!r} cannot be fitted: {error}") from error
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        notify(message)


def held_out_rows(y: np.ndarray, task: str, *, test_size: float, seed: int) -> np.ndarray:
    """Choose the rows to score on.

    Of a classification each class gives its share, and keeps at least one row for training.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Targets.
    task : {"regression", "classification"}
        Whether to go by class.
    test_size : float
        Part of the rows, in [0, 1).
    seed : int
        Of the choice.

    Returns
    -------
    ndarray of shape (n_rows,)
        True where a row is held out. All False when fewer than two rows would be.
    """
    wanted = round(test_size * len(y))
    rng = np.random.default_rng(seed)
    test = np.zeros(len(y), dtype=bool)
    groups = (
        np.unique(y, return_inverse=True)[1]
        if task == "classification"
        else np.zeros(len(y), dtype=int)
    )
    sizes = np.bincount(groups)
    for group, share in enumerate(_shares(sizes, wanted)):
        test[rng.permutation(np.flatnonzero(groups == group))[:share]] = True
    return test if test.sum() >= _MIN_HELD_OUT else np.zeros(len(y), dtype=bool)


def _shares(sizes: np.ndarray, wanted: int) -> list[int]:
    exact = [wanted * size / sizes.sum() for size in sizes]
    shares = [min(math.floor(part), size - 1) for part, size in zip(exact, sizes, strict=True)]
    # The largest remainders get what rounding down left over.
    order = sorted(range(len(sizes)), key=lambda group: shares[group] - exact[group])
    for group in order:
        if sum(shares) < wanted and shares[group] < sizes[group] - 1:
            shares[group] += 1
    return [int(share) for share in shares]
