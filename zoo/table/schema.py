"""What a fitted table looks like, and how a new one is brought into that form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from zoo.errors import DataError, FormatError
from zoo.table.column import Column, expect_choice, expect_text
from zoo.table.values import (
    MISSING,
    as_booleans,
    as_numbers,
    as_text,
    check_finite,
    label_text,
    quoted,
)
from zoo.targets import did_you_mean

__all__ = ["Column", "Schema"]

_TASKS = ("regression", "classification")


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns a model reads, the column it predicts, and what was left out.

    Attributes
    ----------
    columns : tuple of Column
        Features, numbers and booleans before categories, as the model sees them.
    target : str
        Name of the predicted column.
    task : {"regression", "classification"}
        What the target asks for.
    labels : tuple of str or of int
        Classes of a classification, sorted; empty for a regression.
    dropped : mapping of str to str
        Columns of the training table that are not used, each with the reason.
    """

    columns: tuple[Column, ...]
    target: str
    task: str
    labels: tuple[str | int, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)

    @property
    def feature_names(self) -> list[str]:
        """Names of the model's inputs, in order, in the table's words: ``x``, ``[color = red]``."""
        return [name for column in self.columns for name in column.features]

    @property
    def text_columns(self) -> list[str]:
        """Columns that `read_table` must keep as text."""
        return [column.name for column in self.columns if column.kind == "category"]

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the columns of some kinds."""
        return [column.name for column in self.columns if column.kind in kinds]

    def conform(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Bring a table into the form of the training table.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, n_any_columns)
            A table with at least the columns of the schema, in any order.

        Returns
        -------
        X : pandas.DataFrame of shape (n_rows, n_columns)
            The schema's columns in its order: float64 with NaN for missing numbers and booleans,
            str with ``"nan"`` for missing categories.
        notices : list of str
            What the reader should know, one sentence each: categories never seen in training and
            numbers outside their range there.

        Raises
        ------
        zoo.errors.DataError
            A column is missing, holds text where numbers are needed, or an infinite value.
        """
        self._check_present(frame)
        columns: dict[str, Any] = {}
        notices: list[str] = []
        for column in self.columns:
            series = frame[column.name]
            if column.kind == "category":
                columns[column.name] = as_text(series)
            else:
                read = as_numbers if column.kind == "number" else as_booleans
                columns[column.name] = read(series)
                check_finite(column.name, columns[column.name])
            notices += column.notices(columns[column.name])
        return pd.DataFrame(columns, index=frame.index), notices

    def _check_present(self, frame: pd.DataFrame) -> None:
        lacking = [column.name for column in self.columns if column.name not in frame.columns]
        if lacking:
            spare = [name for name in frame.columns if name not in self.names()]
            hint = did_you_mean(lacking[0], map(str, spare)) if len(lacking) == 1 else ""
            raise DataError(
                f"The table lacks the column{'s' * (len(lacking) > 1)} {quoted(lacking)} "
                f"that the model was fitted to.{hint}"
            )

    def names(self) -> list[str]:
        """Names of the feature columns."""
        return [column.name for column in self.columns]

    def features(self, X: pd.DataFrame) -> pd.DataFrame:
        """Inputs of the model, computed without scikit-learn.

        Parameters
        ----------
        X : pandas.DataFrame of shape (n_rows, n_columns)
            What `conform` returns.

        Returns
        -------
        pandas.DataFrame of shape (n_rows, n_features)
            float64, named by `feature_names`: numbers with `Column.fill` where they are missing,
            and indicators.
        """
        features: dict[str, Any] = {}
        for column in self.columns:
            values = X[column.name].to_numpy()
            if column.kind == "category":
                for name, category in zip(column.features, column.categories, strict=True):
                    features[name] = (values == category).astype(np.float64)
            else:
                features[column.name] = np.where(np.isnan(values), column.fill, values)
        return pd.DataFrame(features, index=X.index)

    def with_fill(self, values: Mapping[str, float]) -> "Schema":
        """The schema with other values for missing numbers.

        Parameters
        ----------
        values : mapping of str to float
            Column to value.

        Returns
        -------
        Schema
        """
        columns = tuple(
            replace(column, fill=float(values[column.name])) if column.name in values else column
            for column in self.columns
        )
        return replace(self, columns=columns)

    def sample(self, n_rows: int, *, seed: int = 0) -> pd.DataFrame:
        """Made-up rows that look like the training table.

        Parameters
        ----------
        n_rows : int
            How many; the last one has every value missing.
        seed : int, default=0
            Of the choice.

        Returns
        -------
        pandas.DataFrame of shape (n_rows, n_columns)
            In the form that `conform` returns: numbers uniform in their range, categories evenly,
            those without an indicator among them.
        """
        rng = np.random.default_rng(seed)
        columns: dict[str, Any] = {}
        for column in self.columns:
            if column.kind == "category":
                choices = np.array([*column.categories, column.reference or MISSING], dtype=object)
                columns[column.name] = rng.choice(choices, n_rows)
                columns[column.name][-1] = MISSING
            else:
                values = rng.uniform(column.low, column.high, n_rows)
                columns[column.name] = values.round() if column.kind == "boolean" else values
                columns[column.name][-1] = np.nan
        return pd.DataFrame(columns)

    def encode_target(self, series: pd.Series) -> np.ndarray:
        """Values of the target column as the model learns them.

        Parameters
        ----------
        series : pandas.Series of shape (n_rows,)
            The target column, without missing values.

        Returns
        -------
        ndarray of shape (n_rows,)
            float64 for a regression; labels as str or int64 for a classification.

        Raises
        ------
        zoo.errors.DataError
            A regression's target holds text or an infinite value.
        """
        if self.task == "regression":
            values = as_numbers(series)
            check_finite(str(series.name), values)
            return values
        text = label_text(series)
        if all(isinstance(label, int) for label in self.labels):
            return np.array([int(value) for value in text], dtype=np.int64)
        return np.array(text, dtype=str)

    def to_json(self) -> dict[str, Any]:
        """The schema as plain JSON values."""
        return {
            "columns": [column.to_json() for column in self.columns],
            "target": self.target,
            "task": self.task,
            "labels": list(self.labels),
            "dropped": dict(self.dropped),
        }

    def to_bytes(self) -> bytes:
        """The schema as a JSON file."""
        return json.dumps(self.to_json(), indent=1, allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Schema":
        """Read what `to_bytes` wrote.

        Parameters
        ----------
        content : bytes
            A JSON file, not trusted.

        Returns
        -------
        Schema

        Raises
        ------
        zoo.errors.FormatError
            It is no JSON, or `from_json` refuses it.
        """
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"The table schema is not valid JSON: {error}.") from error
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: Any) -> "Schema":
        """Read what `to_json` wrote.

        Parameters
        ----------
        value : object
            Parsed JSON, not trusted.

        Returns
        -------
        Schema

        Raises
        ------
        zoo.errors.FormatError
            A key is missing or of another type.
        """
        try:
            return cls(
                columns=tuple(Column.from_json(column) for column in value["columns"]),
                target=expect_text(value["target"]),
                task=expect_choice(value["task"], _TASKS),
                labels=tuple(_label(label) for label in value["labels"]),
                dropped={
                    expect_text(name): expect_text(why) for name, why in value["dropped"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"The table schema is malformed: {error!r}.") from error


def _label(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"expected a text or an integer, got {value!r}")
    return value
