"""Closed forms of a curve: what one edge of a network, or a univariate law, may be.

A `Curve` is ``offset + scale * node(u)`` with ``node`` a small tree in one variable: a function of
the library, a polynomial, a function of a function, a function beside or times a power of ``u``.
Candidates are scanned by variable projection (`banks`), polished by Levenberg-Marquardt on the
curve's points and ranked by description length.

Axes: ``n`` points of the curve, ``p`` parameters.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.banks import Start, scan, scan_powers
from zoo_kan.symbolic.curve import Curve
from zoo_kan.symbolic.expression import (
    Add,
    Apply,
    Mul,
    Node,
    Parameter,
    Variable,
    complexity,
    evaluate,
    raised,
    renumber,
    substitute,
)
from zoo_kan.symbolic.library import LIBRARY, Function
from zoo_kan.symbolic.outer import OUTERS, Build
from zoo_kan.symbolic.refit import Fit, Problem, refit

__all__ = ["fit_curves"]

Array = NDArray[np.floating]

_U = Variable(0)
_LOG = next(function for function in LIBRARY if function.name == "log")
_POINTS = 256
_NATS_PER_NODE = 2.0
_POLISHED = 8


@dataclass
class _Search:
    """One search for the closed forms of the points ``(u, v)``."""

    u: Array
    v: Array
    weight: Array
    library: Sequence[Function]
    resolution: float
    attainable: float
    width: int = _POLISHED

    def __post_init__(self) -> None:
        self.problem = Problem([self.u], self.v, self.weight, resolution=self.resolution)
        self.curves: list[Curve] = []
        self.seen: set[Node] = set()
        stride = max(1, -(-len(self.u) // _POINTS))
        order = np.argsort(self.u, kind="stable")[stride // 2 :: stride]
        self.few = (self.u[order], self.v[order], self.weight[order])
        u, v, weight = self.few
        self.sample = Problem([u], v, weight, resolution=self.resolution)

    def add(self, node: Node, theta: Sequence[float]) -> None:
        """Polish ``node`` with a free scale and offset on a few points, and keep it."""
        node, values = renumber(node, np.asarray(theta, dtype=float))
        if node in self.seen:
            return
        self.seen.add(node)
        u, v, weight = self.few
        with np.errstate(all="ignore"):
            column, everywhere = evaluate(node, [u], values), evaluate(node, [self.u], values)
        if not np.isfinite(everywhere).all():
            return
        root = np.sqrt(weight)
        size = float(np.abs(column).max()) or 1.0
        design = np.stack([column / size, np.ones_like(column)], axis=1) * root[:, None]
        coef = np.linalg.lstsq(design, v * root, rcond=None)[0]
        with np.errstate(over="ignore"):
            scale, offset = coef / [size, 1.0]
        p = len(values)
        tree = Add((Mul((Parameter(p), node)), Parameter(p + 1)))
        fit = refit(tree, np.array([*values, scale, offset]), self.sample, max_iter=15)
        self._keep(node, fit, self.sample)

    def _keep(self, node: Node, fit: Fit, problem: Problem) -> None:
        p = len(fit.theta) - 2
        if not np.isfinite(fit.loss) or fit.theta[p] == 0.0:
            return
        error = 2.0 * fit.loss / problem.total
        constants = 0.5 * np.log(self.problem.total + 1.0) * (p + 2)
        evidence = self.problem.evidence(fit.loss * self.problem.total / problem.total)
        cost = evidence + constants + _NATS_PER_NODE * complexity(node)
        scale, offset = float(fit.theta[p]), float(fit.theta[p + 1])
        self.curves.append(Curve(node, tuple(fit.theta[:p]), scale, offset, error, cost))

    def ranked(self) -> list[Curve]:
        """Curves by cost, the best of them polished on all points."""
        if len(self.few[0]) == len(self.u):
            return sorted(self.curves, key=lambda curve: curve.cost)
        best = sorted(self.curves, key=lambda curve: curve.cost)[:_POLISHED]
        self.curves = []
        for curve in best:
            p = len(curve.theta)
            tree = Add((Mul((Parameter(p), curve.node)), Parameter(p + 1)))
            theta = np.array([*curve.theta, curve.scale, curve.offset])
            self._keep(curve.node, refit(tree, theta, self.problem, max_iter=15), self.problem)
        return sorted(self.curves, key=lambda curve: curve.cost)

    def polish(
        self, starts: Sequence[Start], build: Callable[[Start], Build] | None = None
    ) -> None:
        """Polish the most promising starts, each inside the tree that ``build`` puts around it."""
        if not starts:
            return
        worst = max(200.0 * min(start.error for start in starts), 4.0 * self.attainable, 0.03)
        for start in starts[: self.width]:
            if start.error <= worst:
                self.add(*(build(start) if build else (start.node, start.theta)))

    @property
    def exact(self) -> bool:
        """Whether some curve leaves no more than rounding, or the spline's own error."""
        return any(curve.error <= 4.0 * self.resolution**2 for curve in self.curves)

    @property
    def satisfied(self) -> bool:
        """Whether some curve leaves no more than the data's own noise."""
        goal = max(1.005 * self.attainable, 4.0 * self.resolution**2)
        return any(curve.error <= goal for curve in self.curves)

    def plain(self) -> None:
        """Polynomials, functions of ``a * u + b``, free powers."""
        self.add(_U, ())
        self.polynomials()
        u, v, weight = self.few
        constant = [np.ones_like(u)]
        self.polish(scan(self.library, u, v, weight, basis=constant))
        self.polish(scan_powers(u, v, weight, basis=constant))

    def polynomials(self) -> None:
        """Sums of powers up to the fourth, the best few by description length."""
        size = float(np.abs(self.u).max()) or 1.0
        t, root = self.u / size, np.sqrt(self.weight)
        table = np.stack([t**k for k in range(5)], axis=1) * root[:, None]
        ranked = []
        for count in (1, 2, 3, 4):
            for powers in itertools.combinations(range(1, 5), count):
                design = table[:, [0, *powers]]
                coef = np.linalg.lstsq(design, self.v * root, rcond=None)[0]
                left = design @ coef - self.v * root
                loss = 0.5 * float(left @ left) / self.problem.scale**2
                length = self.problem.evidence(loss) + 6.0 * count
                ranked.append((length, powers, coef[1:] / size ** np.array(powers, dtype=float)))
        ranked.sort(key=lambda row: row[0])
        for _, powers, coef in ranked[:3]:
            if not coef[-1]:
                continue
            terms = [
                *(
                    Mul((Parameter(k), _U if power == 1 else raised(_U, power)))
                    for k, power in enumerate(powers[:-1])
                ),
                _U if powers[-1] == 1 else raised(_U, powers[-1]),
            ]
            node = Add(tuple(terms)) if len(terms) > 1 else terms[0]
            self.add(node, tuple(coef[:-1] / coef[-1]))

    def beside(self, choices: Sequence[tuple[int, ...]] = ((1,), (2,), (1, 2))) -> None:
        """A function beside a multiple of ``u`` or ``u ** 2``, or both."""
        u, v, weight = self.few
        unit = float(np.abs(u).max()) or 1.0
        t = u / unit
        for powers in choices:
            basis = [np.ones_like(t), *(t**power for power in powers)]
            starts = scan(self.library, u, v, weight, basis=basis)
            self.polish(starts, partial(self._beside_powers, powers))
            if self.satisfied:
                break

    def _beside_powers(self, powers: tuple[int, ...], start: Start) -> Build:
        u, v, weight = self.few
        with np.errstate(all="ignore"):
            column = evaluate(start.node, [u], np.array(start.theta))
        root = np.sqrt(weight)
        unit = float(np.abs(u).max()) or 1.0
        columns = [column, *((u / unit) ** power for power in powers), np.ones_like(u)]
        coef = np.linalg.lstsq(np.stack(columns, axis=1) * root[:, None], v * root, rcond=None)[0]
        ratios = coef[1:-1] / coef[0] if coef[0] else np.zeros(len(powers))
        theta, terms = list(start.theta), [start.node]
        for power, ratio in zip(powers, ratios, strict=True):
            terms.append(Mul((Parameter(len(theta)), _U if power == 1 else raised(_U, power))))
            theta.append(float(ratio) / unit**power)
        return Add(tuple(terms)), tuple(theta)

    def times(self) -> None:
        """A function times a power of ``u``."""
        u, v, weight = self.few
        for power in (1, 2, -1, -2):
            if power < 0 and not (u.min() > 0.0 or u.max() < 0.0):
                continue
            factor = _U if power == 1 else raised(_U, power)
            starts = scan(
                self.library, u, v, weight, basis=[np.ones_like(u)], multiplier=u ** float(power)
            )
            self.polish(starts[:4], partial(_times, factor))

    def inside(self) -> None:
        """A function of ``a * t(u) + b`` for a simple ``t``."""
        u, v, weight = self.few
        signed = u.min() > 0.0 or u.max() < 0.0
        for inner, usable in (
            (raised(_U, 2), True),
            (raised(_U, -1), signed),
            (raised(_U, 0.5), u.min() > 0.0),
            (Apply(_LOG, _U), u.min() > 0.0),
        ):
            if usable:
                t = evaluate(inner, [u], np.zeros(0))
                starts = scan(self.library, t, v, weight, basis=[np.ones_like(u)])
                self.polish(
                    starts[:5],
                    partial(_inside, inner),
                )

    def outside(self) -> None:
        """A function of a plain curve: plain curves are fitted to the transformed target."""
        for outer in OUTERS:
            if outer.needs not in {function.name for function in self.library}:
                continue
            positive = outer.values == "positive"
            for sign in (1.0, -1.0) if positive else (1.0,):
                w = sign * self.few[1]
                if positive and not w.min() > 0.0:
                    continue
                if not positive and not (w.min() > 0.0 or w.max() < 0.0):
                    continue
                with np.errstate(all="ignore"):
                    target, slope = outer.transform(w), outer.slope(w)
                if not (np.isfinite(target).all() and np.isfinite(slope).all()):
                    continue
                weight = self.few[2] / np.maximum(np.abs(slope), 1e-150) ** 2
                weight = np.maximum(weight / weight.max(), 1e-12)
                inner = _Search(
                    self.few[0],
                    target,
                    weight * (self.few[2].sum() / weight.sum()),
                    self.library,
                    self.resolution,
                    0.0,
                    width=4,
                )
                inner.plain()
                if not inner.exact:
                    inner.beside(((1,),))
                for curve in sorted(inner.curves, key=lambda c: c.cost)[:4]:
                    self.add(*outer.build(curve))

    def together(self) -> None:
        """Two functions: the second fitted to what one of the best leaves."""
        u, v, weight = self.few
        for first in sorted(self.curves, key=lambda c: c.cost)[:4]:
            column = first(u)
            if not np.isfinite(column).all():
                continue
            starts = scan(self.library, u, v, weight, basis=[np.ones_like(u), column])
            self.polish(starts[:3], partial(_pair, first))


def _times(factor: Node, start: Start) -> Build:
    return Mul((factor, start.node)), start.theta


def _inside(inner: Node, start: Start) -> Build:
    return substitute(start.node, {_U: inner}), start.theta


def _pair(first: Curve, start: Start) -> Build:
    p, q = len(first.theta), len(start.theta)
    second, _ = renumber(start.node, np.array(start.theta), p)
    node = Add((first.node, Mul((Parameter(p + q), second))))
    return node, (*first.theta, *start.theta, 1e-3)


def fit_curves(
    u: Array,
    v: Array,
    weight: Array,
    *,
    library: Sequence[Function] = LIBRARY,
    resolution: float = 1e-8,
    attainable: float = 0.0,
    keep: int = 8,
    effort: str = "usual",
) -> list[Curve]:
    """Closed forms of the points ``(u, v)``, shortest description first.

    Parameters
    ----------
    u, v, weight : ndarray of shape (n,)
        Points and how often each counts.
    library : sequence of Function
    resolution : float
        Relative error of ``v`` below which curves are equally good: the error of the spline the
        points come from, or rounding.
    attainable : float
        Part of the variance of ``v`` known to be noise.
    keep : int
        Number of curves returned at most.
    effort : {"plain", "usual", "all"}
        Functions of ``a * u + b`` only; compositions, products and pairs until something fits;
        or all of them, for noisy points that several forms may fit equally well.

    Returns
    -------
    list of Curve
        At least the straight line, unless ``u`` or ``v`` is constant or not finite.
    """
    if not (np.ptp(u) > 0.0 and np.ptp(v) > 0.0 and np.isfinite(u).all() and np.isfinite(v).all()):
        return []
    search = _Search(u, v, weight, library, resolution, attainable)
    search.plain()
    if effort != "plain":
        for stage in (search.beside, search.times, search.inside, search.outside, search.together):
            if search.exact or (search.satisfied and effort == "usual"):
                break
            stage()
    return search.ranked()[:keep]
