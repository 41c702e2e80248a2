"""SRBench's criterion of a symbolic solution, after La Cava et al. 2021 (arXiv 2107.14351).

A formula counts if its R2 on held-out rows is above 0.5 and, once all decimals are rounded to
three places, sympy finds the law minus the formula to be a constant, or the formula over the law to
be a constant that is not zero. Differences to SRBench: a variable whose range is not negative is a
positive symbol, exact constants are compared before anything is rounded, and rounding alone cannot
make a formula right: up to the constant it must also agree with the law in numbers.

Sympy may take forever: run `symbolic_solution` in a process that can be stopped.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = ["agrees_up_to_a_constant", "symbolic_solution"]

Array = NDArray[np.floating]
Step = Callable[[sympy.Expr], sympy.Expr]

_LEAST_R2 = 0.5
_LEFT = 1e-3  # of the variance, after the best shift or factor
_STEPS: tuple[Step, ...] = (
    lambda e: e,
    sympy.expand,
    lambda e: sympy.powsimp(sympy.expand(e)),
    lambda e: sympy.cancel(sympy.together(e)),
    sympy.simplify,
    lambda e: sympy.simplify(sympy.expand(e, trig=True)),
)


def _three_places(expression: sympy.Expr) -> sympy.Expr:
    """Decimals rounded to three places, as fractions: sympy simplifies those more reliably."""
    rounded = {
        number: sympy.Rational(round(1000 * float(number)), 1000)
        if abs(float(number)) >= 1e-4
        else sympy.Integer(0)
        for number in expression.atoms(sympy.Float)
    }
    return expression.xreplace(rounded)


def _is_number(expression: sympy.Expr) -> bool:
    undefined = expression.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)
    return not undefined and not expression.free_symbols


def _pairs(found: sympy.Expr, law: sympy.Expr) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    yield found, law
    yield _three_places(sympy.N(found)), _three_places(sympy.N(law))


def symbolic_solution(
    found: sympy.Expr, law: sympy.Expr, ranges: Mapping[str, tuple[float, float]], r2: float
) -> bool:
    """Whether ``found`` is ``law`` up to a constant summand or factor.

    Parameters
    ----------
    found, law : sympy.Expr
        In plain symbols.
    ranges : mapping of str to (float, float)
        Where the variables were sampled from.
    r2 : float
        Of ``found`` on held-out rows.
    """
    if not r2 > _LEAST_R2:
        return False
    typed = {
        sympy.Symbol(name): sympy.Symbol(name, positive=True)
        if low >= 0.0
        else sympy.Symbol(name, real=True)
        for name, (low, _) in ranges.items()
    }
    found, law = found.xreplace(typed), law.xreplace(typed)
    if found.free_symbols != law.free_symbols:
        return False
    for step in _STEPS:
        for a, b in _pairs(found, law):
            for expression, is_ratio in ((a / b, True), (b - a, False)):
                try:
                    left = _three_places(step(expression))
                except (ValueError, TypeError, NotImplementedError, ZeroDivisionError):
                    continue
                if _is_number(left) and not (is_ratio and left == 0):
                    return True
    return False


def agrees_up_to_a_constant(found: Array, law: Array) -> bool:
    """Whether values (n,) are those of the law (n,) up to one summand or one factor."""
    if not np.isfinite(found).all():
        return False
    spread = float(np.var(law))
    if not spread > 0.0:
        return bool(np.ptp(found) <= 1e-9 * np.abs(found).max())
    factor = float(found @ law) / max(float(found @ found), 1e-300)
    left = (np.var(law - found), np.mean((law - factor * found) ** 2))
    return bool(min(left) <= _LEFT * spread)
