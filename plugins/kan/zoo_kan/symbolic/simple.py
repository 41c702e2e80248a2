"""Formulas that need no search: straight lines, polynomials, power laws.

Axes: ``n`` rows, ``k`` arguments.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import Add, Mul, Node, Parameter, Power, raised
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.polynomial import eliminate, monomials
from zoo_kan.symbolic.refit import Problem

if TYPE_CHECKING:
    from zoo_kan.symbolic.search import Search

__all__ = ["propose_simple"]

Array = NDArray[np.floating]


def propose_simple(search: "Search", arguments: Sequence[Argument]) -> None:
    """Enter straight lines, polynomials and power laws into the competition.

    Parameters
    ----------
    search : Search
    arguments : sequence of Argument
    """
    ranked = sorted(arguments, key=lambda a: -_correlation(search.target, a.values))
    line = Add((Mul((Parameter(0), ranked[0].node)), Parameter(1)))
    search.try_tree((line, np.array([0.0, search.start_value()])), "linear")
    few = ranked[: max(1, min(40, len(search.problem.target) // 6))]
    _polynomial(search, few, 1)
    for degree in (2, 3):
        if 1 < len(arguments) <= (8 if degree == 2 else 4):
            _polynomial(search, arguments, degree)
    if not search.problem.logistic:
        _power_law(search, arguments)


def _correlation(target: Problem, values: Array) -> float:
    weight = target.weight / target.weight.sum()
    u = values - weight @ values
    v = target.target - weight @ target.target
    size = float(np.sqrt((weight @ u**2) * (weight @ v**2)))
    return abs(float(weight @ (u * v))) / size if size > 0.0 else 0.0


def _power_law(search: "Search", arguments: Sequence[Argument]) -> None:
    """``c * prod_k u_k ** p_k`` through logarithms, for data of one sign."""
    y = search.problem.target
    if not (y.min() > 0.0 or y.max() < 0.0) or any(a.values.min() <= 0.0 for a in arguments):
        return
    if len(y) < 2 * len(arguments) + 3:
        return
    logs = np.column_stack([*(np.log(a.values) for a in arguments), np.ones(len(y))])
    root = np.sqrt(search.problem.weight)
    coef = np.linalg.lstsq(logs * root[:, None], np.log(np.abs(y)) * root, rcond=None)[0]
    factors = tuple(Power(a.node, Parameter(j)) for j, a in enumerate(arguments))
    with np.errstate(over="ignore"):
        scale = np.sign(y[0]) * np.exp(coef[-1])
    tree = Mul((Parameter(len(arguments)), *factors))
    search.try_tree((tree, np.array([*coef[:-1], scale])), "power law")


def _polynomial(search: "Search", arguments: Sequence[Argument], degree: int) -> None:
    """Polynomial in all arguments; terms that do not pay are left out."""
    n, k = len(search.problem.target), len(arguments)
    powers = [exponents for total in range(1, degree + 1) for exponents in monomials(k, total)]
    if len(powers) > 1 and len(powers) + 1 > min(max(n // 4, 2), 60):
        return
    units = [float(np.abs(a.values).max()) for a in arguments]
    values = [a.values / unit for a, unit in zip(arguments, units, strict=True)]
    table = [np.prod([v**e for v, e in zip(values, ex, strict=True) if e], axis=0) for ex in powers]
    chosen, coef = eliminate(np.column_stack([np.ones(n), *table]), search.target)
    terms: list[Node] = []
    theta: list[float] = []
    for place, index in enumerate(chosen):
        exponents = powers[index - 1] if index else (0,) * k
        unit = float(np.prod([u**e for u, e in zip(units, exponents, strict=True)]))
        factors = [
            argument.node if exponent == 1 else raised(argument.node, exponent)
            for argument, exponent in zip(arguments, exponents, strict=True)
            if exponent
        ]
        theta.append(float(coef[place] / unit))
        terms.append(Mul((Parameter(place), *factors)) if factors else Parameter(place))
    if any(chosen):
        search.try_tree((Add(tuple(terms)), np.array(theta)), "polynomial")
