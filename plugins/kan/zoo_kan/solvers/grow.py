"""Larger networks that compute what a smaller one does, to go on training from.

A random start of a deep network often ends in a poor minimum. A layer of straight edges between
two layers changes nothing, and neither does a node whose outgoing edges are zero; training then
bends what pays. The additive model with a layer behind it is a generalised additive model that
learns its own link; the nodes x + y and x - y beside it make a product, for the inputs x and y
whose product explains most of what the additive model leaves.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.solvers.start import node_range

__all__ = ["from_additive", "pair_starts", "strongest_pairs", "with_layer"]

Array = NDArray[np.floating]

_OUTLIER = 3.0  # standard deviations beyond which inputs count as that far


def _straight(x: Array, *, like: EdgeLayer) -> EdgeLayer:
    """A layer of as many nodes out as in whose edges ``i`` to ``i`` are the identity."""
    n, n_basis = x.shape[1], like.coef.shape[2]
    lower, upper = node_range(x)
    # a spline with coefficients at their basis functions' centres is the identity
    centre = (np.arange(n_basis) - (like.order - 1) / 2) / like.grid
    coef = np.zeros((n, n, n_basis))
    coef[np.arange(n), np.arange(n)] = lower[:, None] + centre * (upper - lower)[:, None]
    return EdgeLayer(
        lower=lower,
        upper=upper,
        coef=coef,
        base_weight=np.zeros((n, n)),
        bias=np.zeros(n),
        mask=np.ones((n, n), dtype=bool),
        order=like.order,
        base=like.base,
    )


def with_layer(network: KANNetwork, X: Array, place: int) -> KANNetwork:
    """Put a layer of straight edges behind a layer.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n, n_features)
        Raw inputs; the new grids cover the nodes on them.
    place : int
        Which layer, 0 the first; the last one's nodes are the outputs.

    Returns
    -------
    KANNetwork
        The same function on ``X``. The input is left unchanged.
    """
    x = network.activations(X)[place + 1]
    layers = list(network.layers)
    layers.insert(place + 1, _straight(x, like=layers[place]))
    return replace(network, layers=layers)


def strongest_pairs(x: Array, residual: Array, share: Array, count: int) -> list[tuple[int, int]]:
    """Pairs of inputs whose products explain most of what an additive model leaves.

    Parameters
    ----------
    x : ndarray of shape (n, i)
        Standardised inputs.
    residual : ndarray of shape (n, k)
    share : ndarray of shape (n,)
        Weights that sum to 1.
    count : int
        How many pairs; each input is in at most one, as long as there are others.

    Returns
    -------
    list of (int, int)
        The strongest first.
    """
    n_inputs = x.shape[1]
    bounded = np.clip(x, -_OUTLIER, _OUTLIER)
    curves = np.concatenate([bounded, bounded**2 - 1.0], axis=1)  # (n, 2 i)
    strength = np.zeros((n_inputs, n_inputs))
    for column in residual.T:
        moments = (curves * (share * column)[:, None]).T @ curves
        strength += (moments**2).reshape(2, n_inputs, 2, n_inputs).sum(axis=(0, 2))
    rows, columns = np.triu_indices(n_inputs, 1)
    ranked = np.argsort(-strength[rows, columns], kind="stable")
    ordered = [(int(rows[place]), int(columns[place])) for place in ranked]
    taken: list[tuple[int, int]] = []
    while ordered and len(taken) < count:
        used = {node for pair in taken for node in pair}
        free = [pair for pair in ordered if not used & set(pair)]
        taken.append((free or ordered)[0])
        ordered.remove(taken[-1])
    return taken


def from_additive(network: KANNetwork, X: Array, directions: Array, *, keep: bool) -> KANNetwork:
    """A network with one hidden layer whose nodes are straight directions in the inputs.

    Parameters
    ----------
    network : KANNetwork
        Without hidden layers.
    X : ndarray of shape (n, n_features)
        Raw inputs.
    directions : ndarray of shape (m, n_features)
        Weights of the standardised inputs in each node. The node's outgoing edges are zero.
    keep : bool
        Whether the outputs of ``network`` are hidden nodes as well, and the new outputs.

    Returns
    -------
    KANNetwork
        The input is left unchanged.
    """
    layer = network.layers[0]
    x = network.standardise(X)
    identity = _straight(x, like=layer)
    # grids stay those of the layer, which may be wider than these rows
    centre = (np.arange(layer.coef.shape[2]) - (layer.order - 1) / 2) / layer.grid
    line = layer.lower[:, None] + centre * (layer.upper - layer.lower)[:, None]  # (i, b)
    kept = layer.n_out if keep else 0
    first = replace(
        identity,
        lower=layer.lower,
        upper=layer.upper,
        coef=np.concatenate([layer.coef[:kept], directions[:, :, None] * line]),
        base_weight=np.concatenate([layer.base_weight[:kept], np.zeros(directions.shape)]),
        bias=np.concatenate([layer.bias[:kept], np.zeros(len(directions))]),
        mask=np.ones((kept + len(directions), layer.n_in), dtype=bool),
    )
    straight = _straight(first.forward(x), like=layer)
    outgoing = np.zeros((layer.n_out, *straight.coef.shape[1:]))
    outgoing[:kept] = straight.coef[:kept]
    second = replace(
        straight,
        coef=outgoing,
        base_weight=np.zeros((layer.n_out, first.n_out)),
        bias=np.zeros(layer.n_out),
        mask=np.ones((layer.n_out, first.n_out), dtype=bool),
    )
    return replace(network, layers=[first, second])


def pair_starts(
    network: KANNetwork, X: Array, residual: Array, share: Array, width: int
) -> list[KANNetwork]:
    """Networks with a hidden layer of ``width`` nodes to start from, given the additive model.

    Parameters
    ----------
    network : KANNetwork
        The additive model, trained.
    X : ndarray of shape (n, n_features)
        Raw inputs.
    residual : ndarray of shape (n, k)
        What it leaves unexplained.
    share : ndarray of shape (n,)
        Weights that sum to 1.
    width : int

    Returns
    -------
    list of KANNetwork
        The additive model with a link where ``width`` is the number of outputs, pairs of inputs
        beside it or without it where they make up that number, or none.
    """
    n_outputs, n_inputs = residual.shape[1], X.shape[1]
    starts = []
    for kept in (n_outputs, 0):
        if width < kept or (width - kept) % 2 or (width == kept == 0):
            continue
        count = (width - kept) // 2
        if count > n_inputs * (n_inputs - 1) // 2:
            continue
        pairs = strongest_pairs(network.standardise(X), residual, share, count)
        directions = np.zeros((2 * count, n_inputs))
        for number, (first, second) in enumerate(pairs):
            directions[2 * number : 2 * number + 2, first] = np.sqrt(0.5)
            directions[2 * number : 2 * number + 2, second] = np.sqrt(0.5), -np.sqrt(0.5)
        starts.append(from_additive(network, X, directions, keep=kept > 0))
    return starts
