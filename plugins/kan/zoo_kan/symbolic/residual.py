"""Whether a formula leaves anything but noise.

Axes: ``n`` rows, ``k`` columns.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.polynomial import monomials

__all__ = ["is_noise"]

Array = NDArray[np.floating]

_HIGHEST = 9  # degree; formulas that are polynomials leave only what is above their own
_MOST_TERMS, _ROWS_PER_TERM = 110, 6
_LEAST_ROWS = 50
_DEVIATIONS = 4.0


def is_noise(residual: Array, columns: Sequence[Array], weight: Array) -> bool:
    """Whether polynomials of the columns explain no more of a residual than chance.

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
    most = min(_MOST_TERMS, n // _ROWS_PER_TERM)
    k, total = len(places), 1
    while total < _HIGHEST and k and math.comb(k + total + 1, k) <= most:
        total += 1
    powers = [p for degree in range(total + 1) for p in monomials(k, degree)]
    tables = [np.polynomial.chebyshev.chebvander(place, _HIGHEST) for place in places]
    terms = [
        np.prod([table[:, p] for table, p in zip(tables, chosen, strict=True)], axis=0)
        if k
        else np.ones(n)
        for chosen in powers
    ]
    terms += [table[:, degree] for degree in range(total + 1, _HIGHEST + 1) for table in tables]
    root = np.sqrt(weight / weight.mean())
    design = np.stack(terms[:most], axis=1) * root[:, None]
    target = residual * root
    span = np.linalg.qr(design)[0]
    shares = np.cumsum((span.T @ target) ** 2)
    left = float(target @ target) - float(shares[-1])
    if not left > 0.0:
        return False
    variance = left / (n - len(shares))
    ends = {math.comb(k + degree, k) for degree in range(1, total + 1)} | {len(shares)}
    return all(
        shares[p - 1] / variance < p + _DEVIATIONS * math.sqrt(2.0 * p)
        for p in ends
        if p <= len(shares)
    )
