"""Which shape: from the additive model upwards, as long as the estimated error on new data falls.

The paper starts from a shape that is too large and prunes (Section 2.5.1). Growing is cheaper and,
because every price of roughness is learned, a shape is compared with the next by what it is
expected to do on new data. No rows are held out for it, so that weights stay frequencies.

One hidden layer grows wider; each width that is better than the last is also tried with a further
layer, which starts out as straight lines (`zoo_kan.solvers.grow`). Of large tables a part of the
rows chooses the shape, and all of them train it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan.solvers.cost import affordable, count_parameters
from zoo_kan.solvers.grow import with_layer
from zoo_kan.solvers.lm import GRIDS, fit_lm
from zoo_kan.solvers.problem import count_rows
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.shape import fit_shape, scout, usable_grids
from zoo_kan.widths import Width

__all__ = ["SHAPES", "search_shape"]

Array = NDArray[np.floating]

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (3,), (5,))
_TRIAL_ITERATIONS = 100  # of a shape that is not yet chosen
_MOST_LAYERS = 4
_MOST_WORK = 5e10  # iterations times rows times parameters squared, after which no more is tried
_EXACT = 1e-10  # unexplained share of the variance at which there is nothing left to find
_PATIENCE = 2
_NATS = 4.0  # log-likelihood that a larger classifier has to gain over its charge
_CHOOSING_ROWS = 3000  # rows that choose the shape of a larger table
_LEAST_OF_CLASS = 50  # of them, where there are so many


def _threshold(score: float, observed: float, loss: str) -> float:
    """Score below which a larger shape is taken instead of one with ``score``."""
    if loss == "logistic":
        return score - _NATS / observed
    # most of the standard error of a mean square
    return score * (1.0 - 0.75 * min(0.25, np.sqrt(2.0 / observed)))


@dataclass
class _Search:
    """Rows to search on, how to fit, and what has been found so far."""

    X: Array
    T: Array
    weight: Array
    grids: Sequence[int]
    order: int
    base: str
    seed: int
    options: dict[str, Any]
    best: TrainingResult | None = None
    iterations: int = 0
    work: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to find, or enough has been spent on it."""
        return self.best is not None and (self.best.score < _EXACT or self.work > _MOST_WORK)

    def _affords(self, widths: Sequence[Width]) -> bool:
        size = count_parameters(widths, grid=self.grids[0], order=self.order, base=self.base)
        rows, outputs = count_rows(self.weight), self.T.shape[1]
        return size <= 4 * rows * outputs and affordable(rows, outputs, size)

    def _count(self, result: TrainingResult) -> None:
        rows = count_rows(self.weight) * self.T.shape[1]
        self.iterations += result.n_iter
        self.work += result.n_iter * rows * float(result.network.n_parameters) ** 2

    def _takes(self, result: TrainingResult) -> bool:
        """Whether the result is better than the best so far by more than chance, and so kept."""
        observed = count_rows(self.weight) * self.T.shape[1]
        loss = str(self.options["loss"])
        if self.best is not None and not (
            result.score < _threshold(self.best.score, observed, loss)
        ):
            return False
        self.best = result
        return True

    def _trial(self) -> dict[str, Any]:
        return {**self.options, "max_iter": min(self.options["max_iter"], _TRIAL_ITERATIONS)}

    def try_width(self, hidden: Sequence[Width]) -> bool | None:
        """Train one shape and keep it if it is better; None where it is not affordable."""
        if self.best is not None and not self._affords([self.X.shape[1], *hidden, self.T.shape[1]]):
            return None
        starts = []
        additive = self.best is not None and len(self.best.network.layers) == 1
        if self.best is not None and additive and tuple(hidden) == (self.T.shape[1],):
            coarse = regrid(self.best.network, self.X, grid=self.grids[0])
            starts = [with_layer(coarse, self.X, 0)]
        result = fit_shape(
            self.X,
            self.T,
            self.weight,
            hidden,
            order=self.order,
            base=self.base,
            grids=self.grids,
            seed=self.seed,
            starts=starts,
            **self._trial(),
        )
        self._count(result)
        return self._takes(result)

    def deepen(self) -> None:
        """Put straight layers into the best shape, as long as bending them pays."""
        data = (self.X, self.T, self.weight)
        while self.best is not None and not self.finished:
            coarse = regrid(self.best.network, self.X, grid=self.grids[0])
            if not 1 < len(coarse.layers) < _MOST_LAYERS:
                return
            scouts = [
                scout(network, *data, **self.options)
                for network in (with_layer(coarse, self.X, n) for n in range(len(coarse.layers)))
                if self._affords(network.widths)
            ]
            for result in scouts:
                self._count(result)
            best = min(scouts, key=lambda result: result.score, default=None)
            if best is None or best.score >= self.best.score:
                return
            grids = usable_grids(
                self.grids,
                best.network.widths,
                count_rows(self.weight),
                self.T.shape[1],
                self.order,
                self.base,
            )
            result = fit_lm(best.network, *data, penalty=best.penalty, grids=grids, **self._trial())
            self._count(result)
            if not self._takes(result):
                return


def _chosen_rows(T: Array, seed: int, *, classes: bool) -> NDArray[np.intp]:
    """Rows that choose the shape: a random part, with enough of every class."""
    order = np.random.default_rng([seed, len(T)]).permutation(len(T))
    chosen = np.zeros(len(T), dtype=bool)
    chosen[order[:_CHOOSING_ROWS]] = True
    if classes:
        labels = T[:, 0] if T.shape[1] == 1 else T.argmax(axis=1)
        for label in np.unique(labels):
            chosen[order[labels[order] == label][:_LEAST_OF_CLASS]] = True
    return np.flatnonzero(chosen)


def search_shape(
    X: Array,
    T: Array,
    weight: Array,
    *,
    shapes: Sequence[Sequence[Width]] = SHAPES,
    order: int,
    base: str,
    grids: Sequence[int] = GRIDS,
    seed: int,
    **options: Any,
) -> TrainingResult:
    """Train shapes of growing size and keep the one with the lowest estimated error.

    Parameters
    ----------
    X, T, weight, order, base, grids, seed, **options
        As in `fit_shape`. Of more than 3,000 rows a random part of that size chooses.
    shapes : sequence of sequence of (int or pair of int)
        Hidden nodes per layer, the simplest shape first. Each that is better than those before
        is tried with further layers as well.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        If there is no shape to try.
    """
    rows = _chosen_rows(T, seed, classes=options["loss"] == "logistic")
    part = len(rows) < len(X)
    search = _Search(X[rows], T[rows], weight[rows], grids, order, base, seed, options)
    since_best = 0
    for hidden in shapes:
        better = search.try_width(hidden)
        if better is None:
            break
        since_best = 0 if better else since_best + 1
        if better:
            search.deepen()
        if since_best >= _PATIENCE or search.finished:
            break
    best = search.best
    if best is None:
        raise ValueError("shapes must name at least one shape. Got none.")
    iterations = search.iterations
    if part or (not best.converged and options["max_iter"] > _TRIAL_ITERATIONS):
        best = _finish(best, X, T, weight, grids, order, base, part=part, options=options)
        iterations += best.n_iter
    best.n_iter = iterations
    return best


def _finish(
    best: TrainingResult,
    X: Array,
    T: Array,
    weight: Array,
    grids: Sequence[int],
    order: int,
    base: str,
    *,
    part: bool,
    options: dict[str, Any],
) -> TrainingResult:
    """Go on with the chosen network, on all rows and on finer grids where they pay."""
    network, penalty = best.network, best.penalty
    usable = usable_grids(grids, network.widths, count_rows(weight), T.shape[1], order, base)
    grid = network.layers[0].grid
    finer = [grid, *(wanted for wanted in usable if wanted > grid)]
    if part:
        network = regrid(network, X)
    return fit_lm(network, X, T, weight, penalty=penalty, grids=finer, **options)
