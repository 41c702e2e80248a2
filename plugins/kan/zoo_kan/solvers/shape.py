"""Train one given shape: several random starts, a short look at each, then the best in full."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.cost import affordable, count_parameters
from zoo_kan.solvers.lm import GRIDS, fit_lm
from zoo_kan.solvers.problem import count_rows
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.start import initial_network
from zoo_kan.widths import Width

__all__ = ["fit_shape", "scout", "usable_grids"]

Array = NDArray[np.floating]

_SCOUT_ITERATIONS = 25
_SCOUT_TOL = 1e-2
_MOST_LARGE = 30_000  # parameters of a network on its finest grid, where steps are iterative


def usable_grids(
    grids: Sequence[int],
    widths: Sequence[Width],
    n_rows: float,
    n_outputs: int,
    order: int,
    base: str,
) -> tuple[int, ...]:
    """Grids that the rows can determine: the first one always.

    A network whose first grid is small enough for direct equations stays on grids that are.
    """

    def size(grid: int) -> int:
        return count_parameters(widths, grid=grid, order=order, base=base)

    direct = affordable(n_rows, n_outputs, size(grids[0]))

    def fits(grid: int) -> bool:
        if size(grid) > n_rows * n_outputs:
            return False
        return affordable(n_rows, n_outputs, size(grid)) if direct else size(grid) <= _MOST_LARGE

    return tuple(grids[:1]) + tuple(grid for grid in grids[1:] if fits(grid))


def scout(network: KANNetwork, X: Array, T: Array, weight: Array, **options: Any) -> TrainingResult:
    """Train a network for a few iterations only, with the options of `fit_lm`."""
    shorter = {"max_iter": min(options["max_iter"], _SCOUT_ITERATIONS), "tol": _SCOUT_TOL}
    return fit_lm(network, X, T, weight, **{**options, **shorter})


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
    to_the_end: bool = False,
    seed: int,
    starts: Sequence[KANNetwork] = (),
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
    to_the_end : bool
        As in `fit_lm`; the last grid is then used however few the rows are.
    seed : int
        Start ``k`` depends on it and on ``k`` only.
    starts : sequence of KANNetwork
        Further networks of that shape to start from, beside the random ones.
    **options
        Passed on to `fit_lm`.

    Returns
    -------
    TrainingResult
    """
    widths = [X.shape[1], *hidden, T.shape[1]]
    wanted = grids[-1]
    grids = usable_grids(grids, widths, count_rows(weight), T.shape[1], order, base)
    if to_the_end and grids[-1] != wanted:
        grids = (*grids, wanted)
    final_options = {**options, "loss": loss, "grids": grids, "to_the_end": to_the_end}
    size = count_parameters(widths, grid=grids[0], order=order, base=base)
    # without hidden nodes the loss is convex: every start leads to the same end
    n_starts = 1 if not hidden else 4 if size <= 200 else 2 if size <= 600 else 1
    if starts:
        n_starts //= 2

    def random_start(number: int) -> KANNetwork:
        return initial_network(
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

    candidates = [*starts, *(random_start(number) for number in range(n_starts))]
    if len(candidates) == 1:
        return fit_lm(candidates[0], X, T, weight, **final_options)
    scouts = [scout(network, X, T, weight, loss=loss, **options) for network in candidates]
    best = min(scouts, key=lambda result: (result.score, result.loss))
    final = fit_lm(best.network, X, T, weight, penalty=best.penalty, **final_options)
    final.n_iter += best.n_iter
    return final
