import numpy as np
import pytest
import sympy

from zoo_kan.symbolic.descent.algebra import VIEWS
from zoo_kan.symbolic.descent.quotient import _backward, _floating, quotients
from zoo_kan.symbolic.expression import Variable, evaluate, to_sympy
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.library import LIBRARY
from zoo_kan.symbolic.refit import Problem, refit
from zoo_kan.symbolic.shorten import shorten
from zoo_kan.symbolic.snap import description_length

NOISE = 0.01


def best(law, names, *, low=1.0, high=5.0, **options):
    """The law in sympy's words, found from 800 rows with 1 % of noise."""
    symbols = sympy.symbols(names)
    symbols = symbols if isinstance(symbols, tuple) else (symbols,)
    rng = np.random.default_rng(1)
    X = rng.uniform(low, high, (len(symbols), 800))
    y = sympy.lambdify(symbols, law)(*X)
    y = y + NOISE * np.sqrt(np.mean(y**2)) * rng.normal(size=800)
    counts = np.ones(800)
    problem = Problem(list(X), y, counts)
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(X)]
    fits = []
    for node, theta in quotients(arguments, y, counts, LIBRARY, **options):
        fit = shorten(refit(node, theta, problem), problem, LIBRARY)
        fits.append((description_length(fit, problem), fit))
    fit = min(fits, key=lambda row: row[0])[1]
    found = to_sympy(fit.node, symbols, [sympy.Float(t, 6) for t in fit.theta])
    return found.subs({s: sympy.Symbol(s.name, positive=True) for s in symbols})


@pytest.mark.parametrize(
    ("law", "names", "low", "view", "degree"),
    [
        ("(a*c + b*d)/(a + b)", "a b c d", 1.0, "identity", 2),
        ("a**2*(b + c)/(a**2 + b*c)", "a b c", 1.0, "identity", 3),
        ("1/(1/a + c/b)", "a b c", 1.0, "identity", 2),
        ("1 + 3*a/(3*b - a)", "a b", 3.0, "identity", 2),
        ("sqrt((a - b)**2 + c**2)", "a b c", 1.0, "square", 2),
    ],
)
def test__quotients__noisy_rational_law__is_found_exactly(law, names, low, view, degree):
    views = [v for v in VIEWS if v.name == view]
    found = best(sympy.sympify(law), names, low=low, highest=degree, views=views)
    positive = {sympy.Symbol(n): sympy.Symbol(n, positive=True) for n in names.split()}
    assert sympy.simplify(found - sympy.sympify(law).subs(positive)) == 0


def test__quotients__noisy_polynomial_of_high_degree__has_no_denominator():
    a, b = sympy.symbols("a b", positive=True)
    views = [v for v in VIEWS if v.name == "identity"]
    found = best(a**3 * b**2 + a**2 * b**3, "a b", highest=5, views=views)
    assert set(sympy.Poly(found, a, b).monoms()) == {(3, 2), (2, 3)}


def noisy_slopes(share):
    """Rows, target with ``share`` of its deviation as noise, law a*c/(a**2 + b**2); a has zeros."""
    rng = np.random.default_rng(3)
    a, b, c = rng.uniform(-2.0, 2.0, 1500), *rng.uniform([[1.0], [5.0]], [[2.0], [25.0]], (2, 1500))
    a[::100] = 0.0
    y = a * c / (a**2 + b**2)
    return [a, b, c], y + share * y.std() * rng.standard_t(5, size=1500)


def test__quotients__a_quarter_is_heavy_tailed_noise__law_is_found_exactly():
    columns, y = noisy_slopes(0.25)
    counts = np.ones(len(y))
    problem = Problem(columns, y, counts)
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(columns)]
    fits = []
    for node, theta in quotients(arguments, y, counts, LIBRARY, highest=4, noise=0.06):
        fit = shorten(refit(node, theta, problem), problem, LIBRARY)
        fits.append((description_length(fit, problem), fit))
    fit = min(fits, key=lambda row: row[0])[1]
    a, b, c = symbols = sympy.symbols("a b c")
    found = to_sympy(fit.node, symbols, [sympy.Float(t, 6) for t in fit.theta])
    assert sympy.simplify(found - a * c / (a**2 + b**2)) == 0


def test__quotients__noise_in_the_regressors__does_not_bias_the_constants():
    columns, y = noisy_slopes(0.25)
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(columns)]
    exact = columns[0] * columns[2] / (columns[0] ** 2 + columns[1] ** 2)
    trees = quotients(arguments, y, np.ones(len(y)), LIBRARY, highest=2, noise=0.06)
    errors = [np.mean((evaluate(node, columns, theta) - exact) ** 2) for node, theta in trees]
    assert np.nanmin(errors) < 0.02**2 * exact.var()


def test__quotients__goal_reached__stops_at_the_lowest_degree():
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (2, 300))
    y = X[0] / X[1]
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(X)]
    low = list(quotients(arguments, y, np.ones(300), LIBRARY, goal=1.0, highest=3))
    assert low
    for node, theta in low:
        shown = to_sympy(node, sympy.symbols("a b"), list(theta))
        top, bottom = sympy.fraction(sympy.together(shown))
        assert sympy.Poly(top, *sympy.symbols("a b")).total_degree() <= 2
        assert sympy.Poly(bottom, *sympy.symbols("a b")).total_degree() <= 2


@pytest.mark.parametrize("select", [_floating, _backward])
def test__selection__sums_of_squares__are_those_of_least_squares(select):
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(200, 8))
    target = 2.0 * columns[:, 1] - columns[:, 4] + 0.5 * columns[:, 6] + 0.1 * rng.normal(size=200)
    table = np.column_stack([columns, target])
    found = {len(chosen): (left, chosen) for left, chosen in select(table.T @ table, 5)}
    assert found[3][1] == [1, 4, 6]
    for left, chosen in found.values():
        slow = np.linalg.lstsq(columns[:, chosen], target, rcond=None)[1][0]
        assert left == pytest.approx(slow, rel=1e-8)


def test__quotients__constant_column_and_few_rows__yield_nothing_or_finite():
    arguments = [Argument(Variable(0), (), np.full(6, 2.0))]
    for node, theta in quotients(arguments, np.arange(6.0), np.ones(6), LIBRARY):
        assert np.isfinite(theta).all(), node
