"""Grids on the way to a given one, warm starts beyond the first rows, and corners of the inputs."""

import numpy as np
import pytest

from zoo_kan import KANRegressor, spline
from zoo_kan.solvers import fit_lm, initial_network, regrid
from zoo_kan.solvers.resume import reaches_beyond


def toy(rows=1000, seed=0):
    X = np.random.default_rng(seed).uniform(-1, 1, (rows, 2))
    return X, np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)


def rmse(model, X, y):
    return float(np.sqrt(np.mean((model.predict(X) - y) ** 2)))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("grid", [20, 100])
def test__grid__given_number__ends_on_it_by_way_of_coarser_ones(grid, seed):
    X, y = toy(seed=seed)
    model = KANRegressor(hidden=(1,), grid=grid, random_state=seed).fit(X, y)
    assert [layer.grid for layer in model.network_.layers] == [grid, grid]
    assert model.history_[0]["grid"] == 3
    assert rmse(model, *toy(seed=100 + seed)) < 1e-4


def test__grid__finer_than_the_rows_can_tell__is_kept():
    X, y = toy(60)
    model = KANRegressor(hidden=(2,), grid=40, random_state=0).fit(X, y)
    assert model.network_.layers[0].grid == 40
    assert np.isfinite(model.predict(X)).all()


def test__fit_lm__to_the_end__takes_a_last_grid_that_is_not_better():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (100, 1))
    Y = X + 0.3 * rng.normal(size=(100, 1))
    network = initial_network(X, Y, [1, 1], grid=3, rng=rng)
    assert fit_lm(network, X, Y, grids=(3, 6, 30)).network.layers[0].grid == 3
    assert fit_lm(network, X, Y, grids=(3, 6, 30), to_the_end=True).network.layers[0].grid == 30


@pytest.mark.parametrize("hidden", ["auto", (2,)])
def test__warm_start__rows_beyond_the_first__are_learned_as_well(hidden):
    X, y = toy()
    part = X[:, 0] < 0.0
    model = KANRegressor(hidden=hidden, warm_start=True, random_state=0).fit(X[part], y[part])
    assert reaches_beyond(model.network_, X)
    assert not reaches_beyond(model.network_, X[part])
    assert rmse(model.fit(X, y), *toy(seed=100)) < 1e-4


def test__warm_start__rows_beyond_a_pruned_network__leave_it_pruned():
    X, y = toy(400)
    part = X[:, 0] < 0.0
    model = KANRegressor(hidden=(2,), warm_start=True, random_state=0).fit(X[part], y[part])
    model.network_.layers[0].mask[0, 0] = False
    model.fit(X, y)
    assert not model.network_.layers[0].mask[0, 0]
    assert not reaches_beyond(model.network_, X)


def test__regrid__hidden_nodes__have_room_for_corners():
    X, y = toy(200)
    network = initial_network(X, y[:, None], [2, 2, 1], grid=4, rng=np.random.default_rng(0))
    moved = regrid(network, X)
    hidden, layer = moved.activations(X)[1], moved.layers[1]
    width = np.ptp(hidden, axis=0)
    np.testing.assert_allclose(hidden.min(axis=0) - layer.lower, 0.1 * width, rtol=1e-3)
    np.testing.assert_allclose(layer.upper - hidden.max(axis=0), 0.1 * width, rtol=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test__roughness_gram__straight_lines__are_free(order):
    place = spline.centres(12, order) / 12
    gram = spline.roughness_gram(12, order)
    assert (3.0 + 2.0 * place) @ gram @ (3.0 + 2.0 * place) == pytest.approx(0.0, abs=1e-6)
    assert np.linalg.eigvalsh(gram)[:3].max() > 0.0
    assert np.linalg.matrix_rank(gram, tol=1e-6) == 12 + order - 2


def test__roughness_gram__gap_at_the_end__carries_the_curvature_on():
    u = np.linspace(0.0, 0.9, 200)
    design = spline.design(u[:, None] * 24, 24, 3)[:, 0]
    errors = []
    for gram in (spline.second_difference_gram(24, 3), spline.roughness_gram(24, 3)):
        coef = np.linalg.solve(design.T @ design + 1e-9 * gram, design.T @ np.exp(u))
        end = spline.design(np.array([[24.0]]), 24, 3)[0, 0] @ coef
        errors.append(abs(end - np.exp(1.0)))
    assert errors[1] < 0.3 * errors[0]
