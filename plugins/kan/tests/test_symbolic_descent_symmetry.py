import numpy as np
import pytest
import sympy

from zoo_kan.symbolic.descent.surrogate import fit_surrogate
from zoo_kan.symbolic.descent.symmetry import (
    companions,
    groups,
    merges,
    monomial,
    pair_guesses,
    peel,
)
from zoo_kan.symbolic.descent.terms import linear_terms
from zoo_kan.symbolic.expression import Variable, to_sympy
from zoo_kan.symbolic.hypotheses import Argument

A, B, C, D = SYMBOLS = sympy.symbols("a b c d")


def setting(law, k, *, low=1.0, high=4.0, seed=0):
    X = np.random.default_rng(seed).uniform(low, high, (k, 800))
    y = sympy.lambdify(SYMBOLS[:k], law)(*X)
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(X)]
    return arguments, y, fit_surrogate(list(X), y, np.ones(800))


def written(argument):
    return to_sympy(argument.node, SYMBOLS, ())


@pytest.mark.parametrize(
    ("law", "exponents"),
    [
        (A**2 * sympy.exp(-B / C) / sympy.sqrt(D), [2.0, 0.0, 0.0, -0.5]),
        (A * (B - C + 8), [1.0, 0.0, 0.0]),
        ((A - 2.5) * B + C, [0.0, 0.0, 0.0]),
        (1 / (A * B) ** 3, [-3.0, -3.0]),
    ],
)
def test__peel__law__gives_the_powers_that_are_factors(law, exponents):
    arguments, y, surrogate = setting(law, len(exponents))
    assert peel(arguments, y, surrogate) == exponents


@pytest.mark.parametrize(
    ("law", "k", "merged"),
    [
        (sympy.exp(-((A - B) ** 2)) + C, 3, A - B),
        (sympy.sin(A + B) / C, 3, A + B),
        (sympy.sin(2 * A + B) * C, 3, 2 * A + B),
        (sympy.log(1 + A * B) + C, 3, A * B),
        (sympy.atan(A / B) * C, 3, A / B),
        (sympy.sqrt(A**2 + B**2) + C, 3, A**2 + B**2),
        (sympy.sqrt(1 / A - 1 / (8 * B)) * C, 3, None),
        (sympy.exp(1 / A + 1 / B) - C, 3, 1 / A + 1 / B),
    ],
)
def test__merges__law_of_a_pair__proposes_it_first(law, k, merged):
    arguments, _, surrogate = setting(law, k)
    first = next(merges(arguments, surrogate), None)
    if merged is None:
        assert first is None or len(first) == k - 1
        return
    assert len(first) == k - 1
    ratio = sympy.simplify(written(first[0]) / merged)
    assert ratio.is_number or sympy.simplify(ratio * merged**2).is_number


@pytest.mark.parametrize(
    ("law", "k", "n_groups"),
    [
        (A * sympy.tanh(B * C / D), 4, 1),
        (A**2 / (A + B) * sympy.exp(-C / D), 4, 2),
        (A + B * C / D, 4, 1),
        ((A * B + C * D) / (A + C), 4, 2),
    ],
)
def test__groups__law__is_the_monomial_times_a_function_of_the_groups(law, k, n_groups):
    arguments, y, surrogate = setting(law, k)
    reduction = next(groups(arguments, y, surrogate))
    assert len(reduction.arguments) == n_groups
    left = y / reduction.factor.values
    checked = fit_surrogate([g.values for g in reduction.arguments], left, np.ones(len(y)))
    assert checked.misfit < 1e-6


def test__linear_terms__term_of_one_argument__is_found_with_its_constant():
    arguments, _, surrogate = setting(A * B**2 / 2 + sympy.sqrt(C + B), 3)
    proposals = [(written(term), rest) for term, rest in linear_terms(arguments, surrogate)]
    rest = next(rest for term, rest in proposals if sympy.simplify(term - A * B**2 / 2) == 0)
    assert [written(argument) for argument in rest] == [B, C]


def test__linear_terms__no_argument_alone_in_a_term__gives_none():
    arguments, _, surrogate = setting(sympy.exp(A * B), 2, high=2.0)
    assert not list(linear_terms(arguments, surrogate))


def test__monomial__exponents__skips_zeros_and_keeps_values():
    arguments, _, _ = setting(A * B * C, 3)
    product = monomial(arguments, [2, 0, -0.5])
    a, _, c = (argument.values for argument in arguments)
    assert sympy.simplify(written(product) - A**2 / sympy.sqrt(C)) == 0
    assert np.allclose(product.values, a**2 / np.sqrt(c))


def test__pair_guesses__signed_argument__is_never_a_divisor():
    arguments, _, _ = setting(A * B, 2, low=-1.0, high=1.0)
    pairs = [written(reduction.arguments[0]) for reduction in pair_guesses(arguments)]
    assert pairs == [A - B, A + B, A * B]


def test__companions__pair__keeps_the_other_argument():
    arguments, _, _ = setting(A * B, 2)
    assert [written(a) for a in next(companions(arguments))] == [A * B, B]
