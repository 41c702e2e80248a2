"""A whole scikit-learn pipeline becomes one graph that predicts what the pipeline predicts."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

import zoo
from zoo.errors import DataError, ExportError, MissingDependencyError, VerificationError
from zoo.onnx import export_pipeline, read_bundle, to_onnx
from zoo.onnx.session import open_session
from zoo.runtime import TabularRunner, load_onnx

GENERATOR = np.random.default_rng(0)
N = 60
X = GENERATOR.normal(size=(N, 4))
Y = X @ [1.0, -2.0, 0.5, 0.0] + 3.0
CODES = (Y > 2.0).astype(int) + (Y > 4.0).astype(int)
WORDS = np.array(["low", "mid", "high"])[CODES]
FRAME = pd.DataFrame(X, columns=["length (cm)", "a b", "a_b", "label"]).assign(
    colour=np.array(["red", "green", "blue"])[GENERATOR.integers(0, 3, N)],
    doors=GENERATOR.integers(2, 5, N),
    new=GENERATOR.random(N) > 0.5,
)
NUMBERS = list(FRAME.columns[:4])
TOLERANCES = {"float32": 1e-5, "float64": 1e-9}

pytestmark = pytest.mark.usefixtures("toy")


def regressor(**params: Any) -> Any:
    return zoo.load("toy", task="regression", **params)


def classifier(**params: Any) -> Any:
    return zoo.load("toy", task="classification", **params)


def rounded(table: Any, dtype: str) -> Any:
    """Rows as a graph of this dtype sees them."""
    if not isinstance(table, pd.DataFrame):
        return table.astype(dtype).astype(np.float64) if table.dtype != object else table
    floats = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].astype(dtype).astype(np.float64) for name in floats})


def check(
    pipeline: Any, table: Any, y: Any, folder: Path, new: Any = None, **options: Any
) -> TabularRunner:
    """Fit, export in both precisions, and compare on the same and on new rows."""
    pipeline.fit(table, y)
    for dtype, tolerance in TOLERANCES.items():
        export_pipeline(pipeline, table, folder / dtype, dtype=dtype, **options)
        runner = load_onnx(folder / dtype)
        for rows in (table, table if new is None else new):
            seen = rounded(rows, dtype)
            want = pipeline.predict(seen)
            if want.dtype.kind == "f" and runner.task == "regression":
                error = np.abs(runner.predict(seen) - want) / np.abs(want).max(axis=0)
                assert error.shape == want.shape
                assert error.max() <= tolerance
            else:
                got = runner.predict(seen)
                assert got.tolist() == want.tolist()
                assert got.dtype.kind == want.dtype.kind
                chances = runner.predict_proba(seen)
                np.testing.assert_allclose(chances, pipeline.predict_proba(seen), atol=tolerance)
    return runner


# --- estimators of the zoo, nested ----------------------------------------------------------


REGRESSORS: dict[str, Callable[[], Any]] = {
    "bare": regressor,
    "pipeline": lambda: make_pipeline(StandardScaler(), regressor()),
    "nested pipeline": lambda: make_pipeline(make_pipeline(MinMaxScaler()), regressor()),
    "search outside": lambda: GridSearchCV(
        make_pipeline(RobustScaler(), regressor()), {"toyregressor__alpha": [0.1, 1.0]}, cv=2
    ),
    "search inside": lambda: make_pipeline(
        MaxAbsScaler(),
        RandomizedSearchCV(regressor(), {"alpha": [0.1, 1.0]}, n_iter=2, cv=2, random_state=0),
    ),
    "stacking": lambda: StackingRegressor(
        [("a", regressor()), ("b", make_pipeline(StandardScaler(), regressor(alpha=9.0)))],
        final_estimator=Ridge(),
        cv=2,
    ),
    "stacked on top": lambda: StackingRegressor(
        [("a", Ridge())], final_estimator=regressor(), cv=2, passthrough=True
    ),
    "bagging": lambda: BaggingRegressor(
        regressor(), n_estimators=2, max_features=0.5, random_state=0
    ),
    "voting": lambda: VotingRegressor([("a", regressor(alpha=9.0)), ("b", LinearRegression())]),
    "target scaled": lambda: TransformedTargetRegressor(
        make_pipeline(StandardScaler(), regressor()), transformer=StandardScaler()
    ),
    "target within bagging": lambda: BaggingRegressor(
        TransformedTargetRegressor(regressor(), transformer=MinMaxScaler()),
        n_estimators=2,
        random_state=0,
    ),
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "bare": classifier,
    "pipeline": lambda: make_pipeline(StandardScaler(), classifier()),
    "search": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), classifier()), {"toyclassifier__alpha": [0.1, 1.0]}, cv=2
    ),
    "calibrated": lambda: CalibratedClassifierCV(classifier(), cv=2),
    "calibrated pipeline": lambda: CalibratedClassifierCV(
        make_pipeline(StandardScaler(), classifier()), cv=2, ensemble=False
    ),
    "bagging": lambda: BaggingClassifier(classifier(), n_estimators=2, random_state=0),
    "one against the rest": lambda: OneVsRestClassifier(classifier()),
    "stacking": lambda: StackingClassifier(
        [("a", classifier()), ("b", make_pipeline(StandardScaler(), classifier()))], cv=2
    ),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test__export_pipeline__regressor_of_the_zoo_nested__predicts_the_same(
    name: str, tmp_path: Path
) -> None:
    runner = check(REGRESSORS[name](), X, Y, tmp_path, new=X * 3 - 1)
    (output,) = runner.bundle.graphs["model"]["outputs"]
    assert runner.bundle.model == "toy"
    assert (output["name"], output["dtype"], len(output["shape"])) == ("prediction", "float64", 1)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test__export_pipeline__classifier_of_the_zoo_nested__predicts_the_same(
    name: str, tmp_path: Path
) -> None:
    runner = check(CLASSIFIERS[name](), X, WORDS, tmp_path, new=X * 3 - 1)
    assert (runner.bundle.model, runner.task) == ("toy", "classification")
    label, chances = runner.bundle.graphs["model"]["outputs"]
    assert (label["name"], label["dtype"], len(label["shape"])) == ("label", "string", 1)
    assert (chances["name"], chances["dtype"]) == ("probabilities", "float64")
    assert chances["shape"][1] == 3


@pytest.mark.parametrize("labels", [CODES, CODES * 10 - 5, CODES > 0, CODES.astype(float), WORDS])
def test__export_pipeline__labels_of_every_type__come_back_in_it(
    labels: np.ndarray, tmp_path: Path
) -> None:
    runner = check(make_pipeline(StandardScaler(), classifier()), X, labels, tmp_path)
    assert runner.classes_.tolist() == np.unique(labels).tolist()


def test__export_pipeline__several_outputs__keep_their_axis(tmp_path: Path) -> None:
    runner = check(MultiOutputRegressor(regressor()), X, np.c_[Y, -Y, X[:, 0]], tmp_path)
    assert runner.bundle.graphs["model"]["outputs"][0]["shape"] == ["n_samples", 3]
    column = check(LinearRegression(), X, Y[:, None], tmp_path / "column")
    assert column.bundle.graphs["model"]["outputs"][0]["shape"] == ["n_samples", 1]


def test__export_pipeline__wrong_conversion__is_caught(tmp_path: Path) -> None:
    """skl2onnx gives isotonic calibration steps where scikit-learn interpolates."""
    model = CalibratedClassifierCV(classifier(), method="isotonic", cv=2).fit(X, WORDS)
    with pytest.raises(VerificationError, match=r"output 'probabilities' differs by up to"):
        export_pipeline(model, X, tmp_path / "out")
    assert list(tmp_path.glob("out*")) == []


def test__export_pipeline__conversion_that_is_no_graph__is_said(tmp_path: Path) -> None:
    """skl2onnx mixes precisions in the polynomials of float64 columns."""
    model = make_pipeline(PolynomialFeatures(2), regressor()).fit(X, Y)
    with pytest.raises(ExportError, match=r"refuses what skl2onnx makes of Pipeline: .*Concat"):
        export_pipeline(model, X, tmp_path / "out", dtype="float64")
    export_pipeline(model, X, tmp_path / "out", dtype="float32")


def test__export_pipeline__predictor_of_scikit_learn__needs_fewer_digits(tmp_path: Path) -> None:
    rows = X.astype(np.float32).astype(np.float64)  # what a forest compares with its thresholds
    model = RandomForestRegressor(n_estimators=3, random_state=0).fit(rows, Y)
    folder = export_pipeline(model, rows, tmp_path / "out", dtype="float32")
    found = read_bundle(folder)
    assert (found.model, found.distribution) == ("RandomForestRegressor", "scikit-learn")
    with pytest.raises(VerificationError, match=r"differs by up to"):
        export_pipeline(model, rows, tmp_path / "other", dtype="float32", rtol=1e-12)


# --- the target -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "inverse"),
    [
        (np.log, np.exp),
        (np.log1p, np.expm1),
        (np.exp, np.log),
        (np.expm1, np.log1p),
        (np.square, np.sqrt),
        (np.sqrt, np.square),
        (np.negative, np.negative),
        (np.reciprocal, np.reciprocal),
    ],
)
def test__transformed_target__function_of_numpy__is_inverted(
    function: np.ufunc, inverse: np.ufunc, tmp_path: Path
) -> None:
    target = 2.0 + np.abs(Y) / 10
    model = TransformedTargetRegressor(regressor(), func=function, inverse_func=inverse)
    check(model, X / 10, target, tmp_path)


@pytest.mark.parametrize("scaler", [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler])
def test__transformed_target__scaler__is_inverted(scaler: type, tmp_path: Path) -> None:
    model = TransformedTargetRegressor(LinearRegression(), transformer=scaler())
    check(model, X, np.c_[Y * 100 + 7, -Y], tmp_path)


@pytest.mark.parametrize(
    "transformer",
    [PowerTransformer(), FunctionTransformer(np.cbrt, np.positive, check_inverse=False)],
)
def test__transformed_target__other_transformer__says_which_are_known(
    transformer: Any, tmp_path: Path
) -> None:
    model = TransformedTargetRegressor(
        regressor(), transformer=transformer, check_inverse=False
    ).fit(X, Y)
    with pytest.raises(ExportError, match=r"must be scaled by StandardScaler.* Got \w+Transformer"):
        to_onnx(model, X)


# --- preparation of columns -----------------------------------------------------------------


@pytest.mark.parametrize("scaler", [StandardScaler(), RobustScaler(), MinMaxScaler((1, 3))])
def test__scalers__large_offset_in_float32__costs_no_digits(scaler: Any, tmp_path: Path) -> None:
    years = 2000.1 + 10 * X
    check(make_pipeline(scaler, regressor()), years, Y, tmp_path, new=years + 30)


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        RobustScaler(with_centering=False),
        RobustScaler(with_scaling=False),
        MinMaxScaler(clip=True),
        MaxAbsScaler(),
    ],
)
def test__scalers__every_option__is_honoured(scaler: Any, tmp_path: Path) -> None:
    check(make_pipeline(scaler, regressor()), X, Y, tmp_path, new=X * 5)


def encoded(encoder: OneHotEncoder, columns: list[str]) -> Pipeline:
    steps = [("numbers", StandardScaler(), NUMBERS), ("categories", encoder, columns)]
    return make_pipeline(ColumnTransformer(steps), regressor())


@pytest.mark.parametrize(
    "options",
    [
        {"handle_unknown": "ignore"},
        {"handle_unknown": "ignore", "sparse_output": False, "dtype": np.int64},
        {"handle_unknown": "ignore", "drop": "first"},
        {"handle_unknown": "ignore", "drop": "if_binary"},
        {"handle_unknown": "infrequent_if_exist", "min_frequency": 22},
        {"handle_unknown": "infrequent_if_exist", "max_categories": 2},
        {"handle_unknown": "infrequent_if_exist", "max_categories": 2, "drop": "first"},
        {"handle_unknown": "ignore", "max_categories": 2},
    ],
)
@pytest.mark.filterwarnings("ignore:Found unknown categories")  # scikit-learn says so, rightly
def test__one_hot__unknown_and_rare_categories__are_encoded_the_same(
    options: dict[str, Any], tmp_path: Path
) -> None:
    new = FRAME.assign(colour="mauve", doors=9)
    new.loc[::2, "colour"] = "red"
    new.loc[::3, "doors"] = 3
    check(encoded(OneHotEncoder(**options), ["colour", "doors", "new"]), FRAME, Y, tmp_path, new)


@pytest.mark.parametrize("options", [{}, {"drop": "first"}, {"max_categories": 2}])
def test__one_hot__strict__refuses_unknown_categories(
    options: dict[str, Any], tmp_path: Path
) -> None:
    model = encoded(OneHotEncoder(**options), ["colour", "doors"])
    runner = check(model, FRAME, Y, tmp_path)
    with pytest.raises(DataError, match=r"refuses the rows: .*[Uu]nknown"):
        runner.predict(FRAME.assign(colour="mauve"))


def test__one_hot__missing_categories__have_their_own_column(tmp_path: Path) -> None:
    frame = FRAME.assign(size=np.where(FRAME.doors == 2, np.nan, FRAME.doors / 2))
    frame.loc[::4, "colour"] = np.nan
    frame["shade"] = frame.colour.astype(object)
    frame.loc[::4, "shade"] = None
    model = encoded(OneHotEncoder(handle_unknown="ignore"), ["colour", "shade", "size"])
    runner = check(model, frame, Y, tmp_path)

    shades = {name: frame[name].tolist() for name in frame}
    shades["colour"] = [None if value != value else value for value in shades["colour"]]
    want = runner.predict(frame)
    assert runner.predict(shades).tolist() == want.tolist()


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ([None, np.nan, "a"], {}, "tells None from NaN"),
        (["nan", np.nan, "a"], {}, r"categories \['a', 'nan', 'nan'\] .* coincide as text"),
        ([0.5, 1.0, 2.0], {}, "handle_unknown='error' must have text or whole number categories"),
    ],
)
def test__one_hot__categories_a_graph_cannot_tell_apart__are_refused(
    column: list[Any], options: dict[str, Any], message: str
) -> None:
    frame = FRAME[NUMBERS].assign(odd=pd.Series(column * (N // 3), dtype=object))
    if isinstance(column[0], float):
        frame["odd"] = frame.odd.astype(float)
    model = encoded(OneHotEncoder(**options), ["odd"]).fit(frame, Y)
    with pytest.raises(ExportError, match=message):
        to_onnx(model, frame)


def test__one_hot__numbers_in_the_rows_of_a_text_column__is_said() -> None:
    model = encoded(OneHotEncoder(handle_unknown="ignore"), ["colour"]).fit(FRAME, Y)
    with pytest.raises(ExportError, match=r"text categories must be given a text column"):
        to_onnx(model, FRAME.assign(colour=1.0))


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        (SimpleImputer(), SimpleImputer(strategy="most_frequent")),
        (
            SimpleImputer(strategy="median", add_indicator=True),
            SimpleImputer(strategy="constant", fill_value="?"),
        ),
        (SimpleImputer(strategy="constant", fill_value=-1.0), SimpleImputer(strategy="constant")),
        (
            SimpleImputer(keep_empty_features=True),
            SimpleImputer(strategy="most_frequent", missing_values="red"),
        ),
    ],
)
def test__imputer__numbers_and_texts__are_filled_in_the_same(
    numbers: SimpleImputer, texts: SimpleImputer, tmp_path: Path
) -> None:
    frame = FRAME.assign(empty=np.nan)
    frame.loc[::5, "a b"] = np.nan
    if texts.missing_values != "red":
        frame.loc[::7, "colour"] = np.nan
    columns = [*NUMBERS, "empty"] if numbers.keep_empty_features else NUMBERS
    steps = [
        ("numbers", make_pipeline(numbers, StandardScaler()), columns),
        ("texts", make_pipeline(texts, OneHotEncoder(handle_unknown="ignore")), ["colour"]),
    ]
    model = make_pipeline(ColumnTransformer(steps), regressor())
    runner = check(model, frame, Y, tmp_path)
    assert set(NUMBERS) <= set(runner.bundle.metadata["accepts_missing"])


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")  # on purpose
def test__imputer__column_without_values_or_other_marker__is_handled(tmp_path: Path) -> None:
    rows = np.c_[X, np.full(N, np.nan)]
    check(make_pipeline(SimpleImputer(), regressor()), rows, Y, tmp_path / "nan")
    rows = np.where(np.abs(X) < 0.3, -99.0, X)
    model = make_pipeline(SimpleImputer(missing_values=-99.0), regressor())
    runner = check(model, rows, Y, tmp_path / "number")
    assert runner.bundle.metadata["accepts_missing"] == []


def test__imputer__indicators_of_texts__are_refused() -> None:
    frame = FRAME.copy()
    frame.loc[::7, "colour"] = np.nan
    texts = make_pipeline(
        SimpleImputer(strategy="most_frequent", add_indicator=True),
        OneHotEncoder(handle_unknown="ignore"),
    )
    model = make_pipeline(ColumnTransformer([("texts", texts, ["colour"])]), regressor())
    with pytest.raises(ExportError, match=r"text columns with add_indicator=True has no graph"):
        to_onnx(model.fit(frame, Y), frame)


def test__column_transformer__rest_passed_through__predicts_the_same(tmp_path: Path) -> None:
    steps = [("text", OneHotEncoder(), ["colour"]), ("order", OrdinalEncoder(), ["doors"])]
    model = make_pipeline(ColumnTransformer(steps, remainder="passthrough"), regressor())
    check(model, FRAME, Y, tmp_path)


def test__column_transformer__unnamed_columns__predicts_the_same(tmp_path: Path) -> None:
    rows = np.c_[X[:, :2].astype(object), FRAME.colour.to_numpy(object)]
    steps = [("numbers", StandardScaler(), [0, 1]), ("text", OneHotEncoder(), [2])]
    runner = check(make_pipeline(ColumnTransformer(steps), regressor()), rows, Y, tmp_path)
    assert runner.bundle.metadata["feature_names"] is None
    assert not hasattr(runner, "feature_names_in_")


# --- inputs ---------------------------------------------------------------------------------


def test__to_onnx__numbers_only__is_one_matrix() -> None:
    frame = FRAME[NUMBERS]
    graph = to_onnx(make_pipeline(StandardScaler(), regressor()).fit(frame, Y), frame)
    assert [value.name for value in graph.graph.input] == ["X"]
    assert not graph.metadata_props


def test__to_onnx__text_columns__is_one_input_per_column_and_records_the_names() -> None:
    model = encoded(OneHotEncoder(handle_unknown="ignore"), ["colour"]).fit(FRAME, Y)
    graph = to_onnx(model, FRAME)
    columns = json.loads(graph.metadata_props[0].value)

    assert graph.metadata_props[0].key == "zoo.columns"
    assert list(columns) == list(FRAME.columns)
    assert columns == {
        "length (cm)": "length__cm",
        "a b": "a_b",
        "a_b": "a_b_2",
        "label": "label_2",
        "colour": "colour",
        "doors": "doors",
        "new": "new",
    }
    assert [value.name for value in graph.graph.input] == list(columns.values())
    feeds = {
        columns[name]: FRAME[[name]].to_numpy(object if name == "colour" else np.float64)
        for name in FRAME
    }
    got = open_session(graph.SerializeToString()).run(["prediction"], feeds)[0]
    np.testing.assert_allclose(got, model.predict(FRAME), rtol=1e-9)


def test__to_onnx__result__is_checked_named_and_portable() -> None:
    model = encoded(OneHotEncoder(), ["colour"]).fit(FRAME, Y)
    graph = to_onnx(model, FRAME, opset=21)
    onnx.checker.check_model(graph, full_check=True)

    assert {o.domain: o.version for o in graph.opset_import} == {"": 21, "ai.onnx.ml": 3}
    names = [node.name for node in graph.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert "Identity" not in {node.op_type for node in graph.graph.node}
    assert graph.producer_name == "zoo"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (X, "float64"),
        (X.astype(np.float32), "float32"),
        (np.ones((N, 4), dtype=int), "float64"),
        (FRAME[NUMBERS].astype(np.float32), "float32"),
        (FRAME[NUMBERS].assign(label=1), "float64"),
        (FRAME[NUMBERS].astype(np.float32).assign(label=1), "float32"),
    ],
)
def test__to_onnx__dtype_none__follows_the_floats_of_the_rows(table: Any, expected: str) -> None:
    graph = to_onnx(make_pipeline(StandardScaler(), LinearRegression()).fit(table, Y), table)
    kind = graph.graph.input[0].type.tensor_type.elem_type
    assert onnx.helper.tensor_dtype_to_np_dtype(kind) == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (X[0], r"must have shape \(n_samples, n_features\), none of them 0. Got \(4,\)"),
        (X[:0], r"Got \(0, 4\)"),
        (FRAME.iloc[:0], "must be at least one. Got none"),
        ({"a": [1.0]}, r"must be an array or a pandas DataFrame. Got a builtins.dict"),
        (FRAME[NUMBERS].set_axis(["a", "a", "b", "c"], axis=1), "must have different names"),
        (FRAME[NUMBERS].assign(label=pd.Timestamp("2020-01-01")), "'label' must hold numbers"),
    ],
)
def test__to_onnx__rows_that_are_none__are_refused(table: Any, message: str) -> None:
    model = make_pipeline(StandardScaler(), regressor()).fit(X, Y)
    with pytest.raises(DataError, match=message):
        to_onnx(model, table)


def test__to_onnx__options_it_cannot_have__are_refused() -> None:
    model = make_pipeline(StandardScaler(), regressor()).fit(X, Y)
    with pytest.raises(ExportError, match=r"opset of an exported pipeline must be from 19 to 22"):
        to_onnx(model, X, opset=18)
    with pytest.raises(ExportError, match=r"dtype of an exported pipeline must be 'float32' or"):
        to_onnx(model, X, dtype="float16")


def test__to_onnx__models_it_cannot_convert__are_refused() -> None:
    with pytest.raises(ExportError, match=r"must end in a regressor or classifier. Got a Standard"):
        to_onnx(StandardScaler().fit(X), X)
    several = MultiOutputClassifier(classifier()).fit(X, np.c_[CODES, CODES])
    with pytest.raises(ExportError, match=r"several targets at once has no graph"):
        to_onnx(several, X)
    with pytest.raises(NotFittedError, match=r"not fitted yet"):
        to_onnx(make_pipeline(StandardScaler(), regressor()), X)
    voting = VotingClassifier([("a", classifier())], voting="soft").fit(X, WORDS)
    with pytest.raises(ExportError, match=r"skl2onnx cannot convert VotingClassifier: NotImpl"):
        to_onnx(voting, X)
    texts = make_pipeline(FunctionTransformer(np.exp), regressor())
    with pytest.raises(ExportError, match=r"FunctionTransformer takes numbers. Got text columns"):
        to_onnx(texts.fit(X, Y), FRAME[NUMBERS].astype(str))


def test__to_onnx__classifier_without_probabilities__gives_labels_only(tmp_path: Path) -> None:
    from sklearn.linear_model import RidgeClassifier

    model = make_pipeline(StandardScaler(), RidgeClassifier()).fit(X, WORDS)
    runner = load_onnx(export_pipeline(model, X, tmp_path / "out", dtype="float32"))
    assert runner.predict(X).tolist() == model.predict(X).tolist()
    with pytest.raises(AttributeError, match=r"gives no probabilities"):
        runner.predict_proba(X)


def test__to_onnx__without_skl2onnx__says_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_pipeline(StandardScaler(), regressor()).fit(X, Y)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(MissingDependencyError, match=r"needs skl2onnx: pip install skl2onnx"):
        to_onnx(model, X)
    assert to_onnx(regressor().fit(X, Y), X).graph.name == "toy"


def test__to_onnx__subclass_of_a_model__is_converted_like_it() -> None:
    model = regressor().fit(X, Y)
    model.__class__ = type("Mine", (type(model),), {"__module__": "mine"})
    pipeline = make_pipeline(StandardScaler(), model)
    pipeline.fit(X, Y)
    graph = to_onnx(pipeline, X)
    got = open_session(graph.SerializeToString()).run(None, {"X": X})[0]
    np.testing.assert_allclose(got, pipeline.predict(X), rtol=1e-9)


def test__export_pipeline__missing_numbers__are_recorded_where_they_are_taken(
    tmp_path: Path,
) -> None:
    frame = FRAME[NUMBERS].copy()
    frame.loc[::5, "a b"] = np.nan
    steps = [
        ("imputed", make_pipeline(SimpleImputer(), StandardScaler()), ["length (cm)", "a b"]),
        ("strict", StandardScaler(), ["a_b", "label"]),
    ]
    model = make_pipeline(ColumnTransformer(steps), LogisticRegression()).fit(frame, WORDS)
    folder = export_pipeline(model, frame, tmp_path / "out")
    # 'label' has no imputer, so that only what the rows show to be taken is.
    assert read_bundle(folder).metadata["accepts_missing"] == ["a b"]


def test__export_pipeline__further_files__are_in_the_bundle(tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), regressor()).fit(X, Y)
    folder = export_pipeline(model, X, tmp_path / "out", files={"table.json": b"{}"})
    assert read_bundle(folder).read_file("table.json") == b"{}"


def test__column_transformer__text_passed_through__is_encoded_behind_it(tmp_path: Path) -> None:
    steps = [("texts", "passthrough", ["colour", "shade"])]
    frame = FRAME.assign(shade=FRAME.colour.str.upper())
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = make_pipeline(ColumnTransformer(steps), encoder, regressor())
    check(model, frame, Y, tmp_path)
