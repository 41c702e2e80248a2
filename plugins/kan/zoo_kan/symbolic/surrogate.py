"""A smooth stand-in for a law of several arguments, with its gradient.

Symmetries and separable factors show in the gradient of a law. Spline networks are costly to fit
again after every reduction, so the stand-in here is a polynomial of total degree ``d`` in the
arguments or their logarithms, fitted to the target or a transform of it: one QR factorisation
gives all degrees and all transforms at once, and the leave-one-out error says which to trust.

Axes: ``n`` rows, ``k`` arguments, ``b`` basis polynomials.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Surrogate", "fit_surrogate"]

Array = NDArray[np.floating]

_MOST_TERMS = 220
_MOST_ROWS = 2000
_HIGHEST = 48
_SPREAD = 1.2  # ratio of largest to smallest value from which logarithms differ from a line


@dataclass(frozen=True)
class _View:
    """An invertible transform of the target, and how its slopes relate to those of the target."""

    name: str
    targets: str
    transform: Callable[[Array], Array]
    rate: Callable[[Array], Array]


_VIEWS = (
    _View("identity", "any", lambda y: y, np.ones_like),
    _View("log", "of one sign", lambda y: np.log(np.abs(y)), lambda y: 1.0 / y),
    _View("reciprocal", "of one sign", lambda y: 1.0 / y, lambda y: -1.0 / y**2),
    _View("square", "of one sign", lambda y: y**2, lambda y: 2.0 * y),
)


@dataclass
class Surrogate:
    """What a law looks like from its values.

    Attributes
    ----------
    rows : ndarray of int
        Rows that were used, (n,).
    gradient : ndarray of shape (n, k)
        Derivative of the target by every argument at those rows.
    error : float
        Leave-one-out error as a part of the variance of the transform that was fitted.
    misfit : float
        Leave-one-out error of the target itself: its root mean square as a part of the target's,
        or the root mean square of the relative error if the logarithm was fitted.
    view : str
        Transform of the target that was fitted: "identity", "log", "reciprocal" or "square".
    """

    rows: NDArray[np.intp]
    gradient: Array
    error: float
    misfit: float
    view: str


def _exponents(k: int, n: int) -> tuple[list[tuple[int, ...]], list[int]]:
    """Exponents of total degree 0, 1, 2 ... and how many there are up to each degree."""
    most = int(min(_MOST_TERMS, n // 4))
    found: list[tuple[int, ...]] = []
    ends: list[int] = []
    for degree in range(_HIGHEST + 1):
        if math.comb(k + degree, degree) > most and degree > 1:
            break
        for chosen in itertools.combinations_with_replacement(range(k), degree):
            found.append(tuple(chosen.count(j) for j in range(k)))
        ends.append(len(found))
    return found, ends


def _chebyshev(t: Array, degree: int) -> tuple[Array, Array]:
    """Polynomials of degree 0 to ``degree`` at ``t`` (n,), and their derivatives; (n, degree+1)."""
    value = [np.ones_like(t), t]
    slope = [np.zeros_like(t), np.ones_like(t)]
    for _ in range(2, degree + 1):
        value.append(2.0 * t * value[-1] - value[-2])
        slope.append(2.0 * value[-2] + 2.0 * t * slope[-1] - slope[-2])
    return np.stack(value, axis=1), np.stack(slope, axis=1)


def _coordinate(values: Array, scale: str) -> tuple[Array, Array]:
    """An argument mapped to [-1, 1], and the slope of that map; both (n,)."""
    size = np.abs(values)
    one_sign = values.min() > 0.0 or values.max() < 0.0
    if scale == "logarithmic" and one_sign and size.max() > _SPREAD * size.min():
        logs = np.log(size)
        half = 0.5 * float(np.ptp(logs))
        return (logs - 0.5 * float(logs.max() + logs.min())) / half, 1.0 / (half * values)
    half = 0.5 * float(np.ptp(values))
    middle = 0.5 * float(values.max() + values.min())
    return (values - middle) / half, np.full(len(values), 1.0 / half)


def fit_surrogate(arguments: Sequence[Array], y: Array, weight: Array) -> Surrogate | None:
    """Fit polynomials to a target and its transforms and keep the most exact one.

    Parameters
    ----------
    arguments : sequence of ndarray of shape (n,)
        None of them constant.
    y, weight : ndarray of shape (n,)

    Returns
    -------
    Surrogate or None
        None if there are too few rows for a plane, or numbers overflow.
    """
    stride = max(1, -(-len(y) // _MOST_ROWS))
    rows = np.arange(0, len(y), stride)
    values, y = [a[rows] for a in arguments], y[rows]
    root = np.sqrt(weight[rows])
    k, n = len(values), len(y)
    if n < 4 * (k + 1) or not np.ptp(y) > 0.0:
        return None
    exponents, ends = _exponents(k, n)
    powers = np.array(exponents)
    one_sign = y.min() > 0.0 or y.max() < 0.0
    best: tuple[float, float, Array, _View, list[Any]] | None = None
    with np.errstate(all="ignore"):
        for scale in ("linear", "logarithmic"):
            maps = [_coordinate(v, scale) for v in values]
            tables = [_chebyshev(t, int(powers.max())) for t, _ in maps]
            design = np.ones((n, len(powers)))
            for j, (table, _) in enumerate(tables):
                design *= table[:, powers[:, j]]
            q, r = np.linalg.qr(design * root[:, None])
            leverage = np.cumsum(q**2, axis=1)
            for view in _VIEWS:
                if view.targets == "of one sign" and not one_sign:
                    continue
                target = view.transform(y) * root
                if not np.isfinite(target).all():
                    continue
                moments = q.T @ target
                mean = q[:, 0] * moments[0]
                variance = float(np.sum((target - mean) ** 2)) or 1e-300
                for end in ends[1:]:
                    left = target - q[:, :end] @ moments[:end]
                    left /= np.maximum(1.0 - leverage[:, end - 1], 1e-3)
                    error = float(left @ left) / variance
                    if np.isfinite(error) and (best is None or error < 0.7 * best[0]):
                        coef = np.zeros(len(powers))
                        coef[:end] = np.linalg.solve(r[:end, :end], moments[:end])
                        known = np.abs(left / root / view.rate(y)) * root
                        if view.name == "log":
                            misfit = float(np.sqrt(left @ left / (root @ root)))
                        else:
                            misfit = float(np.sqrt(known @ known / ((root * y) @ (root * y))))
                        slopes = [m[1] for m in maps]
                        best = (error, misfit, coef, view, list(zip(slopes, tables, strict=True)))
        if best is None:
            return None
        error, misfit, coef, view, parts = best
        gradient: Array = np.empty((n, k))
        rate = view.rate(y)
        for j in range(k):
            product: Array = np.ones((n, len(powers)))
            for i, (_, (value, slope)) in enumerate(parts):
                product *= (slope if i == j else value)[:, powers[:, i]]
            gradient[:, j] = product @ coef * parts[j][0] / rate
    if not np.isfinite(gradient).all():
        return None
    return Surrogate(rows, gradient, error, misfit, view.name)
