"""Go on training a network, on rows that may lie beyond those that it has seen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.lm import GRIDS, fit_lm
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult
from zoo_kan.solvers.shape import fit_shape

__all__ = ["reaches_beyond", "resume"]

Array = NDArray[np.floating]

_BEYOND = 0.05  # of a grid's width


def reaches_beyond(network: KANNetwork, X: Array) -> bool:
    """Whether rows ``X`` (n, n_features) lie beyond the grid of an input by 5% of it or more."""
    layer, x = network.layers[0], network.standardise(X)
    reach = _BEYOND * (layer.upper - layer.lower)
    below, above = x.min(axis=0) < layer.lower - reach, x.max(axis=0) > layer.upper + reach
    return bool(np.any(below | above))


def resume(
    network: KANNetwork,
    X: Array,
    T: Array,
    weight: Array,
    *,
    loss: str,
    seed: int,
    **options: Any,
) -> TrainingResult:
    """Train a network further by Levenberg-Marquardt.

    Within the range of its inputs the network only moves on. Beyond it, edges are tangents that
    mean nothing, and what was learned may be the wrong place to go on from: the network starts
    again on a coarse grid over the new range, against random starts of its shape, and its grids
    grow anew. A network with pruned edges has no rivals.

    Parameters
    ----------
    network : KANNetwork
        Left unchanged.
    X, T, weight, loss, **options
        As in `fit_lm`.
    seed : int
        Of the random starts.

    Returns
    -------
    TrainingResult
    """
    if not reaches_beyond(network, X):
        return fit_lm(network, X, T, weight, loss=loss, trained=True, **options)
    grid = network.layers[0].grid
    grids = (*(coarse for coarse in GRIDS if coarse < grid), grid)
    start = regrid(network, X, grid=grids[0])
    if not all(layer.mask.all() for layer in network.layers):
        return fit_lm(start, X, T, weight, loss=loss, grids=grids, **options)
    return fit_shape(
        X,
        T,
        weight,
        network.hidden,
        loss=loss,
        order=network.layers[0].order,
        base=network.layers[0].base,
        grids=grids,
        seed=seed,
        starts=[start],
        **options,
    )
