"""What the demonstration prints: progress bars, then one panel per chapter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from zoo_kan.demo.chapter import Chapter, Table

__all__ = ["print_summary", "progress"]

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}


@contextmanager
def progress(console: Console, parts: Sequence[tuple[str, int]]) -> Iterator[Callable[[int], None]]:
    """Show one bar per part.

    Parameters
    ----------
    console : rich.console.Console
    parts : sequence of (title, number of steps)

    Yields
    ------
    callable
        Called with the number of a part, it moves that part's bar on by one step.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks = [bars.add_task(title, total=steps, start=False) for title, steps in parts]

        bars.start_task(tasks[0])

        def advance(number: int) -> None:
            bars.advance(tasks[number])
            if bars.tasks[number].finished and number + 1 < len(tasks):
                bars.start_task(tasks[number + 1])

        yield advance


def print_summary(
    console: Console, chapters: Sequence[Chapter], report: Path, *, seconds: float
) -> None:
    """Print what each chapter found, and where the report is."""
    for chapter in chapters:
        parts: list[RenderableType] = [_findings(chapter)]
        if chapter.formula is not None:
            formula = f"{chapter.formula.symbol} = {chapter.formula.rounded()}"
            parts.append(Text(f"\n{formula}\n", style="bold cyan"))
        parts += [_table(table) for table in chapter.tables]
        if chapter.onnx is not None:
            parts.append(
                Text(
                    f"\nONNX without torch: {chapter.onnx.n_rows} rows in "
                    f"{chapter.onnx.milliseconds:.2g} ms, differences up to "
                    f"{chapter.onnx.worst:.0e}."
                )
            )
        console.print(
            Panel(Group(*parts), title=f"[bold]{escape(chapter.title)}", title_align="left")
        )
    console.print(f"Done in {seconds:.0f} s. The report: [bold]{escape(str(report))}")


def _findings(chapter: Chapter) -> Text:
    text = Text()
    for number, finding in enumerate(chapter.findings):
        mark, style = _MARKS[finding.holds]
        text.append("\n" if number else "")
        text.append(f"{mark} ", style=style)
        text.append(finding.text)
    return text


def _table(table: Table) -> RichTable:
    drawn = RichTable(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(table.columns):
        drawn.add_column(column, justify="left" if number == 0 else "right")
    for number, row in enumerate(table.rows):
        drawn.add_row(*map(escape, row), style="bold" if number == 0 else "")
    return drawn
