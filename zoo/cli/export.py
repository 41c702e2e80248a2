"""``zoo export``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.console import Phases, stdout, system_errors
from zoo.cli.files import check_output_folder

__all__ = ["TABLE_FILE", "app", "export"]

#: The file of a bundle that says what the table looks like.
TABLE_FILE = "table.json"
_SAMPLE_ROWS = 64

app = typer.Typer()


class Dtype(StrEnum):
    """Precision of a graph."""

    float32 = "float32"
    float64 = "float64"


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder that zoo fit wrote.")],
    output: Annotated[Path, typer.Argument(help="The folder to write.")],
    *,
    dtype: Annotated[
        Dtype, typer.Option(help="float64 repeats the run's numbers, float32 is half the size.")
    ] = Dtype.float64,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the exported folder if it exists.")
    ] = False,
) -> None:
    """Export a run folder to ONNX, columns and all.

    Preparation of the columns and model become one graph, which is run beside the original on
    made-up rows before it is kept.
    """
    check_output_folder(output, overwrite=overwrite, marker="zoo.json")
    with Phases() as phases:
        phases.phase("reading")
        from zoo.onnx import export_pipeline
        from zoo.table import Run

        with system_errors(f"Cannot read {run}"):
            loaded = Run.load(run)
        phases.phase("converting and comparing")
        with system_errors(f"Cannot write {output}"):
            export_pipeline(
                loaded.pipeline,
                loaded.schema.sample(_SAMPLE_ROWS),
                output,
                dtype=dtype.value,
                overwrite=overwrite,
                files={TABLE_FILE: loaded.schema.to_bytes()},
            )
    console = stdout()
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    console.print(
        f"Wrote {output} ({dtype.value}, {size / 1024:.0f} KiB). It runs without torch and "
        f"scikit-learn:",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"  zoo run {output} new.csv", markup=False, soft_wrap=True)
    console.print(f'  zoo.load_onnx("{output}").predict(X)', markup=False, soft_wrap=True)
