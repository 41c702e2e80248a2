"""A wired formula as a network: ranges of its nodes, splines on its edges.

Every function is looked at for poles over the range of its argument before a spline is fitted to
it by least squares. Nodes are named by their mean and standard deviation on the rows, as in a
trained network.

Axes: ``n`` rows, ``i`` input nodes, ``s`` sums, ``b`` basis functions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.optimize import minimize

from zoo_kan import spline
from zoo_kan.edges import EdgeLayer
from zoo_kan.network import KANNetwork
from zoo_kan.solvers.start import weighted_moments
from zoo_kan.wiring import T, WiredNode, WiredSum, Wiring

__all__ = ["Compiler"]

Array = NDArray[np.floating]
Function = Callable[[Array], Array]

_MESH = 2001
_ZOOMS = 12
_POLE = 1e6  # growth of a function under zooming in that makes a pole


class Compiler:
    """Turns one formula into networks of any grid size.

    Parameters
    ----------
    expressions : list of sympy.Expr
        One per output.
    symbols : list of sympy.Symbol
        The inputs, in the order of the columns.
    rows : ndarray of shape (n, n_features)
        Rows whose range the network is made for.
    bounds : ndarray of shape (n_features, 2), optional
        Box in which to look further for the extremes of every node.

    Raises
    ------
    ValueError
        If a function is not finite and real over the range of its argument, or has several
        arguments that vary.
    """

    def __init__(
        self,
        expressions: Sequence[sympy.Expr],
        symbols: Sequence[sympy.Symbol],
        rows: Array,
        bounds: Array | None = None,
    ) -> None:
        self.rows, self.bounds = rows, bounds
        wiring = Wiring(symbols)
        outputs = [wiring.output(expression) for expression in expressions]
        if len(outputs) > 1:
            # products stand last in a layer: several outputs keep their order as sums
            outputs = [
                node if len(node.sums) == 1 else WiredNode(node.expression, (WiredSum({node: T}),))
                for node in outputs
            ]
        self.inputs = [wiring.inputs[symbol] for symbol in symbols]
        self.outputs = outputs
        self.layers = wiring.layers(outputs)
        self._functions: dict[sympy.Expr, Function] = {}
        self._values: dict[int, Array] = {}
        self._ranges: dict[int, tuple[float, float]] = {}
        for column, node in enumerate(self.inputs):
            self._values[id(node)] = rows[:, column]
            box = (rows[:, column].min(), rows[:, column].max())
            self._ranges[id(node)] = box if bounds is None else tuple(bounds[column])
        for rows_of_nodes in self.layers:
            for node, passed in rows_of_nodes:
                if not passed and id(node) not in self._values:
                    self._measure(node)

    def values(self, X: Array) -> Array:
        """The formula itself; (n, n_outputs)."""
        known = {id(node): X[:, column] for column, node in enumerate(self.inputs)}
        return np.stack([self._evaluate(node, known) for node in self.outputs], axis=1)

    def network(self, *, grid: int, order: int, base: str) -> KANNetwork:
        """The network with splines of so many intervals and such an order."""
        input_mean, input_scale = weighted_moments(self.rows, np.ones(len(self.rows)))
        names = {
            id(node): (mean, scale)
            for node, mean, scale in zip(self.inputs, input_mean, input_scale, strict=True)
        }
        below, layers = self.inputs, []
        for nodes in self.layers:
            layers.append(_LayerBuilder(self, below, names, grid, order, base).build(nodes))
            below = [node for node, _ in nodes]
        ends = [names[id(node)] for node in self.outputs]
        return KANNetwork(
            layers,
            input_mean,
            input_scale,
            np.array([mean for mean, _ in ends]),
            np.array([scale for _, scale in ends]),
        )

    def function(self, expression: sympy.Expr) -> Function:
        """A function of ``T`` as one of arrays."""
        if expression not in self._functions:
            try:
                compiled = sympy.lambdify(T, expression, modules=["scipy", "numpy"])
                _real(compiled, np.array([0.5]))
            except (NameError, TypeError, NotImplementedError, AttributeError) as error:
                raise ValueError(
                    f"from_symbolic cannot compute the function {expression}: {error}."
                ) from error
            self._functions[expression] = lambda t: _real(compiled, t)
        return self._functions[expression]

    def range_of(self, node: WiredNode) -> tuple[float, float]:
        """Least and largest value of a node."""
        return self._ranges[id(node)]

    def on_rows(self, part: WiredSum) -> Array:
        """Value (n,) of a sum on the rows."""
        return self._total(part, self._values)

    def _total(self, part: WiredSum, known: dict[int, Array]) -> Array:
        total = np.full(len(next(iter(known.values()))), float(part.constant))
        for node, function in part.terms.items():
            total = total + self.function(function)(self._evaluate(node, known))
        return total

    def _evaluate(self, node: WiredNode, known: dict[int, Array]) -> Array:
        if id(node) not in known:
            factors = [self._total(part, known) for part in node.sums]
            known[id(node)] = np.prod(factors, axis=0)
        return known[id(node)]

    def _measure(self, node: WiredNode) -> None:
        """Values and range of a node, once its functions are known to be finite."""
        for part in node.sums:
            for source, function in part.terms.items():
                self._check(function, source)
        values = self._evaluate(node, self._values)
        low, high = float(values.min()), float(values.max())
        if self.bounds is not None:
            low = min(low, self._extreme(node, values, 1.0))
            high = max(high, -self._extreme(node, values, -1.0))
        self._ranges[id(node)] = (low, high)

    def _extreme(self, node: WiredNode, values: Array, sign: float) -> float:
        """Least value of ``sign`` times a node that a descent in the box finds."""
        if self.bounds is None:
            return np.inf
        low, width = self.bounds[:, 0], self.bounds[:, 1] - self.bounds[:, 0]
        start = (self.rows[np.argmin(sign * values)] - low) / width
        size = float(np.abs(values).max()) or 1.0

        def objective(share: Array) -> float:
            X = (low + np.clip(share, 0.0, 1.0) * width)[None]
            known: dict[int, Array] = {
                id(each): X[:, column] for column, each in enumerate(self.inputs)
            }
            value = sign * float(self._evaluate(node, known)[0]) / size
            return value if np.isfinite(value) else 1e300

        found = minimize(objective, start, bounds=[(0.0, 1.0)] * len(low), options={"maxiter": 50})
        return size * float(found.fun)

    def _check(self, function: sympy.Expr, node: WiredNode) -> None:
        low, high = self.range_of(node)
        compute = self.function(function)
        mesh = np.linspace(low, high, _MESH)
        values = np.abs(compute(mesh))
        first = largest = float(values.max())
        for _ in range(_ZOOMS if np.isfinite(first) else 0):
            place = int(values.argmax())
            mesh = np.linspace(mesh[max(place - 1, 0)], mesh[min(place + 1, len(mesh) - 1)], 41)
            values = np.abs(compute(mesh))
            largest = max(largest, float(values.max()))
        if not largest <= _POLE * max(first, np.finfo(float).tiny):
            place = function.subs(T, node.expression)
            raise ValueError(
                f"Functions of from_symbolic must be finite and real over the range of their "
                f"argument. Got {place}, where {node.expression} goes from {low:.6g} to {high:.6g}."
            )


def _real(compiled: Any, t: Array) -> Array:
    """Values with NaN wherever they are not real; infinite ones become NaN too."""
    with np.errstate(all="ignore"):
        values = np.asarray(compiled(t))
        if np.iscomplexobj(values):
            values = np.where(np.abs(values.imag) > 1e-12 * np.abs(values), np.nan, values.real)
        values = np.broadcast_to(values.astype(np.float64), t.shape)
    return np.where(np.isfinite(values), values, np.nan)


class _LayerBuilder:
    """One layer: its grids, and its edges in the units of the nodes at both ends."""

    def __init__(
        self,
        compiler: Compiler,
        below: Sequence[WiredNode],
        names: dict[int, tuple[float, float]],
        grid: int,
        order: int,
        base: str,
    ) -> None:
        self.compiler, self.below, self.names = compiler, below, names
        self.grid, self.order, self.base = grid, order, base
        share = (1.0 - np.cos(np.pi * np.linspace(0.0, 1.0, 8 * (grid + order)))) / 2.0
        self.mesh = share
        self.fit = np.linalg.pinv(spline.design(share[:, None] * grid, grid, order)[:, 0])

    def build(self, nodes: Sequence[tuple[WiredNode, bool]]) -> EdgeLayer:
        """The layer; from here on its nodes go by new means and scales."""
        ranges = np.array([self._range(node) for node in self.below])
        means, scales = np.array([self.names[id(node)] for node in self.below]).T
        n_basis = self.grid + self.order
        rows: list[tuple[Array, float, NDArray[np.bool_]]] = []
        products = 0
        for node, passed in nodes:
            if passed:
                mean, scale = self.names[id(node)]
                rows.append(self._sum(WiredSum({node: T}), mean, scale))
                continue
            if len(node.sums) == 1:
                moments = weighted_moments(
                    self.compiler.on_rows(node.sums[0])[:, None], np.ones(len(self.compiler.rows))
                )
                mean, scale = float(moments[0][0]), float(moments[1][0])
                rows.append(self._sum(node.sums[0], mean, scale))
                self.names[id(node)] = (mean, scale)
                continue
            products += 1
            factors = np.stack([self.compiler.on_rows(part) for part in node.sums], axis=1)
            size = np.sqrt(np.mean(factors**2, axis=0))
            size = np.where(size > 0.0, size, 1.0)
            product = (factors / size).prod(axis=1)[:, None]
            spread = float(weighted_moments(product, np.ones(len(product)))[1][0])
            size = size * np.sqrt(spread)
            rows += [self._sum(part, 0.0, each) for part, each in zip(node.sums, size, strict=True)]
            self.names[id(node)] = (0.0, float(size.prod()))
        coef = np.array([row[0] for row in rows]).reshape(len(rows), len(self.below), n_basis)
        return EdgeLayer(
            lower=(ranges[:, 0] - means) / scales,
            upper=(ranges[:, 1] - means) / scales,
            coef=coef,
            base_weight=np.zeros(coef.shape[:2]),
            bias=np.array([row[1] for row in rows]),
            mask=np.array([row[2] for row in rows]),
            order=self.order,
            base=self.base,
            products=products,
        )

    def _range(self, node: WiredNode) -> tuple[float, float]:
        low, high = self.compiler.range_of(node)
        if high - low > 1e-12 * max(abs(low), abs(high)):
            return low, high
        _, scale = self.names[id(node)]
        return low - 0.5 * scale, high + 0.5 * scale

    def _sum(
        self, part: WiredSum, mean: float, scale: float
    ) -> tuple[Array, float, NDArray[np.bool_]]:
        """Coefficients (i, b), bias and mask (i,) of ``(part - mean) / scale``."""
        coef = np.zeros((len(self.below), self.grid + self.order))
        mask = np.zeros(len(self.below), dtype=bool)
        bias = (float(part.constant) - mean) / scale
        for column, node in enumerate(self.below):
            function = part.terms.get(node)
            if function is None:
                continue
            low, high = self._range(node)
            values = self.compiler.function(function)(low + self.mesh * (high - low)) / scale
            middle = float(values.mean())
            coef[column] = self.fit @ (values - middle)
            constant = float(coef[column].mean())
            coef[column] -= constant
            bias += middle + constant
            mask[column] = True
        return coef, bias, mask
