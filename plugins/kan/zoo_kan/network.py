"""A Kolmogorov-Arnold network as plain numpy arrays (arXiv 2404.19756, Equations 2.5 to 2.7).

This is what a fitted estimator holds: it predicts, pickles, saves and exports without torch.
Every edge is ``phi(x) = base_weight * base(x) + sum_b coef_b B_b(u(x))`` with ``u`` the position on
its input node's own uniform grid. Departures from the paper: grids stay uniform (each node carries
an affine map to its grid), edges continue along their tangent outside the grid, layers have a bias
so that pruned edges can leave their mean behind, and standardisation of inputs and outputs is part
of the network.

A node is a sum of edges or a product of two such sums; `zoo_kan.edges` says how.

Axes: ``n`` rows, ``i`` input nodes, ``s`` sums, ``o`` output nodes, ``k`` network outputs, ``f``
features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline
from zoo_kan.edges import BASES, EdgeLayer, base_curvature, base_derivative, base_value

__all__ = [
    "BASES",
    "EdgeLayer",
    "KANNetwork",
    "base_curvature",
    "base_derivative",
    "base_value",
]

Array = NDArray[np.floating]

_HESSIAN_ENTRIES = 4_000_000  # second derivatives of the nodes held at a time
_LAYER_ARRAYS = ("lower", "upper", "coef", "base_weight", "bias", "mask")


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
    def products(self) -> list[int]:
        """Number of product nodes per layer of nodes behind the inputs."""
        return [layer.products for layer in self.layers]

    @property
    def hidden(self) -> tuple[int | tuple[int, int], ...]:
        """Hidden layers as the estimators' ``hidden`` names them: sums, or sums and products."""
        return tuple(
            (layer.n_out - layer.products, layer.products) if layer.products else layer.n_out
            for layer in self.layers[:-1]
        )

    @property
    def n_parameters(self) -> int:
        """Number of weights on edges that are not pruned, and biases."""
        return sum(
            int(layer.mask.sum()) * (layer.coef.shape[2] + (layer.base != "none")) + layer.n_sums
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
        passed: list[tuple[Array, Array]] = []
        x = self.standardise(X)
        for layer in self.layers:
            sums = layer.sums(layer.features(x))
            passed.append((x, sums))
            x = layer.combine(sums)
        n_outputs = len(self.output_scale)
        back = np.broadcast_to(np.diag(self.output_scale), (len(X), n_outputs, n_outputs))
        for layer, (x, sums) in zip(self.layers[::-1], passed[::-1], strict=True):
            back = layer.pull(back, sums) @ layer.slopes(x)
        return back / self.input_scale

    def hessian(self, X: Array) -> Array:
        """Second derivatives of every output by the raw inputs, exact where splines have them.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_outputs, n_features, n_features)
            Symmetric in the last two axes. The spline part of edges of order 1 has none: it
            counts as 0.
        """
        n_features = self.layers[0].n_in
        widest = max(max(layer.n_in, layer.n_sums) for layer in self.layers)
        size = max(1, _HESSIAN_ENTRIES // (widest * n_features**2))
        parts = [self._hessian(X[start : start + size]) for start in range(0, len(X), size)]
        return (
            np.concatenate(parts) if parts else np.empty((0, self.widths[-1], *(n_features,) * 2))
        )

    def _hessian(self, X: Array) -> Array:
        n, f = X.shape
        x = self.standardise(X)
        first = np.broadcast_to(np.diag(1.0 / self.input_scale), (n, f, f))
        second: Array = np.zeros((n, f, f, f))
        for layer in self.layers:
            slopes = layer.slopes(x)  # (n, s, i)
            squares = (first[..., :, None] * first[..., None, :]).reshape(n, layer.n_in, f * f)
            second = slopes @ second.reshape(n, layer.n_in, f * f) + layer.curvatures(x) @ squares
            second = second.reshape(n, layer.n_sums, f, f)
            first = slopes @ first
            sums = layer.sums(layer.features(x))
            x = layer.combine(sums)
            if layer.products:
                plain = layer.n_sums - 2 * layer.products
                a, b = sums[:, plain::2, None], sums[:, plain + 1 :: 2, None]
                da, db = first[:, plain::2], first[:, plain + 1 :: 2]
                cross = da[..., :, None] * db[..., None, :]
                bent = a[..., None] * second[:, plain + 1 :: 2] + b[..., None] * second[:, plain::2]
                bent = bent + cross + cross.swapaxes(2, 3)
                first = np.concatenate([first[:, :plain], a * db + b * da], axis=1)
                second = np.concatenate([second[:, :plain], bent], axis=1)
        return second * self.output_scale[:, None, None]

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
        config: dict[str, Any] = {
            "n_layers": len(self.layers),
            "order": self.layers[0].order,
            "base": self.layers[0].base,
        }
        if any(self.products):
            config["products"] = self.products
        return config

    @classmethod
    def from_arrays(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> "KANNetwork":
        """Rebuild a network, refusing arrays that do not fit together.

        Raises
        ------
        ValueError
            If an array is missing, has the wrong shape or dtype, is not finite, or if the
            configuration names an unknown order or base, or more products than the sums allow.
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

        products = config.get("products", [0] * n_layers)
        if (
            not isinstance(products, list)
            or len(products) != n_layers
            or not all(type(count) is int and count >= 0 for count in products)
        ):
            raise ValueError(
                f"products of a KAN must be a list of {n_layers} ints of at least 0. "
                f"Got {products!r}."
            )

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
            n_sums, _, n_basis = coef.shape
            if n_basis <= order:
                raise ValueError(
                    f"Array '{prefix}coef' of a KAN must hold more than order={order} "
                    f"coefficients per edge. Got {n_basis}."
                )
            if 2 * products[number] > n_sums:
                raise ValueError(
                    f"Layer {number} of a KAN must have at least two sums per product. "
                    f"Got {n_sums} sums and {products[number]} products."
                )
            layer = EdgeLayer(
                lower=take(prefix + "lower", (width,)),
                upper=take(prefix + "upper", (width,)),
                coef=coef,
                base_weight=take(prefix + "base_weight", (n_sums, width)),
                bias=take(prefix + "bias", (n_sums,)),
                mask=take(prefix + "mask", (n_sums, width), np.bool_),
                order=order,
                base=base,
                products=products[number],
            )
            if not (layer.lower < layer.upper).all():
                raise ValueError(
                    f"Grid ends of layer {number} of a KAN must satisfy lower < upper."
                )
            layers.append(layer)
            width = layer.n_out
        return cls(
            layers=layers,
            input_mean=take("input_mean", (n_inputs,)),
            input_scale=take("input_scale", (n_inputs,)),
            output_mean=take("output_mean", (width,)),
            output_scale=take("output_scale", (width,)),
        )
