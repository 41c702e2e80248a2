"""Loss of a network on a data set, its gradient and its Gauss-Newton matrix.

Parameters are laid out layer by layer: the weights ``(s, i, b + 1)`` of the edges that are not
pruned, then the biases ``(s,)``. A row of the Jacobian is an outer product of features and
back-propagated slopes, so no differentiation tape is kept.

Axes: ``n`` rows, ``i`` input nodes, ``s`` sums of edges, ``o`` output nodes (sums, or products of
two), ``b`` basis functions, ``p`` parameters, ``k`` network outputs.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.solvers.loss import LOSSES, Loss

__all__ = ["Layout", "Normal", "Problem", "count_rows"]

Array = NDArray[np.floating]
IntArray = NDArray[np.intp]

_CHUNK = 4_000_000  # largest number of Jacobian entries held at a time


def count_rows(weight: Array) -> float:
    """Count observations: the sum of the weights (n,) where they are frequencies.

    Weights that sum to less than the number of rows cannot be frequencies; they are taken as
    relative importance, and it is the rows that count.
    """
    return max(float(weight.sum()), float(len(weight)))


@dataclass(frozen=True)
class Layout:
    """Where each parameter of a network stands in one flat vector.

    Attributes
    ----------
    edges : list of int ndarray of shape (e, c)
        Per layer, positions of the weights of each edge that is not pruned; ``c`` is ``b + 1``,
        or ``b`` without a base function.
    ends : list of (int ndarray of shape (e,), int ndarray of shape (e,))
        Per layer, sum and input node of those edges.
    biases : list of int ndarray of shape (s,)
        Per layer, positions of the biases.
    size : int
        Length of the vector.
    """

    edges: list[IntArray]
    ends: list[tuple[IntArray, IntArray]]
    biases: list[IntArray]
    size: int

    @classmethod
    def of(cls, network: KANNetwork) -> "Layout":
        """Layout of a network's parameters."""
        edges, ends, biases, start = [], [], [], 0
        for layer in network.layers:
            per_edge = layer.coef.shape[2] + (layer.base != "none")
            outs, ins = np.nonzero(layer.mask)
            count = len(outs) * per_edge
            edges.append(start + np.arange(count).reshape(len(outs), per_edge))
            ends.append((outs, ins))
            biases.append(start + count + np.arange(layer.n_sums))
            start += count + layer.n_sums
        return cls(edges, ends, biases, start)

    def pack(self, network: KANNetwork) -> Array:
        """Parameters of ``network`` as one vector (p,)."""
        vector = np.empty(self.size)
        for layer, edges, (outs, ins), bias in zip(
            network.layers, self.edges, self.ends, self.biases, strict=True
        ):
            vector[edges] = layer.weights[outs, ins, : edges.shape[1]]
            vector[bias] = layer.bias
        return vector

    def unpack(self, network: KANNetwork, vector: Array) -> KANNetwork:
        """Copy of ``network`` with the parameters ``vector`` (p,)."""
        layers = []
        for layer, edges, (outs, ins), bias in zip(
            network.layers, self.edges, self.ends, self.biases, strict=True
        ):
            weights = np.zeros((layer.n_sums, layer.n_in, layer.coef.shape[2] + 1))
            weights[outs, ins, : edges.shape[1]] = vector[edges]
            layers.append(
                replace(
                    layer,
                    coef=weights[..., :-1].copy(),
                    base_weight=weights[..., -1].copy(),
                    bias=vector[bias],
                )
            )
        return replace(network, layers=layers)


@dataclass
class _Trace:
    """What a forward pass leaves behind for the backward one."""

    nodes: list[Array]
    features: list[Array]
    sums: list[Array]


@dataclass
class Problem:
    """Rows to fit and how to judge the fit.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Raw inputs.
    T : ndarray of shape (n, k)
        Targets: standardised values, one-hot classes, or 0 and 1 in one column.
    weight : ndarray of shape (n,)
        Positive. A row of weight 2 counts as two equal rows.
    loss : {"squared", "logistic"}
    """

    X: Array
    T: Array
    weight: Array
    loss: str = "squared"
    _cached: tuple[tuple[bytes, ...], Array] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.terms: Loss = LOSSES[self.loss]

    @property
    def total(self) -> float:
        """Number of observations."""
        return count_rows(self.weight)

    @property
    def share(self) -> Array:
        """Weights (n,) that sum to 1."""
        return self.weight / self.weight.sum()

    def _features(self, layer: EdgeLayer, x: Array, *, first: bool) -> Array:
        if not first or len(x) != len(self.X):
            return layer.features(x)
        # the first layer's inputs never move, so its features are computed once per grid
        key = (
            layer.lower.tobytes(),
            layer.upper.tobytes(),
            repr((layer.grid, layer.order, layer.base)).encode(),
        )
        if self._cached is None or self._cached[0] != key:
            self._cached = (key, layer.features(x))
        return self._cached[1]

    def _trace(self, network: KANNetwork, rows: slice) -> _Trace:
        trace = _Trace([network.standardise(self.X[rows])], [], [])
        for number, layer in enumerate(network.layers):
            trace.features.append(self._features(layer, trace.nodes[-1], first=number == 0))
            trace.sums.append(layer.sums(trace.features[-1]))
            trace.nodes.append(layer.combine(trace.sums[-1]))
        return trace

    def _chunks(self, per_row: int) -> list[slice]:
        size = max(1, _CHUNK // max(1, per_row))
        return [slice(start, start + size) for start in range(0, len(self.X), size)]

    def _per_row(self, network: KANNetwork) -> int:
        return max(layer.n_in * (layer.coef.shape[2] + 1) for layer in network.layers)

    def outputs(self, network: KANNetwork) -> Array:
        """Output nodes (n, k), not rescaled."""
        parts = [
            self._trace(network, rows).nodes[-1] for rows in self._chunks(self._per_row(network))
        ]
        return np.concatenate(parts)

    def value(self, network: KANNetwork) -> float:
        """Weighted mean loss; infinite rather than NaN where the network overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(self.share @ self.terms.value(self.outputs(network), self.T))
        return value if np.isfinite(value) else np.inf

    def gradient(self, network: KANNetwork, layout: Layout) -> tuple[float, Array]:
        """Weighted mean loss and its gradient (p,) by the parameters."""
        value, gradient = 0.0, np.zeros(layout.size)
        for rows in self._chunks(self._per_row(network)):
            trace = self._trace(network, rows)
            share = self.share[rows]
            z, t = trace.nodes[-1], self.T[rows]
            value += float(share @ self.terms.value(z, t))
            back: Array = self.terms.gradient(z, t) * share[:, None]  # (n, o)
            for number in range(len(network.layers) - 1, -1, -1):
                layer, features = network.layers[number], trace.features[number]
                edges, (outs, ins) = layout.edges[number], layout.ends[number]
                back = layer.pull(back[:, None], trace.sums[number])[:, 0]  # (n, s)
                flat = features.reshape(len(back), features.shape[1] * features.shape[2])
                full = (back.T @ flat).reshape(layer.n_sums, *features.shape[1:])
                gradient[edges] += full[outs, ins, : edges.shape[1]]
                gradient[layout.biases[number]] += back.sum(axis=0)
                if number:
                    slopes = layer.slopes(trace.nodes[number])  # (n, s, i)
                    back = (back[:, None, :] @ slopes)[:, 0]
        return value, gradient

    def jacobian(self, network: KANNetwork, layout: Layout) -> Array:
        """Derivative (n, k, p) of the output nodes by the parameters."""
        return self._jacobian(network, layout, self._trace(network, slice(None)))

    def _jacobian(self, network: KANNetwork, layout: Layout, trace: _Trace) -> Array:
        z = trace.nodes[-1]
        jacobian = np.empty((len(z), z.shape[1], layout.size))
        back: Array = np.broadcast_to(np.eye(z.shape[1]), (len(z), z.shape[1], z.shape[1]))
        for number in range(len(network.layers) - 1, -1, -1):
            layer, features = network.layers[number], trace.features[number]
            edges, (outs, ins) = layout.edges[number], layout.ends[number]
            back = layer.pull(back, trace.sums[number])  # (n, k, s)
            block = back[:, :, outs, None] * features[:, None, ins, : edges.shape[1]]
            start = edges[0, 0] if edges.size else 0
            jacobian[:, :, start : start + edges.size] = block.reshape(*z.shape, edges.size)
            jacobian[:, :, layout.biases[number]] = back
            if number:
                back = back @ layer.slopes(trace.nodes[number])
        return jacobian

    def edge_curvature(self, network: KANNetwork, layout: Layout) -> list[Array]:
        """Diagonal blocks (e, c, c) per layer of the Gauss-Newton matrix, in centred parameters.

        They cost a fraction of the whole matrix.
        """
        blocks: list[Array] = [
            np.zeros((len(edges), edges.shape[1], edges.shape[1])) for edges in layout.edges
        ]
        means = self._feature_means(network)
        n_outputs = self.T.shape[1]
        widest = max(layer.n_sums for layer in network.layers)
        for rows in self._chunks(max(self._per_row(network), n_outputs**2 * widest)):
            trace = self._trace(network, rows)
            z, share = trace.nodes[-1], self.share[rows]
            back: Array = np.broadcast_to(np.eye(n_outputs), (len(z), n_outputs, n_outputs))
            for number in range(len(network.layers) - 1, -1, -1):
                layer = network.layers[number]
                back = layer.pull(back, trace.sums[number])  # (n, k, s)
                pull = (self.terms.curvature_root(z, back) ** 2).sum(axis=1) * share[:, None]
                outs, ins = layout.ends[number]
                per_edge = layout.edges[number].shape[1]
                features = (trace.features[number] - means[number])[..., :per_edge]
                for node in range(layer.n_in):
                    mine = np.flatnonzero(ins == node)
                    f = features[:, node]
                    weighted = f.T[None] * pull.T[outs[mine]][:, None]  # (e, c, n)
                    blocks[number][mine] += weighted @ f
                if number:
                    back = back @ layer.slopes(trace.nodes[number])
        return blocks

    def _feature_means(self, network: KANNetwork) -> list[Array]:
        means: list[Array] = [
            np.zeros((layer.n_in, layer.coef.shape[2] + 1)) for layer in network.layers
        ]
        for rows in self._chunks(self._per_row(network)):
            for number, features in enumerate(self._trace(network, rows).features):
                means[number] += np.tensordot(self.share[rows], features, axes=1)
        return means

    def normal(self, network: KANNetwork, layout: Layout) -> "Normal":
        """Weighted mean loss, its gradient and its Gauss-Newton matrix in centred parameters."""
        value = 0.0
        gradient, curvature = np.zeros(layout.size), np.zeros((layout.size, layout.size))
        means = [np.zeros((layer.n_in, layer.coef.shape[2] + 1)) for layer in network.layers]
        for rows in self._chunks(layout.size * self.T.shape[1]):
            trace = self._trace(network, rows)
            z, jacobian = trace.nodes[-1], self._jacobian(network, layout, trace)
            share, t = self.share[rows], self.T[rows]
            value += float(share @ self.terms.value(z, t))
            pull = self.terms.gradient(z, t) * share[:, None]
            gradient += pull.ravel() @ jacobian.reshape(z.size, layout.size)
            root = self.terms.curvature_root(z, jacobian).reshape(z.size, layout.size)
            root = root * np.sqrt(np.repeat(share, z.shape[1]))[:, None]
            curvature += root.T @ root
            for number, features in enumerate(trace.features):
                means[number] += np.tensordot(share, features, axes=1)
        normal = Normal(value, gradient, curvature, layout, means)
        normal.centre()
        return normal


@dataclass
class Normal:
    """Second-order expansion of the loss, in centred parameters.

    An edge's constant part and the bias it flows into do the same. So that the matrix tells them
    apart, its biases are those of edges whose mean on the data is zero.

    Attributes
    ----------
    value : float
    gradient : ndarray of shape (p,)
    curvature : ndarray of shape (p, p)
    layout : Layout
    means : list of ndarray of shape (i, c)
        Per layer, mean of every feature on the data.
    """

    value: float
    gradient: Array
    curvature: Array
    layout: Layout
    means: list[Array]

    def centre(self) -> None:
        """Turn the derivatives by the parameters into those by the centred parameters."""
        for edges, owners, mean in self._groups():
            self.gradient[edges] -= self.gradient[owners][:, None] * mean
        for edges, owners, mean in self._groups():
            self.curvature[:, edges] -= self.curvature[:, owners][:, :, None] * mean
        for edges, owners, mean in self._groups():
            self.curvature[edges] -= mean[..., None] * self.curvature[owners][:, None]

    def uncentre(self, step: Array) -> Array:
        """Step (p,) in the parameters that is ``step`` in the centred ones."""
        step = step.copy()
        for edges, owners, mean in self._groups():
            np.subtract.at(step, owners, (step[edges] * mean).sum(axis=1))
        return step

    def _groups(self) -> list[tuple[IntArray, IntArray, Array]]:
        """Per layer, positions of the edges' weights, of their biases, and the features' means."""
        return [
            (edges, bias[outs], mean[ins, : edges.shape[1]])
            for edges, (outs, ins), bias, mean in zip(
                self.layout.edges, self.layout.ends, self.layout.biases, self.means, strict=True
            )
        ]
