"""The layer of edges as a torch module, for minibatch training.

It holds the same arrays as `zoo_kan.network.EdgeLayer` and computes the same numbers: basis
functions, base function and the tangents beyond the grid are laid out as features, and one matrix
product applies all edges (`zoo_kan.kernels`).

Axes: ``n`` rows, ``i`` input nodes, ``o`` sums, ``b`` basis functions, ``c = b + 1``
features: the basis functions, then the base function.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from zoo_kan.kernels import SplineProduct, Work, plain_features, plain_product
from zoo_kan.network import EdgeLayer

__all__ = ["KANLayer", "KANModule"]


class KANLayer(nn.Module):
    """One layer of spline edges.

    Parameters
    ----------
    layer : EdgeLayer
        Arrays to start from; they are copied.
    dtype : torch.dtype
        ``torch.float64``, ``torch.float32`` or ``torch.bfloat16``, of the weights. The grids of a
        layer in bfloat16 are float32, and so is the evaluation of its basis functions.
    fused : bool
        False computes by ordinary differentiable operations only, as ``torch.func`` and
        forward-mode differentiation need it; it is slower. Under ``torch.compile`` these are
        compiled either way.

    Attributes
    ----------
    weight : Parameter of shape (o, c, i)
        Spline coefficients and weights of the base function in one block.
    coef : Tensor of shape (o, b, i)
        View of the coefficients.
    base_weight : Tensor of shape (o, 1, i)
        View of the weights of the base function.
    bias : Parameter of shape (o,)
    lower, upper : buffers of shape (i,)
        Ends of the grids.
    mask : buffer of shape (o, 1, i)
        0 where an edge is pruned.
    work : Work
        Memory for features, kept from one pass to the next; copies and pickles have their own.

    Notes
    -----
    State dicts that hold ``coef`` and ``base_weight`` instead of ``weight`` are loaded too.
    Derivatives of any order are available with ``create_graph=True``, except under
    ``torch.compile``, which differentiates what it has compiled only once.
    """

    lower: Tensor
    upper: Tensor
    mask: Tensor

    def __init__(
        self, layer: EdgeLayer, dtype: torch.dtype = torch.float64, *, fused: bool = True
    ) -> None:
        super().__init__()
        self.order, self.base, self.grid = layer.order, layer.base, layer.grid
        self.products, self.fused = layer.products, fused
        grid_dtype = torch.promote_types(dtype, torch.float32)

        def tensor(array: np.ndarray, dtype: torch.dtype = dtype) -> Tensor:
            return torch.tensor(array, dtype=dtype)

        features = np.concatenate([layer.coef, layer.base_weight[..., None]], axis=2)
        self.weight = nn.Parameter(tensor(features).transpose(1, 2).contiguous())
        self.bias = nn.Parameter(tensor(layer.bias))
        self.register_buffer("lower", tensor(layer.lower, grid_dtype))
        self.register_buffer("upper", tensor(layer.upper, grid_dtype))
        self.register_buffer("mask", tensor(layer.mask)[:, None, :])
        self._pruned = not layer.mask.all()
        self.work = Work()
        self.register_load_state_dict_pre_hook(_join_weights)
        self.register_load_state_dict_post_hook(_look_for_pruned)

    @classmethod
    def from_layer(
        cls, layer: EdgeLayer, dtype: torch.dtype = torch.float64, *, fused: bool = True
    ) -> "KANLayer":
        """Module with the arrays of ``layer``."""
        return cls(layer, dtype, fused=fused)

    @property
    def coef(self) -> Tensor:
        """Spline coefficients (o, b, i), a view of `weight`."""
        return self.weight[:, :-1]

    @property
    def base_weight(self) -> Tensor:
        """Weights of the base function (o, 1, i), a view of `weight`."""
        return self.weight[:, -1:]

    def to_layer(self) -> EdgeLayer:
        """Float64 arrays of the module, as the numpy layer holds them."""

        def array(tensor: Tensor) -> np.ndarray:
            return tensor.detach().cpu().double().numpy().copy()

        mask = array(self.mask)[:, 0] > 0.5
        return EdgeLayer(
            lower=array(self.lower),
            upper=array(self.upper),
            coef=np.ascontiguousarray(array(self.coef).transpose(0, 2, 1)) * mask[..., None],
            base_weight=array(self.base_weight)[:, 0] * mask,
            bias=array(self.bias),
            mask=mask,
            order=self.order,
            base=self.base,
            products=self.products,
        )

    def load_layer(self, layer: EdgeLayer) -> None:
        """Overwrite parameters, grids and mask in place.

        Parameters
        ----------
        layer : EdgeLayer
            Of the module's own widths, grid size and order.
        """
        other = KANLayer(layer, self.weight.dtype)
        with torch.no_grad():
            new = other.state_dict()
            for name, mine in self.state_dict().items():
                mine.copy_(new[name])
        self._pruned = other._pruned

    def weights(self) -> Tensor:
        """Weights that multiply `features`, pruned edges zero; (o, c, i)."""
        return self.weight * self.mask if self._pruned else self.weight

    def features(self, x: Tensor) -> Tensor:
        """What the weights multiply, for input nodes ``x`` (n, i); (n, c, i)."""
        return plain_features(
            x.to(self.lower.dtype),
            self.lower,
            self._per_interval(),
            grid=self.grid,
            order=self.order,
            base=self.base,
        )

    def _per_interval(self) -> Tensor:
        return self.grid / (self.upper - self.lower)

    def forward(self, x: Tensor) -> Tensor:
        """Sums (n, o) of input nodes ``x`` (n, i).

        They have the dtype of the weights, or that of ``torch.autocast`` inside of it.
        """
        fused = self.fused and not torch.compiler.is_compiling()
        weights: Tensor = self.weights()
        bias: Tensor = self.bias
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            weights, bias = weights.to(dtype), bias.to(dtype)
        arguments = (
            x,
            weights,
            bias,
            self.lower,
            self._per_interval(),
            self.grid,
            self.order,
            self.base,
        )
        if fused:
            return cast(Tensor, SplineProduct.apply(*arguments, self.work))
        return plain_product(*arguments)


def _join_weights(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, *context: object
) -> None:
    """Make one weight of the two that state dicts once held."""
    parts = [f"{prefix}coef", f"{prefix}base_weight"]
    if all(name in state_dict for name in parts):
        state_dict[f"{prefix}weight"] = torch.cat([state_dict.pop(name) for name in parts], dim=1)


def _look_for_pruned(module: nn.Module, incompatible: object) -> None:
    """Notice the mask that was loaded."""
    layer = cast(KANLayer, module)
    layer._pruned = not bool(layer.mask.all())


class KANModule(nn.Module):
    """Layers of edges one after another, standardised inputs to raw output nodes.

    Parameters
    ----------
    layers : sequence of EdgeLayer
    dtype : torch.dtype
    fused : bool
        As in `KANLayer`.
    """

    def __init__(
        self,
        layers: list[EdgeLayer],
        dtype: torch.dtype = torch.float64,
        *,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.n_layers = len(layers)
        for number, layer in enumerate(layers):
            self.add_module(f"layer{number}", KANLayer(layer, dtype, fused=fused))

    @property
    def layers(self) -> list[KANLayer]:
        """The layers, inputs first."""
        return [cast(KANLayer, getattr(self, f"layer{number}")) for number in range(self.n_layers)]

    def forward(self, x: Tensor) -> Tensor:
        """Output nodes (n, n_outputs) of standardised inputs ``x`` (n, n_features)."""
        for layer in self.layers:
            x = cast(Tensor, layer(x))
            if layer.products:
                sums, factors = x.tensor_split([x.shape[1] - 2 * layer.products], dim=1)
                x = torch.cat([sums, factors[:, ::2] * factors[:, 1::2]], dim=1)
        return x

    def to_layers(self) -> list[EdgeLayer]:
        """Arrays of all layers."""
        return [layer.to_layer() for layer in self.layers]

    def load_layers(self, layers: list[EdgeLayer]) -> None:
        """Overwrite parameters and grids in place, so that an optimiser goes on with them.

        Parameters
        ----------
        layers : list of EdgeLayer
            Of the module's own widths, grid sizes and orders.
        """
        for module, layer in zip(self.layers, layers, strict=True):
            module.load_layer(layer)
