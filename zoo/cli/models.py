"""What ``zoo list`` prints. Without typer, whose import takes longer than the listing."""

from zoo.cli.console import make_table, print_json, stdout
from zoo.registry import Entry, Registry, registry
from zoo.spec import ModelSpec

__all__ = ["show_models"]


def show_models(*, as_json: bool = False, task: str | None = None, tag: str | None = None) -> None:
    """Print the installed models, and below them what cannot be used and why.

    Parameters
    ----------
    as_json : bool, default=False
        Print JSON instead of a table.
    task, tag : str or None, default=None
        Only models that do this task, or have this tag.
    """
    found = registry()
    entries = [entry for entry in found.entries if _matches(entry.spec, task, tag)]
    clashing = [entry for entry in found.clashing if _matches(entry.spec, task, tag)]
    if as_json:
        print_json(
            {
                "models": [_describe(entry, entry.spec.name) for entry in entries]
                + [_describe(entry, entry.qualified_name) for entry in clashing],
                "failures": [
                    {
                        "plugin": failure.plugin,
                        "distribution": failure.distribution,
                        "version": failure.version,
                        "cause": failure.cause,
                        "mend": failure.mend,
                    }
                    for failure in found.failures
                ],
            }
        )
        return
    console = stdout()
    rows = [_row(entry, entry.spec.name) for entry in entries]
    rows += [_row(entry, entry.qualified_name) for entry in clashing]
    if rows:
        console.print(make_table("model", "tasks", "summary", "distribution", rows=rows))
    else:
        only = [f"{what} {value!r}" for what, value in (("task", task), ("tag", tag)) if value]
        suffix = f" with {' and '.join(only)}" if only else ""
        console.print(f"No model{suffix} is installed.", markup=False)
    _print_failures(found)


def _matches(spec: ModelSpec, task: str | None, tag: str | None) -> bool:
    return (task is None or task in spec.targets) and (tag is None or tag in spec.tags)


def _row(entry: Entry[ModelSpec], name: str) -> tuple[str, ...]:
    owner = f"{entry.distribution} {entry.version}"
    return name, ", ".join(entry.spec.targets), entry.spec.summary, owner


def _describe(entry: Entry[ModelSpec], name: str) -> dict[str, object]:
    return {
        "name": name,
        "tasks": list(entry.spec.targets),
        "summary": entry.spec.summary,
        "tags": list(entry.spec.tags),
        "distribution": entry.distribution,
        "version": entry.version,
        "plugin": entry.plugin,
    }


def _print_failures(found: Registry) -> None:
    console = stdout()
    for failure in found.failures:
        owner = f"{failure.distribution} {failure.version}".strip()
        state = "WARNING" if failure.exception is None else "FAILED"
        heading = f"{state} {failure.plugin}" + (f" ({owner})" if owner else "")
        console.print(heading, style="bold red", markup=False, soft_wrap=True)
        console.print(f"  cause: {failure.cause}", markup=False, soft_wrap=True)
        console.print(f"  mend:  {failure.mend}", markup=False, soft_wrap=True)
