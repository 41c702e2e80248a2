"""Pruning of networks."""

import numpy as np

from zoo_kan.prune import edge_shares, prune_network
from zoo_kan.solvers import fit_lm, initial_network


def network(widths=(3, 2, 1), seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (200, widths[0]))
    Y = rng.normal(size=(200, widths[-1]))
    return initial_network(X, Y, list(widths), grid=4, rng=rng), X


def scale_edge(layer, o, i, factor):
    layer.coef[o, i] *= factor
    layer.base_weight[o, i] *= factor


def test__edge_shares__fitted_network__sum_to_the_share_of_their_node():
    net, X = network()
    shares = edge_shares(net, X)
    np.testing.assert_allclose(shares[1].sum(), 1.0)
    np.testing.assert_allclose(shares[0].sum(axis=1), shares[1][0])


def test__prune_network__weak_edge__leaves_its_mean_behind():
    net, X = network((3, 1))
    layer = net.layers[0]
    scale_edge(layer, 0, 1, 1e-3)
    layer.coef[0, 1] += 5.0
    before = net.forward(X)
    pruned = prune_network(net, X, threshold=0.01)
    assert pruned.layers[0].mask.tolist() == [[True, False, True]]
    assert not pruned.layers[0].coef[0, 1].any()
    np.testing.assert_allclose(pruned.forward(X), before, atol=0.01 * before.std())
    np.testing.assert_allclose(pruned.forward(X).mean(), before.mean(), rtol=1e-12)
    assert net.layers[0].mask.all()


def test__prune_network__node_without_way_out__disappears_with_its_edges():
    net, X = network((3, 3, 1))
    scale_edge(net.layers[1], 0, 1, 1e-6)
    pruned = prune_network(net, X, threshold=0.01)
    assert pruned.widths == [3, 2, 1]
    np.testing.assert_allclose(pruned.forward(X), net.forward(X), atol=1e-4)


def test__prune_network__node_without_way_in__becomes_a_constant():
    net, X = network((3, 3, 1))
    net.layers[0].coef[1] = 0.0
    net.layers[0].bias[1] = 0.4
    expected = net.forward(X)
    pruned = prune_network(net, X, threshold=1e-12)
    assert pruned.widths == [3, 2, 1]
    np.testing.assert_allclose(pruned.forward(X), expected, atol=1e-9)


def test__prune_network__weights__measure_on_the_rows_that_count():
    net, X = network((2, 1))
    X = X[:, :2].copy()
    X[:100, 1] = 0.0
    weight = np.r_[np.ones(100), np.zeros(100)]
    assert prune_network(net, X, weight).layers[0].mask.tolist() == [[True, False]]
    assert prune_network(net, X).layers[0].mask.tolist() == [[True, True]]


def test__prune_network__everything__is_the_constant_mean():
    net, X = network((3, 2, 1))
    for layer in net.layers:
        layer.coef[...] *= 0.0
    pruned = prune_network(net, X, threshold=0.5)
    assert pruned.widths == [3, 1, 1]
    assert not any(layer.mask.any() for layer in pruned.layers)
    np.testing.assert_allclose(pruned.forward(X), net.forward(X), atol=1e-12)


def test__prune_network__then_fit__keeps_pruned_edges_out():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (300, 3))
    Y = np.sin(3 * X[:, :1]) + X[:, 1:2] ** 2 + 0.05 * rng.normal(size=(300, 1))
    fitted = fit_lm(initial_network(X, Y, [3, 1], grid=5, rng=rng), X, Y).network
    pruned = prune_network(fitted, X, threshold=0.02)
    assert pruned.layers[0].mask.tolist() == [[True, True, False]]
    again = fit_lm(pruned, X, Y, trained=True).network
    assert not again.layers[0].weights[0, 2].any()
    assert np.mean((again.forward(X) - Y) ** 2) < 1.05 * 0.05**2
