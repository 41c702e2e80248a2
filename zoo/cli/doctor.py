"""``zoo doctor``."""

from dataclasses import asdict
from typing import Annotated

import typer

from zoo.cli.console import make_table, print_json, stdout
from zoo.doctor import Diagnosis, diagnose

__all__ = ["app", "doctor"]

app = typer.Typer()


@app.command()
def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation and say what mends it.

    Ends with exit code 1 if something is wrong.
    """
    diagnosis = diagnose()
    if as_json:
        print_json(asdict(diagnosis))
    else:
        _print(diagnosis)
    if diagnosis.problems:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis) -> None:
    console = stdout()
    rows = [
        (
            found.name,
            found.version or "not installed",
            found.cuda and f"built for CUDA {found.cuda}",
        )
        for found in diagnosis.versions
    ]
    rows += [(found.name, found.version or "", "plugin") for found in diagnosis.plugins]
    console.print(make_table("package", "version", "", rows=rows))
    if diagnosis.providers:
        rows = [
            (provider.name, "works" if provider.works else "does not work", provider.detail)
            for provider in diagnosis.providers
        ]
        console.print(make_table("execution provider", "in a session", "", rows=rows))
    else:
        console.print("onnxruntime cannot be used, so exported models cannot be run.\n")
    if not diagnosis.problems:
        console.print("All is well.", style="green")
    for problem in diagnosis.problems:
        console.print(f"WRONG {problem.cause}", style="bold red", markup=False, soft_wrap=True)
        console.print(f"  mend: {problem.mend}", markup=False, soft_wrap=True)
