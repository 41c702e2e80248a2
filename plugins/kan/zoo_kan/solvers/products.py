"""Products with the Jacobian of a network and with its transpose, without the Jacobian.

A row of the Jacobian is an outer product of a layer's features and the slopes behind it, so both
products are a pass through the layers: forwards for changed parameters, backwards for changed
outputs. Each costs about as much as the forward pass.

Axes: ``n`` rows, ``i`` input nodes, ``o`` output nodes, ``c`` features of one edge,
``p`` parameters, ``k`` network outputs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.problem import Layout, Normal

__all__ = ["Piece", "Products"]

Array = NDArray[np.floating]

_HELD = 40_000_000  # features and slopes that are kept; beyond, every product computes them anew
_PIECE = 4_000_000  # features and slopes of one piece


@dataclass
class Piece:
    """A network's behaviour on some rows.

    Attributes
    ----------
    rows : slice
    features : list of ndarray of shape (n, i, c)
        Per layer, less their means on all rows.
    slopes : list of ndarray of shape (n, o, i)
        Per layer but the first, derivative of its output nodes by its input nodes.
    outputs : ndarray of shape (n, k)
    """

    rows: slice
    features: list[Array]
    slopes: list[Array]
    outputs: Array

    def back(self) -> list[Array]:
        """Per layer, derivative (n, k, o) of the network's outputs by the layer's output nodes."""
        n_outputs = self.outputs.shape[1]
        backs = [np.broadcast_to(np.eye(n_outputs), (len(self.outputs), n_outputs, n_outputs))]
        for slopes in self.slopes[::-1]:
            backs.append(backs[-1] @ slopes)
        return backs[::-1]


class Products:
    """Jacobian of a network's outputs by its parameters, as a linear operator.

    Parameters are centred: an edge is taken less its mean on the data, which the bias carries.

    Parameters
    ----------
    network : KANNetwork
    layout : Layout
    X : ndarray of shape (n, n_features)
        Raw inputs.
    share : ndarray of shape (n,)
        Weights that sum to 1, of the means.
    """

    def __init__(self, network: KANNetwork, layout: Layout, X: Array, share: Array) -> None:
        self.network, self.layout, self.X, self.share = network, layout, X, share
        per_row = sum(
            layer.n_in * (layer.coef.shape[2] + 1 + layer.n_out) for layer in network.layers
        )
        self._size = max(1, _PIECE // per_row)
        self.means = [np.zeros(layer.weights.shape[1:]) for layer in network.layers]
        held = len(X) * per_row <= _HELD
        raw = [self._piece(rows) for rows in self._slices()] if held else []
        for piece in raw or self.pieces():
            for mean, features in zip(self.means, piece.features, strict=True):
                mean += np.tensordot(share[piece.rows], features, axes=1)
        for piece in raw:
            for mean, features in zip(self.means, piece.features, strict=True):
                features -= mean
        self._held = raw

    def _slices(self) -> Iterator[slice]:
        for start in range(0, len(self.X), self._size):
            yield slice(start, min(start + self._size, len(self.X)))

    def _piece(self, rows: slice) -> Piece:
        x = self.network.standardise(self.X[rows])
        features, slopes = [], []
        for number, layer in enumerate(self.network.layers):
            if number:
                slopes.append(layer.slopes(x))
            features.append(layer.features(x))
            flat = features[-1].reshape(len(x), -1)
            x = flat @ layer.weights.reshape(layer.n_out, -1).T + layer.bias
        for mean, part in zip(self.means, features, strict=True):
            part -= mean
        return Piece(rows, features, slopes, x)

    def pieces(self) -> Iterator[Piece]:
        """The rows, piece by piece."""
        if self._held:
            yield from self._held
        else:
            yield from map(self._piece, self._slices())

    def _weights(self, vector: Array) -> list[tuple[Array, Array]]:
        """Per layer, weights (i * c, o) and biases (o,) that ``vector`` (p,) holds."""
        parts = []
        for number, layer in enumerate(self.network.layers):
            edges, (outs, ins) = self.layout.edges[number], self.layout.ends[number]
            weights = np.zeros(layer.weights.shape)
            weights[outs, ins, : edges.shape[1]] = vector[edges]
            parts.append(
                (weights.reshape(layer.n_out, -1).T, vector[self.layout.biases[number]])
            )
        return parts

    def _push(self, piece: Piece, parts: list[tuple[Array, Array]]) -> Array:
        change: Array | None = None
        for number, (weights, bias) in enumerate(parts):
            features = piece.features[number]
            moved = features.reshape(len(features), -1) @ weights + bias
            if change is not None:
                moved += (piece.slopes[number - 1] @ change[..., None])[..., 0]
            change = moved
        assert change is not None
        return change

    def _pull(self, piece: Piece, outputs: Array, total: Array) -> None:
        back = outputs
        for number in range(len(self.network.layers) - 1, -1, -1):
            edges, (outs, ins) = self.layout.edges[number], self.layout.ends[number]
            features = piece.features[number]
            full = (back.T @ features.reshape(len(features), -1)).reshape(
                back.shape[1], *features.shape[1:]
            )
            total[edges] += full[outs, ins, : edges.shape[1]]
            total[self.layout.biases[number]] += back.sum(axis=0)
            if number:
                back = (back[:, None, :] @ piece.slopes[number - 1])[:, 0]

    def uncentre(self, step: Array) -> Array:
        """Step (p,) in the parameters that is ``step`` in the centred ones."""
        layout = self.layout
        return Normal(0.0, step, np.empty((0, 0)), layout, self.means).uncentre(step)

    def outputs(self) -> Array:
        """Output nodes (n, k) of the network."""
        return np.concatenate([piece.outputs for piece in self.pieces()])

    def push(self, vector: Array) -> Array:
        """Change (n, k) of the outputs for a change ``vector`` (p,) of the centred parameters."""
        parts = self._weights(vector)
        return np.concatenate([self._push(piece, parts) for piece in self.pieces()])

    def through(self, vector: Array, middle: Callable[[Piece, Array], Array]) -> Array:
        """``pull(middle(push(vector)))`` in one pass, ``middle`` taking rows piece by piece."""
        parts, total = self._weights(vector), np.zeros(self.layout.size)
        for piece in self.pieces():
            self._pull(piece, middle(piece, self._push(piece, parts)), total)
        return total

    def pull(self, outputs: Array) -> Array:
        """Gradient (p,) by the centred parameters for one ``outputs`` (n, k) by the outputs."""
        total = np.zeros(self.layout.size)
        for piece in self.pieces():
            self._pull(piece, outputs[piece.rows], total)
        return total
