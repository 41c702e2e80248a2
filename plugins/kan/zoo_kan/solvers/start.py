"""A network to start training from: standardisation, grids and small random edges."""

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline
from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.widths import Width, edges_into, nodes, sums_and_products

__all__ = ["HIDDEN_MARGIN", "MARGIN", "initial_network", "node_range", "weighted_moments"]

Array = NDArray[np.floating]

# Share of their range by which grids are wider than the data at either end, so that fresh rows just
# beyond meet the spline and not yet its tangent.
MARGIN = 0.01
# The same for hidden nodes: their ends are in corners of the inputs, where rows are rarest.
HIDDEN_MARGIN = 0.1
_OTHERS = 0.1  # how strongly a factor starts to depend on the inputs that the other factor has
# Standard deviation of a factor around 1 before its product is scaled: every start draws one.
_FACTOR_SPREADS = (1.0, 3.0)


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
    x: Array, width: Width, *, grid: int, order: int, base: str, rng: np.random.Generator
) -> EdgeLayer:
    """A layer of gently bent random edges over the range of its input nodes ``x`` (n, i)."""
    n_in, n_basis, n_sums = x.shape[1], grid + order, edges_into(width)
    lower, upper = node_range(x)
    line = np.linspace(-1.0, 1.0, n_basis)
    slope = rng.uniform(-1.0, 1.0, (n_sums, n_in, 1))
    bend = 0.15 * rng.normal(size=(n_sums, n_in, n_basis))
    products = sums_and_products(width)[1]
    share = np.ones((n_sums, n_in, 1))
    for first in range(n_sums - 2 * products, n_sums, 2):
        mine = rng.permutation(n_in) < rng.integers(1, max(n_in, 2))
        share[first, ~mine], share[first + 1, mine] = _OTHERS, _OTHERS
    return EdgeLayer(
        lower=lower,
        upper=upper,
        coef=(slope * line + bend) * share / np.sqrt(n_in),
        base_weight=np.zeros((n_sums, n_in)),
        bias=np.zeros(n_sums),
        mask=np.ones((n_sums, n_in), dtype=bool),
        order=order,
        base=base,
        products=products,
    )


def _standardised(layer: EdgeLayer, x: Array, weight: Array, rng: np.random.Generator) -> EdgeLayer:
    """The layer with sums of mean 0 and deviation 1, and factors whose products have deviation 1.

    Factors vary around a mean that is not 0, so that neither takes the other's derivatives away.
    """
    sums = layer.sums(layer.features(x))
    mean, scale = weighted_moments(sums, weight)
    if not layer.products:
        return layer.renamed(mean, scale)
    scale[layer.is_factor] /= rng.uniform(*_FACTOR_SPREADS)
    layer = layer.renamed(mean - scale * layer.is_factor, scale)
    spread = weighted_moments(layer.forward(x), weight)[1]
    return layer.renamed(0.0, np.where(layer.is_factor, np.sqrt(spread[layer.owners]), 1.0))


def initial_network(
    X: Array,
    Y: Array,
    widths: list[Width] | tuple[Width, ...] | list[int],
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
    widths : sequence of (int or pair of int)
        Nodes per layer, ``[n_features, ..., n_outputs]``; a pair is so many sums and products.
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
        Hidden nodes have standard deviation 1 on the data, and sums have mean 0. The mean of an
        output that is a product is not taken off, so that the product can be the whole.

    Raises
    ------
    ValueError
        If ``widths`` does not fit the data or the order is unknown.
    """
    if widths[0] != X.shape[1] or nodes(widths[-1]) != Y.shape[1] or len(widths) < 2:
        raise ValueError(
            f"widths of a KAN must begin with n_features={X.shape[1]} and end with "
            f"n_outputs={Y.shape[1]}. Got {list(widths)!r}."
        )
    if order not in spline.ORDERS:
        raise ValueError(f"order of a KAN must be one of {spline.ORDERS}. Got {order!r}.")
    weight = np.ones(len(X)) if weight is None else weight
    counted = weight > 0.0
    X, Y, weight = X[counted], Y[counted], weight[counted]
    input_mean, input_scale = weighted_moments(X, weight)
    products = sums_and_products(widths[-1])[1]
    is_product = np.arange(Y.shape[1]) >= Y.shape[1] - products
    output_mean: Array = np.zeros(Y.shape[1])
    output_scale: Array = np.ones(Y.shape[1])
    varies = np.ptp(Y, axis=0) > 0.0
    if standardise_outputs:
        output_mean, output_scale = weighted_moments(Y, weight)
        output_mean = np.where(is_product & varies, 0.0, output_mean)
    x: Array = (X - input_mean) / input_scale
    layers = []
    for width in widths[1:-1]:
        layer = random_layer(x, width, grid=grid, order=order, base=base, rng=rng)
        layers.append(_standardised(layer, x, weight, rng))
        x = layers[-1].forward(x)
    last = random_layer(x, widths[-1], grid=grid, order=order, base=base, rng=rng)
    if products:
        last = _standardised(last, x, weight, rng)
    else:
        last.bias = -(weight @ last.forward(x)) / weight.sum()
    if standardise_outputs:
        # a target that never varies is its mean: its edges start, and stay, at nothing
        kept = varies[last.owners]
        last.coef *= kept[:, None, None]
        last.bias *= kept
    return KANNetwork([*layers, last], input_mean, input_scale, output_mean, output_scale)
