"""How much of the outputs' spread runs through each input, node and edge (arXiv 2408.10205, §4.1).

Scores are handed back from the outputs: with ``E`` the standard deviation of an edge and ``N`` that
of the sum it leads into, an edge has ``E / N`` times the score of the sum, and a node the scores
of all edges that leave it. Unlike the norm of an edge by itself, which depends on how the next
layer scales it, this says what the edge does in the end.

One thing is added to the paper's rule, which hands a product's score to both factors whole: a
factor gets as much of it as the product would lose if the factor were held at its mean.

Axes: ``n`` rows, ``i`` input nodes, ``s`` sums, ``o`` output nodes of a layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from zoo_kan.edges import EdgeLayer
from zoo_kan.network import KANNetwork

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Attribution", "attribute", "edge_spreads", "factor_effects", "sample_rows"]

Array = NDArray[np.floating]

_GRID_ROWS = 200
_CANCELLED = 1e-9  # sums below this share of their edges count as this share of them


def _deviation(values: Array, probability: Array) -> Array:
    """Standard deviation over the first axis."""
    mean = np.tensordot(probability, values, axes=1)
    return np.sqrt(np.tensordot(probability, (values - mean) ** 2, axes=1))


def factor_effects(layer: EdgeLayer, sums: Array, probability: Array) -> Array:
    """What each sum does to its node: 1 for a node that is a sum.

    Parameters
    ----------
    layer : EdgeLayer
    sums : ndarray of shape (n, s)
    probability : ndarray of shape (n,)
        Weights of the rows, which sum to 1.

    Returns
    -------
    ndarray of shape (s,)
        For a factor ``a`` of the product ``a * b``: the standard deviation of ``(a - mean(a)) * b``
        relative to that of the product.
    """
    effects: Array = np.ones(layer.n_sums)
    if not layer.products:
        return effects
    plain = layer.n_sums - 2 * layer.products
    factors = sums[:, plain:].reshape(len(sums), layer.products, 2)
    moving = (factors - np.tensordot(probability, factors, axes=1)) * factors[:, :, ::-1]
    whole = _deviation(factors.prod(axis=2), probability)[:, None]
    parts = _deviation(moving, probability)
    whole = np.maximum(whole, _CANCELLED * parts.sum(axis=1, keepdims=True))
    effects[plain:] = np.divide(parts, whole, out=np.zeros_like(parts), where=whole > 0.0).ravel()
    return effects


def edge_spreads(layer: EdgeLayer, x: Array, probability: Array) -> tuple[Array, Array]:
    """Standard deviation of every edge, and the sums.

    Parameters
    ----------
    layer : EdgeLayer
    x : ndarray of shape (n, i)
        Input nodes.
    probability : ndarray of shape (n,)

    Returns
    -------
    spread : ndarray of shape (s, i)
        Pruned edges have 0.
    sums : ndarray of shape (n, s)
    """
    edges = layer.edges(x)
    return _deviation(edges, probability) * layer.mask, edges.sum(axis=2) + layer.bias


def sample_rows(network: KANNetwork, X: Array | None, *, what: str) -> Array:
    """Raw rows to evaluate on: the given ones, or 200 that cover the input grids evenly.

    Raises
    ------
    ValueError
        If ``X`` of ``what`` does not have the network's columns, or no row.
    """
    n_features = network.widths[0]
    if X is None:
        first = network.layers[0]
        share = np.random.default_rng(0).permuted(
            np.tile(np.linspace(0.0, 1.0, _GRID_ROWS), (n_features, 1)), axis=1
        )
        nodes = first.lower + share.T * (first.upper - first.lower)
        return nodes * network.input_scale + network.input_mean
    rows = np.asarray(X, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != n_features or len(rows) == 0:
        raise ValueError(
            f"X of {what} must have shape (n_samples, {n_features}) and at least one row. "
            f"Got {rows.shape}."
        )
    return rows


@dataclass(frozen=True)
class Attribution:
    """Scores of a network's inputs, nodes and edges.

    Attributes
    ----------
    feature_names : list of str
    nodes : list of ndarray of shape (o,)
        Per layer of nodes, the inputs first and the outputs last. The outputs' scores sum to 1.
    edges : list of ndarray of shape (s, i)
        Per layer; pruned edges have 0.
    """

    feature_names: list[str]
    nodes: list[Array]
    edges: list[Array]

    @property
    def inputs(self) -> Array:
        """Scores (n_features,) of the inputs."""
        return self.nodes[0]

    @property
    def importances(self) -> Array:
        """The inputs' scores divided by their sum; all 0 if the network is constant."""
        total = float(self.inputs.sum())
        return self.inputs / total if total > 0.0 else np.zeros_like(self.inputs)

    def __str__(self) -> str:
        order = np.argsort(-self.importances, kind="stable")
        width = max(map(len, self.feature_names))
        return "\n".join(
            f"{self.feature_names[j]:<{width}}  {self.importances[j]:7.2%}" for j in order
        )

    def plot(self, ax: "Axes | None" = None, *, most: int = 20) -> "Figure":
        """Draw the importances of the inputs as bars, the largest on top.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default a figure of its own.
        most : int, default=20
            At most so many inputs are drawn.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        from zoo_kan.style import BLUE, INK, new_figure, style_axes

        order = np.argsort(-self.importances, kind="stable")[:most][::-1]
        if ax is None:
            figure = new_figure(5.0, 0.9 + 0.28 * len(order))
            figure.set_layout_engine("constrained")
            ax = figure.add_subplot()
        places = np.arange(len(order))
        ax.barh(places, self.importances[order], color=BLUE, height=0.62)
        for place, j in zip(places, order, strict=True):
            ax.annotate(
                f"{self.importances[j]:.1%}",
                (float(self.importances[j]), float(place)),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=INK,
            )
        style_axes(ax)
        ax.grid(visible=False, axis="y")
        names = [self.feature_names[j] for j in order]
        ax.set_yticks(places, names, parse_math=False)
        ax.set_xlim(0.0, 1.15 * max(float(self.importances.max()), 1e-9))
        ax.set_xlabel("share of the attribution")
        return cast("Figure", ax.get_figure(root=True))


def attribute(
    network: KANNetwork,
    X: Array | None = None,
    *,
    weight: Array | None = None,
    output: int | None = None,
    feature_names: Sequence[str] | None = None,
) -> Attribution:
    """Hand the spread of the outputs back to inputs, nodes and edges.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n_samples, n_features), optional
        Rows to measure on. By default 200 rows that cover the grid of each input evenly.
    weight : ndarray of shape (n_samples,), optional
    output : int, optional
        The output to explain. By default all of them, each by its part of the outputs' spread.
    feature_names : sequence of str of length n_features, optional

    Returns
    -------
    Attribution

    Raises
    ------
    ValueError
        If rows, names or the output do not fit the network.
    """
    rows = sample_rows(network, X, what="an attribution")
    n_features, n_outputs = network.widths[0], network.widths[-1]
    names = [f"x{j}" for j in range(n_features)] if feature_names is None else list(feature_names)
    if len(names) != n_features:
        raise ValueError(
            f"feature_names of an attribution must hold {n_features} names. Got {len(names)}."
        )
    if output is not None and not 0 <= output < n_outputs:
        raise ValueError(
            f"output of an attribution must be an int from 0 to {n_outputs - 1}. Got {output!r}."
        )
    probability = np.full(len(rows), 1.0 / len(rows)) if weight is None else weight / weight.sum()
    values = network.activations(rows)
    if output is None:
        score = _deviation(values[-1], probability) * np.abs(network.output_scale)
        score = score / max(float(score.sum()), np.finfo(float).tiny)
    else:
        score = np.eye(n_outputs)[output]
    nodes: list[Array] = [score]
    edges: list[Array] = []
    for layer, x in zip(network.layers[::-1], values[-2::-1], strict=True):
        spread, sums = edge_spreads(layer, x, probability)
        per_sum = nodes[0][layer.owners] * factor_effects(layer, sums, probability)
        whole = np.maximum(_deviation(sums, probability), _CANCELLED * spread.sum(axis=1))
        share = np.divide(
            spread, whole[:, None], out=np.zeros_like(spread), where=whole[:, None] > 0.0
        )
        edges.insert(0, share * per_sum[:, None])
        nodes.insert(0, edges[0].sum(axis=0))
    return Attribution([str(name) for name in names], nodes, edges)
