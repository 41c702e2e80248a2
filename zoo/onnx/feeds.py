"""From a table to the inputs of a tabular graph, on numpy alone.

A table is an array, a mapping of column names to values, or a DataFrame of any library whose
``columns`` are the names and whose ``table[name]`` is a column.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError

__all__ = ["MISSING_TEXT", "column_reader", "numeric_column", "position_name", "text_column"]

#: What a missing value in a text column is to a graph, which has no other word for it.
MISSING_TEXT = "nan"


def position_name(number: int) -> str:
    """Name column ``number`` of an array whose columns have no names."""
    return f"X[:, {number}]"


def column_reader(table: Any) -> tuple[list[str], Callable[[str], Any]] | None:
    """Find out whether a table has named columns.

    Parameters
    ----------
    table : DataFrame, mapping or array-like
        The table.

    Returns
    -------
    tuple or None
        The names as text, and a function from such a name to the column; None for an array.
    """
    if isinstance(table, Mapping):
        names: Sequence[Any] = list(table)
    else:
        columns = getattr(table, "columns", None)
        if columns is None:
            return None
        names = list(columns)
    originals = {str(name): name for name in names}
    return [str(name) for name in names], lambda name: table[originals[name]]


def _is_missing(value: object) -> bool:
    # pandas.NA and NaT go by the name of their type: comparing NA gives NA.
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _flat(column: Any, name: str) -> NDArray:
    values = np.asarray(column)
    if values.ndim != 1:
        raise DataError(
            f"The column {name!r} must be one-dimensional, with one value per row. "
            f"Got shape {values.shape}."
        )
    return values


def numeric_column(column: Any, name: str) -> NDArray[np.float64]:
    """Read a column of numbers.

    Parameters
    ----------
    column : array-like of shape (n_samples,)
        Numbers or booleans; None, NaN and pandas.NA stand for missing ones.
    name : str
        What it is called in the message.

    Returns
    -------
    ndarray of shape (n_samples,)
        In float64, missing values NaN.

    Raises
    ------
    zoo.errors.DataError
        It holds something else.
    """
    values = _flat(column, name)
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    if values.dtype.kind != "O":
        raise _not_numeric(name, values[0] if len(values) else values.dtype.name)
    missing = np.array([_is_missing(value) for value in values], dtype=bool)
    numbers = np.full(len(values), np.nan)
    for row in np.flatnonzero(~missing):
        if isinstance(values[row], str | bytes):
            raise _not_numeric(name, values[row])
        try:
            numbers[row] = float(values[row])
        except (TypeError, ValueError):
            raise _not_numeric(name, values[row]) from None
    return numbers


def _not_numeric(name: str, value: object) -> DataError:
    return DataError(f"The column {name!r} must hold numbers. Got {value!r}.")


def text_column(column: Any, name: str) -> NDArray:
    """Read a column of text.

    Parameters
    ----------
    column : array-like of shape (n_samples,)
        Text, or whatever `str` turns into text; None, NaN and pandas.NA stand for missing values.
    name : str
        What it is called in the message.

    Returns
    -------
    ndarray of shape (n_samples,)
        Of str objects, missing values `MISSING_TEXT`.

    Raises
    ------
    zoo.errors.DataError
        It is not one-dimensional.
    """
    values = _flat(column, name).tolist()
    texts = [value if type(value) is str else _text(value) for value in values]
    return np.array(texts, dtype=object)


def _text(value: object) -> str:
    return MISSING_TEXT if _is_missing(value) else str(value)
