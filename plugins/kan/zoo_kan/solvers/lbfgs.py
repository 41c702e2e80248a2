"""Full-batch L-BFGS training, for networks too large for second-order steps.

The paper's own optimiser (Section 2.2), here in rounds: between rounds grids follow the
activations, the price of roughness is learned, and every edge's weights are rescaled by the
Cholesky factor of its own block of the Gauss-Newton matrix, without which splines on fine grids
are too ill-conditioned for a first-order method.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.noise import dispersion
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Layout, Problem
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.threads import few_threads

__all__ = ["fit_lbfgs"]

Array = NDArray[np.floating]
Factors = list[Array]

_ROUNDS = 10
_START = 1e-4  # price of roughness and steepness before any is learned
_STEEPNESS = 1e-6  # price of steepness where the roughness is given


class _Halt(Exception):
    """Raised inside scipy's callback when held-out rows get worse."""


class _Frame:
    """One round: a network whose grids and prices are fixed, in rescaled parameters."""

    def __init__(
        self, network: KANNetwork, problem: Problem, penalty: Penalty, *, learn: bool
    ) -> None:
        self.network, self.problem, self.penalty = network, problem, penalty
        self.layout = Layout.of(network)
        self.start = self.layout.pack(network)
        penalty.prepare(network, problem)
        curvature = problem.edge_curvature(network, self.layout)
        if learn:
            noise = dispersion(problem, problem.value(network), 0.0, self.layout.size)
            for number, block in enumerate(curvature):
                spread = np.linalg.inv(self._priced(number, block))
                penalty.learn_layer(number, self.layout, self.start, spread, noise)
        # weights = weights at the start of the round + rescaling (e, c, c) @ free parameters
        self.rescaling = [
            np.linalg.inv(np.linalg.cholesky(self._priced(number, block))).transpose(0, 2, 1)
            for number, block in enumerate(curvature)
        ]

    def _priced(self, number: int, block: Array) -> Array:
        blocks = block + self.penalty.blocks(number, *self.layout.ends[number])
        size = np.einsum("ecc->e", blocks)[:, None, None]
        return blocks + 1e-10 * size * np.eye(blocks.shape[1])

    def vector(self, free: Array) -> Array:
        """Parameters (p,) for the rescaled ones."""
        vector = self.start + free
        for edges, rescaling in zip(self.layout.edges, self.rescaling, strict=True):
            vector[edges] = self.start[edges] + (rescaling @ free[edges][..., None])[..., 0]
        return vector

    def reached(self, free: Array) -> KANNetwork:
        """Network with the rescaled parameters ``free`` (p,)."""
        return self.layout.unpack(self.network, self.vector(free))

    def __call__(self, free: Array) -> tuple[float, Array]:
        """Objective and its gradient (p,) by the rescaled parameters."""
        vector = self.vector(free)
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = self.problem.gradient(
                self.layout.unpack(self.network, vector), self.layout
            )
        value += self.penalty.value(self.layout, vector)
        gradient += self.penalty.gradient(self.layout, vector)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return 1e300, np.zeros_like(free)
        for edges, rescaling in zip(self.layout.edges, self.rescaling, strict=True):
            gradient[edges] = (gradient[edges][:, None, :] @ rescaling)[:, 0]
        return value, gradient


def fit_lbfgs(
    network: KANNetwork,
    X: Array,
    T: Array,
    weight: Array | None = None,
    *,
    loss: str = "squared",
    smoothness: float | str = "auto",
    sparsity: float = 0.0,
    max_iter: int = 500,
    tol: float = 1e-7,
    validation: tuple[Array, Array, Array] | None = None,
    patience: int = 20,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> TrainingResult:
    """Train a network by limited-memory BFGS.

    Parameters
    ----------
    network : KANNetwork
        Where to start. It is left unchanged.
    X, T, weight, loss, smoothness, sparsity, validation, progress
        As in `fit_lm`. Learned smoothness takes the edges as independent of each other.
    max_iter : int
        Most iterations.
    tol : float
        A round ends when an iteration lowers the objective by less than this share.
    patience : int
        Iterations without progress on the held-out rows after which training stops.

    Returns
    -------
    TrainingResult
        ``score`` is the held-out loss where there are such rows, else the training loss.
    """
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    kept = weight > 0.0

    def pose(rows: Array, targets: Array, weights: Array) -> Problem:
        standardised = (targets - network.output_mean) / network.output_scale
        return Problem(rows, standardised, weights, loss)

    problem = pose(X[kept], T[kept], weight[kept])
    held_out = None if validation is None else pose(*validation)
    scale = 2.0 / T.shape[1] if loss == "squared" else 1.0
    learn = isinstance(smoothness, str)
    small = _START if learn else _STEEPNESS
    penalty = Penalty.uniform(
        network,
        roughness=_START if isinstance(smoothness, str) else smoothness,
        steepness=small,
        base=small,
        sparsity=sparsity,
        carried=False,
    )
    history: list[dict[str, Any]] = []
    lowest, chosen, idle = np.inf, network, 0
    converged = False
    for number in range(_ROUNDS):
        budget = max_iter * (number + 1) // _ROUNDS - len(history)
        if budget <= 0:
            continue
        if number and len(network.layers) > 1:
            network = regrid(network, problem.X, rename=False)
        frame = _Frame(network, problem, penalty, learn=learn and number > 1)

        def record(free: Array, frame: _Frame = frame) -> None:
            nonlocal lowest, chosen, idle
            reached = frame.reached(free)
            entry: dict[str, Any] = {
                "iteration": len(history) + 1,
                "grid": reached.layers[0].grid,
                "loss": scale * problem.value(reached),
            }
            history.append(entry)
            if held_out is not None:
                judged = entry["validation_loss"] = scale * held_out.value(reached)
                idle = 0 if judged < lowest else idle + 1
                if judged < lowest:
                    lowest, chosen = judged, reached
            if progress is not None:
                progress(entry)
            if held_out is not None and idle >= patience:
                raise _Halt

        try:
            with few_threads(frame.layout.size):
                outcome = minimize(
                    frame,
                    np.zeros(frame.layout.size),
                    jac=True,
                    method="L-BFGS-B",
                    callback=record,
                    options={"maxiter": budget, "maxcor": 20, "ftol": tol, "gtol": 1e-10},
                )
        except _Halt:
            converged = True
            break
        network = frame.reached(outcome.x)
        converged = bool(outcome.status == 0)
    final = chosen if held_out is not None else network
    value = scale * problem.value(final)
    prices = np.concatenate([price.ravel() for price in penalty.roughness])
    return TrainingResult(
        network=final,
        n_iter=len(history),
        loss=value,
        history=history,
        converged=converged,
        score=value if held_out is None else scale * held_out.value(final),
        effective_parameters=float(Layout.of(final).size),
        smoothness=float(np.exp(np.log(np.maximum(prices, 1e-300)).mean())),
        penalty=penalty,
    )
