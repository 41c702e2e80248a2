"""What a descent works on: a target, its arguments, and the way back to the law.

Axes: ``n`` rows, ``k`` arguments.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.surrogate import Surrogate
from zoo_kan.symbolic.expression import Add, Mul, Node, Variable, evaluate, variables
from zoo_kan.symbolic.hypotheses import Argument

__all__ = ["Task"]

Array = NDArray[np.floating]


@dataclass
class Task:
    """Find ``values`` as a formula of ``arguments``; ``wrap`` makes it a formula of the law.

    Attributes
    ----------
    values : ndarray of shape (n,)
    arguments : list of Argument
    wrap : callable
        ``wrap(node)``: a tree for the values as a tree for the law. It adds no parameters.
    law : Surrogate, optional
        Of the values as a function of the arguments.
    """

    values: Array
    arguments: list[Argument]
    wrap: Callable[[Node], Node]
    law: Surrogate | None = None

    @property
    def key(self) -> Hashable:
        """The same for tasks that differ by a constant factor or the order of their arguments."""
        unit = self.values[int(np.argmax(np.abs(self.values)))] or 1.0
        shown = tuple(float(f"{v:.6e}") for v in self.values[:4] / unit)
        return frozenset(argument.node for argument in self.arguments), shown

    @property
    def size(self) -> float:
        """Root mean square of the values."""
        return float(np.sqrt(np.mean(self.values**2)))

    @property
    def noisy(self) -> bool:
        """Whether the surrogate leaves noise rather than structure."""
        return self.law is not None and self.law.noisy

    def noise(self, variance: float, columns: Sequence[Array]) -> float:
        """Part of the values' variance that is noise, if the law's has ``variance``."""
        slope = self.slope(columns)
        if slope is None:
            return 0.0
        with np.errstate(all="ignore"):
            part = variance * float(np.mean(slope**-2.0)) / float(np.var(self.values))
        return part if np.isfinite(part) else 0.0

    def divided(self, factor: Argument, arguments: list[Argument]) -> "Task | None":
        """The task for ``values / factor``, or None where that is not finite."""
        with np.errstate(all="ignore"):
            values = self.values / factor.values
        if not np.isfinite(values).all():
            return None
        wrap = self.wrap
        if not variables(factor.node):
            return Task(values, arguments, wrap)
        return Task(values, arguments, lambda node: wrap(Mul((node, factor.node))))

    def less(self, term: Argument, arguments: list[Argument]) -> "Task":
        """The task for ``values - term``."""
        wrap = self.wrap
        values = self.values - term.values
        return Task(values, arguments, lambda node: wrap(Add((node, term.node))))

    def slope(self, columns: Sequence[Array]) -> Array | None:
        """Derivative (n,) of the law by the values; None where that is not finite."""
        node = self.wrap(Variable(len(columns)))
        step = 1e-5 * np.abs(self.values) + 1e-9 * float(np.abs(self.values).max())
        sides = []
        with np.errstate(all="ignore"):
            for shifted in (self.values + step, self.values - step):
                sides.append(evaluate(node, [*columns, shifted], np.zeros(0)))
            slope = (sides[0] - sides[1]) / (2.0 * step)
        return slope if np.isfinite(slope).all() and slope.any() else None
