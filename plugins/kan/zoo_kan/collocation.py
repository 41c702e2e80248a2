"""Differential equations solved by a network: residuals at points, least squares (Section 3.4).

The paper descends on such a loss with L-BFGS and automatic differentiation. Here the residuals'
derivatives by the weights are closed forms (`zoo_kan.jets`), so every step solves the damped
Gauss-Newton equations, and grids are refined as in regression. Splines of order 5 are the default:
the second derivative of a cubic one is only piecewise linear.

Axes: ``n`` points, ``f`` input features, ``k`` network outputs, ``d`` directions, ``p`` parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from zoo_kan.conditions import Condition, Equation, PosedCondition, System, linear
from zoo_kan.network import KANNetwork
from zoo_kan.solvers import TrainingResult, initial_network, regrid
from zoo_kan.solvers.problem import Layout
from zoo_kan.solvers.threads import few_threads
from zoo_kan.widths import Width

__all__ = ["Condition", "Equation", "fit_conditions", "linear", "solve_conditions"]

Array = NDArray[np.floating]
Progress = Callable[[dict[str, Any]], None]

_REGRID_EVERY = 5
_MARGIN = 0.05  # room for hidden nodes to move in before their grids have to follow
_WINDOW = 8  # iterations over which progress is judged
_SCOUT_ITERATIONS = 25


def _escaped(network: KANNetwork, points: Array) -> bool:
    """Whether hidden nodes have left their grids or use too little of them."""
    for layer, x in zip(network.layers[1:], network.activations(points)[1:-1], strict=True):
        width = layer.upper - layer.lower
        outside = (x.min(axis=0) < layer.lower) | (x.max(axis=0) > layer.upper)
        if np.any(outside | (np.ptp(x, axis=0) < 0.75 * width)):
            return True
    return False


def _step(
    system: System, network: KANNetwork, layout: Layout, objective: float, damping: float
) -> tuple[KANNetwork | None, float, float]:
    """One damped Gauss-Newton step that lowers the objective: network, objective, damping."""
    vector = layout.pack(network)
    gradient, curvature = system.normal(network, vector, layout)
    diagonal = np.diag(curvature)
    scale = np.sqrt(np.maximum(diagonal, 1e-24 * diagonal.max() + 1e-300))
    scaled = curvature / scale / scale[:, None]
    for _ in range(12):
        scaled[np.diag_indices_from(scaled)] = 1.0 + damping
        try:
            factor = cho_factor(scaled, lower=True, check_finite=False)
        except LinAlgError:
            damping *= 4.0
            continue
        step = -cho_solve(factor, gradient / scale, check_finite=False) / scale
        candidate = layout.unpack(network, vector + step)
        reached = system.loss(candidate, layout.size)
        reached += system.roughness(candidate, vector + step, layout)
        if reached < objective:
            expected = -(2.0 * gradient @ step + step @ curvature @ step)
            gain = (objective - reached) / max(expected, 1e-300)
            damping *= 0.2 if gain > 0.5 else 1.0 if gain > 0.1 else 2.0
            return candidate, reached, max(damping, 1e-13)
        damping = min(damping * 4.0, 1e10)
    return None, objective, damping


@dataclass
class _Descent:
    """The best network so far and the record of how it was reached."""

    network: KANNetwork
    loss: float
    history: list[dict[str, Any]]
    progress: Progress | None

    def note(self, network: KANNetwork, loss: float, damping: float) -> None:
        entry: dict[str, Any] = {
            "iteration": len(self.history) + 1,
            "grid": network.layers[0].grid,
            "loss": loss,
            "damping": damping,
        }
        self.history.append(entry)
        if self.progress is not None:
            self.progress(entry)
        if loss < self.loss:
            self.network, self.loss = network, loss

    def run(
        self, system: System, network: KANNetwork, budget: int, tol: float, damping: float
    ) -> bool:
        """Minimise on the network's present grids; returns whether progress had ended."""
        layout = Layout.of(network)

        def total(at: KANNetwork) -> float:
            return system.loss(at, layout.size) + system.roughness(at, layout.pack(at), layout)

        objective = total(network)
        reached = [objective]
        for iteration in range(budget):
            moved, objective, damping = _step(system, network, layout, objective, damping)
            network = network if moved is None else moved
            rough = system.roughness(network, layout.pack(network), layout)
            self.note(network, objective - rough, damping)
            reached.append(objective)
            settled = moved is None or (
                len(reached) > _WINDOW and reached[-1] > (1.0 - tol) * reached[-1 - _WINDOW]
            )
            if (settled or iteration % _REGRID_EVERY == 0) and _escaped(network, system.points):
                network = regrid(network, system.points, rename=False, margin=_MARGIN)
                objective = total(network)
                reached = [objective]
            elif settled:
                return True
        return False


def fit_conditions(
    network: KANNetwork,
    conditions: Sequence[Condition],
    *,
    grids: Sequence[int] | None = None,
    smoothness: float = 1e-14,
    max_iter: int = 100,
    tol: float = 0.01,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a network to satisfy equations, by Levenberg-Marquardt.

    The loss is the sum over the conditions of ``weight`` times the mean squared residual.

    Parameters
    ----------
    network : KANNetwork
        Where to start. It is left unchanged.
    conditions : sequence of Condition
    grids : sequence of int, optional
        Grid sizes to go through, by default the network's own. One that has more parameters than
        there are residuals is left out, unless it is the first. Points should lie closer than grid
        intervals along every input: what happens between them no residual sees.
    smoothness : float
        Price of the edges' squared second differences. It decides what the equations leave open.
    max_iter : int
        Most iterations per grid.
    tol : float
        Go on to the next grid, or stop on the last, when eight iterations lower the loss by less
        than this share.
    progress : callable, optional
        Called with the history entry of every iteration.

    Returns
    -------
    TrainingResult
        ``loss`` is that of the best network on the way, which is the one returned.

    Raises
    ------
    ValueError
        If a condition's arrays do not fit the network or each other, an equation returns arrays of
        other shapes, or its residuals at the start are not finite.
    """
    if not conditions:
        raise ValueError("conditions must hold at least one Condition. Got none.")
    posed = [PosedCondition.of(condition, network.widths[0]) for condition in conditions]
    system = System(posed, smoothness)
    start = system.loss(network, Layout.of(network).size)
    if not np.isfinite(start):
        raise ValueError(
            "equation of a Condition must have finite residuals at the start of the fit. "
            "Got NaN or infinity."
        )
    descent = _Descent(network, start, [], progress)
    converged = False
    for number, grid in enumerate(grids or (network.layers[0].grid,)):
        current = descent.network
        if grid != current.layers[0].grid:
            current = regrid(current, system.points, grid=grid, margin=_MARGIN)
        size = Layout.of(current).size
        if number and size > len(system.points):
            break
        with few_threads(size):
            converged = descent.run(system, current, max_iter, tol, 1e-4 if number else 1e-2)
    return TrainingResult(
        network=descent.network,
        n_iter=len(descent.history),
        loss=descent.loss,
        history=descent.history,
        converged=converged,
        score=descent.loss,
        effective_parameters=float(Layout.of(descent.network).size),
        smoothness=smoothness,
    )


def solve_conditions(
    conditions: Sequence[Condition],
    *,
    hidden: Sequence[Width] = (10,),
    n_outputs: int = 1,
    grids: Sequence[int] = (5, 10, 20),
    order: int = 5,
    base: str = "none",
    n_starts: int = 3,
    seed: int = 0,
    **options: Any,
) -> TrainingResult:
    """Solve equations by a network, from the most promising of a few random starts.

    Parameters
    ----------
    conditions : sequence of Condition
        Equation and boundary conditions, for a network with ``n_outputs`` outputs.
    hidden : sequence of (int or pair of int)
        Hidden nodes per layer; a pair is so many sums and products.
    n_outputs : int
        Number of unknown functions, of the order of 1 in size.
    grids : sequence of int
        Grid sizes to go through.
    order : int
        Degree of the splines, 1 to 5.
    base : {"silu", "linear", "none"}
        Function beside the spline on every edge.
    n_starts : int
        Random networks that are trained for a few iterations on the first grid, the best of which
        is trained to the end.
    seed : int
    **options
        Passed on to `fit_conditions`.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        As in `fit_conditions`.

    Examples
    --------
    ``u'' = -sin(x)`` between 0 and pi, zero at both ends:

    >>> import numpy as np
    >>> from zoo_kan.collocation import Condition, linear, solve_conditions
    >>> x = np.linspace(0, np.pi, 50)[:, None]
    >>> inside = Condition(x, linear(-np.sin(x[:, 0]), second=1.0))
    >>> ends = Condition(x[[0, -1]], linear(value=1.0))
    >>> found = solve_conditions([inside, ends], hidden=()).network
    >>> bool(abs(found.forward(x) - np.sin(x)).max() < 1e-6)
    True
    """
    if not conditions:
        raise ValueError("conditions must hold at least one Condition. Got none.")
    n_features = np.shape(conditions[0].points)[-1]
    points = np.concatenate([PosedCondition.of(one, n_features).points for one in conditions])

    def start(number: int) -> TrainingResult:
        network = initial_network(
            points,
            np.zeros((len(points), n_outputs)),
            [n_features, *hidden, n_outputs],
            grid=grids[0],
            order=order,
            base=base,
            standardise_outputs=False,
            rng=np.random.default_rng([seed, number]),
        )
        if n_starts == 1:
            return TrainingResult(network, 0, np.inf)
        few = {**options, "max_iter": min(options.get("max_iter", 100), _SCOUT_ITERATIONS)}
        return fit_conditions(network, conditions, **few)

    best = min((start(number) for number in range(n_starts)), key=lambda result: result.loss)
    final = fit_conditions(best.network, conditions, grids=grids, **options)
    final.n_iter += best.n_iter
    return final
