import numpy as np
import pytest

from zoo_kan.symbolic.structure import fit_link, fit_product, fit_sum, fit_transformed_sum


def sample(low=-2.0, high=2.0, n=800, k=2):
    return list(np.random.default_rng(0).uniform(low, high, (k, n)))


def explained_by_line(part, truth):
    slope, intercept = np.polyfit(truth, part, 1)
    return np.std(part - slope * truth - intercept) / np.std(part)


def test__fit_sum__finds_the_parts_of_a_sum():
    x, y = sample()
    shape = fit_sum([x, y], np.sin(2 * x) + y**2 + 3, np.ones(800))
    assert shape.error < 1e-6
    assert explained_by_line(shape.parts[0], np.sin(2 * x)) < 1e-3
    assert explained_by_line(shape.parts[1], y**2) < 1e-3


def test__fit_sum__noise__error_is_the_noise():
    x, y = sample()
    noise = 0.1 * np.random.default_rng(1).normal(size=800)
    target = np.sin(2 * x) + y + noise
    shape = fit_sum([x, y], target, np.ones(800))
    assert shape.error == pytest.approx(noise.var() / target.var(), rel=0.1)


def test__fit_product__factors_of_either_sign():
    x, y = sample()
    shape = fit_product([x, y], np.tanh(x) * y, np.ones(800))
    assert shape.error < 1e-5
    assert explained_by_line(shape.parts[0], np.tanh(x)) < 1e-2
    assert fit_sum([x, y], np.tanh(x) * y, np.ones(800)).error > 0.5


def test__fit_product__free_offset__is_found():
    x, y = sample()
    shape = fit_product([x, y], 5 + x * np.exp(y), np.ones(800), offset="free")
    assert shape.error < 1e-5
    assert shape.offset == pytest.approx(5.0, abs=0.02)


def test__fit_link__inner_curves_of_a_nested_law():
    x, y = sample()
    target = np.exp(np.sin(x) + 0.3 * y**2)
    additive = fit_sum([x, y], target, np.ones(800))
    start = fit_transformed_sum([x, y], target, np.ones(800), additive)
    shape = fit_link([x, y], target, np.ones(800), start)
    assert additive.error > 0.01
    assert shape.error < 1e-4
    assert explained_by_line(shape.parts[0], np.sin(x)) < 0.02
    assert explained_by_line(shape.parts[1], y**2) < 0.02


@pytest.mark.parametrize(
    "law", [np.exp, np.sqrt, np.square, lambda h: 1 / h], ids=["exp", "sqrt", "square", "inverse"]
)
def test__fit_transformed_sum__recognises_simple_links(law):
    x, y = sample(1.0, 3.0)
    target = law(x + y**2)
    additive = fit_sum([x, y], target, np.ones(800))
    shape = fit_transformed_sum([x, y], target, np.ones(800), additive)
    assert shape.kind == "transformed sum"
    assert shape.error < 0.05 * additive.error


def test__shapes__weights_count_as_repeated_rows():
    x, y = sample(n=150)
    target = x * y + np.random.default_rng(2).normal(size=150)
    counts = np.random.default_rng(3).integers(1, 4, 150)
    weighted = fit_product([x, y], target, counts.astype(float))
    repeated = fit_product(
        [np.repeat(x, counts), np.repeat(y, counts)],
        np.repeat(target, counts),
        np.ones(counts.sum()),
    )
    # the grid is finer for more rows, the least squares problem is the same
    assert weighted.error == pytest.approx(repeated.error, rel=0.15)


def test__shapes__constant_argument__is_no_obstacle():
    x, _ = sample()
    shape = fit_sum([x, np.ones(800)], 2 * x, np.ones(800))
    assert np.isfinite(shape.value).all()
    assert shape.error < 1e-6
