"""How well an equation ``g(x) = 0`` separates two classes, in nats, and the fit of its constants.

Near the boundary the class is a matter of chance, with odds that depend on ``g``; everywhere a row
may carry the wrong label. With the logistic function ``s`` and a share ``lapse`` of wrong labels,

    P(second class) = lapse + (1 - 2 * lapse) * s(g(x)),    g = sum_k c_k m_k(x).

The size of ``g`` is how sharp the boundary is, its zeros are where it lies. Classes that an
equation separates without error would make it infinitely sharp: a slight price on the size stops
it where about four rows lie within the width of the boundary.

Axes: ``n`` rows, ``k`` terms, ``m`` terms of a dictionary, ``g`` groups.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "Separation", "fit_separation", "gains", "log_chances", "overdispersion"]

Array = NDArray[np.floating]

_MOST_LAPSE = 0.3
_DAMPINGS = 12


@dataclass(frozen=True)
class Labels:
    """Rows' classes.

    Attributes
    ----------
    second : ndarray of shape (n,)
        1 for the second class, 0 for the first.
    weight : ndarray of shape (n,)
        How much each row counts.
    group : ndarray of shape (n,)
        Numbers of the groups whose rows are not independent.
    """

    second: Array
    weight: Array
    group: NDArray[np.intp]

    @property
    def total(self) -> float:
        """Rows that the weights amount to."""
        return float(self.weight.sum())

    def take(self, rows: NDArray) -> "Labels":
        """Some of the rows."""
        return Labels(self.second[rows], self.weight[rows], self.group[rows])

    def scaled(self, factor: float) -> "Labels":
        """The same rows, each counting ``factor`` times."""
        return replace(self, weight=self.weight * factor)


@dataclass
class Separation:
    """A fitted equation.

    Attributes
    ----------
    coef : ndarray of shape (k,)
    lapse : float
    loss : float
        Negative log likelihood.
    precision : ndarray of shape (k, k)
        Information on ``coef``.
    """

    coef: Array
    lapse: float
    loss: float
    precision: Array

    @property
    def covariance(self) -> Array:
        """Covariance (k, k) of ``coef``."""
        scale = np.sqrt(np.maximum(np.diag(self.precision), 1e-300))
        unit = self.precision / np.outer(scale, scale)
        values, vectors = np.linalg.eigh(unit)
        return (vectors / np.maximum(values, 1e-14)) @ vectors.T / np.outer(scale, scale)


def _chances(value: Array, second: Array, lapse: float) -> tuple[Array, Array, Array]:
    """Probability of the labels seen, its first derivative over it, and the information; (n,)."""
    clean = 0.5 * (1.0 + np.tanh(0.5 * value))
    slope = (1.0 - 2.0 * lapse) * clean * (1.0 - clean)
    chance = lapse + (1.0 - 2.0 * lapse) * clean
    seen = np.where(second > 0.5, chance, 1.0 - chance)
    first = np.where(second > 0.5, slope, -slope) / seen
    return seen, first, slope * slope / (chance * (1.0 - chance))


def least_lapse(labels: Labels) -> float:
    """Share of wrong labels that no data can exclude."""
    return 0.5 / (labels.total + 1.0)


def _price(labels: Labels) -> float:
    return 64.0 / max(labels.total, 4.0) ** 3


def fit_separation(
    features: Array,
    labels: Labels,
    *,
    start: Array | None = None,
    lapse: float = 0.01,
    max_iter: int = 60,
    tol: float = 1e-6,
) -> Separation:
    """Fit the coefficients of an equation by Fisher scoring.

    Parameters
    ----------
    features : ndarray of shape (n, k)
        Values of the terms.
    labels : Labels
    start : ndarray of shape (k,), optional
        Where to start; at no information by default.
    lapse : float
        Share of wrong labels to start with.
    max_iter : int
    tol : float
        Relative gain of an iteration at which to stop.

    Returns
    -------
    Separation
    """
    n_terms = features.shape[1]
    coef = np.zeros(n_terms) if start is None else np.array(start, dtype=float)
    gram = features.T @ (features * labels.weight[:, None])
    gram += 1e-12 * np.diag(np.diag(gram))
    price, floor = _price(labels), least_lapse(labels)
    lapse = float(np.clip(lapse, floor, _MOST_LAPSE))

    def objective(candidate: Array) -> tuple[float, Array]:
        value = features @ candidate
        seen, _, _ = _chances(value, labels.second, lapse)
        loss = -float(labels.weight @ np.log(np.maximum(seen, 1e-300)))
        return loss + 0.5 * price * float(candidate @ gram @ candidate), value

    best, value = objective(coef)
    precision, damping = gram, 1e-3
    for _ in range(max_iter):
        seen, first, information = _chances(value, labels.second, lapse)
        precision = features.T @ (features * (labels.weight * information)[:, None])
        precision += price * gram
        gradient = features.T @ (labels.weight * first) - price * (gram @ coef)
        scale = np.sqrt(np.diag(precision))
        unit = precision / np.outer(scale, scale)
        before = best
        for _ in range(_DAMPINGS):
            step = np.linalg.solve(unit + damping * np.eye(n_terms), gradient / scale) / scale
            reached, moved = objective(coef + step)
            if reached < best:
                coef, value, best = coef + step, moved, reached
                damping = max(damping / 10.0, 1e-10)
                break
            damping *= 8.0
        else:
            break
        wrong = _wrong(value, labels, lapse)
        lapse = float(np.clip(wrong, floor, _MOST_LAPSE))
        best, value = objective(coef)
        if before - best < tol * (1.0 + abs(best)):
            break
    seen, _, information = _chances(value, labels.second, lapse)
    precision = features.T @ (features * (labels.weight * information)[:, None]) + price * gram
    loss = -float(labels.weight @ np.log(np.maximum(seen, 1e-300)))
    return Separation(coef, lapse, loss, precision)


def log_chances(features: Array, fit: Separation, labels: Labels) -> Array:
    """Log probability (g,) of each group's labels, with the rows' weights."""
    seen, _, _ = _chances(features @ fit.coef, labels.second, fit.lapse)
    rows = labels.weight * np.log(np.maximum(seen, 1e-300))
    return np.asarray(np.bincount(labels.group, weights=rows), dtype=np.float64)


def _wrong(value: Array, labels: Labels, lapse: float) -> float:
    """Expected share of wrong labels."""
    right = 0.5 * (1.0 + np.tanh(0.5 * np.where(labels.second > 0.5, value, -value)))
    flipped = lapse * (1.0 - right)
    share = flipped / (flipped + (1.0 - lapse) * right)
    return float(labels.weight @ share) / labels.total


def gains(features: Array, fit: Separation, candidates: Array, labels: Labels) -> Array:
    """What each further term would gain, in nats, to second order.

    Parameters
    ----------
    features : ndarray of shape (n, k)
    fit : Separation
        Of these terms.
    candidates : ndarray of shape (n, m)
    labels : Labels

    Returns
    -------
    ndarray of shape (m,)
    """
    value = features @ fit.coef if features.shape[1] else np.zeros(len(candidates))
    _, first, information = _chances(value, labels.second, fit.lapse)
    slope = candidates.T @ (labels.weight * first)
    curvature = (labels.weight * information) @ candidates**2
    free = curvature
    if features.shape[1]:
        cross = candidates.T @ (features * (labels.weight * information)[:, None])
        free = curvature - np.einsum("mk,kl,ml->m", cross, fit.covariance, cross)
    usable = free > 1e-7 * curvature
    return np.where(usable, 0.5 * slope**2 / np.where(usable, free, 1.0), 0.0)


def overdispersion(features: Array, fit: Separation, labels: Labels) -> float:
    """How many times fewer independent rows there are than rows, at least 1.

    The variance of the gradient over groups of rows, in units of what it is for independent rows
    (the mean eigenvalue of the sandwich that clustered standard errors are made of).
    """
    value = features @ fit.coef
    _, first, _ = _chances(value, labels.second, fit.lapse)
    scores = features * (labels.weight * first)[:, None]
    grouped = np.zeros((int(labels.group.max()) + 1, features.shape[1]))
    np.add.at(grouped, labels.group, scores)
    observed = grouped.T @ grouped
    return max(1.0, float(np.trace(fit.covariance @ observed)) / features.shape[1])
