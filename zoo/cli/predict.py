"""``zoo predict``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.console import Phases, system_errors
from zoo.cli.files import check_output_file
from zoo.errors import ParameterError

__all__ = ["app", "predict"]

app = typer.Typer()


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder that zoo fit wrote.")],
    table: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz) or Parquet file.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The .csv, .tsv or .parquet file to write."),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Also the probability of each class.")
    ] = False,
    encoding: Annotated[str, typer.Option(help="Of a text table.")] = "utf-8",
) -> None:
    """Predict new rows with a run folder.

    One row out for each row in, as CSV on stdout or into a file. The table needs the columns of
    the training table, in any order; other columns are ignored.
    """
    from zoo.table import Run, prediction_table, read_table, write_table

    if output is not None:
        check_output_file(output)
    with Phases() as phases:
        phases.phase("reading")
        with system_errors(f"Cannot read {run}"):
            loaded = Run.load(run)
        if proba and loaded.schema.task != "classification":
            raise ParameterError(
                f"--proba needs a classification. The run {run} is a {loaded.schema.task}."
            )
        frame = read_table(table, encoding=encoding, text=loaded.schema.text_columns)
        X, notices = loaded.schema.conform(frame)
        for notice in notices:
            phases.note(notice)
        phases.phase("predicting")
        predicted = prediction_table(
            loaded.pipeline.predict(X),
            probabilities=loaded.pipeline.predict_proba(X) if proba else None,
            classes=loaded.schema.labels if proba else (),
        )
    write_table(predicted, sys.stdout if output is None else output)
