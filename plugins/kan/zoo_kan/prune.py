"""Remove edges and nodes that carry next to nothing (arXiv 2404.19756, Section 2.5.1)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import EdgeLayer, KANNetwork

__all__ = ["edge_shares", "prune_network"]

Array = NDArray[np.floating]


def edge_shares(network: KANNetwork, X: Array, weight: Array | None = None) -> list[Array]:
    """How much of its output node's spread each edge makes, handed down from the outputs.

    An edge's share is its standard deviation relative to the sum of those of all edges into its
    node, times the node's own share; an output's share is 1.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n, n_features)
    weight : ndarray of shape (n,), optional

    Returns
    -------
    list of ndarray of shape (o, i)
        One per layer; pruned edges have 0.
    """
    probability = np.full(len(X), 1.0 / len(X)) if weight is None else weight / weight.sum()
    nodes = network.activations(X)[:-1]
    shares: list[Array] = []
    for layer, x in zip(network.layers, nodes, strict=True):
        edges = layer.edges(x)  # (n, o, i)
        mean = np.tensordot(probability, edges, axes=1)
        spread = np.sqrt(np.tensordot(probability, (edges - mean) ** 2, axes=1)) * layer.mask
        total = spread.sum(axis=1, keepdims=True)
        shares.append(np.divide(spread, total, out=np.zeros_like(spread), where=total > 0.0))
    node_share = np.ones(network.layers[-1].n_out)
    for number in range(len(shares) - 1, -1, -1):
        shares[number] = shares[number] * node_share[:, None]
        node_share = shares[number].max(axis=0)
    return shares


def _without_nodes(layers: list[EdgeLayer]) -> list[EdgeLayer]:
    """Drop hidden nodes that nothing flows into or out of."""
    layers = list(layers)
    for number in range(len(layers) - 1):
        before, after = layers[number], layers[number + 1]
        alive = before.mask.any(axis=1) & after.mask.any(axis=0)
        if alive.all():
            continue
        if not alive.any():
            alive = np.zeros_like(alive)
            alive[0] = True  # a layer keeps one node: the network is then a constant
        layers[number] = replace(
            before,
            coef=before.coef[alive],
            base_weight=before.base_weight[alive],
            bias=before.bias[alive],
            mask=before.mask[alive],
        )
        layers[number + 1] = replace(
            after,
            lower=after.lower[alive],
            upper=after.upper[alive],
            coef=after.coef[:, alive],
            base_weight=after.base_weight[:, alive],
            mask=after.mask[:, alive],
        )
    return layers


def prune_network(
    network: KANNetwork, X: Array, weight: Array | None = None, *, threshold: float = 0.01
) -> KANNetwork:
    """Remove every edge whose share is below a threshold, then the nodes left without purpose.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n, n_features)
        Rows on which the edges are measured. A removed edge leaves its mean over them in the bias.
    weight : ndarray of shape (n,), optional
    threshold : float
        Smallest share that stays, as `edge_shares` gives it.

    Returns
    -------
    KANNetwork
        The input is left unchanged.
    """
    probability = np.full(len(X), 1.0 / len(X)) if weight is None else weight / weight.sum()
    shares = edge_shares(network, X, weight)
    masks = [
        np.asarray(layer.mask & (share >= threshold))
        for layer, share in zip(network.layers, shares, strict=True)
    ]
    # an edge out of a node that nothing enters, or into one that leads nowhere, goes as well
    for number in range(1, len(masks)):
        masks[number] = masks[number] & masks[number - 1].any(axis=1)
    for number in range(len(masks) - 2, -1, -1):
        masks[number] = masks[number] & masks[number + 1].any(axis=0, keepdims=True).T
    layers = []
    x = network.standardise(X)
    for layer, mask in zip(network.layers, masks, strict=True):
        mean = np.tensordot(probability, layer.edges(x), axes=1)  # (o, i)
        removed = np.logical_and(layer.mask, ~mask)
        pruned = replace(
            layer,
            coef=layer.coef * mask[..., None],
            base_weight=layer.base_weight * mask,
            bias=layer.bias + (mean * removed).sum(axis=1),
            mask=mask,
        )
        layers.append(pruned)
        x = pruned.forward(x)
    return replace(network, layers=_without_nodes(layers))
