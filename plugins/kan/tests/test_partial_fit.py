"""New rows learned without forgetting the old ones."""

import itertools

import numpy as np
import pytest

from zoo_kan import KANRegressor
from zoo_kan.solvers.problem import Layout
from zoo_kan.solvers.update import update_network

DOMAIN = np.linspace(-1.0, 1.0, 400)[:, None]
CENTRES = 0.5 * (np.arange(4) - 1.5)


def peaks(x):
    return np.exp(-200.0 * (x[:, None] - CENTRES) ** 2).sum(axis=1)


def blank(grid=80, base="none", hidden=(), **params):
    model = KANRegressor(hidden=hidden, grid=grid, base=base, solver="lm", random_state=0, **params)
    return model.fit(DOMAIN, np.zeros(len(DOMAIN)))


def phase(number, count=80):
    x = np.linspace(CENTRES[number] - 0.25, CENTRES[number] + 0.25, count)
    return x[:, None], peaks(x)


def error(model, low, high):
    x = np.linspace(low, high, 500)
    return np.sqrt(np.mean((model.predict(x[:, None]) - peaks(x)) ** 2))


def test__partial_fit__peaks_one_after_another__all_are_kept():
    model = blank()
    for number in range(4):
        model.partial_fit(*phase(number))
        assert error(model, -1.0, CENTRES[number] + 0.25) < 3e-4
    assert error(model, -1.0, 1.0) < 3e-4


def test__partial_fit__far_from_the_rows__not_one_coefficient_moves():
    model = blank()
    for number in (0, 1):
        model.partial_fit(*phase(number))
    before = model.network_.layers[0]
    model.partial_fit(*phase(3))
    after = model.network_.layers[0]
    moved = np.flatnonzero(after.coef[0, 0] != before.coef[0, 0])
    lowest = before.position(model.network_.standardise(np.array([[0.5]])))[0, 0]
    assert len(moved)
    assert moved.min() >= np.floor(lowest)
    np.testing.assert_array_equal(after.bias, before.bias)
    np.testing.assert_array_equal(after.lower, before.lower)


def test__partial_fit__base_function__stays():
    model = KANRegressor(hidden=(), grid=20, base="silu", solver="lm", random_state=0)
    model.fit(DOMAIN, np.sin(2.0 * DOMAIN[:, 0]))
    weight = model.network_.layers[0].base_weight.copy()
    rows = DOMAIN[:100]
    model.partial_fit(rows, np.sin(2.0 * rows[:, 0]) + 0.1)
    np.testing.assert_array_equal(model.network_.layers[0].base_weight, weight)
    far = DOMAIN[200:]
    np.testing.assert_allclose(model.predict(far), np.sin(2.0 * far[:, 0]), atol=1e-3)


def test__partial_fit__grid_too_coarse__harms_no_neighbour():
    model = blank(grid=40)
    for number in range(4):
        model.partial_fit(*phase(number))
    assert error(model, -1.0, 1.0) < 0.05


def test__partial_fit__unfitted__is_fit():
    X, y = phase(0)
    params = {"hidden": (), "grid": 10, "random_state": 0}
    first = KANRegressor(**params).partial_fit(X, y)
    np.testing.assert_array_equal(first.predict(X), KANRegressor(**params).fit(X, y).predict(X))


def test__partial_fit__zero_weights__ignore_their_rows():
    X, y = phase(1)
    nonsense = np.concatenate([y, 100.0 * np.ones(80)])
    weight = np.concatenate([np.ones(80), np.zeros(80)])
    weighted = blank().partial_fit(np.concatenate([X, X]), nonsense, weight)
    plain = blank().partial_fit(X, y)
    np.testing.assert_allclose(weighted.predict(DOMAIN), plain.predict(DOMAIN), atol=1e-9)


def test__partial_fit__hidden_nodes__fits_the_new_rows():
    model = KANRegressor(hidden=(2,), grid=8, solver="lm", random_state=0)
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (200, 2))
    y = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)
    model.fit(X, y)
    low = X[:, 0] < 0.0
    model.partial_fit(X[low], y[low] + 0.3)
    assert model.score(X[low], y[low] + 0.3) > 0.999
    losses = [entry["loss"] for entry in model.history_]
    assert losses[-1] < 0.1 * losses[0]
    # what falls is the loss and the price of moving together; the loss alone may give way a little
    assert all(after < 1.001 * before for before, after in itertools.pairwise(losses))


def test__partial_fit__several_outputs__fits_each():
    X = DOMAIN
    Y = np.column_stack([np.sin(3.0 * X[:, 0]), X[:, 0] ** 2])
    shift = np.array([1.0, -1.0])
    model = KANRegressor(hidden=(), grid=20, random_state=0).fit(X, Y)
    model.partial_fit(X[:100], Y[:100] + shift)
    np.testing.assert_allclose(model.predict(X[:100]), Y[:100] + shift, atol=1e-2)
    np.testing.assert_allclose(model.predict(X[200:]), Y[200:], atol=1e-2)


def test__partial_fit__rows_kept__are_a_sample_of_old_and_new():
    model = blank(keep_rows=50)
    model.partial_fit(*phase(2))
    assert len(model.rows_["X"]) == len(model.rows_["y"]) == len(model.rows_["weight"]) == 50
    assert model.rows_["y"].max() > 0.5  # a new row
    assert model.rows_["X"].min() < -0.5  # an old one


def test__partial_fit__saved_and_loaded__goes_on(tmp_path):
    model = blank().partial_fit(*phase(0))
    model.save_pretrained(tmp_path / "model")
    again = KANRegressor.from_pretrained(tmp_path / "model")
    model.partial_fit(*phase(1))
    again.partial_fit(*phase(1))
    np.testing.assert_array_equal(again.predict(DOMAIN), model.predict(DOMAIN))


def test__partial_fit__other_outputs__says_how_many():
    model = blank()
    with pytest.raises(ValueError, match=r"must have the 1 output\(s\) of the earlier fit. Got 2"):
        model.partial_fit(DOMAIN, np.zeros((len(DOMAIN), 2)))


def test__partial_fit__other_features__is_refused():
    with pytest.raises(ValueError, match="expecting 1 features"):
        blank().partial_fit(np.zeros((5, 2)), np.zeros(5))


def test__update_network__rows_that_fit_already__changes_nothing():
    network = blank().network_
    result = update_network(network, DOMAIN, np.zeros((len(DOMAIN), 1)))
    assert result.network is network
    assert result.n_iter == 0
    assert result.converged


def test__update_network__rows_beyond_the_grid__stay_finite():
    model = blank(grid=10)
    result = update_network(model.network_, np.array([[5.0], [6.0]]), np.array([[1e3], [-1e3]]))
    assert np.isfinite(result.network.forward(DOMAIN)).all()


def test__update_network__exact_case__is_the_least_squares_solution_of_smallest_change():
    rng = np.random.default_rng(0)
    network = blank(grid=12).network_
    X = np.linspace(-0.9, 0.9, 40)[:, None]
    layout = Layout.of(network)
    change = np.zeros(layout.size)
    change[:-1] = rng.normal(size=layout.size - 1)
    target = layout.unpack(network, change).forward(X)
    found = layout.pack(update_network(network, X, target).network)
    features = network.layers[0].features(network.standardise(X))[:, 0, :-1]
    expected, *_ = np.linalg.lstsq(features, target[:, 0], rcond=None)
    np.testing.assert_allclose(found[:-1], expected, atol=1e-4)


def test__update_network__small_chunks__change_nothing(monkeypatch):
    network = blank(grid=20).network_
    X, y = phase(1)
    whole = update_network(network, X, y[:, None]).network.forward(DOMAIN)
    monkeypatch.setattr("zoo_kan.solvers.update._CHUNK", 200)
    parts = update_network(network, X, y[:, None]).network.forward(DOMAIN)
    np.testing.assert_allclose(parts, whole, atol=1e-8)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.full((5, 1), 0.25), np.arange(5.0)),
        (np.linspace(-1.0, 1.0, 5)[:, None], np.full(5, 1e150)),
        (np.linspace(-1.0, 1.0, 5)[:, None], np.full(5, 1e-300)),
        (np.array([[1e200], [-1e200]]), np.array([1.0, 2.0])),
        (np.array([[0.5]]), np.array([3.0])),
    ],
    ids=["same-row", "huge-targets", "tiny-targets", "huge-inputs", "one-row"],
)
@pytest.mark.parametrize("hidden", [(), (2,)], ids=["flat", "hidden"])
def test__partial_fit__strange_rows__predictions_stay_finite(hidden, X, y):
    model = KANRegressor(hidden=hidden, grid=6, solver="lm", random_state=0, max_iter=15)
    model.fit(DOMAIN, np.sin(2.0 * DOMAIN[:, 0]))
    model.partial_fit(X, y)
    assert np.isfinite(model.predict(DOMAIN)).all()
    assert not np.isnan(model.loss_)
