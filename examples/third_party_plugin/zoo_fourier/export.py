"""The fitted regressor as an ONNX graph: six operators over the fitted arrays."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.onnx import Export
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.reference import predictor_reference

__all__ = ["export"]


def export(
    estimator: Any, X: ArrayLike | None = None, *, dtype: str = "float32", opset: int = 20
) -> Export:
    """Export a fitted `FourierRegressor`.

    Parameters
    ----------
    estimator : FourierRegressor
        The fitted estimator.
    X : array-like of shape (n_samples, n_features) or None, default=None
        Rows to verify on. ``None`` draws some around the training mean.
    dtype : {"float32", "float64"}, default="float32"
        Type of the graph's numbers.
    opset : int, default=20
        Version of the ONNX operators.

    Returns
    -------
    zoo.onnx.Export
        The graph ``"model"``.
    """
    n_features = estimator.n_features_in_
    graph = GraphBuilder("fourier", dtype=dtype, opset=opset)
    rows = graph.input("X", ["n_samples", n_features])
    centred = graph.node("Sub", [rows, graph.weight("mean", estimator.mean_)], "centred")
    scaled = graph.node("Div", [centred, graph.weight("scale", estimator.scale_)], "scaled")
    projected = graph.node(
        "MatMul", [scaled, graph.weight("frequencies", estimator.frequencies_)], "projected"
    )
    shifted = graph.node("Add", [projected, graph.weight("phases", estimator.phases_)], "shifted")
    features = graph.node("Cos", [shifted], "features")
    weighted = graph.node("MatMul", [features, graph.weight("coef", estimator.coef_)], "weighted")
    prediction = graph.node(
        "Add", [weighted, graph.weight("intercept", [estimator.intercept_])], "sum"
    )
    graph.output(prediction, "prediction", ["n_samples"])
    if X is None:
        draws = np.random.default_rng(0).normal(size=(100, n_features))
        X = estimator.mean_ + estimator.scale_ * draws
    names = getattr(estimator, "feature_names_in_", None)
    return Export(
        graphs={"model": graph.model()},
        metadata={
            "classes": None,
            "feature_names": None if names is None else [str(name) for name in names],
        },
        samples={"X": np.asarray(X, dtype=dtype)},
        reference=predictor_reference(estimator, None),
        rtol=1e-4 if dtype == "float32" else 1e-9,
    )
