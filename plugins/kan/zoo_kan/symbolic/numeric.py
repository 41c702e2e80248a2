"""Values of a sympy expression as numpy arrays, without generated code.

Only the operators that `onnx_graph` can write are known; anything else a user's library brings in
goes through ``sympy.lambdify``.
"""

from collections.abc import Callable, Mapping

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = ["evaluate_expression", "n_nodes"]

Array = NDArray[np.floating]

FUNCTIONS: dict[type, Callable[[Array], Array]] = {
    sympy.exp: np.exp,
    sympy.log: np.log,
    sympy.sin: np.sin,
    sympy.cos: np.cos,
    sympy.tan: np.tan,
    sympy.tanh: np.tanh,
    sympy.sinh: np.sinh,
    sympy.cosh: np.cosh,
    sympy.asin: np.arcsin,
    sympy.acos: np.arccos,
    sympy.atan: np.arctan,
    sympy.Abs: np.abs,
    sympy.sign: np.sign,
}


def n_nodes(expression: sympy.Expr) -> int:
    """Complexity of a formula: nodes of its expression tree."""
    return sum(1 for _ in sympy.preorder_traversal(expression))


def evaluate_expression(
    expression: sympy.Expr, columns: Mapping[sympy.Symbol, Array], n: int
) -> Array:
    """Value (n,) of an expression.

    Parameters
    ----------
    expression : sympy.Expr
    columns : mapping of Symbol to ndarray of shape (n,)
    n : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n,)
        Not finite where the expression is undefined.
    """
    with np.errstate(all="ignore"):
        return np.broadcast_to(_value(expression, columns), (n,)).astype(np.float64)


def _value(expression: sympy.Expr, columns: Mapping[sympy.Symbol, Array]) -> Array:
    if expression.is_Symbol:
        return columns[expression]
    if not expression.free_symbols:
        number = complex(sympy.N(expression, 17))
        return np.array(number.real if number.imag == 0.0 else np.nan)
    if expression.is_Add or expression.is_Mul:
        values = [_value(argument, columns) for argument in expression.args]
        total = values[0]
        for value in values[1:]:
            total = total + value if expression.is_Add else total * value
        return total
    if expression.is_Pow:
        base, exponent = (_value(argument, columns) for argument in expression.args)
        if expression.exp == sympy.Rational(1, 2):
            return np.sqrt(base)
        if expression.exp.is_Integer:
            return np.power(base, float(exponent))
        return np.power(base, exponent)
    function = FUNCTIONS.get(expression.func)
    if function is not None and len(expression.args) == 1:
        return function(_value(expression.args[0], columns))
    symbols = sorted(expression.free_symbols, key=str)
    compiled = sympy.lambdify(symbols, expression, "numpy", dummify=True)
    return np.asarray(compiled(*(columns[symbol] for symbol in symbols)), dtype=np.float64)
