"""One feature column: what it held in training, and what is strange about new values."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zoo.table.values import MISSING

__all__ = ["Column", "expect_choice", "expect_text"]

_KINDS = ("number", "boolean", "category")


@dataclass(frozen=True, slots=True)
class Column:
    """One feature column.

    Attributes
    ----------
    name : str
        As in the table.
    kind : {"number", "boolean", "category"}
        Numbers and booleans reach the model as one float (a boolean as 0 or 1), a category as one
        indicator for each of ``categories``.
    categories : tuple of str
        Values that have an indicator; ``"nan"`` stands for a missing value. A value outside
        (one never seen, a rare one, ``reference``) has all indicators at zero.
    reference : str or None
        Of a column with two values the more frequent one, which needs no indicator of its own.
    low, high : float
        Range of a number in training.
    fill : float
        What a missing number stands for: the median in training.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    reference: str | None = None
    low: float = 0.0
    high: float = 1.0
    fill: float = 0.0

    @property
    def features(self) -> list[str]:
        """Names of the model's inputs that this column becomes."""
        if self.kind != "category":
            return [self.name]
        return [f"[{self.name} {_is(category)}]" for category in self.categories]

    def notices(self, values: np.ndarray) -> list[str]:
        """Say what is strange about new values of the column.

        Parameters
        ----------
        values : ndarray of shape (n_rows,)
            As `Schema.conform` gives them.

        Returns
        -------
        list of str
            At most one sentence: categories without an indicator, or numbers out of range.
        """
        return _unseen(self, values) if self.kind == "category" else _outside(self, values)

    def to_json(self) -> dict[str, Any]:
        """The column as plain JSON values."""
        return {**asdict(self), "categories": list(self.categories)}

    @classmethod
    def from_json(cls, value: Any) -> "Column":
        """Read what `to_json` wrote.

        Parameters
        ----------
        value : object
            Parsed JSON, not trusted.

        Returns
        -------
        Column

        Raises
        ------
        KeyError, TypeError, ValueError
            A key is missing or of another type.
        """
        reference = value["reference"]
        return cls(
            name=expect_text(value["name"]),
            kind=expect_choice(value["kind"], _KINDS),
            categories=tuple(expect_text(category) for category in value["categories"]),
            reference=None if reference is None else expect_text(reference),
            low=float(value["low"]),
            high=float(value["high"]),
            fill=float(value["fill"]),
        )


def _is(category: str) -> str:
    return "is missing" if category == MISSING else f"= {category}"


def _unseen(column: Column, values: np.ndarray) -> list[str]:
    known = {*column.categories, column.reference}
    unseen = [value for value in values if value not in known]
    if not unseen:
        return []
    what = "a missing value" if unseen[0] == MISSING else repr(unseen[0])
    like = f", like {column.reference!r}" if column.reference else ""
    return [
        f"{len(unseen)} of {len(values)} rows hold a value of {column.name!r} that has no "
        f"indicator in the model (first: {what}); all its indicators are zero there{like}."
    ]


def _outside(column: Column, values: np.ndarray) -> list[str]:
    outside = np.flatnonzero((values < column.low) | (values > column.high))
    if not len(outside):
        return []
    return [
        f"{len(outside)} of {len(values)} rows hold a value of {column.name!r} outside the "
        f"{column.low:g} to {column.high:g} of training (first: {values[outside[0]]:g}): "
        f"the model extrapolates there."
    ]


def expect_text(value: Any) -> str:
    """Return a text, refuse anything else.

    Parameters
    ----------
    value : object
        Parsed JSON.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        It is no text.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return value


def expect_choice(value: Any, choices: tuple[str, ...]) -> str:
    """Return one of some texts, refuse anything else.

    Parameters
    ----------
    value : object
        Parsed JSON.
    choices : tuple of str
        What is allowed.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        It is something else.
    """
    if value not in choices:
        raise ValueError(f"expected one of {choices}, got {value!r}")
    return str(value)
