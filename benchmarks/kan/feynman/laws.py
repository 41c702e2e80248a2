"""The laws of the benchmark and rows drawn from them.

Axes: ``n`` rows, ``k`` variables.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = ["Law", "load_laws"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Law:
    """One row of ``laws.csv``.

    Attributes
    ----------
    name : str
        Number in the Feynman Lectures, or the law's name.
    group : {"feynman", "bonus", "outside"}
    formula : str
        In Python's notation.
    ranges : dict of str to (float, float)
        Variables and where they are sampled from, uniformly.
    """

    name: str
    group: str
    formula: str
    ranges: dict[str, tuple[float, float]]

    @property
    def symbols(self) -> dict[str, sympy.Symbol]:
        """Plain symbols of the variables."""
        return {name: sympy.Symbol(name) for name in self.ranges}

    @property
    def expression(self) -> sympy.Expr:
        """The law in plain symbols."""
        return sympy.sympify(self.formula, locals=self.symbols)

    def evaluate(self, X: Array) -> Array:
        """Values (n,) of the law at ``X`` (n, k), not finite where it is undefined."""
        compiled = sympy.lambdify(list(self.symbols.values()), self.expression, "numpy")
        with np.errstate(all="ignore"):
            return np.asarray(compiled(*X.T), dtype=float) * np.ones(len(X))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Rows (n, k) from the ranges at which the law is defined, and its values (n,)."""
        return self._draw(np.array(list(self.ranges.values())), n, rng)

    def sample_outside(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """As `sample`, from ranges a quarter wider on both sides and never from within them all.

        The lower end of a positive range is not taken below half its value. Fewer than ``n``
        rows, down to none, if the law is undefined there.
        """
        inner = np.array(list(self.ranges.values()))
        low, high = inner.T
        margin = 0.25 * (high - low)
        outer = np.column_stack(
            [np.where(low >= 0.0, np.maximum(low - margin, 0.5 * low), low - margin), high + margin]
        )
        X, y = self._draw(outer, 8 * n, rng)
        outside = (np.clip(X, low, high) != X).any(axis=1)
        return X[outside][:n], y[outside][:n]

    def _draw(self, box: Array, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        X = rng.uniform(box[:, 0], box[:, 1], (4 * n, len(box)))
        y = self.evaluate(X)
        defined = np.isfinite(y)
        return X[defined][:n], y[defined][:n]


def load_laws() -> list[Law]:
    """All laws in the order of the file."""
    text = (Path(__file__).parent / "laws.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    laws = []
    for row in csv.DictReader(lines):
        ranges = {}
        for part in row["ranges"].split(";"):
            name, low, high = part.split()
            ranges[name] = (float(low), float(high))
        laws.append(Law(row["name"], row["group"], row["formula"], ranges))
    return laws
