import math
import time

import numpy as np
import pytest
import sympy

from zoo_kan.symbolic.descent.descent import descend
from zoo_kan.symbolic.descent.task import Task
from zoo_kan.symbolic.expression import Mul, Parameter, Variable, to_sympy
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.library import LIBRARY
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.search import Search

LAWS = [
    ("Vmax*S/(Km + S*(1 + S/Ki))", {"Vmax": (1, 5), "S": (0.5, 5), "Km": (1, 3), "Ki": (2, 6)}),
    ("1/(exp((E - mu)/T) + 1)", {"E": (0, 4), "mu": (1, 2), "T": (0.3, 2)}),
    ("R*T/(V - b) - a/V**2", {"R": (1, 2), "T": (1, 5), "V": (3, 6), "a": (1, 3), "b": (0.5, 1.5)}),
    ("A*x**2*exp(-x/s)", {"A": (1, 3), "x": (0.5, 6), "s": (0.5, 2)}),
    ("sin(2*x + 3*y)", {"x": (-2, 2), "y": (-1, 1)}),
    ("q*(v*w - u*z)", {"q": (1, 2), "v": (-2, 2), "w": (-2, 2), "u": (-2, 2), "z": (-2, 2)}),
    ("log(a/b)/(c - d)", {"a": (1, 4), "b": (1, 4), "c": (5, 9), "d": (1, 3)}),
    ("x/(1 + exp(-k*(t - u)))", {"x": (1, 5), "k": (0.5, 2), "t": (0, 8), "u": (2, 5)}),
    ("sqrt(a**2 + b**2 - 2*a*b*cos(c))", {"a": (1, 4), "b": (1, 4), "c": (0.2, 3)}),
    ("exp(x)*sin(y) + 1", {"x": (-2, 2), "y": (-3, 3)}),
]


def search_for(y, columns, *, seconds=60.0):
    search = Search(
        Problem(columns, y, np.ones(len(y))), LIBRARY, time.monotonic() + seconds, attainable=1e-9
    )
    search.try_tree((Parameter(0), np.array([search.start_value()])), "constant")
    return search


@pytest.mark.parametrize(("law", "ranges"), LAWS)
def test__descend__law_of_several_steps__is_found_to_rounding(law, ranges):
    symbols = [sympy.Symbol(name) for name in ranges]
    rng = np.random.default_rng(0)
    X = [rng.uniform(low, high, 1000) for low, high in ranges.values()]
    expression = sympy.sympify(law, locals={symbol.name: symbol for symbol in symbols})
    search = search_for(sympy.lambdify(symbols, expression)(*X), X)
    descend(search, search.arguments())
    assert 2.0 * search.best.fit.loss / search.problem.total < 1e-20


def test__descend__same_data__gives_the_same_formula():
    X = list(np.random.default_rng(3).uniform(1, 4, (3, 400)))
    y = X[0] / (X[1] + np.sqrt(X[2]))
    found = []
    for _ in range(2):
        search = search_for(y, X)
        descend(search, search.arguments())
        found.append((search.best.fit.node, search.best.fit.theta.tolist(), search.n_tried))
    assert found[0] == found[1]


def test__descend__no_time_left__tries_nothing():
    X = list(np.random.default_rng(3).uniform(1, 4, (2, 400)))
    search = search_for(np.hypot(*X), X, seconds=-1.0)
    descend(search, search.arguments())
    assert search.n_tried == 1


@pytest.mark.parametrize("n", [5, 8, 20])
def test__descend__few_rows__leaves_finite_candidates(n):
    X = list(np.random.default_rng(3).uniform(1, 4, (3, n)))
    search = search_for(X[0] * X[1] / X[2], X)
    descend(search, search.arguments())
    assert all(math.isfinite(candidate.length) for candidate in search.candidates)


def test__task__divided_and_less__wrap_back_to_the_law():
    x = np.linspace(1.0, 3.0, 7)
    argument = Argument(Variable(0), (), x)
    task = Task(5.0 * x**2 + x, [argument], lambda node: node)
    square = Argument(Mul((Variable(0), Variable(0))), (), x**2)
    inner = task.less(argument, [argument]).divided(square, [])
    assert np.allclose(inner.values, 5.0)
    law = to_sympy(inner.wrap(Parameter(0)), [sympy.Symbol("x")], [sympy.Integer(5)])
    assert sympy.expand(law - sympy.sympify("5*x**2 + x")) == 0
    assert np.allclose(inner.slope([x]), x**2)


def test__task__noise__grows_where_a_factor_is_small():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 3, (2, 500))
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(X)]
    task = Task(X[0] * X[1], arguments, lambda node: node)
    assert task.noise(0.01, X) == pytest.approx(0.01 / task.values.var(), rel=1e-6)
    reduced = task.divided(arguments[0], arguments[1:])
    expected = 0.01 * np.mean(X[0] ** -2.0) / X[1].var()
    assert reduced.noise(0.01, X) == pytest.approx(expected, rel=1e-6)


def test__task__division_by_zero__gives_none():
    x = np.linspace(-1.0, 1.0, 5)
    argument = Argument(Variable(0), (), x)
    assert Task(x, [argument], lambda node: node).divided(argument, []) is None


def test__task__key__does_not_depend_on_scale_or_order():
    a, b = (Argument(Variable(j), (), np.arange(1.0, 6.0) ** (j + 1)) for j in range(2))
    first = Task(a.values * b.values, [a, b], lambda node: node)
    second = Task(3.0 * a.values * b.values, [b, a], lambda node: node)
    assert first.key == second.key
    assert first.key != Task(a.values, [a, b], lambda node: node).key
