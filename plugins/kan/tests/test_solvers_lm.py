"""Levenberg-Marquardt training and the search for a shape."""

import numpy as np
import pytest

from zoo_kan.solvers import GRIDS, fit_lm, fit_shape, initial_network, search_shape
from zoo_kan.solvers.loss import probabilities


def toy(rows=1000, seed=0):
    X = np.random.default_rng(seed).uniform(-1, 1, (rows, 2))
    return X, np.exp(np.sin(np.pi * X[:, :1]) + X[:, 1:] ** 2)


def rmse(network, X, Y):
    return float(np.sqrt(np.mean((network.forward(X) - Y) ** 2)))


@pytest.mark.parametrize("base", ["silu", "linear", "none"])
def test__fit_lm__toy_function_of_the_paper__reaches_1e5(base):
    X, Y = toy()
    network = initial_network(X, Y, [2, 1, 1], grid=3, base=base, rng=np.random.default_rng(4))
    result = fit_lm(network, X, Y, grids=GRIDS)
    assert rmse(result.network, *toy(seed=1)) < 1e-5
    assert result.network.layers[0].grid == 48
    assert result.converged
    assert result.n_iter == len(result.history)
    assert result.loss == pytest.approx(np.mean((result.network.forward(X) - Y) ** 2) / Y.var())


def test__fit_lm__additive_network__is_penalised_least_squares():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (80, 1))
    Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    network = initial_network(X, Y, [1, 1], grid=8, base="none", rng=rng)
    result = fit_lm(network, X, Y, smoothness=1e-3, max_iter=50, tol=1e-12)
    layer = result.network.layers[0]
    features = layer.features(result.network.standardise(X))[:, 0, :-1]
    t = (Y - result.network.output_mean) / result.network.output_scale
    rough = np.zeros((11, 11))
    for times, weight in ((2, 8**3), (3, 0.1**2 * 8**5), (4, 0.1**4 * 8**7)):
        difference = np.diff(np.eye(11), times, axis=0)
        rough += 1e-3 * weight * difference.T @ difference
    place = np.arange(11) / 8 - 5 / 8
    line = place / (place @ place)
    steep = 1e-8 * np.outer(line, line)
    centred = features - features.mean(axis=0)
    constant = 1e-2 / 11**2 * np.ones((11, 11))
    coef = np.linalg.solve(
        centred.T @ centred / 80 + rough + steep + constant, centred.T @ t[:, 0] / 80
    )
    expected = centred @ coef
    fitted = (result.network.forward(X) - result.network.output_mean) / (
        result.network.output_scale
    )
    np.testing.assert_allclose(fitted[:, 0], expected, atol=1e-9)


def test__fit_lm__noisy_line__learns_that_it_is_smooth():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (300, 2))
    Y = 2 * X[:, :1] + 0.5 * rng.normal(size=(300, 1))
    network = initial_network(X, Y, [2, 1], grid=10, rng=rng)
    result = fit_lm(network, X, Y)
    slopes = np.linalg.lstsq(np.c_[X, np.ones(300)], Y[:, 0], rcond=None)[0]
    gradient = result.network.gradient(X)[:, 0]
    np.testing.assert_allclose(gradient[:, 0], slopes[0], rtol=0.1)
    assert np.abs(gradient[:, 1]).max() < 0.2
    assert result.effective_parameters < 6
    assert result.network.n_parameters == 29


def test__fit_lm__start_already_trained__is_not_made_worse():
    X, Y = toy(300)
    network = initial_network(X, Y, [2, 1, 1], grid=10, rng=np.random.default_rng(4))
    first = fit_lm(network, X, Y)
    again = fit_lm(first.network, X, Y, trained=True, max_iter=30)
    assert rmse(again.network, X, Y) < 1.05 * rmse(first.network, X, Y)


def test__fit_lm__one_iteration__does_not_raise_the_loss_of_the_start():
    X, Y = toy(100)
    network = initial_network(X, Y, [2, 3, 1], grid=5, rng=np.random.default_rng(0))
    start = rmse(network, X, Y)
    assert rmse(fit_lm(network, X, Y, smoothness=0.0, max_iter=1).network, X, Y) < start


def test__fit_lm__weights__equal_repeated_rows():
    X, Y = toy(60)
    weight = np.random.default_rng(0).integers(0, 4, 60)
    results = []
    for rows, targets, w in (
        (X, Y, weight.astype(float)),
        (X.repeat(weight, axis=0), Y.repeat(weight, axis=0), np.ones(weight.sum())),
    ):
        network = initial_network(
            rows, targets, [2, 1, 1], grid=4, weight=w, rng=np.random.default_rng(4)
        )
        results.append(fit_lm(network, rows, targets, w).network.forward(X))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-7)


def test__fit_lm__two_outputs__fits_both():
    X, Y = toy(600)
    both = np.c_[Y, X[:, :1] * X[:, 1:]]
    result = fit_shape(
        X,
        both,
        np.ones(600),
        (4,),
        loss="squared",
        order=3,
        base="silu",
        seed=0,
        max_iter=100,
        tol=1e-4,
    )
    error = ((result.network.forward(X) - both) ** 2).mean(axis=0) / both.var(axis=0)
    assert error.max() < 1e-3
    assert result.loss == pytest.approx(error.mean())


def test__fit_lm__three_classes__reaches_the_bayes_rule():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (1500, 2))
    logits = np.c_[X[:, 0] ** 2, 2 * np.sin(2 * X[:, 1]), np.ones(1500)]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in p])
    network = initial_network(
        X, np.eye(3)[labels], [2, 3], grid=5, standardise_outputs=False, rng=rng
    )
    result = fit_lm(network, X, np.eye(3)[labels], loss="logistic")
    error = np.abs(probabilities(result.network.forward(X)) - p)
    assert error.mean() < 0.02
    assert result.loss == pytest.approx(
        -np.log(probabilities(result.network.forward(X))[np.arange(1500), labels]).mean()
    )


def test__fit_lm__separable_classes__stays_finite_and_modest():
    X = np.linspace(-1, 1, 60)[:, None]
    T = (X > 0.1).astype(float)
    network = initial_network(
        X, T, [1, 1], grid=5, standardise_outputs=False, rng=np.random.default_rng(0)
    )
    result = fit_lm(network, X, T, loss="logistic")
    logits = result.network.forward(X)
    assert np.array_equal(logits > 0, T > 0)
    assert np.abs(logits).max() < 100


def test__fit_lm__sparsity__kills_the_edges_that_carry_nothing():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (200, 3))
    Y = X[:, :1] ** 2 + 0.1 * rng.normal(size=(200, 1))
    network = initial_network(X, Y, [3, 1], grid=5, rng=rng)
    spreads = [
        fit_lm(network, X, Y, smoothness=1e-6, sparsity=price)
        .network.layers[0]
        .edges(network.standardise(X))
        .std(axis=0)[0]
        for price in (0.0, 0.05)
    ]
    assert spreads[0][1:].min() > 0.02
    assert spreads[1][1:].max() < 0.25 * spreads[0][1:].min()
    assert spreads[1][0] > 0.8


def test__fit_lm__held_out_rows__choose_the_network_by_them():
    rng = np.random.default_rng(0)
    X, Y = toy(120)
    Y = Y + 0.5 * rng.normal(size=Y.shape)
    network = initial_network(X, Y, [2, 3, 1], grid=8, rng=rng)
    V, W = toy(100, seed=5)
    result = fit_lm(network, X, Y, smoothness=0.0, validation=(V, W, np.ones(100)))
    judged = [entry["validation_loss"] for entry in result.history]
    assert result.score == pytest.approx(min(judged), rel=1e-9)
    assert len(judged) < 200


def test__fit_lm__progress__gets_every_entry():
    X, Y = toy(50)
    seen = []
    network = initial_network(X, Y, [2, 1], grid=3, rng=np.random.default_rng(0))
    result = fit_lm(network, X, Y, progress=seen.append)
    assert seen == result.history
    assert [entry["iteration"] for entry in seen] == list(range(1, len(seen) + 1))


@pytest.mark.parametrize(
    ("function", "widths"),
    [
        (lambda x, y: np.sin(3 * x) + y**2, [2, 1]),
        (lambda x, y: np.exp(np.sin(np.pi * x) + y**2), [2, 1, 1]),
        (lambda x, y: x * y, [2, 2, 1]),
    ],
)
def test__search_shape__noise_free_function__finds_the_smallest_exact_shape(function, widths):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 2))
    result = search_shape(
        X,
        function(*X.T)[:, None],
        np.ones(500),
        loss="squared",
        order=3,
        base="silu",
        seed=0,
        max_iter=200,
        tol=1e-4,
    )
    assert result.network.widths == widths
    V = rng.uniform(-0.98, 0.98, (300, 2))
    assert rmse(result.network, V, function(*V.T)[:, None]) < 1e-4


def test__search_shape__no_shapes__raises():
    X, Y = toy(20)
    with pytest.raises(ValueError, match="shapes must name at least one shape"):
        search_shape(
            X,
            Y,
            np.ones(20),
            shapes=(),
            loss="squared",
            order=3,
            base="silu",
            seed=0,
            max_iter=5,
            tol=1e-4,
        )
