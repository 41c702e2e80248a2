"""Regression on monomials, with the terms that do not pay left out.

Axes: ``n`` rows, ``c`` columns.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.refit import Problem

__all__ = ["eliminate", "monomials"]

Array = NDArray[np.floating]


def monomials(k: int, total: int) -> list[tuple[int, ...]]:
    """Exponents of all monomials of degree ``total`` in ``k`` arguments."""
    found = []
    for chosen in itertools.combinations_with_replacement(range(k), total):
        found.append(tuple(chosen.count(j) for j in range(k)))
    return found


def eliminate(design: Array, problem: Problem) -> tuple[list[int], Array]:
    """Backward elimination of the columns of a regression by description length.

    Parameters
    ----------
    design : ndarray of shape (n, c)
    problem : Problem

    Returns
    -------
    chosen : list of int
        Columns that pay for themselves; at least one.
    coef : ndarray
        Their coefficients.
    """
    weight, y = problem.weight, problem.target
    gram = (design * weight[:, None]).T @ design
    moment = design.T @ (weight * y)
    charge = 0.5 * np.log(problem.total + 1.0) + 3.0

    def solve(columns: list[int]) -> tuple[Array, float]:
        block = gram[np.ix_(columns, columns)]
        coef = np.linalg.lstsq(block, moment[columns], rcond=1e-14)[0]
        left = (design[:, columns] @ coef - y) / problem.scale
        loss = 0.5 * float(weight @ left**2)
        return coef, problem.evidence(loss) + charge * len(columns)

    chosen = list(range(design.shape[1]))
    coef, length = solve(chosen)
    while len(chosen) > 1:
        inverse = np.diag(np.linalg.pinv(gram[np.ix_(chosen, chosen)], hermitian=True))
        weakest = np.argsort(coef**2 / np.maximum(inverse, 1e-300))[:3]
        trials = []
        for position in weakest:
            fewer = [c for p, c in enumerate(chosen) if p != position]
            trial_coef, trial_length = solve(fewer)
            trials.append((trial_length, fewer, trial_coef))
        best = min(trials, key=lambda trial: trial[0])
        if best[0] > length:
            break
        length, chosen, coef = best
    return chosen, coef
