"""The terms that an implicit equation may be a sum of: products of one-variable functions.

Axes: ``n`` rows, ``m`` terms.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.library import Function

__all__ = ["COSINE", "IDENTITY", "Factor", "Term", "build_dictionary"]

Array = NDArray[np.floating]

COSINE = Function("cos", np.cos, sympy.cos, 1, lambda u: -np.sin(u), "wave")
IDENTITY = Function("x", lambda u: u, lambda e: e, 1, np.ones_like, "power")
_ALIKE = 1e-9  # one minus the squared correlation of terms that count as one
_PROBES = 500  # rows on which terms are compared
_STRETCH = 50.0  # largest ratio of a term's extreme to its typical size


@dataclass(frozen=True)
class Factor:
    """A function of one column at a fixed rate: ``function(rate * x)``."""

    column: int
    function: Function
    rate: int = 1

    def evaluate(self, X: Array) -> Array:
        """Values (n,) on rows (n, n_features)."""
        return self.function.evaluate(self.rate * X[:, self.column])

    def slope(self, X: Array) -> Array:
        """Derivative (n,) by the column."""
        return self.rate * self.function.slope(self.rate * X[:, self.column])

    def symbolic(self, symbols: Sequence[sympy.Symbol]) -> sympy.Expr:
        """The factor in sympy."""
        return self.function.symbolic(self.rate * symbols[self.column])

    @property
    def complexity(self) -> int:
        """Nodes of the factor."""
        if self.function is IDENTITY:
            return 1
        if self.function.exponent is not None:
            return 2 if self.function.exponent in (2, -1) else 3
        return self.function.complexity + 2 + (self.rate != 1)


@dataclass(frozen=True)
class Term:
    """A product of functions of different columns; the empty product is the constant 1."""

    factors: tuple[Factor, ...]

    @property
    def complexity(self) -> int:
        """Nodes of the term; a constant is one."""
        inner = sum(factor.complexity for factor in self.factors)
        return inner + max(0, len(self.factors) - 1) if self.factors else 1

    @property
    def bends(self) -> int:
        """Factors that are not the column itself, beyond the first."""
        return max(0, sum(factor.function is not IDENTITY for factor in self.factors) - 1)

    def symbolic(self, symbols: Sequence[sympy.Symbol]) -> sympy.Expr:
        """The term in sympy."""
        return sympy.Mul(*(factor.symbolic(symbols) for factor in self.factors))

    def evaluate(self, X: Array) -> Array:
        """Values (n,) on rows (n, n_features)."""
        value = np.ones(len(X))
        with np.errstate(all="ignore"):
            for factor in self.factors:
                value = value * factor.evaluate(X)
        return value

    def gradient(self, X: Array) -> Array:
        """Derivatives (n, n_features) by the columns."""
        gradient = np.zeros(X.shape)
        with np.errstate(all="ignore"):
            for factor in self.factors:
                slope = factor.slope(X)
                for other in self.factors:
                    if other is not factor:
                        slope = slope * other.evaluate(X)
                gradient[:, factor.column] = slope
        return gradient


def _factors(X: Array, column: int, library: Sequence[Function]) -> list[Factor]:
    """Functions that are defined all over the range of a column, and not constant there."""
    u = X[:, column]
    whole_range = np.append(np.linspace(u.min(), u.max(), 1000), u)
    kept = []
    for function in (IDENTITY, *library):
        pole = function.exponent is not None and function.exponent < 0
        if pole and u.min() <= 0.0 <= u.max():
            continue
        if function.family == "corner" and (u.min() >= 0.0 or u.max() <= 0.0):
            continue  # |x| is x, up to the sign
        with np.errstate(all="ignore"):
            value = function.evaluate(whole_range)
        if np.isfinite(value).all() and np.ptp(value) > 1e-12 * np.abs(value).max():
            kept.append(Factor(column, function))
        if function.name == "exp":
            kept.append(Factor(column, function, -1))
    return kept


def _products(factors: Sequence[Sequence[Factor]], most: int) -> Iterator[tuple[Factor, ...]]:
    """Products of functions of different columns, the simplest kinds first."""
    yield ()
    yield from ((factor,) for column in factors for factor in column)
    simple = [[f for f in column if f.complexity == 1] for column in factors]
    for size in range(2, most + 1):
        for columns in itertools.combinations(range(len(factors)), size):
            chosen = [factors[c] if size == 2 else simple[c] for c in columns]
            yield from itertools.product(*chosen)


def build_dictionary(
    X: Array,
    library: Sequence[Function],
    *,
    most_factors: int = 3,
    most_terms: int = 1000,
) -> tuple[list[Term], Array, Array]:
    """Terms that differ on the rows, each with its values.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    library : sequence of Function
        Beside the identity. A function that is not finite on a whole column is left out there.
    most_factors : int
        Most columns in a product. Products of two columns take all functions, larger ones only
        the columns themselves.
    most_terms : int
        Size at which the dictionary is cut, the last first.

    Returns
    -------
    terms : list of Term
        The constant first, products of two functions that are not columns last.
    values : ndarray of shape (n, m)
        In units of ``sizes``.
    sizes : ndarray of shape (m,)
        Root mean squares.
    """
    factors = [_factors(X, column, library) for column in range(X.shape[1])]
    terms = sorted(
        map(Term, _products(factors, most_factors)), key=lambda t: (t.bends, t.complexity)
    )
    probe = X[np.linspace(0, len(X) - 1, min(len(X), _PROBES)).astype(int)]
    kept: list[Term] = []
    seen = np.zeros((most_terms, len(probe)))
    columns: list[Array] = []
    sizes: list[float] = []
    for term in terms:
        value = term.evaluate(X)
        size = float(np.sqrt(np.mean(value**2)))
        if not np.isfinite(size) or not 0.0 < np.abs(value).max() < _STRETCH * size:
            continue
        unit = term.evaluate(probe)
        unit = unit / (float(np.linalg.norm(unit)) or 1.0)
        if np.abs(seen[: len(kept)] @ unit).max(initial=0.0) > 1.0 - _ALIKE:
            continue
        seen[len(kept)] = unit
        kept.append(term)
        columns.append(value / size)
        sizes.append(size)
        if len(kept) == most_terms:
            break
    return kept, np.stack(columns, axis=1), np.array(sizes)
