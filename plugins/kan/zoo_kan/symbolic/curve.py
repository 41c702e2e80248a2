"""A closed form of one curve.

Axes: ``n`` points of the curve, ``p`` parameters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import Node, evaluate

__all__ = ["Curve"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Curve:
    """``offset + scale * node(u)``.

    Attributes
    ----------
    node : Node
        Tree in ``Variable(0)`` with parameters 0 to p - 1.
    theta : tuple of float
    scale, offset : float
    error : float
        Part of the points' variance that is left.
    cost : float
        Description length in nats, for ranking curves of the same points.
    """

    node: Node
    theta: tuple[float, ...]
    scale: float
    offset: float
    error: float
    cost: float

    def __call__(self, u: Array) -> Array:
        """Value (n,) at ``u`` (n,)."""
        with np.errstate(all="ignore"):
            return self.offset + self.scale * evaluate(self.node, [u], np.array(self.theta))
