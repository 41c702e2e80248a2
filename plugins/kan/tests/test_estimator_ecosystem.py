"""The estimators among scikit-learn's own: checks, pipelines, searches, persistence."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from zoo.persistence import FittedState
from zoo_kan import KANClassifier, KANRegressor

CHECKS = """
import json, sys
from sklearn.utils.estimator_checks import check_estimator
import zoo_kan
results = check_estimator(getattr(zoo_kan, sys.argv[1])(), on_fail=None, on_skip=None)
print(json.dumps([(r["check_name"], r["status"], repr(r["exception"])[:500]) for r in results]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["KANRegressor", "KANClassifier"])
def test__check_estimator__array_api_enabled__passes_without_exception(name):
    # scipy reads SCIPY_ARRAY_API when it is imported, hence an interpreter of its own
    outcome = subprocess.run(
        [sys.executable, "-c", CHECKS, name],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads(outcome.stdout.splitlines()[-1])
    assert [result for result in results if result[1] != "passed"] == []
    assert len(results) >= 55


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (200, 2))
    return X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + 0.05 * rng.normal(size=200)


@pytest.fixture(scope="module")
def classification():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 2))
    return X, np.where(X[:, 0] + X[:, 1] ** 2 > 0.7, "yes", "no")


def test__pipeline__scaled_inputs__predicts_the_same(regression):
    X, y = regression
    plain = KANRegressor(hidden=(), random_state=0).fit(X, y)
    piped = make_pipeline(StandardScaler(), KANRegressor(hidden=(), random_state=0)).fit(X, y)
    np.testing.assert_allclose(piped.predict(X), plain.predict(X), rtol=1e-6)


def test__grid_search__hidden__picks_the_shape_that_predicts_best():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (150, 2))
    y = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)
    search = GridSearchCV(KANRegressor(random_state=0), {"hidden": [(), (1,)]}, cv=3).fit(X, y)
    assert search.best_params_ == {"hidden": (1,)}
    assert search.best_score_ > 0.999


def test__column_transformer__mixed_columns__scores(regression):
    X, y = regression
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": np.where(y > 0, "high", "low")})
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["a", "b"]), ("words", OneHotEncoder(), ["c"])]
    )
    model = make_pipeline(columns, KANRegressor(random_state=0)).fit(frame, y)
    assert model.score(frame, y) > 0.97


def test__stacking__beside_ridge__is_the_one_that_counts(regression):
    X, y = regression
    model = StackingRegressor(
        [("kan", KANRegressor(hidden=(), random_state=0)), ("ridge", Ridge())], cv=3
    ).fit(X, y)
    assert model.score(X, y) > 0.97
    assert model.final_estimator_.coef_[0] > 0.9


def test__calibration__around_the_classifier__averages_probabilities(classification):
    X, y = classification
    model = CalibratedClassifierCV(KANClassifier(hidden=(), random_state=0), cv=3).fit(X, y)
    assert model.score(X, y) > 0.93
    assert "decision_function" not in dir(KANClassifier)


def test__cross_val_score__two_processes__equals_one(regression):
    X, y = regression
    model = KANRegressor(hidden=(1,), grid=5, random_state=0)
    parallel = cross_val_score(model, X, y, cv=3, n_jobs=2)
    np.testing.assert_allclose(parallel, cross_val_score(model, X, y, cv=3), rtol=1e-6)
    assert parallel.min() > 0.9


def test__set_output__pandas_upstream__keeps_the_names(regression):
    X, y = regression
    frame = pd.DataFrame(X, columns=["width", "height"])
    upstream = FunctionTransformer(feature_names_out="one-to-one").set_output(transform="pandas")
    model = make_pipeline(upstream, KANRegressor(hidden=(), random_state=0)).fit(frame, y)
    assert model[-1].feature_names_in_.tolist() == ["width", "height"]
    np.testing.assert_allclose(
        model.predict(frame), KANRegressor(hidden=(), random_state=0).fit(X, y).predict(X)
    )


def test__clone__fitted_estimator__is_unfitted_with_equal_parameters(regression):
    model = KANRegressor(hidden=(2,), smoothness=0.1, random_state=3).fit(*regression)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert set(vars(copy)) == set(copy.get_params())


@pytest.mark.parametrize("solver", ["lm", "adam"])
def test__pickle__fitted_estimator__predicts_the_same_without_its_net(regression, solver):
    X, y = regression
    model = KANRegressor(hidden=(1,), solver=solver, max_iter=5, random_state=0).fit(X, y)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    assert restored.net_ is None
    assert (model.net_ is None) == (solver == "lm")
    assert restored.history_ == model.history_


@pytest.mark.parametrize("kind", [KANRegressor, KANClassifier])
def test__skops__only_our_own_classes_trusted__predicts_the_same(kind, regression, classification):
    X, y = regression if kind is KANRegressor else classification
    model = kind(hidden=(1,), random_state=0).fit(X, y)
    data = skops.io.dumps(model)
    untrusted = skops.io.get_untrusted_types(data=data)
    assert set(untrusted) == {
        "zoo_kan.edges.EdgeLayer",
        "zoo_kan.network.KANNetwork",
        {KANRegressor: "zoo_kan.regressor", KANClassifier: "zoo_kan.classifier"}[kind]
        + f".{kind.__name__}",
    }
    restored = skops.io.loads(data, trusted=untrusted)
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))


@pytest.mark.parametrize("labels", [["no", "yes"], [3, 7], [False, True], [0.5, 2.0]])
def test__save_pretrained__any_labels__predicts_the_same(tmp_path, classification, labels):
    X, y = classification
    y = np.array(labels)[(y == "yes").astype(int)]
    y = y if y.dtype != float else np.where(y == 0.5, 1.0, 2.0)
    model = KANClassifier(hidden=(1,), random_state=0).fit(pd.DataFrame(X, columns=["a", "b"]), y)
    model.save_pretrained(tmp_path / "model")
    restored = KANClassifier.from_pretrained(tmp_path / "model")
    frame = pd.DataFrame(X, columns=["a", "b"])
    np.testing.assert_array_equal(restored.predict_proba(frame), model.predict_proba(frame))
    np.testing.assert_array_equal(restored.predict(frame), model.predict(frame))
    assert restored.classes_.dtype == model.classes_.dtype
    assert restored.history_ == model.history_
    assert restored.get_params() == model.get_params()
    np.testing.assert_array_equal(restored.rows_["X"], model.rows_["X"])


def test__save_pretrained__multi_output__predicts_the_same(tmp_path, regression):
    X, y = regression
    model = KANRegressor(hidden=(2,), random_state=0).fit(X, np.c_[y, -y])
    model.save_pretrained(tmp_path / "model")
    restored = KANRegressor.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    assert restored.n_outputs_ == 2


def changed(state, **values):
    arrays = {
        k: v for k, v in {**state.arrays, **values.pop("arrays", {})}.items() if v is not None
    }
    return FittedState(values={**state.values, **values}, arrays=arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_iter": "many"}, "The value 'n_iter' of a KAN must be a int"),
        ({"arrays": {"rows.y": None}}, "Array 'rows.y' of a KAN is missing"),
        ({"arrays": {"rows.y": np.zeros(3)}}, "must be equally many in X, y and weight"),
        ({"n_features_in": 5}, "A KAN of 2 features has rows or names of another number"),
        ({"feature_names_in": ["a"]}, "feature names of a KAN must be 2 strings"),
        ({"arrays": {"layers.0.coef": np.zeros((1, 1))}}, "Array 'layers.0.coef' of a KAN must"),
        (
            {"classes": {"kind": "integer", "dtype": "<i8", "labels": [1, 2, 3]}},
            "A KAN of 1 logits cannot have 3 classes",
        ),
        (
            {"classes": {"kind": "integer", "dtype": "<i8", "labels": ["1", 2]}},
            "Classes must be a list of integer labels",
        ),
        (
            {"classes": {"kind": "string", "dtype": "<U1", "labels": ["ab", "cd"]}},
            "Classes must be distinct and fit dtype <U1",
        ),
        ({"classes": None, "n_outputs": 2}, "A KAN of 1 outputs says it has 2"),
    ],
)
def test__set_fitted_state__inconsistent__raises(classification, change, message):
    model = KANClassifier(hidden=(), max_iter=3, random_state=0).fit(*classification)
    state = changed(model._get_fitted_state(), **change)
    with pytest.raises(ValueError, match=message):
        KANClassifier()._set_fitted_state(state)


def test__tags__both_kinds__say_what_they_take():
    regressor, classifier = get_tags(KANRegressor()), get_tags(KANClassifier())
    assert regressor.estimator_type == "regressor"
    assert regressor.target_tags.multi_output
    assert classifier.estimator_type == "classifier"
    assert not classifier.target_tags.multi_output
    assert not regressor.input_tags.allow_nan


def test__score__sample_weight__is_weighted(regression):
    X, y = regression
    model = KANRegressor(hidden=(), random_state=0).fit(X, y)
    weight = np.linspace(0, 1, len(y))
    assert model.score(X, y, weight) == pytest.approx(
        r2_score(y, model.predict(X), sample_weight=weight)
    )


def test__html__fitted_estimator__shows_the_network(regression):
    X, y = regression
    model = KANRegressor(hidden=(), random_state=0)
    assert "<svg" not in model._repr_html_().split("sk-estimator")[0]
    unfitted = model._repr_html_().count("<svg")
    model.fit(pd.DataFrame(X, columns=["width", "height"]), y)
    fitted = model._repr_html_()
    assert fitted.count("<svg") == unfitted + 1
    assert "width" in fitted.split("<svg")[-1]
    assert model._repr_mimebundle_()["text/html"].count("<svg") == unfitted + 1


def test__plot__fitted_classifier__names_inputs_and_classes(classification):
    X, y = classification
    model = KANClassifier(hidden=(), random_state=0).fit(pd.DataFrame(X, columns=["a", "b"]), y)
    figure = model.plot(title="who says yes")
    words = {text.get_text() for ax in figure.axes for text in ax.texts} | {
        text.get_text() for text in figure.texts
    }
    assert {"a", "b", "yes"} <= words


def test__to_symbolic__law_without_noise__is_the_law():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(0.5, 2, (300, 2)), columns=["m", "v"])
    y = 0.5 * frame["m"] * frame["v"] ** 2
    formula = KANRegressor(random_state=0).fit(frame, y).to_symbolic()
    np.testing.assert_allclose(formula.predict(frame.to_numpy()), y, rtol=1e-6)
    assert {str(symbol) for symbol in formula.expressions_[0].free_symbols} == {"m", "v"}


def test__import__estimators__do_not_load_torch():
    code = (
        "import sys, zoo_kan.regressor, zoo_kan.classifier; "
        "print('torch' in sys.modules, 'sympy' in sys.modules)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.strip() == "False False"
