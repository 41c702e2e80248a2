"""Networks that start from what smaller ones learned, and the shapes found with them."""

import numpy as np
import pytest

from zoo_kan.solvers import initial_network, search_shape
from zoo_kan.solvers.grow import from_additive, pair_starts, strongest_pairs, with_layer
from zoo_kan.solvers.search import _chosen_rows

OPTIONS = {
    "loss": "squared",
    "order": 3,
    "base": "silu",
    "seed": 0,
    "max_iter": 200,
    "tol": 1e-4,
}


def rows(n=300, columns=3, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, columns))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("place", [0, 1])
def test__with_layer__any_order__keeps_the_function(order, place):
    X = rows()
    network = initial_network(
        X, X[:, :1], [3, 2, 1], grid=4, order=order, rng=np.random.default_rng(0)
    )
    grown = with_layer(network, X, place)
    assert grown.widths == ([3, 2, 2, 1] if place == 0 else [3, 2, 1, 1])
    np.testing.assert_allclose(grown.forward(X), network.forward(X), atol=1e-12)


def test__from_additive__kept_outputs__keep_the_function_beside_the_directions():
    X = rows()
    network = initial_network(X, X[:, :1], [3, 1], grid=4, rng=np.random.default_rng(0))
    directions = np.array([[1.0, 2.0, 0.0]])
    grown = from_additive(network, X, directions, keep=True)
    assert grown.widths == [3, 2, 1]
    np.testing.assert_allclose(grown.forward(X), network.forward(X), atol=1e-12)
    hidden = grown.activations(X)[1]
    np.testing.assert_allclose(hidden[:, 1], network.standardise(X) @ directions[0], atol=1e-12)


def test__strongest_pairs__two_products__finds_both_in_order():
    x = rows(2000, 5)
    residual = (3 * x[:, 0] * x[:, 3] + x[:, 1] * x[:, 4] ** 2)[:, None]
    share = np.full(2000, 1 / 2000)
    pairs = strongest_pairs(x / x.std(axis=0), residual, share, 2)
    assert pairs == [(0, 3), (1, 4)]


def test__pair_starts__widths__are_those_that_pairs_and_outputs_make():
    X = rows()
    network = initial_network(X, X[:, :1], [3, 1], grid=4, rng=np.random.default_rng(0))
    residual, share = X[:, :1] * X[:, 1:2], np.full(300, 1 / 300)
    for width, count in ((1, 1), (2, 1), (3, 1), (5, 1), (20, 0)):
        starts = pair_starts(network, X, residual, share, width)
        assert [start.widths for start in starts] == [[3, width, 1]] * count


@pytest.mark.parametrize(
    ("function", "limit"),
    [
        # the paper's third toy, which needs two hidden layers, and one of many waves
        (
            lambda X: np.exp(
                np.sin(np.pi * (X[:, 0] ** 2 + X[:, 1] ** 2)) / 2
                + np.sin(np.pi * (X[:, 2] ** 2 + X[:, 3] ** 2)) / 2
            ),
            3e-4,
        ),
        (lambda X: np.sin(30 * X[:, 0]), 1e-3),
    ],
    ids=["two layers", "waves"],
)
def test__search_shape__hard_smooth_function__is_learned_exactly(function, limit):
    columns = 4 if limit < 1e-3 else 1
    X, V = rows(1000, columns), 0.98 * rows(1000, columns, seed=1)
    result = search_shape(X, function(X)[:, None], np.ones(1000), **OPTIONS)
    error = result.network.forward(V)[:, 0] - function(V)
    assert np.sqrt(np.mean(error**2)) < limit


def test__search_shape__more_rows_than_choose__trains_on_all():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    Y = (np.sin(X[:, 0]) * X[:, 1] + X[:, 2] ** 2 + 0.1 * rng.normal(size=3000))[:, None]
    X[-1, 0] = 30.0  # in no sample of the first rows, and far outside their grids
    result = search_shape(X, Y, np.ones(3000), **OPTIONS)
    assert result.loss < 0.01
    residual = result.network.forward(X) - Y
    assert result.loss == pytest.approx(np.mean(residual**2) / Y.var(), rel=1e-6)
    assert result.network.layers[0].upper[0] > 20.0


def test__chosen_rows__rare_class__keeps_fifty():
    labels = np.zeros((10_000, 1))
    labels[:60] = 1.0
    chosen = _chosen_rows(labels, 0, classes=True)
    assert labels[chosen].sum() >= 50
    assert 2000 <= len(chosen) <= 2050
    assert np.array_equal(chosen, _chosen_rows(labels, 0, classes=True))


def test__search_shape__product_without_noise__multiplies_exactly():
    X = rows(400, 2)
    Y = np.exp(X[:, :1]) * np.cos(2 * X[:, 1:]) + 0.5 * X[:, :1]
    result = search_shape(X, Y, np.ones(400), **OPTIONS)
    assert any(result.network.products)
    V = 0.95 * rows(400, 2, seed=1)
    truth = np.exp(V[:, :1]) * np.cos(2 * V[:, 1:]) + 0.5 * V[:, :1]
    assert np.sqrt(np.mean((result.network.forward(V) - truth) ** 2)) < 1e-5


def test__search_shape__few_noisy_rows__stay_additive():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 10))
    y = X @ rng.normal(size=10) + 4.0 * rng.normal(size=120)
    for fold in range(3):
        kept = np.arange(120) % 3 != fold
        result = search_shape(X[kept], y[kept, None], np.ones(kept.sum()), **OPTIONS)
        assert result.network.widths == [10, 1]
