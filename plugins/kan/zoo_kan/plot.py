"""Pictures of networks and predictions with matplotlib (``pip install zoo-kan[plot]``).

matplotlib is imported when a picture is drawn, and pyplot never: figures need no display, and
nothing keeps them alive but their owner.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_kan.layout import Joint, Layout, Node, Panel, lay_out
from zoo_kan.network import KANNetwork
from zoo_kan.style import BLUE, INK, PALE, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_network", "plot_predicted"]

Array = NDArray[np.floating]

_FAINTEST = 0.22
_PANEL_INCHES = (0.42, 0.85)
_WIDTH_INCHES = 13.0


def plot_network(
    network: KANNetwork,
    *,
    feature_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    X: ArrayLike | None = None,
    ax: "Axes | None" = None,
    max_edges: int = 30,
    title: str | None = None,
) -> "Figure":
    """Draw a network as the KAN paper does (arXiv 2404.19756, Figure 0.1).

    Inputs stand at the bottom, outputs on top. Each panel shows the function of one edge over the
    range of its data, scaled to fill the panel; the darker, the more of the outputs' spread runs
    through the edge (`zoo_kan.layout.edge_importance`). Pruned edges are gone. A node with a plus
    adds its edges; one with a multiplication sign multiplies the two sums just below it (KAN 2.0,
    arXiv 2408.10205).

    Parameters
    ----------
    network : KANNetwork
    feature_names : sequence of str of length n_features, default=None
        Names below the inputs.
    output_names : sequence of str of length n_outputs, default=None
        Names above the outputs.
    X : array-like of shape (n_samples, n_features), default=None
        Rows that give the panels' ranges and the importance of the edges, in the units that the
        network was fitted in. By default the grids of the network.
    ax : matplotlib Axes, default=None
        Where to draw. A figure of fitting size is made by default.
    max_edges : int, default=30
        At most so many edges of a layer are drawn, the most important ones; a note says how many
        are left out.
    title : str, default=None

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If names or rows do not fit the network.
    MissingDependencyError
        If matplotlib is not installed.
    """
    rows = None if X is None else np.asarray(X, dtype=np.float64)
    layout = lay_out(
        network,
        feature_names=feature_names,
        output_names=output_names,
        X=rows,
        max_edges=max_edges,
    )
    inch = float(np.clip(_WIDTH_INCHES / layout.width, *_PANEL_INCHES))
    rotated = _names_overlap(layout, inch)
    inputs = [node for node in layout.nodes.values() if node.layer == 0]
    # of the slanted names: 9 points high letters are 0.072 inches wide; cos and sin of 40 degrees
    reach = max((0.072 * len(node.name) * 0.77 - node.x * inch for node in inputs), default=0.0)
    drop = max((0.072 * len(node.name) * 0.64 for node in inputs), default=0.0) + 0.3
    extent = _Extent(
        left=-max(0.6, reach + 0.1 if rotated else 0.0) / inch,
        right=layout.width + 0.6 / inch,
        bottom=-((drop if rotated else 0.65) + 0.16 * len(layout.notes)) / inch,
        top=layout.height + (0.4 if title is None else 0.65) / inch,
    )
    if ax is None:
        figure = new_figure(extent.width * inch, extent.height * inch)
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    _draw(ax, layout, extent, inch=inch, rotated=rotated, title=title)
    return cast("Figure", ax.get_figure(root=True))


class _Extent:
    """The rectangle that a picture fills, in panel widths."""

    def __init__(self, *, left: float, right: float, bottom: float, top: float) -> None:
        self.left, self.right, self.bottom, self.top = left, right, bottom, top

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom


def _draw(
    ax: "Axes", layout: Layout, extent: _Extent, *, inch: float, rotated: bool, title: str | None
) -> None:
    ax.set_axis_off()
    ax.set_xlim(extent.left, extent.right)
    ax.set_ylim(extent.bottom, extent.top)
    ax.set_aspect("equal")
    for panel in layout.panels:
        _draw_links(ax, layout, panel)
    for panel in layout.panels:
        _draw_panel(ax, panel)
    for joint in layout.joints.values():
        _draw_joint(ax, joint, layout.nodes[joint.layer, joint.target], inch=inch)
    for node in layout.nodes.values():
        _draw_node(ax, node, inch=inch, rotated=rotated)
    for number, note in enumerate(layout.notes):
        ax.annotate(
            note,
            (extent.left + 0.1 / inch, extent.bottom),
            xytext=(0, 2 + 11 * (len(layout.notes) - 1 - number)),
            textcoords="offset points",
            fontsize=7.5,
            color=PALE,
            parse_math=False,
        )
    if title is not None:
        ax.annotate(
            title,
            (extent.left + 0.1 / inch, extent.top),
            xytext=(0, -4),
            textcoords="offset points",
            va="top",
            fontsize=11,
            color=INK,
            weight="bold",
            parse_math=False,
        )


def _strength(importance: float) -> float:
    return _FAINTEST + (1 - _FAINTEST) * float(np.sqrt(np.clip(importance, 0.0, 1.0)))


def _draw_links(ax: "Axes", layout: Layout, panel: Panel) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    source = layout.nodes[panel.layer, panel.source]
    strength = _strength(panel.importance)
    for (x0, y0), (x1, y1) in (
        ((source.x, source.y), (panel.x, panel.y - 0.5)),
        ((panel.x, panel.y + 0.5), layout.end(panel)),
    ):
        middle = (y0 + y1) / 2
        ax.add_patch(
            PathPatch(
                Path(
                    [(x0, y0), (x0, middle), (x1, middle), (x1, y1)],
                    [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
                ),
                facecolor="none",
                edgecolor=INK,
                alpha=strength,
                linewidth=0.6 + 1.0 * strength,
                zorder=1,
            )
        )


def _draw_panel(ax: "Axes", panel: Panel) -> None:
    from matplotlib.patches import FancyBboxPatch

    strength = _strength(panel.importance)
    ax.add_patch(
        FancyBboxPatch(
            (panel.x - 0.46, panel.y - 0.46),
            0.92,
            0.92,
            boxstyle="round,pad=0.04,rounding_size=0.1",
            facecolor="white",
            edgecolor=_blend(INK, strength),
            linewidth=0.9,
            zorder=2,
        )
    )
    x, y = panel.unit_curve()
    ax.plot(
        panel.x - 0.4 + 0.8 * x,
        panel.y - 0.38 + 0.76 * y,
        color=_blend(BLUE, strength),
        linewidth=1.7,
        solid_capstyle="round",
        zorder=3,
    )


def _blend(colour: str, strength: float) -> tuple[float, ...]:
    """Mix a colour with white; unlike transparency this hides the lines behind."""
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - np.array(to_rgb(colour))))


def _draw_joint(ax: "Axes", joint: Joint, node: Node, *, inch: float) -> None:
    from matplotlib.patches import Circle

    line = ([joint.x, node.x], [joint.y, node.y])
    ax.plot(*line, color=INK, linewidth=1.4, solid_capstyle="round", zorder=3)
    ax.add_patch(Circle((joint.x, joint.y), 0.035 / inch, facecolor=INK, linewidth=0.0, zorder=4))


def _draw_node(ax: "Axes", node: Node, *, inch: float, rotated: bool) -> None:
    from matplotlib.patches import Circle

    is_input = node.kind == "input"
    radius = 0.06 / inch if is_input else 0.085 / inch
    ax.add_patch(
        Circle(
            (node.x, node.y),
            radius,
            facecolor=INK if is_input else "white",
            edgecolor=INK,
            linewidth=1.1,
            zorder=4,
        )
    )
    # the sign is turned by an eighth for a product: a plus becomes a multiplication sign
    arm, slant = 0.5 * radius, 0.5 * radius * np.sqrt(0.5)
    signs = {
        "input": (),
        "sum": ((arm, 0.0), (0.0, arm)),
        "product": ((slant, slant), (slant, -slant)),
    }
    for dx, dy in signs[node.kind]:
        ax.plot(
            [node.x - dx, node.x + dx],
            [node.y - dy, node.y + dy],
            color=INK,
            linewidth=1.1,
            zorder=5,
        )
    if node.name:
        ax.annotate(
            node.name,
            (node.x, node.y),
            xytext=(0, -9) if is_input else (0, 9),
            textcoords="offset points",
            ha="right" if is_input and rotated else "center",
            va="top" if is_input else "bottom",
            rotation=40 if is_input and rotated else 0,
            rotation_mode="anchor" if is_input and rotated else "default",
            fontsize=11 if not rotated else 9,
            color=INK,
            parse_math=False,
        )
    if is_input and not rotated:
        ax.annotate(
            f"{node.low:.3g} … {node.high:.3g}".replace("-", "−"),
            (node.x, node.y),
            xytext=(0, -24),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7.5,
            color=PALE,
        )


def _names_overlap(layout: Layout, inch: float) -> bool:
    """Whether names side by side, at 11 points, would touch."""
    inputs = sorted((node for node in layout.nodes.values() if node.layer == 0), key=lambda n: n.x)
    return any(
        (max(len(left.name), 9) + max(len(right.name), 9)) / 2 * 0.088 > (right.x - left.x) * inch
        for left, right in pairwise(inputs)
    )


def plot_predicted(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    target_name: str = "y",
    ax: "Axes | None" = None,
    log: bool = False,
) -> "Figure":
    """Plot predicted against true values.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
    target_name : str, default="y"
        Name on both axes.
    ax : matplotlib Axes, default=None
        Where to draw. A square figure is made by default.
    log : bool, default=False
        Draw both axes on logarithmic scales.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If the two differ in shape or are not one-dimensional.
    MissingDependencyError
        If matplotlib is not installed.
    """
    true, predicted = (np.asarray(values, dtype=np.float64) for values in (y_true, y_pred))
    if true.ndim != 1 or true.shape != predicted.shape or len(true) == 0:
        raise ValueError(
            "y_true and y_pred of a plot must be one-dimensional, equally long and not empty. "
            f"Got shapes {true.shape} and {predicted.shape}."
        )
    if ax is None:
        figure = new_figure(4.6, 4.6)
        figure.set_layout_engine("constrained")
        ax = figure.add_subplot()
    if log:
        ax.set_xscale("log")
        ax.set_yscale("log")
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    ax.plot(ends, ends, color=PALE, linewidth=1.2, zorder=1, label="perfect")
    ax.scatter(
        true,
        predicted,
        s=22,
        color=BLUE,
        alpha=float(np.clip(40 / np.sqrt(len(true) + 1), 0.25, 0.85)),
        edgecolors="white",
        linewidths=0.4,
        zorder=2,
    )
    style_axes(ax)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel(f"{target_name}, measured", parse_math=False)
    ax.set_ylabel(f"{target_name}, predicted", parse_math=False)
    ax.annotate(
        _agreement(true, predicted),
        (0.04, 0.96),
        xycoords="axes fraction",
        va="top",
        fontsize=9.5,
        color=INK,
    )
    return cast("Figure", ax.get_figure(root=True))


def _agreement(true: Array, predicted: Array) -> str:
    rmse = float(np.sqrt(np.mean((true - predicted) ** 2)))
    spread = float(np.sum((true - true.mean()) ** 2))
    lines = [f"RMSE = {rmse:.3g}"]
    if spread > 0:
        lines.insert(0, f"R² = {1 - np.sum((true - predicted) ** 2) / spread:.3f}")
    return "\n".join(lines)
