"""The two forms of a layer's product against scipy, each other and finite differences."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from zoo_kan import spline
from zoo_kan.kernels import UNROLLED, SplineProduct, Work, plain_product, product
from zoo_kan.kernels.pieces import end_slopes, piece_weights


def fused(*args, work=None):
    return SplineProduct.apply(*args, work or Work())


FORMS = {"fused": fused, "plain": plain_product}


def arguments(grid, order, base="silu", rows=64, n_in=3, n_out=2, seed=0, spread=1.0):
    """What both forms take; knots are exact numbers, so that scipy's are the same ones."""
    rng = np.random.default_rng(seed)
    lower = torch.tensor([-2.0, -1.0, 0.0])[:n_in].double()
    per_interval = torch.tensor([8.0, 4.0, 16.0])[:n_in].double()
    middle, half = lower + 0.5 * grid / per_interval, 0.5 * spread * grid / per_interval
    x = middle + half * torch.tensor(rng.uniform(-1.0, 1.0, (rows, n_in)))
    weight = torch.tensor(rng.normal(size=(n_out, grid + order + 1, n_in)))
    bias = torch.tensor(rng.normal(size=n_out))
    return [x, weight, bias, lower, per_interval, grid, order, base]


def reference(x, weight, bias, lower, per_interval, grid, order, derivative=0):
    """Sum of scipy's splines (n, o), or all edges' derivatives (n, o, i)."""
    edges = np.empty((len(x), len(weight), x.shape[1]))
    for i in range(x.shape[1]):
        knots = lower[i].item() + np.arange(-order, grid + order + 1) / per_interval[i].item()
        for o in range(len(weight)):
            edge = BSpline(knots, weight[o, :-1, i].numpy(), order)
            edges[:, o, i] = edge(x[:, i].numpy(), nu=derivative)
    return edges if derivative else edges.sum(axis=2) + bias.numpy()


@pytest.mark.parametrize("order", range(6))
def test__piece_weights__any_order__equal_scipy_and_add_up_to_one(order):
    t = np.linspace(0.0, 1.0, 101)[:-1]
    weights = [weight.numpy() for weight in piece_weights(torch.tensor(t), order)]
    basis = BSpline(np.arange(-order, order + 2.0), np.eye(order + 1), order)
    np.testing.assert_allclose(np.stack(weights, axis=1), basis(t), atol=1e-15)
    np.testing.assert_allclose(np.sum(weights, axis=0), 1.0, atol=1e-15)


@pytest.mark.parametrize("order", spline.ORDERS)
def test__end_slopes__any_order__equal_those_of_the_numpy_layer(order):
    low, high = spline.end_slopes(7, order)
    ours = end_slopes(order)
    np.testing.assert_allclose(ours[0], low[: order + 1], atol=1e-15)
    np.testing.assert_allclose(ours[1], high[6:], atol=1e-15)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", spline.ORDERS)
@pytest.mark.parametrize("grid", [3, 5, 20, 100])
def test__product__float64__values_and_gradients_equal_scipy_to_1e_14(form, order, grid):
    args = arguments(grid, order, base="none")
    args[:3] = [tensor.requires_grad_() for tensor in args[:3]]
    x, weight, bias, lower, per_interval = args[:5]
    out = FORMS[form](*args)
    gradient = torch.tensor(np.random.default_rng(1).normal(size=out.shape))
    out.backward(gradient)
    plain = [tensor.detach() for tensor in args[:5]]
    size = weight.detach().abs().max().item()
    values = reference(*plain, grid, order)
    np.testing.assert_allclose(out.detach().numpy(), values, rtol=0, atol=1e-14 * size)
    slopes = reference(*plain, grid, order, derivative=1)
    by_x = np.einsum("no,noi->ni", gradient.numpy(), slopes)
    scale = size * gradient.abs().max().item() * per_interval.numpy()
    np.testing.assert_allclose(x.grad.numpy() / scale, by_x / scale, rtol=0, atol=1e-14)
    basis = np.stack(
        [
            spline.design(((plain[0] - lower) * per_interval).numpy()[:, [i]], grid, order)[:, 0]
            for i in range(3)
        ],
        axis=2,
    )
    by_weight = np.einsum("no,nbi->obi", gradient.numpy(), basis)
    np.testing.assert_allclose(weight.grad[:, :-1].numpy(), by_weight, rtol=0, atol=1e-13)
    assert not weight.grad[:, -1].any()
    np.testing.assert_allclose(bias.grad.numpy(), gradient.sum(0).numpy(), atol=1e-13)


@pytest.mark.parametrize("order", spline.ORDERS)
@pytest.mark.parametrize("base", ["silu", "linear", "none"])
@pytest.mark.parametrize("grid", [1, 4, UNROLLED])
def test__fused__inside_and_outside_the_grid__equals_plain(order, base, grid):
    results = {}
    for form, product_ in FORMS.items():
        args = arguments(grid, order, base, spread=3.0)
        args[:3] = [tensor.requires_grad_() for tensor in args[:3]]
        out = product_(*args)
        (out**2).sum().backward()
        results[form] = [out.detach(), *(tensor.grad for tensor in args[:3])]
    for ours, expected in zip(*results.values(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", spline.ORDERS)
@pytest.mark.parametrize("spread", [0.9, 2.0], ids=["inside", "outside too"])
def test__fused__any_order__passes_gradcheck_and_gradgradcheck(order, spread):
    args = arguments(4, order, rows=5, spread=spread)
    inputs = tuple(tensor.requires_grad_() for tensor in args[:3])

    def function(*tensors):
        return fused(*tensors, *args[3:])

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test__fused__second_derivative_by_inputs__equals_scipy():
    args = arguments(6, 4, base="none")
    x = args[0].requires_grad_()
    out = fused(*args)
    (first,) = torch.autograd.grad(out[:, 0].sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    plain = [tensor.detach() for tensor in args[:5]]
    expected = reference(*plain, 6, 4, derivative=2)[:, 0]
    np.testing.assert_allclose(second.numpy(), expected, rtol=1e-10, atol=1e-9)


def test__fused__weights_made_of_the_inputs__second_derivative_counts_each_path_once():
    def penalty(form):
        args = arguments(4, 3, rows=6)
        x = args[0].requires_grad_()
        args[1] = args[1] * x.mean()
        out = FORMS[form](*args)
        (first,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), x)
        return first, second

    for ours, expected in zip(penalty("fused"), penalty("plain"), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("spread", [0.9, 2.0], ids=["inside", "outside too"])
def test__fused__more_rows_than_one_block__same_numbers_and_nothing_kept(monkeypatch, spread):
    def run():
        args = arguments(5, 3, rows=50, spread=spread)
        args[:3] = [tensor.requires_grad_() for tensor in args[:3]]
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            out = fused(*args)
        (out**2).sum().backward()
        kept_numbers = sum(tensor.numel() for tensor in kept)
        return kept_numbers, [out.detach(), *(tensor.grad for tensor in args[:3])]

    whole, expected = run()
    monkeypatch.setattr(product, "BLOCK", 9 * 3 * 8)
    blocked, ours = run()
    assert whole - blocked == 50 * 3 * 2
    for mine, theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test__fused__inputs_without_gradient__keeps_nothing_but_the_arguments():
    args = arguments(5, 3, rows=50)
    args[1].requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        fused(*args)
    assert len(kept) == 5


def gradients(out, args):
    return torch.autograd.grad((out**2).sum(), args[:3], retain_graph=True)


@pytest.mark.parametrize("n_out", [2, product.FEW])
@pytest.mark.parametrize("spread", [0.9, 2.0], ids=["inside", "outside too"])
def test__fused__work_memory_overwritten_before_the_backward_pass__same_gradients(n_out, spread):
    work = Work()
    first, second = (
        [
            *(tensor.requires_grad_() for tensor in args[:3]),
            *args[3:],
        ]
        for args in (arguments(5, 3, n_out=n_out, spread=spread, seed=seed) for seed in (0, 1))
    )
    outs = [fused(*args, work=work) for args in (first, second)]
    for _ in range(2):
        for out, args in zip(outs, (first, second), strict=True):
            expected = gradients(plain_product(*args), args)
            for ours, theirs in zip(gradients(out, args), expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 40])
def test__fused__more_inputs_and_outputs_than_taken_at_once__equals_plain(monkeypatch, rows):
    monkeypatch.setattr(product, "WIDE", 3)
    args = arguments(5, 3, rows=rows, n_out=product.FEW, spread=1.5)
    args[:3] = [tensor.requires_grad_() for tensor in args[:3]]
    expected = gradients(plain_product(*args), args)
    for ours, theirs in zip(gradients(fused(*args), args), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test__product__input_not_finite__spoils_its_own_row_only(form, wrong):
    args = arguments(5, 3)
    expected = FORMS[form](*args)
    args[0][7, 1] = wrong
    out = FORMS[form](*args)
    assert not out[7].isfinite().any()
    good = torch.arange(len(out)) != 7
    torch.testing.assert_close(out[good], expected[good], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test__product__no_rows__gives_no_rows_and_zero_gradients(form):
    args = arguments(5, 3)
    args[0] = args[0][:0]
    args[:3] = [tensor.requires_grad_() for tensor in args[:3]]
    out = FORMS[form](*args)
    assert out.shape == (0, 2)
    out.sum().backward()
    assert not args[1].grad.any()
    assert args[0].grad.shape == (0, 3)
