"""From the formulas of a search to the one that is chosen and the few that are shown.

Axes: ``n`` rows, ``m`` columns.
"""

import math
from collections.abc import Sequence

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import complexity, evaluate
from zoo_kan.symbolic.numeric import evaluate_expression, n_nodes
from zoo_kan.symbolic.pareto import FormulaRow, pareto_front
from zoo_kan.symbolic.refit import Fit, Problem, refit
from zoo_kan.symbolic.search import Candidate, Search
from zoo_kan.symbolic.tidy import Scaling, tidy

__all__ = ["shortlist"]

Array = NDArray[np.floating]

_MOST_ROWS = 8
_TIE = 1.0  # nats by which descriptions may differ and still be equally good
_UNSTABLE = 0.5  # a formula that loses more on held-out rows is shown but not chosen


def shortlist(
    ranked: Sequence[Candidate],
    search: Search,
    X: Array,
    names: Sequence[str],
    weight: Array,
    scalings: Sequence[Scaling],
    target: Scaling,
    output: int,
    seed: int,
) -> tuple[sympy.Expr, list[FormulaRow]]:
    """Choose an expression, and list it among its simpler and more accurate rivals.

    Parameters
    ----------
    ranked : sequence of Candidate
        Shortest description first.
    search : Search
        That found them.
    X : ndarray of shape (n, m)
        Raw columns.
    names : sequence of str
        Of the columns.
    weight : ndarray of shape (n,)
        How often each row counts.
    scalings : sequence of Scaling
        Of the columns.
    target : Scaling
        Of the target.
    output : int
        Number of the network's output.
    seed : int
        For the rows that are held out.

    Returns
    -------
    expression : sympy.Expr
    rows : list of FormulaRow
    """
    ranked = _rounder_first(ranked)
    problem, raw = search.problem, list(X.T)
    judge = Problem(problem.columns, problem.target, weight, problem.logistic)

    def write(fit: Fit) -> sympy.Expr | None:
        return tidy(fit, problem, names, raw, scalings, target)

    symbols = {sympy.Symbol(name): column for name, column in zip(names, raw, strict=True)}
    chosen: FormulaRow | None = None
    rows: list[FormulaRow] = []
    front: list[Candidate] = []
    for candidate in sorted(ranked, key=lambda c: (complexity(c.fit.node), c.length)):
        if not front or candidate.fit.loss < 0.98 * front[-1].fit.loss:
            front.append(candidate)
    for candidate in [*ranked[:3], *sorted(front, key=lambda c: c.length)[:_MOST_ROWS]]:
        expression = write(candidate.fit)
        if expression is None or any(row.expression == expression for row in rows):
            continue
        value = target.apply(evaluate_expression(expression, symbols, len(X)))
        row = FormulaRow(
            output,
            n_nodes(expression),
            _explained(value, judge),
            _held_out(candidate, problem, weight, seed),
            candidate.length,
            expression,
            None if problem.units is None else not problem.units.misfits(candidate.fit.node),
        )
        if not math.isfinite(row.r2):
            continue
        rows.append(row)
        if chosen is None and not row.r2_held_out < row.r2 - _UNSTABLE:
            chosen = row
    if chosen is None:
        constant = sympy.Float(target.unit * search.start_value() + target.shift, 15)
        chosen = FormulaRow(output, 1, 0.0, 0.0, ranked[0].length, constant)
        rows.append(chosen)
    shown = pareto_front(rows)
    if chosen not in shown:
        shown = sorted([*shown, chosen], key=lambda row: row.complexity)
    return chosen.expression, shown


def _rounder_first(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Candidates with those that tie with the best in the order of their free constants."""
    ties = [c for c in ranked if c.length < ranked[0].length + _TIE]
    ties.sort(key=lambda c: (len(c.fit.theta), c.length))
    return [*ties, *ranked[len(ties) :]]


def _held_out(candidate: Candidate, problem: Problem, weight: Array, seed: int) -> float:
    """Share of the deviance explained on a fifth of the rows by constants fitted to the rest."""
    n = len(problem.target)
    if n < 20:
        return math.nan
    order = np.random.default_rng(seed).permutation(n)
    test, train = order[: n // 5], order[n // 5 :]

    def part(rows: NDArray[np.intp], counts: Array) -> Problem:
        columns = [column[rows] for column in problem.columns]
        return Problem(columns, problem.target[rows], counts[rows], problem.logistic)

    known = part(train, problem.weight)
    fit = refit(candidate.fit.node, candidate.fit.theta, known, max_iter=15)
    rows = part(test, weight)
    with np.errstate(all="ignore"):
        value = evaluate(candidate.fit.node, rows.columns, fit.theta)
    return _explained(value, rows)


def _explained(value: Array, problem: Problem) -> float:
    """Share of the deviance that values (n,) explain; NaN if some are not finite."""
    null = float(problem.weight @ problem.target) / problem.total
    if problem.logistic:
        chance = min(max(null, 1e-9), 1.0 - 1e-9)
        null = math.log(chance / (1.0 - chance))
    constant = problem.loss(np.full(len(value), null))
    loss = problem.loss(value)
    if not math.isfinite(loss):
        return math.nan
    return 1.0 - loss / constant if constant > 0.0 else float(loss <= 0.0)
