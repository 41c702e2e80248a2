"""Formulas built term by term, for laws without an exact shape and for many features.

Each step fits closed forms of single columns to what the formula so far leaves (for a classifier
to the working residual of the logistic loss), tries the best few in context, all constants
refitted, and stops when no term pays for its description.

Axes: ``n`` rows.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.curves import fit_curves
from zoo_kan.symbolic.expression import Add, Mul, Parameter, evaluate
from zoo_kan.symbolic.hypotheses import Argument, Tree, place

if TYPE_CHECKING:
    from zoo_kan.symbolic.search import Candidate, Search

__all__ = ["pursue"]

Array = NDArray[np.floating]

_MOST_TERMS = 12
_SCREENED = 5
_TRIED = 3
_POINTS = 600


def _promise(u: Array, residual: Array, weight: Array) -> float:
    """Part of the residual's variance that a cubic of ``u`` explains."""
    low, high = float(u.min()), float(u.max())
    t = (2.0 * u - low - high) / (high - low)
    root = np.sqrt(weight)
    design = np.stack([np.ones_like(t), t, t**2, t**3], axis=1) * root[:, None]
    span = np.linalg.qr(design)[0]
    r = residual * root
    return float(np.sum((span.T @ r) ** 2) / max(float(r @ r), 1e-300))


def _with_term(tree: Tree, term: Tree, scale: float) -> Tree:
    node, theta = tree
    extended = Add((node, Mul((Parameter(len(theta) + len(term[1])), term[0]))))
    return extended, np.concatenate([theta, term[1], [scale]])


def pursue(search: "Search", arguments: Sequence[Argument]) -> None:
    """Enter formulas of one, two, three ... terms into the competition.

    Parameters
    ----------
    search : Search
    arguments : sequence of Argument
    """
    problem = search.problem
    current: Candidate = min(
        (c for c in search.candidates if c.origin == "constant"), key=lambda c: c.length
    )
    for _ in range(_MOST_TERMS):
        if search.late:
            return
        node, theta = current.fit.node, current.fit.theta
        value = evaluate(node, problem.columns, theta)
        first, curvature = problem.derivatives(value)
        curvature = np.maximum(curvature, 1e-6 * curvature.max())
        residual = -first / curvature
        ranked = sorted(
            arguments, key=lambda a: _promise(a.values, residual, curvature), reverse=True
        )
        stride = max(1, len(residual) // _POINTS)
        weight = curvature * (problem.total / curvature.sum())
        proposals = []
        for argument in ranked[:_SCREENED]:
            curves = fit_curves(
                argument.values[::stride],
                residual[::stride],
                weight[::stride],
                library=search.library,
                attainable=1.0,
                keep=_TRIED,
                effort="plain",
            )
            proposals += [(curve.cost, curve, argument) for curve in curves]
        proposals.sort(key=lambda proposal: proposal[0])
        best: Candidate | None = None
        for _, curve, argument in proposals[: 2 * _TRIED]:
            term = place(curve, argument, len(theta))
            tried = search.try_tree(_with_term((node, theta), term, curve.scale), "term by term")
            if tried is not None and (best is None or tried.length < best.length):
                best = tried
        if best is None or best.length >= current.length:
            return
        current = best
