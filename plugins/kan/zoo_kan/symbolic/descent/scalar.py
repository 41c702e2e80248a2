"""Exact laws of one variable: ``T(y) = u ** -k * (c0 + c1 * f(a * u + b))``.

For every transform ``T`` and power ``k`` the bank of every function of the library is scanned on a
few points, which is one matrix product. The most promising are polished, and those that leave no
more than rounding are the law. ``u / (exp(u) - 1)`` is found as the reciprocal of
``(exp(u) - 1) / u``.

Axes: ``n`` points.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.banks import Start, scan
from zoo_kan.symbolic.descent.algebra import VIEWS, View
from zoo_kan.symbolic.expression import (
    Add,
    Mul,
    Node,
    Parameter,
    Power,
    Variable,
    evaluate,
    integer,
    raised,
)
from zoo_kan.symbolic.hypotheses import Tree
from zoo_kan.symbolic.library import Function
from zoo_kan.symbolic.refit import Problem, refit

__all__ = ["scalar_laws"]

Array = NDArray[np.floating]

_U = Variable(0)
_SCANNED, _POLISHED = 64, 128
_STAGES = ((0,), (1, -1), (2, -2, 3, -3))


def _one_sign(y: Array) -> bool:
    return bool(y.min() > 0.0 or y.max() < 0.0)


def _inverse(exponent: float) -> Callable[[Node, float, Function | None], Node]:
    def undo(node: Node, sign: float, function: Function | None) -> Node:
        power = raised(node, exponent)
        return power if sign > 0.0 or exponent == -1.0 else Mul((integer(-1), power))

    return undo


_SLOPES: dict[str, Callable[[Array], Array]] = {
    "identity": np.ones_like,
    "square": lambda y: 2.0 * y,
    "root": lambda y: 0.5 / np.sqrt(y),
    "log": lambda y: 1.0 / y,
    "reciprocal": lambda y: y**-2.0,
    "inverse square": lambda y: 2.0 * y**-3.0,
    "inverse root": lambda y: 0.5 * y**-1.5,
}
_VIEWS = (
    *(view for view in VIEWS if view.name in _SLOPES),
    View("reciprocal", "", _one_sign, np.reciprocal, _inverse(-1.0)),
    View("inverse square", "", _one_sign, lambda y: y**-2.0, _inverse(-0.5)),
    View("inverse root", "", _one_sign, lambda y: np.abs(y) ** -0.5, _inverse(-2.0)),
)
_PROMISING = 0.02  # error of a scan that is worth a polish
_PER_CONSTANT = 8.0  # banks of more constants come closer by chance
_TRIED = 16  # polished per stage
_EXACT = 1e-16  # part of the variance that an exact law leaves at most


def _sample(u: Array, count: int) -> NDArray[np.intp]:
    """Rows spread evenly over the values of ``u``."""
    order = np.argsort(u, kind="stable")
    return order[np.unique(np.linspace(0, len(u) - 1, min(count, len(u))).astype(int))]


def _law(start: Start, view: View, sign: float, named: dict[str, Function], power: int) -> Node:
    p = len(start.theta)
    inner: Node = Add((Mul((Parameter(p), start.node)), Parameter(p + 1)))
    if power:
        inner = Mul((inner, _U if power == -1 else Power(_U, integer(-power))))
    return view.undo(inner, sign, named.get(view.needs))


def scalar_laws(u: Array, y: Array, library: Sequence[Function]) -> Iterator[Tree]:
    """Trees in ``Variable(0)`` that are exact, simplest kind first.

    Parameters
    ----------
    u, y : ndarray of shape (n,)
        Points of the law, without noise.
    library : sequence of Function

    Yields
    ------
    (node, theta)
    """
    named = {function.name: function for function in library}
    rows, few = _sample(u, _POLISHED), _sample(u, _SCANNED)
    problem = Problem([u[rows]], y[rows], np.ones(len(rows)))
    away = u.min() > 0.0 or u.max() < 0.0
    sign = 1.0 if y.max() > 0.0 else -1.0
    views = [v for v in _VIEWS if v.usable(y) and (not v.needs or v.needs in named)]
    ones = np.ones(len(few))
    for powers in _STAGES:
        starts: list[tuple[float, View, int, Start, Array, Array]] = []
        for power in powers:
            if power < 0 and not away:
                continue
            for view in views:
                with np.errstate(all="ignore"):
                    target = view.transform(y[few]) * u[few] ** float(power)
                if not (np.isfinite(target).all() and np.ptp(target) > 0.0):
                    continue
                with np.errstate(all="ignore"):  # what matters are errors of y
                    slope = _SLOPES[view.name](np.abs(y[few])) * u[few] ** float(power)
                    weight = np.abs(slope / np.abs(slope).min()) ** -2.0
                weight = np.where(np.isfinite(weight), np.maximum(weight, 1e-12), 1e-12)
                for start in scan(library, u[few], target, weight, basis=[ones])[:4]:
                    if start.error < _PROMISING:
                        rank = start.error * _PER_CONSTANT ** len(start.theta)
                        starts.append((rank, view, power, start, target, np.sqrt(weight)))
        starts.sort(key=lambda row: row[0])
        for _, view, power, start, target, root in starts[:_TRIED]:
            with np.errstate(all="ignore"):
                column = evaluate(start.node, [u[few]], np.array(start.theta))
            design = np.stack([column, ones], axis=1)
            coef = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
            node = _law(start, view, sign, named, power)
            fit = refit(node, np.array([*start.theta, *coef]), problem, max_iter=25)
            if 2.0 * fit.loss <= _EXACT * problem.total:
                yield node, fit.theta
