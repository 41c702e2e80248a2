"""``zoo run``: onnxruntime only, neither torch nor scikit-learn is loaded."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.console import Phases, system_errors
from zoo.cli.files import check_output_file
from zoo.errors import DataError, ParameterError

if TYPE_CHECKING:
    from zoo.runtime import TabularRunner
    from zoo.table import Schema

__all__ = ["app", "run"]

app = typer.Typer()


class Device(StrEnum):
    """Where to run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="An exported folder.")],
    table: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz) or Parquet file.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The .csv, .tsv or .parquet file to write."),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Also the probability of each class.")
    ] = False,
    device: Annotated[
        Device, typer.Option(help="cuda runs there or fails, auto takes what works.")
    ] = Device.auto,
    encoding: Annotated[str, typer.Option(help="Of a text table.")] = "utf-8",
) -> None:
    """Predict new rows with an exported folder, on ONNX.

    One row out for each row in, as CSV on stdout or into a file. The table needs the columns of
    the training table, in any order; other columns are ignored.
    """
    from zoo.runtime import TabularRunner, load_onnx
    from zoo.table import prediction_table, write_table

    if output is not None:
        check_output_file(output)
    with Phases() as phases:
        phases.phase("reading")
        with system_errors(f"Cannot read {folder}"):
            runner = load_onnx(folder, device=device.value)
        if not isinstance(runner, TabularRunner):
            raise ParameterError(
                f"The exported folder {folder} must predict tables. "
                f"Got one for a {type(runner).__name__}: use zoo.load_onnx."
            )
        if proba and runner.task != "classification":
            raise ParameterError(
                f"--proba needs a classification. The exported folder {folder} is a {runner.task}."
            )
        X, notices = _read(runner, table, encoding)
        for notice in notices:
            phases.note(notice)
        phases.phase("predicting")
        predicted = prediction_table(
            runner.predict(X),
            probabilities=runner.predict_proba(X) if proba else None,
            classes=runner.classes_.tolist() if proba else (),
        )
    write_table(predicted, sys.stdout if output is None else output)


def _read(runner: "TabularRunner", table: Path, encoding: str) -> tuple[Any, list[str]]:
    from zoo.table import read_table

    schema = _schema(runner)
    if schema is not None:
        frame = read_table(table, encoding=encoding, text=schema.text_columns)
        X, notices = schema.conform(frame)
        # A graph that takes one input for each column prepares the columns itself.
        whole = runner.bundle.metadata.get("columns") is not None
        return (X if whole else schema.features(X)), notices
    frame = read_table(table, encoding=encoding)
    names = getattr(runner, "feature_names_in_", None)  # absent where the model knew no names
    if names is None:
        return frame, []
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise DataError(f"The table lacks columns that the model reads: {', '.join(lacking)}.")
    return frame[list(names)], []


def _schema(runner: "TabularRunner") -> "Schema | None":
    from zoo.cli.export import TABLE_FILE
    from zoo.table import Schema

    if TABLE_FILE not in runner.bundle.files:
        return None
    return Schema.from_bytes(runner.bundle.read_file(TABLE_FILE))
