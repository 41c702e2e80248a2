"""Columns of pandas as plain arrays: numbers, booleans, texts and labels."""

import datetime
import decimal
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from zoo.errors import DataError
from zoo.onnx.feeds import MISSING_TEXT as MISSING

__all__ = [
    "MISSING",
    "as_booleans",
    "as_numbers",
    "as_text",
    "check_finite",
    "kind_of",
    "label_text",
    "quoted",
]

_DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}( .*)?"
    r"|\d{4}/\d{1,2}/\d{1,2}( .*)?"
)
_TRUTH = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}


def kind_of(series: pd.Series) -> str:
    """Say what a column holds.

    Parameters
    ----------
    series : pandas.Series of shape (n_rows,)
        Any column.

    Returns
    -------
    {"number", "boolean", "category", "date", "missing", "other"}
        ``"category"`` is text, ``"missing"`` a column without any value.
    """
    types = pd.api.types
    known = series.dropna()
    if len(known) == 0:
        return "missing"
    if isinstance(series.dtype, pd.CategoricalDtype) or types.is_string_dtype(known.dtype):
        return _kind_of_objects(known.astype(object))
    if types.is_bool_dtype(series.dtype):
        return "boolean"
    if types.is_complex_dtype(series.dtype):
        return "other"
    if types.is_numeric_dtype(series.dtype):
        return "number"
    if types.is_object_dtype(series.dtype):
        return _kind_of_objects(known)
    dated = types.is_datetime64_any_dtype(series.dtype) or series.dtype.kind == "m"
    return "date" if dated or isinstance(series.dtype, pd.PeriodDtype) else "other"


def _kind_of_objects(known: pd.Series) -> str:
    values = known.tolist()
    if all(isinstance(value, bool | np.bool_) for value in values):
        return "boolean"
    if all(_is_number(value) for value in values):
        return "number"
    if all(
        isinstance(value, datetime.date | datetime.time | datetime.timedelta) for value in values
    ):
        return "date"
    if all(isinstance(value, str) and _DATE.fullmatch(value.strip()) for value in values):
        return "date"
    if all(isinstance(value, str | bool | np.bool_) or _is_number(value) for value in values):
        return "category"
    return "other"


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float | decimal.Decimal | np.integer | np.floating)
    return plain and not isinstance(value, bool)


def as_numbers(series: pd.Series) -> np.ndarray:
    """Column of numbers.

    Parameters
    ----------
    series : pandas.Series of shape (n_rows,)
        Numbers, booleans, or texts that say numbers.

    Returns
    -------
    ndarray of shape (n_rows,)
        float64, NaN where missing.

    Raises
    ------
    zoo.errors.DataError
        A value is no number.
    """
    if pd.api.types.is_numeric_dtype(series.dtype) and not _is_complex(series):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind_of(series) == "boolean":
        return as_booleans(series)
    texts = pd.Series(as_text(series))
    values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    lost = np.flatnonzero(np.isnan(values) & (texts != MISSING).to_numpy())
    if len(lost):
        raise DataError(
            f"The column {str(series.name)!r} must hold numbers. "
            f"Got {texts[lost[0]]!r} in row {lost[0] + 1} of the data."
        )
    return values


def _is_complex(series: pd.Series) -> bool:
    return pd.api.types.is_complex_dtype(series.dtype)


def as_booleans(series: pd.Series) -> np.ndarray:
    """Column of booleans.

    Parameters
    ----------
    series : pandas.Series of shape (n_rows,)
        Booleans, zeros and ones, or the texts true and false in any case.

    Returns
    -------
    ndarray of shape (n_rows,)
        float64: 1, 0, or NaN where missing.

    Raises
    ------
    zoo.errors.DataError
        A value is no boolean.
    """
    texts = pd.Series(as_text(series))
    values = texts.str.lower().map(_TRUTH).to_numpy(dtype=np.float64)
    lost = np.flatnonzero(np.isnan(values) & (texts != MISSING).to_numpy())
    if len(lost):
        raise DataError(
            f"The column {str(series.name)!r} must hold true or false. "
            f"Got {texts[lost[0]]!r} in row {lost[0] + 1} of the data."
        )
    return values


def as_text(series: pd.Series) -> np.ndarray:
    """Column of texts.

    Parameters
    ----------
    series : pandas.Series of shape (n_rows,)
        Any values.

    Returns
    -------
    ndarray of shape (n_rows,)
        Object array of str without blanks around; ``"nan"`` where missing, as exported models
        have it.
    """
    missing = series.isna().to_numpy()
    values = series.astype(object).tolist()
    texts = [
        MISSING if gone else _plain(value) for value, gone in zip(values, missing, strict=True)
    ]
    return np.array(texts, dtype=object)


def _plain(value: Any) -> str:
    # An integer column with one missing value is read as floats: 3.0 still is "3".
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def label_text(series: pd.Series) -> list[str]:
    """Class labels as text, whole numbers without a fraction.

    Parameters
    ----------
    series : pandas.Series of shape (n_rows,)
        Labels, none missing.

    Returns
    -------
    list of str
    """
    return [str(value) for value in as_text(series)]


def check_finite(name: str, values: np.ndarray) -> None:
    """Refuse infinite values.

    Parameters
    ----------
    name : str
        The column they come from.
    values : ndarray of shape (n_rows,)
        float64, NaN allowed.

    Raises
    ------
    zoo.errors.DataError
        One of them is infinite.
    """
    rows = np.flatnonzero(np.isinf(values))
    if len(rows):
        row = int(rows[0])
        raise DataError(
            f"The column {name!r} must hold finite numbers. "
            f"Got {values[row]} in row {row + 1} of the data."
        )


def quoted(names: Iterable[object], *, most: int = 8) -> str:
    """Names in quotes, separated by commas, the first few of many.

    Parameters
    ----------
    names : iterable of object
        What to list.
    most : int, default=8
        How many are written out.

    Returns
    -------
    str
    """
    words = [repr(str(name)) for name in names]
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + rest
