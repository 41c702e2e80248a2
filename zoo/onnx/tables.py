"""Rows on their way into a graph that is being made."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError
from zoo.onnx.feeds import column_reader, numeric_column, position_name, text_column

__all__ = ["RESERVED", "Table"]

#: Names that outputs have, so no input can.
RESERVED = ("prediction", "label", "probabilities")


@dataclass(frozen=True)
class Table:
    """Rows, and how they enter a graph.

    Attributes
    ----------
    source : DataFrame or ndarray of shape (n_samples, n_features)
        The rows as given.
    columns : dict of str to ndarray of shape (n_samples,)
        Numbers in float64, or text objects.
    feature_names : list of str or None
        Names, where the rows have them.
    inputs : dict of str to str or None
        Column to graph input, None where there is one matrix.
    dtype : {"float32", "float64"}
        Of the graph.
    """

    source: Any
    columns: dict[str, NDArray]
    feature_names: list[str] | None
    inputs: dict[str, str] | None
    dtype: str

    @classmethod
    def read(cls, X: Any, *, by_column: bool, dtype: str | None) -> "Table":
        """Read rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The rows, at least one.
        by_column : bool
            One input per column even where all hold numbers.
        dtype : {"float32", "float64"} or None
            Of the graph. ``None`` takes float32 when all floats of ``X`` are float32.

        Returns
        -------
        Table
            The rows.

        Raises
        ------
        zoo.errors.DataError
            A column holds neither numbers nor text, names repeat, or there are no rows.
        """
        named = column_reader(X)
        if named is None:
            source = np.asarray(X)
            if source.ndim != 2 or not source.size:
                raise DataError(
                    f"The rows an export starts from must have shape (n_samples, n_features), "
                    f"none of them 0. Got {source.shape}."
                )
            names = [position_name(number) for number in range(source.shape[1])]
            raw = dict(zip(names, source.T, strict=True))
        else:
            pandas = sys.modules.get("pandas")
            if pandas is None or not isinstance(X, pandas.DataFrame):
                raise DataError(
                    f"The rows an export starts from must be an array or a pandas DataFrame. "
                    f"Got a {type(X).__module__}.{type(X).__qualname__}."
                )
            source, (names, column) = X, named
            if len(set(names)) < len(names):
                raise DataError(f"The columns of X must have different names. Got {names}.")
            raw = {name: np.asarray(column(name)) for name in names}
            if not names or not len(raw[names[0]]):
                raise DataError("The rows an export starts from must be at least one. Got none.")
        columns = {name: _read_column(values, name) for name, values in raw.items()}
        by_column = by_column or any(values.dtype == object for values in columns.values())
        return cls(
            source=source,
            columns=columns,
            feature_names=None if named is None else names,
            inputs=_input_names(names) if by_column else None,
            dtype=dtype or _common_dtype(raw.values()),
        )

    @property
    def feeds(self) -> dict[str, NDArray]:
        """Inputs of the graph."""
        cast = {name: self._cast(values) for name, values in self.columns.items()}
        if self.inputs is None:
            return {"X": np.stack(list(cast.values()), axis=1)}
        return {self.inputs[name]: values[:, None] for name, values in cast.items()}

    def _cast(self, values: NDArray) -> NDArray:
        return values if values.dtype == object else values.astype(self.dtype)

    def rounded(self) -> Any:
        """Round the rows as the graph does, and give them in the form the model takes."""
        changed = {
            name: values.astype(self.dtype).astype(np.float64)
            for name, values in self.columns.items()
            if values.dtype != object
            and not np.array_equal(values.astype(self.dtype), values, equal_nan=True)
        }
        if not changed:
            return self.source
        if self.feature_names is not None:
            return self._assigned(changed)
        kind = object if self.source.dtype.kind not in "biuf" else np.float64
        rows = self.source.astype(kind)
        for number, name in enumerate(self.columns):
            if name in changed:
                rows[:, number] = changed[name]
        return rows

    def _assigned(self, changed: dict[str, NDArray]) -> Any:
        originals = {str(name): name for name in self.source.columns}
        copy = self.source.copy()
        for name, values in changed.items():
            copy[originals[name]] = values
        return copy

    @property
    def numeric(self) -> list[str]:
        """Names of the columns of numbers."""
        return [name for name, values in self.columns.items() if values.dtype != object]

    def with_missing(self) -> "Table":
        """Repeat the first row for each column of numbers, without that number."""
        numeric = self.numeric
        first = {name: np.repeat(values[:1], len(numeric)) for name, values in self.columns.items()}
        for row, name in enumerate(numeric):
            first[name][row] = np.nan
        if self.feature_names is None:
            source: Any = np.stack(list(first.values()), axis=1)
        else:
            source = self.source.iloc[[0] * len(numeric)].reset_index(drop=True)
            for name, original in zip(self.columns, self.source.columns, strict=True):
                if name in numeric:
                    source[original] = first[name]
        return Table(source, first, self.feature_names, self.inputs, self.dtype)


def _read_column(values: NDArray, name: str) -> NDArray:
    if values.dtype.kind in "OUT" and any(isinstance(value, str) for value in values):
        return text_column(values, name)
    return numeric_column(values, name)


def _common_dtype(columns: Iterable[NDArray]) -> str:
    floats = {values.dtype for values in columns if values.dtype.kind == "f"}
    return "float32" if floats == {np.dtype(np.float32)} else "float64"


def _input_names(names: list[str]) -> dict[str, str]:
    """Names that any runtime takes as identifiers, one per column."""
    taken: set[str] = set(RESERVED)
    inputs = {}
    for name in names:
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_")
        plain = plain if plain and not plain[0].isdigit() else f"column_{plain}"
        unique, number = plain, 1
        while unique in taken:
            number += 1
            unique = f"{plain}_{number}"
        taken.add(unique)
        inputs[name] = unique
    return inputs
