"""An export is written only when its graph computes the model's numbers."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.exceptions import NotFittedError

import zoo
from zoo.errors import ExportError, FolderExistsError, UnknownModelError, VerificationError
from zoo.onnx import Export, OnnxExportMixin, read_bundle, write_export
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.labels import class_metadata, graph_classes, read_classes, restore_labels
from zoo.onnx.verify import verify_outputs


def slope_graph(slope: float, *, dtype: str = "float64", opset: int = 20) -> onnx.ModelProto:
    """``prediction = slope * X``, three columns."""
    builder = GraphBuilder("slope", dtype=dtype, opset=opset)
    x = builder.input("X", ["n_samples", 3])
    product = builder.node("Mul", [x, builder.weight("slope", slope)], "product")
    builder.output(product, "prediction", ["n_samples", 3])
    return builder.model()


def slope_export(*, graph: float = 2.0, model: float = 2.0, n_samples: int = 20) -> Export:
    """An export whose graph and model have slopes of their own."""
    rows = np.random.default_rng(0).normal(size=(n_samples, 3))
    return Export(
        graphs={"model": slope_graph(graph)},
        samples={"X": rows},
        reference=lambda inputs: {"prediction": model * inputs["X"]},
        rtol=1e-9,
    )


OWNER = {"model": "toy", "task": "regression", "distribution": "zoo-toy", "version": "1.0"}


def test__write_export__same_numbers__bundle_is_whole(tmp_path: Path) -> None:
    folder = write_export(slope_export(), tmp_path / "out", **OWNER)

    assert folder == tmp_path / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "zoo.json"]
    assert read_bundle(folder).runner == "tabular"


def test__write_export__other_numbers__raises_and_leaves_nothing(tmp_path: Path) -> None:
    export = slope_export(graph=2.001)
    largest = np.abs(export.samples["X"][0]).max() * 0.001
    with pytest.raises(
        VerificationError,
        match=r"output 'prediction' differs by up to .* on a batch of 1, allowed is",
    ) as raised:
        write_export(export, tmp_path / "deep" / "out", **OWNER)

    assert f"{largest:.3g}" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test__write_export__other_numbers_over_an_old_bundle__keeps_the_old(tmp_path: Path) -> None:
    folder = write_export(slope_export(), tmp_path / "out", **OWNER)
    before = (folder / "model.onnx").read_bytes()
    with pytest.raises(VerificationError, match=r"computes other numbers"):
        write_export(slope_export(graph=3.0), folder, overwrite=True, **OWNER)
    assert (folder / "model.onnx").read_bytes() == before


def test__write_export__verify_false__is_written_unseen(tmp_path: Path) -> None:
    folder = write_export(slope_export(graph=3.0), tmp_path / "out", verify=False, **OWNER)
    assert (folder / "model.onnx").is_file()


def test__write_export__existing_folder__needs_overwrite(tmp_path: Path) -> None:
    write_export(slope_export(), tmp_path / "out", **OWNER)
    with pytest.raises(FolderExistsError, match=r"pass overwrite=True"):
        write_export(slope_export(), tmp_path / "out", **OWNER)
    write_export(slope_export(graph=5.0, model=5.0), tmp_path / "out", overwrite=True, **OWNER)
    with pytest.raises(FolderExistsError, match=r"holds no zoo\.json"):
        write_export(slope_export(), tmp_path, overwrite=True, **OWNER)


def test__write_export__no_samples__says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"needs at least one row .*: pass rows, or verify=False"):
        write_export(Export(graphs={"model": slope_graph(1.0)}), tmp_path / "out", **OWNER)


def test__write_export__runner_of_its_own__is_named_in_the_manifest(tmp_path: Path) -> None:
    folder = write_export(slope_export(), tmp_path / "out", runner="toy", **OWNER)
    assert read_bundle(folder).runner == "toy"


# --- comparing -------------------------------------------------------------------------------


def verify(
    got: dict[str, np.ndarray], want: dict[str, np.ndarray], rtol: float = 1e-6, atol: float = 0.0
) -> list[int]:
    """Compare ready-made outputs; returns the batch sizes that were run."""
    n_samples = len(next(iter(want.values())))
    sizes = []

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        sizes.append(len(inputs["row"]))
        return {name: values[inputs["row"]] for name, values in got.items()}

    verify_outputs(run, {"row": np.arange(n_samples)}, want, rtol=rtol, atol=atol)
    return sizes


def test__verify_outputs__any_sample__runs_batch_1_7_and_all() -> None:
    values = {"prediction": np.linspace(0, 1, 20)}
    assert verify(values, values) == [1, 7, 20]
    assert verify({"prediction": np.ones(3)}, {"prediction": np.ones(3)}) == [1, 3, 3]


def test__verify_outputs__long_sample__runs_in_pieces() -> None:
    values = {"prediction": np.arange(10_000.0)}
    assert verify(values, values) == [1, 7, 4096, 4096, 1808]


def test__verify_outputs__difference_in_the_last_row_only__is_found() -> None:
    want = np.ones((50, 2))
    got = want.copy()
    got[-1, 1] += 1e-3
    with pytest.raises(VerificationError, match=r"differs by up to 0.001 on a batch of 50"):
        verify({"prediction": got}, {"prediction": want})


def test__verify_outputs__tolerance__is_relative_to_the_largest_in_each_column() -> None:
    want = np.array([[1e6, 1.0], [0.0, 0.0]])
    verify({"prediction": want + np.array([0.5, 5e-7])}, {"prediction": want})
    with pytest.raises(VerificationError, match=r"up to 0.5 .* allowed is 1e-06"):
        verify({"prediction": want + np.array([0.0, 0.5])}, {"prediction": want})


def test__verify_outputs__atol__allows_noise_around_zero() -> None:
    want, got = np.zeros(4), np.full(4, 1e-18)
    with pytest.raises(VerificationError, match=r"differs by up to 1e-18"):
        verify({"prediction": got}, {"prediction": want})
    verify({"prediction": got}, {"prediction": want}, atol=1e-15)


def test__verify_outputs__nan__matches_nan_only() -> None:
    want = np.array([1.0, np.nan, np.inf])
    verify({"prediction": want.copy()}, {"prediction": want})
    with pytest.raises(VerificationError, match=r"differs by up to inf"):
        verify({"prediction": np.array([np.nan, np.nan, np.inf])}, {"prediction": want})
    with pytest.raises(VerificationError, match=r"differs by up to inf"):
        verify({"prediction": np.array([1.0, 0.0, np.inf])}, {"prediction": want})


def test__verify_outputs__float32_graph__hints_at_float64() -> None:
    want = np.ones(3)
    with pytest.raises(VerificationError, match=r"dtype='float64' loses fewer digits"):
        verify({"prediction": np.full(3, 1.01, np.float32)}, {"prediction": want})
    with pytest.raises(VerificationError, match=r"allowed is 1e-06\.$"):
        verify({"prediction": np.full(3, 1.01)}, {"prediction": want})


def test__verify_outputs__missing_output_or_other_shape__is_said() -> None:
    want = np.ones((3, 2))
    with pytest.raises(VerificationError, match=r"'prediction' must have shape .* no such output"):
        verify({"other": want}, {"prediction": want})
    with pytest.raises(VerificationError, match=r"must have shape \(1, 2\) .* Got \(1,\)"):
        verify({"prediction": want[:, 0]}, {"prediction": want})


def test__verify_outputs__labels__must_be_equal_but_for_near_ties() -> None:
    chances = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    want = {"label": np.array(["a", "a", "b"], dtype=object), "probabilities": chances}
    tied = {**want, "label": np.array(["a", "b", "b"], dtype=object)}
    verify(tied, want)
    wrong = {**want, "label": np.array(["a", "a", "a"], dtype=object)}
    with pytest.raises(VerificationError, match=r"differs on 1 rows of .* 'a' instead of 'b'"):
        verify(wrong, want)
    del want["probabilities"]
    with pytest.raises(VerificationError, match=r"'b' instead of 'a'"):
        verify(tied, want)


# --- the mixin -------------------------------------------------------------------------------


@pytest.fixture
def fitted(toy: Path) -> Callable[[str], Any]:
    """Returns a fitted model of the installed ``toy`` distribution by its task."""

    def fit(task: str = "regression") -> Any:
        X = np.random.default_rng(1).normal(size=(30, 3))
        y = X @ [1.0, -2.0, 0.5]
        return zoo.load("toy", task=task).fit(X, y if task == "regression" else y > 0)

    return fit


def test__export_onnx__fitted_model__manifest_names_its_owner(
    fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    found = read_bundle(fitted("classification").export_onnx(tmp_path / "out"))

    assert (found.model, found.task) == ("toy", "classification")
    assert (found.distribution, found.plugin_version) == ("zoo-toy", "1.0")
    assert found.metadata["classes"] == [False, True]


def test__export_onnx__options__reach_the_exporter(
    fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    found = read_bundle(
        fitted("regression").export_onnx(tmp_path / "out", dtype="float32", opset=21)
    )
    assert found.graphs["model"]["inputs"][0]["dtype"] == "float32"
    assert found.graphs["model"]["opset"] == {"ai.onnx": 21}


def test__export_onnx__subclass__is_its_bases_model(
    fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    model = fitted("regression")
    model.__class__ = type("Mine", (type(model),), {})
    assert read_bundle(model.export_onnx(tmp_path / "out")).model == "toy"


def test__export_onnx__unfitted__raises(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match=r"not fitted yet"):
        zoo.load("toy").export_onnx(tmp_path / "out")


def test__export_onnx__class_of_no_plugin__is_said(toy: Path, tmp_path: Path) -> None:
    class Orphan(OnnxExportMixin):
        pass

    with pytest.raises(UnknownModelError, match=r"is not the target of an installed model"):
        Orphan().export_onnx(tmp_path / "out")


@pytest.mark.parametrize(
    ("exporter", "message"),
    [
        (None, "The model 'odd' has no exporter"),
        ("odd_model:nothing", "exporter 'odd_model:nothing' must return a zoo.onnx.Export. Got"),
    ],
)
def test__export_onnx__exporter_missing_or_odd__is_said(
    add_distribution: Callable[..., Path], tmp_path: Path, exporter: str | None, message: str
) -> None:
    plugin = f"""
import zoo
@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec("odd", {{"regression": "odd_model:Odd"}}, exporter={exporter!r}))
"""
    model = """
from zoo.onnx import OnnxExportMixin
class Odd(OnnxExportMixin):
    pass
def nothing(estimator, X=None):
    return {}
"""
    modules = {"odd_plugin": plugin, "odd_model": model}
    add_distribution("zoo-odd", modules, entry_points={"odd": "odd_plugin"})
    with pytest.raises(ExportError, match=message):
        zoo.load("odd").export_onnx(tmp_path / "out")


def test__export_module__imported__loads_no_onnx_and_no_runtime() -> None:
    code = (
        "import sys; from zoo.onnx import Export, OnnxExportMixin; "
        "print(sorted({'onnx', 'onnxruntime', 'skl2onnx', 'sklearn', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# --- building blocks -------------------------------------------------------------------------


def test__builder__names_used_twice__are_numbered() -> None:
    builder = GraphBuilder("g", dtype="float32", opset=20)
    x = builder.input("X", ["n"])
    one = builder.node("Add", [x, builder.weight("one", 1.0)], "sum")
    two = builder.node("Add", [one, builder.weight("one", 2.0)], "sum")
    builder.output(two, "y", ["n"])
    graph = builder.model().graph

    assert [node.name for node in graph.node] == ["sum", "sum_2", "y_output"]
    assert [weight.name for weight in graph.initializer] == ["one", "one_2"]
    assert (one, two) == ("sum", "sum_2")


def test__builder__centred__keeps_digits_of_a_large_offset() -> None:
    from zoo.onnx.session import open_session

    builder = GraphBuilder("g", dtype="float32", opset=20)
    x = builder.input("X", ["n", 1])
    builder.output(builder.centred(x, [2000.1]), "y", ["n", 1])
    years = np.array([[1990.5], [2000.0], [2010.25]], np.float32)
    got = open_session(builder.model().SerializeToString()).run(["y"], {"X": years})[0]

    np.testing.assert_allclose(got, years.astype(np.float64) - 2000.1, rtol=1e-6)


def test__builder__unsupported_dtype_opset_or_weight__is_refused() -> None:
    with pytest.raises(ExportError, match=r"must be 'float32' or 'float64'. Got 'float16'"):
        GraphBuilder("g", dtype="float16", opset=20)
    with pytest.raises(ExportError, match=r"must be from 19 to 22. Got 7"):
        GraphBuilder("g", dtype="float32", opset=7)
    builder = GraphBuilder("g", dtype="float32", opset=20)
    with pytest.raises(ExportError, match=r"weight of 1e\+39 is beyond the range of float32"):
        builder.weight("huge", [1.0, -1e39])


@pytest.mark.parametrize(
    ("classes", "in_graph", "dtype"),
    [
        (np.array(["a", "bb"]), ["a", "bb"], "str"),
        (np.array(["a", "bb"], dtype=object), ["a", "bb"], "str"),
        (np.array([False, True]), [0, 1], "bool"),
        (np.array([1.0, 3.0]), [1, 3], "float64"),
        (np.array([-2, 7], dtype=np.int32), [-2, 7], "int64"),
        (np.array([0, 200], dtype=np.uint8), [0, 200], "int64"),
    ],
)
def test__labels__every_type__survives_graph_and_manifest(
    classes: np.ndarray, in_graph: list[Any], dtype: str
) -> None:
    metadata = class_metadata(classes)
    restored = read_classes(metadata)

    assert graph_classes(classes).tolist() == in_graph
    assert metadata["classes_dtype"] == dtype
    assert restored.tolist() == classes.tolist()
    labels = restore_labels(graph_classes(classes)[[1, 0, 1]], restored)
    assert labels.tolist() == classes[[1, 0, 1]].tolist()
    assert labels.dtype == restored.dtype


@pytest.mark.parametrize(
    "classes", [[0.5, 1.0], ["a", 1], [None, "a"], [2**63, 1], [float("nan"), 1.0], []]
)
def test__labels__classes_without_a_type__are_refused(classes: list[Any]) -> None:
    with pytest.raises(ExportError, match=r"must all be text, or all be whole numbers"):
        graph_classes(np.array(classes, dtype=object))


def test__zoo__plain_import__reaches_the_subpackage() -> None:
    code = "import zoo; print(zoo.onnx.Export.__name__)"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "Export"
