"""Fixtures of the core's tests: small distributions that exist for one test."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo.registry import registry


def write_distribution(
    site: Path,
    name: str,
    modules: dict[str, str],
    *,
    entry_points: dict[str, str],
    version: str = "1.0",
    requires: tuple[str, ...] = (),
) -> None:
    """Write what pip would have installed into a folder: modules and their metadata."""
    for module, source in modules.items():
        path = site.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}", encoding="utf-8"
    )
    lines = "".join(f"{plugin} = {module}\n" for plugin, module in entry_points.items())
    (info / "entry_points.txt").write_text(f"[zoo]\n{lines}", encoding="utf-8")


@pytest.fixture
def add_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Install small distributions for one test; returns a function like `write_distribution`.

    The function takes the name of the distribution, its modules as source text and its entry
    points, and returns the folder they are in. The registry is discovered anew before and after.
    """
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)
    registry.cache_clear()

    def add(name: str, modules: dict[str, str], **options: object) -> Path:
        write_distribution(site, name, modules, **options)
        importlib.invalidate_caches()
        registry.cache_clear()
        return site

    yield add
    registry.cache_clear()
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", None) or "").startswith(str(site)):
            del sys.modules[module]


TOY_PLUGIN = """
import zoo

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec(
        name="toy",
        targets={
            "regression": "zoo_toy_model:ToyRegressor",
            "classification": "zoo_toy_model:ToyClassifier",
        },
        exporter="zoo_toy_model:export",
        summary="Least squares.",
        paper=zoo.Paper(title="Least squares", authors="Gauss", year=1809, doi="10.1/x"),
        licence="MIT",
        tags=("linear",),
        checkpoints=(zoo.Checkpoint("small", "zoo_toy/small", "A small one."),),
    ))

@zoo.hookimpl
def zoo_register_commands(register):
    register(zoo.CommandSpec("toy", "zoo_toy_commands:app", "Toys."))
    register(zoo.CommandSpec("broken-toy", "zoo_toy_broken:app", "Does not import."))
    register(zoo.CommandSpec("strange-toy", "zoo_toy_model:export", "Is no typer app."))

@zoo.hookimpl
def zoo_register_demos(register):
    register(zoo.DemoSpec("toy", "zoo_toy_commands:demo", "Writes a report."))
"""
TOY_COMMANDS = '''
import typer

app = typer.Typer()

@app.command()
def hello(name: str):
    """Greet."""
    typer.echo(f"hello {name}")

@app.command()
def bye(name: str):
    """Leave."""

def demo(folder, console):
    (folder / "report.html").write_text("<p>toy</p>")
    console.print("toy demo")
'''
TOY_MODEL = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from zoo.onnx import OnnxExportMixin
from zoo.persistence import FittedState, PretrainedMixin


class _Toy(PretrainedMixin, OnnxExportMixin, BaseEstimator):
    def __init__(self, *, alpha=1e-3, random_state=None):
        self.alpha = alpha
        self.random_state = random_state

    def _solve(self, X, Y):
        if self.alpha < 0:
            raise ValueError("alpha must be at least 0.")
        ones = np.column_stack([X, np.ones(len(X))])
        gram = ones.T @ ones + self.alpha * np.eye(ones.shape[1])
        self.coef_ = np.linalg.solve(gram, ones.T @ Y)

    def _raw(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X @ self.coef_[:-1] + self.coef_[-1]

    def _get_fitted_state(self):
        return FittedState(values={}, arrays={"coef": self.coef_})

    def _set_fitted_state(self, state):
        self.coef_ = state.arrays["coef"]
        self.n_features_in_ = len(self.coef_) - 1


class ToyRegressor(RegressorMixin, _Toy):
    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self._solve(X, y)
        return self

    def predict(self, X):
        return self._raw(X)


class ToyClassifier(ClassifierMixin, _Toy):
    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._solve(X, np.eye(len(self.classes_))[codes])
        return self

    def predict_proba(self, X):
        raw = np.exp(4 * self._raw(X))
        return raw / raw.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _get_fitted_state(self):
        state = super()._get_fitted_state()
        state.values["classes"] = self.classes_.tolist()
        return state

    def _set_fitted_state(self, state):
        super()._set_fitted_state(state)
        self.classes_ = np.array(state.values["classes"])


def export(estimator, X=None, *, dtype="float64", opset=20):
    from onnx import TensorProto, helper, numpy_helper

    from zoo.onnx import Export
    from zoo.onnx.labels import class_metadata
    from zoo.onnx.reference import predictor_reference

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    coef = estimator.coef_.astype(dtype)
    classify = isinstance(estimator, ToyClassifier)
    width = estimator.n_features_in_
    weights = {"slope": coef[:-1], "shift": coef[-1], "four": np.array(4, dtype)}
    nodes = [
        helper.make_node("MatMul", ["X", "slope"], ["product"], name="product"),
        helper.make_node("Add", ["product", "shift"], ["raw"], name="raw"),
    ]
    if classify:
        texts = [str(label) for label in estimator.classes_]
        nodes += [
            helper.make_node("Mul", ["raw", "four"], ["sharp"], name="sharp"),
            helper.make_node("Softmax", ["sharp"], ["probabilities"], axis=1, name="softmax"),
            helper.make_node("ArgMax", ["raw"], ["code"], axis=1, keepdims=0, name="argmax"),
            helper.make_node("Gather", ["classes", "code"], ["label"], name="label"),
        ]
        text = estimator.classes_.dtype.kind == "U"
        label = TensorProto.STRING if text else TensorProto.INT64
        outputs = [
            helper.make_tensor_value_info("label", label, ["n"]),
            helper.make_tensor_value_info("probabilities", kind, ["n", len(texts)]),
        ]
        values = np.array(texts, dtype=object) if text else estimator.classes_.astype(np.int64)
        weights["classes"] = values
    else:
        nodes.append(helper.make_node("Identity", ["raw"], ["prediction"], name="prediction"))
        outputs = [helper.make_tensor_value_info("prediction", kind, ["n"])]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("X", kind, ["n", width])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
    )
    classes = estimator.classes_ if classify else None
    metadata = {**class_metadata(classes), "feature_names": None}
    rows = np.random.default_rng(0).normal(size=(20, width)) if X is None else np.asarray(X)
    return Export(
        graphs={"model": model},
        metadata=metadata,
        samples={"X": rows.astype(dtype)},
        reference=predictor_reference(estimator, classes),
        rtol=1e-4 if dtype == "float32" else 1e-9,
    )
"""


@pytest.fixture
def toy(add_distribution: Callable[..., Path]) -> Path:
    """Install a small least-squares model ``toy`` with commands and a demonstration."""
    return add_distribution(
        "zoo-toy",
        {
            "zoo_toy": TOY_PLUGIN,
            "zoo_toy_model": TOY_MODEL,
            "zoo_toy_commands": TOY_COMMANDS,
            "zoo_toy_broken": "import no_such_module",
        },
        entry_points={"toy": "zoo_toy"},
    )


@pytest.fixture
def cli() -> Callable[..., object]:
    """Run a command line in this process: ``cli("fit", "toy", path)`` gives typer's result."""
    from typer.testing import CliRunner

    from zoo.cli.app import app

    def invoke(*arguments: object) -> object:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke
