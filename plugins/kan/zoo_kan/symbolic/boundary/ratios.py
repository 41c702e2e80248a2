"""Round the coefficients of an equation ``sum_k c_k m_k(x) = 0``, whose scale means nothing.

One term, the pivot, gets the coefficient 1. The others are rounded as long as that shortens the
description. Rows of one group (measured together, say) err together, and the odds at the boundary
are a model, not the truth. So a difference in likelihood counts only as far as it exceeds its own
standard error over the groups (the test of Vuong, Econometrica 57, 307-333, 1989).

Axes: ``n`` rows, ``k`` terms, ``g`` groups.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.boundary.separation import (
    Labels,
    Separation,
    fit_separation,
    log_chances,
    overdispersion,
)
from zoo_kan.symbolic.expression import Number
from zoo_kan.symbolic.snap import round_candidates

__all__ = ["Rounded", "Rounding", "shrunk_difference"]

Array = NDArray[np.floating]

_REACH = 4.0  # standard errors within which a constant may be rounded
_MOST_NATS = 20.0  # of a constant
_MOVES = 5


def shrunk_difference(loss: Array, reference: Array) -> float:
    """How much larger the losses (g,) are than the reference's, less one standard error."""
    difference = loss - reference
    total, error = float(difference.sum()), float(np.linalg.norm(difference))
    return math.copysign(max(0.0, abs(total) - error), total)


@dataclass
class Rounded:
    """An equation with rounded coefficients.

    Attributes
    ----------
    ratios : ndarray of shape (k,)
        Coefficients in units of the pivot's.
    spread : ndarray of shape (k,)
        Their standard errors; 0 where they are rounded.
    exact : list of Number or None
        How they are written; None where they are fitted.
    sign : float
        1 if the equation's left side is positive on the second class, else -1.
    loss : ndarray of shape (g,)
        Negative log likelihood of each group.
    code : float
        Nats of the constants.
    """

    ratios: Array
    spread: Array
    exact: list[Number | None]
    sign: float
    loss: Array
    code: float


class Rounding:
    """Fit and round one equation.

    Parameters
    ----------
    features : ndarray of shape (n, k)
        Values of the terms, in their own units.
    labels : Labels
    """

    def __init__(self, features: Array, labels: Labels) -> None:
        self.features, self.labels = features, labels
        self.free = fit_separation(features, labels, max_iter=200)
        self.loss = -log_chances(features, self.free, labels)
        self.inflation = math.sqrt(overdispersion(features, self.free, labels))

    def _fit(self, exact: Sequence[Number | None], start: Array) -> Rounded:
        """The equation with some coefficients fixed, in units of the pivot's."""
        fixed = [place for place, number in enumerate(exact) if number is not None]
        free = [place for place, number in enumerate(exact) if number is None]
        values = np.array([number.value for number in exact if number is not None])
        columns = np.column_stack([self.features[:, fixed] @ values, self.features[:, free]])
        guess = np.array([self._scale(exact, start), *start[free]])
        fit = fit_separation(columns, self.labels, start=guess, lapse=self.free.lapse, max_iter=100)
        ratios = np.zeros(len(exact))
        ratios[fixed], ratios[free] = values, fit.coef[1:] / fit.coef[0]
        spread = np.zeros(len(exact))
        spread[free] = self.inflation * _ratio_spread(fit)[1:]
        code = sum(self._digits(ratios[place], spread[place]) for place in free)
        code += sum(_nats(number.value) for number in exact if number is not None)
        loss = -log_chances(columns, fit, self.labels)
        return Rounded(ratios, spread, list(exact), np.sign(fit.coef[0]), loss, code)

    @staticmethod
    def _scale(exact: Sequence[Number | None], start: Array) -> float:
        """Size of the rounded part that agrees best with fitted coefficients (k,)."""
        known = [(n.value, start[place]) for place, n in enumerate(exact) if n is not None]
        squares = sum(value * value for value, _ in known)
        return sum(value * coef for value, coef in known) / squares

    def _digits(self, value: float, spread: float) -> float:
        least = 0.5 * math.log(self.labels.total + 1.0)
        digits = math.log(abs(value) / spread + 1.0) if spread > 0.0 else _MOST_NATS
        return min(max(digits, least), max(_MOST_NATS, least))

    def length(self, candidate: Rounded) -> float:
        """Nats beyond those of the fit without rounding."""
        return candidate.code + shrunk_difference(candidate.loss, self.loss)

    def from_pivot(self, pivot: int) -> Rounded:
        """Round the ratios to one of the coefficients."""
        one = next(number for number, _ in round_candidates(1.0, 1e-12))
        start = self.free.coef
        exact: list[Number | None] = [None] * len(start)
        exact[pivot] = one
        current = self._fit(exact, start)
        refused: set[tuple[int, float]] = set()
        while True:
            moves = []
            for place, number in enumerate(current.exact):
                if number is not None:
                    continue
                value, spread = current.ratios[place], current.spread[place]
                digits = self._digits(value, spread)
                for rounded, nats in round_candidates(value, _REACH * spread):
                    gain = digits - nats
                    if gain > 0.0 and rounded.value and (place, rounded.value) not in refused:
                        moves.append((gain, place, rounded))
            moves.sort(key=lambda move: -move[0])
            for _, place, rounded in moves[:_MOVES]:
                trial_exact = list(current.exact)
                trial_exact[place] = rounded
                trial = self._fit(trial_exact, current.ratios * start[pivot])
                if self.length(trial) < self.length(current):
                    current = trial
                    break
                refused.add((place, rounded.value))
            else:
                return current

    def run(self) -> Rounded:
        """The shortest description over all pivots."""
        candidates = [self.from_pivot(pivot) for pivot in range(len(self.free.coef))]
        return min(candidates, key=self.length)


@cache
def _nats(value: float) -> float:
    """Cost of a round number."""
    costs = [nats for _, nats in round_candidates(value, 1e-13 * abs(value))]
    return 0.3 if abs(value) == 1.0 else min(costs, default=_MOST_NATS)


def _ratio_spread(fit: Separation) -> Array:
    """Standard errors (k,) of the coefficients in units of the first, by the delta method."""
    slope = np.eye(len(fit.coef)) / fit.coef[0]
    slope[:, 0] -= fit.coef / fit.coef[0] ** 2
    return np.sqrt(np.maximum(np.einsum("kl,lj,kj->k", slope, fit.covariance, slope), 0.0))
