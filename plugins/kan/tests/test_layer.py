"""The torch layer against the numpy layer."""

import numpy as np
import pytest
import torch

from zoo_kan.layer import KANLayer, KANModule
from zoo_kan.network import EdgeLayer


def make_layer(order=3, base="silu", grid=5, n_in=3, n_out=2, seed=0):
    rng = np.random.default_rng(seed)
    mask = np.ones((n_out, n_in), dtype=bool)
    mask[0, 1] = False
    layer = EdgeLayer(
        lower=np.linspace(-1.0, -0.5, n_in),
        upper=np.linspace(0.5, 2.0, n_in),
        coef=rng.normal(size=(n_out, n_in, grid + order)),
        base_weight=rng.normal(size=(n_out, n_in)),
        bias=rng.normal(size=n_out),
        mask=mask,
        order=order,
        base=base,
    )
    layer.weights = layer.weights
    return layer


def inputs(rows=50):
    # well beyond both ends of the grids, and the ends themselves
    x = np.random.default_rng(1).uniform(-4, 5, (rows, 3))
    x[0], x[1] = np.linspace(-1.0, -0.5, 3), np.linspace(0.5, 2.0, 3)
    return x


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("base", ["silu", "linear", "none"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test__forward__any_order_and_base__equals_numpy(order, base, dtype, tolerance):
    layer, x = make_layer(order, base), inputs()
    with torch.no_grad():
        ours = KANLayer.from_layer(layer, dtype)(torch.tensor(x, dtype=dtype)).double().numpy()
    expected = layer.forward(x)
    np.testing.assert_allclose(ours, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("order", [2, 3])
def test__backward__inputs__equals_the_numpy_slopes(order):
    layer, x = make_layer(order), inputs()[2:]
    tensor = torch.tensor(x, requires_grad=True)
    KANLayer(layer)(tensor).sum().backward()
    np.testing.assert_allclose(tensor.grad.numpy(), layer.slopes(x).sum(axis=1), atol=1e-10)


def test__backward__weights__are_the_features_and_pruned_edges_get_nothing():
    layer, x = make_layer(), inputs()
    module = KANLayer(layer)
    module(torch.tensor(x)).sum().backward()
    features = layer.features(x).sum(axis=0)  # (i, b + 1)
    np.testing.assert_allclose(module.weight.grad[1, :-1].numpy(), features[:, :-1].T, atol=1e-10)
    np.testing.assert_allclose(module.weight.grad[1, -1].numpy(), features[:, -1], atol=1e-10)
    assert not module.weight.grad[0, :, 1].any()
    np.testing.assert_allclose(module.bias.grad.numpy(), len(x))


def test__to_layer__after_from_layer__gives_the_arrays_back():
    layer = make_layer()
    back = KANLayer.from_layer(layer).to_layer()
    for name in ("lower", "upper", "coef", "base_weight", "bias", "mask"):
        np.testing.assert_array_equal(getattr(back, name), getattr(layer, name), err_msg=name)
    assert (back.order, back.base) == (layer.order, layer.base)


def test__load_layers__other_arrays__keeps_the_parameters_the_optimiser_knows():
    first, second = make_layer(seed=0), make_layer(seed=1)
    module = KANModule([first])
    known = list(module.parameters())
    module.load_layers([second])
    assert all(a is b for a, b in zip(known, module.parameters(), strict=True))
    x = inputs()
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.tensor(x)).numpy(), second.forward(x), atol=1e-12)


def test__gradcheck__two_layers__passes():
    module = KANModule([make_layer(n_out=2), make_layer(n_in=3, n_out=1, seed=3)][:1])
    x = torch.tensor(inputs(6)[2:], requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
