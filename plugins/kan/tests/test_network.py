import itertools

import numpy as np
import pytest

from zoo_kan.network import EdgeLayer, KANNetwork


def make_network(widths=(3, 4, 2), grid=5, order=3, base="silu", seed=0, products=(0, 0)):
    rng = np.random.default_rng(seed)
    layers = []
    for (n_in, n_out), count in zip(itertools.pairwise(widths), products, strict=True):
        n_sums = n_out + count
        layers.append(
            EdgeLayer(
                lower=rng.uniform(-2, -1, n_in),
                upper=rng.uniform(1, 2, n_in),
                coef=rng.normal(size=(n_sums, n_in, grid + order)),
                base_weight=rng.normal(size=(n_sums, n_in)),
                bias=rng.normal(size=n_sums),
                mask=rng.uniform(size=(n_sums, n_in)) > 0.2,
                order=order,
                base=base,
                products=count,
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
@pytest.mark.parametrize(
    ("base", "products"),
    [("silu", (0, 0)), ("linear", (0, 0)), ("none", (0, 0)), ("silu", (2, 1)), ("none", (0, 2))],
)
def test__gradient__equals_finite_differences(order, base, products):
    network = make_network(order=order, base=base, products=products)
    X = np.random.default_rng(1).normal(size=(20, 3)) * 3  # inside and outside the grids
    gradient = network.gradient(X)
    for feature in range(3):
        step = np.zeros(3)
        step[feature] = 1e-6
        numeric = (network.forward(X + step) - network.forward(X - step)) / 2e-6
        close = np.isclose(gradient[:, :, feature], numeric, rtol=1e-4, atol=1e-5)
        assert close.mean() > (0.9 if order == 1 else 0.99)  # order 1 has corners


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("base", "products"), [("silu", (0, 0)), ("silu", (2, 1)), ("none", (1, 2))]
)
def test__hessian__equals_finite_differences_of_the_gradient(order, base, products):
    network = make_network(order=order, base=base, products=products)
    X = np.random.default_rng(1).normal(size=(40, 3)) * 2  # inside and outside the grids
    hessian = network.hessian(X)
    assert hessian.shape == (40, 2, 3, 3)
    np.testing.assert_allclose(hessian, hessian.swapaxes(2, 3), rtol=1e-10, atol=1e-10)
    for feature in range(3):
        step = np.zeros(3)
        step[feature] = 1e-6
        numeric = (network.gradient(X + step) - network.gradient(X - step)) / 2e-6
        close = np.isclose(hessian[..., feature], numeric, rtol=1e-4, atol=1e-3)
        assert close.mean() > (0.9 if order == 2 else 0.99)  # order 2 jumps at its knots


def test__hessian__in_parts__is_the_same(monkeypatch):
    network = make_network(products=(2, 1))
    X = np.random.default_rng(2).normal(size=(11, 3))
    whole = network.hessian(X)
    monkeypatch.setattr("zoo_kan.network._HESSIAN_ENTRIES", 200)
    np.testing.assert_allclose(network.hessian(X), whole, rtol=1e-12, atol=1e-12)
    assert network.hessian(X[:0]).shape == (0, 2, 3, 3)


def test__forward__is_the_sum_of_edges_and_bias():
    network = make_network()
    X = np.random.default_rng(2).normal(size=(7, 3))
    nodes = network.activations(X)
    for layer, x, y in zip(network.layers, nodes, nodes[1:], strict=False):
        np.testing.assert_allclose(layer.edges(x).sum(2) + layer.bias, y, atol=1e-12)


def test__forward__products__multiply_the_last_sums_two_by_two():
    network = make_network(products=(2, 1))
    assert network.widths == [3, 4, 2]
    assert network.products == [2, 1]
    assert network.hidden == ((2, 2),)
    assert make_network().hidden == (4,)
    X = np.random.default_rng(2).normal(size=(7, 3))
    nodes = network.activations(X)
    for layer, x, y in zip(network.layers, nodes, nodes[1:], strict=False):
        sums = layer.edges(x).sum(2) + layer.bias
        plain = layer.n_out - layer.products
        expected = [sums[:, j] for j in range(plain)]
        expected += [sums[:, j] * sums[:, j + 1] for j in range(plain, layer.n_sums, 2)]
        np.testing.assert_allclose(np.stack(expected, axis=1), y, atol=1e-12)


@pytest.mark.parametrize("products", [(0, 0), (2, 1)])
def test__arrays__round_trip(products):
    network = make_network(products=products)
    again = KANNetwork.from_arrays(network.to_config(), network.to_arrays())
    X = np.random.default_rng(3).normal(size=(5, 3))
    np.testing.assert_array_equal(network.forward(X), again.forward(X))


def test__to_config__without_products__is_as_before_there_were_any():
    assert make_network().to_config() == {"n_layers": 2, "order": 3, "base": "silu"}


@pytest.mark.parametrize(
    ("products", "message"),
    [
        ([1], "products of a KAN must be a list of 2 ints"),
        ([0, -1], "products of a KAN must be a list of 2 ints"),
        ([True, 0], "products of a KAN must be a list of 2 ints"),
        (3, "products of a KAN must be a list of 2 ints"),
        ([3, 0], "Layer 0 of a KAN must have at least two sums per product. Got 4 sums and 3"),
        ([1, 0], r"'layers.1.coef' of a KAN must have shape \(None, 3, None\)"),
    ],
)
def test__from_arrays__products_that_do_not_fit__says_so(products, message):
    network = make_network()
    config = {**network.to_config(), "products": products}
    with pytest.raises(ValueError, match=message):
        KANNetwork.from_arrays(config, network.to_arrays())


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
