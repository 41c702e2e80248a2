"""A Kolmogorov-Arnold network as plain numpy arrays (arXiv 2404.19756, Equations 2.5 to 2.7).

This is what a fitted estimator holds: it predicts, pickles, saves and exports without torch.
Every edge is ``phi(x) = base_weight * base(x) + sum_b coef_b B_b(u(x))`` with ``u`` the position on
its input node's own uniform grid. Departures from the paper: grids stay uniform (each node carries
an affine map to its grid), edges continue along their tangent outside the grid, layers have a bias
so that pruned edges can leave their mean behind, and standardisation of inputs and outputs is part
of the network.

Axes: ``n`` rows, ``i`` input nodes, ``o`` output nodes, ``b`` basis functions (grid + order).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline

__all__ = ["BASES", "EdgeLayer", "KANNetwork", "base_derivative", "base_value"]

Array = NDArray[np.floating]

BASES = ("silu", "linear", "none")
_LAYER_ARRAYS = ("lower", "upper", "coef", "base_weight", "bias", "mask")


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


def _per_edge(features: Array, weights: Array) -> Array:
    """Features (n, i, b) times weights (o, i, b), summed over ``b`` only: (n, o, i)."""
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
    coef : ndarray of shape (o, i, b)
        Spline coefficients.
    base_weight : ndarray of shape (o, i)
        Weight of the base function.
    bias : ndarray of shape (o,)
        Constant added to each output node.
    mask : bool ndarray of shape (o, i)
        False where an edge is pruned. Pruned edges have zero weights.
    order : int
        Degree of the splines.
    base : {"silu", "linear", "none"}
        The base function.
    """

    lower: Array
    upper: Array
    coef: Array
    base_weight: Array
    bias: Array
    mask: NDArray[np.bool_]
    order: int = 3
    base: str = "silu"

    @property
    def n_in(self) -> int:
        """Number of input nodes."""
        return self.coef.shape[1]

    @property
    def n_out(self) -> int:
        """Number of output nodes."""
        return self.coef.shape[0]

    @property
    def grid(self) -> int:
        """Number of grid intervals."""
        return self.coef.shape[2] - self.order

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

    @property
    def weights(self) -> Array:
        """Weights that multiply `features`, pruned edges zero; (o, i, b + 1)."""
        weights = np.concatenate([self.coef, self.base_weight[..., None]], axis=2)
        return weights * self.mask[..., None]

    @weights.setter
    def weights(self, value: Array) -> None:
        value = value * self.mask[..., None]
        self.coef, self.base_weight = value[..., :-1].copy(), value[..., -1].copy()

    def forward(self, x: Array) -> Array:
        """Output nodes (n, o) from input nodes ``x`` (n, i)."""
        n_features = self.n_in * (self.coef.shape[2] + 1)
        flat = self.features(x).reshape(len(x), n_features)
        return flat @ self.weights.reshape(self.n_out, n_features).T + self.bias

    def edges(self, x: Array) -> Array:
        """Value of every edge (n, o, i) at input nodes ``x`` (n, i)."""
        return _per_edge(self.features(x), self.weights)

    def slopes(self, x: Array) -> Array:
        """Derivative of every edge (n, o, i) at input nodes ``x`` (n, i)."""
        return _per_edge(self.feature_slopes(x), self.weights)


@dataclass
class KANNetwork:
    """Layers of edges between a standardisation of the inputs and one of the outputs.

    Attributes
    ----------
    layers : list of EdgeLayer
    input_mean, input_scale : ndarray of shape (n_features,)
        The first layer sees ``(X - input_mean) / input_scale``.
    output_mean, output_scale : ndarray of shape (n_outputs,)
        The network returns ``nodes * output_scale + output_mean``. A classifier's outputs are
        logits: mean 0, scale 1.
    """

    layers: list[EdgeLayer]
    input_mean: Array
    input_scale: Array
    output_mean: Array
    output_scale: Array

    @property
    def widths(self) -> list[int]:
        """Number of nodes per layer of nodes, inputs first: the paper's ``[n_0, ..., n_L]``."""
        return [self.layers[0].n_in, *(layer.n_out for layer in self.layers)]

    @property
    def n_parameters(self) -> int:
        """Number of weights on edges that are not pruned, and biases."""
        return sum(
            int(layer.mask.sum()) * (layer.coef.shape[2] + (layer.base != "none")) + layer.n_out
            for layer in self.layers
        )

    def standardise(self, X: Array) -> Array:
        """Inputs as the first layer sees them; (n, n_features)."""
        return (X - self.input_mean) / self.input_scale

    def activations(self, X: Array) -> list[Array]:
        """Nodes of every layer, standardised inputs first, outputs not yet rescaled."""
        nodes = [self.standardise(X)]
        for layer in self.layers:
            nodes.append(layer.forward(nodes[-1]))
        return nodes

    def forward(self, X: Array) -> Array:
        """Outputs (n, n_outputs) for raw inputs ``X`` (n, n_features)."""
        return self.activations(X)[-1] * self.output_scale + self.output_mean

    def gradient(self, X: Array) -> Array:
        """Derivative of every output by every raw input; (n, n_outputs, n_features)."""
        nodes = self.activations(X)
        total = self.layers[-1].slopes(nodes[-2]) * self.output_scale[:, None]
        for layer, x in zip(self.layers[-2::-1], nodes[-3::-1], strict=True):
            total = total @ layer.slopes(x)
        return total / self.input_scale

    def to_arrays(self) -> dict[str, NDArray]:
        """Arrays by name, ``layers.0.coef`` and so on; inverse of `from_arrays`."""
        arrays: dict[str, NDArray] = {
            name: getattr(self, name)
            for name in ("input_mean", "input_scale", "output_mean", "output_scale")
        }
        for number, layer in enumerate(self.layers):
            for name in _LAYER_ARRAYS:
                arrays[f"layers.{number}.{name}"] = getattr(layer, name)
        return arrays

    def to_config(self) -> dict[str, Any]:
        """What is not an array, fit for JSON."""
        return {
            "n_layers": len(self.layers),
            "order": self.layers[0].order,
            "base": self.layers[0].base,
        }

    @classmethod
    def from_arrays(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> "KANNetwork":
        """Rebuild a network, refusing arrays that do not fit together.

        Raises
        ------
        ValueError
            If an array is missing, has the wrong shape or dtype, is not finite, or if the
            configuration names an unknown order or base.
        """
        n_layers, order, base = config.get("n_layers"), config.get("order"), config.get("base")
        if not isinstance(n_layers, int) or not 1 <= n_layers <= 64:
            raise ValueError(
                f"n_layers of a KAN must be an integer from 1 to 64. Got {n_layers!r}."
            )
        if order not in spline.ORDERS:
            raise ValueError(f"order of a KAN must be one of {spline.ORDERS}. Got {order!r}.")
        if base not in BASES:
            raise ValueError(f"base of a KAN must be one of {BASES}. Got {base!r}.")

        def take(name: str, shape: tuple[int | None, ...], dtype: type = np.float64) -> NDArray:
            if name not in arrays:
                raise ValueError(f"Array {name!r} of a KAN is missing.")
            array = np.asarray(arrays[name])
            fits = array.ndim == len(shape) and all(
                want is None or want == have for want, have in zip(shape, array.shape, strict=True)
            )
            if not fits or array.dtype != dtype:
                raise ValueError(
                    f"Array {name!r} of a KAN must have shape {shape} and dtype "
                    f"{np.dtype(dtype)}. Got {array.shape} and {array.dtype}."
                )
            if dtype is np.float64 and not np.isfinite(array).all():
                raise ValueError(f"Array {name!r} of a KAN must be finite.")
            return array

        layers: list[EdgeLayer] = []
        width = len(take("input_mean", (None,)))
        n_inputs = width
        for number in range(n_layers):
            prefix = f"layers.{number}."
            coef = take(prefix + "coef", (None, width, None))
            n_out, _, n_basis = coef.shape
            if n_basis <= order:
                raise ValueError(
                    f"Array '{prefix}coef' of a KAN must hold more than order={order} "
                    f"coefficients per edge. Got {n_basis}."
                )
            layer = EdgeLayer(
                lower=take(prefix + "lower", (width,)),
                upper=take(prefix + "upper", (width,)),
                coef=coef,
                base_weight=take(prefix + "base_weight", (n_out, width)),
                bias=take(prefix + "bias", (n_out,)),
                mask=take(prefix + "mask", (n_out, width), np.bool_),
                order=order,
                base=base,
            )
            if not (layer.lower < layer.upper).all():
                raise ValueError(
                    f"Grid ends of layer {number} of a KAN must satisfy lower < upper."
                )
            layers.append(layer)
            width = n_out
        return cls(
            layers=layers,
            input_mean=take("input_mean", (n_inputs,)),
            input_scale=take("input_scale", (n_inputs,)),
            output_mean=take("output_mean", (width,)),
            output_scale=take("output_scale", (width,)),
        )
