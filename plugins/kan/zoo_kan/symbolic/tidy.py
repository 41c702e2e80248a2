"""From a fitted tree to the expression that is shown.

Free constants are written with as few digits as the data allow. The expression is
simplified under the assumptions that the data allow (a column of positive numbers is a positive
symbol) and then handed out in plain symbols that carry only the column's name.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import evaluate, to_sympy
from zoo_kan.symbolic.numeric import evaluate_expression, n_nodes
from zoo_kan.symbolic.refit import Fit, Problem

__all__ = ["Scaling", "tidy"]

Array = NDArray[np.floating]

_SMALL = 40  # nodes up to which the slow simplifications are tried
_AGREEMENT = 0.02  # of the unexplained part, by which rounding constants may change values
_LOGIT_AGREEMENT = 1e-3
_DIGITS = (3, 4, 5, 6, 7, 8, 10, 12)


@dataclass(frozen=True)
class Scaling:
    """A column as the search sees it: ``(raw - shift) / unit``.

    Both are round numbers, and 0 and 1 for data of ordinary size, so that formulas stay readable.
    """

    shift: float
    unit: float

    @classmethod
    def of(cls, values: Array) -> "Scaling":
        """Scaling of one column (n,)."""
        low, high = float(values.min()), float(values.max())
        width, size = high - low, max(abs(low), abs(high))
        shift = 0.0
        if 0.0 < width < 1e-4 * size:
            step = 10.0 ** math.floor(math.log10(width))
            shift = round((0.5 * low + 0.5 * high) / step) * step
            size = width
        if not math.isfinite(shift) or size == 0.0:
            return cls(0.0, 1.0)
        exponent = math.floor(math.log10(size))
        return cls(shift, 1.0 if -6 <= exponent <= 6 else 10.0 ** max(exponent, -300))

    def apply(self, values: Array) -> Array:
        """Raw values to scaled ones."""
        return (values - self.shift) / self.unit

    def inward(self, symbol: sympy.Symbol) -> sympy.Expr:
        """The scaled column in terms of the raw one."""
        return (symbol - _exact(self.shift)) / _exact(self.unit)

    def outward(self, expression: sympy.Expr) -> sympy.Expr:
        """The raw target in terms of the scaled one."""
        return expression * _exact(self.unit) + _exact(self.shift)


def _exact(value: float) -> sympy.Expr:
    if value == int(value) and abs(value) < 1e15:
        return sympy.Integer(int(value))
    return sympy.Float(value, 15)


def _merge_numbers(expression: sympy.Expr) -> sympy.Expr:
    """Write a decimal times other numbers as one decimal."""

    def merge(product: sympy.Expr) -> sympy.Expr:
        numbers = [part for part in product.args if part.is_number]
        return sympy.Mul(
            sympy.N(sympy.Mul(*numbers), 15), *(p for p in product.args if not p.is_number)
        )

    return expression.replace(
        lambda e: e.is_Mul and sum(a.is_number for a in e.args) > 1 and e.atoms(sympy.Float), merge
    )


def _rounded(expression: sympy.Expr, digits: int) -> sympy.Expr:
    """The expression with all decimals to some significant digits."""
    return expression.xreplace(
        {
            number: sympy.Float(f"{float(number):.{digits - 1}e}", 15)
            for number in expression.atoms(sympy.Float)
        }
    )


def _without_squares(expression: sympy.Expr, sign: int) -> sympy.Expr:
    """Write roots of squares as what was squared, times ``sign``, and of quotients as quotients."""

    def pull(root: sympy.Expr) -> sympy.Expr:
        outside, above, below = sympy.Integer(sign), sympy.Integer(1), sympy.Integer(1)
        for base, exponent in sympy.factor(root.base).as_powers_dict().items():
            if exponent.is_even and not base.is_negative:
                outside *= base ** (exponent / 2)
            elif exponent.is_negative:
                below *= base**-exponent
            else:
                above *= base**exponent
        if above.could_extract_minus_sign() and below != 1:  # -1 / (u - c), that is 1 / (c - u)
            above, below = -above, -below
        pulled = outside ** (2 * root.exp)
        return pulled * sympy.expand(above) ** root.exp * sympy.expand(below) ** -root.exp

    half = (sympy.Rational(1, 2), sympy.Rational(-1, 2))
    return expression.replace(
        lambda e: e.is_Pow and e.exp in half and not e.base.atoms(sympy.Float), pull
    )


def _with_arccosines(expression: sympy.Expr) -> sympy.Expr:
    """Write ``pi/2 - asin(u)`` as ``acos(u)``."""

    def merge(total: sympy.Expr) -> sympy.Expr:
        for term in total.args:
            if term.func == sympy.Mul and term.args[0] == -1 and term.args[1].func == sympy.asin:
                rest = [t for t in total.args if t != term and t != sympy.pi / 2]
                return sympy.Add(sympy.acos(term.args[1].args[0]), *rest)
        return total

    return expression.replace(lambda e: e.is_Add and sympy.pi / 2 in e.args, merge)


def _forms(expression: sympy.Expr) -> Iterator[Callable[[], sympy.Expr]]:
    yield lambda: expression
    yield lambda: sympy.powsimp(expression)
    yield lambda: sympy.factor_terms(expression)
    yield lambda: _with_arccosines(expression)
    if n_nodes(expression) <= 2 * _SMALL:
        yield lambda: _without_squares(expression, 1)
        yield lambda: _without_squares(expression, -1)
    if n_nodes(expression) <= _SMALL:
        yield lambda: sympy.expand(expression)
        yield lambda: sympy.powsimp(sympy.expand(expression))
        yield lambda: sympy.together(expression)
        if not expression.atoms(sympy.Float):
            yield lambda: sympy.simplify(expression)


def tidy(
    fit: Fit,
    problem: Problem,
    names: Sequence[str],
    columns: Sequence[Array],
    scalings: Sequence[Scaling],
    target: Scaling,
) -> sympy.Expr | None:
    """Write a fitted tree as an expression of the raw columns.

    Parameters
    ----------
    fit : Fit
    problem : Problem
        What it was fitted to.
    names : sequence of str
        Name of every column.
    columns : sequence of ndarray of shape (n,)
        Raw columns, to check the expression on.
    scalings : sequence of Scaling
        Of the columns.
    target : Scaling
        Of the target.

    Returns
    -------
    sympy.Expr or None
        In plain symbols. None if no form of it computes the numbers of the tree.
    """
    symbols = [
        sympy.Symbol(name, positive=True) if column.min() > 0.0 else sympy.Symbol(name, real=True)
        for name, column in zip(names, columns, strict=True)
    ]
    plain = dict(zip(symbols, (sympy.Symbol(name) for name in names), strict=True))
    inner = [scaling.inward(symbol) for scaling, symbol in zip(scalings, symbols, strict=True)]
    with np.errstate(all="ignore"):
        wanted = evaluate(fit.node, problem.columns, fit.theta)
    counts = np.sqrt(problem.weight / problem.weight.mean())
    if problem.logistic:
        allowed = _LOGIT_AGREEMENT * max(1.0, float(np.abs(wanted).max()))
    else:
        left = math.sqrt(problem.relative_variance(fit.loss))
        cancelled = max(float(np.abs(c).max()) / (float(np.ptp(c)) or 1.0) for c in columns)
        allowed = max(_AGREEMENT * left, 1e-7, 2e-15 * cancelled) * problem.scale
    best: sympy.Expr | None = None
    by_symbol = {plain[symbol]: column for symbol, column in zip(symbols, columns, strict=True)}

    def agrees(candidate: sympy.Expr) -> bool:
        if candidate.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I):
            return False
        value = target.apply(evaluate_expression(candidate, by_symbol, len(wanted)))
        return float((np.abs(value - wanted) * counts).max()) <= allowed

    constants = [sympy.Float(value, 15) for value in fit.theta]
    raw = target.outward(to_sympy(fit.node, inner, constants))
    for form in _forms(raw):
        try:
            candidate = _merge_numbers(form().xreplace(plain))
        except (ValueError, TypeError, NotImplementedError, ZeroDivisionError):
            continue
        if (best is None or n_nodes(candidate) < n_nodes(best)) and agrees(candidate):
            best = candidate
    if best is None or not best.atoms(sympy.Float):
        return best
    short = (_rounded(best, digits) for digits in _DIGITS)
    return next((candidate for candidate in short if agrees(candidate)), best)
