"""A KAN in ONNX gives the network's own numbers, in the closed form, without what was pruned."""

import itertools
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import zoo
from zoo.errors import DataError, ExportError, VerificationError
from zoo.onnx import export_pipeline, read_bundle, to_onnx
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.session import open_session
from zoo.runtime import load_onnx
from zoo_kan import KANClassifier, KANRegressor, spline
from zoo_kan.export import bell_pieces, build_graph, export, fold_constants
from zoo_kan.network import BASES, EdgeLayer, KANNetwork

TOLERANCES = {"float32": 1e-5, "float64": 1e-9}
BATCHES = (1, 7, 1000)


def smooth_layer(
    generator: np.random.Generator,
    n_in: int,
    n_out: int,
    grid: int,
    order: int,
    base: str,
    products: int = 0,
) -> EdgeLayer:
    """A layer whose edges are random walks over the grid: no rougher than fitted ones."""
    n_out += products  # sums
    mask = generator.random((n_out, n_in)) > 0.2
    steps = generator.normal(size=(n_out, n_in, grid + order)) / np.sqrt(grid)
    return EdgeLayer(
        lower=-generator.uniform(0.5, 3.0, n_in),
        upper=generator.uniform(0.5, 3.0, n_in),
        coef=np.cumsum(steps, axis=2) * mask[..., None],
        base_weight=generator.normal(size=(n_out, n_in)) * mask * (base != "none"),
        bias=generator.normal(size=n_out),
        mask=mask,
        order=order,
        base=base,
        products=products,
    )


def random_network(
    seed: int,
    widths: list[int],
    *,
    grid: int = 5,
    order: int = 3,
    base: str = "silu",
    products: Sequence[int] = (0, 0, 0),
) -> KANNetwork:
    """A network over columns around 0, around the year 2000 and around -100000."""
    generator = np.random.default_rng(seed)
    return KANNetwork(
        layers=[
            smooth_layer(generator, n_in, n_out, grid, order, base, min(count, n_out))
            for (n_in, n_out), count in zip(itertools.pairwise(widths), products, strict=False)
        ],
        input_mean=generator.choice([0.3, 2000.3, -100000.1], widths[0]),
        input_scale=generator.uniform(0.1, 10.0, widths[0]),
        output_mean=generator.normal(size=widths[-1]) * 10,
        output_scale=generator.uniform(0.1, 10.0, widths[-1]),
    )


def rows_around(network: KANNetwork, n_samples: int = 1000, reach: float = 0.5) -> np.ndarray:
    """Rows over the grids and beyond them by a share of their width."""
    first = network.layers[0]
    share = np.random.default_rng(9).uniform(-reach, 1 + reach, (n_samples, first.n_in))
    nodes = first.lower + share * (first.upper - first.lower)
    return nodes * network.input_scale + network.input_mean


def run(graph: onnx.ModelProto, X: np.ndarray) -> list[np.ndarray]:
    onnx.checker.check_model(graph, full_check=True)
    return open_session(graph.SerializeToString(), device="cpu").run(None, {"X": X})


def largest_error(network: KANNetwork, dtype: str, *, reach: float = 0.5) -> float:
    """Largest difference relative to each output's magnitude, over batches 1, 7 and 1000."""
    X = rows_around(network, reach=reach).astype(dtype)
    want = network.forward(X.astype(np.float64))
    scale = np.maximum(np.abs(want).max(axis=0), network.output_scale)
    graph = build_graph(network, dtype=dtype)
    session = open_session(graph.SerializeToString(), device="cpu")
    errors = []
    for batch in BATCHES:
        got = session.run(["prediction"], {"X": X[:batch]})[0].reshape(batch, -1)
        assert got.dtype == dtype
        errors.append((np.abs(got - want[:batch]) / scale).max())
    return max(errors)


@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    grid=st.integers(1, 20),
    order=st.sampled_from(spline.ORDERS),
    base=st.sampled_from(BASES),
    products=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
@settings(max_examples=80)
def test__build_graph__random_network__computes_the_same(
    seed: int, widths: list[int], grid: int, order: int, base: str, products: list[int]
) -> None:
    network = random_network(seed, widths, grid=grid, order=order, base=base, products=products)
    for dtype, tolerance in TOLERANCES.items():
        assert largest_error(network, dtype) <= tolerance


@pytest.mark.parametrize("order", spline.ORDERS)
def test__build_graph__far_outside_of_the_grid__follows_the_tangent(order: int) -> None:
    network = random_network(order, [2, 1], order=order)
    assert largest_error(network, "float64", reach=50.0) <= 1e-9

    # a straight line: three rows at equal steps, all beyond the upper end
    step = (network.layers[0].upper - network.layers[0].lower) * network.input_scale
    base = rows_around(network, 1, 0.0)[0] + 5 * step
    line = run(build_graph(network, dtype="float64"), base + np.outer([0, 1, 2], step))[0]
    slopes = np.diff(line)
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-2)


def test__build_graph__layer__is_the_closed_form_and_one_product() -> None:
    graph = build_graph(random_network(0, [3, 4, 2])).graph
    operators = [node.op_type for node in graph.node]

    assert set(operators) <= {
        *("Sub", "Mul", "Add", "Abs", "Relu", "Clip", "Min", "Sigmoid"),
        *("Reshape", "Concat", "Gemm", "Identity"),
    }
    assert operators.count("Gemm") == 2
    assert all(node.name for node in graph.node)
    assert all(weight.name for weight in graph.initializer)
    axes = graph.input[0].type.tensor_type.shape.dim
    assert (axes[0].dim_param, axes[1].dim_value) == ("n_samples", 3)


def test__build_graph__large_offset_in_float32__costs_no_digits() -> None:
    network = random_network(3, [2, 1])
    network.input_mean[:] = [2000.1, -1e5 + 0.1]
    network.input_scale[:] = [10.0, 100.0]
    assert largest_error(network, "float32") <= 2e-6


def test__build_graph__base_none_or_unused__leaves_its_column_out() -> None:
    network = random_network(0, [2, 2], base="silu")
    network.layers[0].base_weight[:] = 0.0
    for candidate in (network, random_network(0, [2, 2], base="none")):
        graph = build_graph(candidate, dtype="float64")
        assert "Sigmoid" not in {node.op_type for node in graph.graph.node}
        assert largest_error(candidate, "float64") <= 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test__build_graph__one_output__is_flat(dtype: str) -> None:
    network = random_network(1, [2, 1])
    assert run(build_graph(network, dtype=dtype), rows_around(network, 7).astype(dtype))[
        0
    ].shape == (7,)
    network = random_network(1, [2, 3])
    assert run(build_graph(network, dtype=dtype), rows_around(network, 7).astype(dtype))[
        0
    ].shape == (7, 3)


@pytest.mark.parametrize("order", spline.ORDERS)
def test__bell_pieces__every_order__is_the_same_bell(order: int) -> None:
    t = np.linspace(-4, 4, 1001)
    total = np.zeros_like(t)
    for reach, coefficients in bell_pieces(order):
        local = np.clip(reach - np.abs(t), 0, 1)
        total += sum(c * local**m for m, c in enumerate(coefficients, start=1))
    np.testing.assert_allclose(total / math.factorial(order), spline.bell(t, order), atol=1e-13)


# --- pruning --------------------------------------------------------------------------------


def pruned_network() -> KANNetwork:
    """Of 4 inputs 2 count; of 4 hidden nodes one has no edge out, one no edge in."""
    network = random_network(5, [4, 4, 2])
    first, second = network.layers
    first.mask[:] = True
    second.mask[:] = True
    first.mask[:, [1, 3]] = False
    first.mask[2] = False
    second.mask[:, 3] = False
    for layer in network.layers:
        layer.weights = np.random.default_rng(1).normal(size=layer.weights.shape)
    return network


def test__fold_constants__nodes_without_edges__are_gone_and_the_rest_is_equal() -> None:
    network = pruned_network()
    layers, inputs = fold_constants(network)

    assert inputs.tolist() == [0, 2]
    assert [(layer.n_in, layer.n_out) for layer in layers] == [(2, 2), (2, 2)]
    x = network.standardise(rows_around(network))
    want = network.activations(rows_around(network))[-1]
    got = layers[1].forward(layers[0].forward(x[:, inputs]))
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert network.layers[0].n_out == 4


def test__build_graph__pruned_network__holds_live_nodes_only() -> None:
    network = pruned_network()
    graph = build_graph(network, dtype="float64")
    shapes = {weight.name: tuple(weight.dims) for weight in graph.graph.initializer}
    n_features = network.layers[0].coef.shape[2] + 3

    assert shapes["layer0/weights"] == (2 * n_features, 2)
    assert shapes["layer1/weights"] == (2 * n_features, 2)
    assert largest_error(network, "float64") <= 1e-12
    assert largest_error(network, "float32") <= 1e-5


@pytest.mark.parametrize("n_outputs", [1, 2])
def test__build_graph__no_edge_left__is_a_constant_per_row(n_outputs: int) -> None:
    network = random_network(5, [3, 2, n_outputs])
    network.layers[0].mask[:] = False
    want = network.forward(rows_around(network, 7))
    got = run(build_graph(network, dtype="float64"), rows_around(network, 7))[0]

    np.testing.assert_allclose(got.reshape(7, -1), want, rtol=1e-12)
    assert np.ptp(got.reshape(7, -1), axis=0).max() == 0.0


def test__build_graph__one_output_constant__stays_in_its_place() -> None:
    network = random_network(5, [3, 3])
    network.layers[0].mask[1] = False
    assert largest_error(network, "float64") <= 1e-12


# --- classes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "classes",
    [np.array(["no", "yes"]), np.array([False, True]), np.array([3.0, 4.0]), np.array([-1, 1])],
)
def test__build_graph__two_classes__are_a_sigmoid_right_in_both_tails(classes: np.ndarray) -> None:
    network = random_network(2, [2, 1])
    network.output_mean[:], network.output_scale[:] = 0.0, 40.0
    X = rows_around(network)
    label, chances = run(build_graph(network, classes=classes, dtype="float64"), X)
    logit = network.forward(X)[:, 0]

    np.testing.assert_allclose(chances[:, 0], 1 / (1 + np.exp(logit)), rtol=1e-9)
    np.testing.assert_allclose(chances[:, 1], 1 / (1 + np.exp(-logit)), rtol=1e-9)
    assert chances.min() < 1e-12
    assert label.astype(classes.dtype).tolist() == classes[(logit > 0).astype(int)].tolist()


def test__build_graph__several_classes__are_a_softmax() -> None:
    network = random_network(2, [2, 3])
    classes = np.array(["a", "bb", "ccc"], dtype=object)
    X = rows_around(network)
    network.output_mean -= np.median(network.forward(X), axis=0)
    label, chances = run(build_graph(network, classes=classes, dtype="float64"), X)
    logits = network.forward(X)
    want = np.exp(logits - logits.max(axis=1, keepdims=True))

    np.testing.assert_allclose(chances, want / want.sum(axis=1, keepdims=True), rtol=1e-9)
    assert label.tolist() == classes[logits.argmax(axis=1)].tolist()
    assert set(label) == {"a", "bb", "ccc"}


# --- refusals -------------------------------------------------------------------------------


def test__build_graph__what_it_cannot_write__is_refused() -> None:
    network = random_network(0, [2, 1])
    with pytest.raises(ExportError, match=r"must be 'float32' or 'float64'. Got 'float16'"):
        build_graph(network, dtype="float16")
    with pytest.raises(ExportError, match=r"must be from 19 to 22. Got 30"):
        build_graph(network, opset=30)
    with pytest.raises(ExportError, match=r"must all be text, or all be whole numbers"):
        build_graph(network, classes=[0.5, 1.5])
    network.output_mean[:] = 1e300
    with pytest.raises(ExportError, match=r"beyond the range of float32: export with dtype='flo"):
        build_graph(network, dtype="float32")
    assert run(build_graph(network, dtype="float64"), rows_around(network, 2))[0].min() > 9e299


@pytest.mark.parametrize("opset", [19, 20, 21, 22])
def test__build_graph__every_opset__runs(opset: int) -> None:
    network = random_network(0, [2, 2, 1])
    X = rows_around(network, 5)
    graph = build_graph(network, dtype="float64", opset=opset)
    assert graph.opset_import[0].version == opset
    np.testing.assert_allclose(run(graph, X)[0], network.forward(X)[:, 0], rtol=1e-9)


# --- fitted estimators ----------------------------------------------------------------------


GENERATOR = np.random.default_rng(0)
X = np.c_[GENERATOR.uniform(1990, 2020, 120), GENERATOR.normal(size=(120, 2))]
Y = np.sin(X[:, 0] / 5) + X[:, 1] ** 2
CODES = np.digitize(Y, [0.0, 1.0])
SMALL: dict[str, Any] = {"hidden": (2,), "grid": 4, "max_iter": 5, "random_state": 0}

quickly = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"  # a handful of iterations is enough here
)


def exported(model: Any, folder: Path, dtype: str, **options: Any) -> Any:
    return load_onnx(model.export_onnx(folder / dtype, dtype=dtype, **options), device="cpu")


@quickly
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("target", [Y, np.c_[Y, -3 * Y]])
def test__export_onnx__regressor__predicts_the_same(
    dtype: str, target: np.ndarray, tmp_path: Path
) -> None:
    model = KANRegressor(**SMALL).fit(X, target)
    runner = exported(model, tmp_path, dtype)
    rows = X.astype(dtype).astype(np.float64)
    want = model.predict(rows)

    assert runner.predict(rows).shape == want.shape == target.shape
    error = np.abs(runner.predict(rows) - want).max(axis=0) / np.abs(want).max(axis=0)
    assert error.max() <= TOLERANCES[dtype]
    assert runner.bundle.metadata["classes"] is None


@quickly
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    "labels",
    [
        np.array(["low", "mid", "high"])[CODES],
        np.array(["low", "mid", "high"], dtype=object)[CODES],
        np.array(["no", "yes"])[CODES // 2],
        CODES > 0,
        CODES.astype(float),
        CODES * 7 - 3,
    ],
)
def test__export_onnx__classifier__predicts_the_same(
    dtype: str, labels: np.ndarray, tmp_path: Path
) -> None:
    model = KANClassifier(**SMALL).fit(X, labels)
    runner = exported(model, tmp_path, dtype)
    rows = X.astype(dtype).astype(np.float64)
    chances = model.predict_proba(rows)

    np.testing.assert_allclose(runner.predict_proba(rows), chances, atol=TOLERANCES[dtype])
    clear = np.ptp(np.sort(chances, axis=1)[:, -2:], axis=1) > 1e-4
    assert clear.mean() > 0.9
    assert runner.predict(rows)[clear].tolist() == model.predict(rows)[clear].tolist()
    assert runner.predict(rows).dtype.kind in {labels.dtype.kind, "U"}
    assert runner.classes_.tolist() == model.classes_.tolist()


@quickly
def test__export_onnx__frame__keeps_the_names(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["year", "a b", "c"])
    model = KANRegressor(**SMALL).fit(frame, Y)
    runner = exported(model, tmp_path, "float64")

    assert runner.feature_names_in_.tolist() == ["year", "a b", "c"]
    shuffled = frame[["c", "year", "a b"]]
    np.testing.assert_allclose(runner.predict(shuffled), model.predict(frame), rtol=1e-9)
    with pytest.raises(DataError, match=r"Missing: 'year'"):
        runner.predict(frame.drop(columns="year"))


@quickly
def test__export_onnx__pruned_model__is_smaller(tmp_path: Path) -> None:
    model = KANRegressor(**SMALL).fit(X, Y)
    before = len(read_bundle(model.export_onnx(tmp_path / "before")).graph())
    model.prune(threshold=0.2)
    runner = exported(model, tmp_path, "float64")
    assert len(runner.bundle.graph()) < 2 * before
    np.testing.assert_allclose(runner.predict(X), model.predict(X), rtol=1e-9)


@quickly
def test__export__rows_to_verify_on__are_those_given_kept_or_drawn() -> None:
    model = KANRegressor(**SMALL, keep_rows=10).fit(X, Y)
    assert export(model).samples["X"].shape == (10, 3)
    assert export(model, X).samples["X"].shape == (120, 3)
    assert export(model, np.tile(X, (10, 1))).samples["X"].shape == (1000, 3)

    model = KANRegressor(**SMALL, keep_rows=0).fit(X, Y)
    drawn = export(model).samples["X"]
    inside = (drawn >= X.min(axis=0)) & (drawn <= X.max(axis=0))
    assert 0.5 < inside.mean() < 1.0
    assert drawn.dtype == np.float32
    with pytest.raises(DataError, match=r"must have shape \(n_samples, 3\). Got \(120, 2\)"):
        export(model, X[:, :2])


def test__export_onnx__unfitted__is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match=r"This KANRegressor instance is not fitted yet"):
        KANRegressor().export_onnx(tmp_path / "out")


@quickly
def test__export_onnx__network_changed_behind_its_back__is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = KANRegressor(**SMALL).fit(X, Y)
    right = GraphBuilder.weight

    def wrong(self: GraphBuilder, name: str, value: Any, dtype: Any = None) -> str:
        return right(self, name, value * 1.001 if name == "layer1/weights" else value, dtype)

    monkeypatch.setattr(GraphBuilder, "weight", wrong)
    with pytest.raises(VerificationError, match=r"'prediction' differs by up to"):
        model.export_onnx(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@quickly
def test__to_onnx__kan__is_the_exporters_graph() -> None:
    model = KANRegressor(**SMALL).fit(X, Y)
    graph = to_onnx(model, X.astype(np.float32))
    assert graph.graph.name == "kan"
    np.testing.assert_allclose(
        run(graph, X.astype(np.float32))[0],
        model.predict(X.astype(np.float32).astype(np.float64)),
        atol=1e-5 * np.abs(Y).max(),
    )


# --- a hundred fitted pipelines -------------------------------------------------------------


def pipeline_around(model: Any) -> Any:
    steps = [
        ("numbers", StandardScaler(), ["year", "x"]),
        ("colour", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
    ]
    return make_pipeline(ColumnTransformer(steps), model)


def table(seed: int, n_samples: int) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "year": generator.uniform(1990, 2020, n_samples),
            "x": generator.normal(size=n_samples),
            "colour": generator.choice(["red", "green", "blue"], n_samples),
        }
    )
    shift = frame.colour.map({"red": 0.0, "green": 1.0, "blue": -1.0}).to_numpy()
    return frame, np.sin(frame.year.to_numpy() / 4) + frame.x.to_numpy() ** 2 + shift


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    task=st.sampled_from(["regression", "classification"]),
    hidden=st.sampled_from([(), (1,), (2,)]),
    grid=st.integers(2, 5),
    order=st.sampled_from(spline.ORDERS),
    base=st.sampled_from(BASES),
    n_classes=st.integers(2, 3),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test__export_pipeline__hundred_briefly_fitted_models__predict_the_same(
    seed: int,
    task: str,
    hidden: tuple[int, ...],
    grid: int,
    order: int,
    base: str,
    n_classes: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shape = {"hidden": hidden, "grid": grid, "order": order, "base": base}
    model = zoo.load("kan", task=task, max_iter=3, random_state=0, **shape)
    pipeline = pipeline_around(model)
    frame, y = table(seed, 60)
    if task == "classification":
        edges = np.quantile(y, np.linspace(0, 1, n_classes + 1)[1:-1])
        y = np.array(["low", "mid", "high"])[np.digitize(y, edges)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # three iterations are meant
        pipeline.fit(frame, y)
    folder = tmp_path_factory.mktemp("hundred")
    rows, _ = table(seed + 1, max(BATCHES))
    for dtype, tolerance in TOLERANCES.items():
        # verified below, on new rows
        export_pipeline(pipeline, frame, folder / dtype, dtype=dtype, verify=False)
        runner = load_onnx(folder / dtype, device="cpu")
        numbers = rows[["year", "x"]].astype(dtype).astype(np.float64)
        seen = rows.assign(**numbers)
        verb = "predict" if task == "regression" else "predict_proba"
        want = getattr(pipeline, verb)(seen)
        scale = np.abs(want).max(axis=0)
        for batch in BATCHES:
            got = getattr(runner, verb)(seen[:batch])
            assert (np.abs(got - want[:batch]) / scale).max() <= tolerance
        if task == "classification":
            chances = np.sort(want, axis=1)
            clear = chances[:, -1] - chances[:, -2] > 2 * tolerance
            assert (runner.predict(seen) == pipeline.predict(seen))[clear].all()
