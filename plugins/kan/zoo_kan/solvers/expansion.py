"""Second-order expansion of the objective around a network, and the steps that follow from it.

Two forms with one interface: with the Gauss-Newton matrix in hand (`DenseExpansion`), O(n p^2 +
p^3), and with products only (`zoo_kan.solvers.krylov`), O(n p) per product.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Layout, Problem

__all__ = ["DenseExpansion", "Expansion", "damped_factor", "determined", "inverse"]

Array = NDArray[np.floating]


class Expansion(Protocol):
    """What a descent needs to know about the objective around a network.

    Attributes
    ----------
    value : float
        Weighted mean loss, without penalties.
    """

    value: float

    def solve(self, damping: float) -> tuple[Array, float] | None:
        """Damped Gauss-Newton step (p,) and the fall of the objective that it promises."""

    def spreads(self) -> list[Array]:
        """Per layer, blocks (e, c, c) of the inverse of the penalised matrix, one per edge."""

    def effective(self) -> float:
        """Parameters that the data determine: all, less those that the penalties do."""


def damped_factor(matrix: Array, damping: float) -> tuple[Any, Array] | None:
    """Cholesky factor of a matrix scaled to unit diagonal and damped, and the scaling."""
    diagonal = np.diag(matrix)
    scale = np.sqrt(np.maximum(diagonal, 1e-24 * diagonal.max() + 1e-30))
    scaled = matrix / scale / scale[:, None]
    scaled[np.diag_indices_from(scaled)] = 1.0 + damping
    try:
        return cho_factor(scaled, lower=True, check_finite=False), scale
    except LinAlgError:
        return None


def inverse(matrix: Array) -> Array:
    """Inverse of a positive semidefinite matrix, regularised as little as it needs."""
    for damping in 10.0 ** np.arange(-14.0, 3.0):
        factor = damped_factor(matrix, damping)
        if factor is not None:
            solution = cho_solve(factor[0], np.eye(len(matrix)), check_finite=False)
            return solution / factor[1] / factor[1][:, None]
    return np.diag(1.0 / np.maximum(np.diag(matrix), 1e-300))


def determined(layout: Layout, penalty: Penalty, spreads: list[Array], last_biases: Array) -> float:
    """Parameters that the data determine, given the blocks of the covariance.

    Parameters
    ----------
    layout : Layout
    penalty : Penalty
    spreads : list of ndarray of shape (e, c, c)
        As `Expansion.spreads` gives them.
    last_biases : ndarray of shape (k,)
        Variances of the output biases.
    """
    priced = penalty.shift * float(last_biases.sum())
    for number, (spread, (outs, ins)) in enumerate(zip(spreads, layout.ends, strict=True)):
        priced += float((spread * penalty.blocks(number, outs, ins)).sum())
    return float(np.clip(layout.size - priced, 0.0, layout.size))


class DenseExpansion:
    """The expansion with the Gauss-Newton matrix formed and factored.

    Parameters
    ----------
    problem : Problem
    network : KANNetwork
    layout : Layout
    penalty : Penalty
        Prepared for the network's grids.
    """

    def __init__(
        self, problem: Problem, network: KANNetwork, layout: Layout, penalty: Penalty
    ) -> None:
        self._layout, self._penalty = layout, penalty
        self._normal = problem.normal(network, layout)
        penalty.add_to(layout, layout.pack(network), self._normal.gradient, self._normal.curvature)
        self._covariance: Array | None = None
        self.value = self._normal.value

    def solve(self, damping: float) -> tuple[Array, float] | None:
        """Damped Gauss-Newton step (p,) and the fall of the objective that it promises."""
        gradient, curvature = self._normal.gradient, self._normal.curvature
        factor = damped_factor(curvature, damping)
        if factor is None:
            return None
        step = -cho_solve(factor[0], gradient / factor[1], check_finite=False) / factor[1]
        promised = -(gradient @ step + 0.5 * step @ curvature @ step)
        return self._normal.uncentre(step), float(promised)

    def _inverse(self) -> Array:
        if self._covariance is None:
            self._covariance = inverse(self._normal.curvature)
        return self._covariance

    def spreads(self) -> list[Array]:
        """Per layer, blocks (e, c, c) of the inverse of the penalised matrix, one per edge."""
        covariance = self._inverse()
        return [covariance[edges[:, :, None], edges[:, None, :]] for edges in self._layout.edges]

    def effective(self) -> float:
        """Parameters that the data determine: all, less those that the penalties do."""
        variances = np.diag(self._inverse())[self._layout.biases[-1]]
        return determined(self._layout, self._penalty, self.spreads(), variances)
