"""Gauss-Newton steps by preconditioned conjugate gradients, for thousands of parameters.

The matrix is never formed: it is applied by two passes through the layers (`products`). The
preconditioner holds its diagonal blocks, one per output node of a layer (all edges into the node
and its bias), estimated on part of the rows; they also stand in for the inverse where prices are
learned, as if parameters of different nodes were independent.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.expansion import damped_factor, determined, inverse
from zoo_kan.solvers.matvec import Piece, Products
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Layout, Problem

__all__ = ["KrylovExpansion"]

Array = NDArray[np.floating]
IntArray = NDArray[np.intp]

_WIDEST = 400  # parameters of one block
_LEAST_ROWS = 2000  # that blocks are estimated on, or ten per parameter of the widest
_MOST_ITERATIONS = 60
_LEAST_DAMPING = 1e-9  # of the preconditioner, whose blocks may be singular
_RESIDUAL = 0.05  # of the preconditioned norm at which a solution is good enough


@dataclass
class _Block:
    """Part of the matrix: some edges into one node, perhaps with the node's bias."""

    layer: int
    node: int
    members: IntArray  # which of the layer's edges
    positions: IntArray  # of their parameters, then of the bias
    with_bias: bool
    matrix: Array


class KrylovExpansion:
    """The expansion by products with the Jacobian.

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
        self._problem, self._layout, self._penalty = problem, layout, penalty
        self._products = Products(network, layout, problem.X, problem.share)
        outputs, share = self._products.outputs(), problem.share
        self.value = float(share @ problem.terms.value(outputs, problem.T))
        self._priced = [penalty.blocks(number, *ends) for number, ends in enumerate(layout.ends)]
        vector = layout.pack(network)
        pull = problem.terms.gradient(outputs, problem.T) * share[:, None]
        self._gradient = self._products.pull(pull) + self._price(vector)
        self._blocks = self._diagonal_blocks(network)
        self._diagonal = np.ones(layout.size)
        for block in self._blocks:
            self._diagonal[block.positions] = np.diag(block.matrix)
        self._covariance: tuple[list[Array], Array] | None = None

    def _price(self, vector: Array) -> Array:
        """Penalty matrix times ``vector`` (p,)."""
        layout, product = self._layout, np.zeros(self._layout.size)
        product[layout.biases[-1]] = self._penalty.shift * vector[layout.biases[-1]]
        for edges, blocks in zip(layout.edges, self._priced, strict=True):
            product[edges] = (blocks @ vector[edges][..., None])[..., 0]
        return product

    def _apply(self, vector: Array) -> Array:
        """Penalised Gauss-Newton matrix times ``vector`` (p,)."""
        terms, share = self._problem.terms, self._problem.share

        def middle(piece: Piece, change: Array) -> Array:
            return terms.curvature(piece.outputs, change) * share[piece.rows, None]

        return self._products.through(vector, middle) + self._price(vector)

    def _groups(self) -> list[_Block]:
        """Edges and biases by output node, in parts of at most `_WIDEST` parameters."""
        groups = []
        for number, edges in enumerate(self._layout.edges):
            most = max(1, _WIDEST // max(1, edges.shape[1]))
            for node, bias in enumerate(self._layout.biases[number]):
                mine = np.flatnonzero(self._layout.ends[number][0] == node)
                for first in range(0, max(1, len(mine)), most):
                    members = mine[first : first + most]
                    own = [bias] if first == 0 else []
                    positions = np.concatenate([edges[members].ravel(), own]).astype(np.intp)
                    matrix = np.zeros((len(positions), len(positions)))
                    groups.append(_Block(number, node, members, positions, first == 0, matrix))
        return groups

    def _sample(self, wanted: int, network: KANNetwork) -> Products:
        """The Jacobian on every so-manyth row, about ``wanted`` of them."""
        problem = self._problem
        stride = max(1, len(problem.X) // wanted)
        if stride == 1:
            return self._products
        share = problem.share[::stride]
        return Products(network, self._layout, problem.X[::stride], share / share.sum())

    def _diagonal_blocks(self, network: KANNetwork) -> list[_Block]:
        groups = self._groups()
        widest = max(len(group.positions) for group in groups)
        sample = self._sample(max(_LEAST_ROWS, 10 * widest), network)
        for piece in sample.pieces():
            pulls = [
                (self._problem.terms.curvature_root(piece.outputs, back) ** 2).sum(axis=1)
                * sample.share[piece.rows, None]
                for back in sample.backs(piece)
            ]
            for group in groups:
                ins = self._layout.ends[group.layer][1][group.members]
                per_edge = self._layout.edges[group.layer].shape[1]
                features = piece.features[group.layer][:, ins, :per_edge]
                flat = features.reshape(len(features), -1)
                if group.with_bias:
                    flat = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
                pull = pulls[group.layer][:, group.node]
                group.matrix += (flat * pull[:, None]).T @ flat
        for group in groups:
            blocks = self._priced[group.layer][group.members]
            for place, block in enumerate(blocks):
                span = slice(place * len(block), (place + 1) * len(block))
                group.matrix[span, span] += block
            if group.with_bias and group.layer == len(self._layout.edges) - 1:
                group.matrix[-1, -1] += self._penalty.shift
        return groups

    def solve(self, damping: float) -> tuple[Array, float] | None:
        """Damped Gauss-Newton step (p,) and the fall of the objective that it promises."""
        factors: list[tuple[Any, Array]] = []
        for block in self._blocks:
            factor = damped_factor(block.matrix, max(damping, _LEAST_DAMPING))
            if factor is None:
                return None
            factors.append(factor)

        def precondition(residual: Array) -> Array:
            solution = np.empty_like(residual)
            for block, (factor, scale) in zip(self._blocks, factors, strict=True):
                part = residual[block.positions] / scale
                solution[block.positions] = cho_solve(factor, part, check_finite=False) / scale
            return solution

        added = damping * self._diagonal
        step = np.zeros(self._layout.size)
        residual = -self._gradient
        direction = conditioned = precondition(residual)
        energy = float(residual @ conditioned)
        enough = _RESIDUAL**2 * energy
        for _ in range(_MOST_ITERATIONS):
            if not energy > enough:
                break
            product = self._apply(direction) + added * direction
            bend = float(direction @ product)
            if not bend > 0.0 or not np.isfinite(bend):
                break
            step += (energy / bend) * direction
            residual -= (energy / bend) * product
            conditioned = precondition(residual)
            before, energy = energy, float(residual @ conditioned)
            direction = conditioned + (energy / before) * direction
        # residual = -gradient - (matrix + added) step
        promised = 0.5 * float(step @ (residual - self._gradient) + step @ (added * step))
        return self._products.uncentre(step), promised

    def _spread(self) -> tuple[list[Array], Array]:
        """Inverses of the blocks, cut into those of the edges."""
        layout = self._layout
        spreads: list[Array] = []
        for edges in layout.edges:
            spreads.append(np.zeros((*edges.shape, edges.shape[1])))
        variances: Array = np.zeros(layout.size)
        for block in self._blocks:
            covariance = inverse(block.matrix)
            variances[block.positions] = np.diag(covariance)
            per_edge = layout.edges[block.layer].shape[1]
            for place, member in enumerate(block.members):
                span = slice(place * per_edge, (place + 1) * per_edge)
                spreads[block.layer][member] = covariance[span, span]
        return spreads, variances

    def spreads(self) -> list[Array]:
        """Per layer, blocks (e, c, c) of the inverse of the penalised matrix, one per edge."""
        if self._covariance is None:
            self._covariance = self._spread()
        return self._covariance[0]

    def effective(self) -> float:
        """Parameters that the data determine: all, less those that the penalties do."""
        if self._covariance is None:
            self._covariance = self._spread()
        spreads, variances = self._covariance
        last = variances[self._layout.biases[-1]]
        return determined(self._layout, self._penalty, spreads, last)
