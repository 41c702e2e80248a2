"""What commands print: tables, notes, and what is going on."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "Phases",
    "complain",
    "debugging",
    "make_table",
    "note",
    "print_json",
    "stdout",
    "system_errors",
]

_PIPED_WIDTH = 120


def stdout() -> "Console":
    """Console for results; wider than a terminal when it is piped, so that less is wrapped."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)


def make_table(*headers: str, rows: Iterable[Sequence[object]]) -> "Table":
    """Build a table of plain text: brackets in a cell are brackets, not markup.

    Parameters
    ----------
    *headers : str
        One for each column.
    rows : iterable of sequence
        Cells; ``None`` is an empty one.

    Returns
    -------
    rich.table.Table
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*[Text("" if cell is None else str(cell)) for cell in row])
    return table


def note(sentence: str) -> None:
    """Tell the user something in passing, on stderr."""
    _say(f"Note: {sentence}", "33")


def complain(sentence: str) -> None:
    """Say what is wrong, on stderr."""
    _say(f"Error: {sentence}", "31")


def _say(line: str, colour: str) -> None:
    # One line, however long: rich would break it at the width of the terminal.
    plain = not sys.stderr.isatty() or "NO_COLOR" in os.environ
    print(line if plain else f"\033[{colour}m{line}\033[0m", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def debugging() -> bool:
    """Whether ``ZOO_DEBUG=1`` asks for tracebacks."""
    return os.environ.get("ZOO_DEBUG") == "1"


@contextmanager
def system_errors(what: str) -> Iterator[None]:
    """Turn an error of the system about a file into one sentence.

    Parameters
    ----------
    what : str
        What could not be done: ``"Cannot write run/"``.

    Raises
    ------
    zoo.errors.SourceError
        In place of an ``OSError`` that is not an error of the zoo.
    """
    from zoo.errors import SourceError, ZooError

    try:
        yield
    except ZooError:
        raise
    except OSError as error:
        raise SourceError(f"{what}: {error.strerror or error}.") from error


class Phases:
    """What is going on, with a moving bar and the seconds it has taken, on stderr.

    Without a terminal only the notes are printed.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        self._progress.stop()

    def phase(self, name: str) -> None:
        """Begin the next phase."""
        self._finish()
        self._task = self._progress.add_task(name, total=None)

    def describe(self, name: str) -> None:
        """Rename the present phase, to say how far it is."""
        if self._task is not None:
            self._progress.update(self._task, description=name)

    def note(self, sentence: str) -> None:
        """Print a note above the bar."""
        from rich.text import Text

        if self._progress.disable:
            note(sentence)
        else:
            self._progress.console.print(Text(f"Note: {sentence}", style="yellow"))

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=1, completed=1)
            self._task = None
