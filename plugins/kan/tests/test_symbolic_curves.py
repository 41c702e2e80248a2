import numpy as np
import pytest
import sympy

from zoo_kan.symbolic.curves import fit_curves
from zoo_kan.symbolic.expression import to_sympy
from zoo_kan.symbolic.library import LIBRARY

X = sympy.Symbol("x", real=True)


def curve_of(law, low, high, noise=0.0, **options):
    rng = np.random.default_rng(0)
    u = rng.uniform(low, high, 600)
    clean = sympy.lambdify(X, law)(u)
    sigma = noise * clean.std()
    curves = fit_curves(u, clean + sigma * rng.normal(size=600), np.ones(600), **options)
    return curves, u, clean


@pytest.mark.parametrize(
    ("law", "low", "high"),
    [
        (2 * sympy.sin(3 * X + 0.5) - 1, -3, 3),
        (1.5 * sympy.exp(-0.8 * X), 0, 4),
        (sympy.log(X + 0.25), 0, 5),
        (3 / (X - 4), -2, 2),
        (sympy.tanh(2 * X - 1), -2, 2),
        (X**3 - 2 * X + 1, -2, 2),
        (sympy.Abs(X - 0.3), -1, 1),
        (sympy.sqrt(1 + X**2), -3, 3),
        (sympy.exp(sympy.sin(sympy.pi * X)), -1, 1),
        (X * sympy.exp(-X), 0, 5),
        (sympy.sin(3 * X) + X**2, -2, 2),
    ],
    ids=str,
)
def test__fit_curves__without_noise__recovers_the_constants(law, low, high):
    curves, u, clean = curve_of(law, low, high)
    assert curves[0].error < 1e-14
    np.testing.assert_allclose(curves[0](u), clean, atol=1e-6)


@pytest.mark.parametrize(
    ("law", "low", "high"),
    [
        (2 * sympy.sin(3 * X), -3, 3),
        (sympy.exp(-(X**2) / 2), -3, 3),
        (1 / (1 + sympy.exp(-X)), -5, 5),
        (sympy.log(X), 0.5, 5),
    ],
    ids=str,
)
def test__fit_curves__with_noise__prefers_the_true_form(law, low, high):
    curves, u, clean = curve_of(law, low, high, noise=0.02, attainable=4e-4, effort="all")
    deviation = np.sqrt(np.mean((curves[0](u) - clean) ** 2)) / clean.std()
    assert deviation < 0.004
    outside = np.linspace(low, high + 0.3 * (high - low), 50)
    truth = sympy.lambdify(X, law)(outside)
    np.testing.assert_allclose(curves[0](outside), truth, atol=0.05 * np.ptp(truth))


def test__fit_curves__free_power__finds_the_exponent():
    library = [f for f in LIBRARY if f.family != "power"]
    curves, _, _ = curve_of(2 * X**1.3, 0.5, 5, library=library)
    shown = to_sympy(curves[0].node, [X], [sympy.Float(v, 6) for v in curves[0].theta])
    assert shown.is_Pow
    assert float(shown.exp) == pytest.approx(1.3, abs=1e-6)
    assert curves[0].scale == pytest.approx(2.0, abs=1e-6)


def test__fit_curves__sorted_by_cost_and_at_most_keep():
    curves, _, _ = curve_of(sympy.tanh(X), -2, 2, keep=3)
    assert len(curves) == 3
    assert [c.cost for c in curves] == sorted(c.cost for c in curves)


@pytest.mark.parametrize(
    ("u", "v"),
    [
        (np.ones(20), np.arange(20.0)),
        (np.arange(20.0), np.ones(20)),
        (np.arange(4.0), [0, np.nan, 1, 2]),
    ],
)
def test__fit_curves__degenerate_points__no_curve(u, v):
    assert fit_curves(u, np.asarray(v, dtype=float), np.ones(len(u))) == []


def test__fit_curves__restricted_library__uses_nothing_else():
    library = [f for f in LIBRARY if f.name == "sin"]
    curves, _, _ = curve_of(sympy.exp(X), 0, 2, library=library)
    for curve in curves:
        shown = to_sympy(curve.node, [X], [sympy.Float(v) for v in curve.theta])
        assert not shown.has(sympy.exp, sympy.tanh, sympy.Abs)
