"""From a fitted shape to candidate formulas: closed forms for its curves, chosen in context.

Closed forms of single curves are only proposals. Which of them belong together is decided by
refitting all constants of the whole formula on the data (in-context selection, arXiv 2603.15250),
for the most promising combinations.

Axes: ``n`` rows, ``k`` arguments.
"""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.curve import Curve
from zoo_kan.symbolic.curves import fit_curves
from zoo_kan.symbolic.expression import (
    Add,
    Mul,
    Node,
    Parameter,
    Power,
    Variable,
    complexity,
    evaluate,
    integer,
    raised,
    renumber,
    substitute,
)
from zoo_kan.symbolic.library import Function
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.snap import NATS_PER_NODE
from zoo_kan.symbolic.structure import Shape, fit_sum

__all__ = [
    "Argument",
    "Tree",
    "formulas",
    "merge",
    "monomial_tree",
    "outer_formulas",
    "part_curves",
]

Array = NDArray[np.floating]
Tree = tuple[Node, Array]

_U = Variable(0)
ABSENT = integer(0)  # node of a curve that leaves its argument out
_FAINT = 0.3  # share of the whole below which an argument may as well be left out
_BIAS = 1e-4  # relative error of a spline against the curve it stands for


@dataclass(frozen=True)
class Argument:
    """What a curve is a function of: a column, or a combination of columns.

    Attributes
    ----------
    node : Node
        Tree in the columns; its parameters are numbered from 0.
    theta : tuple of float
    values : ndarray of shape (n,)
    """

    node: Node
    theta: tuple[float, ...]
    values: Array


def part_curves(
    shape: Shape,
    arguments: Sequence[Argument],
    y: Array,
    library: Sequence[Function],
    *,
    keep: int = 5,
) -> list[list[Curve]]:
    """Closed forms of every curve of a shape; an empty list for an argument without influence."""
    n, spread = len(y), float(np.std(y)) or 1.0
    largest = max(float(np.std(part)) for part in shape.parts) or 1.0
    found: list[list[Curve]] = []
    for part, argument in zip(shape.parts, arguments, strict=True):
        size = float(np.std(part))
        own = float(np.sqrt(np.mean(part**2))) or 1.0
        share = size / {"sum": spread, "link": largest}.get(shape.kind, own)
        noise = np.sqrt(shape.error * min(15.0 / n, 1.0)) / max(share, 1e-12)
        resolution = float(np.clip(noise + _BIAS, _BIAS, 0.5))
        if share < 1e-6 or (noise > 1.0 and shape.kind == "sum"):
            found.append([])
            continue
        order = np.argsort(argument.values, kind="stable")
        pick = order[np.linspace(0, n - 1, min(n, 128)).astype(int)]
        curves = fit_curves(
            argument.values[pick],
            part[pick],
            np.ones(len(pick)),
            library=library,
            resolution=resolution,
            keep=keep,
        )
        if curves and share < _FAINT:
            absent = Curve(ABSENT, (), 1.0, 0.0, 1.0, 0.0)
            curves = sorted([*curves, absent], key=lambda curve: curve.cost)
        found.append(curves)
    return found


def place(curve: Curve, argument: Argument, start: int) -> tuple[Node, Array]:
    """The curve's tree on its argument, parameters numbered from ``start``."""
    inner, inner_theta = renumber(argument.node, np.array(argument.theta), start)
    own, own_theta = renumber(curve.node, np.array(curve.theta), start + len(inner_theta))
    return substitute(own, {_U: inner}), np.concatenate([inner_theta, own_theta])


def best_first(costs: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """Index tuples in order of the sum of their costs; each list of costs is sorted."""
    first = (0,) * len(costs)
    if any(not row for row in costs):
        return
    heap = [(sum(row[0] for row in costs), first)]
    seen = {first}
    while heap:
        total, chosen = heapq.heappop(heap)
        yield chosen
        for position, index in enumerate(chosen):
            if index + 1 < len(costs[position]):
                after = (*chosen[:position], index + 1, *chosen[position + 1 :])
                if after not in seen:
                    seen.add(after)
                    step = costs[position][index + 1] - costs[position][index]
                    heapq.heappush(heap, (total + step, after))


def _sum_tree(curves: Sequence[Curve], arguments: Sequence[Argument], offset: float) -> Tree:
    terms: list[Node] = []
    theta: list[float] = []
    for curve, argument in zip(curves, arguments, strict=True):
        if curve.node == ABSENT:
            continue
        node, values = place(curve, argument, len(theta))
        theta.extend(values)
        terms.append(Mul((Parameter(len(theta)), node)))
        theta.append(curve.scale)
        offset += curve.offset
    terms.append(Parameter(len(theta)))
    theta.append(offset)
    return Add(tuple(terms)), np.array(theta)


def _product_tree(curves: Sequence[Curve], arguments: Sequence[Argument], offset: float) -> Tree:
    factors: list[Node] = []
    theta: list[float] = []
    scale = 1.0
    for curve, argument in zip(curves, arguments, strict=True):
        if curve.node == ABSENT:
            continue
        node, values = place(curve, argument, len(theta))
        theta.extend(values)
        factors.append(Add((node, Parameter(len(theta)))))
        theta.append(curve.offset / curve.scale)
        scale *= curve.scale
    product = Mul((Parameter(len(theta)), *factors))
    theta.append(scale)
    if not offset:
        return product, np.array(theta)
    return Add((product, Parameter(len(theta)))), np.array([*theta, offset])


def formulas(
    shape: Shape,
    arguments: Sequence[Argument],
    problem: Problem,
    library: Sequence[Function],
    *,
    width: int = 16,
) -> Iterator[Tree]:
    """Candidate formulas of a shape with starting constants, most promising first.

    Parameters
    ----------
    shape : Shape
    arguments : sequence of Argument
    problem : Problem
        Whose target the shape was fitted to.
    library : sequence of Function
    width : int
        Number of combinations of closed forms.

    Yields
    ------
    (node, theta)
    """
    if len(arguments) == 1:
        alone = (arguments[0].node, np.array(arguments[0].theta))
        yield from outer_formulas(alone, problem, library, shape.error)
        return
    curves = part_curves(shape, arguments, problem.target, library)
    alive = [j for j, row in enumerate(curves) if row]
    arguments, curves = [arguments[j] for j in alive], [curves[j] for j in alive]
    if not alive:
        return
    costs = [[curve.cost for curve in row] for row in curves]
    combinations = (
        [row[index] for row, index in zip(curves, chosen, strict=True)]
        for chosen in itertools.islice(best_first(costs), width)
    )
    if shape.kind == "link":
        parts = [shape.parts[j] for j in alive]
        first = int(np.argmax([np.std(part) for part in parts]))
        inner = [
            _inner_tree(chosen, arguments, first)
            for chosen in combinations
            if chosen[first].node != ABSENT
        ]
        monomial = _monomial(arguments, parts, first)
        inner += [] if monomial is None else [monomial]
        for rank, (error, tree) in enumerate(_rank_inner(inner, problem)[:3]):
            # closed forms of the curves are proposals: only the refit brings them below the bias
            if error <= 1.5 * shape.error + _BIAS**2 + 4.0 * problem.floor:
                attainable = max(min(error, shape.error), min(error, _BIAS**2))
                effort = "plain" if rank else "usual"
                yield from outer_formulas(tree, problem, library, attainable, effort=effort)
        return
    build = _sum_tree if shape.kind == "sum" else _product_tree
    for chosen in combinations:
        yield build(chosen, arguments, shape.offset)


def _inner_tree(curves: Sequence[Curve], arguments: Sequence[Argument], first: int) -> Tree:
    """Sum of curves in which the one numbered ``first`` has the coefficient 1."""
    terms: list[Node] = []
    theta: list[float] = []
    for j, (curve, argument) in enumerate(zip(curves, arguments, strict=True)):
        if curve.node == ABSENT:
            continue
        node, values = place(curve, argument, len(theta))
        theta.extend(values)
        if j != first:
            node = Mul((Parameter(len(theta)), node))
            theta.append(curve.scale / curves[first].scale)
        terms.append(node)
    return (Add(tuple(terms)) if len(terms) > 1 else terms[0]), np.array(theta)


def _rank_inner(inner: Sequence[Tree], problem: Problem) -> list[tuple[float, Tree]]:
    """Inner trees by description length, were the outer curve free; with what that leaves."""
    ranked = []
    for node, theta in inner:
        with np.errstate(all="ignore"):
            values = evaluate(node, problem.columns, theta)
        if not (np.isfinite(values).all() and np.ptp(values) > 0.0):
            continue
        error = fit_sum([values], problem.target, problem.weight).error
        evidence = 0.5 * problem.total * np.log(error + _BIAS**2)
        length = evidence + NATS_PER_NODE * complexity(node) + 3.5 * len(theta)
        ranked.append((length, error, (node, theta)))
    return [(error, tree) for _, error, tree in sorted(ranked, key=lambda row: row[0])]


def _monomial(arguments: Sequence[Argument], parts: Sequence[Array], first: int) -> Tree | None:
    """Product of powers of the arguments, if all curves are close to logarithms."""
    slopes = []
    for part, argument in zip(parts, arguments, strict=True):
        if not argument.values.min() > 0.0:
            return None
        logs = np.log(argument.values)
        slope, intercept = np.polyfit(logs, part, 1)
        if np.std(part - slope * logs - intercept) > 0.1 * np.std(part):
            return None
        slopes.append(slope)
    return monomial_tree(arguments, np.array(slopes) / slopes[first], first)


def monomial_tree(arguments: Sequence[Argument], exponents: Array, first: int) -> Tree:
    """Product of powers of arguments; exponents near a half-integer start there, fixed."""
    factors: list[Node] = []
    theta: list[float] = []
    for j, (argument, exponent) in enumerate(zip(arguments, exponents, strict=True)):
        node, values = renumber(argument.node, np.array(argument.theta), len(theta))
        theta.extend(values)
        near = round(2.0 * exponent) / 2.0
        if j == first:
            factors.append(node)
        elif near and abs(exponent - near) < 0.05:
            factors.append(node if near == 1.0 else raised(node, near))
        else:
            factors.append(Power(node, Parameter(len(theta))))
            theta.append(float(exponent))
    return (Mul(tuple(factors)) if len(factors) > 1 else factors[0]), np.array(theta)


def outer_formulas(
    inner: Tree,
    problem: Problem,
    library: Sequence[Function],
    attainable: float,
    *,
    keep: int = 4,
    effort: str = "usual",
) -> Iterator[Tree]:
    """Formulas ``c0 + c1 * g(inner)`` with ``g`` fitted to the data."""
    node, theta = inner
    with np.errstate(all="ignore"):
        values = evaluate(node, problem.columns, theta)
    if not np.isfinite(values).all():
        return
    argument = Argument(node, tuple(theta), values)
    curves = fit_curves(
        values,
        problem.target,
        problem.weight,
        library=library,
        resolution=problem.resolution,
        attainable=attainable,
        keep=keep,
        effort=effort,
    )
    for curve in curves:
        yield _sum_tree([curve], [argument], 0.0)


def merge(a: Argument, b: Argument) -> Iterator[tuple[str, Argument]]:
    """Ways in which two arguments may enter a law as one."""
    second, second_theta = renumber(b.node, np.array(b.theta), len(a.theta))
    theta = (*a.theta, *second_theta)
    u, v = a.values, b.values
    yield "sum", Argument(Add((a.node, second)), theta, u + v)
    yield "difference", Argument(Add((a.node, Mul((integer(-1), second)))), theta, u - v)
    yield "product", Argument(Mul((a.node, second)), theta, u * v)
    if v.min() > 0.0 or v.max() < 0.0:
        yield "quotient", Argument(Mul((a.node, raised(second, -1))), theta, u / v)
    elif u.min() > 0.0 or u.max() < 0.0:
        yield "quotient", Argument(Mul((second, raised(a.node, -1))), theta, v / u)
    squares = Add((raised(a.node, 2), raised(second, 2)))
    yield "sum of squares", Argument(squares, theta, u * u + v * v)
