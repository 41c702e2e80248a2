"""Equations that a network shall satisfy at points, and their sum of squares.

Axes: ``n`` points, ``f`` input features, ``k`` network outputs, ``d`` directions, ``p`` parameters.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_kan import spline
from zoo_kan.jets import Jet, Trace, trace
from zoo_kan.network import KANNetwork
from zoo_kan.solvers.problem import Layout

__all__ = ["Condition", "Equation", "PosedCondition", "System", "linear"]

Array = NDArray[np.floating]
Equation = Callable[[Array, Jet], tuple[Array, Jet]]

_CHUNK = 4_000_000  # largest number of Jacobian entries held at a time


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
class PosedCondition:
    """A condition with its arrays checked."""

    points: Array
    directions: Array
    equation: Equation
    weight: float  # of every squared residual

    @classmethod
    def of(cls, condition: Condition, n_features: int) -> "PosedCondition":
        """Check a condition for a network of ``n_features`` inputs; ValueError says what is off."""
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
class System:
    """All conditions and the price of roughness, as one sum of squares."""

    conditions: list[PosedCondition]
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
