import time

import numpy as np
import pytest

from zoo_kan.symbolic.library import LIBRARY
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.residual import is_noise
from zoo_kan.symbolic.search import Search


def test__is_noise__white_residuals__pass_nearly_always():
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(200):
        columns = list(rng.uniform(-1, 1, (3, 300)))
        passed += is_noise(rng.normal(size=300), columns, np.ones(300))
    assert passed >= 196


@pytest.mark.parametrize(
    "left",
    [
        lambda a, b: 0.6 * a,
        lambda a, b: 0.6 * a * b,
        lambda a, b: 0.6 * np.sin(3.0 * b),
        lambda a, b: 0.6 * a**2,
    ],
)
def test__is_noise__structure_left__is_seen(left):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 600))
    assert not is_noise(left(a, b) + rng.normal(size=600), [a, b], np.ones(600))


def test__is_noise__weights__count_rows():
    rng = np.random.default_rng(0)
    a = rng.uniform(-1, 1, 600)
    spread = np.where(a > 0, 30.0, 1.0)
    residual = spread * rng.normal(size=600)
    residual[a < 0] += 2.0 * np.sin(6.0 * a[a < 0])
    assert is_noise(residual, [a], np.ones(600))
    assert not is_noise(residual, [a], spread**-2)


def test__is_noise__few_rows_or_constant_columns__do_not_fail():
    assert not is_noise(np.zeros(10), [np.arange(10.0)], np.ones(10))
    rng = np.random.default_rng(0)
    assert is_noise(rng.normal(size=200), [np.ones(200)], np.ones(200))
    assert not is_noise(np.zeros(200), [np.arange(200.0)], np.ones(200))


def searched(law, noise):
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (3, 500))
    y = law(*X)
    y = y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=500)
    search = Search(Problem(list(X), y, np.ones(500)), LIBRARY, time.monotonic() + 60.0)
    search.run()
    return search


def test__search__noisy_power_law__settles_after_the_simple_formulas():
    search = searched(lambda a, b, c: a * b**2 / c, 0.01)
    assert search.settled()
    assert search.n_tried < 12
    assert not len(search.best.fit.theta)


def test__search__structure_left__does_not_settle_on_a_power_law():
    search = Search(Problem(*_sum_of_ratios()), LIBRARY, time.monotonic() + 60.0, attainable=1e-4)
    search.try_tree(*_product())
    assert not search.settled()


def _sum_of_ratios():
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (2, 500))
    return list(X), X[0] / X[1] + 0.3 * X[1], np.ones(500)


def _product():
    from zoo_kan.symbolic.expression import Mul, Parameter, Power, Variable

    node = Mul((Parameter(0), Variable(0), Power(Variable(1), Parameter(1))))
    return (node, np.array([1.0, -1.0])), "power law"
