"""Search for the equation ``sum_k c_k m_k(x) = 0`` that separates two classes.

Sets of terms come from two sides. Relations that hold on points of the boundary are proposed from
an exhaustive scan (`proposals`), which finds what no single term betrays; and a beam adds and swaps
the terms from which the labels gain most, which wrong labels hardly disturb. All are then judged by
one measure: what they leave unexplained of the labels and what they cost to write down, in nats.

Axes: ``n`` rows, ``b`` points of the boundary, ``k`` terms, ``m`` terms of the dictionary.
"""

import itertools
import math
import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.boundary.dictionary import Term
from zoo_kan.symbolic.boundary.proposals import Relations
from zoo_kan.symbolic.boundary.separation import Labels, Separation, fit_separation, gains
from zoo_kan.symbolic.snap import NATS_PER_NODE

__all__ = ["EquationSearch", "Terms"]

Array = NDArray[np.floating]
Terms = tuple[int, ...]

_BEAM = 4
_TRIED = 10  # terms fitted after their gains were estimated
_ROUNDS = 3  # of swaps
_TOLERANCE = 1e-4
_SCANNED = 220  # terms of which all triples are scanned
_PROPOSED = 1000
_KEPT = 40  # proposals that are fitted to the labels, for each number of terms
_EXTENDED = 20
_SIMPLEST = 9  # terms of which all pairs and triples are fitted
_PROBES = 2000  # rows on which proposals are compared
_CONSTANT_NATS = 3.0  # of a coefficient that is not rounded yet


class EquationSearch:
    """The search on given rows.

    Parameters
    ----------
    terms : sequence of Term
        The constant first.
    values : ndarray of shape (n, m)
        Of the terms.
    labels : Labels
    relations : sequence of Relations
        Of the terms, each on other points of the boundary.
    most_terms : int
    deadline : float
        `time.monotonic` after which nothing new is tried.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        values: Array,
        labels: Labels,
        relations: Sequence[Relations],
        *,
        most_terms: int = 4,
        deadline: float = math.inf,
    ) -> None:
        self.terms, self.values, self.labels, self.relations = terms, values, labels, relations
        self.most_terms, self.deadline = most_terms, deadline
        self.tried: dict[Terms, tuple[float, Separation]] = {}
        self.price = NATS_PER_NODE * np.array([float(term.complexity) for term in terms])

    def cost(self, chosen: Terms) -> float:
        """Nats of the terms of an equation and the signs between them."""
        return float(self.price[list(chosen)].sum()) + NATS_PER_NODE * (len(chosen) - 1)

    def attempt(self, chosen: Terms, parent: Terms = ()) -> float:
        """Description length of an equation with free coefficients, fitted if it is new.

        ``parent`` is an equation tried before, whose coefficients are near.
        """
        key = tuple(sorted(chosen))
        if key not in self.tried:
            fit = self._fit(key, parent)
            # a coefficient that can be rounded costs about as much
            length = fit.loss + self.cost(key) + _CONSTANT_NATS * (len(key) - 1)
            self.tried[key] = (length, fit)
        return self.tried[key][0]

    def _fit(self, key: Terms, parent: Terms) -> Separation:
        features = self.values[:, list(key)]
        if parent not in self.tried:
            return fit_separation(features, self.labels, tol=_TOLERANCE)
        known = self.tried[parent][1]
        coef = dict(zip(parent, known.coef, strict=True))
        start = np.array([coef.get(index, 0.0) for index in key])
        return fit_separation(
            features, self.labels, start=start, lapse=max(known.lapse, 1e-3), tol=_TOLERANCE
        )

    def _promising(self, chosen: Terms, number: int) -> list[int]:
        """Terms that the labels gain most from beside those chosen."""
        features = self.values[:, list(chosen)]
        if chosen:
            self.attempt(chosen)
            fit = self.tried[chosen][1]
        else:
            fit = Separation(np.zeros(0), 0.01, 0.0, np.zeros((0, 0)))
        gain = gains(features, fit, self.values, self.labels)
        gain[list(chosen)] = 0.0
        order = np.argsort(self.price - gain, kind="stable")[:number]
        return [int(index) for index in order if gain[index] > 0.0]

    def _expired(self) -> bool:
        return time.monotonic() > self.deadline

    def _attempt_all(self, sets: Iterable[Terms]) -> None:
        for chosen in sets:
            if self._expired():
                return
            self.attempt(chosen)

    def _grow(self, beam: Sequence[Terms], number: int) -> None:
        for chosen in beam:
            for index in self._promising(chosen, number):
                if self._expired():
                    return
                self.attempt((*chosen, index), chosen)

    def _swap(self, chosen: Terms) -> None:
        """Replace or drop one term at a time while that helps."""
        for _ in range(_ROUNDS):
            best = chosen
            for place in range(len(chosen)):
                rest = chosen[:place] + chosen[place + 1 :]
                if self._expired() or not rest:
                    return
                self.attempt(rest, chosen)
                for index in self._promising(rest, _TRIED):
                    trial = tuple(sorted((*rest, index)))
                    if self.attempt(trial, rest) < self.attempt(best):
                        best = trial
            if best == chosen:
                return
            chosen = best

    def ranked(self, size: int | None = None) -> list[Terms]:
        """Equations tried, the shortest description first; of a number of terms, or of all."""
        keys = [key for key in self.tried if len(key) == (size or len(key)) > 1]
        return sorted(keys, key=lambda key: self.tried[key][0])

    def _propose(self, relations: Relations) -> None:
        """Fit the relations of two to four terms that hold best on the boundary."""
        some = np.linspace(0, len(self.values) - 1, min(len(self.values), _PROBES)).astype(int)
        values, second = self.values[some], self.labels.second[some]

        def keep(sets: list[Terms], number: int) -> list[Terms]:
            return relations.separating(sets, values, second, number)

        self._attempt_all(keep(relations.pairs(_PROPOSED), _KEPT))
        if self.most_terms < 3 or len(self.terms) < 3:
            return
        sets = keep(relations.triples(_PROPOSED, _SCANNED), _KEPT)
        self._attempt_all(sets)
        for size in range(4, min(self.most_terms, len(self.terms)) + 1):
            grown = relations.extended([*self.ranked(size - 1)[:_EXTENDED], *sets], _PROPOSED)
            sets = keep(grown, _KEPT)
            self._attempt_all(sets)

    def run(self) -> list[Terms]:
        """Search, and return equations by description length, shortest first."""
        for relations in self.relations:
            self._propose(relations)
        simple = range(min(_SIMPLEST, len(self.terms)))
        self._attempt_all(itertools.combinations(simple, 2))
        if self.most_terms > 2:
            self._attempt_all(itertools.combinations(simple, 3))
        self._grow([(0,)], 2 * _TRIED)
        self._grow([()], _TRIED)
        best = math.inf
        for size in range(2, self.most_terms + 1):
            for chosen in self.ranked(size)[: _BEAM // 2]:
                self._swap(chosen)
            ranked = self.ranked(size)
            if not ranked or self._expired():
                break
            reached = self.tried[ranked[0]][0]
            if reached >= best and size > 3:
                break
            best = min(best, reached)
            if size < self.most_terms:
                self._grow(ranked[:_BEAM], _TRIED)
        return self.ranked()


def relation_costs(terms: Sequence[Term]) -> Array:
    """Cost (m,) in nats of a term and its coefficient, for proposals."""
    return np.array([NATS_PER_NODE * term.complexity + _CONSTANT_NATS for term in terms])
