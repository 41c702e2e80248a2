"""Differential equations solved at points."""

import numpy as np
import pytest

from zoo_kan.collocation import Condition, fit_conditions, linear, solve_conditions
from zoo_kan.jets import Jet, derivatives
from zoo_kan.network import KANNetwork
from zoo_kan.solvers import initial_network

VALUES_ONLY = np.zeros((0, 2))


def square(count):
    """Gauss points (n, 2) of the square from -1 to 1, and points on its four sides."""
    z, _ = np.polynomial.legendre.leggauss(count)
    inside = np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2)
    t, one = np.linspace(-1.0, 1.0, count), np.ones(count)
    sides = [(t, one), (t, -one), (one, t), (-one, t)]
    return inside, np.concatenate([np.stack(side, axis=1) for side in sides])


def ends(x, *values):
    return [
        Condition(x[[row]], linear(value, value=1.0))
        for row, value in zip((0, -1), values, strict=False)
    ]


def test__linear__coefficients_per_point__residual_and_partials():
    rng = np.random.default_rng(0)
    jet = Jet(rng.normal(size=(6, 1)), rng.normal(size=(6, 1, 2)), rng.normal(size=(6, 1, 2)))
    a, b = rng.normal(size=6), rng.normal(size=(6, 2))
    residual, partial = linear(3.0, value=a, first=b, second=(1.0, -2.0))(np.zeros((6, 2)), jet)
    expected = (
        a * jet.value[:, 0]
        + (b * jet.first[:, 0]).sum(axis=1)
        + jet.second[:, 0, 0]
        - 2.0 * jet.second[:, 0, 1]
        - 3.0
    )
    np.testing.assert_allclose(residual, expected)
    np.testing.assert_allclose(partial.value[:, 0], a)
    np.testing.assert_allclose(partial.first[:, 0], b)
    np.testing.assert_allclose(partial.second[:, 0], np.tile([1.0, -2.0], (6, 1)))


def test__solve_conditions__linear_equation_in_one_variable__is_exact_to_the_grid():
    # u' + x u = 0 with u(0) = 1: a Gaussian
    x = np.linspace(0.0, 3.0, 60)[:, None]
    inside = Condition(x, linear(value=x[:, 0], first=1.0))
    found = solve_conditions([inside, *ends(x, 1.0)], hidden=(), grids=(5, 10, 20)).network
    np.testing.assert_allclose(found.forward(x)[:, 0], np.exp(-(x[:, 0] ** 2) / 2), atol=1e-7)
    assert found.layers[0].grid == 20


def test__solve_conditions__non_linear_equation__finds_its_solution():
    # u'' = 2 u^3 with u(1) = 1, u(2) = 1/2: 1/x
    x = np.linspace(1.0, 2.0, 40)[:, None]

    def equation(points, jet):
        residual = jet.second[:, 0, 0] - 2.0 * jet.value[:, 0] ** 3
        partial = Jet(-6.0 * jet.value**2, np.zeros_like(jet.first), np.ones_like(jet.second))
        return residual, partial

    result = solve_conditions([Condition(x, equation), *ends(x, 1.0, 0.5)], hidden=(), grids=(8,))
    np.testing.assert_allclose(result.network.forward(x)[:, 0], 1.0 / x[:, 0], atol=1e-6)
    assert result.loss < 1e-8


def test__solve_conditions__system_of_two__finds_sine_and_cosine():
    x = np.linspace(0.0, 2.0, 40)[:, None]

    def equation(points, jet):
        # u' = v and v' = -u, the sum of squares split over two conditions
        residual = jet.first[:, 0, 0] - jet.value[:, 1]
        value, first = np.zeros_like(jet.value), np.zeros_like(jet.first)
        value[:, 1], first[:, 0] = -1.0, 1.0
        return residual, Jet(value, first, np.zeros_like(jet.second))

    def other(points, jet):
        residual = jet.first[:, 1, 0] + jet.value[:, 0]
        value, first = np.zeros_like(jet.value), np.zeros_like(jet.first)
        value[:, 0], first[:, 1] = 1.0, 1.0
        return residual, Jet(value, first, np.zeros_like(jet.second))

    def start(points, jet):
        value = np.array([[1.0, 0.0]])
        return jet.value[:, 0], Jet(value, np.zeros_like(jet.first), np.zeros_like(jet.second))

    def steep(points, jet):
        value = np.array([[0.0, 1.0]])
        partial = Jet(value, np.zeros_like(jet.first), np.zeros_like(jet.second))
        return jet.value[:, 1] - 1.0, partial

    conditions = [Condition(x, equation), Condition(x, other)]
    conditions += [Condition(x[:1], start), Condition(x[:1], steep)]
    found = solve_conditions(conditions, hidden=(), n_outputs=2, grids=(8,)).network
    exact = np.column_stack([np.sin(x[:, 0]), np.cos(x[:, 0])])
    np.testing.assert_allclose(found.forward(x), exact, atol=1e-6)


@pytest.fixture(scope="module")
def poisson():
    inside, boundary = square(18)
    x, y = inside.T
    pull = -(np.pi**2) * (1 + 4 * y**2) * np.sin(np.pi * x) * np.sin(np.pi * y**2)
    pull += 2 * np.pi * np.sin(np.pi * x) * np.cos(np.pi * y**2)
    return [
        Condition(inside, linear(pull, second=1.0), weight=0.01),
        Condition(boundary, linear(value=1.0), directions=VALUES_ONLY),
    ]


def test__solve_conditions__papers_poisson_problem__reaches_the_papers_error(poisson):
    result = solve_conditions(poisson, hidden=(5,), grids=(5, 8), n_starts=2)
    X, _ = square(40)
    exact = np.sin(np.pi * X[:, 0]) * np.sin(np.pi * X[:, 1] ** 2)
    assert np.mean((result.network.forward(X)[:, 0] - exact) ** 2) < 1e-7
    assert result.loss < 1e-4
    assert [entry["iteration"] for entry in result.history] == list(
        range(1, len(result.history) + 1)
    )


def test__solve_conditions__product_node__descends(poisson):
    result = solve_conditions(poisson, hidden=((1, 1),), grids=(5,), n_starts=1, max_iter=20)
    losses = [entry["loss"] for entry in result.history]
    assert result.network.products == [1, 0]
    assert result.loss < 0.5 * losses[0]


def test__solve_conditions__same_seed__same_network(poisson):
    first, second = (
        solve_conditions(poisson, hidden=(2,), grids=(3,), n_starts=2, max_iter=4, seed=7)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.network.layers[0].coef, second.network.layers[0].coef)
    assert first.loss == second.loss


def start_network(order=4):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (30, 2))
    return initial_network(
        X,
        np.zeros((30, 1)),
        [2, 3, 1],
        grid=4,
        order=order,
        base="silu",
        standardise_outputs=False,
        rng=np.random.default_rng(1),
    )


def test__fit_conditions__loss__is_the_weighted_mean_square_of_the_residuals(poisson):
    network = start_network()
    result = fit_conditions(network, poisson, max_iter=6)
    inside, boundary = poisson
    jet = derivatives(result.network, inside.points)
    residual, _ = inside.equation(inside.points, jet)
    edge = result.network.forward(boundary.points)[:, 0]
    assert result.loss == pytest.approx(0.01 * np.mean(residual**2) + np.mean(edge**2), rel=1e-9)
    assert result.loss == min(entry["loss"] for entry in result.history)


def test__fit_conditions__start__is_left_alone(poisson):
    network = start_network()
    before = {name: array.copy() for name, array in network.to_arrays().items()}
    fit_conditions(network, poisson, max_iter=3, grids=(4, 6))
    for name, array in network.to_arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test__fit_conditions__more_parameters_than_points__leaves_the_grid_out():
    x = np.linspace(0.0, 1.0, 20)[:, None]
    conditions = [Condition(x, linear(1.0, second=1.0)), *ends(x, 0.0, 0.0)]
    result = solve_conditions(conditions, hidden=(), grids=(5, 10, 40))
    assert result.network.layers[0].grid <= 10
    assert {entry["grid"] for entry in result.history} == {5, 10}


def test__fit_conditions__small_chunks__change_nothing(poisson, monkeypatch):
    whole = fit_conditions(start_network(), poisson, max_iter=3)
    monkeypatch.setattr("zoo_kan.conditions._CHUNK", 1000)
    parts = fit_conditions(start_network(), poisson, max_iter=3)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)


def test__fit_conditions__progress__is_called_with_every_entry(poisson):
    seen = []
    result = fit_conditions(start_network(), poisson, max_iter=3, progress=seen.append)
    assert seen == result.history


def test__fit_conditions__network__predicts_and_rebuilds(poisson):
    network = fit_conditions(start_network(), poisson, max_iter=2).network
    X, _ = square(5)
    again = KANNetwork.from_arrays(network.to_config(), network.to_arrays())
    np.testing.assert_array_equal(again.forward(X), network.forward(X))


POINTS = np.linspace(0.0, 1.0, 8)[:, None].repeat(2, axis=1)


def wrong_shape(points, jet):
    return jet.value, jet


def overflowing(points, jet):
    return np.full(len(points), np.inf), jet


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([], "conditions must hold at least one"),
        ([Condition(POINTS[:, :1], linear())], r"points of a Condition must have shape \(n, 2\)"),
        ([Condition(POINTS[:0], linear())], "with n at least 1"),
        ([Condition(POINTS * np.nan, linear())], "points of a Condition must be finite"),
        ([Condition(POINTS, linear(), weight=0.0)], "weight of a Condition must be a positive"),
        ([Condition(POINTS, linear(), weight=np.nan)], "weight of a Condition must be a positive"),
        (
            [Condition(POINTS, linear(), directions=np.eye(3))],
            r"directions of a Condition must have shape \(d, 2\)",
        ),
        ([Condition(POINTS, wrong_shape)], "equation of a Condition must return residuals"),
        ([Condition(POINTS, overflowing)], "must have finite residuals at the start"),
    ],
    ids=["none", "columns", "empty", "nan", "zero", "nan-weight", "directions", "shape", "inf"],
)
def test__fit_conditions__bad_conditions__says_what_is_wrong(conditions, message):
    with pytest.raises(ValueError, match=message):
        fit_conditions(start_network(), conditions)


def test__solve_conditions__no_conditions__says_so():
    with pytest.raises(ValueError, match="conditions must hold at least one"):
        solve_conditions([])
