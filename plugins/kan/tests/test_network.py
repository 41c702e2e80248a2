import itertools

import numpy as np
import pytest

from zoo_kan.network import EdgeLayer, KANNetwork


def make_network(widths=(3, 4, 2), grid=5, order=3, base="silu", seed=0):
    rng = np.random.default_rng(seed)
    layers = []
    for n_in, n_out in itertools.pairwise(widths):
        layers.append(
            EdgeLayer(
                lower=rng.uniform(-2, -1, n_in),
                upper=rng.uniform(1, 2, n_in),
                coef=rng.normal(size=(n_out, n_in, grid + order)),
                base_weight=rng.normal(size=(n_out, n_in)),
                bias=rng.normal(size=n_out),
                mask=rng.uniform(size=(n_out, n_in)) > 0.2,
                order=order,
                base=base,
            )
        )
    return KANNetwork(
        layers=layers,
        input_mean=rng.normal(size=widths[0]),
        input_scale=rng.uniform(0.5, 2, widths[0]),
        output_mean=rng.normal(size=widths[-1]),
        output_scale=rng.uniform(0.5, 2, widths[-1]),
    )


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("base", ["silu", "linear", "none"])
def test__gradient__equals_finite_differences(order, base):
    network = make_network(order=order, base=base)
    X = np.random.default_rng(1).normal(size=(20, 3)) * 3  # inside and outside the grids
    gradient = network.gradient(X)
    for feature in range(3):
        step = np.zeros(3)
        step[feature] = 1e-6
        numeric = (network.forward(X + step) - network.forward(X - step)) / 2e-6
        close = np.isclose(gradient[:, :, feature], numeric, rtol=1e-4, atol=1e-5)
        assert close.mean() > (0.9 if order == 1 else 0.99)  # order 1 has corners


def test__forward__is_the_sum_of_edges_and_bias():
    network = make_network()
    X = np.random.default_rng(2).normal(size=(7, 3))
    nodes = network.activations(X)
    for layer, x, y in zip(network.layers, nodes, nodes[1:], strict=False):
        np.testing.assert_allclose(layer.edges(x).sum(2) + layer.bias, y, atol=1e-12)


def test__arrays__round_trip():
    network = make_network()
    again = KANNetwork.from_arrays(network.to_config(), network.to_arrays())
    X = np.random.default_rng(3).normal(size=(5, 3))
    np.testing.assert_array_equal(network.forward(X), again.forward(X))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("layers.1.coef", lambda a: a[:, :2], "'layers.1.coef' of a KAN must have shape"),
        ("layers.0.bias", lambda a: a.astype("f4"), "must have shape .* dtype float64"),
        ("layers.0.lower", lambda a: a + 1e3, "lower < upper"),
        ("output_mean", lambda a: a * np.nan, "'output_mean' of a KAN must be finite"),
        ("layers.0.mask", None, "'layers.0.mask' of a KAN is missing"),
    ],
)
def test__from_arrays__damaged__says_which_array(name, damage, message):
    network = make_network()
    arrays = network.to_arrays()
    if damage is None:
        del arrays[name]
    else:
        arrays[name] = damage(arrays[name])
    with pytest.raises(ValueError, match=message):
        KANNetwork.from_arrays(network.to_config(), arrays)
