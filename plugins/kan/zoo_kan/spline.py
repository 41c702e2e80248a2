"""B-splines on a uniform grid, in closed form (arXiv 2404.19756, Section 2.2).

On a uniform grid every basis function is one bell, shifted. With ``t`` the distance to its centre
in grid intervals, the bell of order ``k`` is a sum of truncated powers,

    B(t) = 1/k! * sum_i (-1)^i C(k+1, i) relu((k+1)/2 - i - |t|)^k,

so no recursion over the knots is needed: for ``k = 3`` it is (relu(2-|t|)^3 - 4 relu(1-|t|)^3)/6.
Beyond the grid an edge continues along its tangent instead of falling to zero; that tangent is
linear in the coefficients too, so the whole edge stays one inner product of features and weights.

Axes: ``n`` rows, ``i`` nodes, ``b`` basis functions, ``grid + order`` of them.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ORDERS",
    "bell",
    "bell_curvature",
    "bell_derivative",
    "bell_terms",
    "centres",
    "design",
    "design_curvature",
    "design_derivative",
    "end_slopes",
    "roughness_gram",
    "second_difference_gram",
]

Array = NDArray[np.floating]

ORDERS = (1, 2, 3, 4, 5)

# Length, as a share of the grid, over which a curve keeps its curvature where nothing is known.
_REACH = 0.1


def bell_terms(order: int) -> list[tuple[float, float]]:
    """Weights and reaches of the truncated powers that make one bell.

    Parameters
    ----------
    order : int
        Degree of the spline, 1 to 5.

    Returns
    -------
    list of (weight, reach)
        ``B(t) = sum(weight * relu(reach - |t|) ** order)``.
    """
    reach = (order + 1) / 2
    return [
        ((-1) ** i * math.comb(order + 1, i) / math.factorial(order), reach - i)
        for i in range(order + 1)
        if reach - i > 0
    ]


def _power(x: Array, exponent: int) -> Array:
    """``x ** exponent`` by multiplication: numpy's own power is ten times slower beyond squares."""
    product = np.ones_like(x) if exponent == 0 else x
    for _ in range(exponent - 1):
        product = product * x
    return product


def bell(t: Array, order: int) -> Array:
    """Value of the bell at distance ``t`` (any shape, in grid intervals) from its centre."""
    distance = np.abs(t)
    total = np.zeros_like(distance)
    for weight, reach in bell_terms(order):
        total += weight * _power(np.maximum(reach - distance, 0.0), order)
    return total


def bell_derivative(t: Array, order: int) -> Array:
    """Derivative of the bell with respect to ``t`` (any shape)."""
    distance = np.abs(t)
    total = np.zeros_like(distance)
    for weight, reach in bell_terms(order):
        gap = np.maximum(reach - distance, 0.0)
        # order 1 has a corner: relu(...)**0 would be one outside the support as well
        total -= order * weight * np.where(gap > 0.0, _power(gap, order - 1), 0.0)
    return total * np.sign(t)


def _place(u: Array, grid: int, order: int, curve: Callable[[Array, int], Array]) -> Array:
    """Values (n, i, b) at positions ``u`` (n, i) within the grid of bells or of their slopes.

    No more than ``order + 1`` bells reach any position: only those are computed.
    """
    cell = np.floor(u)
    cell = np.where(cell > 0.0, np.minimum(cell, grid - 1.0), 0.0)  # not a number: the first
    n_basis = grid + order
    values = np.zeros((*u.shape, n_basis))
    flat, first = values.reshape(-1), (n_basis * np.arange(u.size) + cell.astype(np.intp).ravel())
    within = (u - cell).ravel()
    for number in range(order + 1):
        flat[first + number] = curve(within - (number - (order - 1) / 2), order)
    return values


def bell_curvature(t: Array, order: int) -> Array:
    """Second derivative of the bell with respect to ``t`` (any shape); 0 for order 1."""
    distance = np.abs(t)
    total = np.zeros_like(distance)
    if order == 1:
        return total
    for weight, reach in bell_terms(order):
        gap = np.maximum(reach - distance, 0.0)
        # order 2 jumps at its knots, as order 1 does in the first derivative
        total += order * (order - 1) * weight * np.where(gap > 0.0, _power(gap, order - 2), 0.0)
    return total


def centres(grid: int, order: int) -> Array:
    """Centres ``(b,)`` of the basis functions, in grid intervals from the grid's lower end."""
    return np.arange(grid + order) - (order - 1) / 2


def design(u: Array, grid: int, order: int) -> Array:
    """Basis functions at grid positions ``u``, continued along the tangent outside the grid.

    Parameters
    ----------
    u : ndarray of shape (n, i)
        Position in grid intervals: 0 at the grid's lower end, ``grid`` at the upper.
    grid : int
        Number of intervals.
    order : int
        Degree of the spline.

    Returns
    -------
    ndarray of shape (n, i, b)
        ``design @ coef`` is the edge's value, inside and outside the grid.
    """
    inside = np.clip(u, 0.0, grid)
    values = _place(inside, grid, order, bell)
    excess = u - inside
    if np.any(excess):
        low, high = end_slopes(grid, order)
        values += np.minimum(excess, 0.0)[..., None] * low
        values += np.maximum(excess, 0.0)[..., None] * high
    return values


def design_derivative(u: Array, grid: int, order: int) -> Array:
    """Derivative of `design` with respect to ``u``: shape (n, i, b), constant outside the grid."""
    slopes = _place(np.clip(u, 0.0, grid), grid, order, bell_derivative)
    low, high = end_slopes(grid, order)
    slopes[u < 0.0] = low
    slopes[u > grid] = high
    return slopes


def design_curvature(u: Array, grid: int, order: int) -> Array:
    """Second derivative of `design` with respect to ``u``: shape (n, i, b), 0 outside the grid."""
    curvatures = bell_curvature(np.clip(u, 0.0, grid)[..., None] - centres(grid, order), order)
    curvatures[(u < 0.0) | (u > grid)] = 0.0
    return curvatures


def end_slopes(grid: int, order: int) -> tuple[Array, Array]:
    """Slopes (b,) of the basis functions per grid interval, at the lower and the upper end."""
    middle = centres(grid, order)
    # order 1 is not differentiable at the knots: half an interval inwards its slope is the same
    inset = 0.5 if order == 1 else 0.0
    return bell_derivative(inset - middle, order), bell_derivative(grid - inset - middle, order)


def second_difference_gram(grid: int, order: int) -> Array:
    """Matrix ``K`` (b, b) with ``c @ K @ c`` the roughness of the spline with coefficients ``c``.

    It is the squared second difference of neighbouring coefficients (P-splines, Eilers and Marx
    1996), scaled by ``grid ** 3`` so that a curve's roughness does not depend on its grid.
    """
    difference = np.diff(np.eye(grid + order), 2, axis=0)
    return grid**3 * difference.T @ difference


def roughness_gram(grid: int, order: int) -> Array:
    """Matrix ``K`` (b, b) with ``c @ K @ c`` the roughness of a spline with coefficients ``c``.

    The squared second derivative alone prefers straight lines, so that a curve drops its curvature
    at the edge of a gap in the data, and of the data. The squared third and fourth derivatives,
    weighted by a length of a tenth of the grid to the second and the fourth power, carry it on;
    straight lines are still free.
    """
    gram = second_difference_gram(grid, order)
    for times in (3, 4):
        if grid + order > times:
            difference = np.diff(np.eye(grid + order), times, axis=0)
            weight = _REACH ** (2 * times - 4) * grid ** (2 * times - 1)
            gram = gram + weight * difference.T @ difference
    return gram
