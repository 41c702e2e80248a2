"""``zoo fit`` on the tables that users bring: it works, or says why in one sentence."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from zoo.table import Run

ROWS = 40


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=ROWS).round(3),
            "w": rng.normal(size=ROWS).round(3),
            "color": rng.choice(["red", "green", "blue"], ROWS),
        }
    )
    frame["y"] = 2 * frame["x"] - frame["w"] + (frame["color"] == "red")
    return frame


@pytest.fixture
def fit(toy, cli, tmp_path):
    """Write a table, fit ``toy`` to it, give the result."""

    def run(frame, *options, name="data.csv", target="y"):
        path = tmp_path / name
        if isinstance(frame, bytes):
            path.write_bytes(frame)
        elif isinstance(frame, str):
            path.write_text(frame)
        elif name.endswith(".parquet"):
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
        return cli("fit", "toy", path, "--target", target, "-o", tmp_path / "run", *options)

    return run


def one_error(result):
    """The single line of a refusal."""
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert result.stderr.splitlines()[-1] == line
    return line


def notes(result):
    assert result.exit_code == 0, result.stderr
    return result.stderr


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.csv.gz", "d.parquet"])
def test__fit__table_of_any_format__writes_a_run_and_says_what_next(fit, table, tmp_path, name):
    result = fit(table, name=name)
    assert "The task is regression" in notes(result)
    assert "regression of 'y' from 3 columns: fitted to 32 rows, scored on 8 held-out" in (
        result.stdout
    )
    rows = {
        line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()
    }
    assert float(rows["R2"][0]) > 0.99 > float(rows["R2"][1])
    assert float(rows["RMSE"][0]) < float(rows["RMSE"][1])
    folder = tmp_path / "run"
    for command in (
        f"zoo predict {folder} new.csv",
        f"zoo export {folder} exported",
        "zoo toy --h",
    ):
        assert command in result.stdout
    run = Run.load(folder)
    assert run.scores[0].value == pytest.approx(float(rows["R2"][0]), abs=1e-3)


def test__fit__classification__prints_accuracy_and_log_loss(fit, table):
    table["y"] = np.where(table["y"] > 0, "up", "down")
    stdout = fit(table, "--test-size", "0.3", "--seed", "1").stdout
    assert "class frequencies" in stdout
    assert "accuracy" in stdout
    assert "log-loss" in stdout


def test__fit__params__reach_the_model(fit, table, tmp_path):
    assert fit(table, "-p", "alpha=0.25", "--param", "random_state=none").exit_code == 0
    params = json.loads((tmp_path / "run/model/config.json").read_text())["params"]
    assert params == {"alpha": 0.25, "random_state": None}


def test__fit__same_seed__writes_the_same_model(fit, table, tmp_path):
    fit(table)
    before = (tmp_path / "run/model/model.safetensors").read_bytes()
    fit(table, "--overwrite")
    assert (tmp_path / "run/model/model.safetensors").read_bytes() == before
    fit(table, "--overwrite", "--seed", "5")
    assert (tmp_path / "run/model/model.safetensors").read_bytes() != before


# --- tables that work ---


def test__fit__missing_values__are_imputed(fit, table):
    table.loc[:5, "x"] = np.nan
    table.loc[3:9, "color"] = None
    assert "left out" not in notes(fit(table))


def test__fit__missing_targets__drop_their_rows_and_say_how_many(fit, table):
    table.loc[[1, 4, 7], "y"] = np.nan
    assert "3 of 40 rows are left out: their target 'y' is missing." in notes(fit(table))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([7] * ROWS, r"constant (7)"),
        (["same"] * ROWS, "one category only ('same')"),
        ([None] * ROWS, "all its values are missing"),
        ([f"id-{i}" for i in range(ROWS)], "they identify rows"),
        (pd.date_range("2024-01-01", periods=ROWS).strftime("%d.%m.%Y"), "holds dates"),
        (pd.date_range("2024-01-01", periods=ROWS), "holds dates"),
    ],
)
def test__fit__useless_column__is_left_out_with_a_notice(fit, table, column, reason):
    result = fit(table.assign(extra=column))
    assert "The column 'extra' is left out: " in notes(result)
    assert reason in result.stderr
    assert "from 3 columns" in result.stdout


def test__fit__mixed_numbers_and_text__are_categories_with_a_notice(fit, table):
    mixed = [str(i % 4) if i % 5 else "unknown" for i in range(ROWS)]
    assert "'extra' is taken for categories: 8 of its 40 values are no numbers" in (
        notes(fit(table.assign(extra=mixed)))
    )


def test__fit__three_rows__works_without_a_score(fit):
    result = fit("x,y\n1,2.5\n2,4.1\n3,6.2\n")
    assert "no held-out score: 3 rows are too few" in notes(result)
    assert "fitted to 3 rows\n" in result.stdout


def test__fit__class_with_a_single_member__works(fit, table):
    table["y"] = ["a", "b"] * (ROWS // 2 - 1) + ["a", "lonely"]
    assert fit(table).exit_code == 0


def test__fit__latin_1_table__is_read_when_said(fit, table):
    content = table.rename(columns={"x": "größe"}).to_csv(index=False).encode("latin-1")
    assert "byte 0xf6 is not valid there; say its encoding" in one_error(fit(content))
    assert fit(content, "--encoding", "latin-1").exit_code == 0


def test__fit__dropped_column__is_not_used(fit, table, tmp_path):
    assert "from 2 columns" in fit(table, "--drop", "w").stdout
    assert Run.load(tmp_path / "run").schema.names() == ["x", "color"]


# --- tables that cannot work ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "data.csv is empty"),
        ("x,y\n", "has a header but no rows"),
        ("x,x,y\n1,2,3\n", "must have distinct names. Got 'x' more than once"),
        (b"\x00\x01\x02\xff" * 50, "is not text: it holds zero bytes"),
        (b"PK\x03\x04" + bytes(50), "is not text: its bytes are those of an Excel workbook"),
        (b"\xff\xfe\xfd,y\n1,2\n", "is not utf-8 text: byte 0xff"),
        ("x,y\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        ("y\n1\n2\n", "No column is left to predict 'y' from: it is the only one"),
        ("x,y\n1,2.5\n1,3.5\n", "No column is left to predict 'y' from ('x': it is constant (1))"),
        ("x,yy\n1,2\n", "The table has no column 'y' to predict. Did you mean 'yy'?"),
        ("x,y\n1,\n2,\n", "The target 'y' is missing in every row"),
        ("x,y\n1,a\n2,a\n", "'y' must have at least two classes. Got 'a' in every row"),
        ("x,y\n1,inf\n2,1\n", "The column 'y' must hold finite numbers. Got inf in row 1"),
        ("x,y\n1,2.5\n-inf,3.5\n", "The column 'x' must hold finite numbers. Got -inf in row 2"),
    ],
)
def test__fit__unusable_table__is_refused_in_one_sentence(fit, tmp_path, content, message):
    assert message in one_error(fit(content))
    assert not (tmp_path / "run").exists()


def test__fit__regression_of_text__is_refused(fit, table):
    table["y"] = ["low", "high"] * (ROWS // 2)
    error = one_error(fit(table, "--task", "regression"))
    assert "The column 'y' must hold numbers. Got 'low' in row 1 of the data." in error


def test__fit__classification_of_measurements__is_refused(fit, table):
    assert "another value in each of its 40 rows" in one_error(
        fit(table, "--task", "classification")
    )


def test__fit__missing_file_and_folder__are_refused(toy, cli, tmp_path):
    (tmp_path / "data.csv").write_text("x,y\n1,2\n")
    end = ("--target", "y", "-o", tmp_path / "run")
    error = one_error(cli("fit", "toy", tmp_path / "dat.csv", *end))
    assert error.endswith("dat.csv. Did you mean 'data.csv'?")
    assert "must be a file. Got a folder." in one_error(cli("fit", "toy", tmp_path, *end))


# --- options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--param", "alhpa=1"],
            "no parameter 'alhpa'. Did you mean 'alpha'? Valid are: alpha, ra",
        ),
        (["--param", "alpha"], "A --param must be key=value. Got 'alpha'."),
        (["--param", "alpha=1", "-p", "alpha=2"], "The --param 'alpha' is given twice."),
        (["--param", "alpha=-1"], "The model 'toy' cannot be fitted: alpha must be at least 0."),
        (["--param", "alpha=wide"], "The model 'toy' cannot be fitted: "),
        (["--drop", "colour"], "The table has no column 'colour' to drop. Did you mean 'color'?"),
        (["--drop", "y"], "The column 'y' cannot be dropped: it is the target."),
        (["--test-size", "1.5"], "test size must be at least 0 and less than 1. Got 1.5."),
        (["--encoding", "utf-9"], "There is no encoding 'utf-9'."),
    ],
)
def test__fit__wrong_option__is_refused_in_one_sentence(fit, table, tmp_path, options, message):
    assert message in one_error(fit(table, *options))
    assert not (tmp_path / "run").exists()


def test__fit__unknown_task_or_no_target__is_a_usage_error(fit, table, cli):
    result = fit(table, "--task", "ranking")
    assert result.exit_code == 2
    assert "ranking" in result.stderr
    assert cli("fit", "toy", "x.csv", "-o", "run").exit_code == 2


def test__fit__unknown_model__is_refused(toy, cli, tmp_path):
    error = one_error(cli("fit", "toyy", "x.csv", "-t", "y", "-o", tmp_path / "run"))
    assert error == "Error: No installed model is named 'toyy'. Did you mean 'toy'?"


def test__fit__existing_folder__needs_overwrite_and_must_be_a_run(fit, table, tmp_path):
    assert fit(table).exit_code == 0
    before = sorted(tmp_path.joinpath("run").rglob("*"))
    assert "exists and is not empty; --overwrite replaces it" in one_error(fit(table))
    assert sorted(tmp_path.joinpath("run").rglob("*")) == before
    assert fit(table, "--overwrite").exit_code == 0
    (tmp_path / "run" / "run.json").unlink()
    assert "holds no run.json" in one_error(fit(table, "--overwrite"))


def test__fit__failing_fit__keeps_the_old_run(fit, table, tmp_path):
    assert fit(table).exit_code == 0
    before = (tmp_path / "run/run.json").read_bytes()
    one_error(fit(table, "--overwrite", "--param", "alpha=-1"))
    assert (tmp_path / "run/run.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "run", "site-packages"]


def test__fit__output_that_cannot_be_written__is_refused_before_the_fit(
    toy, cli, table, tmp_path, monkeypatch
):
    data = tmp_path / "data.csv"
    table.to_csv(data, index=False)
    command = ("fit", "toy", data, "-t", "y", "-o")
    assert f"{data} is a file" in one_error(cli(*command, data / "run"))
    assert "a file is in its place" in one_error(cli(*command, data))
    # A test may run as root, whom no permission stops.
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK | os.X_OK)
    assert f"the folder {tmp_path} is not writable" in one_error(cli(*command, tmp_path / "run"))


def test__fit__disk_error_while_writing__is_one_sentence(fit, table, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skops.io.dump", full)
    error = one_error(fit(table))
    assert error == f"Error: Cannot write {tmp_path / 'run'}: No space left on device."
    assert not (tmp_path / "run").exists()
