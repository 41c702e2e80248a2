"""``zoo check``."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.console import print_json, stdout
from zoo.errors import ParameterError

if TYPE_CHECKING:
    from zoo.testing import CheckResult

__all__ = ["app", "check"]

app = typer.Typer()
_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="Its name, as in zoo list.")],
    *,
    only: Annotated[list[str] | None, typer.Option(help="Run this check only; repeatable.")] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Leave a check out, name=reason; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the conformance suite on a model.

    Ends with exit code 1 if a check fails.
    """
    from zoo.testing import check_model, check_names

    width = max(map(len, check_names(model)))
    report = check_model(
        model,
        only=only or None,
        skip=_reasons(skip or []),
        on_result=None if as_json else lambda result: _print(result, width),
    )
    counts = dict.fromkeys(_STYLES, 0)
    for result in report.results:
        counts[result.status] += 1
    if as_json:
        print_json(
            {
                "model": report.model,
                **counts,
                "checks": [
                    {
                        "name": result.name,
                        "status": result.status,
                        "reason": result.reason,
                        "seconds": round(result.seconds, 3),
                    }
                    for result in report.results
                ],
            }
        )
    else:
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        stdout().print(f"{model}: {summary}", style="bold", markup=False)
    if counts["failed"]:
        raise typer.Exit(1)


def _reasons(pairs: Iterable[str]) -> dict[str, str]:
    reasons = {}
    for pair in pairs:
        name, equals, reason = pair.partition("=")
        if not equals or not reason.strip():
            raise ParameterError(f"A --skip must be name=reason. Got {pair!r}.")
        reasons[name.strip()] = reason.strip()
    return reasons


def _print(result: "CheckResult", width: int) -> None:
    from rich.text import Text

    line = Text(f"{result.status:<8}", style=_STYLES[result.status])
    line.append(f"{result.name:<{width}} {result.seconds:6.1f} s  {result.reason}", style="default")
    stdout().print(line, soft_wrap=True)
