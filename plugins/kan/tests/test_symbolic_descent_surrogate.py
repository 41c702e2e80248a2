import numpy as np
import pytest

from zoo_kan.symbolic.descent.surrogate import fit_surrogate, smoothed


def rows(n=600, k=2, low=1.0, high=4.0, seed=0):
    return list(np.random.default_rng(seed).uniform(low, high, (k, n)))


def _root_slopes(a, b):
    return 0.5 / np.sqrt(a + b**2), b / np.sqrt(a + b**2)


@pytest.mark.parametrize(
    ("law", "gradient"),
    [
        (lambda a, b: a**2 / b, lambda a, b: (2 * a / b, -(a**2) / b**2)),
        (lambda a, b: np.sin(a) * b, lambda a, b: (np.cos(a) * b, np.sin(a))),
        (lambda a, b: 1 / (1 + a * b), lambda a, b: (-b / (1 + a * b) ** 2, -a / (1 + a * b) ** 2)),
        (lambda a, b: np.sqrt(a + b**2), _root_slopes),
    ],
)
def test__fit_surrogate__smooth_law__gradient_is_that_of_the_law(law, gradient):
    a, b = rows()
    found = fit_surrogate([a, b], law(a, b), np.ones(600))
    assert found.error < 1e-9
    assert not found.noisy
    wanted = np.column_stack(gradient(a, b))
    assert np.abs(found.gradient - wanted).max() < 1e-3 * np.abs(wanted).max()


def test__fit_surrogate__noise__is_told_from_structure_and_measured():
    a, b = rows()
    y = a / b
    noise = 0.05 * y.std() * np.random.default_rng(1).normal(size=600)
    found = fit_surrogate([a, b], y + noise, np.ones(600))
    assert found.noisy
    assert found.error == pytest.approx(0.05**2, rel=0.3)


def test__fit_surrogate__weight_zero_rows__do_not_count():
    a, b = rows()
    y = a * b
    y[:50] = 1e3
    weight = np.ones(600)
    weight[:50] = 0.0
    found = fit_surrogate([a, b], y, weight)
    assert np.abs(found.gradient[50:, 0] - b[50:]).max() < 1e-6


@pytest.mark.parametrize("extra", ["collinear", "two values"])
def test__fit_surrogate__dependent_polynomials__gradient_stays_finite_and_right(extra):
    a, b = rows()
    c = 2.0 * a + 1.0 if extra == "collinear" else (a > 2.0).astype(float)
    found = fit_surrogate([a, b, c], b**2, np.ones(600))
    assert found.error < 1e-9
    assert np.abs(found.gradient[:, 1] - 2.0 * b).max() < 1e-4


def test__fit_surrogate__too_few_rows__gives_none():
    a, b = rows(n=8)
    assert fit_surrogate([a, b], a * b, np.ones(8)) is None


def test__fit_surrogate__constant_target__gives_none():
    a, b = rows()
    assert fit_surrogate([a, b], np.ones(600), np.ones(600)) is None


def test__smoothed__noise__most_of_it_is_gone():
    a, b = rows(2000)
    law = a**2 / b
    noise = 0.3 * law.std() * np.random.default_rng(1).normal(size=2000)
    left = smoothed([a, b], law + noise, np.ones(2000)) - law
    assert np.mean(left**2) < 0.02 * np.mean(noise**2)


def test__smoothed__polynomial_without_noise__is_itself():
    a, b = rows(200)
    law = a**2 * b - 3.0 * b
    assert smoothed([a, b], law, np.ones(200)) == pytest.approx(law, rel=1e-9)


@pytest.mark.parametrize("columns", [[np.ones(50)], [np.arange(5.0), np.arange(5.0)[::-1]]])
def test__smoothed__constant_argument_or_few_rows__is_the_target(columns):
    y = np.arange(len(columns[0])) % 3.0
    assert np.array_equal(smoothed(columns, y, np.ones(len(y))), y)
