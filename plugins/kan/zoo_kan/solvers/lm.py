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
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.noise import dispersion
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Layout, Normal, Problem
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.threads import few_threads

__all__ = ["GRIDS", "fit_lm"]

Array = NDArray[np.floating]
Progress = Callable[[dict[str, Any]], None]

GRIDS = (3, 5, 10, 20, 40)
_REGRID_EVERY = 5
_COARSE_ITERATIONS = 30  # at most, on any grid but the last
_COARSE_TOL = 1e-2
_IDLE = 4  # iterations without progress after which a descent ends
# Each effective parameter counts for more than one, since shapes and prices are searched too.
_EDOF_CHARGE, _EDOF_CHARGE_LOGITS = 1.4, 2.0


def _factor(matrix: Array, damping: float) -> tuple[Any, Array] | None:
    """Cholesky factor of a matrix scaled to unit diagonal and damped, and the scaling."""
    diagonal = np.diag(matrix)
    scale = np.sqrt(np.maximum(diagonal, 1e-24 * diagonal.max() + 1e-30))
    scaled = matrix / scale / scale[:, None]
    scaled[np.diag_indices_from(scaled)] = 1.0 + damping
    try:
        return cho_factor(scaled, lower=True, check_finite=False), scale
    except LinAlgError:
        return None


def _inverse(matrix: Array) -> Array:
    """Inverse of a positive semidefinite matrix, regularised as little as it needs."""
    for damping in 10.0 ** np.arange(-14.0, 3.0):
        factor = _factor(matrix, damping)
        if factor is not None:
            inverse = cho_solve(factor[0], np.eye(len(matrix)), check_finite=False)
            return inverse / factor[1] / factor[1][:, None]
    return np.diag(1.0 / np.maximum(np.diag(matrix), 1e-300))


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
    damping: float = 1e-2

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
    normal = run.problem.normal(point.network, layout)
    point.penalty.prepare(point.network, run.problem)
    point.penalty.add_to(layout, layout.pack(point.network), normal.gradient, normal.curvature)
    point.value = normal.value
    point.edof = _effective(point.penalty, layout, _inverse(normal.curvature))
    point.score = run.score(point.network, point.value, point.edof)
    return point


def _drifted(network: KANNetwork, problem: Problem) -> bool:
    """Whether hidden activations have left their grids or use too little of them."""
    for layer, x in zip(network.layers[1:], network.activations(problem.X)[1:-1], strict=True):
        width = layer.upper - layer.lower
        over = np.maximum(layer.lower - x.min(axis=0), x.max(axis=0) - layer.upper)
        if np.any(over > 0.005 * width) or np.any(np.ptp(x, axis=0) < 0.9 * width):
            return True
    return False


def _step(
    run: _Run,
    point: _Point,
    normal: Normal,
    vector: Array,
    objective: float,
) -> tuple[KANNetwork, Array, float] | None:
    """Take one damped Gauss-Newton step, shorter and shorter until the objective falls."""
    layout, gradient, curvature = normal.layout, normal.gradient, normal.curvature
    for _ in range(12):
        factor = _factor(curvature, run.damping)
        if factor is not None:
            step = -cho_solve(factor[0], gradient / factor[1], check_finite=False) / factor[1]
            candidate = vector + normal.uncentre(step)
            network = layout.unpack(point.network, candidate)
            reached = run.problem.value(network) + point.penalty.value(layout, candidate)
            if reached < objective:
                expected = -(gradient @ step + 0.5 * step @ curvature @ step)
                gain = (objective - reached) / max(expected, 1e-300)
                run.damping *= 0.2 if gain > 0.5 else 1.0 if gain > 0.1 else 2.0
                run.damping = max(run.damping, 1e-12)
                return network, candidate, reached
        run.damping = min(run.damping * 4.0, 1e10)
    return None


def _descend(run: _Run, point: _Point, *, budget: int, tol: float) -> tuple[_Point, bool]:
    """Minimise on the network's present grid sizes; returns the point and whether it converged."""
    point = _Point(point.network, point.penalty)
    penalty, converged, lowest, idle = point.penalty, False, np.inf, 0
    best_held_out, best_network, patience = np.inf, point.network, 0
    layout = Layout.of(point.network)
    vector = layout.pack(point.network)
    penalty.prepare(point.network, run.problem)
    iteration = -1
    for iteration in range(budget):
        if len(point.network.layers) > 1 and iteration and iteration % _REGRID_EVERY == 0:
            if _drifted(point.network, run.problem):
                point.network = regrid(point.network, run.problem.X, rename=False)
                vector = layout.pack(point.network)
                penalty.prepare(point.network, run.problem)
        elif penalty.sparsity:
            penalty.reweight(point.network)
        normal = run.problem.normal(point.network, layout)
        penalty.add_to(layout, vector, normal.gradient, normal.curvature)
        value, objective = normal.value, normal.value + penalty.value(layout, vector)
        moved = _step(run, point, normal, vector, objective)
        reached = objective
        if moved is not None:
            point.network, vector, reached = moved
        reading = reached
        if run.learn and (iteration >= 2 or len(point.network.layers) == 1):
            covariance = _inverse(normal.curvature)
            edof = _effective(penalty, layout, covariance)
            penalty.learn(
                layout, vector, covariance, dispersion(run.problem, value, edof, layout.size)
            )
            reading = run.score(point.network, value, edof)
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


def _effective(penalty: Penalty, layout: Layout, covariance: Array) -> float:
    """Parameters that the data determine: all, less those that the penalties do."""
    matrix = np.zeros_like(covariance)
    penalty.add_to(layout, np.zeros(layout.size), np.zeros(layout.size), matrix)
    priced = float((covariance * matrix).sum())
    return float(np.clip(layout.size - priced, 0.0, layout.size))


def _climb(run: _Run, point: _Point, grids: Sequence[int]) -> tuple[_Point, bool]:
    """Descend on one grid after the other, for as long as the next one is better."""
    best = _assess(run, point)
    converged = False
    for position, grid in enumerate(grids):
        start = best.network
        if position or grid != start.layers[0].grid:
            start = regrid(start, run.problem.X, grid=grid)
        run.damping = 1e-2 if position == 0 else 1e-4
        last = position == len(grids) - 1
        point, done = _descend(
            run,
            _Point(start, best.penalty.copy()),
            budget=run.budget if last else min(run.budget, _COARSE_ITERATIONS),
            tol=run.tol if last else max(run.tol, _COARSE_TOL),
        )
        # so few rows that no score is finite: the loss decides
        if not (point.score, point.value) < (best.score, best.value):
            break
        enough = position > 0 and point.score > 0.98 * best.score
        best, converged = point, done
        if enough or run.budget <= 0:
            break
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
    max_iter: int = 200,
    tol: float = 1e-4,
    validation: tuple[Array, Array, Array] | None = None,
    penalty: Penalty | None = None,
    trained: bool = False,
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
    progress : callable, optional
        Called with the history entry of every iteration.

    Returns
    -------
    TrainingResult
        Never worse than the start by its own score.
    """
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    kept = weight > 0.0

    def pose(rows: Array, targets: Array, weights: Array) -> Problem:
        standardised = (targets - network.output_mean) / network.output_scale
        return Problem(rows, standardised, weights, loss)

    learn = smoothness == "auto"
    run = _Run(
        problem=pose(X[kept], T[kept], weight[kept]),
        validation=None if validation is None else pose(*validation),
        learn=learn,
        tol=tol,
        budget=max_iter,
        progress=progress,
        history=[],
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
        best, converged = _climb(run, _Point(network, penalty.copy()), grids)
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
