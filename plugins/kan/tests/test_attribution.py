"""Attribution against formulas whose contributions are known."""

import numpy as np
import pytest

from zoo_kan import KANRegressor
from zoo_kan.attribution import attribute
from zoo_kan.solvers import fit_lm, initial_network


def fit(function, widths, base="silu"):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (500, widths[0]))
    Y = function(X).reshape(len(X), -1)
    network = initial_network(X, Y, widths, grid=4, base=base, rng=np.random.default_rng(0))
    return fit_lm(network, X, Y).network, X


def test__attribute__additive_network__is_each_terms_part_of_the_spread():
    network, X = fit(lambda X: 3 * X[:, 0] - X[:, 1] ** 2, [3, 1])
    scores = attribute(network, X)
    spread = np.array([(3 * X[:, 0]).std(), (X[:, 1] ** 2).std(), 0.0])
    whole = (3 * X[:, 0] - X[:, 1] ** 2).std()
    np.testing.assert_allclose(scores.inputs, spread / whole, atol=1e-4)
    np.testing.assert_allclose(scores.importances, spread / spread.sum(), atol=1e-4)
    np.testing.assert_array_equal(scores.edges[0][0], scores.inputs)
    np.testing.assert_array_equal(scores.nodes[-1], [1.0])


def test__attribute__hidden_node_rescaled__does_not_change():
    network, X = fit(lambda X: np.exp(X[:, 0] + 0.3 * X[:, 1]), [2, 2, 1], base="none")
    before = attribute(network, X)
    scale = np.array([100.0, 0.2])
    network.layers[0] = network.layers[0].renamed(0.0, scale)
    second = network.layers[1]
    second.lower, second.upper = second.lower / scale, second.upper / scale
    after = attribute(network, X)
    np.testing.assert_allclose(after.inputs, before.inputs, rtol=1e-9)
    np.testing.assert_allclose(after.nodes[1], before.nodes[1], rtol=1e-9)


def test__attribute__two_inputs_of_one_node__share_as_they_move_it():
    network, X = fit(lambda X: np.exp(X[:, 0] + 0.3 * X[:, 1]), [2, 1, 1], base="none")
    first, second = attribute(network, X).inputs
    assert second / first == pytest.approx(0.3 * X[:, 1].std() / X[:, 0].std(), rel=0.02)


def test__attribute__product__gives_each_factor_what_the_product_loses_without_it():
    def law(X):
        return X[:, 0] * (1.0 + 0.1 * X[:, 1])

    X = np.random.default_rng(0).uniform(-1.0, 1.0, (800, 2))
    network = initial_network(X, law(X)[:, None], [2, (0, 1)], grid=3, rng=np.random.default_rng(2))
    network = fit_lm(network, X, law(X)[:, None]).network
    np.testing.assert_allclose(network.forward(X)[:, 0], law(X), atol=1e-6)
    scores = attribute(network, X)
    # held at their means, x0 takes everything away and x1 a tenth of its deviation
    expected = (0.1 * X[:, 0] * X[:, 1]).std() / law(X).std()
    np.testing.assert_allclose(scores.inputs, [1.0, expected], rtol=0.05)


def test__attribute__outputs__count_by_their_spread_or_one_by_one():
    network, X = fit(lambda X: np.c_[10 * X[:, 0], X[:, 1]], [2, 2])
    both = attribute(network, X)
    np.testing.assert_allclose(both.nodes[-1], [10 / 11, 1 / 11], atol=0.01)
    np.testing.assert_allclose(both.importances, both.nodes[-1], atol=1e-3)
    np.testing.assert_allclose(attribute(network, X, output=1).importances, [0, 1], atol=1e-3)


def test__attribute__weights__count_rows_as_often():
    network, X = fit(lambda X: X[:, 0] + X[:, 1] ** 3, [2, 1])
    weight = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    weighted = attribute(network, X, weight=weight)
    repeated = attribute(network, np.repeat(X, weight.astype(int), axis=0))
    np.testing.assert_allclose(weighted.inputs, repeated.inputs, rtol=1e-9)


def test__attribute__edges_that_cancel__stay_finite():
    network, X = fit(lambda X: X[:, 0], [2, 2, 1])
    first, second = network.layers
    for array in (first.coef, first.base_weight, first.bias, second.lower, second.upper):
        array[1] = array[0]
    second.coef[:, 1], second.base_weight[:, 1] = -second.coef[:, 0], -second.base_weight[:, 0]
    scores = attribute(network, X)
    for array in (*scores.nodes, *scores.edges):
        assert np.isfinite(array).all()


def test__attribute__constant_network__has_no_importance():
    network, X = fit(lambda X: 0 * X[:, 0] + 3.0, [2, 1])
    np.testing.assert_array_equal(attribute(network, X).importances, 0.0)


def test__attribute__what_does_not_fit__is_said():
    network, X = fit(lambda X: X[:, 0], [2, 1])
    with pytest.raises(ValueError, match=r"X of an attribution must have shape \(n_samples, 2\)"):
        attribute(network, X[:, :1])
    with pytest.raises(ValueError, match=r"feature_names of an attribution must hold 2 names"):
        attribute(network, X, feature_names=["a"])
    with pytest.raises(ValueError, match=r"output of an attribution must be an int from 0 to 0"):
        attribute(network, X, output=1)


def test__feature_importances__fitted_estimator__sum_to_one_and_rank():
    X = np.random.default_rng(0).uniform(-1, 1, (400, 3))
    model = KANRegressor(hidden=(1,), random_state=0).fit(X, np.exp(X[:, 0] + 2 * X[:, 2]))
    importances = model.feature_importances_
    assert importances.shape == (3,)
    assert importances.sum() == pytest.approx(1.0)
    assert importances[2] > importances[0] > 100 * importances[1]
    assert str(model.attribute()).startswith("x2 ")
    with pytest.raises(AttributeError):
        KANRegressor().feature_importances_  # noqa: B018 - reading it is what fails


def test__plot__attribution__draws_the_largest_on_top():
    network, X = fit(lambda X: X[:, 0] + 5 * X[:, 1], [2, 1])
    figure = attribute(network, X, feature_names=["small", "$large"]).plot()
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["small", "$large"]
    assert axes.patches[1].get_width() == pytest.approx(5 / 6, abs=0.01)
