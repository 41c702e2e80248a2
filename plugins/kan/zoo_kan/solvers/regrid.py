"""Move grids to where the activations are, and refine them, keeping the function.

Every node carries its own affine map to its grid, so grids stay uniform (the paper's grid update,
Section 2.2, makes them follow the quantiles instead) and a finer grid is fitted to the coarser
spline by least squares (the paper's grid extension, Section 2.4).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline
from zoo_kan.network import EdgeLayer, KANNetwork, base_value
from zoo_kan.solvers.start import HIDDEN_MARGIN, MARGIN, node_range, weighted_moments

__all__ = ["regrid"]

Array = NDArray[np.floating]


def _mesh(grid: int, order: int) -> tuple[Array, Array]:
    """Mesh (m,) on [0, 1] and the matrix (b, m) that fits a spline to values on it."""
    mesh = np.linspace(0.0, 1.0, 4 * (grid + order))
    values = spline.design(mesh[:, None] * grid, grid, order)[:, 0]
    return mesh, np.linalg.pinv(values)


def _refit(
    layer: EdgeLayer, lower: Array, upper: Array, grid: int, mean: Array, scale: Array
) -> EdgeLayer:
    """The layer on new grids, its input nodes ``x`` renamed to ``(x - mean) / scale``."""
    mesh, fit = _mesh(grid, layer.order)
    x = lower + mesh[:, None] * (upper - lower)  # (m, i), old names
    spline_values = spline.design(layer.position(x), layer.grid, layer.order)  # (m, i, b)
    projector = np.einsum("cm,mib->icb", fit, spline_values, optimize=True)
    coef = np.einsum("icb,oib->oic", projector, layer.coef, optimize=True)
    base_weight = layer.base_weight
    renamed = np.any(mean != 0.0) or np.any(scale != 1.0)
    if renamed and layer.base != "none":
        # the base function does not commute with renaming: the spline takes up the difference
        base_weight = layer.base_weight * scale
        change = base_value(x, layer.base) - scale * base_value((x - mean) / scale, layer.base)
        coef = coef + layer.base_weight[..., None] * (fit @ change).T
    # the constant part of every edge moves into the bias, where it costs nothing
    constant = coef.mean(axis=2) * layer.mask
    return replace(
        layer,
        lower=(lower - mean) / scale,
        upper=(upper - mean) / scale,
        coef=coef - constant[..., None],
        base_weight=base_weight,
        bias=layer.bias + constant.sum(axis=1),
    )


def _renamed(layer: EdgeLayer, mean: Array, scale: Array, size: Array) -> EdgeLayer:
    """The layer whose output nodes are ``(x - mean) / scale``; ``size`` (s,) is that of its sums.

    Products have no mean to take off: each factor takes its part of the scale.
    """
    if not layer.products:
        return layer.renamed(mean, scale)
    per_sum = scale[layer.owners]
    plain = layer.n_sums - 2 * layer.products
    pairs = np.maximum(size[plain:].reshape(-1, 2), 1e-6 * size.max() + 1e-300)
    per_sum[plain:] = (pairs / np.sqrt(pairs[:, ::-1] * pairs)).ravel() * np.sqrt(per_sum[plain:])
    return layer.renamed(np.where(layer.is_factor, 0.0, mean[layer.owners]), per_sum)


def regrid(
    network: KANNetwork,
    X: Array,
    *,
    grid: int | None = None,
    weight: Array | None = None,
    rename: bool = True,
    margin: float | None = None,
) -> KANNetwork:
    """Fit every layer to the range of its nodes' present activations and to a new grid size.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n, n_features)
        Raw inputs.
    grid : int, optional
        Intervals of the new grids; by default as many as now.
    weight : ndarray of shape (n,), optional
        Rows of zero weight are ignored.
    rename : bool
        Whether hidden nodes are shifted and scaled to mean 0 and standard deviation 1; products
        are only scaled, and their two factors made equally large. The edges behind them absorb
        it, so the function stays.
    margin : float, optional
        By how much of their range the grids are wider than the activations at either end; by
        default `MARGIN` for inputs and `HIDDEN_MARGIN` for hidden nodes.

    Returns
    -------
    KANNetwork
        The same function up to the splines' error on the new grids. The input is left unchanged.
    """
    weight = np.ones(len(X)) if weight is None else weight
    kept = weight > 0.0
    weight = weight[kept]
    x = network.standardise(X[kept])
    layers: list[EdgeLayer] = []
    factors: Array = np.ones(0)  # root mean square of the sums of the layer before
    for number, layer in enumerate(network.layers):
        default = HIDDEN_MARGIN if number else MARGIN
        lower, upper = node_range(x, default if margin is None else margin)
        mean: Array = np.zeros(layer.n_in)
        scale: Array = np.ones(layer.n_in)
        if number and rename:
            mean, scale = weighted_moments(x, weight)
            # a node that has all but died is not blown up again
            scale = np.where(scale < 1e-6, 1.0, scale)
            before = layers[-1]
            mean[before.n_out - before.products :] = 0.0
            layers[-1] = _renamed(before, mean, scale, factors)
        layers.append(_refit(layer, lower, upper, grid or layer.grid, mean, scale))
        sums = layers[-1].sums(layers[-1].features((x - mean) / scale))
        factors = np.sqrt(weight @ sums**2 / weight.sum())
        x = layers[-1].combine(sums)
    return replace(network, layers=layers)
