"""Description length of a formula, and round constants where the data support them.

A constant left free costs the digits that the data determine; a round one costs what it takes to
name it (minimum description length). A constant is rounded when that shortens the whole
description after all others were refitted. So 3.1412 becomes pi if its standard error is 1e-3, and
stays if it is 1e-5.

Axes: ``p`` parameters.
"""

import math
from collections.abc import Iterator

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import (
    Number,
    Parameter,
    complexity,
    exponents,
    leaves,
    parameters,
    renumber,
    simplify,
    substitute,
)
from zoo_kan.symbolic.refit import Fit, Problem, refit

__all__ = ["description_length", "round_candidates", "round_constants"]

Array = NDArray[np.floating]

NATS_PER_NODE = 1.0
_MOST_NATS = 20.0  # of a constant known to nine digits
_REACH = 6.0  # standard errors: further off, even _MOST_NATS do not pay for the misfit

_UNITS: tuple[tuple[float, sympy.Expr, float], ...] = (
    (1.0, sympy.Integer(1), 0.0),
    (math.pi, sympy.pi, 1.5),
    (1.0 / math.pi, 1 / sympy.pi, 2.5),
    (math.sqrt(2.0), sympy.sqrt(2), 2.5),
    (math.sqrt(3.0), sympy.sqrt(3), 3.0),
    (math.sqrt(5.0), sympy.sqrt(5), 3.5),
    (math.e, sympy.E, 3.5),
    (math.pi**2, sympy.pi**2, 3.5),
    (1.0 / math.pi**2, sympy.pi**-2, 4.5),
    (math.sqrt(math.pi), sympy.sqrt(sympy.pi), 3.5),
    (1.0 / math.sqrt(math.pi), 1 / sympy.sqrt(sympy.pi), 3.5),
    (1.0 / math.sqrt(2.0 * math.pi), 1 / sympy.sqrt(2 * sympy.pi), 4.0),
    (math.log(2.0), sympy.log(2), 4.0),
)
_DENOMINATORS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32, 100, 1000)
_DECIMAL = {10, 20, 100, 1000}


def round_candidates(
    value: float, reach: float, *, kind: str = "any"
) -> Iterator[tuple[Number, float]]:
    """Round numbers within ``reach`` of ``value``, each with its cost in nats.

    ``kind="rational"`` leaves out multiples of pi, roots and the like, for exponents.
    """
    if abs(value) <= reach:
        yield Number(0.0, sympy.Integer(0)), 0.0
    seen = set()
    for unit, exact, cost in _UNITS[: 1 if kind == "rational" else None]:
        for denominator in _DENOMINATORS:
            if denominator >= 100 and unit != 1.0:
                continue
            ratio = value / unit * denominator
            if not 0.5 <= abs(ratio) <= 1e5:
                continue
            numerator = round(ratio)
            rounded = numerator * unit / denominator
            if abs(rounded - value) > reach or rounded in seen:
                continue
            seen.add(rounded)
            fraction = sympy.Rational(numerator, denominator)
            nats = math.log(abs(fraction.p)) * 1.2 + math.log(fraction.q) * 1.2 + cost + 0.7
            yield Number(rounded, fraction * exact), nats


def number_cost(number: Number) -> float:
    """Cost in nats of a round number in a formula."""
    if number.value in (0.0, 1.0, -1.0):
        return 0.3
    costs = [nats for _, nats in round_candidates(number.value, 1e-13 * abs(number.value))]
    return min(costs, default=_MOST_NATS)


def parameter_costs(fit: Fit, problem: Problem) -> Array:
    """Cost in nats of each free constant (p,): the digits the data determine."""
    least = 0.5 * math.log(problem.total + 1.0)
    if not len(fit.theta):
        return np.zeros(0)
    with np.errstate(all="ignore"):
        digits = np.log(np.abs(fit.theta) / fit.spread + 1.0)
    digits = np.where(np.isfinite(digits), digits, 0.0)
    return np.clip(digits, least, max(_MOST_NATS, least))


def description_length(fit: Fit, problem: Problem) -> float:
    """Nats to write down the formula and what it leaves unexplained."""
    if not np.isfinite(fit.loss):
        return math.inf
    rounds = sum(number_cost(leaf) for leaf in leaves(fit.node) if isinstance(leaf, Number))
    return (
        problem.evidence(fit.loss)
        + float(parameter_costs(fit, problem).sum())
        + rounds
        + NATS_PER_NODE * complexity(fit.node)
        + problem.price(fit.node)
    )


def fix(fit: Fit, index: int, number: Number, problem: Problem) -> Fit:
    """The formula with one constant replaced by a number and all others refitted."""
    tree = simplify(substitute(fit.node, {Parameter(index): number}))
    node, theta = renumber(tree, fit.theta)
    return refit(node, theta, problem, max_iter=12)


def round_constants(fit: Fit, problem: Problem) -> Fit:
    """Round constants as long as that shortens the description.

    Parameters
    ----------
    fit : Fit
    problem : Problem

    Returns
    -------
    Fit
        Its free constants are those that the data do not support rounding.
    """
    current, length = fit, description_length(fit, problem)
    if isinstance(fit.node, Parameter) and problem.relative_variance(fit.loss) > 1e-6:
        return fit  # the mean of noisy data
    refused: set[tuple[int, float]] = set()
    for _ in range(4 * len(fit.theta) + 4):
        costs = parameter_costs(current, problem)
        moves = []
        powers = exponents(current.node)
        for index in parameters(current.node):
            value, spread = float(current.theta[index]), float(current.spread[index])
            reach = max(_REACH * spread, 1e-12 * abs(value))
            if not math.isfinite(reach):
                reach = abs(value)
            kind = "rational" if index in powers else "any"
            for number, nats in round_candidates(value, reach, kind=kind):
                distance = (number.value - value) / spread if spread > 0.0 else 0.0
                gain = costs[index] - nats - 0.5 * distance**2
                if number.value == 0.0:
                    gain += 4.0 * NATS_PER_NODE
                if problem.units is not None:
                    rounded = substitute(current.node, {Parameter(index): number})
                    gain += problem.price(current.node) - problem.price(simplify(rounded))
                if (index, number.value) not in refused and gain > 0.0:
                    moves.append((gain, index, number))
        moves.sort(key=lambda move: -move[0])
        for _, index, number in moves[:6]:
            trial = fix(current, index, number, problem)
            reached = description_length(trial, problem)
            if reached < length:
                current, length = trial, reached
                refused = set()
                break
            refused.add((index, number.value))
        else:
            break
    return current
