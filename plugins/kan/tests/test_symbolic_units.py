from fractions import Fraction

import numpy as np
import pytest
import sympy

from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.regressor import KANRegressor
from zoo_kan.symbolic import to_symbolic
from zoo_kan.symbolic.dimensionless import buckingham
from zoo_kan.symbolic.expression import (
    Add,
    Apply,
    Mul,
    Parameter,
    Power,
    Variable,
    integer,
    raised,
    variables,
)
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.library import LIBRARY
from zoo_kan.symbolic.refit import Fit, Problem
from zoo_kan.symbolic.snap import description_length
from zoo_kan.symbolic.units import Units, parse_units

SIN = next(function for function in LIBRARY if function.name == "sin")
ROOT = next(function for function in LIBRARY if function.name == "power 1/2")


def network(n_features, n_outputs=1):
    """A network that knows nothing of the data."""
    shape = (n_outputs, n_features)
    layer = EdgeLayer(
        -np.ones(n_features),
        np.ones(n_features),
        np.random.default_rng(0).normal(size=(*shape, 6)),
        np.zeros(shape),
        np.zeros(n_outputs),
        np.ones(shape, dtype=bool),
    )
    return KANNetwork(
        [layer], np.zeros(n_features), np.ones(n_features), np.zeros(n_outputs), np.ones(n_outputs)
    )


@pytest.mark.parametrize(
    "text",
    [
        "N",
        "kg*m/s^2",
        "kg m s^-2",
        "kg·m·s**-2",
        "m*kg/(s*s)",
        "J/m",
        "kN",
        "kg*m*s^(-4/2)",
        "V*C/m",
    ],
)
def test__parse_units__ways_to_write_a_force__agree(text):
    assert parse_units(text) == {"kg": 1, "m": 1, "s": -2}


def test__parse_units__exponents__may_be_fractions():
    assert parse_units("m^(3/2)/s^0.5") == {"m": Fraction(3, 2), "s": Fraction(-1, 2)}
    assert parse_units({"m": 1.5, "s": -1 / 3}) == {"m": Fraction(3, 2), "s": Fraction(-1, 3)}


@pytest.mark.parametrize("text", ["1", "", "rad", "m/m", "1/1"])
def test__parse_units__nothing_left__is_dimensionless(text):
    assert parse_units(text) == {}


def test__parse_units__mapping__knows_si_and_takes_names_of_its_own():
    assert parse_units({"euro": 1, "kW": -1}) == {"euro": 1, "kg": -1, "m": -2, "s": 3}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("furlong", ValueError, "units must be .*Got 'furlong': 'furlong' is none of the units"),
        ("m/", ValueError, "'nothing' stands where a unit is expected"),
        ("m^s", ValueError, "an exponent must be a number, not 's'"),
        ("(m/s", ValueError, "a bracket is not closed"),
        ("m)", ValueError, r"'\)' does not fit there"),
        ("m+s", ValueError, r"'\+' is not part of a unit"),
        ("3*m", ValueError, "'3' stands where a unit is expected"),
        ("m^(1/0)", ValueError, "an exponent must be a number, not '0'"),
        ({"m": "x"}, ValueError, "simple fractions. Got 'm': 'x'"),
        ({"m": float("nan")}, ValueError, "simple fractions. Got 'm': nan"),
        ({"m": 0.1234567}, ValueError, "simple fractions. Got 'm': 0.1234567"),
        (3, TypeError, "must be a string such as .*Got 3"),
    ],
)
def test__parse_units__malformed__is_one_sentence(given, error, message):
    with pytest.raises(error, match=message):
        parse_units(given)


UNITS = Units.of(["x", "t", "v"], {"x": "m", "t": "s", "v": "m/s"}, "m")
X, T, V = (Variable(j) for j in range(3))


@pytest.mark.parametrize(
    ("node", "misfits"),
    [
        (Mul((V, T)), 0),
        (Add((X, Mul((Parameter(0), V, T)))), 0),
        (Add((X, V)), 1),
        (Add((X, Parameter(0))), 1),
        (Mul((Parameter(0), T)), 1),
        (Mul((X, Apply(SIN, Mul((V, T, raised(X, -1)))))), 0),
        (Mul((X, Apply(SIN, T))), 1),
        (Mul((V, raised(Mul((X, V)), 0.5), raised(V, -1.5), raised(X, 0.5))), 0),
        (Mul((X, Power(T, Parameter(0)))), 1),
        (Mul((X, Power(Mul((V, T, raised(X, -1))), Parameter(0)))), 0),
        (Apply(ROOT, Add((raised(X, 2), raised(Mul((V, T)), 2)))), 0),
        (Apply(SIN, Add((X, V))), 3),
        (Add((X, Mul((integer(0), V)))), 0),
    ],
)
def test__units__misfits__count_the_numbers_that_need_units(node, misfits):
    assert UNITS.misfits(node) == misfits


def test__units__unknown_target__any_result_fits():
    free = Units.of(["x", "t", "v"], {"x": "m", "t": "s", "v": "m/s"}, None)
    assert free.misfits(T) == 0
    assert free.misfits(Add((X, T))) == 1


def test__description_length__number_that_needs_units__is_priced():
    rng = np.random.default_rng(0)
    columns = list(rng.uniform(1, 2, (3, 50)))
    plain, aware = (Problem(columns, columns[0], np.ones(50), units=u) for u in (None, UNITS))
    for node, price in ((Mul((V, T)), 0.0), (Add((X, V)), 20.0)):
        fit = Fit(node, np.zeros(0), 1.0, np.zeros(0))
        assert description_length(fit, aware) - description_length(fit, plain) == price


def test__buckingham__pendulum__is_one_group_and_a_factor():
    rng = np.random.default_rng(0)
    length, gravity, mass, angle = columns = rng.uniform(1, 2, (4, 100))
    units = Units.of(["l", "g", "m", "a"], {"l": "m", "g": "m/s^2", "m": "kg", "a": "rad"}, "s")
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(columns)]
    period = np.sqrt(length / gravity) * (1 + angle**2 / 16)
    best = buckingham(arguments, units.columns, units.target, period, np.ones(100))[0]
    np.testing.assert_allclose(best.factor.values, np.sqrt(length / gravity))
    assert [argument.node for argument in best.arguments] == [Variable(3)]
    assert mass.min() > 0  # the mass cannot enter


def test__buckingham__column_of_both_signs__is_never_divided_by():
    rng = np.random.default_rng(0)
    columns = [rng.uniform(-1, 1, 100), *rng.uniform(1, 2, (2, 100))]
    units = Units.of(["u", "v", "w"], {"u": "m", "v": "m", "w": "m"}, "m^2")
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(columns)]
    reductions = buckingham(arguments, units.columns, units.target, columns[0] ** 2, np.ones(100))
    assert reductions
    for reduction in reductions:
        assert 0 not in variables(reduction.factor.node)
        assert np.isfinite(np.concatenate([a.values for a in reduction.arguments])).all()


def test__to_symbolic__units__lead_to_a_law_that_is_not_found_without():
    rng = np.random.default_rng(0)
    X = rng.uniform([5, 1, 3, 1], [10, 2, 20, 2], (1000, 4))
    x, u, c, t = X.T
    y = (x - u * t) / np.sqrt(1 - (u / c) ** 2)
    y += 0.01 * np.sqrt(np.mean(y**2)) * rng.normal(size=1000)
    formula = to_symbolic(
        network(4),
        X,
        y,
        feature_names=["x", "u", "c", "t"],
        units={"x": "m", "u": "m/s", "c": "km/s", "t": "s"},
        target_units="m",
    )
    x, u, c, t = sympy.symbols("x u c t", positive=True)
    found = formula.expressions_[0].xreplace({sympy.Symbol(s.name): s for s in (x, u, c, t)})
    assert sympy.simplify(found - (x - u * t) * c / sympy.sqrt(c**2 - u**2)) == 0
    assert formula.consistent_ is True
    assert str(formula).endswith("Its units agree.")


def test__to_symbolic__constant_with_units__is_written_and_said_or_given_as_a_column():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 3, (200, 2))
    y = 9.81 * X[:, 0] * X[:, 1]
    units = {"m": "kg", "h": "m"}
    names = ["m", "h"]
    formula = to_symbolic(network(2), X, y, feature_names=names, units=units, target_units="J")
    np.testing.assert_allclose(formula.predict(X), y, rtol=1e-9)
    assert formula.consistent_ is False
    assert str(formula).endswith("Some of its numbers need units.")
    constant = np.column_stack([X, np.full(200, 9.81)])
    formula = to_symbolic(
        network(3),
        constant,
        y,
        feature_names=[*names, "g"],
        units={**units, "g": "m/s^2"},
        target_units="J",
    )
    assert formula.consistent_ is True
    assert formula.expressions_[0] == sympy.prod(sympy.symbols("m h g"))


def test__to_symbolic__estimator__passes_units_on_by_column():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.uniform(1, 3, (200, 2)), columns=["s", "t"])
    model = KANRegressor(random_state=0).fit(frame, frame["s"] / frame["t"])
    formula = model.to_symbolic(units={"s": "m", "t": "s"}, target_units="km/h")
    assert formula.expressions_ == [sympy.Symbol("s") / sympy.Symbol("t")]
    assert formula.consistent_ is True
    assert all(row.consistent in (True, False) for row in formula.pareto_)
    assert model.to_symbolic().consistent_ is None


def test__to_symbolic__several_outputs__units_for_each():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 3, (200, 2))
    Y = np.stack([X[:, 0] * X[:, 1], X[:, 0] / X[:, 1]], axis=1)
    formula = to_symbolic(
        network(2, 2), X, Y, units={"x0": "m", "x1": "s"}, target_units=["m*s", "m/s"]
    )
    a, b = sympy.symbols("x0 x1")
    assert formula.expressions_ == [a * b, a / b]
    assert formula.consistent_ is True


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"units": {"x0": "m"}}, ValueError, r"must name every column.*Got missing: \['x1'\]"),
        (
            {"units": {"x0": "m", "x1": "s", "y": "m"}},
            ValueError,
            r"must name every column.*x0, x1. Got unknown: \['y'\]",
        ),
        ({"units": ["m", "s"]}, TypeError, "units of to_symbolic must be a mapping"),
        ({"units": {"x0": "m", "x1": "sec"}}, ValueError, "units of column 'x1' must be"),
        ({"target_units": "m"}, ValueError, "needs the units of the columns too"),
        (
            {"units": {"x0": "m", "x1": "s"}, "target_units": "m^"},
            ValueError,
            "target_units of to_symbolic must be a product",
        ),
        (
            {"units": {"x0": "m", "x1": "s"}, "target_units": ["m", "s"]},
            ValueError,
            "a list of 1, one for every output. Got 2",
        ),
        (
            {"units": {"x0": "m", "x1": "s"}, "target_units": "m", "task": "classification"},
            ValueError,
            "target_units of to_symbolic must be None for a classifier",
        ),
    ],
)
def test__to_symbolic__wrong_units__are_refused(options, error, message):
    X = np.random.default_rng(0).uniform(1, 3, (30, 2))
    y = (X[:, 0] > 2).astype(float)
    with pytest.raises(error, match=message):
        to_symbolic(network(2), X, y, **options)
