"""Differential equations solved by a network: residuals at points, least squares (Section 3.4).

The paper descends on such a loss with L-BFGS and automatic differentiation. Here the residuals'
derivatives by the weights are closed forms (`zoo_kan.jets`), so every step solves the damped
Gauss-Newton equations, and grids are refined as in regression. Splines of order 5 are the default:
the second derivative of a cubic one is only piecewise linear.

Axes: ``n`` points, ``f`` input features, ``k`` network outputs, ``d`` directions, ``p`` parameters.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from zoo_kan import spline
from zoo_kan.jets import Jet, Trace, trace
from zoo_kan.network import KANNetwork
from zoo_kan.solvers import TrainingResult, initial_network, regrid
from zoo_kan.solvers.problem import Layout
from zoo_kan.solvers.threads import few_threads
from zoo_kan.widths import Width

__all__ = ["Condition", "Equation", "fit_conditions", "linear", "solve_conditions"]

Array = NDArray[np.floating]
Equation = Callable[[Array, Jet], tuple[Array, Jet]]
Progress = Callable[[dict[str, Any]], None]

_CHUNK = 4_000_000  # largest number of Jacobian entries held at a time
_REGRID_EVERY = 5
_MARGIN = 0.05  # room for hidden nodes to move in before their grids have to follow
_WINDOW = 8  # iterations over which progress is judged
_SCOUT_ITERATIONS = 25


def linear(
    target: ArrayLike = 0.0,
    *,
    value: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    second: ArrayLike = 0.0,
) -> Equation:
    """A linear equation in one output: ``value u + sum first u_d + sum second u_dd = target``.

    Parameters
    ----------
    target : array-like of shape () or (n,)
    value : array-like of shape () or (n,)
        Coefficient of the output itself.
    first, second : array-like of shape (), (d,) or (n, d)
        Coefficients of its first and second derivatives along the condition's directions.

    Returns
    -------
    callable
        For `Condition`: it takes the points and the jet there, and returns the residuals with
        their derivatives by the entries of the jet.
    """
    by_value, by_first, by_second = (np.asarray(part, float) for part in (value, first, second))

    def equation(points: Array, jet: Jet) -> tuple[Array, Jet]:
        partial = Jet(
            np.broadcast_to(by_value[..., None], jet.value.shape),
            np.broadcast_to(by_first[..., None, :] if by_first.ndim else by_first, jet.first.shape),
            np.broadcast_to(
                by_second[..., None, :] if by_second.ndim else by_second, jet.second.shape
            ),
        )
        residual = (
            (partial.value * jet.value).sum(axis=1)
            + (partial.first * jet.first).sum(axis=(1, 2))
            + (partial.second * jet.second).sum(axis=(1, 2))
        )
        return residual - np.asarray(target, float), partial

    return equation


@dataclass(frozen=True)
class Condition:
    """An equation that the network shall satisfy at points: in a region, or on its boundary.

    Attributes
    ----------
    points : ndarray of shape (n, f)
    equation : callable
        ``equation(points, jet) -> (residual, partial)`` with the residuals (n,) and a `Jet` of
        their derivatives by the entries of ``jet``; `linear` makes one. It may be non-linear.
    weight : float
        Price of the mean squared residual; the paper's alpha for the region, 1 for its boundary.
    directions : ndarray of shape (d, f), optional
        Directions that ``jet`` has derivatives along, by default one along each input. A condition
        on values alone is cheaper with none, ``numpy.zeros((0, f))``.
    """

    points: Array
    equation: Equation
    weight: float = 1.0
    directions: Array | None = None


@dataclass
class _Posed:
    """A condition with its arrays checked."""

    points: Array
    directions: Array
    equation: Equation
    weight: float  # of every squared residual

    @classmethod
    def of(cls, condition: Condition, n_features: int) -> "_Posed":
        points = np.asarray(condition.points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != n_features or not len(points):
            raise ValueError(
                f"points of a Condition must have shape (n, {n_features}), with n at least 1 and "
                f"the same columns for every condition. Got {points.shape}."
            )
        if not np.isfinite(points).all():
            raise ValueError("points of a Condition must be finite. Got NaN or infinity.")
        if not (np.isfinite(condition.weight) and condition.weight > 0.0):
            raise ValueError(
                f"weight of a Condition must be a positive number. Got {condition.weight!r}."
            )
        along = condition.directions
        directions = np.eye(n_features) if along is None else np.asarray(along, dtype=np.float64)
        if directions.ndim != 2 or directions.shape[1] != n_features:
            raise ValueError(
                f"directions of a Condition must have shape (d, {n_features}). "
                f"Got {directions.shape}."
            )
        return cls(points, directions, condition.equation, condition.weight / len(points))

    def _passes(self, network: KANNetwork, size: int) -> Iterator[tuple[slice, Trace]]:
        """Forward passes over as many points at a time as their Jacobian may hold."""
        step = max(1, _CHUNK // size)
        for start in range(0, len(self.points), step):
            rows = slice(start, start + step)
            yield rows, trace(network, self.points[rows], self.directions)

    def _residual(self, jets: list[Jet]) -> tuple[Array, Jet]:
        jet = Jet(
            np.concatenate([part.value for part in jets]),
            np.concatenate([part.first for part in jets]),
            np.concatenate([part.second for part in jets]),
        )
        residual, partial = self.equation(self.points, jet)
        have = [np.shape(part) for part in (residual, partial.value, partial.first, partial.second)]
        want = [(len(self.points),), jet.value.shape, jet.first.shape, jet.second.shape]
        if have != want:
            raise ValueError(
                "equation of a Condition must return residuals, and derivatives by the jet's "
                f"value, first and second, of shapes {want}. Got {have}."
            )
        return residual, partial

    def loss(self, network: KANNetwork, size: int) -> float:
        """Weighted mean of the squared residuals."""
        jets = [passed.jet for _, passed in self._passes(network, size)]
        return self.weight * float(np.sum(self._residual(jets)[0] ** 2))

    def add_to(
        self, network: KANNetwork, layout: Layout, gradient: Array, curvature: Array
    ) -> None:
        """Add half the gradient of the squared residuals and their Gauss-Newton matrix."""
        passes = list(self._passes(network, layout.size))
        residual, partial = self._residual([passed.jet for _, passed in passes])
        for rows, passed in passes:
            part = Jet(partial.value[rows], partial.first[rows], partial.second[rows])
            jacobian = passed.jacobian(part, layout)
            gradient += self.weight * (residual[rows] @ jacobian)
            curvature += self.weight * (jacobian.T @ jacobian)


@dataclass
class _System:
    """All conditions and the price of roughness, as one sum of squares."""

    conditions: list[_Posed]
    smoothness: float
    points: Array = field(init=False)

    def __post_init__(self) -> None:
        self.points = np.concatenate([condition.points for condition in self.conditions])

    def loss(self, network: KANNetwork, size: int) -> float:
        """Weighted sum of the mean squared residuals; infinite where the network overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = sum(condition.loss(network, size) for condition in self.conditions)
        return total if np.isfinite(total) else np.inf

    def _rough(self, network: KANNetwork, vector: Array, layout: Layout) -> list[Array]:
        """Per layer, derivative (e, b) of half the roughness by the edges' coefficients."""
        return [
            vector[edges[:, : layer.coef.shape[2]]]
            @ (self.smoothness * spline.second_difference_gram(layer.grid, layer.order))
            for layer, edges in zip(network.layers, layout.edges, strict=True)
        ]

    def roughness(self, network: KANNetwork, vector: Array, layout: Layout) -> float:
        """Price of all edges' roughness."""
        pulls = self._rough(network, vector, layout)
        return sum(
            float(np.sum(vector[edges[:, : pull.shape[1]]] * pull))
            for edges, pull in zip(layout.edges, pulls, strict=True)
        )

    def normal(self, network: KANNetwork, vector: Array, layout: Layout) -> tuple[Array, Array]:
        """Half the gradient (p,) and the Gauss-Newton matrix (p, p) of loss and roughness."""
        gradient, curvature = np.zeros(layout.size), np.zeros((layout.size, layout.size))
        for condition in self.conditions:
            condition.add_to(network, layout, gradient, curvature)
        pulls = self._rough(network, vector, layout)
        for layer, edges, pull in zip(network.layers, layout.edges, pulls, strict=True):
            gram = self.smoothness * spline.second_difference_gram(layer.grid, layer.order)
            coefs = edges[:, : pull.shape[1]]
            gradient[coefs] += pull
            curvature[coefs[:, :, None], coefs[:, None, :]] += gram
        return gradient, curvature


def _escaped(network: KANNetwork, points: Array) -> bool:
    """Whether hidden nodes have left their grids or use too little of them."""
    for layer, x in zip(network.layers[1:], network.activations(points)[1:-1], strict=True):
        width = layer.upper - layer.lower
        outside = (x.min(axis=0) < layer.lower) | (x.max(axis=0) > layer.upper)
        if np.any(outside | (np.ptp(x, axis=0) < 0.75 * width)):
            return True
    return False


def _step(
    system: _System, network: KANNetwork, layout: Layout, objective: float, damping: float
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
        self, system: _System, network: KANNetwork, budget: int, tol: float, damping: float
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
    posed = [_Posed.of(condition, network.widths[0]) for condition in conditions]
    system = _System(posed, smoothness)
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
    points = np.concatenate([_Posed.of(one, n_features).points for one in conditions])

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
