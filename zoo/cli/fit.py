"""``zoo fit``."""

import ast
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.console import Phases, make_table, stdout, system_errors
from zoo.cli.files import check_output_folder
from zoo.errors import ParameterError
from zoo.registry import registry

if TYPE_CHECKING:
    from zoo.table import Run

__all__ = ["app", "fit", "parse_params"]

app = typer.Typer()


class Task(StrEnum):
    """What to learn."""

    auto = "auto"
    regression = "regression"
    classification = "classification"


@app.command()
def fit(
    model: Annotated[str, typer.Argument(help="Name of an installed model, as in zoo list.")],
    table: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz) or Parquet file.")],
    *,
    target: Annotated[str, typer.Option("--target", "-t", help="The column to predict.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder to write.")],
    task: Annotated[
        Task, typer.Option(help="What the target asks for; auto decides by its values.")
    ] = Task.auto,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="A parameter of the model, key=value; repeatable."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="A column to leave out; repeatable.")
    ] = None,
    test_size: Annotated[
        float, typer.Option(help="Part of the rows held out for the score, 0 for none.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of the model.")] = 0,
    encoding: Annotated[str, typer.Option(help="Of a text table.")] = "utf-8",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run folder if it exists.")
    ] = False,
) -> None:
    """Fit a model to a table and write a run folder.

    Part of the rows is held out for a score. Numbers, booleans and text are prepared for the
    model: missing numbers become the median, each category one indicator. What is left out, and
    why, is said on stderr.
    """
    params = parse_params(param or [])
    check_output_folder(output, overwrite=overwrite, marker="run.json")
    registry().find(model)
    from zoo.table import fit_table, read_table  # takes a second: after what can go wrong at once

    with Phases() as phases:
        phases.phase("reading")
        frame = read_table(table, encoding=encoding)
        run = fit_table(
            frame,
            model,
            target,
            task=task.value,
            params=params,
            test_size=test_size,
            seed=seed,
            drop=drop or [],
            notify=phases.note,
            phase=phases.phase,
        )
        phases.phase("writing")
        with system_errors(f"Cannot write {output}"):
            run.save(output, overwrite=overwrite)
    _report(run, model, output)


def parse_params(pairs: list[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; a value is a Python literal, or else a text.

    Parameters
    ----------
    pairs : list of str
        Such as ``["hidden=(5, 3)", "grid=8", "base=silu"]``.

    Returns
    -------
    dict of str to object

    Raises
    ------
    zoo.errors.ParameterError
        A pair has no ``=``, or a key occurs twice.
    """
    params: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise ParameterError(f"A --param must be key=value. Got {pair!r}.")
        if key in params:
            raise ParameterError(f"The --param {key!r} is given twice.")
        params[key] = _literal(text.strip())
    return params


def _literal(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _report(run: "Run", model: str, folder: Path) -> None:
    console = stdout()
    held_out = f", scored on {run.n_test} held-out rows" if run.n_test else ""
    schema = run.schema
    console.print(
        f"{schema.task} of {schema.target!r} from {len(schema.columns)} columns: "
        f"fitted to {run.n_train} rows{held_out}",
        markup=False,
        soft_wrap=True,
    )
    if run.scores:
        trivial = "predicting the mean" if schema.task == "regression" else "class frequencies"
        rows = [(s.name, f"{s.value:.4g}", f"{s.baseline:.4g}") for s in run.scores]
        console.print(make_table("held out", model, trivial, rows=rows))
    place = shlex.quote(str(folder))
    suggestions = [
        (f"zoo predict {place} new.csv -o predicted.csv", "predict new rows"),
        (f"zoo export {place} exported", "write it as ONNX"),
    ]
    owner = registry().find(model).plugin
    suggestions += [
        (f"zoo {entry.spec.name} --help", entry.spec.summary)
        for entry in registry().commands
        if entry.plugin == owner
    ]
    console.print(f"Wrote {folder}. Next:", markup=False, soft_wrap=True)
    width = max(len(command) for command, _ in suggestions)
    for command, why in suggestions:
        console.print(f"  {command:<{width}}  # {why}", markup=False, soft_wrap=True)
