"""``zoo demo``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.console import make_table, stdout, system_errors
from zoo.errors import UnknownModelError
from zoo.registry import registry
from zoo.targets import did_you_mean, import_target

__all__ = ["app", "demo"]

app = typer.Typer()


@app.command()
def demo(
    name: Annotated[
        str | None, typer.Argument(help="Which; by default every one that is installed.")
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write into.")
    ] = Path("demo-out"),
    only_list: Annotated[bool, typer.Option("--list", help="List them instead.")] = False,
) -> None:
    """Run a demonstration and write its report.

    A single one writes into the output folder itself, several into one folder each below it.
    """
    from rich.console import Console

    demos = {entry.spec.name: entry.spec for entry in registry().demos}
    if only_list:
        rows = [(spec.name, spec.summary) for spec in demos.values()]
        stdout().print(make_table("demonstration", "summary", rows=rows))
        return
    if name is not None and name not in demos:
        known = did_you_mean(name, demos) or f" Installed are: {', '.join(demos) or 'none'}."
        raise UnknownModelError(f"No installed demonstration is named {name!r}.{known}")
    if not demos:
        raise UnknownModelError("No installed plugin has a demonstration.")
    chosen = list(demos.values()) if name is None else [demos[name]]
    console = Console(highlight=False)
    for spec in chosen:
        folder = output if len(chosen) == 1 else output / spec.name
        with system_errors(f"Cannot write {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        run: Any = import_target(spec.target)
        run(folder, console)
