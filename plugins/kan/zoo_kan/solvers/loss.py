"""Losses of the full-batch solvers, each with its gradient and the square root of its curvature.

Axes: ``n`` rows, ``o`` outputs, ``p`` parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

__all__ = ["LOSSES", "Loss", "probabilities"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Loss:
    """A loss of raw outputs ``z`` (n, o) against targets ``t`` (n, o).

    Attributes
    ----------
    value : callable
        ``value(z, t)`` is the loss of every row; (n,).
    gradient : callable
        ``gradient(z, t)`` is its derivative by ``z``; (n, o).
    curvature_root : callable
        ``curvature_root(z, jacobian)`` maps (n, o, p) to (n, o, p) so that the inner product of
        the result with itself is the generalised Gauss-Newton matrix.
    curvature : callable
        ``curvature(z, change)`` is the second derivative by ``z`` times ``change``; (n, o).
    known_dispersion : bool
        Whether the noise level is fixed by the loss (log loss) or has to be estimated.
    """

    value: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    curvature_root: Callable[[Array, Array], Array]
    curvature: Callable[[Array, Array], Array]
    known_dispersion: bool


def probabilities(z: Array) -> Array:
    """Class probabilities (n, n_classes) of logits ``z``: (n, 1) for two classes, else (n, o)."""
    if z.shape[1] == 1:
        positive = expit(z[:, 0])
        return np.stack([1.0 - positive, positive], axis=1)
    return softmax(z, axis=1)


def _squared_value(z: Array, t: Array) -> Array:
    return 0.5 * ((z - t) ** 2).sum(axis=1)


def _logistic_value(z: Array, t: Array) -> Array:
    if z.shape[1] == 1:
        return (np.logaddexp(0.0, z) - t * z)[:, 0]
    return logsumexp(z, axis=1) - (t * z).sum(axis=1)


def _logistic_gradient(z: Array, t: Array) -> Array:
    return (expit(z) if z.shape[1] == 1 else softmax(z, axis=1)) - t


def _logistic_root(z: Array, jacobian: Array) -> Array:
    if z.shape[1] == 1:
        positive = expit(z)
        return jacobian * np.sqrt(positive * (1.0 - positive))[..., None]
    # diag(p) - p p' = L L' with L = diag(sqrt p) - p sqrt(p)'
    p = softmax(z, axis=1)
    centred = jacobian - (p[:, None, :] @ jacobian)
    return centred * np.sqrt(p)[..., None]


def _logistic_curvature(z: Array, change: Array) -> Array:
    if z.shape[1] == 1:
        positive = expit(z)
        return positive * (1.0 - positive) * change
    p = softmax(z, axis=1)
    return p * (change - (p * change).sum(axis=1, keepdims=True))


LOSSES = {
    "squared": Loss(
        value=_squared_value,
        gradient=lambda z, t: z - t,
        curvature_root=lambda z, jacobian: jacobian,
        curvature=lambda z, change: change,
        known_dispersion=False,
    ),
    "logistic": Loss(
        value=_logistic_value,
        gradient=_logistic_gradient,
        curvature_root=_logistic_root,
        curvature=_logistic_curvature,
        known_dispersion=True,
    ),
}
