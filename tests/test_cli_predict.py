"""``zoo predict``, ``zoo export`` and ``zoo run``: the same numbers, or one sentence."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from zoo.table import Run

ROWS = 60


def houses():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "size": rng.uniform(20, 200, ROWS),
            "rooms": rng.integers(1, 6, ROWS),
            "garden": rng.random(ROWS) < 0.5,
            "zip": rng.choice(["01067", "80331", "n/k"], ROWS),
            "town": rng.choice(["A", "B", "C"], ROWS),
        }
    )
    frame["price"] = frame["size"] + 10 * frame["garden"] + 7 * (frame["town"] == "B")
    frame["dear"] = np.where(frame["price"] > 120, "yes", "no")
    frame.loc[3, "size"] = np.nan
    frame.loc[7, "town"] = None
    return frame


@pytest.fixture
def new(tmp_path):
    frame = houses().drop(columns=["price", "dear"])
    frame.loc[1, ["rooms", "zip"]] = [np.nan, None]
    frame = frame.assign(note="extra")[["note", "town", "zip", "garden", "rooms", "size"]]
    path = tmp_path / "new.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def fitted(toy, cli, tmp_path):
    """Fit ``toy`` to one target, give the run folder."""

    def run(target):
        data = tmp_path / "data.csv"
        houses().drop(columns={"price": "dear", "dear": "price"}[target]).to_csv(data, index=False)
        folder = tmp_path / f"run-{target}"
        assert cli("fit", "toy", data, "-t", target, "-o", folder).exit_code == 0
        return folder

    return run


def one_error(result):
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def read(path):
    """Columns of a CSV file, numbers to the last bit (older pandas may be one off)."""
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    return pd.DataFrame(
        {
            name: list(values) if values[0] in ("yes", "no") else [float(v) for v in values]
            for name, values in columns.items()
        }
    )


def test__predict__new_rows__equal_the_loaded_pipeline(fitted, cli, new, tmp_path):
    folder = fitted("price")
    out = tmp_path / "out.csv"
    result = cli("predict", folder, new, "-o", out)
    assert result.exit_code == 0
    run = Run.load(folder)
    frame = pd.read_csv(new, dtype={"zip": "str"})
    expected = run.pipeline.predict(run.schema.conform(frame)[0])
    assert read(out)["prediction"].tolist() == expected.tolist()
    printed = cli("predict", folder, new)
    assert printed.stdout == out.read_text()


def test__predict__strange_values__are_noted(fitted, cli, new):
    result = cli("predict", fitted("price"), new)
    assert "1 of 60 rows hold a value of 'zip' that has no indicator" in result.stderr
    assert "(first: a missing value)" in result.stderr


def test__predict__proba__adds_a_column_for_each_class(fitted, cli, new, tmp_path):
    out = tmp_path / "out.parquet"
    assert cli("predict", fitted("dear"), new, "--proba", "-o", out).exit_code == 0
    table = pd.read_parquet(out)
    assert list(table.columns) == ["prediction", "probability of no", "probability of yes"]
    yes = table["probability of yes"] > 0.5
    assert (table["prediction"] == np.where(yes, "yes", "no")).all()
    assert table.iloc[:, 1:].sum(axis=1).tolist() == pytest.approx([1.0] * ROWS)


@pytest.mark.parametrize("target", ["price", "dear"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test__run__exported_folder__predicts_the_same(
    fitted, cli, new, tmp_path, target, dtype, tolerance
):
    folder = fitted(target)
    result = cli("export", folder, tmp_path / "onnx", "--dtype", dtype)
    assert result.exit_code == 0
    assert f"zoo run {tmp_path / 'onnx'} new.csv" in result.stdout
    options = ["--proba"] if target == "dear" else []
    cli("predict", folder, new, "-o", tmp_path / "a.csv", *options)
    ran = cli("run", tmp_path / "onnx", new, "-o", tmp_path / "b.csv", *options)
    assert ran.exit_code == 0
    assert "no indicator" in ran.stderr
    expected, got = read(tmp_path / "a.csv"), read(tmp_path / "b.csv")
    assert list(got.columns) == list(expected.columns)
    for name in expected.columns:
        if expected[name].dtype.kind == "f":
            np.testing.assert_allclose(got[name], expected[name], rtol=tolerance)
        else:
            assert got[name].tolist() == expected[name].tolist()


def test__run__process_without_torch_and_scikit_learn__works(fitted, cli, new, tmp_path):
    assert cli("export", fitted("dear"), tmp_path / "onnx").exit_code == 0
    code = """
import sys
for name in ("torch", "sklearn", "scipy", "skops", "skl2onnx", "zoo_toy_model"):
    sys.modules[name] = None
import zoo.cli
zoo.cli.main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code, "run", tmp_path / "onnx", new, "--proba"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == cli("run", tmp_path / "onnx", new, "--proba").stdout
    assert len(result.stdout.splitlines()) == ROWS + 1


def test__run__bundle_of_an_estimator__takes_the_columns_it_knows(toy, cli, tmp_path):
    import zoo

    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [2.0, 1, 5, 3]})
    model = zoo.load("toy").fit(frame, frame["a"] - frame["b"])
    model.export_onnx(tmp_path / "onnx", verify=False)
    frame.to_csv(tmp_path / "new.csv", index=False)
    result = cli("run", tmp_path / "onnx", tmp_path / "new.csv")
    assert result.exit_code == 0
    values = [float(line) for line in result.stdout.splitlines()[1:]]
    assert values == pytest.approx(model.predict(frame).tolist())


def write(tmp_path, frame, name="bad.csv"):
    frame.to_csv(tmp_path / name, index=False)
    return tmp_path / name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="size"), "lacks the column 'size' that the model was fitted to"),
        (lambda f: f.rename(columns={"size": "sizes"}), "Did you mean 'sizes'?"),
        (
            lambda f: f.assign(rooms=["three"] + ["2"] * (ROWS - 1)),
            "The column 'rooms' must hold numbers. Got 'three' in row 1 of the data.",
        ),
        (lambda f: f.assign(size=np.inf), "'size' must hold finite numbers. Got inf in row 1"),
        (lambda f: f.assign(garden="maybe"), "'garden' must hold true or false. Got 'maybe'"),
        (lambda f: f.iloc[:0], "has a header but no rows"),
    ],
)
def test__predict_and_run__unusable_table__are_refused(fitted, cli, new, tmp_path, change, message):
    folder = fitted("price")
    cli("export", folder, tmp_path / "onnx")
    bad = write(tmp_path, change(pd.read_csv(new)))
    assert message in one_error(cli("predict", folder, bad))
    assert message in one_error(cli("run", tmp_path / "onnx", bad))


def test__predict_and_run__all_missing_column__is_imputed(fitted, cli, new, tmp_path):
    folder = fitted("price")
    cli("export", folder, tmp_path / "onnx")
    table = write(tmp_path, pd.read_csv(new).assign(size=np.nan, town=np.nan, garden=np.nan))
    predicted, ran = cli("predict", folder, table), cli("run", tmp_path / "onnx", table)
    first = [float(line) for line in predicted.stdout.splitlines()[1:]]
    second = [float(line) for line in ran.stdout.splitlines()[1:]]
    assert np.isfinite(first).all()
    assert first == pytest.approx(second, rel=1e-12)


def test__commands__folder_of_another_kind__is_named(fitted, cli, new, tmp_path):
    folder = fitted("price")
    cli("export", folder, tmp_path / "onnx")
    assert "It is an exported model: use zoo run." in one_error(
        cli("predict", tmp_path / "onnx", new)
    )
    assert "no run: it has no run.json" in one_error(cli("export", tmp_path, tmp_path / "o"))
    assert "there is no such folder" in one_error(cli("predict", tmp_path / "nothing", new))
    assert "zoo.json" in one_error(cli("run", folder, new))
    assert "There is no exported folder" in one_error(cli("run", tmp_path / "nothing", new))


def test__commands__damaged_folder__is_refused(fitted, cli, new, tmp_path):
    folder = fitted("price")
    cli("export", folder, tmp_path / "onnx")
    tensors = folder / "model" / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    assert "sha256 of" in one_error(cli("predict", folder, new))
    (folder / "run.json").write_text("{")
    assert "is not valid JSON" in one_error(cli("predict", folder, new))
    graph = tmp_path / "onnx" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    assert "SHA-256 differs" in one_error(cli("run", tmp_path / "onnx", new))


def test__run__damaged_schema__is_refused(fitted, cli, new, tmp_path):
    from zoo.files import sha256

    cli("export", fitted("price"), tmp_path / "onnx")
    for content, message in ((b"{", "not valid JSON"), (b"{}", "schema is malformed")):
        (tmp_path / "onnx" / "table.json").write_bytes(content)
        manifest = json.loads((tmp_path / "onnx" / "zoo.json").read_text())
        manifest["files"]["table.json"] = sha256(tmp_path / "onnx" / "table.json")
        (tmp_path / "onnx" / "zoo.json").write_text(json.dumps(manifest))
        assert message in one_error(cli("run", tmp_path / "onnx", new))


def test__commands__proba_of_a_regression__is_refused(fitted, cli, new, tmp_path):
    folder = fitted("price")
    cli("export", folder, tmp_path / "onnx")
    assert "--proba needs a classification." in one_error(cli("predict", folder, new, "--proba"))
    assert "--proba needs a classification." in one_error(
        cli("run", tmp_path / "onnx", new, "--proba")
    )


def test__commands__output_that_cannot_be_written__is_refused(fitted, cli, new, tmp_path):
    folder = fitted("price")
    assert "there is no folder" in one_error(
        cli("predict", folder, new, "-o", tmp_path / "a/b.csv")
    )
    assert "a folder is in its place" in one_error(cli("predict", folder, new, "-o", tmp_path))
    assert "must be a .csv, .tsv or .parquet" in one_error(
        cli("predict", folder, new, "-o", tmp_path / "out.xlsx")
    )
    assert cli("export", folder, tmp_path / "onnx").exit_code == 0
    assert "--overwrite replaces it" in one_error(cli("export", folder, tmp_path / "onnx"))
    assert cli("export", folder, tmp_path / "onnx", "--overwrite").exit_code == 0
    assert "holds no zoo.json" in one_error(cli("export", folder, folder, "--overwrite"))


def test__run__cuda_without_a_gpu__is_refused(fitted, cli, new, tmp_path):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    cli("export", fitted("price"), tmp_path / "onnx")
    error = one_error(cli("run", tmp_path / "onnx", new, "--device", "cuda"))
    assert "needs an onnxruntime built for CUDA" in error


def test__predict__plugin_that_is_gone__is_named(fitted, new, tmp_path):
    folder = fitted("price")
    shutil.rmtree(tmp_path / "site-packages" / "zoo_toy-1.0.dist-info")
    result = subprocess.run(
        [sys.executable, "-m", "zoo", "predict", folder, new],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site-packages")},
    )
    assert result.returncode == 2
    assert "model 'toy' of the distribution 'zoo-toy', which is not installed" in result.stderr
