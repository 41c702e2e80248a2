"""Product nodes through the whole estimator: training, saving, exporting, drawing, pruning."""

from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from zoo.runtime import load_onnx
from zoo_kan import KANClassifier, KANRegressor
from zoo_kan.layer import KANModule
from zoo_kan.layout import lay_out
from zoo_kan.plot import plot_network
from zoo_kan.prune import edge_shares, prune_network
from zoo_kan.solvers import count_parameters, fit_lm, initial_network
from zoo_kan.svg import network_svg
from zoo_kan.widths import edges_into, hidden_widths, nodes


def rows(n_features, low, high, n=400, seed=0):
    return np.random.default_rng(seed).uniform(low, high, (n, n_features))


def relative_error(model, function, X):
    return np.sqrt(np.mean((model.predict(X) - function(X)) ** 2)) / function(X).std()


def product(X):
    return X[:, 0] * X[:, 1]


def sum_times(X):
    return (X[:, 0] + X[:, 1]) * X[:, 2]


def quotient(X):
    return X[:, 0] / X[:, 1]


@pytest.mark.parametrize(("function", "n_features"), [(product, 2), (sum_times, 3)])
def test__fit__product_node__finds_products_that_one_sum_cannot(function, n_features):
    X, fresh = rows(n_features, -1, 1), rows(n_features, -1, 1, seed=1)
    with_product = KANRegressor(hidden=((0, 1),), grid=3, random_state=0).fit(X, function(X))
    without = KANRegressor(hidden=(1,), grid=3, random_state=0).fit(X, function(X))
    assert with_product.network_.products == [1, 0]
    assert relative_error(with_product, function, fresh) < 1e-8
    assert relative_error(without, function, fresh) > 0.1


def test__fit__quotient__one_factor_learns_the_reciprocal():
    X = rows(2, 0.5, 3.0, n=1000)
    network = initial_network(
        X, quotient(X)[:, None], [2, (0, 1)], grid=20, rng=np.random.default_rng(1)
    )
    network = fit_lm(network, X, quotient(X)[:, None]).network
    line = np.linspace(0.6, 2.9, 50)
    dividend, divisor = np.ones((50, 2)), np.ones((50, 2))
    dividend[:, 0], divisor[:, 1] = line, line
    layer = network.layers[0]

    def factors(X):
        return layer.sums(layer.features(network.standardise(X)))

    # which factor carries which input is arbitrary, and so are their scales
    own = int(np.ptp(factors(divisor), axis=0).argmax())
    reciprocal, linear = factors(divisor)[:, own], factors(dividend)[:, 1 - own]
    np.testing.assert_allclose(reciprocal * line, np.mean(reciprocal * line), rtol=5e-3)
    np.testing.assert_allclose(linear / line, np.mean(linear / line), rtol=5e-3)
    np.testing.assert_allclose(network.forward(X)[:, 0], quotient(X), rtol=5e-3)


@pytest.mark.parametrize(("solver", "max_iter"), [("lm", 20), ("lbfgs", 200), ("adam", 20)])
def test__fit__every_solver__trains_products(solver, max_iter):
    X = rows(2, -1, 1)
    model = KANRegressor(hidden=((1, 1),), grid=5, solver=solver, max_iter=max_iter, random_state=0)
    model.fit(X, product(X))
    assert model.network_.products == [1, 0]
    assert model.score(X, product(X)) > 0.9


def test__fit__classifier_with_products__separates_the_quadrants():
    X = rows(2, -1, 1)
    labels = np.where(product(X) > 0, "same", "other")
    model = KANClassifier(hidden=((0, 1),), grid=3, random_state=0, max_iter=40).fit(X, labels)
    fresh = rows(2, -1, 1, seed=1)
    assert model.score(fresh, np.where(product(fresh) > 0, "same", "other")) > 0.97


def test__fit__constant_target__stays_finite_with_products():
    X = rows(2, -1, 1, n=30)
    model = KANRegressor(hidden=((0, 2), (1, 1)), random_state=0, max_iter=5).fit(
        X, np.full(30, 2.0)
    )
    np.testing.assert_allclose(model.predict(X), 2.0, atol=1e-9)


@pytest.fixture(scope="module")
def fitted():
    X = rows(3, -1, 1)
    return KANRegressor(hidden=((1, 1), (0, 1)), grid=3, random_state=0, max_iter=20).fit(
        X, sum_times(X)
    )


def test__save_pretrained__products__load_again(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "kan")
    again = KANRegressor.from_pretrained(tmp_path / "kan")
    X = rows(3, -2, 2, seed=3)
    assert again.network_.products == [1, 1, 0]
    assert again.hidden == fitted.hidden
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


def test__export_onnx__products__predict_the_same(fitted, tmp_path):
    folder = fitted.export_onnx(tmp_path / "onnx", dtype="float64")
    X = rows(3, -2, 2, seed=3)
    np.testing.assert_allclose(load_onnx(folder).predict(X), fitted.predict(X), atol=1e-9)


def test__module__products__equals_numpy(fitted):
    network = fitted.network_
    X = rows(3, -2, 2, seed=4)
    module = KANModule(network.layers)
    with torch.no_grad():
        ours = module(torch.tensor(network.standardise(X))).numpy()
    np.testing.assert_allclose(ours, network.activations(X)[-1], atol=1e-11)
    assert [layer.products for layer in module.to_layers()] == [1, 1, 0]


def test__to_symbolic__network_with_products__finds_the_law():
    X = rows(3, -1, 1)
    model = KANRegressor(hidden=((0, 1),), grid=3, random_state=0).fit(X, sum_times(X))
    assert model.to_symbolic(time_limit=20).score(X, sum_times(X)) > 1 - 1e-9


def test__prune__product_with_a_constant_factor__becomes_a_sum():
    X = rows(2, -1, 1)
    network = initial_network(
        X, product(X)[:, None], [2, (1, 2), 1], grid=4, rng=np.random.default_rng(0)
    )
    layer = network.layers[0]
    layer.coef[2] *= 1e-9  # the second factor of the first product
    pruned = prune_network(network, X, threshold=1e-4)
    assert pruned.widths == [2, 3, 1]
    assert pruned.products == [1, 0]
    np.testing.assert_allclose(pruned.forward(X), network.forward(X), atol=1e-6)


def test__prune__products_that_nothing_reads_or_moves__disappear():
    X = rows(2, -1, 1)
    network = initial_network(
        X, product(X)[:, None], [2, (1, 3), 1], grid=4, rng=np.random.default_rng(0)
    )
    network.layers[1].coef[0, 1] = 0.0  # the first product is not read
    network.layers[0].coef[3:5] = 0.0  # the second is a constant
    expected = network.forward(X)
    pruned = prune_network(network, X, threshold=1e-9)
    assert pruned.widths == [2, 2, 1]
    assert pruned.products == [1, 0]
    np.testing.assert_allclose(pruned.forward(X), expected, atol=1e-9)
    np.testing.assert_allclose(pruned.gradient(X), network.gradient(X), atol=1e-9)


def test__edge_shares__factor_that_hardly_moves_its_product__is_small():
    X = rows(2, -1, 1)
    network = initial_network(
        X, product(X)[:, None], [2, (0, 1), 1], grid=4, rng=np.random.default_rng(0)
    )
    network.layers[0].coef[1] *= 1e-3
    first, last = edge_shares(network, X)
    assert last.tolist() == [[1.0]]
    assert first[0].sum() == pytest.approx(1.0, rel=1e-2)
    assert first[1].sum() < 0.01


def test__lay_out__products__stand_on_two_joints(fitted):
    layout = lay_out(fitted.network_)
    kinds = {place: node.kind for place, node in layout.nodes.items()}
    assert kinds == {
        **{(0, j): "input" for j in range(3)},
        (1, 0): "sum",
        (1, 1): "product",
        (2, 0): "product",
        (3, 0): "sum",
    }
    assert sorted(layout.joints) == [(1, 1), (1, 2), (2, 0), (2, 1)]
    for (row, _), joint in layout.joints.items():
        node = layout.nodes[row, joint.target]
        assert joint.y < node.y
        below = [panel for panel in layout.panels if panel.layer == row - 1]
        assert all(panel.y + 0.5 < joint.y for panel in below)
    for panel in layout.panels:
        layer = fitted.network_.layers[panel.layer]
        assert panel.target == layer.owners[panel.joint]


def test__pictures__products__carry_a_multiplication_sign(fitted):
    figure = plot_network(fitted.network_)
    axes = figure.axes[0]
    slanted = [
        line
        for line in axes.lines
        if len(line.get_xdata()) == 2
        and np.isclose(abs(np.ptp(line.get_xdata())), abs(np.ptp(line.get_ydata())))
        and np.ptp(line.get_xdata()) > 0
    ]
    assert len(slanted) == 4  # two strokes for each of two products
    text = network_svg(fitted.network_)
    space = "{http://www.w3.org/2000/svg}"
    paths = [path.get("d") for path in ElementTree.fromstring(text).iter(f"{space}path")]
    assert sum("l5.2 5.2" in path for path in paths) == 2
    assert "nodes per layer 3 → 1+1 products → 0+1 products → 1" in text


@pytest.mark.parametrize("hidden", [((0, 0),), ((1, -1),), ((1, 2, 3),), ((1, True),), (("a", 1),)])
def test__fit__hidden_pairs_that_make_no_sense__are_refused(hidden):
    X = rows(2, -1, 1, n=10)
    with pytest.raises(ValueError, match=r"'hidden' parameter .* or of pairs \(sums, products\)"):
        KANRegressor(hidden=hidden).fit(X, product(X))


def test__hidden_widths__every_spelling__is_read():
    assert hidden_widths(3) == (3,)
    assert hidden_widths((3, 2)) == (3, 2)
    assert hidden_widths([[3, 2], 4, (1, 0)]) == ((3, 2), 4, 1)
    assert hidden_widths(()) == ()
    assert (nodes((3, 2)), edges_into((3, 2))) == (5, 7)
    # [2, (1, 2), 1]: five sums of two edges, then one sum of three edges
    assert count_parameters([2, (1, 2), 1], grid=3, order=3, base="silu") == 5 * 15 + 22


DEGENERATE = {
    "constant column": lambda X: np.c_[X[:, :2], np.ones(len(X))],
    "repeated column": lambda X: X[:, [0, 0, 1]],
    "huge": lambda X: X * 1e150,
    "tiny": lambda X: X * 1e-200,
    "five rows": lambda X: X[:5],
    "two rows": lambda X: X[:2],
    "binary": lambda X: (X > 0) * 1.0,
    "outlier": lambda X: np.r_[X, [[1e6, 1e6, 1e6]]],
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("solver", ["lm", "lbfgs"])
def test__fit_and_prune__degenerate_rows__stay_finite(name, solver):
    X = DEGENERATE[name](np.random.default_rng(0).normal(size=(40, 3)))
    unit = X / np.abs(X).max()
    y = unit[:, 0] * unit[:, 1] * 1e100
    model = KANRegressor(hidden=((1, 2), (0, 1)), solver=solver, random_state=0, max_iter=10)
    model.fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.feature_importances_).all()
    assert all(np.isfinite(each.score) for each in model.relations().table())
    assert np.isfinite(model.prune().predict(1.5 * X)).all()
