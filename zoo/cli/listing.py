"""``zoo list``."""

from typing import Annotated

import typer

from zoo.cli.models import show_models

__all__ = ["app", "list_models"]

app = typer.Typer()


@app.command()
def list_models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    task: Annotated[
        str | None, typer.Option(help="Only models that do this task, such as regression.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only models with this tag.")] = None,
) -> None:
    """List the installed models.

    Plugins that cannot be used are listed below with the cause and what mends it.
    """
    show_models(as_json=as_json, task=task, tag=tag)
