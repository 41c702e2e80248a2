"""Shapes a law may have, fitted to the data with free curves before any closed form is sought.

``sum``      ``y = c + sum_k f_k(u_k)``, the network ``[m, 1]``: penalised least squares
``product``  ``y = d + prod_k f_k(u_k)``, a product node: alternating least squares
``link``     ``y = g(sum_k f_k(u_k))``, the network ``[m, 1, 1]``: Levenberg-Marquardt

All curves are cubic splines. The arguments ``u_k`` are columns of the data or what a reduction
made of them.

Axes: ``n`` rows, ``k`` arguments, ``b`` basis functions, ``p`` coefficients.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline
from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.solvers import fit_lm

__all__ = ["Shape", "fit_link", "fit_product", "fit_sum", "fit_transformed_sum", "grid_size"]

Array = NDArray[np.floating]
Transform = Callable[[Array], Array]

_PRICES = (1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1.0)
_SWEEPS = 60


@dataclass
class Shape:
    """A fitted shape.

    Attributes
    ----------
    kind : {"sum", "product", "link"}
    parts : list of ndarray of shape (n,)
        Value of each argument's curve at the data.
    value : ndarray of shape (n,)
        Value of the whole at the data.
    error : float
        Part of the target's variance left, corrected for the effective number of coefficients.
    offset : float
        Constant beside the curves (sum, product).
    """

    kind: str
    parts: list[Array]
    value: Array
    error: float
    offset: float = 0.0


_TRANSFORMS: tuple[tuple[Transform, Transform, Transform], ...] = (
    (np.log, np.exp, lambda w: 1.0 / w),
    (lambda w: 1.0 / w, lambda t: 1.0 / t, lambda w: 1.0 / w**2),
    (np.square, lambda t: np.sqrt(np.maximum(t, 0.0)), lambda w: 2.0 * w),
    (np.sqrt, np.square, lambda w: 0.5 / np.sqrt(w)),
)


def grid_size(n: int, k: int) -> int:
    """Intervals per curve that ``n`` rows can carry for ``k`` curves."""
    return int(np.clip(n // (10 * k) - 3, 1, 16))


def _positions(u: Array, grid: int) -> Array:
    low, high = float(u.min()), float(u.max())
    return (u - low) * (grid / (high - low)) if high > low else np.full_like(u, 0.5 * grid)


def _designs(arguments: Sequence[Array], grid: int) -> list[Array]:
    return [spline.design(_positions(u, grid)[:, None], grid, 3)[:, 0] for u in arguments]


def _relative(value: Array, y: Array, weight: Array, edof: float) -> float:
    total = float(weight.sum())
    mean = float(weight @ y) / total
    variance = float(weight @ (y - mean) ** 2) or 1e-300
    freedom = max(total - edof, 1.0) / total
    return float(weight @ (value - y) ** 2) / variance / freedom


def fit_sum(arguments: Sequence[Array], y: Array, weight: Array) -> Shape:
    """Additive spline model; the smoothness is chosen by generalised cross-validation.

    Parameters
    ----------
    arguments : sequence of ndarray of shape (n,)
    y, weight : ndarray of shape (n,)

    Returns
    -------
    Shape
        Its parts have weighted mean zero.
    """
    n, k = len(y), len(arguments)
    grid = grid_size(n, k)
    share = weight / weight.sum()
    mean = float(share @ y)
    designs = [design - share @ design for design in _designs(arguments, grid)]
    design = np.concatenate(designs, axis=1)
    gram = (design * share[:, None]).T @ design
    moment = design.T @ (share * (y - mean))
    size = grid + 3
    rough = spline.second_difference_gram(grid, 3) / grid**3
    penalty = np.kron(np.eye(k), rough)
    unit = float(np.trace(gram)) / len(gram) or 1.0
    best: tuple[float, Array, float] | None = None
    for price in _PRICES:
        system = gram + unit * (price * penalty + 1e-12 * np.eye(len(gram)))
        solution = np.linalg.solve(system, np.column_stack([moment, gram]))
        coef, edof = solution[:, 0], float(np.trace(solution[:, 1:])) + 1.0
        error = _relative(mean + design @ coef, y, weight, edof)
        score = error / max(1.0 - edof / n, 1e-3)
        if best is None or score < 0.999 * best[0]:
            best = (score, coef, error)
    if best is None:
        raise ValueError("y of an additive fit must be finite.")
    parts = [part @ best[1][j * size : (j + 1) * size] for j, part in enumerate(designs)]
    return Shape("sum", parts, mean + np.sum(parts, axis=0), best[2], mean)


def fit_transformed_sum(
    arguments: Sequence[Array], y: Array, weight: Array, additive: Shape
) -> Shape:
    """Additive model of the transform of ``y`` that suits it best: a cheap test for a link.

    Parameters
    ----------
    arguments : sequence of ndarray of shape (n,)
    y, weight : ndarray of shape (n,)
    additive : Shape
        Result of `fit_sum` for them, returned if no transform does better.

    Returns
    -------
    Shape
        Its ``error`` is in terms of ``y``.
    """
    best = additive
    one_sign = y.min() > 0.0 or y.max() < 0.0
    for transform, back, slope in _TRANSFORMS if one_sign else ():
        with np.errstate(all="ignore"):
            t, rate = transform(np.abs(y)), slope(np.abs(y))
            counted = weight / rate**2
            if not (np.isfinite(t).all() and np.isfinite(counted).all()):
                continue
            counted = np.maximum(counted / counted.max(), 1e-6)
            shape = fit_sum(arguments, t, counted * (weight.sum() / counted.sum()))
            value = np.sign(y[0]) * back(shape.value)
            edof = 5.0 * len(arguments)
            error = _relative(np.where(np.isfinite(value), value, 0.0), y, weight, edof)
        if error < best.error:
            best = Shape("transformed sum", shape.parts, value, error, shape.offset)
    return best


def fit_product(
    arguments: Sequence[Array],
    y: Array,
    weight: Array,
    *,
    offset: str = "none",
    seed: int = 0,
) -> Shape:
    """Product of one curve per argument, of either sign, by alternating least squares.

    Parameters
    ----------
    arguments : sequence of ndarray of shape (n,)
    y, weight : ndarray of shape (n,)
    offset : {"none", "free"}
        Whether a constant stands beside the product.
    seed : int
        For the random starts.

    Returns
    -------
    Shape
        Each part has root mean square 1 but the last, which carries the scale.
    """
    rng = np.random.default_rng(seed)
    n, k = len(y), len(arguments)
    grid = min(grid_size(n, k), 12)
    designs = _designs(arguments, grid)
    centred = [2.0 * _positions(u, 1) - 1.0 for u in arguments]
    scale = float(np.sqrt(weight @ (y * y) / weight.sum())) or 1.0
    target = y / scale
    starts: list[list[Array]] = [[np.ones(n) for _ in arguments], [t + 0.1 for t in centred]]
    starts += [
        [1.0 + s * t for s, t in zip(rng.uniform(-2, 2, k), centred, strict=True)] for _ in range(3)
    ]
    best: tuple[float, list[Array], float] | None = None
    for start in starts:
        found = _alternate(designs, start, target, weight, offset)
        if best is None or found[0] < 0.9 * best[0]:
            best = found
        if best[0] < 1e-8:
            break
    if best is None:
        raise ValueError("A product needs arguments.")
    _, parts, constant = best
    value = scale * (np.prod(parts, axis=0) + constant)
    error = _relative(value, y, weight, 0.6 * k * (grid + 2))
    parts[-1] = parts[-1] * scale
    return Shape("product", parts, value, error, scale * constant)


def _alternate(
    designs: list[Array], parts: list[Array], target: Array, weight: Array, offset: str
) -> tuple[float, list[Array], float]:
    share = weight / weight.sum()
    rough = spline.second_difference_gram(designs[0].shape[1] - 3, 3)
    rough = np.pad(rough / np.trace(rough), ((0, 1), (0, 1)))
    constant, loss = 0.0, np.inf
    for _ in range(_SWEEPS):
        before = loss
        for j, design in enumerate(designs):
            rest = np.prod([part for i, part in enumerate(parts) if i != j], axis=0)
            columns = np.column_stack([design * np.atleast_1d(rest)[:, None], np.ones(len(target))])
            if offset == "none":
                columns[:, -1] = 0.0
            gram = (columns * share[:, None]).T @ columns
            unit = float(np.trace(gram)) / len(gram) or 1.0
            coef = np.linalg.solve(
                gram + unit * (1e-6 * rough + 1e-12 * np.eye(len(gram))),
                columns.T @ (share * target),
            )
            part = design @ coef[:-1]
            constant = float(coef[-1]) if offset == "free" else 0.0
            loss = float(share @ (columns @ coef - target) ** 2)
            size = float(np.sqrt(share @ part**2)) or 1.0
            parts[j] = part / size if j < len(designs) - 1 else part
        if not loss < 0.995 * before:
            break
    return loss, parts, constant


def fit_link(arguments: Sequence[Array], y: Array, weight: Array, start: Shape) -> Shape:
    """A curve of a sum of curves: a small network trained from the additive model ``start``.

    Parameters
    ----------
    arguments : sequence of ndarray of shape (n,)
    y, weight : ndarray of shape (n,)
    start : Shape
        Result of `fit_sum` for the same arguments, on any monotone transform of ``y``.

    Returns
    -------
    Shape
        ``parts`` are the inner curves; their sum is the argument of the outer curve.
    """
    n, k = len(y), len(arguments)
    grid = min(5, grid_size(n, k + 1))
    X = np.column_stack(arguments)
    lower, upper = X.min(axis=0), X.max(axis=0)
    designs = _designs(arguments, grid)
    spread = float(np.std(start.value)) or 1.0
    coef = [
        np.linalg.lstsq(design, part / spread, rcond=None)[0]
        for design, part in zip(designs, start.parts, strict=True)
    ]
    inner = EdgeLayer(
        lower,
        upper,
        np.array([coef]),
        np.zeros((1, k)),
        np.zeros(1),
        np.ones((1, k), bool),
        3,
        "none",
    )
    hidden = inner.forward(X)
    low, high = hidden.min(axis=0), hidden.max(axis=0)
    design = spline.design((hidden - low) * (grid / (high - low)), grid, 3)[:, 0]
    mean = float(weight @ y / weight.sum())
    scale = float(np.sqrt(weight @ (y - mean) ** 2 / weight.sum())) or 1.0
    system = design.T @ (design * weight[:, None])
    system += 1e-6 * np.trace(system) / len(system) * np.eye(len(system))
    outer_coef = np.linalg.solve(system, design.T @ (weight * (y - mean) / scale))
    outer = EdgeLayer(
        low,
        high,
        outer_coef[None, None],
        np.zeros((1, 1)),
        np.zeros(1),
        np.ones((1, 1), bool),
        3,
        "none",
    )
    network = KANNetwork(
        [inner, outer], np.zeros(k), np.ones(k), np.array([mean]), np.array([scale])
    )
    grids = [g for g in (5, 10, 20) if g <= grid_size(n, k + 1)] or [grid]
    result = fit_lm(network, X, y[:, None], weight, grids=grids, max_iter=80, tol=1e-4)
    layer = result.network.layers[0]
    parts = list(layer.edges(result.network.standardise(X))[:, 0].T)
    value = result.network.forward(X)[:, 0]
    error = _relative(value, y, weight, result.effective_parameters)
    return Shape("link", parts, value, error)
