"""Quotients of sparse polynomials for data with noise.

A law ``T(y) = P(u) / Q(u)`` is linear in the coefficients of ``P`` and ``Q`` once one of them is
set to 1: ``T(y) * Q(u) - P(u) = 0``. Weighted by ``1 / Q`` of the solution before (Sanathanan and
Koerner 1963) the least squares of that equation are those of the target itself. Which monomials
belong to the law is found by backward elimination, once with every monomial of ``Q`` as the one
whose coefficient is 1, and the shortest descriptions are handed on. Laws without noise have
null vectors instead, see `algebra`.

The noise of ``T(y)`` times ``Q`` would be part of the regressors and draw their coefficients to
zero. Where it is not small against the target, a smooth estimate of ``T(y)`` stands for it there,
and what the estimate leaves is put on the other side with the denominator before (the iteration
of Steiglitz and McBride 1965).

Axes: ``n`` rows, ``m`` monomials, ``c`` columns of a regression.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.algebra import VIEWS, Terms, View, quotient_tree
from zoo_kan.symbolic.descent.surrogate import smoothed
from zoo_kan.symbolic.hypotheses import Argument, Tree
from zoo_kan.symbolic.library import Function

__all__ = ["quotients"]

Array = NDArray[np.floating]

_MOST_COLUMNS = 36
_MOST_TERMS = 10
_REWEIGHTED = 3
_HOPELESS = 40.0  # nats behind the best at which a set is not worth solving
_NATS_PER_TERM = 2.0
_KEPT = 4
_CURVED = 3  # degree up to which transforms that take a function are tried
_ROUND = 0.06  # relative distance from a whole number at which a coefficient may start there
_EXACT = 1e-6
_RIDGE = 1e-11
_FAINTEST = 1e-3  # of the largest weight of a row
_LOUD = 0.005  # part of the variance from which noise in the regressors matters
_DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "identity": np.ones_like,
    "square": lambda y: 2.0 * y,
    "root": lambda y: 0.5 / np.sqrt(np.abs(y)),
    "log": lambda y: 1.0 / y,
    "exp": np.exp,
    "sin": np.cos,
    "cos": np.sin,
    "tan": lambda y: 1.0 / np.cos(y) ** 2,
}
_INVERSES: dict[str, Callable[[Array, float], Array]] = {
    "identity": lambda t, sign: t,
    "square": lambda t, sign: sign * np.sqrt(np.maximum(t, 0.0)),
    "root": lambda t, sign: sign * t**2,
    "log": lambda t, sign: sign * np.exp(t),
    "exp": lambda t, sign: np.log(t),
    "sin": lambda t, sign: np.arcsin(np.clip(t, -1.0, 1.0)),
    "cos": lambda t, sign: np.arccos(np.clip(t, -1.0, 1.0)),
    "tan": lambda t, sign: np.arctan(t),
}


@dataclass
class _Equation:
    """``T(y) * Q - P = 0`` for one transform of the target.

    ``table`` (n, 2m) holds the monomials and the monomials times ``smooth``, an estimate of the
    transformed target, all of root mean square 1 under ``weight`` (n,), which makes errors those
    of ``y``. ``noise`` is what the estimate leaves of the transformed target.
    """

    view: View
    y: Array
    smooth: Array
    noise: Array
    counts: Array
    weight: Array
    table: Array
    sizes: Array
    bottom: Array

    @classmethod
    def of(
        cls, view: View, y: Array, estimate: Array, counts: Array, monomials: Array
    ) -> "_Equation | None":
        with np.errstate(all="ignore"):
            transformed, smooth = view.transform(y), view.transform(estimate)
            rate = _DERIVATIVES[view.name](y)
            weight = counts / rate**2
        if not (np.isfinite(transformed).all() and np.ptp(transformed) > 0.0):
            return None
        if not np.isfinite(smooth).all():
            smooth = transformed
        weight = np.where(np.isfinite(weight), weight, 0.0)
        if not weight.max() > 0.0:
            return None
        weight = _capped(weight)  # noise decides on the rest
        table = np.concatenate([monomials, monomials * smooth[:, None]], axis=1)
        sizes = np.sqrt(weight @ table**2 / weight.sum())
        if not (np.isfinite(sizes).all() and (sizes > 0.0).all()):
            return None
        m = monomials.shape[1]
        bottom = monomials / sizes[m:]
        noise = transformed - smooth
        return cls(view, y, smooth, noise, counts, weight, table / sizes, sizes, bottom)

    def solve(self, chosen: list[int], anchor: int, start: Array) -> tuple[float, Array] | None:
        """Mean squared error of ``y`` and coefficients (c + 1,) of the terms and the anchor.

        ``start`` (n,) is the denominator by which rows are weighted at first.
        """
        m = self.table.shape[1] // 2
        columns, first = self.table[:, chosen], self.bottom[:, anchor - m]
        below = [i for i, c in enumerate(chosen) if c >= m]
        denominator, sign = start, 1.0 if self.y.max() > 0.0 else -1.0
        best: tuple[float, Array] | None = None
        with np.errstate(all="ignore"):
            for _ in range(_REWEIGHTED):
                weight = self.weight / denominator**2
                if not np.isfinite(weight).all():
                    break
                weight = _capped(weight)
                gram = (columns * weight[:, None]).T @ columns
                target = -first * self.smooth - denominator * self.noise
                unit = float(np.trace(gram)) / len(gram)
                try:
                    coef = np.linalg.solve(
                        gram + _RIDGE * unit * np.eye(len(gram)), columns.T @ (weight * target)
                    )
                except np.linalg.LinAlgError:
                    break
                # per unit of the transformed target, as Q itself is
                denominator = self._denominator(chosen, anchor, coef, below)
                top = columns @ coef - (denominator - first) * self.smooth
                value = _INVERSES[self.view.name](-top / denominator, sign)
                error = float(self.counts @ (value - self.y) ** 2) / float(self.counts.sum())
                if not np.isfinite(error):
                    break
                if best is None or error < best[0]:
                    best = error, np.append(coef, 1.0)
        return best

    def start(self, anchor: int) -> Array:
        """The denominator (n,) that is the anchor alone."""
        return self._denominator([], anchor, np.zeros(0), [])

    def _denominator(self, chosen: list[int], anchor: int, coef: Array, below: list[int]) -> Array:
        m = self.table.shape[1] // 2
        total = self.bottom[:, anchor - m]
        for i in below:
            total = total + coef[i] * self.bottom[:, chosen[i] - m]
        return total

    def sets(self, anchor: int) -> Iterator[tuple[float, list[int]]]:
        """Sets of up to `_MOST_TERMS` columns that describe the column ``anchor``.

        Each with the mean squared error of ``y`` that it is expected to leave.
        """
        m = self.table.shape[1] // 2
        others = [c for c in range(2 * m) if c != anchor]
        denominator = self.start(anchor)
        total = float(self.counts.sum())
        for last in (False, True):
            size = np.abs(denominator)
            size = np.maximum(size, _FAINTEST * size.max())
            weight = self.weight / size**2
            weight = _capped(weight)
            # the mean of Q over the denominator before is held: Q cannot vanish to fit all
            means = self.counts @ (self.bottom * (np.sign(denominator) / size)[:, None]) / total
            if not abs(means[anchor - m]) > _FAINTEST * np.abs(means).max():
                return
            share = means / means[anchor - m]
            target = -self.table[:, anchor] - denominator * self.noise
            columns = np.column_stack([self.table, target])
            columns[:, m:-1] -= np.outer(self.table[:, anchor], share)
            columns = columns[:, [*others, -1]] * np.sqrt(weight)[:, None]
            gram = columns.T @ columns
            numerator = [*range(m), -1]
            found = [
                (left / total, [others[c] for c in chosen])
                for left, chosen in (
                    *_floating(gram, _MOST_TERMS),
                    *_backward(gram, _MOST_TERMS),
                    # columns of Q hold the noise of the target, which lets them explain it
                    *([] if last else _floating(gram[np.ix_(numerator, numerator)], _MOST_TERMS)),
                )
            ]
            if not found:
                return
            if last:
                yield from found
                return
            yield from (row for row in found if all(c < m for c in row[1]))
            best = min(
                found, key=lambda row: 0.5 * total * math.log(row[0] + 1e-300) + 5.0 * len(row[1])
            )[1]
            solved = self.solve(best, anchor, denominator)
            if solved is None:
                return
            below = [i for i, c in enumerate(best) if c >= m]
            denominator = self._denominator(best, anchor, solved[1], below)


def _capped(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights no larger than ten times what a tenth of them exceeds."""
    place = int(0.9 * (len(weight) - 1))
    return np.minimum(weight, 10.0 * float(np.partition(weight, place)[place]))


def _backward(gram: Array, most: int) -> list[tuple[float, list[int]]]:
    """As `_floating`, by dropping the least significant column again and again."""
    size = np.diag(gram)[:-1]
    inverse = np.linalg.inv(gram[:-1, :-1] + _RIDGE * np.diag(size))
    coef = inverse @ gram[:-1, -1]
    left = float(gram[-1, -1] - coef @ gram[:-1, -1])
    inside = np.ones(len(size), bool)
    found = []
    with np.errstate(all="ignore"):
        for count in range(len(size) - 1, 0, -1):
            loss = np.where(inside, coef**2 / inverse.diagonal(), np.inf)
            weakest = int(loss.argmin())
            left += float(loss[weakest])
            row = inverse[weakest] / inverse[weakest, weakest]
            coef = coef - row * coef[weakest]
            inverse -= inverse[:, weakest, None] * row
            inside[weakest] = False
            if count <= most:
                found.append((max(left, 0.0), [int(c) for c in np.flatnonzero(inside)]))
    return found


def _floating(gram: Array, most: int) -> list[tuple[float, list[int]]]:
    """Best columns of each number, by sequential floating forward selection.

    Parameters
    ----------
    gram : ndarray of shape (c + 1, c + 1)
        Inner products of the columns and, last, the target.
    most : int
        Number of columns.

    Returns
    -------
    list of (float, list of int)
        Sum of squares left and the columns, fewest first.
    """
    table = gram.copy()
    size = np.diag(gram)[:-1].copy()
    inside = np.zeros(len(size), bool)
    best: dict[int, tuple[float, list[int]]] = {}
    for _ in range(4 * most):
        pivots = np.diag(table)[:-1]
        with np.errstate(all="ignore"):
            change = table[:-1, -1] ** 2 / np.abs(pivots)
        gain = np.where(inside | (pivots <= _RIDGE * size), -1.0, change)
        added = int(np.argmax(gain))
        if inside.sum() >= most or not gain[added] > 0.0:
            break
        table = _sweep(table, added)
        inside[added] = True
        _note(best, table, inside)
        while inside.sum() > 1:
            with np.errstate(all="ignore"):
                loss = np.where(inside, table[:-1, -1] ** 2 / np.abs(np.diag(table)[:-1]), np.inf)
            weakest = int(np.argmin(loss))
            count = int(inside.sum()) - 1
            left = float(table[-1, -1] + loss[weakest])
            if weakest == added or not left < 0.999 * best.get(count, (np.inf, []))[0]:
                break
            table = _sweep(table, weakest)
            inside[weakest] = False
            _note(best, table, inside)
    return [best[count] for count in sorted(best)]


def _note(
    best: dict[int, tuple[float, list[int]]], table: Array, inside: NDArray[np.bool_]
) -> None:
    count, left = int(inside.sum()), max(float(table[-1, -1]), 0.0)
    if left < best.get(count, (np.inf, []))[0]:
        best[count] = left, [int(c) for c in np.flatnonzero(inside)]


def _sweep(table: Array, k: int) -> Array:
    """Sweep operator: column ``k`` enters the regression, or leaves it again."""
    pivot = table[k, k]
    row = table[k].copy()
    swept = table - table[:, k, None] * (row / pivot)
    swept[k], swept[:, k] = row / abs(pivot), row / abs(pivot)
    swept[k, k] = -1.0 / pivot
    return swept


@dataclass
class _Proposal:
    """Terms of a relation, numbered as in `_Equation.table`, and their coefficients."""

    terms: Terms
    members: list[int]
    coef: Array
    view: View


def quotients(
    letters: Sequence[Argument],
    y: Array,
    weight: Array,
    library: Sequence[Function],
    *,
    highest: int = 3,
    single: Sequence[int] = (),
    views: Sequence[View] = VIEWS,
    goal: float = 0.0,
    noise: float = 0.0,
) -> Iterator[Tree]:
    """Laws ``y = T^-1(P(letters) / Q(letters))`` that describe noisy data shortly.

    Parameters
    ----------
    letters : sequence of Argument
        Their trees must have no free constants.
    y : ndarray of shape (n,)
    weight : ndarray of shape (n,)
        Of every row: how often it counts over the variance of its error.
    library : sequence of Function
    highest : int
        Total degree of the polynomials at most.
    single : sequence of int
        Letters that occur to the first power only, such as a sine beside its cosine.
    views : sequence of View
    goal : float
        Mean squared error of ``y`` at which no higher degree is tried.
    noise : float
        Part of the variance of the law's target that is noise, roughly.

    Yields
    ------
    (node, theta)
        Most promising first.
    """
    named = {function.name: function for function in library}
    sign = 1.0 if y.max() > 0.0 else -1.0
    n, total = len(y), float(weight.sum())
    charge = 0.5 * math.log(total + 1.0) + _NATS_PER_TERM
    scale = float(weight @ y**2) / total
    values = [letter.values for letter in letters]
    estimates = [y] if noise < _LOUD else [y, smoothed(values, y, weight)]
    best = least = math.inf
    found: dict[tuple, tuple[float, _Proposal]] = {}

    def cost(error: float) -> float:
        return 0.5 * total * math.log(error / scale + 1e-16)

    for degree in range(1, highest + 1):
        terms = Terms.of(letters, degree, single)
        m = len(terms.exponents)
        if m > _MOST_COLUMNS or 4 * m > n or least <= goal:
            break
        if not np.isfinite(terms.values).all():
            break
        for view, estimate in itertools.product(views, estimates):
            if (view.needs and (view.needs not in named or degree > _CURVED)) or not view.usable(y):
                continue
            equation = _Equation.of(view, y, estimate, weight, terms.values)
            if equation is None:
                continue
            for anchor in range(m, 2 * m):
                start = equation.start(anchor)
                for expected, chosen in equation.sets(anchor):
                    members = [*chosen, anchor]
                    if all(c >= m for c in chosen):
                        continue
                    exponents = [terms.exponents[c % m] for c in members]
                    price = charge * len(chosen) + sum(map(sum, exponents))
                    if cost(expected) + price > best + _HOPELESS:
                        continue
                    solved = equation.solve(chosen, anchor, start)
                    if solved is None:
                        continue
                    error, coef = solved
                    length = cost(error) + price
                    best, least = min(best, length), min(least, error)
                    key = (
                        view.name,
                        *sorted((*e, c // m) for e, c in zip(exponents, members, strict=True)),
                    )
                    if key in found and found[key][0] <= length:
                        continue
                    raw = coef / equation.sizes[members]
                    found[key] = length, _Proposal(terms, members, raw, view)
    ranked = sorted(found.values(), key=lambda row: row[0])
    for _, proposal in ranked[:_KEPT]:
        for tolerance in (_ROUND, _EXACT):
            node, theta = quotient_tree(
                proposal.terms, proposal.members, proposal.coef, tolerance=tolerance
            )
            yield proposal.view.undo(node, sign, named.get(proposal.view.needs)), theta
