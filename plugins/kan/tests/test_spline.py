import numpy as np
import pytest
from scipy.interpolate import BSpline

from zoo_kan import spline


def reference(u, grid, order):
    knots = np.arange(-order, grid + order + 1, dtype=float)
    return BSpline(knots, np.eye(grid + order), order, extrapolate=True)


@pytest.mark.parametrize("order", spline.ORDERS)
@pytest.mark.parametrize("grid", [1, 3, 5, 20, 100])
def test__design__inside_the_grid__equals_scipy(order, grid):
    u = np.random.default_rng(0).uniform(0, grid, (200, 2))
    expected = reference(u, grid, order)
    np.testing.assert_allclose(spline.design(u, grid, order), expected(u), rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        spline.design_derivative(u, grid, order), expected(u, nu=1), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("order", spline.ORDERS)
def test__design__outside_the_grid__follows_the_tangent(order):
    grid, coef = 4, np.random.default_rng(1).normal(size=4 + order)
    for end, step in ((0.0, -1.0), (4.0, 1.0)):
        inset = end - step * 1e-9
        slope = spline.design_derivative(np.array([[inset]]), grid, order)[0, 0] @ coef
        value = spline.design(np.array([[end]]), grid, order)[0, 0] @ coef
        for distance in (0.5, 3.0, 1e3):
            got = spline.design(np.array([[end + step * distance]]), grid, order)[0, 0] @ coef
            assert got == pytest.approx(value + step * distance * slope, rel=1e-6)
            far = spline.design_derivative(np.array([[end + step * distance]]), grid, order)
            assert far[0, 0] @ coef == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("order", spline.ORDERS)
def test__design__sums_to_one_everywhere(order):
    u = np.linspace(-3, 10, 57)[:, None]
    np.testing.assert_allclose(spline.design(u, 7, order).sum(-1), 1.0, atol=1e-12)
