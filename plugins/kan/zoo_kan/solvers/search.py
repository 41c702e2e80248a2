"""Which shape: from the additive model upwards, as long as the estimated error on new data falls.

The paper starts from a shape that is too large and prunes (Section 2.5.1). Growing is cheaper and,
because every price of roughness is learned, a shape is compared with the next by what it is
expected to do on new data. No rows are held out for it, so that weights stay frequencies.

One hidden layer grows wider; the best widths are also tried with further layers, which start out
as straight lines (`zoo_kan.solvers.grow`). Of large tables a part of the
rows chooses the shape, and all of them train it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.cost import affordable, count_parameters
from zoo_kan.solvers.grow import pair_starts, with_layer
from zoo_kan.solvers.lm import GRIDS, fit_lm
from zoo_kan.solvers.problem import Problem, count_rows
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.shape import fit_shape, scout, usable_grids
from zoo_kan.solvers.start import weighted_moments
from zoo_kan.widths import Width, sums_and_products

__all__ = ["SHAPES", "search_shape"]

Array = NDArray[np.floating]

SHAPES: tuple[tuple[Width, ...], ...] = (
    (),
    (1,),
    (2,),
    ((0, 1),),
    ((1, 1),),
    ((1, 2),),
    (3,),
    (5,),
)
_TRIAL_ITERATIONS = 100  # of a shape that is not yet chosen
_MOST_LAYERS = 4
_LEAP = 0.1  # of its parent's score at which a deeper network is trained in full
_PARENTS = 3  # widths that are tried with more layers
_TRIAL_WORK = 5e8  # rows times parameters squared of the finest grid of such a shape
_MOST_WORK = 5e10  # iterations times rows times parameters squared, after which no more is tried
_PRECISE = 1e-2  # unexplained share of the variance below which products are worth a trial
_EXACT = 1e-10  # unexplained share of the variance at which there is nothing left to find
_PATIENCE, _PATIENCE_PRODUCTS = 3, 2
_NATS = 6.0  # log-likelihood that a larger classifier has to gain over its charge
_CHOOSING_ROWS = 2000  # rows that choose the shape of a larger table
_LEAST_OF_CLASS = 50  # of them, where there are so many


def _threshold(score: float, observed: float, loss: str, edof: float) -> float:
    """Score below which a larger shape of ``edof`` parameters replaces one with ``score``."""
    if loss == "logistic":
        return score - _NATS / observed
    # most of the standard error of a mean square, or more where few rows speak for each parameter
    chance = 0.75 * min(0.25, np.sqrt(2.0 / observed))
    return score * (1.0 - max(chance, min(0.5, 4.0 * (edof / observed) ** 2)))


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
    additive: KANNetwork | None = None
    kept: list[TrainingResult] = field(default_factory=list)
    iterations: int = 0
    work: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to find, or enough has been spent on it."""
        return self.best is not None and (self.best.score < _EXACT or self.work > _MOST_WORK)

    @property
    def favours_products(self) -> bool:
        """Whether nodes that multiply are worth a trial: in noise, sums do as well."""
        precise = self.best is not None and self.best.score < _PRECISE
        return precise and self.options["loss"] == "squared" and self.X.shape[1] > 1

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
        loss = str(self.options["loss"])
        # a row says one class, whatever the number of logits
        outputs = 1 if loss == "logistic" else self.T.shape[1]
        observed = count_rows(self.weight) * outputs
        if self.best is not None and not (
            result.score < _threshold(self.best.score, observed, loss, result.effective_parameters)
        ):
            return False
        self.best = result
        self.kept.append(result)
        return True

    def trial(self, widths: Sequence[Width]) -> dict[str, Any]:
        """Options of a fit that is to show what a shape is worth, on grids that are cheap."""
        rows = count_rows(self.weight) * self.T.shape[1]

        def cheap(grid: int) -> bool:
            size = count_parameters(widths, grid=grid, order=self.order, base=self.base)
            return size <= rows and rows * float(size) ** 2 <= _TRIAL_WORK

        return {
            **self.options,
            "max_iter": min(self.options["max_iter"], _TRIAL_ITERATIONS),
            "grids": (*self.grids[:1], *filter(cheap, self.grids[1:])),
        }

    def try_width(self, hidden: Sequence[Width]) -> bool | None:
        """Train one shape and keep it if it is better; None where it is not affordable."""
        widths = [self.X.shape[1], *hidden, self.T.shape[1]]
        if self.best is not None and not self._affords(widths):
            return None
        result = fit_shape(
            self.X,
            self.T,
            self.weight,
            hidden,
            order=self.order,
            base=self.base,
            seed=self.seed,
            starts=self._starts(hidden),
            **self.trial(widths),
        )
        self._count(result)
        if not hidden:
            self.additive = result.network
        return self._takes(result)

    def _starts(self, hidden: Sequence[Width]) -> list[KANNetwork]:
        """What the additive model, if it has been trained, suggests for one hidden layer."""
        if self.additive is None or len(hidden) != 1 or not isinstance(hidden[0], int):
            return []
        coarse = regrid(self.additive, self.X, grid=self.grids[0])
        targets = (self.T - coarse.output_mean) / coarse.output_scale
        problem = Problem(self.X, targets, self.weight, str(self.options["loss"]))
        residual = -problem.terms.gradient(problem.outputs(coarse), targets)
        return pair_starts(coarse, self.X, residual, problem.share, hidden[0])

    def deepen(self) -> None:
        """Put straight layers into the best shapes, as long as bending them pays."""
        data = (self.X, self.T, self.weight)
        parents = [result for result in self.kept if len(result.network.layers) > 1]
        parents = parents[-_PARENTS:]
        while parents and self.best is not None and not self.finished:
            parent = parents.pop(0)
            coarse = regrid(parent.network, self.X, grid=self.grids[0])
            if len(coarse.layers) >= _MOST_LAYERS:
                continue
            scouts = [
                scout(network, *data, **self.options)
                for network in (with_layer(coarse, self.X, n) for n in range(len(coarse.layers)))
                if self._affords(network.widths)
            ]
            for result in scouts:
                self._count(result)
            best = min(scouts, key=lambda result: result.score, default=None)
            # a coarse grid may hide what a layer is worth: much better than its parent will do
            if best is None or best.score >= max(self.best.score, _LEAP * parent.score):
                continue
            result = fit_lm(
                best.network, *data, penalty=best.penalty, **self.trial(best.network.widths)
            )
            self._count(result)
            if self._takes(result):
                parents.insert(0, result)


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


def _restandardised(network: KANNetwork, T: Array, weight: Array, loss: str) -> KANNetwork:
    """The same function, its outputs standardised by all targets and not those of a part."""
    if loss != "squared":
        return network
    mean, scale = weighted_moments(T, weight)
    shift = (mean - network.output_mean) / network.output_scale
    last = network.layers[-1].renamed(shift, scale / network.output_scale)
    return replace(
        network, layers=[*network.layers[:-1], last], output_mean=mean, output_scale=scale
    )


def search_shape(
    X: Array,
    T: Array,
    weight: Array,
    *,
    shapes: Sequence[Sequence[Width]] = SHAPES,
    order: int,
    base: str,
    grids: Sequence[int] = GRIDS,
    to_the_end: bool = False,
    seed: int,
    **options: Any,
) -> TrainingResult:
    """Train shapes of growing size and keep the one with the lowest estimated error.

    Parameters
    ----------
    X, T, weight, order, base, grids, to_the_end, seed, **options
        As in `fit_shape`. Shapes are compared on grids that help them. Of more than 2,000 rows a
        random part of that size chooses.
    shapes : sequence of sequence of (int or pair of int)
        Hidden nodes per layer, the simplest shape first. The best ones are tried with further
        layers as well.

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
    since_best, in_vain = 0, 0
    for hidden in shapes:
        multiplies = any(sums_and_products(width)[1] for width in hidden)
        if multiplies and (in_vain >= _PATIENCE_PRODUCTS or not search.favours_products):
            continue
        better = search.try_width(hidden)
        if better is None:
            break
        if multiplies and not better:
            in_vain += 1
            continue
        since_best = 0 if better else since_best + 1
        if since_best >= _PATIENCE or search.finished:
            break
    search.deepen()
    best = search.best
    if best is None:
        raise ValueError("shapes must name at least one shape. Got none.")
    network, loss = best.network, str(options["loss"])
    usable = usable_grids(grids, network.widths, count_rows(weight), T.shape[1], order, base)
    grid = network.layers[0].grid
    finer = [wanted for wanted in usable if wanted > grid]
    untried = bool(finer) and grid == search.trial(network.widths)["grids"][-1]
    if to_the_end and grid != grids[-1]:
        finer, untried = [*(wanted for wanted in finer if wanted != grids[-1]), grids[-1]], True
    if part or untried or not best.converged:
        if part:
            network = regrid(_restandardised(network, T, weight, loss), X)
        best = fit_lm(
            network,
            X,
            T,
            weight,
            penalty=best.penalty,
            grids=[grid, *finer],
            to_the_end=to_the_end,
            **options,
        )
        search.iterations += best.n_iter
    best.n_iter = search.iterations
    return best
