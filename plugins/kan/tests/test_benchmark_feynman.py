"""The laws and the criterion of the benchmark: what it counts must be right."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy

FOLDER = Path(__file__).parents[3] / "benchmarks" / "kan" / "feynman"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("laws"), importlib.import_module("criterion")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("laws", "criterion"):
            sys.modules.pop(name, None)


def test__laws__file__holds_120_published_and_20_others(benchmark):
    laws = benchmark[0].load_laws()
    groups = [law.group for law in laws]
    assert [groups.count(g) for g in ("feynman", "bonus", "outside")] == [100, 20, 20]
    assert len({law.name for law in laws}) == 140
    for law in laws:
        assert {s.name for s in law.expression.free_symbols} == set(law.ranges), law.name


def test__laws__sampling__stays_in_the_box_and_outside_it(benchmark):
    for law in benchmark[0].load_laws():
        rng = np.random.default_rng(0)
        X, y = law.sample(50, rng)
        low, high = np.array(list(law.ranges.values())).T
        assert X.shape == (50, len(low)), law.name
        assert np.isfinite(y).all()
        assert np.ptp(y) > 0.0
        assert np.array_equal(np.clip(X, low, high), X)
        X, y = law.sample_outside(50, rng)
        assert len(X) == len(y) > 0
        assert (np.clip(X, low, high) != X).any(axis=1).all()


def test__laws__values__match_hand_calculation(benchmark):
    laws = {law.name: law for law in benchmark[0].load_laws()}
    kepler = laws["bonus 5"].evaluate(np.array([[4.0, 1.0, 1.0, 3.0]]))
    np.testing.assert_allclose(kepler, 2 * np.pi * 8.0 / 2.0, rtol=1e-14)
    relativistic = laws["I.16.6"].evaluate(np.array([[1.0, 0.5, 0.5]]))
    np.testing.assert_allclose(relativistic, 0.8, rtol=1e-14)


@pytest.mark.parametrize(
    ("found", "solved"),
    [
        ("q1*q2/(4*pi*r**2)", True),
        ("0.0796*q1*q2/r**2", True),  # a factor
        ("q1*q2/(4*pi*r**2) + 0.3", True),  # a summand
        ("0.08*q1*q2/r**1.9999", True),  # rounded to three places
        ("0.0796*q1*q2/r**1.99", False),
        ("0.0796*q1*q2/r**2 + 0.01*q1", False),
        ("0.0796*q1/r**2", False),
        ("0.1", False),
    ],
)
def test__criterion__coulomb__counts_only_the_law(benchmark, found, solved):
    law = "q1*q2/(4*pi*r**2)"
    ranges = {"q1": (1.0, 5.0), "q2": (1.0, 5.0), "r": (1.0, 5.0)}
    check = benchmark[1].symbolic_solution
    assert check(sympy.sympify(found), sympy.sympify(law), ranges, 0.99) is solved
    assert not check(sympy.sympify(found), sympy.sympify(law), ranges, 0.4)


def test__criterion__equal_forms__are_one(benchmark):
    ranges = {"a": (1.0, 5.0), "b": (1.0, 5.0), "t": (0.0, 3.0)}
    check = benchmark[1].symbolic_solution
    for found, law in [
        ("sin(t + pi/2)*a/b", "a*cos(t)/b"),
        ("exp(log(a) - log(b)) + 0*t", "a/b"),
        ("a*(1.0*b + 2.0)*t", "a*b*t + 2*a*t"),
        ("1/(1/a + 1.0001/b) + t", "a*b/(a + b) + t"),
        ("sin(t)*cos(t)*a", "a*sin(2*t)/2"),
    ]:
        assert check(sympy.sympify(found), sympy.sympify(law), ranges, 1.0), found


def test__criterion__numbers__refuse_what_rounding_alone_makes_equal(benchmark):
    agrees = benchmark[1].agrees_up_to_a_constant
    law = np.linspace(1.0, 2.0, 20) ** 2
    assert agrees(3.0 * law, law)
    assert agrees(law - 7.0, law)
    assert not agrees(np.linspace(1.0, 2.0, 20), law)
    assert not agrees(np.full(20, np.nan), law)
