"""Where the picture of a network puts its nodes and panels.

The picture is the one of the KAN paper (arXiv 2404.19756, Figure 0.1): inputs at the bottom,
outputs on top, one small panel per edge with the function it learned. The unit of length is the
width of a panel. Panels of one layer stand in one row, grouped by the node they come from, so none
overlap. `zoo_kan.plot` and `zoo_kan.svg` draw it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import KANNetwork

__all__ = ["Layout", "Node", "Panel", "edge_importance", "lay_out"]

Array = NDArray[np.floating]

_GAP = 0.16  # between the panels of one node
_GROUP_GAP = 0.34  # added between the panels of two nodes
_FAN = (0.7, 0.03)  # node to its panels: at least, and as a share of the width
_CROSSING = (0.7, 0.09)  # panels to the next row of nodes, where lines cross: the same
_POINTS = 61
_GRID_ROWS = 200


@dataclass(frozen=True)
class Node:
    """One node.

    Attributes
    ----------
    layer, index : int
        Which row of nodes, inputs first, and which node of it.
    x, y : float
        Its centre.
    name : str
        Name of the input or output, empty for hidden nodes.
    low, high : float
        Range of an input in the user's units; 0 for other nodes.
    """

    layer: int
    index: int
    x: float
    y: float
    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """One edge and its function.

    Attributes
    ----------
    layer, source, target : int
        It leads from node ``source`` of row ``layer`` to node ``target`` of the next row.
    x, y : float
        Centre of the panel, which is one unit wide and high.
    inputs, values : ndarray of shape (n_points,)
        The function over the range of its data, as the network sees it.
    importance : float
        Attribution, relative to the strongest edge of the layer: 0 to 1.
    """

    layer: int
    source: int
    target: int
    x: float
    y: float
    inputs: Array
    values: Array
    importance: float

    def unit_curve(self) -> tuple[Array, Array]:
        """The function with both axes stretched to 0 to 1; a constant runs through the middle."""
        x, y = self.inputs - self.inputs[0], self.values - self.values.min()
        height = y.max()
        flat = height <= 1e-9 * max(1.0, float(np.abs(self.values).max()))
        return x / x[-1], np.full_like(y, 0.5) if flat else y / height


@dataclass(frozen=True)
class Layout:
    """Everything a drawing needs, in units of one panel.

    Attributes
    ----------
    nodes : dict of (layer, index) to Node
    panels : list of Panel
    width, height : float
        Extent; the nodes of the inputs stand at ``y = 0``.
    notes : list of str
        What is not drawn, one sentence each.
    """

    nodes: dict[tuple[int, int], Node]
    panels: list[Panel]
    width: float
    height: float
    notes: list[str]


def edge_importance(network: KANNetwork, X: Array | None = None) -> list[Array]:
    """How much of the outputs' spread each edge carries, the attribution score of arXiv 2408.10205.

    An edge's share of its node is its standard deviation over the rows relative to the sum of
    those of all edges that enter the node; a node hands its own score down in these shares. Scores
    of one layer sum to at most one. The standard deviations alone would depend on the arbitrary
    scale of each hidden node.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n_samples, n_features), default=None
        Rows to measure on. By default 200 rows that cover the grid of each input evenly.

    Returns
    -------
    list of ndarray of shape (n_out, n_in)
        One per layer; pruned edges are 0.
    """
    nodes = network.activations(_rows(network, X))
    spreads = [
        layer.edges(values).std(axis=0)
        for layer, values in zip(network.layers, nodes, strict=False)
    ]
    spread_out = nodes[-1].std(axis=0) * np.abs(network.output_scale)
    score = spread_out / max(spread_out.sum(), np.finfo(float).tiny)
    importance: list[Array] = []
    for spread in reversed(spreads):
        share = spread / np.maximum(spread.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        importance.insert(0, share * score[:, None])
        score = importance[0].sum(axis=0)
    return importance


def lay_out(
    network: KANNetwork,
    *,
    feature_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    X: Array | None = None,
    max_edges: int = 30,
) -> Layout:
    """Place the nodes and panels of a network.

    Parameters
    ----------
    network : KANNetwork
    feature_names : sequence of str of length n_features, default=None
        ``x0, x1, ...`` by default.
    output_names : sequence of str of length n_outputs, default=None
        ``y``, or ``y0, y1, ...``, by default.
    X : ndarray of shape (n_samples, n_features), default=None
        Rows that give the range of each panel and the importance of each edge. The grids by
        default.
    max_edges : int, default=30
        At most so many edges of a layer are drawn, the most important ones.

    Returns
    -------
    Layout

    Raises
    ------
    ValueError
        If the names or the columns of ``X`` do not fit the network, or ``max_edges`` is below 1.
    """
    widths = network.widths
    inputs = _names(feature_names, "feature_names", widths[0], "x")
    outputs = _names(output_names, "output_names", widths[-1], "y")
    if max_edges < 1:
        raise ValueError(f"max_edges of a network picture must be at least 1. Got {max_edges!r}.")
    rows = _rows(network, X)
    importance = edge_importance(network, rows)
    drawn, notes = _drawn_edges(network, importance, max_edges)
    notes += _unused_inputs(inputs, drawn[0])

    slots = [_slots(mask) for mask in drawn]
    width = max(float(centres.max(initial=0.5)) + 0.5 for centres, _ in slots)
    fan, crossing = (max(least, share * width) for least, share in (_FAN, _CROSSING))
    row = fan + 1 + crossing
    values = network.activations(rows)
    nodes: dict[tuple[int, int], Node] = {}
    panels: list[Panel] = []
    for number, (layer, mask) in enumerate(zip(network.layers, drawn, strict=True)):
        low, high = _range(values[number], layer.lower, layer.upper, given=X is not None)
        line = np.linspace(low, high, _POINTS)
        curves = layer.edges(line)
        strongest = max(importance[number].max(initial=0.0), np.finfo(float).tiny)
        centres, edges = slots[number]
        stretch = width / (centres.max(initial=0.5) + 0.5)
        y = row * number
        for x, (source, target) in zip(centres * stretch, edges, strict=True):
            panels.append(
                Panel(
                    layer=number,
                    source=source,
                    target=target,
                    x=float(x),
                    y=y + fan + 0.5,
                    inputs=line[:, source],
                    values=curves[:, target, source],
                    importance=float(importance[number][target, source] / strongest),
                )
            )
        for source in np.flatnonzero(mask.any(axis=0)).tolist():
            own = [panel.x for panel in panels if (panel.layer, panel.source) == (number, source)]
            ends = np.zeros(2)
            if number == 0:
                ends = np.array([low[source], high[source]])
                ends = ends * network.input_scale[source] + network.input_mean[source]
            nodes[number, source] = Node(
                number,
                source,
                float(np.mean([own[0], own[-1]])),
                y,
                inputs[source] if number == 0 else "",
                float(ends[0]),
                float(ends[1]),
            )
    top = len(network.layers)
    for target, name in enumerate(outputs):
        x = width * (target + 0.5) / len(outputs)
        nodes[top, target] = Node(top, target, x, row * top, name, 0.0, 0.0)
    return Layout(nodes, panels, width, row * top, notes)


def _rows(network: KANNetwork, X: Array | None) -> Array:
    """Raw rows to evaluate on: the given ones, or an even covering of the input grids."""
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
            f"X of a network picture must have shape (n_samples, {n_features}) and at least one "
            f"row. Got {rows.shape}."
        )
    return rows


def _names(names: Sequence[str] | None, what: str, count: int, letter: str) -> list[str]:
    if names is None:
        return [letter] if letter == "y" and count == 1 else [f"{letter}{i}" for i in range(count)]
    chosen = [str(name) for name in names]
    if len(chosen) != count:
        raise ValueError(f"{what} of a network picture must hold {count} names. Got {len(chosen)}.")
    return chosen


def _drawn_edges(
    network: KANNetwork, importance: list[Array], max_edges: int
) -> tuple[list[NDArray[np.bool_]], list[str]]:
    """Edges to draw: not pruned, on a path from an input to an output, among the strongest."""
    drawn: list[NDArray[np.bool_]] = []
    notes: list[str] = []
    for number, (layer, scores) in enumerate(zip(network.layers, importance, strict=True)):
        mask = layer.mask.copy()
        weaker = int(mask.sum()) - max_edges
        if weaker > 0:
            weakest_first = np.argsort(np.where(mask, scores, np.inf), axis=None, kind="stable")
            mask.flat[weakest_first[:weaker]] = False
            left_out = scores[layer.mask & ~mask].sum() / max(scores.sum(), np.finfo(float).tiny)
            notes.append(
                f"{int(layer.mask.sum() - mask.sum())} weaker edges of layer {number + 1} "
                f"({left_out:.0%} of its importance) are not drawn."
            )
        drawn.append(mask)
    for number in range(1, len(drawn)):
        drawn[number] &= _has_edge(drawn[number - 1], axis=1)[None, :]
    for number in range(len(drawn) - 2, -1, -1):
        drawn[number] &= _has_edge(drawn[number + 1], axis=0)[:, None]
    return drawn, notes


def _has_edge(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    return np.asarray(mask.any(axis=axis))


def _unused_inputs(names: list[str], mask: NDArray[np.bool_], shown: int = 6) -> list[str]:
    unused = [name for name, used in zip(names, _has_edge(mask, axis=0), strict=True) if not used]
    if not unused:
        return []
    more = f" and {len(unused) - shown} more" if len(unused) > shown else ""
    return [f"Inputs without a drawn edge: {', '.join(unused[:shown])}{more}."]


def _slots(mask: NDArray[np.bool_]) -> tuple[Array, list[tuple[int, int]]]:
    """Centres (n_panels,) of a row of panels, and the edge (source, target) of each."""
    centres, edges, x = [], [], 0.5
    for source in range(mask.shape[1]):
        targets = np.flatnonzero(mask[:, source]).tolist()
        for target in targets:
            centres.append(x)
            edges.append((source, target))
            x += 1 + _GAP
        x += _GROUP_GAP if targets else 0.0
    return np.array(centres), edges


def _range(values: Array, lower: Array, upper: Array, *, given: bool) -> tuple[Array, Array]:
    """Ends (i,) of each node's panel: of the data where given, of the grid otherwise."""
    if not given:
        return lower, upper
    low, high = values.min(axis=0), values.max(axis=0)
    constant = low == high
    return np.where(constant, lower, low), np.where(constant, upper, high)
