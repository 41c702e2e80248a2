"""Invertible functions around a plain curve.

Axes: ``n`` points of the curve.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.curve import Curve
from zoo_kan.symbolic.expression import Add, Apply, Mul, Node, Parameter, integer, raised
from zoo_kan.symbolic.library import LIBRARY

__all__ = ["OUTERS", "Build", "Outer"]

Array = NDArray[np.floating]
Build = tuple[Node, tuple[float, ...]]


@dataclass(frozen=True)
class Outer:
    """An invertible function around a plain curve."""

    needs: str
    values: str
    transform: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    build: Callable[[Curve], Build]


def _shifted(curve: Curve) -> tuple[Node, float]:
    """The curve up to a positive factor: ``±node + shift``."""
    size = abs(curve.scale)
    signed = curve.node if curve.scale > 0 else Mul((integer(-1), curve.node))
    return Add((signed, Parameter(len(curve.theta)))), curve.offset / size


def _raised_curve(exponent: float) -> Callable[[Curve], Build]:
    def build(curve: Curve) -> Build:
        inner, shift = _shifted(curve)
        return raised(inner, exponent), (*curve.theta, shift)

    return build


def _log_curve(curve: Curve) -> Build:
    inner, shift = _shifted(curve)
    return Apply(_LOG, inner), (*curve.theta, shift)


def _exp_curve(curve: Curve) -> Build:
    p = len(curve.theta)
    return Apply(_EXP, Mul((Parameter(p), curve.node))), (*curve.theta, curve.scale)


_NAMED = {function.name: function for function in LIBRARY}
_EXP, _LOG = _NAMED["exp"], _NAMED["log"]
OUTERS = (
    Outer("exp", "positive", np.log, lambda w: 1.0 / w, _exp_curve),
    Outer("power -1", "of one sign", lambda w: 1.0 / w, lambda w: 1.0 / w**2, _raised_curve(-1.0)),
    Outer("power 1/2", "positive", np.square, lambda w: 2.0 * w, _raised_curve(0.5)),
    Outer("power 2", "positive", np.sqrt, lambda w: 0.5 / np.sqrt(w), _raised_curve(2.0)),
    Outer("log", "positive", np.exp, np.exp, _log_curve),
)
