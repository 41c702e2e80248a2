"""Exported folders run on onnxruntime and numpy alone, from any kind of table."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import zoo
from zoo.errors import DataError, DeviceError, FormatError, SourceError, UnknownModelError
from zoo.onnx import export_pipeline
from zoo.onnx.bundle import MANIFEST
from zoo.runtime import TabularRunner, load_onnx

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 3))
FRAME = pd.DataFrame(X, columns=["length (cm)", "b", "label"])
Y = X @ [1.0, -2.0, 0.5]
MIXED = FRAME.assign(colour=np.array(["red", "green", "blue"])[GENERATOR.integers(0, 3, 40)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exported folders of small pipelines."""
    root = tmp_path_factory.mktemp("bundles")
    scaled = make_pipeline(StandardScaler(), LinearRegression())
    classes = np.array(["low", "high"])[(Y > 0).astype(int)]
    numbers = ["length (cm)", "b", "label"]
    steps = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers[:2]),
        ("rest", StandardScaler(), ["label"]),
        ("text", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
    ]
    strict = [("numbers", StandardScaler(), numbers), ("text", OneHotEncoder(), ["colour"])]
    mixed = make_pipeline(ColumnTransformer(steps), LogisticRegression())
    return {
        "array": export_pipeline(scaled.fit(X, Y), X, root / "array"),
        "frame": export_pipeline(scaled.fit(FRAME, Y), FRAME, root / "frame", dtype="float32"),
        "two": export_pipeline(scaled.fit(X, np.c_[Y, -Y]), X, root / "two"),
        "mixed": export_pipeline(mixed.fit(MIXED, classes), MIXED, root / "mixed"),
        "strict": export_pipeline(
            make_pipeline(ColumnTransformer(strict), LinearRegression()).fit(MIXED, Y),
            MIXED,
            root / "strict",
        ),
    }


@pytest.fixture
def runner(folders: dict[str, Path]) -> Callable[[str], TabularRunner]:
    return lambda name: load_onnx(folders[name])


def test__load_onnx__top_level_name__is_the_same_function() -> None:
    assert zoo.load_onnx is load_onnx


def test__load_onnx__regressor__has_its_attributes(runner: Callable[[str], TabularRunner]) -> None:
    found = runner("frame")

    assert (found.task, found.device, found.n_features_in_) == ("regression", "cpu", 3)
    assert found.feature_names_in_.tolist() == ["length (cm)", "b", "label"]
    assert not hasattr(found, "classes_")
    assert not hasattr(runner("array"), "feature_names_in_")
    assert repr(found) == (
        "TabularRunner('Pipeline', task='regression', n_features=3, device='cpu')"
    )


def test__load_onnx__classifier__has_its_classes(runner: Callable[[str], TabularRunner]) -> None:
    found = runner("mixed")
    assert found.classes_.tolist() == ["high", "low"]
    assert found.n_features_in_ == 4
    chances = found.predict_proba(MIXED)
    assert chances.shape == (40, 2)
    assert (found.predict(MIXED) == found.classes_[chances.argmax(axis=1)]).all()


def test__predict__every_kind_of_table__gives_the_same(
    runner: Callable[[str], TabularRunner],
) -> None:
    found = runner("frame")
    want = found.predict(X)

    assert want.shape == (40,)
    np.testing.assert_allclose(want, Y, atol=1e-5)
    tables: list[Any] = [
        FRAME,
        FRAME[["label", "b", "length (cm)"]],
        {name: FRAME[name].tolist() for name in reversed(FRAME.columns)},
        X.tolist(),
        X.astype(np.float32).astype(object),
        FRAME.astype("Float64"),
    ]
    for table in tables:
        np.testing.assert_allclose(found.predict(table), want, atol=1e-6)


def test__predict__integers_and_booleans__are_cast(
    runner: Callable[[str], TabularRunner],
) -> None:
    found = runner("array")
    ones = np.ones((2, 3))
    want = found.predict(ones)
    assert found.predict(ones.astype(np.int32)).tolist() == want.tolist()
    assert found.predict(ones.astype(bool)).tolist() == want.tolist()
    assert found.predict({name: [True, 1] for name in "abc"}).tolist() == want.tolist()


def test__predict__several_outputs__have_a_second_axis(
    runner: Callable[[str], TabularRunner],
) -> None:
    np.testing.assert_allclose(runner("two").predict(X), np.c_[Y, -Y], atol=1e-12)


def test__predict__column_order_of_mixed_table__does_not_matter(
    runner: Callable[[str], TabularRunner],
) -> None:
    found = runner("mixed")
    want = found.predict_proba(MIXED)
    shuffled = MIXED[["colour", "label", "b", "length (cm)"]]
    np.testing.assert_array_equal(found.predict_proba(shuffled), want)
    np.testing.assert_array_equal(found.predict_proba(MIXED.to_numpy(object)), want)


def test__predict_proba__regressor__has_none(runner: Callable[[str], TabularRunner]) -> None:
    with pytest.raises(AttributeError, match=r"'Pipeline' \(regression\) gives no probabilities"):
        runner("array").predict_proba(X)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (X[:, :2], "X must have 3 columns. Got 2"),
        (X[0], r"X must be two-dimensional, \(n_samples, 3\). Got shape \(3,\)"),
        (X[:0], "X must have at least one row. Got none"),
        (FRAME.iloc[:0], "X must have at least one row. Got none"),
        (FRAME.drop(columns="b"), "Missing: 'b'; unknown: none"),
        (FRAME.assign(extra=1.0), "Missing: none; unknown: 'extra'"),
        ({"length (cm)": [1.0], "b": [1.0], "L": [1.0]}, "Missing: 'label'; unknown: 'L'"),
        (FRAME.set_axis(["b", "b", "label"], axis=1), "different names. Got 'b' twice"),
        (FRAME.assign(b="x"), "column 'b' must hold numbers. Got 'x'"),
        (FRAME.assign(b=pd.Timestamp("2020-01-01")), "column 'b' must hold numbers"),
        (X + 1j, r"column 'length \(cm\)' must hold numbers"),
        (FRAME.assign(b=np.nan), "column 'b' must be complete"),
        (FRAME.astype(object).assign(b=None), "column 'b' must be complete"),
        (np.where(X[3, 1] == X, np.nan, X), "column 'b' must be complete"),
        (np.where(X[3, 1] == X, np.inf, X), "column 'b' must be finite"),
        (X * 1e39, "must be within the range of float32. Got"),
        ({"length (cm)": [1.0, 2.0], "b": [1.0], "label": [1.0]}, "same number of rows. Got"),
        ({"length (cm)": [1.0], "b": [[1.0, 2.0]], "label": [1.0]}, "'b' must be one-dimensional"),
        ({"length (cm)": 1.0, "b": 1.0, "label": 1.0}, "must be one-dimensional"),
    ],
)
def test__predict__table_that_does_not_fit__is_said_in_one_sentence(
    runner: Callable[[str], TabularRunner], table: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        runner("frame").predict(table)


def test__predict__nameless_model__takes_named_columns_in_order(
    runner: Callable[[str], TabularRunner],
) -> None:
    found = runner("array")
    assert found.predict(FRAME).tolist() == found.predict(X).tolist()
    with pytest.raises(DataError, match=r"column 'X\[:, 1\]' must be complete"):
        found.predict(np.where(X[3, 1] == X, np.nan, X))
    with pytest.raises(DataError, match=r"X must have 3 columns. Got 2"):
        found.predict(FRAME[["b", "label"]])


def test__predict__missing_number__is_taken_where_the_pipeline_imputes(
    runner: Callable[[str], TabularRunner],
) -> None:
    found = runner("mixed")
    # One of the three columns has no imputer, so NaN passes where the exported rows had it only.
    with pytest.raises(DataError, match=r"column 'label' must be complete"):
        found.predict(MIXED.assign(label=np.nan))


def test__predict__unknown_category__is_ignored_or_refused_as_the_encoder_does(
    runner: Callable[[str], TabularRunner],
) -> None:
    chances = runner("mixed").predict_proba(MIXED.assign(colour="mauve"))
    assert np.isfinite(chances).all()
    with pytest.raises(DataError, match=r"The exported model refuses the rows: .*Unknown"):
        runner("strict").predict(MIXED.assign(colour="mauve"))


def test__load_onnx__cuda_on_a_cpu_build__raises(folders: dict[str, Path]) -> None:
    with pytest.raises(DeviceError, match=r"The device 'cuda' needs an onnxruntime built for CUDA"):
        load_onnx(folders["array"], device="cuda")


def test__load_onnx__missing_folder__is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no exported folder"):
        load_onnx(tmp_path / "nothing")


def _changed(folder: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    target.mkdir()
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (target / MANIFEST).write_text(json.dumps(manifest))
    (target / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_names": "abc"}, "feature_names of .* must be a list of text or null. Got 'abc'"),
        ({"feature_names": ["a"]}, "must take one matrix, or the columns that its metadata lists"),
        ({"columns": ["a"]}, "columns of .* must map names to inputs, or be null"),
        ({"columns": {"a": "nowhere"}}, "must take one matrix, or the columns"),
    ],
)
def test__load_onnx__metadata_that_does_not_fit_the_graph__is_refused(
    folders: dict[str, Path], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = _changed(folders["array"], tmp_path / "out", lambda m: m["metadata"].update(change))
    with pytest.raises(FormatError, match=message):
        load_onnx(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": None},
        {"classes": ["a", 1]},
        {"classes_dtype": "object"},
        {"classes": [2**64], "classes_dtype": "int64"},
    ],
)
def test__load_onnx__classes_that_are_none__are_refused(
    folders: dict[str, Path], tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = _changed(folders["mixed"], tmp_path / "out", lambda m: m["metadata"].update(change))
    with pytest.raises(FormatError, match=r"The classes of a bundle must"):
        load_onnx(folder)


RUNNER = """
class OwnRunner:
    def __init__(self, bundle, *, device):
        self.bundle, self.device = bundle, device
"""


def _plugin(runner: str | None) -> str:
    return f"""
import zoo
@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec("own", {{"regression": "own_runner:OwnRunner"}}, runner={runner!r}))
"""


def test__load_onnx__runner_of_the_model__comes_from_the_registry_only(
    folders: dict[str, Path], tmp_path: Path, add_distribution: Callable[..., Path]
) -> None:
    modules = {"own_plugin": _plugin("own_runner:OwnRunner"), "own_runner": RUNNER}
    add_distribution("zoo-own", modules, entry_points={"own": "own_plugin"})
    folder = _changed(folders["array"], tmp_path / "a", lambda m: m.update(runner="own"))
    found = load_onnx(folder, device="cpu")
    assert (type(found).__name__, found.device) == ("OwnRunner", "cpu")
    assert found.bundle.folder == folder

    dotted = _changed(folders["array"], tmp_path / "b", lambda m: m.update(runner="os:system"))
    with pytest.raises(UnknownModelError, match=r"No installed model is named 'os:system'"):
        load_onnx(dotted)


def test__load_onnx__name_claimed_twice__goes_to_the_bundles_distribution(
    folders: dict[str, Path], tmp_path: Path, add_distribution: Callable[..., Path]
) -> None:
    modules = {"own_plugin": _plugin("own_runner:OwnRunner"), "own_runner": RUNNER}
    add_distribution("zoo-own", modules, entry_points={"own": "own_plugin"})
    add_distribution("zoo-rival", {"rival": _plugin(None)}, entry_points={"rival": "rival"})
    change = {"runner": "own", "distribution": "zoo-own"}
    found = load_onnx(_changed(folders["array"], tmp_path / "a", lambda m: m.update(change)))
    assert type(found).__name__ == "OwnRunner"

    change["distribution"] = "zoo-rival"
    folder = _changed(folders["array"], tmp_path / "b", lambda m: m.update(change))
    with pytest.raises(FormatError, match=r"by the model 'own', which has no runner in zoo-rival"):
        load_onnx(folder)


BLOCKED = """
import json, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "sklearn", "skl2onnx", "pandas", "scipy", "skorch"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
import zoo
runner = zoo.load_onnx(sys.argv[1], device="cpu")
table = json.load(sys.stdin)
print(json.dumps([runner.predict(table).tolist(), runner.predict_proba(table).tolist()]))
"""


def test__load_onnx__neither_torch_nor_sklearn_nor_pandas__still_predicts(
    folders: dict[str, Path], runner: Callable[[str], TabularRunner]
) -> None:
    table = {name: MIXED[name].tolist()[:5] for name in MIXED}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED, str(folders["mixed"])],
        input=json.dumps(table),
        capture_output=True,
        text=True,
        check=True,
    )
    labels, chances = json.loads(result.stdout)
    assert labels == runner("mixed").predict(table).tolist()
    assert chances == runner("mixed").predict_proba(table).tolist()
    assert result.stderr == ""
