"""The derivatives of the loss, against finite differences and direct sums."""

import numpy as np
import pytest

from zoo_kan.solvers import initial_network
from zoo_kan.solvers.loss import probabilities
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Layout, Problem, count_rows


def build(loss, n_outputs, *, base="silu", order=3, rows=40, products=(0, 0, 0)):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3))
    if loss == "squared":
        T = rng.normal(size=(rows, n_outputs))
    elif n_outputs == 1:
        T = rng.integers(0, 2, (rows, 1)).astype(float)
    else:
        T = np.eye(n_outputs)[rng.integers(0, n_outputs, rows)]
    weight = rng.uniform(0.5, 3.0, rows)
    widths = [2, 2, n_outputs]
    widths = [(n - p, p) if p else n for n, p in zip(widths, products, strict=True)]
    network = initial_network(X, T, [3, *widths], grid=4, order=order, base=base, rng=rng)
    for layer in network.layers:
        layer.base_weight = 0.3 * rng.normal(size=layer.base_weight.shape)
    network.layers[0].mask[1, 2] = False
    network.layers[0].weights = network.layers[0].weights
    return network, Problem(X, T, weight, loss)


CASES = [("squared", 1), ("squared", 2), ("logistic", 1), ("logistic", 3)]


PRODUCTS = [(0, 0, 0), (1, 2, 0), (0, 1, 1)]


@pytest.mark.parametrize("products", PRODUCTS, ids=str)
@pytest.mark.parametrize(("loss", "n_outputs"), CASES)
@pytest.mark.parametrize(("base", "order"), [("silu", 3), ("none", 2)])
def test__gradient__any_loss__equals_finite_differences(loss, n_outputs, base, order, products):
    network, problem = build(loss, n_outputs, base=base, order=order, products=products)
    layout = Layout.of(network)
    vector = layout.pack(network)
    value, gradient = problem.gradient(network, layout)
    assert value == pytest.approx(problem.value(network), rel=1e-13)
    numeric = np.empty_like(gradient)
    for k in range(layout.size):
        step = np.zeros(layout.size)
        step[k] = 1e-6
        upper = problem.value(layout.unpack(network, vector + step))
        lower = problem.value(layout.unpack(network, vector - step))
        numeric[k] = (upper - lower) / 2e-6
    np.testing.assert_allclose(gradient, numeric, atol=2e-9)


@pytest.mark.parametrize("products", PRODUCTS, ids=str)
def test__jacobian__deep_network__equals_finite_differences(products):
    network, problem = build("squared", 2, products=products)
    layout = Layout.of(network)
    vector = layout.pack(network)
    jacobian = problem.jacobian(network, layout)
    for k in range(layout.size):
        step = np.zeros(layout.size)
        step[k] = 1e-6
        upper = problem.outputs(layout.unpack(network, vector + step))
        lower = problem.outputs(layout.unpack(network, vector - step))
        np.testing.assert_allclose(jacobian[:, :, k], (upper - lower) / 2e-6, atol=2e-8)


@pytest.mark.parametrize(("loss", "n_outputs"), CASES)
def test__normal__any_loss__is_the_direct_sum_in_centred_parameters(loss, n_outputs):
    network, problem = build(loss, n_outputs)
    layout = Layout.of(network)
    normal = problem.normal(network, layout)
    z, jacobian = problem.outputs(network), problem.jacobian(network, layout)
    share = problem.weight / problem.weight.sum()
    if loss == "squared":
        inner = np.broadcast_to(np.eye(n_outputs), (len(z), n_outputs, n_outputs))
    else:
        p = probabilities(z)[:, -1:] if n_outputs == 1 else probabilities(z)
        inner = np.array([np.diag(row) - np.outer(row, row) for row in p])
    curvature = np.einsum("n,nkp,nkl,nlq->pq", share, jacobian, inner, jacobian)
    _, gradient = problem.gradient(network, layout)
    # parameters = change @ centred parameters: the bias gives up the mean of its edges
    change = np.stack([normal.uncentre(unit) for unit in np.eye(layout.size)], axis=1)
    np.testing.assert_allclose(normal.curvature, change.T @ curvature @ change, atol=1e-12)
    np.testing.assert_allclose(normal.gradient, change.T @ gradient, atol=1e-12)


def test__normal__constant_added_to_an_edge__is_free_in_centred_parameters():
    network, problem = build("squared", 1)
    layout = Layout.of(network)
    curvature = problem.normal(network, layout).curvature
    flat = np.zeros(layout.size)
    flat[layout.edges[1][0, :-1]] = 1.0  # all splines alike: the sum of the bells is one
    assert abs(flat @ curvature @ flat) < 1e-12
    assert curvature[layout.edges[1][0, 0], layout.edges[1][0, 0]] > 1e-6


def test__normal__many_chunks__equals_one(monkeypatch):
    network, problem = build("logistic", 3)
    layout = Layout.of(network)
    whole = problem.normal(network, layout)
    blocks = problem.edge_curvature(network, layout)
    monkeypatch.setattr("zoo_kan.solvers.problem._CHUNK", 7 * layout.size * 3)
    parts = problem.normal(network, layout)
    np.testing.assert_allclose(parts.curvature, whole.curvature, atol=1e-14)
    for block, other in zip(problem.edge_curvature(network, layout), blocks, strict=True):
        np.testing.assert_allclose(block, other, atol=1e-14)


@pytest.mark.parametrize("products", PRODUCTS, ids=str)
@pytest.mark.parametrize(("loss", "n_outputs"), CASES)
def test__edge_curvature__any_loss__is_the_diagonal_of_the_whole_matrix(loss, n_outputs, products):
    network, problem = build(loss, n_outputs, products=products)
    layout = Layout.of(network)
    whole = problem.normal(network, layout).curvature
    for edges, blocks in zip(layout.edges, problem.edge_curvature(network, layout), strict=True):
        expected = whole[edges[:, :, None], edges[:, None, :]]
        np.testing.assert_allclose(blocks, expected, atol=1e-12)


def test__layout__unpack_after_pack__restores_the_network_and_keeps_pruned_edges_zero():
    network, problem = build("squared", 2)
    layout = Layout.of(network)
    restored = layout.unpack(network, layout.pack(network))
    assert not restored.layers[0].weights[1, 2].any()
    np.testing.assert_array_equal(restored.forward(problem.X), network.forward(problem.X))
    assert layout.size == network.n_parameters


def test__value__weights_as_frequencies__equals_repeated_rows():
    network, problem = build("logistic", 3)
    weight = np.arange(1, 41) % 3 + 1
    weighted = Problem(problem.X, problem.T, weight.astype(float), "logistic")
    repeated = Problem(
        problem.X.repeat(weight, axis=0),
        problem.T.repeat(weight, axis=0),
        np.ones(weight.sum()),
        "logistic",
    )
    assert weighted.value(network) == pytest.approx(repeated.value(network), rel=1e-13)
    assert weighted.total == repeated.total == weight.sum()


def test__count_rows__weights_below_one__counts_the_rows():
    assert count_rows(np.full(10, 0.1)) == 10.0
    assert count_rows(np.full(10, 3.0)) == 30.0


def test__penalty__gradient_and_matrix__are_derivatives_of_its_value():
    network, problem = build("logistic", 3)
    layout = Layout.of(network)
    vector = layout.pack(network)
    penalty = Penalty.uniform(network, roughness=0.3, steepness=0.2, base=0.1, sparsity=0.05)
    penalty.prepare(network, problem)
    gradient, matrix = np.zeros(layout.size), np.zeros((layout.size, layout.size))
    penalty.add_to(layout, vector, gradient, matrix)
    numeric = np.array(
        [
            (penalty.value(layout, vector + step) - penalty.value(layout, vector - step)) / 2e-6
            for step in 1e-6 * np.eye(layout.size)
        ]
    )
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)
    np.testing.assert_allclose(gradient, penalty.gradient(layout, vector), atol=1e-14)
    np.testing.assert_allclose(gradient, matrix @ vector, atol=1e-9)


def test__penalty__edge_that_is_a_line__costs_no_roughness():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (50, 1))
    network = initial_network(X, X, [1, 1], grid=6, base="silu", rng=rng)
    layer = network.layers[0]
    layer.coef[...] = 0.7 * np.linspace(-1, 1, layer.coef.shape[2]) + 0.2
    problem = Problem(X, X, np.ones(50))
    layout = Layout.of(network)
    penalty = Penalty.uniform(network, roughness=1.0, steepness=0.0, base=0.0)
    penalty.prepare(network, problem)
    free = penalty.value(layout, layout.pack(network))
    layer.coef[0, 0, 4] += 0.1
    bent = penalty.value(layout, layout.pack(network))
    assert free < 1e-3  # what is left is the price of the edge's constant part
    assert bent > 1.0


def test__penalty__base_function_on_an_edge__costs_the_roughness_of_its_curve():
    rng = np.random.default_rng(0)
    X = np.linspace(-3, 3, 200)[:, None]
    network = initial_network(X, X, [1, 1], grid=30, base="silu", rng=rng)
    layer = network.layers[0]
    layer.coef[...] = 0.0
    layer.base_weight[...] = 1.0
    problem = Problem(X, X, np.ones(200))
    penalty = Penalty.uniform(network, roughness=2.0, steepness=0.0, base=0.0)
    penalty.prepare(network, problem)
    layout = Layout.of(network)
    x = np.linspace(layer.lower[0], layer.upper[0], 20001)
    silu = x / (1 + np.exp(-x))
    width = layer.upper[0] - layer.lower[0]
    derivatives, curve = [], silu
    for _ in range(4):
        curve = np.gradient(curve, x) * width
        derivatives.append(curve)
    # at the ends of the grid differences of differences are off
    second, third, fourth = (np.mean(curve[100:-100] ** 2) for curve in derivatives[1:])
    expected = second + 0.1**2 * third + 0.1**4 * fourth
    assert penalty.value(layout, layout.pack(network)) == pytest.approx(expected, rel=0.05)
