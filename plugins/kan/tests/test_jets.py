"""Derivatives of networks by inputs, and of those by weights."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from zoo_kan.jets import Jet, derivatives, trace
from zoo_kan.network import BASES
from zoo_kan.solvers import initial_network
from zoo_kan.solvers.problem import Layout

DIRECTIONS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def deep_network(order, base, *, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (40, 2))
    Y = rng.normal(size=(40, 2)) * [3.0, 0.2] + [1.0, -2.0]
    network = initial_network(X, Y, [2, 3, 4, 2], grid=4, order=order, base=base, rng=rng)
    for layer in network.layers:
        layer.coef += 0.3 * rng.normal(size=layer.coef.shape)
        layer.base_weight = rng.normal(size=layer.base_weight.shape) * (base != "none")
    network.layers[1].mask[1, 2] = False
    return network, X


def plain(network, X):
    return derivatives(network, X, directions=DIRECTIONS)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test__derivatives__any_order_and_base__equals_forward_and_gradient(order, base):
    network, X = deep_network(order, base)
    X = np.concatenate([X, 3.0 * X])  # beyond the grids as well
    jet = derivatives(network, X)
    np.testing.assert_allclose(jet.value, network.forward(X), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(jet.first, network.gradient(X), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("order", [3, 4, 5])
def test__derivatives__second__equals_differences_of_first(order, base):
    network, X = deep_network(order, base)
    step = 1e-5
    jet = plain(network, X)
    for number, direction in enumerate(DIRECTIONS):
        ahead = plain(network, X + step * direction).first[..., number]
        behind = plain(network, X - step * direction).first[..., number]
        slope = (ahead - behind) / (2 * step)
        scale = np.abs(jet.second).max()
        # a cubic's second derivative has corners, which differences round off
        np.testing.assert_allclose(jet.second[..., number], slope, atol=2e-5 * scale)


def test__derivatives__one_edge__equals_scipy_spline():
    rng = np.random.default_rng(3)
    X = np.linspace(-1.0, 1.0, 57)[:, None]
    for order in (2, 3, 4, 5):
        network = initial_network(
            X, X, [1, 1], grid=7, order=order, base="none", standardise_outputs=False, rng=rng
        )
        layer = network.layers[0]
        layer.coef = rng.normal(size=layer.coef.shape)
        width = (layer.upper[0] - layer.lower[0]) / 7
        knots = layer.lower[0] + width * np.arange(-order, 7 + order + 1)
        oracle = BSpline(knots, layer.coef[0, 0], order)
        x = network.standardise(X)[:, 0]
        scale = network.input_scale[0]
        jet = derivatives(network, X)
        np.testing.assert_allclose(jet.value[:, 0], oracle(x) + layer.bias[0], atol=1e-13)
        np.testing.assert_allclose(jet.first[:, 0, 0], oracle(x, 1) / scale, atol=1e-11)
        np.testing.assert_allclose(jet.second[:, 0, 0], oracle(x, 2) / scale**2, atol=1e-9)


def test__derivatives__outside_the_grid__are_those_of_the_tangent():
    rng = np.random.default_rng(1)
    X = np.linspace(-1.0, 1.0, 20)[:, None]
    network = initial_network(X, X**2, [1, 1], grid=5, order=4, base="none", rng=rng)
    jet = derivatives(network, [[2.0], [3.0], [-4.0]])
    assert np.all(jet.second == 0.0)
    assert jet.value[1, 0] - jet.value[0, 0] == pytest.approx(jet.first[0, 0, 0], rel=1e-12)


def test__derivatives__mixed__is_difference_of_diagonal_directions():
    network, X = deep_network(5, "silu")
    across = derivatives(network, X, directions=[[1.0, 1.0], [1.0, -1.0]]).second
    mixed = (across[..., 0] - across[..., 1]) / 4
    step = 1e-5
    shift = np.array([step, 0.0])
    ahead = derivatives(network, X + shift).first[..., 1]
    behind = derivatives(network, X - shift).first[..., 1]
    slope = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(mixed, slope, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("order", [3, 4, 5])
def test__jacobian__random_residual__equals_differences(order, base):
    network, X = deep_network(order, base)
    layout = Layout.of(network)
    passed = trace(network, X[:12], DIRECTIONS)
    rng = np.random.default_rng(5)
    partial = Jet(*(rng.normal(size=part.shape) for part in vars(passed.jet).values()))
    vector = layout.pack(network)

    def residual(vector):
        jet = trace(layout.unpack(network, vector), X[:12], DIRECTIONS).jet
        first, second = partial.first * jet.first, partial.second * jet.second
        return (partial.value * jet.value).sum(axis=1) + (first + second).sum(axis=(1, 2))

    step = 1e-6
    slow = np.stack(
        [
            (residual(vector + step * unit) - residual(vector - step * unit)) / (2 * step)
            for unit in np.eye(layout.size)
        ],
        axis=1,
    )
    fast = passed.jacobian(partial, layout)
    np.testing.assert_allclose(fast, slow, atol=1e-8 * np.abs(slow).max())


def test__trace__no_directions__has_values_only():
    network, X = deep_network(3, "silu")
    passed = trace(network, X, np.zeros((0, 2)))
    assert passed.jet.first.shape == passed.jet.second.shape == (40, 2, 0)
    layout = Layout.of(network)
    partial = Jet(np.eye(2)[np.zeros(40, int)], passed.jet.first, passed.jet.second)
    whole = trace(network, X)
    zeros = np.zeros_like(whole.jet.first)
    np.testing.assert_allclose(
        passed.jacobian(partial, layout),
        whole.jacobian(Jet(partial.value, zeros, zeros), layout),
    )


@pytest.mark.parametrize(
    ("X", "directions", "name"),
    [([[1.0]], None, "X"), ([1.0, 2.0], None, "X"), ([[1.0, 2.0]], [1.0, 0.0], "directions")],
)
def test__derivatives__wrong_columns__says_which_array(X, directions, name):
    network, _ = deep_network(3, "silu")
    with pytest.raises(ValueError, match=f"{name} of derivatives must have shape"):
        derivatives(network, X, directions=directions)


def product_network(base="silu"):
    rng = np.random.default_rng(8)
    X = rng.uniform(-1.0, 1.0, (15, 2))
    widths = [2, (2, 2), (1, 1), (0, 2)]
    network = initial_network(X, rng.normal(size=(15, 2)), widths, grid=4, base=base, rng=rng)
    for layer in network.layers:
        layer.coef += 0.3 * rng.normal(size=layer.coef.shape)
    return network, X


def test__derivatives__product_nodes__equal_those_of_the_network():
    network, X = product_network()
    jet = derivatives(network, X)
    np.testing.assert_allclose(jet.value, network.forward(X), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(jet.first, network.gradient(X), rtol=1e-9, atol=1e-9)
    bent = np.diagonal(network.hessian(X), axis1=2, axis2=3)
    np.testing.assert_allclose(jet.second, bent, rtol=1e-8, atol=1e-8 * np.abs(bent).max())


def test__jacobian__product_nodes__equals_differences():
    network, X = product_network()
    layout = Layout.of(network)
    passed = trace(network, X, DIRECTIONS)
    rng = np.random.default_rng(5)
    partial = Jet(*(rng.normal(size=part.shape) for part in vars(passed.jet).values()))
    vector = layout.pack(network)

    def residual(vector):
        jet = trace(layout.unpack(network, vector), X, DIRECTIONS).jet
        first, second = partial.first * jet.first, partial.second * jet.second
        return (partial.value * jet.value).sum(axis=1) + (first + second).sum(axis=(1, 2))

    slow = np.stack(
        [(residual(vector + 1e-6 * z) - residual(vector - 1e-6 * z)) / 2e-6
         for z in np.eye(layout.size)],
        axis=1,
    )  # fmt: skip
    np.testing.assert_allclose(
        passed.jacobian(partial, layout), slow, atol=1e-7 * np.abs(slow).max()
    )
