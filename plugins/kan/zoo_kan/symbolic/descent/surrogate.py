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

import numpy as np
from numpy.typing import NDArray

__all__ = ["Surrogate", "fit_surrogate", "smoothed"]

Array = NDArray[np.floating]

_MOST_TERMS = 220
_MOST_ROWS = 2000
_HIGHEST = 48
_DEPENDENT = 1e-11  # of the largest, below which a polynomial repeats others
_PLATEAU = 2  # degrees above the best one from which the rest is noise
_EXACT = 1e-12  # error that is rounding
_HOPELESS = 0.3  # error that says that the law is too rough for polynomials
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
    noisy : bool
        Whether higher degrees did not help: what is left is noise rather than structure.
    """

    rows: NDArray[np.intp]
    gradient: Array
    error: float
    misfit: float
    view: str
    noisy: bool


@dataclass
class _Basis:
    """Polynomials in the mapped arguments."""

    powers: NDArray[np.intp]
    slopes: list[Array]  # of the maps
    tables: list[tuple[Array, Array]]  # one-dimensional polynomials and their derivatives

    @property
    def design(self) -> Array:
        """Values of all polynomials, (n, b)."""
        return math.prod(
            (table[:, self.powers[:, j]] for j, (table, _) in enumerate(self.tables)),
            start=np.ones((len(self.slopes[0]), 1)),
        )

    def derivative(self, j: int) -> Array:
        """Derivatives of all polynomials by argument ``j``, (n, b)."""
        factors = (
            (slope if i == j else value)[:, self.powers[:, i]]
            for i, (value, slope) in enumerate(self.tables)
        )
        return math.prod(factors, start=self.slopes[j][:, None])


@dataclass
class _Candidate:
    """A transform of the target fitted up to some degree."""

    error: float
    left: Array
    view: _View
    basis: _Basis
    coef: Array
    degrees_above: int


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
    views = [view for view in _VIEWS if one_sign or view.targets == "any"]
    best: _Candidate | None = None
    with np.errstate(all="ignore"):
        for scale in ("linear", "logarithmic"):
            maps = [_coordinate(v, scale) for v in values]
            tables = [_chebyshev(t, int(powers.max())) for t, _ in maps]
            basis = _Basis(powers, [slope for _, slope in maps], tables)
            best = _fit(basis, ends, y, root, views, best)
        if best is None:
            return None
        rate = best.view.rate(y)
        slopes = [basis_slope @ best.coef for basis_slope in map(best.basis.derivative, range(k))]
        gradient = np.stack(slopes, axis=1) / rate[:, None]
        known = best.left if best.view.name == "log" else best.left / rate
        unit = root if best.view.name == "log" else root * y
        misfit = float(np.sqrt(known @ known / (unit @ unit)))
    if not (np.isfinite(gradient).all() and np.isfinite(misfit)):
        return None
    noisy = best.degrees_above > _PLATEAU and _EXACT < best.error < _HOPELESS
    return Surrogate(rows, gradient, best.error, misfit, best.view.name, noisy)


def _fit(
    basis: _Basis,
    ends: Sequence[int],
    y: Array,
    root: Array,
    views: Sequence[_View],
    best: _Candidate | None,
) -> _Candidate | None:
    """The better of ``best`` and what the basis makes of transforms of ``y`` at all degrees."""
    q, r = np.linalg.qr(basis.design * root[:, None])
    size = np.abs(np.diag(r))
    repeated = size <= _DEPENDENT * size.max()  # collinear arguments, columns of few values
    q[:, repeated] = 0.0
    r[repeated] = 0.0
    r[repeated, repeated] = 1.0
    leverage = np.cumsum(q**2, axis=1)
    for view in views:
        target = view.transform(y) * root
        if not np.isfinite(target).all():
            continue
        moments = q.T @ target
        variance = float(np.sum((target - q[:, 0] * moments[0]) ** 2)) or 1e-300
        for degree, end in enumerate(ends):
            left = target - q[:, :end] @ moments[:end]
            left /= np.maximum(1.0 - leverage[:, end - 1], 1e-3)
            error = float(left @ left) / variance
            if degree and np.isfinite(error) and (best is None or error < 0.7 * best.error):
                coef = np.zeros(len(moments))
                coef[:end] = np.linalg.solve(r[:end, :end], moments[:end])
                best = _Candidate(error, left, view, basis, coef, len(ends) - 1 - degree)
    return best


def smoothed(arguments: Sequence[Array], y: Array, weight: Array) -> Array:
    """A target with its noise averaged out, by the polynomial of least cross-validated error.

    Parameters
    ----------
    arguments : sequence of ndarray of shape (n,)
    y, weight : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)
        ``y`` itself if there are too few rows for a plane.
    """
    n, k = len(y), len(arguments)
    if n < 4 * (k + 1) or any(not np.ptp(a) > 0.0 for a in arguments):
        return y
    exponents, ends = _exponents(k, n)
    powers = np.array(exponents)
    places = [_coordinate(a, "linear")[0] for a in arguments]
    tables = [_chebyshev(place, int(powers.max()))[0] for place in places]
    design = math.prod(
        (table[:, powers[:, j]] for j, table in enumerate(tables)), start=np.ones((n, 1))
    )
    root = np.sqrt(weight / weight.mean())
    q = np.linalg.qr(design * root[:, None])[0]
    target = root * y
    moments, leverage = q.T @ target, np.cumsum(q**2, axis=1)
    errors = [
        np.mean(((target - q[:, :end] @ moments[:end]) / (1.0 - leverage[:, end - 1])) ** 2)
        for end in ends
    ]
    end = ends[int(np.argmin(errors))]
    with np.errstate(all="ignore"):
        found = (
            design[:, :end]
            @ np.linalg.lstsq(design[:, :end] * root[:, None], target, rcond=None)[0]
        )
    return found if np.isfinite(found).all() else y
