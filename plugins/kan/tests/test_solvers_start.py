"""Starting networks and moved grids."""

import numpy as np
import pytest

from zoo_kan.solvers import initial_network, regrid
from zoo_kan.solvers.start import node_range, weighted_moments


def data(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 3)) * [1.0, 1e6, 1e-6] + [0.0, 1e7, 0.0]
    Y = rng.normal(size=(rows, 2)) * 5 + 3
    return X, Y


def test__initial_network__rows_of_zero_weight__leave_no_trace():
    X, Y = data()
    weight = np.ones(len(X))
    weight[:50] = 0.0
    X[:50] *= 100.0
    a = initial_network(X, Y, [3, 4, 2], grid=5, weight=weight, rng=np.random.default_rng(1))
    b = initial_network(X[50:], Y[50:], [3, 4, 2], grid=5, rng=np.random.default_rng(1))
    for name, array in a.to_arrays().items():
        np.testing.assert_allclose(array, b.to_arrays()[name], rtol=1e-12, err_msg=name)


def test__initial_network__hidden_nodes__are_standardised_and_inside_their_grids():
    X, Y = data()
    network = initial_network(X, Y, [3, 4, 3, 2], grid=5, rng=np.random.default_rng(1))
    for layer, nodes in zip(network.layers[1:], network.activations(X)[1:-1], strict=True):
        np.testing.assert_allclose(nodes.mean(axis=0), 0.0, atol=1e-12)
        np.testing.assert_allclose(nodes.std(axis=0), 1.0, rtol=1e-12)
        position = layer.position(nodes)
        assert position.min() > -1e-9
        assert position.max() < layer.grid + 1e-9
    np.testing.assert_allclose(network.forward(X).mean(axis=0), Y.mean(axis=0), rtol=1e-9)


def test__initial_network__global_random_state__is_not_moved():
    X, Y = data()
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not move
    initial_network(X, Y, [3, 2, 2], grid=3, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("widths", [[2, 2], [3, 1], [3]])
def test__initial_network__widths_that_do_not_fit__raises(widths):
    X, Y = data()
    with pytest.raises(ValueError, match=r"widths of a KAN must begin with n_features=3"):
        initial_network(X, Y, widths, grid=3, rng=np.random.default_rng(0))


def test__initial_network__unknown_order__raises():
    X, Y = data()
    with pytest.raises(ValueError, match=r"order of a KAN must be one of .* Got 9"):
        initial_network(X, Y, [3, 2], grid=3, order=9, rng=np.random.default_rng(0))


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1.0, 1e12, 1e200])
def test__weighted_moments__any_magnitude__standardises(size):
    values = size * np.random.default_rng(0).normal(size=(50, 1))
    mean, scale = weighted_moments(values, np.ones(50))
    standard = (values - mean) / scale
    assert standard.std() == pytest.approx(1.0, rel=1e-9)
    assert standard.mean() == pytest.approx(0.0, abs=1e-9)


def test__weighted_moments__constant_and_all_but_constant_columns__have_scale_one():
    values = np.full((20, 2), 1e12)
    values[3, 1] += 1e-4  # one unit in the last place
    _, scale = weighted_moments(values, np.ones(20))
    np.testing.assert_array_equal(scale, 1.0)


def test__node_range__flat_node__is_one_wide():
    lower, upper = node_range(np.full((5, 1), 2.0))
    np.testing.assert_array_equal([lower[0], upper[0]], [1.5, 2.5])


@pytest.mark.parametrize("base", ["silu", "linear", "none"])
def test__regrid__finer_grid__keeps_the_function(base):
    X, Y = data()
    rng = np.random.default_rng(2)
    network = initial_network(X, Y, [3, 4, 2], grid=6, base=base, rng=rng)
    for layer in network.layers:
        layer.base_weight = 0.5 * rng.normal(size=layer.base_weight.shape)
    spread = network.forward(X).std()
    before = network.forward(X)
    errors = []
    for grid in (12, 24, 48, 96):
        moved = regrid(network, X, grid=grid)
        errors.append(np.abs(moved.forward(X) - before).max() / spread)
    assert errors[-1] < 2e-4
    assert errors[-1] < max(errors[0] / 10, 1e-12)


def test__regrid__hidden_nodes__are_standardised_and_the_input_is_unchanged():
    X, Y = data()
    network = initial_network(X, Y, [3, 4, 2], grid=20, rng=np.random.default_rng(2))
    network.layers[0].coef *= 7.0
    network.layers[0].bias += 3.0
    arrays = {name: array.copy() for name, array in network.to_arrays().items()}
    moved = regrid(network, X)
    for name, array in network.to_arrays().items():
        np.testing.assert_array_equal(array, arrays[name])
    hidden = moved.activations(X)[1]
    np.testing.assert_allclose(hidden.std(axis=0), 1.0, rtol=1e-9)
    assert (moved.layers[1].lower < hidden.min(axis=0)).all()
    assert (moved.layers[1].upper > hidden.max(axis=0)).all()


def test__regrid__weight_zero_rows__are_ignored():
    X, Y = data()
    network = initial_network(X, Y, [3, 4, 2], grid=6, rng=np.random.default_rng(2))
    weight = np.ones(len(X))
    weight[:40] = 0.0
    a = regrid(network, X, grid=9, weight=weight)
    b = regrid(network, X[40:], grid=9)
    for name, array in a.to_arrays().items():
        np.testing.assert_allclose(array, b.to_arrays()[name], rtol=1e-10, atol=1e-12)


def test__initial_network__target_that_never_varies__starts_as_its_mean():
    X = np.random.default_rng(0).normal(size=(4, 2))
    Y = np.c_[np.full(4, 3.0), X[:, 0]]
    network = initial_network(X, Y, [2, 2, 2], grid=3, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(network.forward(X)[:, 0], 3.0)
    assert np.ptp(network.forward(X)[:, 1]) > 0.1


def test__initial_network__products__have_factors_around_one_and_deviation_one():
    X, Y = data()
    widths = [3, (2, 3), (0, 2), 2]
    network = initial_network(X, Y, widths, grid=5, rng=np.random.default_rng(1))
    assert network.widths == [3, 5, 2, 2]
    assert network.products == [3, 2, 0]
    nodes = network.activations(X)
    for layer, before, after in zip(network.layers[:-1], nodes, nodes[1:], strict=False):
        np.testing.assert_allclose(after.std(axis=0), 1.0, rtol=1e-9)
        sums = layer.edges(before).sum(axis=2) + layer.bias
        factors = sums[:, layer.is_factor]
        assert (np.abs(factors.mean(axis=0)) > 0.3 * factors.std(axis=0)).all()
        np.testing.assert_allclose(sums[:, ~layer.is_factor].mean(axis=0), 0.0, atol=1e-12)


def test__initial_network__product_as_output__keeps_the_mean_for_itself():
    X, Y = data()
    network = initial_network(X, Y, [3, (1, 1)], grid=5, rng=np.random.default_rng(1))
    np.testing.assert_allclose(network.output_mean, [Y[:, 0].mean(), 0.0])
    constant = initial_network(X, Y * 0 + 7.0, [3, (1, 1)], grid=5, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(constant.forward(X), 7.0)


@pytest.mark.parametrize("base", ["silu", "none"])
def test__regrid__products__keep_the_function_with_factors_of_one_size(base):
    X, Y = data()
    rng = np.random.default_rng(2)
    network = initial_network(X, Y, [3, (1, 2), 2], grid=6, base=base, rng=rng)
    first = network.layers[0]
    network.layers[0] = first.renamed(0.3, np.array([1.0, 1e-2, 3.0, 7.0, 1e3]))
    network = regrid(network, X, grid=96, rename=False)
    before = network.forward(X)
    moved = regrid(network, X, grid=96)
    assert np.abs(moved.forward(X) - before).max() < 1e-3 * before.std()
    hidden = moved.activations(X)[1]
    np.testing.assert_allclose(hidden.std(axis=0), 1.0, rtol=1e-6)
    sums = moved.layers[0].sums(moved.layers[0].features(moved.standardise(X)))
    size = np.sqrt((sums**2).mean(axis=0))
    np.testing.assert_allclose(size[1::2], size[2::2], rtol=1e-6)
