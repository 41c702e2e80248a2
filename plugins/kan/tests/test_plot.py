import gc
import re
import subprocess
import sys
import weakref
from xml.etree import ElementTree

import numpy as np
import pytest

from zoo_kan import spline
from zoo_kan.layout import edge_importance, lay_out
from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.plot import plot_network, plot_predicted
from zoo_kan.svg import network_svg

GRID = 6


def edge_coefficients(function):
    t = np.linspace(0, GRID, 80)
    design = spline.design(t[:, None], GRID, 3)[:, 0]
    return np.linalg.lstsq(design, function(4 * t / GRID - 2), rcond=None)[0]


def make_network(edges):
    """Build a network on [-2, 2] from nested lists: layers, outputs, inputs, function or None."""
    layers = []
    for rows in edges:
        mask = np.array([[function is not None for function in row] for row in rows])
        coef = np.array(
            [
                [np.zeros(GRID + 3) if f is None else edge_coefficients(f) for f in row]
                for row in rows
            ]
        )
        n_out, n_in = mask.shape
        layers.append(
            EdgeLayer(
                lower=np.full(n_in, -2.0),
                upper=np.full(n_in, 2.0),
                coef=coef,
                base_weight=np.zeros((n_out, n_in)),
                bias=np.zeros(n_out),
                mask=mask,
            )
        )
    n_inputs, n_outputs = len(edges[0][0]), len(edges[-1])
    return KANNetwork(
        layers, np.zeros(n_inputs), np.ones(n_inputs), np.zeros(n_outputs), np.ones(n_outputs)
    )


def five_by_five():
    functions = [np.sin, np.square, np.tanh, np.abs, np.exp]
    return make_network([[functions] * 5, [functions]])


def test__edge_importance__of_one_layer__is_the_share_of_spread():
    network = make_network([[[lambda t: 3 * t, lambda t: t, None]]])
    X = np.array([[-1.0, -1.0, 5.0], [1.0, 1.0, -5.0]])
    (importance,) = edge_importance(network, X)
    np.testing.assert_allclose(importance, [[0.75, 0.25, 0.0]], atol=1e-9)


def test__edge_importance__hidden_node_rescaled__does_not_change():
    X = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    plain = make_network([[[lambda t: t, None], [None, lambda t: t]], [[lambda t: t, np.tanh]]])
    # the first hidden node is ten times smaller, and the edge that reads it ten times steeper
    scaled = make_network(
        [[[lambda t: t / 10, None], [None, lambda t: t]], [[lambda t: 10 * t, np.tanh]]]
    )
    for left, right in zip(edge_importance(plain, X), edge_importance(scaled, X), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-9)


def test__edge_importance__node_that_nothing_reads__hands_nothing_down():
    network = make_network([[[np.sin], [np.exp]], [[lambda t: t, None]]])
    first, second = edge_importance(network)
    np.testing.assert_allclose(second, [[1.0, 0.0]])
    np.testing.assert_allclose(first, [[1.0], [0.0]])


@pytest.mark.parametrize("max_edges", [30, 7])
def test__lay_out__five_by_five__panels_never_overlap(max_edges):
    layout = lay_out(five_by_five(), max_edges=max_edges)
    assert sum(panel.layer == 0 for panel in layout.panels) == min(25, max_edges)
    for index, panel in enumerate(layout.panels):
        assert 0.5 <= panel.x <= layout.width - 0.5
        for other in layout.panels[index + 1 :]:
            assert max(abs(panel.x - other.x), abs(panel.y - other.y)) > 1.0
    for node in layout.nodes.values():
        assert all(abs(panel.y - node.y) > 0.6 for panel in layout.panels)


def test__lay_out__panel__shows_the_function_over_the_range_of_the_rows():
    network = make_network([[[np.square, np.sin]]])
    network.input_mean, network.input_scale = np.array([10.0, 0.0]), np.array([2.0, 1.0])
    X = np.array([[9.0, 0.0], [12.0, 1.0]])
    layout = lay_out(network, X=X, feature_names=["a", "b"])
    panel = layout.panels[0]
    assert (panel.inputs[0], panel.inputs[-1]) == (-0.5, 1.0)
    np.testing.assert_allclose(panel.values, panel.inputs**2, atol=1e-9)
    assert (layout.nodes[0, 0].low, layout.nodes[0, 0].high) == (9.0, 12.0)


def test__lay_out__pruned_edges__are_gone_with_the_nodes_they_leave_alone():
    network = make_network([[[np.sin, None, None], [None, np.exp, None]], [[lambda t: t, None]]])
    layout = lay_out(network, feature_names=["left", "unread", "unused"])
    assert [(p.layer, p.source, p.target) for p in layout.panels] == [(0, 0, 0), (1, 0, 0)]
    assert sorted(layout.nodes) == [(0, 0), (1, 0), (2, 0)]
    assert layout.notes == ["Inputs without a drawn edge: unread, unused."]


def test__lay_out__more_edges_than_asked_for__keeps_the_strongest_and_says_so():
    network = make_network([[[lambda t, w=w: w * t for w in (1.0, 5.0, 2.0, 4.0)]]])
    layout = lay_out(network, max_edges=2)
    assert [panel.source for panel in layout.panels] == [1, 3]
    assert layout.notes[0] == "2 weaker edges of layer 1 (25% of its importance) are not drawn."


def test__lay_out__equally_strong_edges__draws_as_many_as_asked_for():
    layout = lay_out(make_network([[[np.sin] * 9]]), X=np.c_[[[-1.0, 1.0]] * 9].T, max_edges=4)
    assert len(layout.panels) == 4


def test__lay_out__everything_pruned__is_an_output_alone():
    layout = lay_out(make_network([[[None, None]]]))
    assert layout.panels == []
    assert sorted(layout.nodes) == [(1, 0)]
    assert network_svg(make_network([[[None, None]]])).startswith("<svg")


def test__lay_out__wrong_arguments__say_which():
    network = five_by_five()
    with pytest.raises(ValueError, match=r"feature_names .* must hold 5 names. Got 1"):
        lay_out(network, feature_names=["a"])
    with pytest.raises(ValueError, match=r"output_names .* must hold 1 names. Got 2"):
        lay_out(network, output_names=["a", "b"])
    with pytest.raises(ValueError, match=r"shape \(n_samples, 5\) .* Got \(3, 4\)"):
        lay_out(network, X=np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"max_edges .* at least 1. Got 0"):
        lay_out(network, max_edges=0)


def test__plot_network__panels_in_the_figure__do_not_overlap_names_included(tmp_path):
    figure = plot_network(five_by_five(), feature_names=["bmi", "pressure", "s5", "age", "sex"])
    figure.savefig(tmp_path / "network.png")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 11  # five names, five ranges, one output
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


def test__plot_network__thirty_long_names__stay_inside_the_figure():
    network = make_network([[[np.sin] * 30]])
    names = [f"worst fractal dimension {i}" for i in range(30)]
    figure = plot_network(network, feature_names=names)
    figure.draw_without_rendering()
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0, text.get_text()
        assert figure.bbox.y0 <= box.y0, text.get_text()


def test__plot_network__name_with_dollar__is_drawn_as_written():
    figure = plot_network(make_network([[[np.sin]]]), feature_names=["price $x^"])
    figure.canvas.draw()
    assert "price $x^" in [text.get_text() for text in figure.axes[0].texts]


def test__plot_network__given_axes__draws_there():
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert plot_network(five_by_five(), ax=ax) is figure
    assert len(ax.patches) > 30


def test__plot_network__figure__dies_with_its_owner_and_leaves_pyplot_alone():
    code = (
        "import sys, numpy as np\n"
        "from zoo_kan.plot import plot_predicted\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot_predicted(np.arange(5.0), np.arange(5.0))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    figure = plot_network(five_by_five())
    gone = weakref.ref(figure)
    del figure
    gc.collect()
    assert gone() is None


def test__picture__in_a_notebook__shows_itself():
    png = plot_network(make_network([[[np.sin]]]))._repr_png_()
    assert png.startswith(b"\x89PNG")


def test__plot__matplotlib_missing__names_the_pip_line():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import zoo.errors\n"
        "from zoo_kan.plot import plot_predicted\n"
        "try:\n"
        "    plot_predicted([1.0, 2.0], [1.0, 2.0])\n"
        "except zoo.errors.MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    assert "pip install 'zoo-kan[plot]'" in done.stdout


def test__plot_predicted__scores__are_those_of_sklearn():
    from sklearn.metrics import r2_score, root_mean_squared_error

    rng = np.random.default_rng(0)
    true = rng.normal(size=40)
    predicted = true + rng.normal(size=40)
    (ax,) = plot_predicted(true, predicted, target_name="period").axes
    note = ax.texts[0].get_text()
    assert f"R² = {r2_score(true, predicted):.3f}" in note
    assert f"RMSE = {root_mean_squared_error(true, predicted):.3g}" in note
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), np.c_[true, predicted])
    assert ax.get_xlabel() == "period, measured"


def test__plot_predicted__shapes_differ__says_both():
    with pytest.raises(ValueError, match=r"Got shapes \(2,\) and \(3,\)"):
        plot_predicted([1.0, 2.0], [1.0, 2.0, 3.0])


def test__network_svg__is_well_formed_and_escapes_names():
    name = '<script>alert("1")</script> & more'
    text = network_svg(make_network([[[np.sin, np.exp]]]), [name, "b"], output_names=["<y>"])
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert "<script" not in text
    titles = [title.text for title in root.iter(f"{space}title")]
    assert name in titles
    assert any(title.startswith(f"{name} → <y>") for title in titles)
    assert len(list(root.iter(f"{space}polyline"))) == 2


def test__network_svg__everything__lies_inside_its_view():
    root = ElementTree.fromstring(network_svg(five_by_five(), max_edges=30))
    _, _, width, height = map(float, root.get("viewBox").split())
    space = "{http://www.w3.org/2000/svg}"
    left, top = map(float, re.findall(r"[\d.]+", root.find(f"{space}g").get("transform")))
    for rect in root.iter(f"{space}rect"):
        assert left + float(rect.get("x")) >= 0
        assert left + float(rect.get("x")) + float(rect.get("width")) <= width
        assert top + float(rect.get("y")) + float(rect.get("height")) <= height


def test__network_svg__needs__no_matplotlib():
    code = "import sys; sys.modules['matplotlib'] = None\nfrom zoo_kan.svg import network_svg\n"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
