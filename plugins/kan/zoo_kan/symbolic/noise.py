"""What the rows are worth: errors of equal or proportional size, and a classifier's logits.

Axes: ``n`` rows.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import Parameter, evaluate
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.search import Search

__all__ = ["data_cost", "logit_problem", "noise_models"]

Array = NDArray[np.floating]

_SPAN = 20.0  # of the target, from which errors may be in proportion to it
_CLOSE = 0.01  # squared relative error that a simple formula must reach for that
_LOGIT_REACH = 8.0
_LOGIT_RESOLUTION = 0.02


def logit_problem(columns: list[Array], logit: Array, weight: Array) -> Problem:
    """The network's logit as something to fit shapes to, weighted by its logistic curvature."""
    logit = np.clip(logit, -_LOGIT_REACH, _LOGIT_REACH)
    chance = 0.5 * (1.0 + np.tanh(0.5 * logit))
    curvature = weight * np.maximum(chance * (1.0 - chance), 0.02)
    curvature *= weight.sum() / curvature.sum()
    return Problem(columns, logit, curvature, resolution=_LOGIT_RESOLUTION)


def data_cost(length: float, problem: Problem, weight: Array) -> float:
    """Description length in nats that can be compared between noise models.

    Parameters
    ----------
    length : float
        Of a formula, under ``problem``.
    problem : Problem
        Whose weights are ``weight`` times the inverse variance of each row.
    weight : ndarray of shape (n,)
        How often each row counts.
    """
    precision = float(weight @ np.log(problem.weight / weight))
    return length + problem.total * math.log(problem.scale) - 0.5 * precision


def noise_models(problem: Problem) -> list[Problem]:
    """The problem with errors of equal size and, where that may suit, relative to the target.

    Data of one sign that span orders of magnitude often have errors in proportion to their size.
    The second model is worth a search if simple formulas are likelier under it and one of them
    comes within a tenth of the target.
    """
    y = np.abs(problem.target)
    one_sign = problem.target.min() > 0.0 or problem.target.max() < 0.0
    if len(y) < 8 or not one_sign or y.max() < _SPAN * y.min():
        return [problem]
    with np.errstate(over="ignore", under="ignore"):
        counts = problem.weight * (y.min() / y) ** 2
    if not counts.min() > 0.0:
        return [problem]
    counts *= problem.total / counts.sum()
    relative = replace(problem, weight=counts)
    costs = []
    for choice in (problem, relative):
        search = Search(choice, (), math.inf)
        search.try_tree((Parameter(0), np.array([choice.mean])), "constant")
        arguments = search.arguments()
        if arguments:
            search.simple(arguments)
        costs.append(data_cost(search.best.length, choice, problem.weight))
    value = evaluate(search.best.fit.node, problem.columns, search.best.fit.theta)
    misfit = float(problem.weight @ (value / problem.target - 1.0) ** 2) / problem.total
    return [problem, relative] if costs[1] < costs[0] and misfit < _CLOSE else [problem]
