import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import zoo
import zoo.onnx
from zoo.errors import ExportError

FUNCTIONS = (
    *(np.exp, np.expm1, np.log, np.log1p, np.log2, np.log10),
    *(np.sqrt, np.square, np.negative, np.reciprocal),
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 2.0, (40, 2))
    return X, X[:, 0] / X[:, 1] + 0.1


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test__function_transformer__of_inputs__is_in_the_graph(function, table, tmp_path):
    X, y = table
    pipeline = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(X, y)
    plain = LinearRegression().fit(X, y)
    folder = zoo.onnx.export_pipeline(pipeline, X, tmp_path / "out")
    found = zoo.load_onnx(folder).predict(X)
    np.testing.assert_allclose(found, pipeline.predict(X), rtol=1e-9)
    if function is not np.negative:
        assert np.abs(found - plain.predict(X)).max() > 1e-3


def test__function_transformer__on_both_sides_of_a_law__gives_natural_units(table, tmp_path):
    X, y = table
    frame = pd.DataFrame(X, columns=["a", "b"])
    logs = FunctionTransformer(
        np.log, feature_names_out=lambda _, names: [f"log_{name}" for name in names]
    ).set_output(transform="pandas")
    model = TransformedTargetRegressor(
        make_pipeline(logs, LinearRegression()), func=np.log, inverse_func=np.exp
    ).fit(frame, y)
    folder = zoo.onnx.export_pipeline(model, frame, tmp_path / "out")
    runner = zoo.load_onnx(folder)
    np.testing.assert_allclose(runner.predict(frame), model.predict(frame), rtol=1e-9)


@pytest.mark.parametrize(
    "transformer",
    [FunctionTransformer(np.tanh), FunctionTransformer(np.log, kw_args={"dtype": np.float64})],
)
def test__function_transformer__unknown_function__says_which_are_known(transformer, table):
    X, y = table
    pipeline = make_pipeline(transformer, LinearRegression()).fit(X, y)
    with pytest.raises(ExportError, match=r"must be one of numpy's exp, expm1"):
        zoo.onnx.to_onnx(pipeline, X)


def test__transformed_target__unknown_function__says_which_are_known(table):
    X, y = table
    model = TransformedTargetRegressor(
        LinearRegression(), func=np.arctanh, inverse_func=np.tanh, check_inverse=False
    ).fit(X, y / 10)
    with pytest.raises(ExportError, match=r"one of numpy's exp, expm1.* as inverse function"):
        zoo.onnx.to_onnx(model, X)
