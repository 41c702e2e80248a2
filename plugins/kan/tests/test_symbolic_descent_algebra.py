import numpy as np
import pytest
import sympy

from zoo_kan.symbolic.descent.algebra import relations
from zoo_kan.symbolic.descent.scalar import scalar_laws
from zoo_kan.symbolic.expression import Variable, evaluate, to_sympy
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.library import LIBRARY, resolve_library

A, B, C = SYMBOLS = sympy.symbols("a b c", positive=True)


def columns(k, n=400, low=1.0, high=4.0):
    X = np.random.default_rng(0).uniform(low, high, (k, n))
    return X, [Argument(Variable(j), (), column) for j, column in enumerate(X)]


@pytest.mark.parametrize(
    "law",
    [
        (A + B) / (1 + A * B),
        1 / (1 / A + C / B),
        sympy.sqrt(A**2 + B**2 - A * B),
        sympy.log(1 + A * B),
        sympy.exp(-A / B),
        (A - C) ** 2 / (A + B) ** 2,
        sympy.asin((A - B) / 8),
        0.37 * A**2 + 1.91 * B / C,
    ],
)
def test__relations__law_without_noise__is_found_to_rounding(law):
    names = sorted(law.free_symbols, key=str)
    X, arguments = columns(len(names))
    y = sympy.lambdify(names, law)(*X)
    node, theta = next(relations(arguments, y, LIBRARY))
    assert np.abs(evaluate(node, list(X), theta) - y).max() < 1e-9 * np.abs(y).max()


def test__relations__integer_coefficients__are_exact():
    X, arguments = columns(2)
    node, theta = next(relations(arguments, (X[0] + 2 * X[1]) / (1 + X[0] * X[1]), LIBRARY))
    assert not len(theta)
    found = to_sympy(node, SYMBOLS, ())
    assert sympy.simplify(found - (A + 2 * B) / (1 + A * B)) == 0


@pytest.mark.parametrize(
    "target",
    [
        np.tanh,
        lambda a: np.exp(np.sin(a)),
        lambda a: a + 1e-6 * np.random.default_rng(1).normal(size=len(a)),
    ],
    ids=["tanh", "exp of sin", "noise"],
)
def test__relations__no_algebraic_law__finds_none(target):
    X, arguments = columns(1)
    assert not list(relations(arguments, target(X[0]), LIBRARY))


def test__relations__library_without_exp__does_not_write_it():
    X, arguments = columns(2)
    library = resolve_library(["sin"])
    assert not list(relations(arguments, np.exp(X[0] * X[1] / 4), library))


@pytest.mark.parametrize(
    "law",
    [
        A / (sympy.exp(A / 2) - 1),
        A**3 / (sympy.exp(A) - 1),
        1 / (sympy.exp(A) + 1),
        1 / sympy.sqrt(1 + A**2),
        sympy.sin(A / 2) ** 2 / A**2,
        sympy.sin(3 * A) / A,
        A**2 * sympy.exp(-A / 3),
        1 / (2 * sympy.cosh(A)),
    ],
)
def test__scalar_laws__composition__is_found_to_rounding(law):
    X, _ = columns(1, high=6.0)
    y = sympy.lambdify(A, law)(X[0])
    node, theta = next(scalar_laws(X[0], y, LIBRARY))
    assert np.abs(evaluate(node, [X[0]], theta) - y).max() < 1e-7 * np.abs(y).max()


def test__scalar_laws__noise__finds_none():
    X, _ = columns(1)
    y = np.exp(X[0]) + 0.01 * np.random.default_rng(1).normal(size=400)
    assert not list(scalar_laws(X[0], y, LIBRARY))
