"""The torch layer against the numpy layer."""

import copy
import pickle

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
    expected = layer.forward(x)
    for fused in (True, False):
        module = KANLayer.from_layer(layer, dtype, fused=fused)
        with torch.no_grad():
            ours = module(torch.tensor(x, dtype=dtype)).double().numpy()
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


@pytest.mark.parametrize("order", [1, 3, 5])
def test__gradcheck__two_layers_and_a_pruned_edge__passes(order):
    module = KANModule([make_layer(order), make_layer(order, n_in=2, n_out=1, seed=3)])
    x = torch.tensor(inputs(6)[2:], requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
    assert torch.autograd.gradgradcheck(module, (x,))


@pytest.mark.parametrize("grid", [5, 40])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test__compile__full_graph__same_values_and_gradients(grid, backend):
    module = KANModule([make_layer(grid=grid), make_layer(grid=grid, n_in=2, n_out=1, seed=3)])
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend=backend)
    x = torch.tensor(inputs(20))
    for network in (module, compiled):
        (network(x) ** 2).sum().backward()
    torch.testing.assert_close(compiled(x), module(x), rtol=1e-12, atol=1e-12)
    for ours, expected in zip(compiled.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("base", ["silu", "linear"])
def test__bfloat16__values_and_gradients__stay_close_to_float64(base):
    layer, x = make_layer(base=base), torch.tensor(inputs()).bfloat16()
    exact, module = KANLayer(layer), KANLayer(layer, torch.bfloat16)
    assert module.lower.dtype == torch.float32
    results = []
    for network, rows in ((exact, x.double()), (module, x.clone())):
        rows.requires_grad_()
        out = network(rows)
        assert out.dtype == network.weight.dtype
        out.sum().backward()
        results.append([out, rows.grad, network.weight.grad, network.bias.grad])
    for expected, ours in zip(*results, strict=True):
        error = (ours.double() - expected).abs().max() / expected.abs().max()
        assert error < 2e-2


def test__autocast__float32_weights__computes_in_bfloat16_and_differentiates():
    layer, x = make_layer(), torch.tensor(inputs(), dtype=torch.float32)
    module = KANLayer(layer, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(x)
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert module.weight.grad.dtype == torch.float32
    expected = layer.features(x.double().numpy()).sum(axis=0)
    ours = module.weight.grad[1].T.numpy()
    np.testing.assert_allclose(ours, expected, atol=2e-2 * np.abs(expected).max())


def test__load_state_dict__coefficients_and_base_weights_apart__become_one_weight():
    layer = make_layer(seed=5)
    module = KANModule([make_layer()])
    state = {
        "layer0.coef": torch.tensor(layer.coef).transpose(1, 2),
        "layer0.base_weight": torch.tensor(layer.base_weight)[:, None],
        "layer0.bias": torch.tensor(layer.bias),
        "layer0.lower": torch.tensor(layer.lower),
        "layer0.upper": torch.tensor(layer.upper),
        "layer0.mask": torch.tensor(layer.mask)[:, None].double(),
    }
    module.load_state_dict(state)
    x = inputs()
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.tensor(x)).numpy(), layer.forward(x), atol=1e-12)


def test__load_state_dict__with_another_mask__the_mask_counts():
    module, other = KANLayer(make_layer()), KANLayer(make_layer())
    with torch.no_grad():
        other.mask.fill_(1.0)
        other.weight.fill_(1.0)
    module.load_state_dict(other.state_dict())
    back = KANLayer(make_layer())
    back.load_state_dict({**module.state_dict(), "mask": KANLayer(make_layer()).mask})
    assert module.weights()[0, :, 1].all()
    assert not back.weights()[0, :, 1].any()


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test__copy__of_a_module__computes_the_same_and_loads_old_states(way):
    module = KANModule([make_layer()])
    again = copy.deepcopy(module) if way == "deepcopy" else pickle.loads(pickle.dumps(module))
    x = torch.tensor(inputs())
    torch.testing.assert_close(again(x), module(x))
    again.load_state_dict(module.state_dict())


def test__func__per_row_jacobians_without_fusing__equal_the_numpy_slopes():
    layer, x = make_layer(), inputs(6)[2:]
    module = KANLayer(layer, fused=False)
    one_row = torch.func.jacrev(lambda row: module(row[None])[0])
    jacobians = torch.func.vmap(one_row)(torch.tensor(x))
    np.testing.assert_allclose(jacobians.detach().numpy(), layer.slopes(x), atol=1e-10)


def test__features__any_inputs__equal_numpy():
    layer, x = make_layer(), inputs()
    ours = KANLayer(layer).features(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours.transpose(0, 2, 1), layer.features(x), atol=1e-12)
