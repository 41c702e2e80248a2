"""How good a fit is, beside the simplest thing one could do instead."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Score", "held_out_scores"]


@dataclass(frozen=True, slots=True)
class Score:
    """One measure on rows the model has not seen.

    Attributes
    ----------
    name : str
        ``"R2"``, ``"RMSE"``, ``"accuracy"`` or ``"log-loss"``.
    value : float
        Of the model.
    baseline : float
        Of the mean of the training targets, or of their class frequencies.
    """

    name: str
    value: float
    baseline: float


def held_out_scores(
    model: Any, X: Any, y: np.ndarray, *, y_train: np.ndarray, task: str
) -> list[Score]:
    """Score a fitted model on held-out rows.

    Parameters
    ----------
    model : estimator
        Fitted.
    X : array-like of shape (n_rows, n_columns)
        Held-out rows.
    y : ndarray of shape (n_rows,)
        Their targets.
    y_train : ndarray of shape (n_train_rows,)
        Targets of the training rows, for the baseline.
    task : {"regression", "classification"}
        Which measures.

    Returns
    -------
    list of Score
    """
    if task == "regression":
        return _regression(model.predict(X), y, y_train)
    return _classification(model, X, y, y_train)


def _regression(prediction: np.ndarray, y: np.ndarray, y_train: np.ndarray) -> list[Score]:
    from sklearn.metrics import r2_score, root_mean_squared_error

    mean = np.full(len(y), y_train.mean())
    return [
        Score("R2", float(r2_score(y, prediction)), float(r2_score(y, mean))),
        Score(
            "RMSE",
            float(root_mean_squared_error(y, prediction)),
            float(root_mean_squared_error(y, mean)),
        ),
    ]


def _classification(model: Any, X: Any, y: np.ndarray, y_train: np.ndarray) -> list[Score]:
    from sklearn.metrics import accuracy_score, log_loss

    classes, counts = np.unique(y_train, return_counts=True)
    frequent = np.full(len(y), classes[counts.argmax()])
    accuracy = Score(
        "accuracy", float(accuracy_score(y, model.predict(X))), float(accuracy_score(y, frequent))
    )
    # Not every classifier knows probabilities; scikit-learn says so by the attribute.
    probabilities = getattr(model, "predict_proba", None)
    if probabilities is None:
        return [accuracy]
    prior = np.tile(counts / counts.sum(), (len(y), 1))
    return [
        accuracy,
        Score(
            "log-loss",
            float(log_loss(y, probabilities(X), labels=classes)),
            float(log_loss(y, prior, labels=classes)),
        ),
    ]
