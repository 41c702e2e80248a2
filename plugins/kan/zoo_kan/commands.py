"""``zoo kan formula`` and ``zoo kan plot``: what a fitted KAN in a run folder says."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.console import Phases, make_table, stdout, system_errors
from zoo.cli.export import TABLE_FILE
from zoo.cli.files import check_output_file, check_output_folder
from zoo.errors import ParameterError

if TYPE_CHECKING:
    import sympy

    from zoo.table import Run
    from zoo_kan.symbolic import SymbolicKAN

__all__ = ["app", "formula", "plot"]

app = typer.Typer(no_args_is_help=True, help="Formulas and plots of fitted KANs.")


@app.command()
def formula(
    run: Annotated[Path, typer.Argument(help="A run folder that zoo fit kan wrote.")],
    *,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all digits.")] = False,
    simpler: Annotated[
        int,
        typer.Option("-n", "--simpler", min=0, help="Show so many of the other formulas tried."),
    ] = 0,
    time_limit: Annotated[
        float, typer.Option(min=0.0, help="Seconds after which nothing new is tried.")
    ] = 60.0,
    digits: Annotated[int, typer.Option(min=1, max=17, help="Of the constants.")] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it into a file instead.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Also write the formula as an ONNX folder for zoo run.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the ONNX folder if it exists.")
    ] = False,
) -> None:
    """Read a fitted KAN as a formula in the table's own columns.

    The indicator of a category is written with its column and value in square brackets; a missing
    number stands for the column's median. The last line compares the formula with the network.
    """
    if latex and as_json:
        raise ParameterError("--latex and --json cannot be had at once.")
    if output is not None:
        check_output_file(output)
    if export is not None:
        check_output_folder(export, overwrite=overwrite, marker="zoo.json")
    with Phases() as phases:
        phases.phase("reading")
        loaded = _load(run)
        if not len(loaded.estimator.rows_["X"]):
            raise ParameterError(
                f"The run {run} was fitted with keep_rows=0: no rows are left to read it with."
            )
        phases.phase("searching for a formula")
        symbolic = loaded.estimator.to_symbolic(
            feature_names=loaded.schema.feature_names,
            time_limit=time_limit,
            progress=lambda entry: phases.describe(
                f"searching for a formula ({entry['tried']} tried)"
            ),
        )
        if export is not None:
            phases.phase("exporting")
            with system_errors(f"Cannot write {export}"):
                symbolic.export_onnx(
                    export,
                    dtype="float64",
                    overwrite=overwrite,
                    files={TABLE_FILE: loaded.schema.to_bytes()},
                )
    sides = _left_sides(loaded, symbolic)
    if as_json:
        text = json.dumps(_describe(loaded, symbolic, sides), indent=2, ensure_ascii=False)
    elif latex:
        text = "\n".join(_latex(symbolic, sides, digits))
    else:
        text = "\n".join([*_lines(symbolic, sides, digits), symbolic.verdict_])
    if output is not None:
        with system_errors(f"Cannot write {output}"):
            output.write_text(text + "\n", encoding="utf-8")
    else:
        typer.echo(text)
    if simpler and not as_json:
        _print_simpler(symbolic, sides, simpler, digits)


@app.command()
def plot(
    run: Annotated[Path, typer.Argument(help="A run folder that zoo fit kan wrote.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .png, .svg or .pdf file to write.")
    ],
    max_edges: Annotated[
        int, typer.Option(min=1, help="Draw at most so many edges of a layer.")
    ] = 30,
) -> None:
    """Draw a fitted KAN with the function of each edge."""
    if output.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ParameterError(
            f"The picture {output} must be a .png, .svg or .pdf file by its name. "
            f"Got {output.suffix or 'no suffix'}."
        )
    check_output_file(output)
    with Phases() as phases:
        phases.phase("reading")
        loaded = _load(run)
        phases.phase("drawing")
        schema = loaded.schema
        options: dict[str, Any] = {"feature_names": schema.feature_names, "max_edges": max_edges}
        if schema.task == "regression":
            options["output_names"] = [schema.target]
        figure = loaded.estimator.plot(**options)
        with system_errors(f"Cannot write {output}"):
            figure.savefig(output, dpi=200)
    typer.echo(f"Wrote {output}.")


def _load(folder: Path) -> "Run":
    from zoo.table import Run
    from zoo_kan.classifier import KANClassifier
    from zoo_kan.regressor import KANRegressor

    with system_errors(f"Cannot read {folder}"):
        run = Run.load(folder)
    if not isinstance(run.estimator, KANRegressor | KANClassifier):
        raise ParameterError(
            f"The run {folder} must hold a KANRegressor or KANClassifier. "
            f"Got a {type(run.estimator).__name__}."
        )
    return run


def _left_sides(run: "Run", symbolic: "SymbolicKAN") -> list[str]:
    """What each expression computes: the target, or the logit of a class."""
    target = run.schema.target
    if symbolic.classes_ is None:
        return [target]
    several = len(symbolic.expressions_) > 1
    labels = symbolic.classes_ if several else symbolic.classes_[1:]
    return [f"logit P({target} = {label})" for label in labels]


def _rounded(expression: "sympy.Expr", digits: int) -> "sympy.Expr":
    import sympy

    floats = expression.atoms(sympy.Float)
    return expression.xreplace({number: sympy.Float(number, digits) for number in floats})


def _lines(symbolic: "SymbolicKAN", sides: list[str], digits: int) -> list[str]:
    return [
        f"{side} = {_rounded(expression, digits)}"
        for side, expression in zip(sides, symbolic.expressions_, strict=True)
    ]


def _latex(symbolic: "SymbolicKAN", sides: list[str], digits: int) -> list[str]:
    from zoo_kan.symbolic.latex import latex_formula, latex_name

    return [
        f"{latex_name(side)} = {latex_formula(_rounded(expression, digits))}"
        for side, expression in zip(sides, symbolic.expressions_, strict=True)
    ]


def _describe(run: "Run", symbolic: "SymbolicKAN", sides: list[str]) -> dict[str, Any]:
    classes = symbolic.classes_
    return {
        "task": run.schema.task,
        "target": run.schema.target,
        "features": symbolic.feature_names_,
        "classes": None if classes is None else classes.tolist(),
        "formulas": [
            {"computes": side, "expression": str(expression)}
            for side, expression in zip(sides, symbolic.expressions_, strict=True)
        ],
        "complexity": symbolic.complexity_,
        "score": symbolic.score_,
        "network_score": symbolic.network_score_,
        "verdict": symbolic.verdict_,
        "simpler": [
            {
                "computes": sides[row.output],
                "complexity": row.complexity,
                "r2": row.r2,
                "r2_held_out": None if row.r2_held_out != row.r2_held_out else row.r2_held_out,
                "expression": str(row.expression),
            }
            for row in symbolic.pareto_
        ],
    }


def _print_simpler(symbolic: "SymbolicKAN", sides: list[str], most: int, digits: int) -> None:
    """The rows of each output that explain most, simplest first."""
    rows = []
    for output, side in enumerate(sides):
        front = [row for row in symbolic.pareto_ if row.output == output][-most:]
        rows += [
            (
                side if len(sides) > 1 else None,
                row.complexity,
                f"{row.r2:.4f}",
                f"{row.r2_held_out:.4f}",
                _rounded(row.expression, digits),
            )
            for row in front
        ]
    headers = ("" if len(sides) == 1 else "computes", "nodes", "R2", "held out", "formula")
    stdout().print(make_table(*headers, rows=rows))
