import numpy as np
import pytest
import sympy

from zoo_kan.symbolic.expression import Add, Mul, Parameter, Power, Variable, to_sympy
from zoo_kan.symbolic.library import LIBRARY
from zoo_kan.symbolic.refit import Problem, refit
from zoo_kan.symbolic.shorten import shorten
from zoo_kan.symbolic.snap import description_length, round_constants

U, V = Variable(0), Variable(1)
P = [Parameter(k) for k in range(6)]
SYMBOLS = sympy.symbols("u v")


def shortened(node, start, law, noise=0.01, library=LIBRARY):
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (2, 600))
    y = law(*X)
    y = y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=600)
    problem = Problem(list(X), y, np.ones(600))
    before = refit(node, np.array(start, float), problem)
    after = shorten(before, problem, library)
    plain = round_constants(before, problem)
    assert description_length(after, problem) <= description_length(plain, problem)
    return to_sympy(after.node, SYMBOLS, [sympy.Float(t, 8) for t in after.theta]), after


@pytest.mark.parametrize("noise", [1e-4, 0.01])
def test__shorten__powers_close_to_zero__become_logarithms(noise):
    node = Add((Mul((P[0], Power(U, P[1]))), Mul((P[2], Power(V, P[3])))))
    law = lambda u, v: 1.7 * np.log(u) - 1.7 * np.log(v)  # noqa: E731
    found, _ = shortened(node, [20.0, 0.08, -20.0, 0.08], law, noise)
    assert found.has(sympy.log)
    assert not found.atoms(sympy.Pow)
    assert float(found.subs({"u": 3.0, "v": 2.0})) == pytest.approx(law(3.0, 2.0), rel=0.01)


def test__shorten__library_without_logarithm__writes_none():
    node = Add((Mul((P[0], Power(U, P[1]))), P[2]))
    library = [function for function in LIBRARY if function.name != "log"]
    found, _ = shortened(node, [20.0, 0.08, -20.0], lambda u, v: np.log(u), library=library)
    assert not found.has(sympy.log)


def test__shorten__equal_constants__become_one():
    node = Add((Mul((P[0], U)), Mul((P[1], Power(V, P[2])))))
    found, fit = shortened(node, [7.0, -7.0, 2.0], lambda u, v: 7.37219 * (u - v**2), 1e-4)
    assert len(fit.theta) == 1
    u, v = SYMBOLS
    assert sympy.expand(found / (u - v**2)).simplify().is_number


def test__shorten__term_without_influence__is_left_out():
    node = Mul((U, Add((V, P[0], Mul((P[1], Power(U, P[2])))))))
    found, _ = shortened(node, [0.01, 0.003, 1.3], lambda u, v: u * v)
    assert found == SYMBOLS[0] * SYMBOLS[1]


def test__shorten__constants_that_differ__stay_two():
    node = Add((Mul((P[0], U)), Mul((P[1], V))))
    _, fit = shortened(node, [7.0, 7.0], lambda u, v: 7.37219 * u + 7.61173 * v, 1e-4)
    assert len(fit.theta) == 2
