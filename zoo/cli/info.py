"""``zoo info``."""

import inspect
from typing import Annotated, Any

import typer

from zoo.cli.console import make_table, print_json, stdout
from zoo.registry import Entry, registry
from zoo.spec import ModelSpec
from zoo.targets import import_target

__all__ = ["app", "info"]

app = typer.Typer()


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="Its name, as in zoo list.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a model is, does and takes."""
    entry = registry().find(model)
    parameters = {
        task: _parameters(import_target(target)) for task, target in entry.spec.targets.items()
    }
    if as_json:
        print_json(_describe(entry, parameters))
    else:
        _print(entry, parameters)


def _parameters(cls: Any) -> list[tuple[str, str]]:
    return [
        (name, "" if parameter.default is inspect.Parameter.empty else repr(parameter.default))
        for name, parameter in inspect.signature(cls).parameters.items()
    ]


def _describe(
    entry: Entry[ModelSpec], parameters: dict[str, list[tuple[str, str]]]
) -> dict[str, Any]:
    spec = entry.spec
    paper = spec.paper
    return {
        "name": spec.name,
        "summary": spec.summary,
        "distribution": entry.distribution,
        "version": entry.version,
        "plugin": entry.plugin,
        "licence": spec.licence,
        "tags": list(spec.tags),
        "paper": paper
        and {
            "title": paper.title,
            "authors": paper.authors,
            "year": paper.year,
            "url": paper.url,
        },
        "tasks": [
            {"task": task, "target": target, "parameters": dict(parameters[task])}
            for task, target in spec.targets.items()
        ],
        "exports": spec.exporter is not None,
        "checkpoints": [
            {
                "name": f"{spec.name}:{checkpoint.name}",
                "summary": checkpoint.summary,
                "licence": checkpoint.licence,
                "source": checkpoint.source,
            }
            for checkpoint in spec.checkpoints
        ],
    }


def _print(entry: Entry[ModelSpec], parameters: dict[str, list[tuple[str, str]]]) -> None:
    spec = entry.spec
    console = stdout()
    console.print(f"{spec.name}: {spec.summary}", style="bold", markup=False, soft_wrap=True)
    facts = [("from", f"{entry.distribution} {entry.version}")]
    if spec.paper is not None:
        facts.append(("paper", f"{spec.paper.title} ({spec.paper.authors}, {spec.paper.year})"))
        facts.append(("", spec.paper.url or ""))
    facts += [("licence", spec.licence), ("tags", ", ".join(spec.tags))]
    facts += [("class", f"{target} ({task})") for task, target in spec.targets.items()]
    facts.append(("ONNX", "exports" if spec.exporter else "no exporter"))
    for key, value in facts:
        if value:
            console.print(f"  {key:<8} {value}", markup=False, soft_wrap=True)
    console.print(make_table("parameter", "default", "", rows=_merged(parameters)))
    if spec.checkpoints:
        rows = [(f"{spec.name}:{c.name}", c.summary) for c in spec.checkpoints]
        console.print(make_table("checkpoint", "summary", rows=rows))


def _merged(parameters: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str, str]]:
    """One row for each parameter and default, with the tasks where these are not all."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for task, rows in parameters.items():
        for row in rows:
            tasks.setdefault(row, []).append(task)
    return [
        (*row, "" if len(own) == len(parameters) else f"{', '.join(own)} only")
        for row, own in tasks.items()
    ]
