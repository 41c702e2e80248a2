"""Relations ``sum_k c_k m_k(x) = 0`` that hold on a boundary: proposals.

On points of the boundary, a relation is as good as its mean square is small beside the mean square
of its gradient, which approximates the mean squared distance of the points from its zeros (Taubin,
IEEE Transactions on Pattern Analysis and Machine Intelligence 13, 1115-1138, 1991). With the Gram
matrices of values and of gradients, the best coefficients of a set of terms are a generalised
eigenvector. Between rows that lie near the boundary, it is as good as a linear discriminant of the
terms (Fisher, Annals of Eugenics 7, 179-188, 1936), another such quotient. The sum of the
eigenvalues, a trace, ranks all sets of two and three terms without solving for one of them; larger
sets grow from the best.

Axes: ``n`` rows, ``b`` points of the boundary, ``m`` terms, ``s`` sets of terms.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from zoo_kan.network import KANNetwork

__all__ = ["Relations", "boundary_points", "mixed_rows", "nearest_rows"]

Array = NDArray[np.floating]
Terms = tuple[int, ...]

_NEIGHBOURS = 16
_VOTERS = 5
_FEWEST = 100
_BISECTIONS = 30
_ROUNDING = 1e-9
_FLOOR = 1e-6  # squared relative error of points on the boundary
_WEIGHT = 60.0  # points of the boundary that count as independent
_ROWS_WEIGHT = 200.0  # rows that do


def mixed_rows(X: Array, second: Array, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows whose neighbourhoods are of both classes first, others at random; at most so many.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        In units of the columns' spread.
    second : ndarray of shape (n,)
        1 for the second class, 0 for the first.
    most : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (min(n, most),)
        Numbers of rows, sorted.
    """
    if len(X) <= most:
        return np.arange(len(X))
    _, near = cKDTree(X).query(X, k=_NEIGHBOURS)
    share = second[near].mean(axis=1)
    order = np.lexsort((rng.random(len(X)), np.abs(share - 0.5)))
    return np.sort(order[:most])


def boundary_points(
    X: Array, second: Array, scale: Array, network: KANNetwork | None = None
) -> Array:
    """Points between rows of different classes.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    second : ndarray of shape (n,)
    scale : ndarray of shape (n_features,)
        Unit of distance in each column.
    network : KANNetwork, optional
        With one logit, whose zero between the rows is the point. Without, the point is half way,
        and rows whose class is not that of most neighbours are left out.

    Returns
    -------
    ndarray of shape (b, n_features)
        None at all if every row is of one class.
    """
    scaled = X / scale
    if network is None:
        inside, agrees = second > 0.5, _agrees(scaled, second)
        X, scaled, inside = X[agrees], scaled[agrees], inside[agrees]
    else:
        inside = network.forward(X)[:, 0] > 0.0
    if inside.all() or not inside.any():
        return np.zeros((0, X.shape[1]))
    distance, nearest = cKDTree(scaled[~inside]).query(scaled[inside])
    rows = np.argsort(distance, kind="stable")[: max(_FEWEST, len(X) // 20)]
    high, low = X[inside][rows], X[~inside][nearest[rows]]
    if network is None:
        return 0.5 * (low + high)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        positive = network.forward(middle)[:, 0] > 0.0
        low, high = (
            np.where(positive[:, None], middle, low),
            np.where(positive[:, None], high, middle),
        )
    return 0.5 * (low + high)


def nearest_rows(X: Array, second: Array, scale: Array) -> NDArray[np.intp]:
    """Rows of either class that are nearest to the other class, equally many of both.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    second : ndarray of shape (n,)
    scale : ndarray of shape (n_features,)
        Unit of distance in each column.

    Returns
    -------
    ndarray of int
        Numbers of rows. Those whose class is not that of most neighbours are left out.
    """
    scaled = X / scale
    rows = np.flatnonzero(_agrees(scaled, second))
    parts = [rows[second[rows] == label] for label in (0.0, 1.0)]
    number = min(len(parts[0]), len(parts[1]), max(_FEWEST // 2, len(X) // 8))
    if not number:
        return np.zeros(0, dtype=np.intp)
    chosen = []
    for own, other in (parts, parts[::-1]):
        distance, _ = cKDTree(scaled[other]).query(scaled[own])
        chosen.append(own[np.argsort(distance, kind="stable")[:number]])
    return np.concatenate(chosen)


def _agrees(scaled: Array, second: Array) -> NDArray[np.bool_]:
    """Rows whose class is that of most neighbours."""
    _, near = cKDTree(scaled).query(scaled, k=min(_VOTERS, len(scaled)))
    share = second[near.reshape(len(scaled), -1)].mean(axis=1)
    return np.asarray(np.abs(share - second) < 0.5)


class Relations:
    """Sets of terms, ranked by a ratio of quadratic forms in their coefficients.

    Parameters
    ----------
    inner, whole : ndarray of shape (m, m)
        The best coefficients of a set of terms make the form of ``whole`` large beside that of
        ``inner``.
    cost : ndarray of shape (m,)
        Of each term, in nats.
    weight : float
        Nats by which a set gains when the ratio falls by a factor e.
    explained : bool
        Whether the ratio of the forms is a share of variance that is explained, rather than the
        inverse of a mean square that remains.
    """

    def __init__(
        self, inner: Array, whole: Array, cost: Array, *, weight: float, explained: bool
    ) -> None:
        self.cost, self.weight, self.explained = cost, weight, explained
        self.unit = 1.0 / np.sqrt(np.maximum(np.diag(inner), 1e-300))
        scale = np.outer(self.unit, self.unit)
        self.whole = whole * scale
        self.inner = inner * scale + _ROUNDING * np.eye(len(cost))

    @classmethod
    def on_points(cls, values: Array, gradients: Array, cost: Array) -> "Relations":
        """Sets whose zeros are near points of the boundary (Taubin).

        Parameters
        ----------
        values : ndarray of shape (b, m)
            Of the terms on points of the boundary.
        gradients : ndarray of shape (b, n_features, m)
            Their derivatives, in units of the columns' spread.
        cost : ndarray of shape (m,)
        """
        flat = gradients.reshape(-1, len(cost))
        whole = flat.T @ flat / len(values)
        inner = values.T @ values / len(values) + _FLOOR * whole
        weight = 0.5 * min(_WEIGHT, len(values))
        return cls(inner, whole, cost, weight=weight, explained=False)

    @classmethod
    def between_rows(cls, values: Array, second: Array, cost: Array) -> "Relations":
        """Sets of which a sum is -1 on rows of one class and 1 on rows of the other (Fisher).

        Parameters
        ----------
        values : ndarray of shape (n, m)
            Of the terms on rows near the boundary.
        second : ndarray of shape (n,)
        cost : ndarray of shape (m,)
        """
        mean = values.T @ (2.0 * second - 1.0) / len(values)
        inner = values.T @ values / len(values)
        weight = 0.5 * min(_ROWS_WEIGHT, len(values))
        return cls(inner, np.outer(mean, mean), cost, weight=weight, explained=True)

    def _nats(self, trace: Array, cost: Array) -> Array:
        """Nats of sets by the sum of their eigenvalues."""
        if self.explained:
            ratio = 1.0 - np.clip(trace, 0.0, 1.0 - _FLOOR)
        else:
            ratio = np.maximum(1.0 / np.where(trace > 0.0, trace, 1e-300), _FLOOR)
        return self.weight * np.log(ratio) + cost

    def _wrong(self, sets: NDArray[np.intp], everywhere: Array, second: Array) -> Array:
        """Share (s,) of rows on the wrong side of relations, their signs either way."""
        inner = self.inner[sets[:, :, None], sets[:, None, :]]
        whole = self.whole[sets[:, :, None], sets[:, None, :]]
        inverse = np.linalg.inv(np.linalg.cholesky(inner))
        _, vectors = np.linalg.eigh(inverse @ whole @ inverse.transpose(0, 2, 1))
        coef = (inverse.transpose(0, 2, 1) @ vectors[:, :, -1:])[:, :, 0] * self.unit[sets]
        wrong = np.empty(len(sets))
        for place, (chosen, weights) in enumerate(zip(sets, coef, strict=True)):
            wrong[place] = np.mean((everywhere[:, chosen] @ weights > 0.0) != (second > 0.5))
        return np.minimum(wrong, 1.0 - wrong)

    def separating(
        self, sets: Sequence[Terms], everywhere: Array, second: Array, number: int
    ) -> list[Terms]:
        """The sets whose relations separate the classes best.

        Parameters
        ----------
        sets : sequence of tuple of int
        everywhere : ndarray of shape (n, m)
            Values of the terms on all rows.
        second : ndarray of shape (n,)
            1 for the second class, 0 for the first.
        number : int
            How many to keep.
        """
        if not sets:
            return []
        n, table = len(second), np.array(sets)
        wrong = (n * self._wrong(table, everywhere, second) + 0.5) / (n + 1.0)
        entropy = -wrong * np.log(wrong) - (1.0 - wrong) * np.log1p(-wrong)
        nats = n * entropy + self.cost[table].sum(axis=1)
        return [sets[place] for place in np.argsort(nats, kind="stable")[:number]]

    def pairs(self, number: int) -> list[Terms]:
        """The best sets of two."""
        i, j = np.triu_indices(len(self.cost), 1)
        return self._best(np.stack([i, j], axis=1), number)

    def triples(self, number: int, most: int) -> list[Terms]:
        """The best sets of three among the first ``most`` terms."""
        a, b = self.inner[:most, :most], self.whole[:most, :most]
        m = len(a)
        nats_kept: list[Array] = []
        sets_kept: list[NDArray[np.intp]] = []
        for i in range(m - 2):
            j, k = np.triu_indices(m - i - 1, 1)
            j, k = j + i + 1, k + i + 1
            a_ij, a_ik, a_jk = a[i, j], a[i, k], a[j, k]
            a_ii, a_jj, a_kk = a[i, i], a[j, j], a[k, k]
            c_ii, c_jj, c_kk = a_jj * a_kk - a_jk**2, a_ii * a_kk - a_ik**2, a_ii * a_jj - a_ij**2
            c_ij = a_ik * a_jk - a_ij * a_kk
            c_ik = a_ij * a_jk - a_ik * a_jj
            c_jk = a_ij * a_ik - a_jk * a_ii
            determinant = a_ii * c_ii + a_ij * c_ij + a_ik * c_ik
            trace = c_ii * b[i, i] + c_jj * b[j, j] + c_kk * b[k, k]
            trace = trace + 2.0 * (c_ij * b[i, j] + c_ik * b[i, k] + c_jk * b[j, k])
            usable = determinant > 0.0
            trace = np.where(usable, trace / np.where(usable, determinant, 1.0), 0.0)
            nats = self._nats(trace, self.cost[i] + self.cost[j] + self.cost[k])
            few = np.argpartition(nats, min(number, len(nats) - 1))[:number]
            nats_kept.append(nats[few])
            sets_kept.append(np.stack([np.full(len(few), i), j[few], k[few]], axis=1))
        if not sets_kept:
            return []
        sets = np.concatenate(sets_kept)
        order = np.argsort(np.concatenate(nats_kept), kind="stable")[:number]
        return [tuple(int(index) for index in row) for row in sets[order]]

    def extended(self, sets: Sequence[Terms], number: int) -> list[Terms]:
        """The best sets that hold one term more than those given."""
        grown = {
            tuple(sorted((*terms, index)))
            for terms in sets
            for index in range(len(self.cost))
            if index not in terms
        }
        return self._best(np.array(sorted(grown)), number) if grown else []

    def _best(self, sets: NDArray[np.intp], number: int) -> list[Terms]:
        inner = self.inner[sets[:, :, None], sets[:, None, :]]
        whole = self.whole[sets[:, :, None], sets[:, None, :]]
        values = np.linalg.solve(inner, whole)
        trace = np.trace(values, axis1=1, axis2=2)
        nats = self._nats(trace, self.cost[sets].sum(axis=1))
        order = np.argsort(nats, kind="stable")[:number]
        return [tuple(int(index) for index in row) for row in sets[order]]
