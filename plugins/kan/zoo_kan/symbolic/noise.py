"""What the rows are worth: errors of equal or proportional size, and a classifier's logits.

Axes: ``n`` rows.
"""

import math

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import Parameter, evaluate
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.search import Search

__all__ = ["logit_problem", "noise_model"]

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


def noise_model(problem: Problem) -> Problem:
    """The problem with errors relative to the target, if simple formulas speak for that.

    Data of one sign that span orders of magnitude often have errors in proportion to their size.
    The likelihoods of both noise models are compared at the best simple formula of each; one of
    them has to come within a tenth of the target throughout.
    """
    y = np.abs(problem.target)
    if len(y) < 8 or not (problem.target.min() > 0.0 or problem.target.max() < 0.0):
        return problem
    if y.max() < _SPAN * y.min():
        return problem
    with np.errstate(over="ignore", under="ignore"):
        share = (y.min() / y) ** 2
    counts = problem.weight * share
    if not counts.min() > 0.0:
        return problem
    counts *= problem.total / counts.sum()
    relative = Problem(problem.columns, problem.target, counts, resolution=problem.resolution)
    costs = []
    for choice in (problem, relative):
        search = Search(choice, (), math.inf)
        arguments = search.arguments()
        search.try_tree((Parameter(0), np.array([choice.mean])), "constant")
        if arguments:
            search.simple(arguments)
        # log densities: the variance of a row is the common one over its count
        density = problem.weight @ np.log(choice.weight / problem.weight)
        scale = problem.total * math.log(choice.scale)
        costs.append(search.best.length + scale - 0.5 * float(density))
    value = evaluate(search.best.fit.node, problem.columns, search.best.fit.theta)
    misfit = float(problem.weight @ (value / problem.target - 1.0) ** 2) / problem.total
    return relative if costs[1] < costs[0] and misfit < _CLOSE else problem
