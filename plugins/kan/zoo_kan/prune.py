"""Remove edges and nodes that carry next to nothing (arXiv 2404.19756, Section 2.5.1)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan.attribution import edge_spreads, factor_effects
from zoo_kan.network import EdgeLayer, KANNetwork

__all__ = ["edge_shares", "prune_network"]

Array = NDArray[np.floating]


def edge_shares(network: KANNetwork, X: Array, weight: Array | None = None) -> list[Array]:
    """How much of its output node's spread each edge makes, handed down from the outputs.

    An edge's share is its standard deviation relative to the sum of those of all edges beside it,
    times the share of the node they lead into; an output's share is 1. A factor of a product has
    the share of the product, or less where it hardly moves it
    (`zoo_kan.attribution.factor_effects`).

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n, n_features)
    weight : ndarray of shape (n,), optional

    Returns
    -------
    list of ndarray of shape (s, i)
        One per layer; pruned edges have 0.
    """
    probability = np.full(len(X), 1.0 / len(X)) if weight is None else weight / weight.sum()
    nodes = network.activations(X)[:-1]
    shares: list[Array] = []
    node_share: Array = np.ones(network.widths[-1])
    for layer, x in zip(network.layers[::-1], nodes[::-1], strict=True):
        spread, sums = edge_spreads(layer, x, probability)
        total = spread.sum(axis=1, keepdims=True)
        share = np.divide(spread, total, out=np.zeros_like(spread), where=total > 0.0)
        effect = np.minimum(factor_effects(layer, sums, probability), 1.0)
        shares.insert(0, share * (node_share[layer.owners] * effect)[:, None])
        node_share = shares[0].max(axis=0)
    return shares


def _entered(layer: EdgeLayer, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which output nodes (o,) an edge leads into."""
    entered = np.zeros(layer.n_out, dtype=bool)
    np.logical_or.at(entered, layer.owners, mask.any(axis=1))
    return entered


def _without_idle_factors(layers: list[EdgeLayer]) -> list[EdgeLayer]:
    """Turn hidden products one of whose factors is constant into sums."""
    layers = list(layers)
    for number in range(len(layers) - 1):
        layer, after = layers[number], layers[number + 1]
        plain = layer.n_sums - 2 * layer.products
        moves = layer.mask[plain:].any(axis=1).reshape(layer.products, 2)
        idle = ~moves.all(axis=1)
        if not idle.any():
            continue
        # the factor that moves, times the one that does not
        pairs = plain + np.arange(2 * layer.products).reshape(layer.products, 2)
        chosen = np.where(moves[:, 0], pairs[:, 0], pairs[:, 1])
        constant = layer.bias[np.where(moves[:, 0], pairs[:, 1], pairs[:, 0])]
        size: Array = np.ones(layer.n_sums)
        size[chosen[idle]] = constant[idle]
        sums = np.concatenate([np.arange(plain), chosen[idle], pairs[~idle].ravel()])
        nodes = np.concatenate(
            [np.arange(plain), plain + np.r_[np.nonzero(idle)[0], np.nonzero(~idle)[0]]]
        )
        layers[number] = replace(
            layer,
            coef=(layer.coef * size[:, None, None])[sums],
            base_weight=(layer.base_weight * size[:, None])[sums],
            bias=(layer.bias * size)[sums],
            mask=layer.mask[sums],
            products=int((~idle).sum()),
        )
        layers[number + 1] = _reading(after, nodes)
    return layers


def _reading(layer: EdgeLayer, nodes: NDArray[np.intp]) -> EdgeLayer:
    """The layer with its input nodes in another order, or some of them only."""
    return replace(
        layer,
        lower=layer.lower[nodes],
        upper=layer.upper[nodes],
        coef=layer.coef[:, nodes],
        base_weight=layer.base_weight[:, nodes],
        mask=layer.mask[:, nodes],
    )


def _without_nodes(layers: list[EdgeLayer]) -> list[EdgeLayer]:
    """Drop hidden nodes that nothing flows into or out of."""
    layers = list(layers)
    for number in range(len(layers) - 1):
        before, after = layers[number], layers[number + 1]
        alive = _entered(before, before.mask) & after.mask.any(axis=0)
        if alive.all():
            continue
        if not alive.any():
            alive = np.zeros_like(alive)
            alive[0] = True  # a layer keeps one node: the network is then a constant
        sums = alive[before.owners]
        layers[number] = replace(
            before,
            coef=before.coef[sums],
            base_weight=before.base_weight[sums],
            bias=before.bias[sums],
            mask=before.mask[sums],
            products=int(alive[before.n_out - before.products :].sum()),
        )
        layers[number + 1] = _reading(after, np.flatnonzero(alive))
    return layers


def prune_network(
    network: KANNetwork, X: Array, weight: Array | None = None, *, threshold: float = 0.01
) -> KANNetwork:
    """Remove every edge whose share is below a threshold, then the nodes left without purpose.

    A hidden product one of whose factors has no edges left becomes a sum.

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
        masks[number] = masks[number] & _entered(network.layers[number - 1], masks[number - 1])
    for number in range(len(masks) - 2, -1, -1):
        read = np.asarray(masks[number + 1].any(axis=0))
        masks[number] = masks[number] & read[network.layers[number].owners][:, None]
    layers = []
    x = network.standardise(X)
    for layer, mask in zip(network.layers, masks, strict=True):
        mean = np.tensordot(probability, layer.edges(x), axes=1)  # (s, i)
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
    return replace(network, layers=_without_nodes(_without_idle_factors(layers)))
