"""One layer of edges as plain numpy arrays (arXiv 2404.19756, Equations 2.5 to 2.7 and 2.10).

A layer's edges add up to sums. Usually every sum is an output node; the last ``2 * products`` sums
are multiplied two by two instead and make the last ``products`` output nodes (the multiplication
layers of KAN 2.0, arXiv 2408.10205, Section 3.1, with two factors each). A quotient is a product
one of whose factors has learned the reciprocal.

Axes: ``n`` rows, ``i`` input nodes, ``s`` sums, ``o`` output nodes (``s - products``), ``b`` basis
functions (grid + order), ``k`` network outputs.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline

__all__ = ["BASES", "EdgeLayer", "base_curvature", "base_derivative", "base_value"]

Array = NDArray[np.floating]

BASES = ("silu", "linear", "none")


def base_value(x: Array, base: str) -> Array:
    """Base function beside the spline, Equation 2.10 of the paper for ``"silu"``."""
    if base == "silu":
        return x / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))
    return x if base == "linear" else np.zeros_like(x)


def base_derivative(x: Array, base: str) -> Array:
    """Derivative of `base_value`."""
    if base == "silu":
        sigmoid = 1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))
        return sigmoid * (1.0 + x * (1.0 - sigmoid))
    return np.ones_like(x) if base == "linear" else np.zeros_like(x)


def base_curvature(x: Array, base: str) -> Array:
    """Second derivative of `base_value`."""
    if base != "silu":
        return np.zeros_like(x)
    sigmoid = 1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))
    return sigmoid * (1.0 - sigmoid) * (2.0 + x * (1.0 - 2.0 * sigmoid))


def _per_edge(features: Array, weights: Array) -> Array:
    """Features (n, i, b) times weights (s, i, b), summed over ``b`` only: (n, s, i)."""
    # one matrix product per input node: einsum would not use BLAS here
    products = features.transpose(1, 0, 2) @ weights.transpose(1, 2, 0)
    return products.transpose(1, 2, 0)


@dataclass
class EdgeLayer:
    """One layer of edges.

    Attributes
    ----------
    lower, upper : ndarray of shape (i,)
        Ends of each input node's grid, ``lower < upper``.
    coef : ndarray of shape (s, i, b)
        Spline coefficients.
    base_weight : ndarray of shape (s, i)
        Weight of the base function.
    bias : ndarray of shape (s,)
        Constant added to each sum.
    mask : bool ndarray of shape (s, i)
        False where an edge is pruned. Pruned edges have zero weights.
    order : int
        Degree of the splines.
    base : {"silu", "linear", "none"}
        The base function.
    products : int
        Number of output nodes that are products: the last of them, of the last sums, two each.
    """

    lower: Array
    upper: Array
    coef: Array
    base_weight: Array
    bias: Array
    mask: NDArray[np.bool_]
    order: int = 3
    base: str = "silu"
    products: int = 0

    @property
    def n_in(self) -> int:
        """Number of input nodes."""
        return self.coef.shape[1]

    @property
    def n_sums(self) -> int:
        """Number of sums that edges lead into."""
        return self.coef.shape[0]

    @property
    def n_out(self) -> int:
        """Number of output nodes: sums, and products of two sums."""
        return self.n_sums - self.products

    @property
    def owners(self) -> NDArray[np.intp]:
        """Output node (s,) that each sum belongs to."""
        plain = self.n_sums - 2 * self.products
        factors = plain + np.repeat(np.arange(self.products), 2)
        return np.concatenate([np.arange(plain), factors])

    @property
    def grid(self) -> int:
        """Number of grid intervals."""
        return self.coef.shape[2] - self.order

    @property
    def is_factor(self) -> NDArray[np.bool_]:
        """Whether each sum (s,) is a factor of a product."""
        return np.arange(self.n_sums) >= self.n_sums - 2 * self.products

    def renamed(self, mean: Array | float, scale: Array) -> "EdgeLayer":
        """The layer with every sum ``t`` turned into ``(t - mean) / scale``, both (s,)."""
        return replace(
            self,
            coef=self.coef / scale[:, None, None],
            base_weight=self.base_weight / scale[:, None],
            bias=(self.bias - mean) / scale,
        )

    def position(self, x: Array) -> Array:
        """Grid position of ``x`` (n, i): 0 at the lower end, `grid` at the upper."""
        return (x - self.lower) * (self.grid / (self.upper - self.lower))

    def features(self, x: Array) -> Array:
        """What the weights multiply: basis functions, then the base function; (n, i, b + 1)."""
        splines = spline.design(self.position(x), self.grid, self.order)
        return np.concatenate([splines, base_value(x, self.base)[..., None]], axis=2)

    def feature_slopes(self, x: Array) -> Array:
        """Derivative of `features` with respect to ``x``; (n, i, b + 1)."""
        per_interval = self.grid / (self.upper - self.lower)
        slopes = spline.design_derivative(self.position(x), self.grid, self.order)
        return np.concatenate(
            [slopes * per_interval[:, None], base_derivative(x, self.base)[..., None]], axis=2
        )

    def feature_curvatures(self, x: Array) -> Array:
        """Second derivative of `features` with respect to ``x``; (n, i, b + 1)."""
        per_interval = self.grid / (self.upper - self.lower)
        curvatures = spline.design_curvature(self.position(x), self.grid, self.order)
        return np.concatenate(
            [curvatures * per_interval[:, None] ** 2, base_curvature(x, self.base)[..., None]],
            axis=2,
        )

    @property
    def weights(self) -> Array:
        """Weights that multiply `features`, pruned edges zero; (s, i, b + 1)."""
        weights = np.concatenate([self.coef, self.base_weight[..., None]], axis=2)
        return weights * self.mask[..., None]

    @weights.setter
    def weights(self, value: Array) -> None:
        value = value * self.mask[..., None]
        self.coef, self.base_weight = value[..., :-1].copy(), value[..., -1].copy()

    def sums(self, features: Array) -> Array:
        """Sums (n, s) of all edges, from the layer's `features` (n, i, b + 1)."""
        width = features.shape[1] * features.shape[2]
        flat = features.reshape(len(features), width)
        return flat @ self.weights.reshape(self.n_sums, width).T + self.bias

    def combine(self, sums: Array) -> Array:
        """Output nodes (n, o) from sums (n, s)."""
        if not self.products:
            return sums
        plain = self.n_sums - 2 * self.products
        factors = sums[:, plain:]
        return np.concatenate([sums[:, :plain], factors[:, ::2] * factors[:, 1::2]], axis=1)

    def pull(self, back: Array, sums: Array) -> Array:
        """Derivatives (n, k, s) by the sums, from those (n, k, o) by the output nodes."""
        if not self.products:
            return back
        plain = self.n_sums - 2 * self.products
        pulled = back[:, :, self.owners]
        others = sums[:, plain:].reshape(len(sums), self.products, 2)[:, :, ::-1]
        pulled[:, :, plain:] *= others.reshape(len(sums), 1, 2 * self.products)
        return pulled

    def forward(self, x: Array) -> Array:
        """Output nodes (n, o) from input nodes ``x`` (n, i)."""
        return self.combine(self.sums(self.features(x)))

    def edges(self, x: Array) -> Array:
        """Value of every edge (n, s, i) at input nodes ``x`` (n, i)."""
        return _per_edge(self.features(x), self.weights)

    def slopes(self, x: Array) -> Array:
        """Derivative of every edge (n, s, i) at input nodes ``x`` (n, i)."""
        return _per_edge(self.feature_slopes(x), self.weights)

    def curvatures(self, x: Array) -> Array:
        """Second derivative of every edge (n, s, i) at input nodes ``x`` (n, i)."""
        return _per_edge(self.feature_curvatures(x), self.weights)
