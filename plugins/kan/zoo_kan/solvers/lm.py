"""Levenberg-Marquardt training with an analytic Jacobian.

The paper trains with L-BFGS and extends the grid by hand (Sections 2.3 and 2.4). Here every step
solves the damped Gauss-Newton equations, grids follow the activations, grow while that lowers the
estimated error on new data, and the price of roughness is learned edge by edge. Log losses are
minimised by the generalised Gauss-Newton matrix. The cost of a step is O(n p^2 + p^3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.cost import affordable
from zoo_kan.solvers.expansion import DenseExpansion, Expansion
from zoo_kan.solvers.krylov import KrylovExpansion
from zoo_kan.solvers.noise import dispersion
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Layout, Problem
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.start import HIDDEN_MARGIN
from zoo_kan.solvers.threads import few_threads

__all__ = ["GRIDS", "fit_lm"]

Array = NDArray[np.floating]
Progress = Callable[[dict[str, Any]], None]

GRIDS = (3, 6, 12, 24, 48)
_REGRID_EVERY = 5
_COARSE_ITERATIONS = 30  # at most, on any grid but the last
_COARSE_TOL = 1e-2
_SMALL = 2e-3  # score below which an error may well be the grid's and not noise
_FRESH = 1e-9  # prices of a second attempt on a finer grid
_CHEAP = 100  # parameters of an additive model that may try every grid
_LEAST_USE = 0.92 / (1.0 + 2.0 * HIDDEN_MARGIN)  # of its grid, by a node that has not shrunk
_RUIN = 0.05  # rise of the objective that a move of the grids may cost
_IDLE = 4  # iterations without progress after which a descent ends
# Each effective parameter counts for more than one, since shapes and prices are searched too.
_EDOF_CHARGE, _EDOF_CHARGE_LOGITS = 1.4, 2.0


@dataclass
class _Run:
    """Everything a descent carries from grid to grid."""

    problem: Problem
    validation: Problem | None
    learn: bool
    tol: float
    budget: int
    progress: Progress | None
    history: list[dict[str, Any]]
    equations: str
    damping: float = 1e-2

    def expand(self, network: KANNetwork, layout: Layout, penalty: Penalty) -> Expansion:
        """Expand the objective around ``network``, in the form that its size asks for."""
        problem = self.problem
        dense = self.equations == "direct" or (
            self.equations == "auto" and affordable(problem.total, problem.T.shape[1], layout.size)
        )
        return (DenseExpansion if dense else KrylovExpansion)(problem, network, layout, penalty)

    def score(self, network: KANNetwork, value: float, edof: float) -> float:
        """Estimated loss on new data: held-out loss, GCV, or Akaike's criterion for log losses."""
        if self.validation is not None:
            return self.report(self.validation.value(network))
        observed = self.problem.total
        if self.problem.terms.known_dispersion:
            return value + _EDOF_CHARGE_LOGITS * edof / observed
        charged = _EDOF_CHARGE * edof
        observed *= self.problem.T.shape[1]
        if charged >= observed:
            return np.inf
        return self.report(value) / (1.0 - charged / observed) ** 2

    def report(self, value: float) -> float:
        """Loss as the user sees it: squared error per output, not half of their sum."""
        squared = not self.problem.terms.known_dispersion
        return 2.0 * value / self.problem.T.shape[1] if squared else value


@dataclass
class _Point:
    """A network with its prices and what is known of it."""

    network: KANNetwork
    penalty: Penalty
    value: float = np.inf
    score: float = np.inf
    edof: float = 0.0


def _assess(run: _Run, point: _Point) -> _Point:
    """Loss, effective parameters and score of a network under its prices."""
    layout = Layout.of(point.network)
    point.penalty.prepare(point.network, run.problem)
    expansion = run.expand(point.network, layout, point.penalty)
    point.value, point.edof = expansion.value, expansion.effective()
    point.score = run.score(point.network, point.value, point.edof)
    return point


def _drifted(network: KANNetwork, problem: Problem) -> bool:
    """Whether hidden activations have left their grids or use too little of them."""
    for layer, x in zip(network.layers[1:], network.activations(problem.X)[1:-1], strict=True):
        width = layer.upper - layer.lower
        over = np.maximum(layer.lower - x.min(axis=0), x.max(axis=0) - layer.upper)
        if np.any(over > 0.005 * width) or np.any(np.ptp(x, axis=0) < _LEAST_USE * width):
            return True
    return False


def _followed(run: _Run, point: _Point, layout: Layout) -> KANNetwork:
    """The network with grids moved to its activations, unless they fit or moving ruins it.

    Where a few rows have run far ahead, grids over them are too coarse for the others; where a
    node has all but died, an edge that was straight on its old grid may not be on the new one.
    """
    network, penalty, problem = point.network, point.penalty, run.problem
    if not _drifted(network, problem):
        return network

    def objective(candidate: KANNetwork) -> float:
        return problem.value(candidate) + penalty.value(layout, layout.pack(candidate))

    before = objective(network)
    moved = regrid(network, problem.X, rename=False)
    penalty.prepare(moved, problem)
    if objective(moved) <= before + _RUIN:
        return moved
    penalty.prepare(network, problem)
    return network


def _step(
    run: _Run,
    point: _Point,
    expansion: Expansion,
    layout: Layout,
    vector: Array,
    objective: float,
) -> tuple[KANNetwork, Array, float] | None:
    """Take one damped Gauss-Newton step, shorter and shorter until the objective falls."""
    for _ in range(12):
        solution = expansion.solve(run.damping)
        if solution is not None:
            step, promised = solution
            candidate = vector + step
            network = layout.unpack(point.network, candidate)
            reached = run.problem.value(network) + point.penalty.value(layout, candidate)
            if reached < objective:
                gain = (objective - reached) / max(promised, 1e-300)
                run.damping *= 0.2 if gain > 0.5 else 1.0 if gain > 0.1 else 2.0
                run.damping = max(run.damping, 1e-12)
                return network, candidate, reached
        run.damping = min(run.damping * 4.0, 1e10)
    return None


def _descend(run: _Run, point: _Point, *, budget: int, tol: float) -> tuple[_Point, bool]:
    """Minimise on the network's present grid sizes; returns the point and whether it converged."""
    point = _Point(point.network, point.penalty)
    penalty, converged, lowest, idle, judged = point.penalty, False, np.inf, 0, False
    best_held_out, best_network, patience = np.inf, point.network, 0
    layout = Layout.of(point.network)
    vector = layout.pack(point.network)
    penalty.prepare(point.network, run.problem)
    iteration = -1
    for iteration in range(budget):
        if len(point.network.layers) > 1 and iteration and iteration % _REGRID_EVERY == 0:
            point.network = _followed(run, point, layout)
            vector = layout.pack(point.network)
        elif penalty.sparsity:
            penalty.reweight(point.network)
        expansion = run.expand(point.network, layout, penalty)
        value = expansion.value
        objective = value + penalty.value(layout, vector)
        moved = _step(run, point, expansion, layout, vector, objective)
        reached = objective
        if moved is not None:
            point.network, vector, reached = moved
        reading = reached
        if run.learn and (iteration >= 2 or len(point.network.layers) == 1):
            edof = expansion.effective()
            noise = dispersion(run.problem, value, edof, layout.size)
            penalty.learn(layout, vector, expansion.spreads(), noise)
            reading = run.score(point.network, value, edof)
            if not judged:
                lowest, judged = np.inf, True  # the objective is no yardstick for scores
        idle = 0 if reading < (1.0 - tol) * lowest else idle + 1
        lowest = min(lowest, reading)
        entry: dict[str, Any] = {
            "iteration": len(run.history) + 1,
            "grid": point.network.layers[0].grid,
            "loss": run.report(value),
            "damping": run.damping,
        }
        if run.validation is not None:
            held_out = run.validation.value(point.network)
            entry["validation_loss"] = run.report(held_out)
            if held_out < best_held_out:
                best_held_out, best_network, patience = held_out, point.network, 0
            else:
                patience += 1
        run.history.append(entry)
        if run.progress is not None:
            run.progress(entry)
        if idle >= _IDLE or patience >= 2 * _IDLE:
            converged = True
            break
    if run.validation is not None:
        point.network = best_network
    run.budget -= iteration + 1
    return _assess(run, point), converged


def _improves(run: _Run, point: _Point, best: _Point, *, finer: bool) -> bool:
    """Whether a point is better than the best; on a finer grid, by more than it may seem to be.

    The estimated error on new data is the less to be trusted the larger the share of the
    observations that the parameters use up.
    """
    if not np.isfinite(point.score) or not finer:
        # so few rows that no score is finite: the loss decides
        return (point.score, point.value) < (best.score, best.value)
    used = point.edof / (run.problem.total * run.problem.T.shape[1])
    return point.score < (1.0 - min(0.5, max(0.02, 2.0 * used))) * best.score


def _climb(
    run: _Run, point: _Point, grids: Sequence[int], *, to_the_end: bool
) -> tuple[_Point, bool]:
    """Descend on one grid after the other, for as long as the next one is better."""
    best = _assess(run, point)
    converged, failed, given_up = False, 0, False
    for position, grid in enumerate(grids):
        last = position == len(grids) - 1
        imposed = last and to_the_end and position > 0
        if given_up and not imposed:
            continue
        start = best.network
        if position or grid != start.layers[0].grid:
            start = regrid(start, run.problem.X, grid=grid)
        run.damping = 1e-2 if position == 0 else 1e-4
        budget = run.budget if last else min(run.budget, _COARSE_ITERATIONS)
        tol = run.tol if last else max(run.tol, _COARSE_TOL)
        point, done = _descend(run, _Point(start, best.penalty.copy()), budget=budget, tol=tol)
        better = _improves(run, point, best, finer=position > 0)
        if not better and run.learn and position and best.score < _SMALL and run.budget > 0:
            # prices that were learned while the grid was too coarse take its error for noise
            run.damping = 1e-4
            fresh = Penalty.uniform(
                start,
                roughness=_FRESH,
                steepness=_FRESH,
                base=_FRESH,
                sparsity=best.penalty.sparsity,
            )
            budget = min(run.budget, _COARSE_ITERATIONS)
            second = _descend(run, _Point(start, fresh), budget=budget, tol=tol)
            if not imposed or second[0].score < point.score:
                point, done = second
            better = _improves(run, point, best, finer=True)
        if not better and not imposed:
            failed += position > 0
            # a wave needs several times the grid; the additive model is convex and cheap
            patience = 3 if len(start.layers) == 1 and start.n_parameters < _CHEAP else 0
            given_up = failed > patience
            continue
        failed = 0
        best, converged = point, done
        given_up = run.budget <= 0
    return best, converged


def fit_lm(
    network: KANNetwork,
    X: Array,
    T: Array,
    weight: Array | None = None,
    *,
    loss: str = "squared",
    smoothness: float | str = "auto",
    sparsity: float = 0.0,
    grids: Sequence[int] | None = None,
    to_the_end: bool = False,
    max_iter: int = 200,
    tol: float = 1e-4,
    validation: tuple[Array, Array, Array] | None = None,
    penalty: Penalty | None = None,
    trained: bool = False,
    equations: str = "auto",
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a network by Levenberg-Marquardt.

    Parameters
    ----------
    network : KANNetwork
        Where to start, for example from `initial_network`. It is left unchanged.
    X : ndarray of shape (n, n_features)
        Raw inputs.
    T : ndarray of shape (n, n_outputs)
        Raw targets; for ``loss="logistic"`` one column of 0 and 1, or one-hot classes.
    weight : ndarray of shape (n,), optional
        A row of weight 2 counts as two rows, a row of weight 0 not at all.
    loss : {"squared", "logistic"}
    smoothness : "auto" or float
        Price of an edge's squared second derivative (standardised units, grid range as the unit
        of length). ``"auto"`` learns one for every edge.
    sparsity : float
        Price of the edges' L1 norm and entropy; larger values leave fewer edges alive.
    grids : sequence of int, optional
        Grid sizes to go through; the next one is kept only while it lowers the estimated error
        on new data. By default the network's own grid only.
    to_the_end : bool
        Whether the network has to end on the last of the grids, better or not.
    max_iter : int
        Most iterations, over all grids.
    tol : float
        Stop when a few iterations in a row lower the objective, or the estimated error on new
        data where smoothness is learned, by less than this share.
    validation : (X, T, weight), optional
        Held-out rows that decide when to stop and which grid to keep.
    penalty : Penalty, optional
        Prices to go on from, those of an earlier `TrainingResult`; ``smoothness`` and
        ``sparsity`` then only say whether they are learned further.
    trained : bool
        Whether ``network`` is trained already; prices to be learned then start from its edges.
    equations : {"auto", "direct", "iterative"}
        How the equations of a step are solved: by factoring the Gauss-Newton matrix, or by
        conjugate gradients without forming it. ``"auto"`` asks `affordable`.
    progress : callable, optional
        Called with the history entry of every iteration.

    Returns
    -------
    TrainingResult
        Never worse than the start by its own score, unless it had to go ``to_the_end``.
    """
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    kept = weight > 0.0

    def pose(rows: Array, targets: Array, weights: Array) -> Problem:
        standardised = (targets - network.output_mean) / network.output_scale
        return Problem(rows, standardised, weights, loss)

    if equations not in ("auto", "direct", "iterative"):
        raise ValueError(
            "equations of fit_lm must be 'auto', 'direct' or 'iterative'. Got "
            f"{equations!r} instead."
        )
    learn = smoothness == "auto"
    run = _Run(
        problem=pose(X[kept], T[kept], weight[kept]),
        validation=None if validation is None else pose(*validation),
        learn=learn,
        tol=tol,
        budget=max_iter,
        progress=progress,
        history=[],
        equations=equations,
    )
    grids = tuple(grids) if grids else (network.layers[0].grid,)
    price = 1e-4 if learn else float(smoothness)
    small = 1e-4 if learn else 1e-8
    if penalty is None:
        penalty = Penalty.uniform(
            network, roughness=price, steepness=small, base=small, sparsity=sparsity
        )
    if trained and learn:
        layout = Layout.of(network)
        penalty.prepare(network, run.problem)
        noise = dispersion(run.problem, run.problem.value(network), 0.0, layout.size)
        penalty.imply(layout, layout.pack(network), noise)
    with few_threads(Layout.of(network).size):
        best, converged = _climb(run, _Point(network, penalty.copy()), grids, to_the_end=to_the_end)
    prices = np.concatenate([price.ravel() for price in best.penalty.roughness])
    return TrainingResult(
        network=best.network,
        n_iter=len(run.history),
        loss=run.report(best.value),
        history=run.history,
        converged=converged,
        score=best.score,
        effective_parameters=best.edof,
        smoothness=float(np.exp(np.log(np.maximum(prices, 1e-300)).mean())),
        penalty=best.penalty,
    )
