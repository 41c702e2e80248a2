"""Which shape: from the additive model upwards, as long as the estimated error on new data falls.

The paper starts from a shape that is too large and prunes (Section 2.5.1). Growing is cheaper and,
because every price of roughness is learned, a shape is compared with the next by what it is
expected to do on new data. No rows are held out for it, so that weights stay frequencies.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan.solvers.lm import GRIDS, fit_lm
from zoo_kan.solvers.problem import count_rows
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.start import initial_network
from zoo_kan.widths import Width, edges_into, nodes

__all__ = ["SHAPES", "affordable", "count_parameters", "fit_shape", "search_shape"]

Array = NDArray[np.floating]

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (3,), (5,))
_SCOUT_ITERATIONS = 25
_MOST_PARAMETERS = 1500
_MOST_WORK = 2e10  # rows times outputs times parameters squared: about a second per step
_EXACT = 1e-10  # unexplained share of the variance at which there is nothing left to find
_PATIENCE = 2
_NATS = 4.0  # log-likelihood that a larger classifier has to gain over its charge


def count_parameters(widths: Sequence[Width], *, grid: int, order: int, base: str) -> int:
    """Number of weights and biases of a network of such a shape."""
    per_edge = grid + order + (base != "none")
    return sum(
        edges_into(after) * (nodes(before) * per_edge + 1) for before, after in pairwise(widths)
    )


def affordable(n_rows: float, n_outputs: int, n_parameters: int) -> bool:
    """Whether second-order steps on a network of that size take no more than seconds."""
    work = n_rows * n_outputs * n_parameters**2
    return n_parameters <= _MOST_PARAMETERS and work <= _MOST_WORK


def _usable_grids(
    grids: Sequence[int],
    widths: Sequence[Width],
    n_rows: float,
    n_outputs: int,
    order: int,
    base: str,
) -> tuple[int, ...]:
    """Grids that the rows can determine: the first one always."""

    def fits(grid: int) -> bool:
        size = count_parameters(widths, grid=grid, order=order, base=base)
        return size <= n_rows * n_outputs and affordable(n_rows, n_outputs, size)

    return tuple(grids[:1]) + tuple(grid for grid in grids[1:] if fits(grid))


def _threshold(score: float, observed: float, loss: str) -> float:
    """Score below which a larger shape is taken instead of one with ``score``."""
    if loss == "logistic":
        return score - _NATS / observed
    # most of the standard error of a mean square
    return score * (1.0 - 0.75 * min(0.25, np.sqrt(2.0 / observed)))


def fit_shape(
    X: Array,
    T: Array,
    weight: Array,
    hidden: Sequence[Width],
    *,
    loss: str,
    order: int,
    base: str,
    grids: Sequence[int] = GRIDS,
    seed: int,
    **options: Any,
) -> TrainingResult:
    """Train one shape by Levenberg-Marquardt from the most promising of a few random starts.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    T : ndarray of shape (n, n_outputs)
        Targets as `fit_lm` takes them.
    weight : ndarray of shape (n,)
        Positive frequencies.
    hidden : sequence of (int or pair of int)
        Hidden nodes per layer: sums, or sums and products.
    loss : {"squared", "logistic"}
    order, base
        As in `initial_network`.
    grids : sequence of int
        Grid sizes to go through.
    seed : int
        Start ``k`` depends on it and on ``k`` only.
    **options
        Passed on to `fit_lm`.

    Returns
    -------
    TrainingResult
    """
    widths = [X.shape[1], *hidden, T.shape[1]]
    grids = _usable_grids(grids, widths, count_rows(weight), T.shape[1], order, base)
    size = count_parameters(widths, grid=grids[0], order=order, base=base)
    # without hidden nodes the loss is convex: every start leads to the same end
    n_starts = 1 if not hidden else 4 if size <= 200 else 2 if size <= 600 else 1

    def start(number: int) -> TrainingResult:
        network = initial_network(
            X,
            T,
            widths,
            grid=grids[0],
            order=order,
            base=base,
            weight=weight,
            standardise_outputs=loss == "squared",
            rng=np.random.default_rng([seed, number]),
        )
        if n_starts == 1:
            return TrainingResult(network, 0, np.inf)
        scouting = {**options, "max_iter": min(options["max_iter"], _SCOUT_ITERATIONS), "tol": 1e-2}
        return fit_lm(network, X, T, weight, loss=loss, **scouting)

    best = min(
        (start(number) for number in range(n_starts)),
        key=lambda result: (result.score, result.loss),
    )
    final = fit_lm(
        best.network, X, T, weight, loss=loss, grids=grids, penalty=best.penalty, **options
    )
    final.n_iter += best.n_iter
    return final


def search_shape(
    X: Array,
    T: Array,
    weight: Array,
    *,
    shapes: Sequence[Sequence[Width]] = SHAPES,
    order: int,
    base: str,
    grids: Sequence[int] = GRIDS,
    **options: Any,
) -> TrainingResult:
    """Train shapes of growing size and keep the one with the lowest estimated error.

    Parameters
    ----------
    X, T, weight, order, base, grids, **options
        As in `fit_shape`.
    shapes : sequence of sequence of (int or pair of int)
        Hidden nodes per layer, the simplest shape first.

    Returns
    -------
    TrainingResult
    """
    observed = count_rows(weight) * T.shape[1]
    best: TrainingResult | None = None
    since_best, iterations = 0, 0
    for hidden in shapes:
        widths = [X.shape[1], *hidden, T.shape[1]]
        size = count_parameters(widths, grid=grids[0], order=order, base=base)
        if best is not None and not (
            affordable(count_rows(weight), T.shape[1], size) and size <= 4 * observed
        ):
            break
        result = fit_shape(X, T, weight, hidden, order=order, base=base, grids=grids, **options)
        iterations += result.n_iter
        if best is None or result.score < _threshold(best.score, observed, options["loss"]):
            best, since_best = result, 0
        else:
            since_best += 1
        if since_best >= _PATIENCE or best.score < _EXACT:
            break
    if best is None:
        raise ValueError("shapes must name at least one shape. Got none.")
    best.n_iter = iterations
    return best
