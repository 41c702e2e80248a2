"""Rows of faces, regions and numbers, one for every prompt; plain Python, for every runtime."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["by_sample", "is_tensor", "numbers_by_sample", "strengths_at"]

Gains = tuple[tuple[float, ...], ...]
Windows = tuple[tuple[tuple[float, float], ...], ...]


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of torch, which is not imported for the answer.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def strengths_at(
    strength: Gains | None, window: Windows | None, *, step: int, total: int
) -> Gains | None:
    """Strength of every identity at one step.

    Parameters
    ----------
    strength : tuple of tuple of float, or None
        By sample and identity; ``None`` where all are 1.
    window : tuple of tuple of (float, float), or None
        Fractions of the steps between which each acts; ``None`` is always.
    step : int
        From 0.
    total : int
        Number of steps.

    Returns
    -------
    tuple of tuple of float, or None
        By sample and identity; ``None`` where all are 1.
    """
    if strength is None and window is None:
        return None
    rows = []
    for sample in range(len(strength or window or ())):
        if window is None:
            gains = (strength or ())[sample]
        else:
            own = strength[sample] if strength else (1.0,) * len(window[sample])
            gains = tuple(
                0.0 if step / total < start or (step + 1) / total > end else gain
                for gain, (start, end) in zip(own, window[sample], strict=True)
            )
        rows.append(gains)
    return None if all(gain == 1 for row in rows for gain in row) else tuple(rows)


def by_sample(
    values: Any, *, samples: int, what: str, is_item: Callable[[Any], bool]
) -> list[list[Any]]:
    """A list for every sample: one list is shared by all, a list of lists is one for each.

    Parameters
    ----------
    values : sequence, or sequence of sequences
        As the user gave them.
    samples : int
        Number of prompts.
    what : str
        Name of the parameter in messages.
    is_item : callable
        Tells an item that is a list itself (a box) from a list of items.

    Returns
    -------
    list of list
        One for each prompt.

    Raises
    ------
    ValueError
        It is no list, or its length is not the number of prompts.
    """
    if not _is_list(values):
        raise ValueError(
            f"The {what} must be a list, one for each face. Got a {type(values).__name__}."
        )
    rows = list(values)
    nested = bool(rows) and all(_is_list(row) and not is_item(row) for row in rows)
    if not nested:
        return [rows] * samples
    if len(rows) != samples:
        raise ValueError(
            f"A list of lists as {what} must have one list for each prompt, {samples}. "
            f"Got {len(rows)}."
        )
    return [list(row) for row in rows]


def _is_list(value: Any) -> bool:
    listed = isinstance(value, Sequence | np.ndarray) or is_tensor(value)
    return listed and not isinstance(value, str | bytes)


def numbers_by_sample(
    value: Any, *, counts: list[int], what: str, low: float, high: float
) -> list[list[float]]:
    """A number for every face of every sample.

    Parameters
    ----------
    value : float, list of float, or list of list of float
        One for all, one for each face, or one for each face of each prompt.
    counts : list of int
        Number of faces of each prompt.
    what : str
        Name of the parameter in messages.
    low, high : float
        Limits of what is allowed.

    Returns
    -------
    list of list of float

    Raises
    ------
    ValueError
        The count is wrong, or a number is outside the limits.
    """
    if isinstance(value, int | float):
        rows = [[float(value)] * count for count in counts]
    else:
        rows = by_sample(
            value, samples=len(counts), what=what, is_item=lambda row: not _is_list(row)
        )
    for row, count in zip(rows, counts, strict=True):
        if len(row) != count:
            raise ValueError(
                f"The {what} must be one number or one for each face, {count}. Got {len(row)}."
            )
        for number in row:
            if not isinstance(number, int | float) or not low <= number <= high:
                raise ValueError(
                    f"The {what} must be between {low:g} and {high:g}. Got {number!r}."
                )
    return [[float(number) for number in row] for row in rows]
