"""A fitted estimator's own answers, in the shape a graph gives them."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.onnx.labels import graph_classes

__all__ = ["predict_like_graph", "predictor_reference"]


def predict_like_graph(estimator: Any, X: Any, classes: ArrayLike | None) -> dict[str, NDArray]:
    """Predict and name the outputs as a graph does.

    Parameters
    ----------
    estimator : object
        A fitted regressor or classifier.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows.
    classes : array-like of shape (n_classes,) or None
        Its classes, None for a regressor.

    Returns
    -------
    dict of str to ndarray
        ``prediction``; or ``label``, and ``probabilities`` where the classifier has them.
    """
    with warnings.catch_warnings():
        # A graph takes a bare matrix whatever the estimator was fitted on.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        # Unknown categories are part of what is compared.
        warnings.filterwarnings("ignore", message="Found unknown categories")
        if classes is None:
            return {"prediction": np.asarray(estimator.predict(X), dtype=np.float64)}
        labels = np.asarray(estimator.predict(X))
        kind = graph_classes(classes).dtype
        outputs = {"label": labels.astype(kind)}
        if callable(getattr(estimator, "predict_proba", None)):
            outputs["probabilities"] = np.asarray(estimator.predict_proba(X), dtype=np.float64)
        return outputs


def predictor_reference(
    estimator: Any, classes: ArrayLike | None
) -> Callable[[dict[str, NDArray]], dict[str, NDArray]]:
    """Make the reference of an `Export` whose graph has the one numeric input ``X``.

    Parameters
    ----------
    estimator : object
        A fitted regressor or classifier.
    classes : array-like of shape (n_classes,) or None
        Its classes, None for a regressor.

    Returns
    -------
    callable
        Inputs by name to outputs by name, computed in float64.
    """

    def reference(inputs: dict[str, NDArray]) -> dict[str, NDArray]:
        return predict_like_graph(estimator, inputs["X"].astype(np.float64), classes)

    return reference
