"""From a formula to a network that computes it (the kanpiler of arXiv 2408.10205, Section 3.2).

The formula's functions of one variable become edges, its products become product nodes; nothing is
trained. Departures from the paper: a quotient is a product with a reciprocal, and powers of
products stay on one edge. `zoo_kan.wiring` and `zoo_kan.compiler` do the work.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray
from scipy.stats import qmc

from zoo_kan import spline
from zoo_kan.compiler import Compiler
from zoo_kan.edges import BASES
from zoo_kan.network import KANNetwork
from zoo_kan.solvers.start import weighted_moments

__all__ = ["compile_formula", "from_symbolic"]

Array = NDArray[np.floating]

_GRIDS = (10, 20, 40, 80, 160, 320)
_ROWS = 4096
_MOST_CORNERS = 12  # features up to which every corner of the box is looked at


def _box_rows(bounds: Array, n_rows: int) -> Array:
    """Rows spread evenly over a box (n_features, 2), its corners among them."""
    n_features = len(bounds)
    sobol = qmc.Sobol(n_features, scramble=False)
    parts = [
        sobol.random_base2(int(np.ceil(np.log2(max(n_rows, 2))))),
        np.full((1, n_features), 0.5),
    ]
    if n_features <= _MOST_CORNERS:
        parts.append(np.array(list(itertools.product((0.0, 1.0), repeat=n_features))))
    return bounds[:, 0] + np.concatenate(parts) * (bounds[:, 1] - bounds[:, 0])


def _read_formula(
    expression: Any, variables: Sequence[Any]
) -> tuple[list[sympy.Expr], list[sympy.Symbol]]:
    """Expressions, one per output, in symbols without assumptions.

    Raises
    ------
    ValueError
        If an expression is none, variables repeat, or a symbol is not among them.
    """
    symbols = [sympy.Symbol(str(variable)) for variable in variables]
    if not symbols or len(set(symbols)) < len(symbols):
        raise ValueError(
            f"variables of from_symbolic must be at least one, and differ. Got {list(variables)!r}."
        )
    several = isinstance(expression, (list, tuple))
    expressions = []
    for each in expression if several else [expression]:
        if not isinstance(each, sympy.Expr):
            raise ValueError(
                f"expression of from_symbolic must be a sympy expression or a list of such. "
                f"Got {each!r}."
            )
        plain = each.xreplace({symbol: sympy.Symbol(symbol.name) for symbol in each.free_symbols})
        unknown = sorted(symbol.name for symbol in plain.free_symbols - set(symbols))
        if unknown:
            raise ValueError(
                f"expression of from_symbolic may only hold the variables "
                f"{', '.join(map(str, symbols))}. Got {', '.join(unknown)} as well."
            )
        expressions.append(plain)
    if not expressions:
        raise ValueError("expression of from_symbolic must not be an empty list.")
    return expressions, symbols


def _read_box(
    bounds: Any, X: ArrayLike | None, symbols: Sequence[sympy.Symbol]
) -> tuple[Array, Array | None]:
    """Rows to measure ranges on, and the box, if it is one."""
    if (bounds is None) == (X is None):
        given = "neither" if bounds is None else "both"
        raise ValueError(f"from_symbolic needs either bounds or X. Got {given}.")
    names = [symbol.name for symbol in symbols]
    if X is not None:
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(names) or len(rows) == 0:
            raise ValueError(
                f"X of from_symbolic must have shape (n_samples, {len(names)}) and at least one "
                f"row. Got {rows.shape}."
            )
        if not np.isfinite(rows).all():
            raise ValueError("X of from_symbolic must be finite.")
        return rows, None
    if isinstance(bounds, Mapping):
        named = {str(name): ends for name, ends in bounds.items()}
        if set(named) != set(names):
            raise ValueError(
                f"bounds of from_symbolic must name the variables {', '.join(names)}. "
                f"Got {', '.join(named)}."
            )
        bounds = [named[name] for name in names]
    try:
        box = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError):
        box = np.empty(0)
    if (
        box.shape != (len(names), 2)
        or not np.isfinite(box).all()
        or not (box[:, 0] < box[:, 1]).all()
    ):
        raise ValueError(
            f"bounds of from_symbolic must be {len(names)} pairs low < high of finite numbers. "
            f"Got {bounds!r}."
        )
    return _box_rows(box, _ROWS), box


def from_symbolic(
    expression: Any,
    variables: Sequence[Any],
    *,
    bounds: Any = None,
    X: ArrayLike | None = None,
    grid: int | str = "auto",
    tolerance: float = 1e-6,
    order: int = 3,
    base: str = "silu",
) -> KANNetwork:
    """Compile a formula to a network that computes it.

    Parameters
    ----------
    expression : sympy.Expr or list of sympy.Expr
        The formula, one expression per output. Functions have one argument that varies; a power
        whose base and exponent both vary is taken as the exponential of a product.
    variables : sequence of sympy.Symbol or str
        The inputs, in the order of the columns. All symbols of the expression are among them.
    bounds : sequence of (low, high) or mapping of variable to (low, high), optional
        The box that the network is made for. Beyond it edges go on along their tangents.
    X : array-like of shape (n_samples, n_features), optional
        Rows in whose range the network is made, instead of a box. Each function then needs to be
        finite only between the least and the largest argument that the rows give it.
    grid : int or "auto", default="auto"
        Intervals of every edge. ``"auto"`` doubles 10 up to 320 until the error on the rows, or in
        the box, is below ``tolerance``.
    tolerance : float, default=1e-6
        Root mean square error, relative to the standard deviation of the output, that ``"auto"``
        aims at.
    order : int, default=3
        Degree of the splines, 1 to 5; 5 is exacter for smooth functions.
    base : {"silu", "linear", "none"}, default="silu"
        Function beside the splines. Its weights are 0: it is there for training on.

    Returns
    -------
    KANNetwork

    Raises
    ------
    ValueError
        If a symbol is unknown, a function has a pole or is not real in the box, depends on several
        varying arguments or is not known to scipy; or if a parameter is not what it may be.

    Examples
    --------
    >>> import sympy
    >>> from zoo_kan import from_symbolic
    >>> x, y = sympy.symbols("x y")
    >>> network = from_symbolic(x * sympy.exp(y), [x, y], bounds=[(-1, 1), (0, 2)])
    >>> network.widths, network.products
    ([2, 1], [1])
    """
    return compile_formula(
        expression,
        variables,
        bounds=bounds,
        X=X,
        grid=grid,
        tolerance=tolerance,
        order=order,
        base=base,
    )[0]


def compile_formula(
    expression: Any,
    variables: Sequence[Any],
    *,
    bounds: Any,
    X: ArrayLike | None,
    grid: int | str,
    tolerance: float,
    order: int,
    base: str,
) -> tuple[KANNetwork, Array, Array]:
    """Do what `from_symbolic` does, and return the rows and the formula's values on them as well.

    Returns
    -------
    network : KANNetwork
    rows : ndarray of shape (n, n_features)
        Those given, or an even covering of the box.
    values : ndarray of shape (n, n_outputs)
    """
    if order not in spline.ORDERS:
        raise ValueError(f"order of from_symbolic must be one of {spline.ORDERS}. Got {order!r}.")
    if base not in BASES:
        raise ValueError(f"base of from_symbolic must be one of {BASES}. Got {base!r}.")
    automatic = isinstance(grid, str) and grid == "auto"
    if not automatic and not (type(grid) is int and 1 <= grid <= 512):
        raise ValueError(
            f"grid of from_symbolic must be 'auto' or an int from 1 to 512. Got {grid!r}."
        )
    expressions, symbols = _read_formula(expression, variables)
    rows, box = _read_box(bounds, X, symbols)
    compiler = Compiler(expressions, symbols, rows, box)
    exact = compiler.values(rows)
    spread = weighted_moments(exact, np.ones(len(rows)))[1]
    sizes = _GRIDS if automatic else (int(grid),)
    network = compiler.network(grid=sizes[0], order=order, base=base)
    for size in sizes[1:]:
        if np.sqrt(np.mean(((network.forward(rows) - exact) / spread) ** 2)) <= tolerance:
            break
        network = compiler.network(grid=size, order=order, base=base)
    return network, rows, exact
