import math

import numpy as np
import pytest
import sympy

from zoo_kan.symbolic.expression import Add, Apply, Mul, Parameter, Variable, to_sympy
from zoo_kan.symbolic.library import LIBRARY
from zoo_kan.symbolic.refit import Problem, refit
from zoo_kan.symbolic.snap import description_length, round_candidates, round_constants

SIN = next(function for function in LIBRARY if function.name == "sin")
U = Variable(0)
LINE = Add((Mul((Parameter(0), U)), Parameter(1)))


def rounded(node, start, target, noise, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, 1000)
    y = target(x) + noise * rng.normal(size=1000)
    problem = Problem([x], y, np.ones(1000))
    fit = round_constants(refit(node, np.array(start), problem), problem)
    symbol = sympy.Symbol("x")
    constants = [sympy.Float(value, 10) for value in fit.theta]
    return to_sympy(fit.node, [symbol], constants), fit, symbol


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (math.pi, sympy.pi),
        (0.25, sympy.Rational(1, 4)),
        (1 / (4 * math.pi), 1 / (4 * sympy.pi)),
        (math.sqrt(2), sympy.sqrt(2)),
        (-3.0, sympy.Integer(-3)),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test__round_constants__names_the_true_constant(value, exact, noise):
    noise = noise * abs(value)
    shown, fit, x = rounded(LINE, [1.0, 0.1], lambda x: value * x, noise)
    assert shown == exact * x
    assert len(fit.theta) == 0


def test__round_constants__no_round_number_near__stays_free():
    shown, fit, x = rounded(LINE, [1.0, 0.0], lambda x: 0.7310585786 * x, 1e-4)
    assert len(fit.theta) == 1
    assert float(shown.coeff(x)) == pytest.approx(0.7310585786, abs=2e-5)


def test__round_constants__precision_decides_whether_3_1412_is_pi():
    coarse, _, x = rounded(LINE, [1.0, 0.0], lambda x: 3.1412 * x, 0.05)
    fine, _, _ = rounded(LINE, [1.0, 0.0], lambda x: 3.1412 * x, 1e-6)
    assert coarse == sympy.pi * x
    assert fine != sympy.pi * x
    assert float(fine.coeff(x)) == pytest.approx(3.1412, abs=1e-6)


def test__round_constants__phase_becomes_cosine():
    node = Mul((Parameter(0), Apply(SIN, Add((Mul((Parameter(1), U)), Parameter(2))))))
    shown, _, x = rounded(node, [0.9, 2.1, 1.5], lambda x: np.cos(2 * x), 0.01)
    assert shown == sympy.cos(2 * x)


def test__round_constants__never_lengthens_the_description():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, 200)
    problem = Problem([x], 1.2345 * x + 0.1 * rng.normal(size=200), np.ones(200))
    fit = refit(LINE, np.array([1.0, 0.0]), problem)
    after = round_constants(fit, problem)
    assert description_length(after, problem) <= description_length(fit, problem)


def test__round_candidates__are_within_reach_and_cheap_ones_exist():
    found = {number.exact: nats for number, nats in round_candidates(0.5001, 0.001)}
    assert sympy.Rational(1, 2) in found
    assert all(abs(float(exact) - 0.5001) <= 0.001 for exact in found)
    assert found[sympy.Rational(1, 2)] == min(found.values())


def test__weights__count_as_repeated_rows():
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, 60)
    y = np.sin(x) + 0.1 * rng.normal(size=60)
    counts = rng.integers(1, 4, 60)
    weighted = refit(LINE, np.array([1.0, 0.0]), Problem([x], y, counts.astype(float)))
    repeated = Problem([np.repeat(x, counts)], np.repeat(y, counts), np.ones(counts.sum()))
    plain = refit(LINE, np.array([1.0, 0.0]), repeated)
    np.testing.assert_allclose(weighted.theta, plain.theta, rtol=1e-7)
    np.testing.assert_allclose(weighted.spread, plain.spread, rtol=1e-6)
    np.testing.assert_allclose(weighted.theta, np.polyfit(x, y, 1, w=np.sqrt(counts)), rtol=1e-7)


def test__refit__logistic__equals_sklearn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    x = rng.normal(size=300)
    target = (rng.uniform(size=300) < 1 / (1 + np.exp(-(1.5 * x - 0.5)))).astype(float)
    problem = Problem([x], target, np.ones(300), logistic=True)
    fit = refit(LINE, np.array([0.1, 0.0]), problem)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(x[:, None], target)
    np.testing.assert_allclose(fit.theta, [oracle.coef_[0, 0], oracle.intercept_[0]], rtol=1e-4)


def test__refit__formula_undefined_on_the_data__infinite_loss():
    log = next(function for function in LIBRARY if function.name == "log")
    problem = Problem([np.linspace(-1, 1, 10)], np.linspace(0, 1, 10), np.ones(10))
    assert refit(Apply(log, U), np.zeros(0), problem).loss == np.inf
