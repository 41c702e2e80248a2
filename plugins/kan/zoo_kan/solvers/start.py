"""A network to start training from: standardisation, grids and small random edges."""

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline
from zoo_kan.network import EdgeLayer, KANNetwork

__all__ = ["MARGIN", "initial_network", "node_range", "weighted_moments"]

Array = NDArray[np.floating]

# Share of their range by which grids are wider than the data at either end, so that fresh rows just
# beyond meet the spline and not yet its tangent.
MARGIN = 0.01


def weighted_moments(values: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted mean and standard deviation of every column; a constant column's deviation is 1.

    Parameters
    ----------
    values : ndarray of shape (n, i)
    weight : ndarray of shape (n,)
        Positive.

    Returns
    -------
    mean, scale : ndarray of shape (i,)
    """
    # columns are divided by their largest magnitude first: squares of 1e200 overflow
    size = np.abs(values).max(axis=0)
    size = np.where(size > 0.0, size, 1.0)
    share = weight / weight.sum()
    unit = values / size
    mean = share @ unit
    scale = np.sqrt(share @ (unit - mean) ** 2)
    constant = np.ptp(values, axis=0) == 0.0
    lost_in_rounding = (scale <= 16 * np.finfo(float).eps) | (scale * size < np.finfo(float).tiny)
    mean = np.where(constant, values[0], mean * size)
    return mean, np.where(constant | lost_in_rounding, 1.0, scale * size)


def node_range(values: Array, margin: float = MARGIN) -> tuple[Array, Array]:
    """Grid ends (i,) of nodes ``values`` (n, i), widened by ``margin`` of the range."""
    lower, upper = values.min(axis=0), values.max(axis=0)
    width = upper - lower
    flat = width <= 1e-9 * np.maximum(1.0, np.maximum(np.abs(lower), np.abs(upper)))
    middle = (lower + upper) / 2
    lower = np.where(flat, middle - 0.5, lower - margin * width)
    upper = np.where(flat, middle + 0.5, upper + margin * width)
    return lower, upper


def random_layer(
    x: Array, n_out: int, *, grid: int, order: int, base: str, rng: np.random.Generator
) -> EdgeLayer:
    """A layer of gently bent random edges over the range of its input nodes ``x`` (n, i)."""
    n_in, n_basis = x.shape[1], grid + order
    lower, upper = node_range(x)
    line = np.linspace(-1.0, 1.0, n_basis)
    slope = rng.uniform(-1.0, 1.0, (n_out, n_in, 1))
    bend = 0.15 * rng.normal(size=(n_out, n_in, n_basis))
    return EdgeLayer(
        lower=lower,
        upper=upper,
        coef=(slope * line + bend) / np.sqrt(n_in),
        base_weight=np.zeros((n_out, n_in)),
        bias=np.zeros(n_out),
        mask=np.ones((n_out, n_in), dtype=bool),
        order=order,
        base=base,
    )


def initial_network(
    X: Array,
    Y: Array,
    widths: list[int] | tuple[int, ...],
    *,
    grid: int,
    order: int = 3,
    base: str = "silu",
    weight: Array | None = None,
    standardise_outputs: bool = True,
    rng: np.random.Generator,
) -> KANNetwork:
    """Build an untrained network whose grids cover the data.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    Y : ndarray of shape (n, n_outputs)
    widths : sequence of int
        Nodes per layer, ``[n_features, ..., n_outputs]``.
    grid : int
        Intervals of every grid.
    order : int
        Degree of the splines, 1 to 5.
    base : {"silu", "linear", "none"}
        Function beside the spline on every edge.
    weight : ndarray of shape (n,), optional
        Rows of zero weight count neither for the standardisation nor for the grids.
    standardise_outputs : bool
        False for logits, which are left as they are.
    rng : numpy.random.Generator

    Returns
    -------
    KANNetwork
        Hidden nodes have mean 0 and standard deviation 1 on the data.

    Raises
    ------
    ValueError
        If ``widths`` does not fit the data or the order is unknown.
    """
    if widths[0] != X.shape[1] or widths[-1] != Y.shape[1] or len(widths) < 2:
        raise ValueError(
            f"widths of a KAN must begin with n_features={X.shape[1]} and end with "
            f"n_outputs={Y.shape[1]}. Got {list(widths)!r}."
        )
    if order not in spline.ORDERS:
        raise ValueError(f"order of a KAN must be one of {spline.ORDERS}. Got {order!r}.")
    weight = np.ones(len(X)) if weight is None else weight
    kept = weight > 0.0
    X, Y, weight = X[kept], Y[kept], weight[kept]
    input_mean, input_scale = weighted_moments(X, weight)
    output_mean: Array = np.zeros(Y.shape[1])
    output_scale: Array = np.ones(Y.shape[1])
    if standardise_outputs:
        output_mean, output_scale = weighted_moments(Y, weight)
    x: Array = (X - input_mean) / input_scale
    layers = []
    for number, n_out in enumerate(widths[1:], start=1):
        layer = random_layer(x, n_out, grid=grid, order=order, base=base, rng=rng)
        x = layer.forward(x)
        if number < len(widths) - 1:
            mean, scale = weighted_moments(x, weight)
            layer.coef /= scale[:, None, None]
            layer.bias = -mean / scale
            x = (x - mean) / scale
        else:
            layer.bias = -(weight @ x) / weight.sum()
            if standardise_outputs:
                # a target that never varies is its mean: its edges start, and stay, at nothing
                varies = np.ptp(Y, axis=0) > 0.0
                layer.coef *= varies[:, None, None]
                layer.bias *= varies
        layers.append(layer)
    return KANNetwork(layers, input_mean, input_scale, output_mean, output_scale)
