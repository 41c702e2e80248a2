"""Derivatives of a network by its inputs, and the derivatives of those by its weights.

Along a direction ``v`` a network's value, slope and curvature travel through a layer together: with
``x``, ``x'``, ``x''`` at the input nodes,

    y = sum phi(x),   y' = sum phi'(x) x',   y'' = sum phi''(x) x'^2 + phi'(x) x''.

All edge derivatives are closed forms, so residuals of differential equations (arXiv 2404.19756,
Section 3.4) need no differentiation tape: one pass forward gives the jet, one pass backward the
residual's derivative by every weight. Mixed derivatives are differences of curvatures along
``a + b`` and ``a - b``, divided by four.

Axes: ``n`` rows, ``i`` input nodes, ``o`` sums of edges or output nodes (sums, or products of two),
``k`` network outputs, ``d`` directions, ``c`` features of an edge, ``p`` parameters.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_kan.network import EdgeLayer, KANNetwork, base_value
from zoo_kan.solvers.problem import Layout

__all__ = ["Jet", "Trace", "derivatives", "trace"]

Array = NDArray[np.floating]


@dataclass
class Jet:
    """Outputs of a network with their first and second derivatives along directions.

    Attributes
    ----------
    value : ndarray of shape (n, k)
    first : ndarray of shape (n, k, d)
        Derivative along each direction.
    second : ndarray of shape (n, k, d)
        Second derivative along each direction.
    """

    value: Array
    first: Array
    second: Array


@lru_cache
def _pieces(order: int) -> list[Array]:
    """Bells between two knots as polynomials: per derivative 0 to 3, (power, bell).

    ``[1, s, s^2, ...] @ pieces`` are the derivatives of the ``order + 1`` bells that are not zero
    there, lowest centre first, ``s`` from 0 to 1 between the knots.
    """
    powers = np.zeros((order + 1, order + 1))
    for power in range(order + 1):
        for place in range(order + 1):
            powers[power, place] = (
                math.comb(order, power)
                / math.factorial(order)
                * sum(
                    (-1) ** knot
                    * math.comb(order + 1, knot)
                    * (order - place - knot) ** (order - power)
                    for knot in range(order - place + 1)
                )
            )
    found: list[Array] = [powers]
    for _ in range(3):
        lowered = np.zeros_like(powers)
        lowered[:-1] = found[-1][1:] * np.arange(1.0, order + 1.0)[:, None]
        found.append(lowered)
    return found


def _base_slopes(x: Array, base: str) -> list[Array]:
    """The base function and its first three derivatives, each shaped as ``x``."""
    if base != "silu":
        line = base_value(x, base)
        return [line, np.ones_like(x), np.zeros_like(x), np.zeros_like(x)]
    s = 1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))
    s1 = s * (1.0 - s)
    s2 = s1 * (1.0 - 2.0 * s)
    s3 = s1 * (1.0 - 6.0 * s1)
    return [x * s, s + x * s1, 2.0 * s1 + x * s2, 3.0 * s2 + x * s3]


def _features(layer: EdgeLayer, x: Array, upto: int) -> list[Array]:
    """What the weights multiply and its derivatives up to ``upto``, each (n, i, c)."""
    grid, order = layer.grid, layer.order
    u = layer.position(x)
    inside = np.clip(u, 0.0, grid)
    cell = np.clip(np.floor(inside).astype(np.intp), 0, grid - 1)
    # numpy's own power is ten times slower than multiplication
    powers = np.ones((x.size, order + 1))
    powers[:, 1:] = (inside - cell).ravel()[:, None]
    np.multiply.accumulate(powers, axis=1, out=powers)
    per_interval = grid / (layer.upper - layer.lower)
    bases = _base_slopes(x, layer.base) if layer.base != "none" else []
    width = grid + order + len(bases[:1])
    where = (width * np.arange(x.size) + cell.ravel())[:, None] + np.arange(order + 1)
    found: list[Array] = []
    for times, pieces in enumerate(_pieces(order)[: upto + 1]):
        features = np.zeros((*x.shape, width))
        features.ravel()[where] = powers @ pieces
        features *= (per_interval**times)[:, None]
        if bases:
            features[..., -1] = bases[times]
        found.append(features)
    excess = x - layer.lower - inside / per_interval
    outside = u != inside
    if outside.any():  # edges continue along their tangents
        splines = [features[..., : grid + order] for features in found]
        splines[0][outside] += splines[1][outside] * excess[outside][:, None]
        for curved in splines[2:]:
            curved[outside] = 0.0
    return found


@dataclass
class _LayerTrace:
    """What a layer leaves behind: features by derivative, edge derivatives, input jets."""

    features: list[Array]  # (n, i, c), derivatives 0 to 2
    slopes: list[Array]  # (n, o, i), derivatives 1 to 3; the third not in the first layer
    first: Array  # (n, i, d)
    second: Array  # (n, i, d)
    sums: Jet  # of the sums that edges lead into: products multiply two of them


def _combine(layer: EdgeLayer, sums: Jet) -> Jet:
    """Jet of the output nodes, from that of the sums."""
    if not layer.products:
        return sums
    plain = layer.n_sums - 2 * layer.products
    a, b = (
        Jet(sums.value[:, k::2], sums.first[:, k::2], sums.second[:, k::2])
        for k in (plain, plain + 1)
    )
    va, vb = a.value[..., None], b.value[..., None]
    return Jet(
        np.concatenate([sums.value[:, :plain], a.value * b.value], axis=1),
        np.concatenate([sums.first[:, :plain], va * b.first + vb * a.first], axis=1),
        np.concatenate(
            [
                sums.second[:, :plain],
                va * b.second + 2.0 * a.first * b.first + vb * a.second,
            ],
            axis=1,
        ),
    )


def _pull(layer: EdgeLayer, back: Jet, sums: Jet) -> Jet:
    """Derivatives by the jet of the sums, from those by the jet of the output nodes."""
    if not layer.products:
        return back
    plain = layer.n_sums - 2 * layer.products
    owners = layer.owners
    value, first, second = back.value[:, owners], back.first[:, owners], back.second[:, owners]
    # of every factor, the other one: neighbours change places
    other = np.arange(plain, layer.n_sums).reshape(-1, 2)[:, ::-1].ravel()
    pair = Jet(sums.value[:, other], sums.first[:, other], sums.second[:, other])
    v, d, c = value[:, plain:], first[:, plain:], second[:, plain:]
    value[:, plain:] = v * pair.value + (d * pair.first + c * pair.second).sum(axis=2)
    first[:, plain:] = d * pair.value[..., None] + 2.0 * c * pair.first
    second[:, plain:] = c * pair.value[..., None]
    return Jet(value, first, second)


@dataclass
class Trace:
    """A forward pass, from which any residual's derivative by the weights follows.

    Attributes
    ----------
    jet : Jet
        Outputs in raw units.
    """

    jet: Jet
    _layers: list[_LayerTrace]
    _network: KANNetwork

    def jacobian(self, partial: Jet, layout: Layout) -> Array:
        """Derivative (n, p) by the weights of residuals that depend on the jet.

        Parameters
        ----------
        partial : Jet
            Derivative of each row's residual by the entries of its jet.
        layout : Layout
            The network's own.

        Returns
        -------
        ndarray of shape (n, p)
        """
        scale = self._network.output_scale
        value: Array = partial.value * scale
        first: Array = partial.first * scale[:, None]
        second: Array = partial.second * scale[:, None]
        jacobian = np.empty((len(value), layout.size))
        for number in range(len(self._layers) - 1, -1, -1):
            past = self._layers[number]
            edges, (outs, ins) = layout.edges[number], layout.ends[number]
            pulled = _pull(self._network.layers[number], Jet(value, first, second), past.sums)
            value, first, second = pulled.value, pulled.first, pulled.second
            x1, x2 = past.first.transpose(0, 2, 1), past.second.transpose(0, 2, 1)
            # what each derivative of an edge contributes to the residual, (n, o, i)
            pull = [np.broadcast_to(value[..., None], past.slopes[0].shape)]
            pull += [first @ x1 + second @ x2, second @ x1**2]
            block = sum(
                by[:, outs, ins, None] * features[:, ins]
                for by, features in zip(pull, past.features, strict=True)
            )
            jacobian[:, edges.ravel()] = np.reshape(block, (len(value), edges.size))
            jacobian[:, layout.biases[number]] = value
            if number:
                p1, p2, p3 = past.slopes
                value = (pull[0] * p1 + pull[1] * p2 + pull[2] * p3).sum(axis=1)
                p1, p2 = p1.transpose(0, 2, 1), p2.transpose(0, 2, 1)
                first = p1 @ first + 2.0 * (p2 @ second) * past.first
                second = p1 @ second
        return jacobian


def _weights(layer: EdgeLayer) -> Array:
    """Weights of `_features`, (o, i, c)."""
    return layer.weights if layer.base != "none" else layer.weights[..., :-1]


def trace(network: KANNetwork, X: Array, directions: Array | None = None) -> Trace:
    """Pass a network's jet forward and keep what its derivative by the weights needs.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n, n_features)
        Raw inputs.
    directions : ndarray of shape (d, n_features), optional
        By default one along each input.

    Returns
    -------
    Trace
    """
    along = np.eye(X.shape[1]) if directions is None else directions
    x = network.standardise(X)
    first: Array = np.broadcast_to(along.T / network.input_scale[:, None], (*x.shape, len(along)))
    second: Array = np.zeros_like(first)
    layers = []
    for number, layer in enumerate(network.layers):
        features = _features(layer, x, 3 if number else 2)
        weights = _weights(layer).transpose(1, 2, 0)  # (i, c, o)
        slopes: list[Array] = [
            (known.transpose(1, 0, 2) @ weights).transpose(1, 2, 0) for known in features[1:]
        ]
        flat = features[0].reshape(len(x), -1)
        sums = Jet(
            flat @ weights.reshape(-1, layer.n_sums) + layer.bias,
            slopes[0] @ first,
            slopes[1] @ first**2 + slopes[0] @ second,
        )
        layers.append(_LayerTrace(features[:3], slopes, first, second, sums))
        nodes = _combine(layer, sums)
        x, first, second = nodes.value, nodes.first, nodes.second
    scale = network.output_scale
    jet = Jet(x * scale + network.output_mean, first * scale[:, None], second * scale[:, None])
    return Trace(jet, layers, network)


def derivatives(network: KANNetwork, X: ArrayLike, *, directions: ArrayLike | None = None) -> Jet:
    """Outputs of a network with their first and second derivatives, in closed form.

    Parameters
    ----------
    network : KANNetwork
    X : array-like of shape (n, n_features)
        Raw inputs.
    directions : array-like of shape (d, n_features), optional
        Directions to differentiate along, by default along each input: ``second`` then holds the
        diagonal of every output's Hessian matrix.

    Returns
    -------
    Jet

    Raises
    ------
    ValueError
        If X or the directions do not have one column per input of the network.
    """
    rows = np.asarray(X, dtype=np.float64)
    along = np.eye(network.widths[0]) if directions is None else np.asarray(directions, float)
    for name, array in (("X", rows), ("directions", along)):
        if array.ndim != 2 or array.shape[1] != network.widths[0]:
            raise ValueError(
                f"{name} of derivatives must have shape (rows, {network.widths[0]}), one column "
                f"per input of the network. Got {array.shape}."
            )
    return trace(network, rows, along).jet
