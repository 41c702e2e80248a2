"""The functions a formula may be made of, as a declared table.

Each entry says how to compute the function, how to write it in sympy, what it costs in nodes, and
which family of arguments ``a * x + b`` is worth scanning (`edges` does the scan):

``power``   ``(±x + b) ** exponent`` with the origin outside the data
``log``     as ``power``
``rate``    ``f(a * x)``: a shift would only rescale the result
``wave``    ``f(a * x + b)`` with the phase found by linear regression on sine and cosine
``window``  ``f(a * x + b)`` with the centre inside or near the data
``inside``  ``f(a * x + b)`` with ``|a * x + b| <= 1``
``corner``  ``f(x + b)`` with the corner inside the data
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = ["FAMILIES", "LIBRARY", "Function", "resolve_library"]

Array = NDArray[np.floating]

FAMILIES = ("power", "log", "rate", "wave", "window", "inside", "corner")


@dataclass(frozen=True)
class Function:
    """A univariate function that may appear in a formula.

    Parameters
    ----------
    name : str
        Unique name within a library.
    evaluate : callable
        ``evaluate(u)`` on an ndarray; not finite outside the function's domain.
    symbolic : callable
        ``symbolic(expr)`` returns the sympy expression of the function of ``expr``.
    complexity : int
        Nodes that the function adds to a formula, at least 1.
    derivative : callable, optional
        ``derivative(u)``; central differences of `evaluate` if left out.
    family : str
        Which arguments are scanned; see the module's docstring.
    exponent : Fraction, optional
        Only for the family ``"power"``.
    """

    name: str
    evaluate: Callable[[Array], Array]
    symbolic: Callable[[sympy.Expr], sympy.Expr]
    complexity: int = 1
    derivative: Callable[[Array], Array] | None = None
    family: str = "window"
    exponent: Fraction | None = None

    def slope(self, u: Array) -> Array:
        """Derivative at ``u`` (any shape)."""
        if self.derivative is not None:
            return self.derivative(u)
        step = 6e-6 * np.maximum(1.0, np.abs(u))
        return (self.evaluate(u + step) - self.evaluate(u - step)) / (2.0 * step)


def _power(exponent: Fraction) -> Function:
    value = float(exponent)
    whole = exponent.denominator == 1

    def evaluate(u: Array) -> Array:
        return np.power(u, int(value)) if whole and value > 0 else np.power(u, value)

    return Function(
        name=f"power {exponent}",
        evaluate=evaluate,
        symbolic=lambda e: e ** sympy.Rational(exponent.numerator, exponent.denominator),
        complexity=2,
        derivative=lambda u: value * np.power(u, value - 1.0),
        family="power",
        exponent=exponent,
    )


def _sigmoid(u: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * u))


# cosh and sinh, far from their origin, imitate exp: they count as the sum of two of those
LIBRARY: tuple[Function, ...] = (
    *(
        _power(Fraction(text))
        for text in ("2", "3", "4", "-1", "-2", "-3", "1/2", "-1/2", "3/2", "-3/2")
    ),
    Function("exp", np.exp, sympy.exp, 1, np.exp, "rate"),
    Function("log", np.log, sympy.log, 1, lambda u: 1.0 / u, "log"),
    Function("sin", np.sin, sympy.sin, 1, np.cos, "wave"),
    Function("tanh", np.tanh, sympy.tanh, 1, lambda u: 1.0 - np.tanh(u) ** 2),
    Function(
        "sigmoid",
        _sigmoid,
        lambda e: 1 / (1 + sympy.exp(-e)),
        5,
        lambda u: _sigmoid(u) * _sigmoid(-u),
    ),
    Function(
        "gauss",
        lambda u: np.exp(-u * u),
        lambda e: sympy.exp(-(e**2)),
        4,
        lambda u: -2.0 * u * np.exp(-u * u),
    ),
    Function("abs", np.abs, sympy.Abs, 1, np.sign, "corner"),
    Function("arctan", np.arctan, sympy.atan, 1, lambda u: 1.0 / (1.0 + u * u)),
    Function("arcsin", np.arcsin, sympy.asin, 1, lambda u: 1.0 / np.sqrt(1.0 - u * u), "inside"),
    Function("cosh", np.cosh, sympy.cosh, 3, np.sinh),
    Function("sinh", np.sinh, sympy.sinh, 3, np.cosh),
)


def resolve_library(library: Iterable[Function | str] | None) -> tuple[Function, ...]:
    """Check a user's library; names refer to the default one.

    Parameters
    ----------
    library : iterable of Function or str, optional
        ``None`` gives `LIBRARY`.

    Returns
    -------
    tuple of Function

    Raises
    ------
    TypeError
        If an entry is neither a Function nor a string.
    ValueError
        If a name is unknown or used twice, a family unknown, or a complexity below 1.
    """
    if library is None:
        return LIBRARY
    known = {function.name: function for function in LIBRARY}
    chosen: dict[str, Function] = {}
    for given in library:
        if isinstance(given, str) and given not in known:
            raise ValueError(
                f"library of to_symbolic names functions among {sorted(known)}. Got {given!r}."
            )
        entry = known[given] if isinstance(given, str) else given
        if not isinstance(entry, Function):
            raise TypeError(
                f"library of to_symbolic must hold Function objects or names. Got {entry!r}."
            )
        if entry.name in chosen:
            raise ValueError(
                f"library of to_symbolic must hold each name once. Got {entry.name!r}."
            )
        if entry.family not in FAMILIES:
            raise ValueError(
                f"family of function {entry.name!r} must be one of {FAMILIES}. "
                f"Got {entry.family!r}."
            )
        if entry.complexity < 1 or not math.isfinite(entry.complexity):
            raise ValueError(
                f"complexity of function {entry.name!r} must be at least 1. "
                f"Got {entry.complexity!r}."
            )
        chosen[entry.name] = entry
    return tuple(chosen.values())
