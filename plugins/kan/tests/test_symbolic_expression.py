import itertools

import numpy as np
import pytest
import sympy

from zoo_kan.symbolic import expression as ex
from zoo_kan.symbolic.library import LIBRARY, Function, resolve_library

NAMED = {function.name: function for function in LIBRARY}
U, V = ex.Variable(0), ex.Variable(1)


def p(index):
    return ex.Parameter(index)


TREES = [
    ex.Add((ex.Mul((p(0), U)), ex.Mul((p(1), V, U)), p(2))),
    ex.Apply(NAMED["exp"], ex.Add((ex.Mul((p(0), ex.Apply(NAMED["sin"], U))), p(1)))),
    ex.Power(ex.Add((U, p(0))), p(1)),
    ex.Mul((p(0), ex.Power(ex.Add((U, p(0))), ex.Number(-0.5, sympy.Rational(-1, 2))), V)),
]


@pytest.mark.parametrize("tree", TREES)
def test__slopes__equal_finite_differences(tree):
    rng = np.random.default_rng(0)
    columns = [rng.uniform(0.5, 2.0, 20), rng.uniform(-1.0, 1.0, 20)]
    theta = np.array([0.7, 1.3, -0.4])
    value, slopes = ex.evaluate_with_slopes(tree, columns, theta)
    np.testing.assert_allclose(value, ex.evaluate(tree, columns, theta))
    assert set(slopes) == set(ex.parameters(tree))
    for index, slope in slopes.items():
        step = np.zeros(3)
        step[index] = 1e-6
        up, down = (ex.evaluate(tree, columns, theta + s * step) for s in (1, -1))
        np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("function", LIBRARY, ids=lambda function: function.name)
def test__library__derivative_and_sympy_form_agree_with_the_function(function):
    u = np.linspace(0.11, 0.93, 9)
    numeric = Function("copy", function.evaluate, function.symbolic).slope(u)
    np.testing.assert_allclose(function.slope(u), numeric, rtol=1e-6)
    x = sympy.Symbol("x", positive=True)
    symbolic = sympy.lambdify(x, function.symbolic(x))
    np.testing.assert_allclose(function.evaluate(u), symbolic(u), rtol=1e-12)


@pytest.mark.parametrize("tree", TREES)
def test__to_sympy__computes_the_tree(tree):
    u, v = sympy.symbols("u v", positive=True)
    constants = [sympy.Float(c) for c in (0.7, 1.3, -0.4)]
    value = ex.to_sympy(tree, [u, v], constants).subs({u: 1.5, v: 0.25})
    wanted = ex.evaluate(tree, [np.array([1.5]), np.array([0.25])], np.array([0.7, 1.3, -0.4]))
    assert float(value) == pytest.approx(wanted[0], rel=1e-12)


def test__simplify__drops_zero_terms_and_unit_factors():
    zero, one = ex.integer(0), ex.integer(1)
    tree = ex.Add((ex.Mul((one, U)), ex.Mul((zero, V, p(0))), ex.Power(V, one)))
    assert ex.simplify(tree) == ex.Add((U, V))
    assert ex.simplify(ex.Mul((p(0), ex.Power(U, zero)))) == p(0)
    assert ex.simplify(ex.Add((zero, zero))) == zero


def test__renumber__keeps_values_with_their_parameters():
    tree = ex.Add((ex.Mul((p(5), U)), p(2), ex.Mul((p(5), V))))
    node, theta = ex.renumber(tree, np.arange(6.0), start=1)
    assert node == ex.Add((ex.Mul((p(1), U)), p(2), ex.Mul((p(1), V))))
    np.testing.assert_array_equal(theta, [5.0, 2.0])


def test__complexity__grows_with_every_part():
    sizes = [
        ex.complexity(node)
        for node in (U, ex.Mul((p(0), U)), ex.Add((ex.Mul((p(0), U)), p(1))), TREES[1])
    ]
    assert sizes == sorted(set(sizes))
    assert all(a < b for a, b in itertools.pairwise(sizes))


def test__resolve_library__takes_names_and_own_functions():
    own = Function("sinc", np.sinc, sympy.sinc, 2)
    assert [f.name for f in resolve_library(["exp", own])] == ["exp", "sinc"]
    assert resolve_library(None) == LIBRARY


@pytest.mark.parametrize(
    ("library", "error", "match"),
    [
        (["expo"], ValueError, r"must|names functions among .* Got 'expo'"),
        ([3], TypeError, r"must hold Function objects or names\. Got 3"),
        (["exp", "exp"], ValueError, r"each name once\. Got 'exp'"),
        ([Function("f", np.abs, sympy.Abs, family="odd")], ValueError, r"family .* Got 'odd'"),
        ([Function("f", np.abs, sympy.Abs, 0)], ValueError, r"at least 1\. Got 0"),
    ],
)
def test__resolve_library__malformed__says_what_is_allowed(library, error, match):
    with pytest.raises(error, match=match):
        resolve_library(library)
