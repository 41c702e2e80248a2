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

from zoo_kan.attribution import attribute, sample_rows
from zoo_kan.network import KANNetwork

__all__ = ["Joint", "Layout", "Node", "Panel", "edge_importance", "lay_out"]

Array = NDArray[np.floating]

_GAP = 0.16  # between the panels of one node
_GROUP_GAP = 0.34  # added between the panels of two nodes
_FAN = (0.7, 0.03)  # node to its panels: at least, and as a share of the width
_CROSSING = (0.7, 0.09)  # panels to the next row of nodes, where lines cross: the same
_JOINT = (0.3, 0.5)  # from the node of a product sideways and down to its factors
_POINTS = 61


@dataclass(frozen=True)
class Node:
    """One node.

    Attributes
    ----------
    layer, index : int
        Which row of nodes, inputs first, and which node of it.
    x, y : float
        Its centre.
    kind : {"input", "sum", "product"}
        What the node does with the edges that lead into it.
    name : str
        Name of the input or output, empty for hidden nodes.
    low, high : float
        Range of an input in the user's units; 0 for other nodes.
    """

    layer: int
    index: int
    x: float
    y: float
    kind: str
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
    joint : int
        Which sum of the layer it is added to.
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
    joint: int
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
class Joint:
    """A factor of a product: where its edges are added up, below the node.

    Attributes
    ----------
    layer, target : int
        Row and index of the product's node.
    x, y : float
    """

    layer: int
    target: int
    x: float
    y: float


@dataclass(frozen=True)
class Layout:
    """Everything a drawing needs, in units of one panel.

    Attributes
    ----------
    nodes : dict of (layer, index) to Node
    joints : dict of (layer, sum) to Joint
        The factors with edges, by the row of their product and their sum.
    panels : list of Panel
    width, height : float
        Extent; the nodes of the inputs stand at ``y = 0``.
    notes : list of str
        What is not drawn, one sentence each.
    """

    nodes: dict[tuple[int, int], Node]
    joints: dict[tuple[int, int], Joint]
    panels: list[Panel]
    width: float
    height: float
    notes: list[str]

    def end(self, panel: Panel) -> tuple[float, float]:
        """Where the line behind a panel ends: at its node, or at its factor of the node."""
        joint = self.joints.get((panel.layer + 1, panel.joint))
        goal = self.nodes[panel.layer + 1, panel.target] if joint is None else joint
        return goal.x, goal.y


def edge_importance(network: KANNetwork, X: Array | None = None) -> list[Array]:
    """How much of the outputs' spread each edge carries, beside the others of its layer.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n_samples, n_features), default=None
        Rows to measure on. By default 200 rows that cover the grid of each input evenly.

    Returns
    -------
    list of ndarray of shape (n_sums, n_in)
        One per layer: the scores of `zoo_kan.attribution.attribute`, divided by their sum. Pruned
        edges are 0.
    """
    scores = attribute(network, X).edges
    return [edges / max(float(edges.sum()), np.finfo(float).tiny) for edges in scores]


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
    rows = sample_rows(network, X, what="a network picture")
    importance = edge_importance(network, rows)
    drawn, notes = _drawn_edges(network, importance, max_edges)
    notes += _unused_inputs(inputs, drawn[0])

    slots = [_slots(mask) for mask in drawn]
    width = max(float(centres.max(initial=0.5)) + 0.5 for centres, _ in slots)
    fan, crossing = (max(least, share * width) for least, share in (_FAN, _CROSSING))
    row = fan + 1 + crossing + (_JOINT[1] if any(network.products) else 0.0)
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
        for x, (source, joint) in zip(centres * stretch, edges, strict=True):
            panels.append(
                Panel(
                    layer=number,
                    source=source,
                    target=int(layer.owners[joint]),
                    joint=joint,
                    x=float(x),
                    y=y + fan + 0.5,
                    inputs=line[:, source],
                    values=curves[:, joint, source],
                    importance=float(importance[number][joint, source] / strongest),
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
                _kind(network, number, source),
                inputs[source] if number == 0 else "",
                float(ends[0]),
                float(ends[1]),
            )
    top = len(network.layers)
    for target, name in enumerate(outputs):
        x = width * (target + 0.5) / len(outputs)
        kind = _kind(network, top, target)
        nodes[top, target] = Node(top, target, x, row * top, kind, name, 0.0, 0.0)
    return Layout(nodes, _joints(network, panels, nodes), panels, width, row * top, notes)


def _kind(network: KANNetwork, row: int, index: int) -> str:
    if row == 0:
        return "input"
    layer = network.layers[row - 1]
    return "product" if index >= layer.n_out - layer.products else "sum"


def _joints(
    network: KANNetwork, panels: list[Panel], nodes: dict[tuple[int, int], Node]
) -> dict[tuple[int, int], Joint]:
    """Factors with edges, the one whose panels stand further left on the left."""
    joints: dict[tuple[int, int], Joint] = {}
    for row, layer in enumerate(network.layers, start=1):
        first = layer.n_sums - 2 * layer.products
        for pair in range(first, layer.n_sums, 2):
            reach = {
                joint: [p.x for p in panels if (p.layer, p.joint) == (row - 1, joint)]
                for joint in (pair, pair + 1)
            }
            drawn = sorted((float(np.mean(xs)), joint) for joint, xs in reach.items() if xs)
            sides = (-1.0, 1.0) if len(drawn) == 2 else (0.0,)
            for side, (_, joint) in zip(sides, drawn, strict=False):
                node = nodes[row, int(layer.owners[joint])]
                x, y = node.x + side * _JOINT[0], node.y - _JOINT[1]
                joints[row, joint] = Joint(row, node.index, x, y)
    return joints


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
        before = network.layers[number - 1]
        entered = np.zeros(before.n_out, dtype=bool)
        np.logical_or.at(entered, before.owners, drawn[number - 1].any(axis=1))
        drawn[number] &= entered
    for number in range(len(drawn) - 2, -1, -1):
        read = _any(drawn[number + 1], 0)
        drawn[number] &= read[network.layers[number].owners][:, None]
    return drawn, notes


def _any(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    return np.asarray(mask.any(axis=axis))


def _unused_inputs(names: list[str], mask: NDArray[np.bool_], shown: int = 6) -> list[str]:
    unused = [name for name, used in zip(names, _any(mask, 0), strict=True) if not used]
    if not unused:
        return []
    more = f" and {len(unused) - shown} more" if len(unused) > shown else ""
    return [f"Inputs without a drawn edge: {', '.join(unused[:shown])}{more}."]


def _slots(mask: NDArray[np.bool_]) -> tuple[Array, list[tuple[int, int]]]:
    """Centres (n_panels,) of a row of panels, and the edge (source, sum) of each."""
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
