"""Formulas compiled to networks, against sympy's own numbers."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_kan import KANRegressor, from_symbolic
from zoo_kan.wiring import Wiring

X, Y, Z, C = sympy.symbols("x y z c")
UNIT = [(-1, 1), (-1, 1)]


def draw(bounds, n=3000, seed=1):
    low, high = np.array(bounds, dtype=float).T
    return np.random.default_rng(seed).uniform(low, high, (n, len(low)))


def true_values(expression, variables, rows):
    compute = sympy.lambdify(variables, expression, "numpy")
    return np.broadcast_to(compute(*rows.T), len(rows))


def relative_rmse(network, expression, variables, bounds):
    rows = draw(bounds)
    truth = true_values(expression, variables, rows)
    return np.sqrt(np.mean((network.forward(rows)[:, 0] - truth) ** 2)) / truth.std()


CASES = {
    "toy": (sympy.exp(sympy.sin(sympy.pi * X) + Y**2), [X, Y], UNIT, [2, 1, 1], [0, 0]),
    "energy": (
        X * Y**2 / (2 * sympy.sqrt(1 - Y**2 / C**2)),
        [X, Y, C],
        [(1, 5), (1, 2), (3, 10)],
        [3, 2, 1],
        [2, 1],
    ),
    "quotient": (X / Y, [X, Y], [(-1, 1), (0.5, 3)], [2, 1], [1]),
    "distance": (
        sympy.sqrt((X - Y) ** 2 + (Z - C) ** 2 + 1),
        [X, Y, Z, C],
        [(0, 1)] * 4,
        [4, 2, 1, 1],
        [0, 0, 0],
    ),
    "power": (X**Y, [X, Y], [(1, 2), (0, 2)], [2, 1, 1], [1, 0]),
    "velocities": ((X + Y) / (1 + X * Y), [X, Y], [(0, 0.9)] * 2, [2, 3, 1], [1, 1]),
    "one product twice": (
        X * Y * sympy.exp(-X * Y),
        [X, Y],
        [(0, 1)] * 2,
        [2, 1, 1],
        [1, 0],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test__from_symbolic__fifty_intervals__are_exact_to_a_millionth(name):
    expression, variables, bounds, widths, products = CASES[name]
    network = from_symbolic(expression, variables, bounds=bounds, grid=50)
    assert (network.widths, network.products) == (widths, products)
    assert relative_rmse(network, expression, variables, bounds) < 1e-6


def test__from_symbolic__sum_times_input__is_one_product_of_straight_edges():
    network = from_symbolic((X + Y) * Z, [X, Y, Z], bounds=[(-1, 1)] * 3, grid=1)
    assert (network.widths, network.products) == ([3, 1], [1])
    assert network.layers[0].mask.sum() == 3
    rows = draw([(-3, 3)] * 3)  # straight edges go on beyond the box
    expected = (rows[:, 0] + rows[:, 1]) * rows[:, 2]
    np.testing.assert_allclose(network.forward(rows)[:, 0], expected, atol=1e-12)


def test__from_symbolic__automatic_grid__is_fine_enough_and_no_finer():
    expression = sympy.sin(10 * X) + Y
    grids = {}
    for tolerance in (1e-2, 1e-4, 1e-6):
        network = from_symbolic(expression, [X, Y], bounds=UNIT, tolerance=tolerance)
        grids[tolerance] = network.layers[0].grid
        assert relative_rmse(network, expression, [X, Y], UNIT) < 1.1 * tolerance
    assert grids[1e-2] < grids[1e-4] < grids[1e-6]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test__from_symbolic__error__falls_as_the_order_of_the_splines_promises(order):
    expression = sympy.sin(3 * X)
    errors = [
        relative_rmse(
            from_symbolic(expression, [X], bounds=[(-1, 1)], grid=grid, order=order, base="none"),
            expression,
            [X],
            [(-1, 1)],
        )
        for grid in (10, 20)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order + 1, abs=0.7)


def test__from_symbolic__several_outputs__keep_their_order():
    expressions = [X * Y, X + Y, X, sympy.Integer(7)]
    network = from_symbolic(expressions, ["x", "y"], bounds={"y": (0, 1), "x": (-1, 1)})
    rows = draw([(-1, 1), (0, 1)])
    expected = [true_values(e, [X, Y], rows) for e in expressions]
    np.testing.assert_allclose(network.forward(rows), np.stack(expected, axis=1), atol=1e-12)


def test__from_symbolic__rows_instead_of_a_box__need_functions_only_where_they_lie():
    expression = sympy.log(X - Y)
    rows = draw([(2, 3), (0, 1)])
    rows = np.r_[rows, [[0.0, -1.5]]]
    network = from_symbolic(expression, [X, Y], X=rows, order=5)
    expected = true_values(expression, [X, Y], rows)
    np.testing.assert_allclose(network.forward(rows)[:, 0], expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"Got log\(x - y\), where x - y goes from"):
        from_symbolic(expression, [X, Y], bounds=[(0, 3), (-1.5, 1)])


def test__from_symbolic__extreme_inside_the_box__is_inside_the_grid():
    # the peak of the inner node lies between the rows that the box is covered with
    inner = sympy.exp(-300 * ((X - 0.123) ** 2 + (Y + 0.456) ** 2))
    expression = sympy.sqrt(1.0001 - inner)
    network = from_symbolic(expression, [X, Y], bounds=UNIT, grid=40)
    peak = network.layers[0].forward(network.standardise(np.array([[0.123, -0.456]])))
    assert network.layers[1].lower[0] - 1e-6 <= peak[0, 0] <= network.layers[1].upper[0] + 1e-6


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (1 / X, r"Got 1/x, where x goes from -1 to 1"),
        (sympy.log(X + 1), r"finite and real .* Got log\(x \+ 1\)"),
        (sympy.sqrt(X - Y), r"Got sqrt\(x - y\), where x - y goes from -2 to 2"),
        (sympy.tan(2 * X * Y), r"Got tan\(2\*x\*y\), where x\*y goes from -1 to 1"),
        (1 / (X - sympy.pi / 10), r"Got 1/\(x - pi/10\)"),
        (sympy.Max(X, Y), r"one argument that varies. Got Max\(x, y\), in which x and y vary"),
        (sympy.Function("f")(X), r"does not know the function in f\(x\)"),
        (sympy.Function("f")(X, Y), r"does not know the function in f\(x, y\)"),
        (X * Z, r"may only hold the variables x, y. Got z as well"),
        ("x*y", r"must be a sympy expression or a list of such. Got 'x\*y'"),
        ([], r"must not be an empty list"),
        (sympy.Integral(sympy.sin(Z * X), (Z, 0, 1)), r"cannot compute the function Integral"),
    ],
    ids=lambda value: str(value)[:24],
)
def test__from_symbolic__what_cannot_be_compiled__is_said(expression, message):
    with pytest.raises(ValueError, match=message):
        from_symbolic(expression, [X, Y], bounds=UNIT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs either bounds or X. Got neither"),
        ({"bounds": UNIT, "X": np.zeros((2, 2))}, "needs either bounds or X. Got both"),
        ({"bounds": [(0, 1)]}, "must be 2 pairs low < high of finite numbers"),
        ({"bounds": [(1, 0), (0, 1)]}, "must be 2 pairs low < high of finite numbers"),
        ({"bounds": "box"}, "must be 2 pairs low < high of finite numbers"),
        ({"bounds": {"x": (0, 1)}}, "must name the variables x, y. Got x"),
        ({"X": np.zeros((3, 1))}, r"X of from_symbolic must have shape \(n_samples, 2\)"),
        ({"X": np.full((3, 2), np.nan)}, "X of from_symbolic must be finite"),
        ({"bounds": UNIT, "grid": 0}, "grid of from_symbolic must be 'auto' or an int"),
        ({"bounds": UNIT, "order": 6}, "order of from_symbolic must be one of"),
        ({"bounds": UNIT, "base": "relu"}, "base of from_symbolic must be one of"),
    ],
)
def test__from_symbolic__wrong_arguments__say_which(arguments, message):
    with pytest.raises(ValueError, match=message):
        from_symbolic(X + Y, [X, Y], **arguments)


def test__from_symbolic__variables_twice__is_refused():
    with pytest.raises(ValueError, match="variables of from_symbolic must be at least one, and di"):
        from_symbolic(X, [X, "x"], bounds=UNIT)


def test__wiring__equal_parts__are_one_node():
    wiring = Wiring([X, Y])
    whole = wiring.output(sympy.exp(X + Y) + (X + Y) ** 3 + sympy.sin(X * Y) + 1 / (X * Y + 2))
    (top,) = whole.sums
    assert len(top.terms) == 2
    layers = wiring.layers([whole])
    assert [len(layer) for layer in layers] == [2, 1]


ATOMS = [X, Y, sympy.sin(X), sympy.exp(Y / 2), X**2 + 1, sympy.Rational(1, 3)]
trees = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        inner.map(sympy.cos),
        inner.map(sympy.tanh),
    ),
    max_leaves=6,
)


@given(expression=trees)
@settings(max_examples=25, deadline=None)
def test__from_symbolic__any_tree_of_sums_and_products__computes_it(expression):
    network = from_symbolic(expression, [X, Y], bounds=UNIT, grid=64, order=5)
    rows = draw(UNIT, n=300)
    expected = true_values(expression, [X, Y], rows)
    size = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(network.forward(rows)[:, 0], expected, atol=2e-5 * size)


def test__regressor_from_symbolic__is_fitted_and_trains_on():
    expression = sympy.exp(sympy.sin(sympy.pi * X) + Y**2)
    model = KANRegressor.from_symbolic(
        expression, [X, Y], bounds=UNIT, grid=20, warm_start=True, random_state=0, max_iter=20
    )
    rows = draw(UNIT, n=500)
    truth = true_values(expression, [X, Y], rows)
    assert model.solver_ == "formula"
    assert model.loss_ < 1e-9
    assert model.score(rows, truth) > 1 - 1e-9
    assert len(model.rows_["X"]) == 2000
    found = model.to_symbolic(time_limit=20).expressions_[0]
    assert sympy.simplify(found.subs({"x0": X, "x1": Y}) - expression) == 0
    # the law has drifted: training goes on from the formula
    drifted = true_values(sympy.exp(1.1 * sympy.sin(sympy.pi * X) + 0.9 * Y**2), [X, Y], rows)
    before = model.score(rows, drifted)
    model.fit(rows, drifted)
    assert before < 0.999
    assert model.score(rows, drifted) > 1 - 1e-6
    assert model.network_.widths == [2, 1, 1]


def test__regressor_from_symbolic__saved_and_loaded__predicts_the_same(tmp_path):
    model = KANRegressor.from_symbolic([X * Y, X], [X, Y], bounds=UNIT, keep_rows=10)
    model.save_pretrained(tmp_path / "kan")
    again = KANRegressor.from_pretrained(tmp_path / "kan")
    rows = draw(UNIT, n=50)
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    assert again.rows_["y"].shape == (10, 2)


def test__regressor_from_symbolic__wrong_parameter__is_refused():
    with pytest.raises(ValueError, match="'max_iter' parameter of KANRegressor must be an int"):
        KANRegressor.from_symbolic(X, [X], bounds=[(0, 1)], max_iter=0)
