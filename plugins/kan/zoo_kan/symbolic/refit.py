"""Fit all constants of a tree to the data at once, by Levenberg-Marquardt.

What the data say about a tree is measured in nats: for a regression the Gaussian likelihood at the
best noise level, ``n / 2 * log(mean squared error)``, for a classification the log loss. Weights
count rows (a weight of 2 is the row twice).

Axes: ``n`` rows, ``p`` parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import Node, evaluate, evaluate_with_slopes
from zoo_kan.symbolic.units import Units

__all__ = ["RESOLUTION", "Fit", "Problem", "refit"]

Array = NDArray[np.floating]

RESOLUTION = 1e-8  # relative error below which a formula counts as exact
_ROUNDING = 1e-14
_NATS_PER_MISFIT = 20.0


@dataclass
class Problem:
    """The data a tree is fitted to.

    Attributes
    ----------
    columns : list of ndarray of shape (n,)
    target : ndarray of shape (n,)
        A number per row, or the class 0 or 1 if ``logistic``.
    weight : ndarray of shape (n,)
        How often each row counts; positive.
    logistic : bool
        Whether the tree is the logit of class 1.
    resolution : float
        Relative error below which a tree counts as exact.
    units : Units, optional
        Of the columns and the target.
    """

    columns: Sequence[Array]
    target: Array
    weight: Array
    logistic: bool = False
    resolution: float = RESOLUTION
    units: Units | None = None

    def __post_init__(self) -> None:
        self.total = float(self.weight.sum())
        self.mean = float(self.weight @ self.target) / self.total
        variance = float(self.weight @ (self.target - self.mean) ** 2) / self.total
        magnitude = float(np.abs(self.target).max())
        self.scale = 1.0 if self.logistic else max(np.sqrt(variance), _ROUNDING * magnitude, 1e-150)
        self.floor = self.resolution**2 + (_ROUNDING * magnitude / self.scale) ** 2

    def loss(self, value: Array) -> float:
        """Half the sum of squares in units of the target's scale, or the log loss."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.logistic:
                return float(self.weight @ (np.logaddexp(0.0, value) - self.target * value))
            residual = (value - self.target) / self.scale
            return 0.5 * float(self.weight @ (residual * residual))

    def derivatives(self, value: Array) -> tuple[Array, Array]:
        """First derivative (n,) of the loss by the value, and its curvature (n,)."""
        if self.logistic:
            chance = 0.5 * (1.0 + np.tanh(0.5 * value))
            return self.weight * (chance - self.target), self.weight * chance * (1.0 - chance)
        per_row = self.weight / self.scale**2
        return per_row * (value - self.target), per_row

    def price(self, node: Node) -> float:
        """Nats for the numbers of a tree that must have units."""
        return 0.0 if self.units is None else _NATS_PER_MISFIT * self.units.misfits(node)

    def relative_variance(self, loss: float) -> float:
        """Mean squared error as a part of the target's variance, not below the resolution."""
        return 2.0 * loss / self.total + self.floor

    def evidence(self, loss: float) -> float:
        """Negative log likelihood in nats, up to a constant."""
        if self.logistic:
            return loss
        return 0.5 * self.total * float(np.log(self.relative_variance(loss)))

    def noise(self, loss: float) -> float:
        """Variance of the gradient per unit of curvature: scales the parameters' covariance."""
        return 1.0 if self.logistic else self.relative_variance(loss)


@dataclass
class Fit:
    """A tree with its fitted constants.

    Attributes
    ----------
    node : Node
    theta : ndarray of shape (p,)
    loss : float
        Infinite if no constants were found at which the tree is finite on all rows.
    spread : ndarray of shape (p,)
        Standard errors of ``theta``.
    """

    node: Node
    theta: Array
    loss: float
    spread: Array


def refit(node: Node, theta: Array, problem: Problem, *, max_iter: int = 40) -> Fit:
    """Fit the constants of ``node``, numbered 0 to p - 1, starting at ``theta`` (p,)."""
    with np.errstate(all="ignore"):
        return _levenberg_marquardt(node, np.array(theta, dtype=float), problem, max_iter)


def _levenberg_marquardt(node: Node, theta: Array, problem: Problem, max_iter: int) -> Fit:
    n_parameters = len(theta)
    value, slopes = evaluate_with_slopes(node, problem.columns, theta)
    loss = problem.loss(value)
    nowhere = Fit(node, theta, np.inf, np.full(n_parameters, np.inf))
    if not np.isfinite(loss):
        return nowhere
    if not n_parameters:
        return Fit(node, theta, loss, np.zeros(0))
    damping, exact = 1e-3, 0.5 * problem.total * 1e-28
    normal, norms = np.eye(n_parameters), np.ones(n_parameters)
    for _ in range(max_iter):
        jacobian = np.stack([slopes[k] for k in range(n_parameters)], axis=1)
        first, curvature = problem.derivatives(value)
        weighted = jacobian * curvature[:, None]
        normal, gradient = jacobian.T @ weighted, jacobian.T @ first
        norms = np.sqrt(np.diag(normal))
        if not (np.isfinite(normal).all() and np.isfinite(gradient).all()):
            return nowhere
        if not (norms > 0.0).all():  # a constant without influence: the formula is redundant
            return nowhere
        normal, gradient = normal / np.outer(norms, norms), gradient / norms
        moved = False
        while damping < 1e8:
            step = _solve(normal, damping, gradient) / norms
            trial = theta - step
            if not np.isfinite(trial).all():
                damping *= 8.0
                continue
            candidate = problem.loss(evaluate(node, problem.columns, trial))
            if np.isfinite(candidate) and candidate < loss:
                moved = True
                break
            if gradient @ (step * norms) < 1e-11 * loss:
                break
            damping *= 5.0
        if not moved:
            break
        gain, theta = loss - candidate, trial
        damping = max(damping / 8.0, 1e-14)
        value, slopes = evaluate_with_slopes(node, problem.columns, theta)
        loss = candidate
        if gain < 1e-9 * loss or loss <= exact:
            break
    return Fit(node, theta, loss, _spread(normal, norms) * np.sqrt(problem.noise(loss)))


def _spread(normal: Array, norms: Array) -> Array:
    """Standard errors (p,) for unit noise; huge where the data say nothing."""
    values, vectors = np.linalg.eigh(normal)
    variance = (vectors**2 / np.maximum(values, 1e-16)).sum(axis=1)
    return np.sqrt(variance) / norms


def _solve(normal: Array, damping: float, gradient: Array) -> Array:
    try:
        return np.linalg.solve(normal + damping * np.eye(len(normal)), gradient)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(normal + damping * np.eye(len(normal)), gradient, rcond=None)[0]
