"""Learn new rows and leave the rest of the function alone (arXiv 2404.19756, Section 3.5).

A spline's coefficient acts on a few grid intervals only, so rows elsewhere need not change it. The
steps here are those of Levenberg and Marquardt with equal damping of all coefficients: of all
steps that fit the new rows they take nearly the shortest, and a coefficient that no row touches
does not move at all. Base functions and biases act everywhere, so they stay. No roughness is
priced, and grids stay where they are: either would change what was learned elsewhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.problem import Layout, Problem
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.threads import few_threads

__all__ = ["update_network"]

Array = NDArray[np.floating]

_CHUNK = 4_000_000  # largest number of Jacobian entries held at a time
_FIRST_PRICE, _LEAST_PRICE = 1e-2, 1e-12  # of moving, as a share of the largest curvature
_EXACT = 1e-26  # loss at which there is nothing left to learn
_IDLE = 3


def _free(network: KANNetwork, layout: Layout) -> NDArray[np.intp]:
    """Positions of the spline coefficients in the vector of parameters."""
    return np.concatenate(
        [
            edges[:, : layer.coef.shape[2]].ravel()
            for layer, edges in zip(network.layers, layout.edges, strict=True)
        ]
    )


def _normal(
    problem: Problem, network: KANNetwork, layout: Layout, free: NDArray[np.intp]
) -> tuple[Array, Array]:
    """Gradient and Gauss-Newton matrix of half the weighted mean squared error, by ``free``."""
    gradient, curvature = np.zeros(len(free)), np.zeros((len(free), len(free)))
    outputs = problem.T.shape[1]
    size = max(1, _CHUNK // (layout.size * outputs))
    for start in range(0, len(problem.X), size):
        rows = slice(start, start + size)
        part = Problem(problem.X[rows], problem.T[rows], problem.weight[rows])
        jacobian = part.jacobian(network, layout)[..., free]
        root = np.sqrt(problem.share[rows])[:, None]
        residual = root * (part.outputs(network) - part.T)
        flat = (root[..., None] * jacobian).reshape(residual.size, len(free))
        gradient += residual.ravel() @ flat
        curvature += flat.T @ flat
    return gradient, curvature


def _used(curvature: Array, price: float) -> float:
    """Number of coefficients that the rows, rather than the price of moving, determine."""
    values = np.maximum(np.linalg.eigvalsh(curvature), 0.0)
    return float(np.sum(values / (values + price)))


def update_network(
    network: KANNetwork,
    X: Array,
    T: Array,
    weight: Array | None = None,
    *,
    max_iter: int = 200,
    tol: float = 1e-4,
) -> TrainingResult:
    """Fit new rows by the smallest change of the spline coefficients.

    Parameters
    ----------
    network : KANNetwork
        A trained network, left unchanged. Its grids must cover the new rows: beyond them an edge
        is its tangent, which has no coefficients of its own.
    X : ndarray of shape (n, n_features)
        Raw inputs.
    T : ndarray of shape (n, n_outputs)
        Raw targets.
    weight : ndarray of shape (n,), optional
    max_iter : int
        Most iterations.
    tol : float
        Stop when three iterations in a row lower the loss by less than this share.

    Returns
    -------
    TrainingResult
        ``loss`` is the weighted mean squared error of the new rows in the network's standardised
        targets.
    """
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    kept = weight > 0.0
    target = (T[kept] - network.output_mean) / network.output_scale
    problem = Problem(X[kept], target, weight[kept])
    per_output = 2.0 / target.shape[1]
    layout = Layout.of(network)
    free = _free(network, layout)
    residuals = float(target.size)
    origin = layout.pack(network)
    vector, value = origin, problem.value(network)
    history: list[dict[str, Any]] = []
    price, damping, idle = np.inf, 0.0, 0
    converged = value < _EXACT
    with few_threads(layout.size):
        while len(history) < max_iter and not converged:
            with np.errstate(over="ignore", invalid="ignore"):
                gradient, curvature = _normal(problem, network, layout, free)
            unit = float(np.diag(curvature).max(initial=0.0))
            # no coefficient acts on any of the rows, or they are too far away for numbers
            if unit == 0.0 or not (np.isfinite(curvature).all() and np.isfinite(gradient).all()):
                break
            price = max(min(price, _FIRST_PRICE * unit), _LEAST_PRICE * unit)
            before = value
            moved = (vector - origin)[free]
            objective = value + 0.5 * price * moved @ moved
            for _ in range(12):
                damped = curvature + (price + damping) * np.eye(len(free))
                try:
                    factor = cho_factor(damped, lower=True, check_finite=False)
                except LinAlgError:
                    damping = max(10.0 * damping, 1e-9 * unit)
                    continue
                candidate = vector.copy()
                candidate[free] -= cho_solve(factor, gradient + price * moved, check_finite=False)
                changed = layout.unpack(network, candidate)
                reached = problem.value(changed)
                way = (candidate - origin)[free]
                if reached + 0.5 * price * way @ way < objective:
                    network, vector, value = changed, candidate, reached
                    damping = 0.1 * damping if damping > 1e-9 * unit else 0.0
                    break
                damping = max(10.0 * damping, 1e-6 * unit)
            used = _used(curvature, price)
            moved = (vector - origin)[free]
            spread = float(moved @ moved) / max(used, 1e-12)
            rest = max(1.0 - used / residuals, 1.0 / residuals)
            price = 2.0 * value / (residuals * rest * max(spread, 1e-300))
            idle = 0 if value < (1.0 - tol) * before else idle + 1
            history.append(
                {
                    "iteration": len(history) + 1,
                    "grid": network.layers[0].grid,
                    "loss": per_output * value,
                    "damping": damping,
                    "price": price,
                }
            )
            converged = idle >= _IDLE or value < _EXACT
    return TrainingResult(
        network=network,
        n_iter=len(history),
        loss=per_output * value,
        history=history,
        converged=converged,
        score=per_output * value,
        effective_parameters=float(len(free)),
    )
