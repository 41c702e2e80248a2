"""Whether a formula leaves anything but noise.

Axes: ``n`` rows, ``k`` columns.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_noise"]

Array = NDArray[np.floating]

_DEGREE = 4  # of the curve of one column
_MOST_TERMS = 60
_LEAST_ROWS = 50
_DEVIATIONS = 3.0


def is_noise(residual: Array, columns: Sequence[Array], weight: Array) -> bool:
    """Whether curves of the columns and products of two explain no more of a residual than chance.

    Parameters
    ----------
    residual : ndarray of shape (n,)
    columns : sequence of ndarray of shape (n,)
        Constant ones are left out.
    weight : ndarray of shape (n,)
        Inverse variances up to a factor.

    Returns
    -------
    bool
        False for fewer than 50 rows, which can hide anything.
    """
    n = len(residual)
    if n < _LEAST_ROWS or not np.isfinite(residual).all():
        return False
    places = [
        2.0 * (column - column.min()) / np.ptp(column) - 1.0
        for column in columns
        if np.ptp(column) > 0.0
    ]
    terms = [np.ones(n), *(place for place in places)]
    terms += [place**2 - 1.0 / 3.0 for place in places]
    terms += [a * b for i, a in enumerate(places) for b in places[:i]]
    terms += [place**degree for degree in range(3, _DEGREE + 1) for place in places]
    root = np.sqrt(weight / weight.mean())
    design = np.stack(terms[: min(_MOST_TERMS, n // 5)], axis=1) * root[:, None]
    target = residual * root
    span = np.linalg.qr(design)[0]
    explained = float(np.sum((span.T @ target) ** 2))
    p = design.shape[1]
    left = float(target @ target) - explained
    if not left > 0.0:
        return False
    ratio = explained / (left / (n - p))
    return ratio < p + _DEVIATIONS * math.sqrt(2.0 * p)
