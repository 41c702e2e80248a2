"""A law in dimensionless numbers, when the units of its quantities are known.

By Buckingham's theorem a law whose numbers have no units is ``factor * F(groups)``: a product of
powers of the quantities in the target's units times a function of products of powers that have
none. There are fewer groups than quantities, and every formula of them has the right units (AI
Feynman, arXiv 1905.11481, Section II.B).

Axes: ``n`` rows, ``k`` arguments, ``b`` base units.
"""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.symmetry import Reduction, monomial
from zoo_kan.symbolic.expression import Mul, Node, Variable, simplify, substitute
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.units import Dimension

if TYPE_CHECKING:
    from zoo_kan.symbolic.search import Search

__all__ = ["buckingham", "search_groups"]

Array = NDArray[np.floating]
Exponents = tuple[Fraction, ...]

_MOST_ARGUMENTS = 12
_MOST_SETS = 4000  # of columns that are looked at
_HIGHEST = 6  # power in a group or a factor
_FACTORS = 2  # that are tried
_TAKEN_OVER = 6  # formulas of every search in dimensionless numbers
_SHARE = 0.25  # of the time that is left


def _reduced(rows: Sequence[Sequence[Fraction]]) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced row echelon form of a matrix, and its pivots."""
    table = [list(row) for row in rows]
    pivots: list[int] = []
    for column in range(len(table[0]) if table else 0):
        place = len(pivots)
        found = next((r for r in range(place, len(table)) if table[r][column]), None)
        if found is None:
            continue
        table[place], table[found] = table[found], table[place]
        pivot = table[place][column]
        table[place] = [entry / pivot for entry in table[place]]
        for r, row in enumerate(table):
            if r != place and row[column]:
                table[r] = [a - row[column] * b for a, b in zip(row, table[place], strict=True)]
        pivots.append(column)
    return table, pivots


def _solution(columns: Sequence[Dimension], target: Dimension) -> list[Fraction] | None:
    """The only exponents, none of them 0, that give the target; None if there are not any."""
    rows = [[*(c[b] for c in columns), target[b]] for b in range(len(target))]
    table, pivots = _reduced(rows)
    if pivots != list(range(len(columns))):
        return None
    found = [table[j][-1] for j in range(len(columns))]
    usable = all(power and abs(power) <= _HIGHEST for power in found)
    return found if usable else None


def _spread_over(k: int, chosen: Sequence[int], powers: Sequence[Fraction]) -> Exponents:
    exponents = [Fraction(0)] * k
    for j, power in zip(chosen, powers, strict=True):
        exponents[j] = power
    return tuple(exponents)


def _size(exponents: Exponents) -> tuple[int, Fraction, int]:
    used = [power for power in exponents if power]
    return len(used), sum(map(abs, used), Fraction(0)), sum(power < 0 for power in used)


def _sets(k: int, most: int) -> Iterator[tuple[int, ...]]:
    every = (
        chosen
        for count in range(1, min(k, most) + 1)
        for chosen in itertools.combinations(range(k), count)
    )
    return itertools.islice(every, _MOST_SETS)


def _groups(columns: Sequence[Dimension], signed: Sequence[int]) -> list[Exponents]:
    """Independent products of powers without units, shortest first, in whole numbers.

    Columns among ``signed``, whose values change their sign, have powers from 1 up.
    """
    k = len(columns)
    rank = len(_reduced(columns)[1])
    found: set[Exponents] = set()
    for chosen in _sets(k, rank + 1):
        first, *rest = chosen
        negative = tuple(-entry for entry in columns[first])
        if rest:
            others = _solution([columns[j] for j in rest], negative)
        else:
            others = None if any(negative) else []
        if others is None:
            continue
        powers = [Fraction(1), *others]
        unit = math.lcm(*(power.denominator for power in powers))
        whole = _spread_over(k, chosen, [power * unit for power in powers])
        for turned in (whole, tuple(-power for power in whole)):
            if all(turned[j] >= 0 for j in signed) and max(map(abs, turned)) <= _HIGHEST:
                found.add(turned)
    basis: list[Exponents] = []
    for exponents in sorted(found, key=lambda e: (*_size(e), e[::-1])):
        if len(_reduced([*basis, exponents])[1]) > len(basis):
            basis.append(exponents)
    return basis if len(basis) == k - rank else []


def _factors(
    columns: Sequence[Dimension], target: Dimension, signed: Sequence[int], groups: list[Exponents]
) -> list[Exponents]:
    """Products of powers in the target's units, of columns that do not change their sign."""
    k = len(columns)
    found: set[Exponents] = set() if any(target) else {(Fraction(0),) * k}
    for chosen in _sets(k, len(target)):
        if not any(j in signed for j in chosen):
            powers = _solution([columns[j] for j in chosen], target)
            if powers is not None:
                found.add(_spread_over(k, chosen, powers))
    usable = [g for g in groups if not any(g[j] for j in signed)]
    longer = {
        tuple(a + turn * b for a, b in zip(factor, group, strict=True))
        for factor in found
        for group in usable
        for turn in (-1, 1)
    }
    return sorted(found | longer, key=lambda e: (*_size(e), e))


def buckingham(
    arguments: Sequence[Argument],
    columns: Sequence[Dimension],
    target: Dimension,
    y: Array,
    weight: Array,
) -> list[Reduction]:
    """Ways to write a law in dimensionless groups, those first that leave least to explain.

    Parameters
    ----------
    arguments : sequence of Argument
        Values (n,) of the quantities.
    columns : sequence of tuple of Fraction
        Their dimensions, (k, b).
    target : tuple of Fraction
        Dimension (b,) of the law.
    y, weight : ndarray of shape (n,)

    Returns
    -------
    list of Reduction
        Empty if units leave nothing to reduce or forbid every formula.
    """
    if not any(map(any, columns)) or len(arguments) > _MOST_ARGUMENTS:
        return []
    signed = [
        j for j, a in enumerate(arguments) if not (a.values.min() > 0.0 or a.values.max() < 0.0)
    ]
    basis = _groups(columns, signed)
    rank = len(_reduced(columns)[1])
    if len(basis) != len(columns) - rank:
        return []
    merged = [monomial(arguments, exponents) for exponents in basis]
    merged = [a for a in merged if np.ptp(a.values) > 1e-12 * np.abs(a.values).max()]
    if not all(np.isfinite(a.values).all() for a in merged):
        return []
    ranked: list[tuple[float, int, Reduction]] = []
    one_sign = y.min() > 0.0 or y.max() < 0.0
    for place, exponents in enumerate(_factors(columns, target, signed, basis)):
        with np.errstate(all="ignore"):
            factor = monomial(arguments, exponents)
            left = y / factor.values
            left = np.log(np.abs(left)) if one_sign else left / np.sqrt(np.mean(left**2))
        if np.isfinite(left).all() and np.isfinite(factor.values).all():
            spread = float(np.sqrt(weight @ (left - np.median(left)) ** 2 / weight.sum()))
            ranked.append((round(spread, 9), place, Reduction(factor, merged)))
    ranked.sort(key=lambda row: row[:2])
    return [reduction for _, _, reduction in ranked]


def search_groups(search: "Search") -> None:
    """Enter formulas found in dimensionless numbers into the competition.

    Parameters
    ----------
    search : Search
        Whose problem knows the units.
    """
    problem, units = search.problem, search.problem.units
    if units is None or units.target is None or problem.logistic:
        return
    arguments = [Argument(Variable(j), (), column) for j, column in enumerate(problem.columns)]
    reductions = buckingham(arguments, units.columns, units.target, problem.target, problem.weight)
    for reduction in reductions[:_FACTORS]:
        if search.late or search.settled():
            return
        search.report("dimensionless groups")
        _search_reduced(search, reduction)


def _search_reduced(search: "Search", reduction: Reduction) -> None:
    problem, factor = search.problem, reduction.factor
    size = float(np.sqrt(np.mean(factor.values**2)))
    with np.errstate(all="ignore"):
        values = problem.target / factor.values
        counts = problem.weight * (factor.values / size) ** 2
        counts *= problem.total / counts.sum()
    if not (np.isfinite(values).all() and (counts > 0.0).all() and np.isfinite(counts).all()):
        return
    columns = [argument.values for argument in reduction.arguments] or [np.ones(len(values))]
    reduced = Problem(columns, values, counts, resolution=problem.resolution)
    norm = float(counts[0] / (problem.weight[0] * factor.values[0] ** 2))
    now = time.monotonic()
    inner = type(search)(
        reduced,
        search.library,
        now + _SHARE * (search.deadline - now),
        attainable=search.attainable * problem.scale**2 * norm / reduced.scale**2,
        seed=search.seed,
        report=search.report,
    )
    ranked = inner.run()
    search.n_tried += inner.n_tried
    back: dict[Node, Node] = {
        Variable(j): argument.node for j, argument in enumerate(reduction.arguments)
    }
    for candidate in ranked[:_TAKEN_OVER]:
        node = simplify(Mul((factor.node, substitute(candidate.fit.node, back))))
        search.try_tree((node, candidate.fit.theta), "dimensionless groups")
