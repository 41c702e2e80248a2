from fractions import Fraction

import numpy as np
import pytest

from zoo_kan.symbolic.descent.powers import pure_powers


def exponents(law, k, noise, *, low=1.0, n=1000, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(low, 4.0, (k, n))
    y = law(*X)
    y = y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=n)
    return pure_powers(list(X), y, np.ones(n))


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test__pure_powers__factors__get_their_exponents_and_no_one_else(noise, seed):
    law = lambda a, b, c, d: -(a**2) / np.sqrt(b) * (c + d)  # noqa: E731
    found = exponents(law, 4, noise, seed=seed)
    assert found == [2, Fraction(-1, 2), 0, 0]


def test__pure_powers__noise_turns_signs_of_small_values__is_survived():
    law = lambda a, b, c: a**3 / b**3 * (1.0 + c**2)  # noqa: E731
    rng = np.random.default_rng(0)
    y = law(*rng.uniform(1.0, 4.0, (3, 1000)))
    assert (y + 0.03 * np.sqrt(np.mean(y**2)) * rng.normal(size=1000)).min() < 0.0
    assert exponents(law, 3, 0.03)[:2] == [3, -3]


def test__pure_powers__target_of_both_signs__has_none():
    assert exponents(lambda a, b: a * np.sin(3.0 * b), 2, 0.0) == [0, 0]


def test__pure_powers__argument_that_changes_sign__is_no_factor():
    found = exponents(lambda a, b: b * (3.0 + a), 2, 0.0, low=-1.0)
    assert found[0] == 0


def test__pure_powers__few_rows_or_zero_target__are_none():
    assert pure_powers([np.arange(1.0, 6.0)], np.arange(1.0, 6.0), np.ones(5)) == [0]
    assert pure_powers([np.arange(1.0, 60.0)], np.zeros(59), np.ones(59)) == [0]
    assert pure_powers([np.full(59, 2.0)], np.arange(1.0, 60.0), np.ones(59)) == [0]
