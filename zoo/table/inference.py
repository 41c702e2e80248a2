"""Read the schema off a training table: kinds of columns, the task, what to leave out."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from zoo.errors import DataError, ParameterError
from zoo.table.column import Column
from zoo.table.schema import Schema
from zoo.table.values import (
    MISSING,
    as_booleans,
    as_numbers,
    as_text,
    check_finite,
    kind_of,
    label_text,
    quoted,
)
from zoo.targets import did_you_mean

__all__ = ["infer_schema", "rows_with_target"]

_MAX_CATEGORIES = 50
_MIN_ROWS_FOR_ID = 10
_MAX_INTEGER_CLASSES = 10
_MIN_ROWS_PER_INTEGER_CLASS = 5


def rows_with_target(
    frame: pd.DataFrame, target: str, *, notify: Callable[[str], None]
) -> pd.DataFrame:
    """Drop the rows whose target is missing.

    Parameters
    ----------
    frame : pandas.DataFrame of shape (n_rows, n_columns)
        A table.
    target : str
        Its column to predict.
    notify : callable
        Told in one sentence how many rows went.

    Returns
    -------
    pandas.DataFrame of shape (n_rows_with_target, n_columns)
        Rows numbered from zero.

    Raises
    ------
    zoo.errors.DataError
        There is no such column, or it holds nothing.
    """
    if target not in frame.columns:
        hint = did_you_mean(target, map(str, frame.columns))
        raise DataError(
            f"The table has no column {target!r} to predict.{hint} It has {quoted(frame.columns)}."
        )
    missing = frame[target].isna()
    if missing.all():
        raise DataError(f"The target {target!r} is missing in every row.")
    if missing.any():
        notify(
            f"{int(missing.sum())} of {len(frame)} rows are left out: "
            f"their target {target!r} is missing."
        )
    return frame[~missing].reset_index(drop=True)


def infer_schema(
    frame: pd.DataFrame,
    target: str,
    *,
    task: str = "auto",
    drop: Iterable[str] = (),
    notify: Callable[[str], None] = lambda sentence: None,
) -> Schema:
    """Decide what each column is.

    A column is left out, with a notice, when it holds one value only, nothing, dates, objects
    that are neither numbers nor text, or texts that identify rows (all different in ten rows or
    more). Of more than 50 categories the 50 most frequent get an indicator.

    Parameters
    ----------
    frame : pandas.DataFrame of shape (n_rows, n_columns)
        Training rows, each with a target.
    target : str
        The column to predict.
    task : {"auto", "regression", "classification"}, default="auto"
        ``"auto"`` takes text, booleans, zeros and ones, and at most ten different whole numbers
        of five rows each on average for classes, everything else for a regression.
    drop : iterable of str, default=()
        Columns to leave out.
    notify : callable
        Told what was decided, one sentence each.

    Returns
    -------
    Schema

    Raises
    ------
    zoo.errors.DataError
        No column is left, a column to drop does not exist, or the target does not fit the task.
    zoo.errors.ParameterError
        Another task.
    """
    if task not in ("auto", "regression", "classification"):
        raise ParameterError(
            f"The task must be 'auto', 'regression' or 'classification'. Got {task!r}."
        )
    drop = list(drop)
    _check_drop(frame, target, drop)
    task, labels = _task(frame[target], target, task, notify)
    columns: list[Column] = []
    dropped: dict[str, str] = dict.fromkeys(drop, "as asked")
    for name in frame.columns:
        if name == target or name in dropped:
            continue
        column, why = _column(frame[name], name, notify)
        if column is None:
            dropped[name] = why
            notify(f"The column {name!r} is left out: {why}.")
        else:
            columns.append(column)
    if not columns:
        reasons = "; ".join(f"{name!r}: {why}" for name, why in dropped.items())
        raise DataError(
            f"No column is left to predict {target!r} from"
            + (f" ({reasons})." if reasons else ": it is the only one.")
        )
    columns.sort(key=lambda column: column.kind == "category")
    return Schema(tuple(columns), target=target, task=task, labels=labels, dropped=dropped)


def _check_drop(frame: pd.DataFrame, target: str, drop: list[str]) -> None:
    for name in drop:
        if name not in frame.columns:
            hint = did_you_mean(name, map(str, frame.columns))
            raise DataError(f"The table has no column {name!r} to drop.{hint}")
        if name == target:
            raise DataError(f"The column {name!r} cannot be dropped: it is the target.")


def _column(
    series: pd.Series, name: str, notify: Callable[[str], None]
) -> tuple[Column | None, str]:
    kind = kind_of(series)
    if name.startswith("Unnamed: "):
        return None, "it has no name, so it is taken for a row index"
    if kind == "missing":
        return None, "all its values are missing"
    if kind == "date":
        return None, "it holds dates, which no model here reads; turn them into numbers to use them"
    if kind == "other":
        first = type(series.dropna().iloc[0]).__name__
        return None, f"it holds values of type {first}, neither numbers nor text"
    if kind == "category":
        return _category(series, name, notify)
    values = as_numbers(series) if kind == "number" else as_booleans(series)
    check_finite(name, values)
    known = values[~np.isnan(values)]
    if (known == known[0]).all():
        return None, f"it is constant ({series.dropna().iloc[0]})"
    return Column(name, kind, low=float(known.min()), high=float(known.max())), ""


def _category(
    series: pd.Series, name: str, notify: Callable[[str], None]
) -> tuple[Column | None, str]:
    values = as_text(series)
    counts = Counter(values)
    if len(counts) == 1:
        return None, f"it has one category only ({values[0]!r})"
    known = [value for value in values if value != MISSING]
    if len(set(known)) == len(known) and len(values) >= _MIN_ROWS_FOR_ID:
        return None, "its texts all differ, so they identify rows instead of describing them"
    _note_stray_text(series, name, notify)
    frequent = [value for value, _ in counts.most_common(_MAX_CATEGORIES)]
    if len(counts) > len(frequent):
        notify(
            f"The column {name!r} has {len(counts)} categories: "
            f"the {len(frequent)} most frequent get an indicator."
        )
    if len(counts) == 2:  # one indicator says it all, and the other value is the zero
        return Column(name, "category", (frequent[1],), reference=frequent[0]), ""
    return Column(name, "category", tuple(sorted(frequent))), ""


def _note_stray_text(series: pd.Series, name: str, notify: Callable[[str], None]) -> None:
    known = pd.Series(as_text(series.dropna()))
    stray = known[pd.to_numeric(known, errors="coerce").isna()]
    if 0 < len(stray) < len(known) / 2:
        notify(
            f"The column {name!r} is taken for categories: "
            f"{len(stray)} of its {len(known)} values are no numbers (first: {stray.iloc[0]!r})."
        )


def _task(
    series: pd.Series, target: str, task: str, notify: Callable[[str], None]
) -> tuple[str, tuple[str | int, ...]]:
    kind = kind_of(series)
    if kind in ("date", "other"):
        raise DataError(
            f"The target {target!r} must hold numbers or classes. "
            f"Got {str(series.iloc[0])!r} in row 1 of the data."
        )
    if kind == "number":
        check_finite(target, as_numbers(series))
    if task == "auto":
        task, why = _guess(series, kind)
        notify(f"The task is {task}, because the target {target!r} {why}.")
    if task == "regression":
        values = as_numbers(series)
        if (values == values[0]).all():
            raise DataError(f"The target {target!r} has the same value in every row ({values[0]}).")
        return task, ()
    return task, _labels(series, target)


def _guess(series: pd.Series, kind: str) -> tuple[str, str]:
    if kind == "category":
        return "classification", "holds text"
    if kind == "boolean":
        return "classification", "holds booleans"
    values = np.unique(as_numbers(series))
    if not (values == np.round(values)).all():
        return "regression", "holds numbers with fractions"
    if set(values) <= {0.0, 1.0}:
        return "classification", "holds zeros and ones"
    if len(values) <= _MAX_INTEGER_CLASSES and (
        len(series) >= _MIN_ROWS_PER_INTEGER_CLASS * len(values)
    ):
        return "classification", f"holds {len(values)} different whole numbers"
    return "regression", f"holds {len(values)} different numbers"


def _labels(series: pd.Series, target: str) -> tuple[str | int, ...]:
    texts = label_text(series)
    counts = Counter(texts)
    if len(counts) == 1:
        raise DataError(
            f"The target {target!r} must have at least two classes. Got {texts[0]!r} in every row."
        )
    if max(counts.values()) == 1:
        raise DataError(
            f"The target {target!r} has another value in each of its {len(texts)} rows, "
            f"so it names no classes; numbers are for the task regression."
        )
    # Whole numbers of up to 18 digits fit 64 bits.
    whole = all(text.removeprefix("-").isdecimal() and len(text) <= 18 for text in counts)
    if whole and kind_of(series) == "number":
        return tuple(sorted(int(text) for text in counts))
    return tuple(sorted(counts))
