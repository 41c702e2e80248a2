"""Separability and symmetry, on formulas where they hold exactly and on fitted networks."""

import numpy as np
import pytest
import sympy

from zoo_kan import KANRegressor, from_symbolic
from zoo_kan.relations import RELATIONS, relations

A, B, C, D = VARIABLES = sympy.symbols("a b c d")
NAMES = ["a", "b", "c", "d"]


def rows(n=400, seed=0):
    return np.random.default_rng(seed).uniform(1, 3, (n, 4))


def exact(expression):
    return from_symbolic(expression, VARIABLES, bounds=[(1, 3)] * 4, order=5, grid=40)


CASES = [
    (
        sympy.sin(A - B) + C * D,
        {"x-y ab", "x*y cd", "add ac", "add ad", "add bc", "add bd", "h(x,y) ab", "h(x,y) cd"},
    ),
    (
        sympy.sin(A * B) + sympy.sqrt(C / D),
        {"x*y ab", "x/y cd", "add ac", "add ad", "add bc", "add bd", "h(x,y) ab", "h(x,y) cd"},
    ),
    (
        (A + B) * sympy.exp(C * D),
        {"x+y ab", "x*y cd", "multiply ac", "multiply ad", "multiply bc", "multiply bd", "add ab",
         "h(x,y) ab", "h(x,y) cd"},
    ),
    (
        sympy.sqrt((A - B) ** 2 + (C - D) ** 2 + 1),
        {"x-y ab", "x-y cd", "h(x,y) ab", "h(x,y) cd"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), CASES, ids=["sum", "both", "product", "root"])
def test__relations__exact_network__holds_what_the_formula_says(expression, expected):
    found = relations(exact(expression), rows(), feature_names=NAMES, tolerance=1e-3)
    held = {f"{each.kind} {each.first}{each.second}" for each in found.holding()}
    assert held == expected
    false = [each.score for each in found.table() if each.score >= 1e-3]
    assert min(false) > 0.03


@pytest.mark.parametrize(("expression", "expected"), CASES[:2], ids=["sum", "both"])
def test__relations__network_fitted_to_noise__still_tells_them_apart(expression, expected):
    X = rows(1000)
    y = sympy.lambdify(VARIABLES, expression, "numpy")(*X.T)
    y = y + 0.01 * y.std() * np.random.default_rng(1).normal(size=len(y))
    model = KANRegressor(hidden=(3,), random_state=0).fit(X, y)
    names = dict(zip(["x0", "x1", "x2", "x3"], NAMES, strict=True))
    held = {
        f"{each.kind} {names[each.first]}{names[each.second]}"
        for each in model.relations().holding()
    }
    assert held == expected


def test__relations__other_units__do_not_change_what_holds():
    X = rows() * [1e6, 1e6, 1e-3, 1e-3]
    expression = sympy.sin((A - B) / 1_000_000) + C * D * 1_000_000
    box = [(1e6, 3e6)] * 2 + [(1e-3, 3e-3)] * 2
    network = from_symbolic(expression, VARIABLES, bounds=box, order=5, grid=40)
    scaled = relations(network, X)
    plain = relations(exact(sympy.sin(A - B) + C * D), rows())
    for kind in RELATIONS:
        for i, j in [(0, 1), (2, 3)]:
            assert scaled.scores[kind][i, j] == pytest.approx(plain.scores[kind][i, j], abs=1e-5)
        if kind not in ("x-y", "x+y"):  # the sum of two quantities does depend on their units
            np.testing.assert_allclose(scaled.scores[kind], plain.scores[kind], atol=1e-5)


def test__relations__input_without_effect__has_no_scores():
    found = relations(exact(A * B + C), rows(), feature_names=NAMES)
    for scores in found.scores.values():
        assert np.isnan(scores[3]).all()
        assert np.isnan(scores[:, 3]).all()
        assert np.isfinite(scores[0, 1])
    assert {each.second for each in found.table()} == {"b", "c"}
    line = next(line for line in str(found).splitlines() if line.startswith("a d"))
    assert line.split()[2:] == ["-"] * len(RELATIONS)


def test__relations__constant_network__has_none():
    assert relations(exact(sympy.Integer(2)), rows()).table() == []


def test__relations__one_input__is_an_empty_table():
    network = from_symbolic(A**2, [A], bounds=[(0, 1)])
    found = relations(network)
    assert found.table() == []
    assert len(found.plot().axes) == len(RELATIONS) + 1


def test__relations__second_output__is_looked_at_on_its_own():
    network = from_symbolic([A * B, A + B], [A, B], bounds=[(1, 2)] * 2, order=5)
    kinds = [{each.kind for each in relations(network, output=o).holding()} for o in (0, 1)]
    assert kinds == [{"multiply", "x*y", "h(x,y)"}, {"add", "x+y", "h(x,y)"}]


def test__relations__plot__marks_what_holds():
    found = relations(exact(sympy.sin(A - B) + C * D), rows(), feature_names=NAMES)
    figure = found.plot()
    marks = {
        axes.get_title(): sorted(text.get_position() for text in axes.texts)
        for axes in figure.axes[: len(RELATIONS)]
    }
    assert marks["x-y"] == [(0, 1)]
    assert marks["x*y"] == [(2, 3)]
    assert marks["add"] == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert marks["x/y"] == []


def test__relations__what_does_not_fit__is_said():
    network = exact(A)
    with pytest.raises(ValueError, match=r"X of a test of relations must have shape"):
        relations(network, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"feature_names of a test of relations must hold 4"):
        relations(network, feature_names=["a"])
    with pytest.raises(ValueError, match=r"output of a test of relations must be an int from 0"):
        relations(network, output=-1)
    with pytest.raises(ValueError, match=r"tolerance of a test of relations must be a float"):
        relations(network, tolerance=0.0)
