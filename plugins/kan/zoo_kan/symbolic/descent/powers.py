"""Arguments that enter a noisy law as a factor ``u ** p`` only.

``log |y|`` is regressed on the logarithms of all arguments, their squares and products. An
argument none of whose squares and products matter is a factor, and the coefficient of its
logarithm is the exponent. Rows are weighted by ``y ** 2``, so that errors are those of ``y``.

Axes: ``n`` rows, ``k`` arguments.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["pure_powers"]

Array = NDArray[np.floating]

_CLOSE = 0.12  # distance of an exponent from a multiple of 1/2
_MATTERS = 0.02  # effect of a square or product beside the largest effect of a logarithm
_LEAST_ROWS_PER_TERM = 4
_FAINT = 0.15  # of the root mean square: smaller targets are too noisy for a logarithm
_MINOR = 1e-2  # share of the sum of squares that rows of the other sign may have


def pure_powers(arguments: Sequence[Array], y: Array, weight: Array) -> list[Fraction]:
    """Exponent of every argument that is a factor, 0 for all others.

    Parameters
    ----------
    arguments : sequence of ndarray of shape (n,)
    y, weight : ndarray of shape (n,)

    Returns
    -------
    list of Fraction
        All 0 for a target of both signs, or too few rows.
    """
    k = len(arguments)
    none = [Fraction(0)] * k
    sign = 1.0 if float(weight @ (y * np.abs(y))) > 0.0 else -1.0
    size = float(weight @ y**2)
    rows = sign * y > _FAINT * math.sqrt(size / float(weight.sum()))
    if not size > 0.0 or float(weight[sign * y < 0.0] @ y[sign * y < 0.0] ** 2) > _MINOR * size:
        return none
    candidates = [j for j in range(k) if arguments[j].min() > 0.0 or arguments[j].max() < 0.0]
    n_terms = 1 + 2 * k + k * (k - 1) // 2
    if not candidates or int(rows.sum()) < _LEAST_ROWS_PER_TERM * n_terms:
        return none
    letters = []
    for j, values in enumerate(arguments):
        letter = np.log(np.abs(values[rows])) if j in candidates else values[rows]
        spread = float(np.std(letter))
        if not spread > 0.0:
            return none
        letters.append((letter - letter.mean()) / spread)
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    columns = [np.ones(int(rows.sum())), *letters, *(letters[i] * letters[j] for i, j in pairs)]
    root = np.sqrt(weight[rows]) * np.abs(y[rows])
    design = np.stack(columns, axis=1) * root[:, None]
    target = np.log(np.abs(y[rows])) * root
    coef, *_ = np.linalg.lstsq(design, target, rcond=1e-12)
    freedom = max(len(target) - len(coef), 1)
    left = float(np.sum((design @ coef - target) ** 2)) / freedom
    errors = np.sqrt(left * np.diag(np.linalg.pinv(design.T @ design, hermitian=True)))
    largest = float(np.abs(coef[1 : k + 1]).max())
    found = list(none)
    for j in candidates:
        own = [1 + k + p for p, pair in enumerate(pairs) if j in pair]
        if any(abs(coef[c]) > max(3.5 * errors[c], _MATTERS * largest) for c in own):
            continue
        exponent = float(coef[1 + j]) / float(np.std(np.log(np.abs(arguments[j][rows]))))
        near = Fraction(round(2.0 * exponent), 2)
        if near and abs(exponent - float(near)) < _CLOSE:
            found[j] = near
    return found
