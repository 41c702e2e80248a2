"""Reports of a search on its way: to a callable, or as a bar in the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Progress", "reporter"]

Progress = Callable[[dict[str, Any]], None]


@contextmanager
def reporter(progress: Progress | str | None, time_limit: float) -> Iterator[Progress | None]:
    """What to call with every report.

    Parameters
    ----------
    progress : callable, "bar" or None
        ``"bar"`` draws how much of the time limit is used and what is being tried, on the standard
        error stream, and goes when the search ends.
    time_limit : float
        Seconds.

    Yields
    ------
    callable or None

    Raises
    ------
    TypeError
        If ``progress`` is anything else.
    """
    if progress is None or callable(progress):
        yield progress
        return
    if progress != "bar":
        raise TypeError(
            f"progress of to_symbolic must be a callable, 'bar' or None. Got {progress!r}."
        )
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Display

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Display(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("", total=time_limit)

        def show(entry: dict[str, Any]) -> None:
            display.update(
                task,
                completed=min(entry["seconds"], time_limit),
                description=f"output {entry['output']}, {entry['tried']} tried, {entry['stage']}",
            )

        yield show
