"""Products with the Jacobian of a network and with its transpose, without the Jacobian.

A row of the Jacobian is an outer product of a layer's features and the slopes behind it, so both
products are a pass through the layers: forwards for changed parameters, backwards for changed
outputs. Each costs about as much as the forward pass.

Axes: ``n`` rows, ``i`` input nodes, ``s`` sums of edges, ``c`` features of one edge,
``p`` parameters, ``k`` network outputs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.edges import EdgeLayer
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
    sums : list of ndarray of shape (n, s)
        Per layer.
    slopes : list of ndarray of shape (n, s, i)
        Per layer but the first, derivative of its sums by its input nodes.
    outputs : ndarray of shape (n, k)
    """

    rows: slice
    features: list[Array]
    sums: list[Array]
    slopes: list[Array]
    outputs: Array


def _combined(layer: EdgeLayer, sums: Array, moved: Array) -> Array:
    """Change (n, o) of a layer's output nodes where its sums (n, s) change by ``moved``."""
    if not layer.products:
        return moved
    plain = layer.n_sums - 2 * layer.products
    others = sums[:, plain:].reshape(len(sums), layer.products, 2)[:, :, ::-1]
    pairs = moved[:, plain:].reshape(len(sums), layer.products, 2)
    return np.concatenate([moved[:, :plain], (others * pairs).sum(axis=2)], axis=1)


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
            layer.n_in * (layer.coef.shape[2] + 1 + layer.n_sums) for layer in network.layers
        )
        self._size = max(1, _PIECE // per_row)
        self.means: list[Array] = [np.zeros(layer.weights.shape[1:]) for layer in network.layers]
        held = [self._piece(rows) for rows in self._slices()] if len(X) * per_row <= _HELD else []
        means = [mean.copy() for mean in self.means]
        for piece in held or map(self._piece, self._slices()):
            for number, features in enumerate(piece.features):
                means[number] += np.tensordot(share[piece.rows], features, axes=1)
        for piece in held:
            for features, mean in zip(piece.features, means, strict=True):
                np.subtract(features, mean, out=features)
        self.means, self._held = means, held

    def _slices(self) -> Iterator[slice]:
        for start in range(0, len(self.X), self._size):
            yield slice(start, min(start + self._size, len(self.X)))

    def _piece(self, rows: slice) -> Piece:
        piece = Piece(rows, [], [], [], self.network.standardise(self.X[rows]))
        for number, (layer, mean) in enumerate(zip(self.network.layers, self.means, strict=True)):
            if number:
                piece.slopes.append(layer.slopes(piece.outputs))
            features = layer.features(piece.outputs)
            piece.sums.append(layer.sums(features))
            piece.outputs = layer.combine(piece.sums[-1])
            features -= mean
            piece.features.append(features)
        return piece

    def pieces(self) -> Iterator[Piece]:
        """The rows, piece by piece."""
        if self._held:
            yield from self._held
        else:
            yield from map(self._piece, self._slices())

    def _weights(self, vector: Array) -> list[tuple[Array, Array]]:
        """Per layer, weights (i * c, s) and biases (s,) that ``vector`` (p,) holds."""
        parts: list[tuple[Array, Array]] = []
        for number, layer in enumerate(self.network.layers):
            edges, (outs, ins) = self.layout.edges[number], self.layout.ends[number]
            weights = np.zeros(layer.weights.shape)
            weights[outs, ins, : edges.shape[1]] = vector[edges]
            parts.append((weights.reshape(layer.n_sums, -1).T, vector[self.layout.biases[number]]))
        return parts

    def _push(self, piece: Piece, parts: list[tuple[Array, Array]]) -> Array:
        change: Array | None = None
        for number, (weights, bias) in enumerate(parts):
            features = piece.features[number]
            moved = features.reshape(len(features), -1) @ weights + bias
            if change is not None:
                moved += (piece.slopes[number - 1] @ change[..., None])[..., 0]
            change = _combined(self.network.layers[number], piece.sums[number], moved)
        assert change is not None
        return change

    def _pull(self, piece: Piece, outputs: Array, total: Array) -> None:
        back = outputs  # (n, o), then (n, s)
        for number in range(len(self.network.layers) - 1, -1, -1):
            edges, (outs, ins) = self.layout.edges[number], self.layout.ends[number]
            back = self.network.layers[number].pull(back[:, None], piece.sums[number])[:, 0]
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

    def backs(self, piece: Piece) -> list[Array]:
        """Per layer, derivative (n, k, s) of the network's outputs by the layer's sums."""
        n_outputs = piece.outputs.shape[1]
        back: Array = np.broadcast_to(np.eye(n_outputs), (len(piece.outputs), *(n_outputs,) * 2))
        backs = []
        for number in range(len(self.network.layers) - 1, -1, -1):
            back = self.network.layers[number].pull(back, piece.sums[number])
            backs.append(back)
            if number:
                back = back @ piece.slopes[number - 1]
        return backs[::-1]

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
