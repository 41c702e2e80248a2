"""Larger networks that compute what a smaller one does, to go on training from.

A random start of a deep network often ends in a poor minimum. A layer of straight edges between
two layers changes nothing, and neither does a node whose outgoing edges are zero; training then
bends what pays. The additive model with a layer behind it is a generalised additive model that
learns its own link.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.solvers.start import node_range, random_layer, weighted_moments

__all__ = ["with_layer", "with_node"]

Array = NDArray[np.floating]


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


def with_node(
    network: KANNetwork, X: Array, weight: Array, place: int, *, rng: np.random.Generator
) -> KANNetwork:
    """Put one more sum into a hidden layer, with random edges in and zero edges out.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n, n_features)
        Raw inputs.
    weight : ndarray of shape (n,)
    place : int
        Which layer, 0 the first; not the last one.
    rng : numpy.random.Generator

    Returns
    -------
    KANNetwork
        The same function. The input is left unchanged.
    """
    before, after = network.layers[place], network.layers[place + 1]
    x = network.activations(X)[place]
    fresh = random_layer(x, 1, grid=before.grid, order=before.order, base=before.base, rng=rng)
    fresh = replace(fresh, lower=before.lower, upper=before.upper)
    mean, scale = weighted_moments(fresh.forward(x), weight)
    fresh = fresh.renamed(mean, scale)
    lower, upper = node_range(fresh.forward(x))
    # sums come before the factors of products, and so does the new one
    plain = before.n_sums - 2 * before.products

    def joined(old: Array, new: Array, axis: int = 0) -> Array:
        return np.insert(old, plain, new, axis=axis)

    grown = replace(
        before,
        coef=joined(before.coef, fresh.coef[0]),
        base_weight=joined(before.base_weight, fresh.base_weight[0]),
        bias=joined(before.bias, fresh.bias[0]),
        mask=np.insert(before.mask, plain, values=True, axis=0),
    )
    led = replace(
        after,
        lower=joined(after.lower, lower[0]),
        upper=joined(after.upper, upper[0]),
        coef=joined(after.coef, np.zeros(()), 1),
        base_weight=joined(after.base_weight, np.zeros(()), 1),
        mask=np.insert(after.mask, plain, values=True, axis=1),
    )
    layers = list(network.layers)
    layers[place : place + 2] = [grown, led]
    return replace(network, layers=layers)
