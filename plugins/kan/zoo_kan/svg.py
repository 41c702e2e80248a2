"""A small inline SVG of a network for notebooks: no dependency, no script, light and dark pages."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from zoo_kan.layout import Joint, Layout, Node, Panel, lay_out
from zoo_kan.network import KANNetwork

__all__ = ["network_svg"]

_UNIT = 34.0  # pixels per panel
_MARGIN = 46.0
_NAME_LENGTH = 24
_LETTER = 6.2  # mean width of a letter at 11 pixels
_CURVE_POINTS = 25
_CURVE_COLOUR = "#0072B2"


def network_svg(
    network: KANNetwork,
    feature_names: Sequence[str] | None = None,
    *,
    output_names: Sequence[str] | None = None,
    X: ArrayLike | None = None,
    max_edges: int = 16,
) -> str:
    """Draw a network as one ``<svg>`` element.

    Lines take the colour of the surrounding text; each edge carries a tooltip with its ends and
    its importance. Names are escaped.

    Parameters
    ----------
    network : KANNetwork
    feature_names : sequence of str of length n_features, default=None
    output_names : sequence of str of length n_outputs, default=None
    X : array-like of shape (n_samples, n_features), default=None
        Rows that give the panels' ranges and the importance of the edges; the grids by default.
    max_edges : int, default=16
        At most so many edges of a layer are drawn, the most important ones.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If names or rows do not fit the network.
    """
    rows = None if X is None else np.asarray(X, dtype=np.float64)
    layout = lay_out(
        network,
        feature_names=feature_names,
        output_names=output_names,
        X=rows,
        max_edges=max_edges,
    )
    slanted = _names_overlap(layout)
    inputs = [node for node in layout.nodes.values() if node.layer == 0]
    longest = max((len(_short(node.name)) for node in inputs), default=0)
    left = max(_MARGIN, 0.77 * _LETTER * longest - 0.5 * _UNIT) if slanted else _MARGIN
    below = 24 + 0.64 * _LETTER * longest if slanted else 30.0
    width = left + layout.width * _UNIT + _MARGIN
    notes_top = layout.height * _UNIT + _MARGIN / 2 + below
    height = notes_top + 13 * len(layout.notes)
    counts = zip(network.widths, [0, *network.products], strict=True)
    shape = " → ".join(f"{n - p}+{p} products" if p else f"{n}" for n, p in counts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" style="max-width:100%;height:auto;font-family:sans-serif"'
        f' aria-label="Kolmogorov-Arnold network, nodes per layer {shape}">'
    ]
    parts.append(f'<g transform="translate({left:.1f} {_MARGIN / 2:.1f})">')
    parts += [_links(layout, panel) for panel in layout.panels]
    parts += [_panel(layout, panel) for panel in layout.panels]
    parts += [_joint(layout, joint) for joint in layout.joints.values()]
    parts += [_node(layout, node, slanted=slanted) for node in layout.nodes.values()]
    parts.append("</g>")
    parts += [
        f'<text x="4" y="{notes_top + 13 * number:.1f}" font-size="9" fill="currentColor"'
        f' opacity="0.6">{escape(note)}</text>'
        for number, note in enumerate(layout.notes)
    ]
    parts.append("</svg>")
    return "".join(parts)


def _point(layout: Layout, x: float, y: float) -> tuple[float, float]:
    """Pixels from panel units; SVG counts downwards."""
    return x * _UNIT, (layout.height - y) * _UNIT


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"


def _opacity(importance: float) -> float:
    return 0.22 + 0.78 * float(np.sqrt(np.clip(importance, 0.0, 1.0)))


def _links(layout: Layout, panel: Panel) -> str:
    source = layout.nodes[panel.layer, panel.source]
    path = []
    for start, end in (
        ((source.x, source.y), (panel.x, panel.y - 0.5)),
        ((panel.x, panel.y + 0.5), layout.end(panel)),
    ):
        (x0, y0), (x1, y1) = _point(layout, *start), _point(layout, *end)
        middle = (y0 + y1) / 2
        path.append(
            f"M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
        )
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="currentColor"'
        f' stroke-opacity="{_opacity(panel.importance):.2f}"/>'
    )


def _panel(layout: Layout, panel: Panel) -> str:
    left, top = _point(layout, panel.x - 0.5, panel.y + 0.5)
    x, y = panel.unit_curve()
    chosen = np.linspace(0, len(x) - 1, _CURVE_POINTS).round().astype(int)
    curve = " ".join(
        f"{left + _UNIT * (0.1 + 0.8 * a):.1f},{top + _UNIT * (0.88 - 0.76 * b):.1f}"
        for a, b in zip(x[chosen], y[chosen], strict=True)
    )
    source = layout.nodes[panel.layer, panel.source].name or f"node {panel.source + 1}"
    target = layout.nodes[panel.layer + 1, panel.target].name or f"node {panel.target + 1}"
    opacity = _opacity(panel.importance)
    return (
        f"<g><title>{escape(source)} → {escape(target)}: {panel.importance:.0%} of the strongest"
        f' edge of its layer</title><rect x="{left:.1f}" y="{top:.1f}" width="{_UNIT:.0f}"'
        f' height="{_UNIT:.0f}" rx="4" fill="#fff" stroke="#5b6b7a"'
        f' stroke-opacity="{opacity:.2f}"/>'
        f'<polyline points="{curve}" fill="none" stroke="{_CURVE_COLOUR}" stroke-width="1.6"'
        f' stroke-opacity="{opacity:.2f}"/></g>'
    )


def _joint(layout: Layout, joint: Joint) -> str:
    node = layout.nodes[joint.layer, joint.target]
    (x0, y0), (x1, y1) = _point(layout, joint.x, joint.y), _point(layout, node.x, node.y)
    return (
        f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="currentColor"'
        f' stroke-width="1.4"/><circle cx="{x0:.1f}" cy="{y0:.1f}" r="2" fill="currentColor"/>'
    )


def _node(layout: Layout, node: Node, *, slanted: bool) -> str:
    x, y = _point(layout, node.x, node.y)
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="currentColor"/>'
    if node.kind == "product":
        circle = (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="#fff" stroke="currentColor"/>'
            f'<path d="M{x - 2.6:.1f} {y - 2.6:.1f}l5.2 5.2m0 -5.2l-5.2 5.2" stroke="#22303c"'
            ' stroke-width="1.3"/>'
        )
    if not node.name:
        return circle
    is_input = node.layer == 0
    turned = is_input and slanted
    place = (
        f'transform="translate({x:.1f} {y + 12:.1f}) rotate(-40)" text-anchor="end"'
        if turned
        else f'x="{x:.1f}" y="{y + (16 if is_input else -8):.1f}" text-anchor="middle"'
    )
    return (
        f'{circle}<text {place} font-size="11" fill="currentColor">'
        f"<title>{escape(node.name)}</title>{escape(_short(node.name))}</text>"
    )


def _names_overlap(layout: Layout) -> bool:
    inputs = sorted((node for node in layout.nodes.values() if node.layer == 0), key=lambda n: n.x)
    return any(
        (len(_short(left.name)) + len(_short(right.name)) + 2) / 2 * _LETTER
        > (right.x - left.x) * _UNIT
        for left, right in pairwise(inputs)
    )
