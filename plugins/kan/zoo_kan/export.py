"""A fitted KAN as one ONNX graph, built by hand from its arrays.

Each layer is the closed form of `zoo_kan.spline` in standard operators (Sub, Abs, Clip, Mul, Add)
and one matrix product, whose columns are multiplied two by two where nodes are products. The input
nodes are the innermost axis, so that every elementwise operator
runs over contiguous memory. Beyond the grid an edge follows its tangent: two more features per
node, ``min(u, 0)`` and ``relu(u - grid)``, whose weights are the edges' end slopes. Pruned edges
have no part in the graph where that saves something: nodes without edges, and nodes that are
constant, are folded away.

Axes: ``n`` rows, ``i`` input nodes, ``o`` output nodes, ``b`` basis functions.
"""

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier

from zoo.errors import DataError
from zoo.onnx import Export
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.labels import class_metadata, graph_classes
from zoo.onnx.reference import predictor_reference
from zoo_kan import spline
from zoo_kan.network import EdgeLayer, KANNetwork

__all__ = ["RTOL", "add_network", "bell_pieces", "build_graph", "export", "fold_constants"]

Array = NDArray[np.floating]

#: How much of a column's magnitude the graph may be off, by dtype. In float32 a smooth network
#: stays below 1e-5; a rough one, whose edges cancel, loses more to rounding without being wrong.
RTOL = {"float32": 1e-4, "float64": 1e-9}
_MAX_SAMPLES = 1000


def export(
    estimator: Any, X: ArrayLike | None = None, *, dtype: str = "float32", opset: int = 20
) -> Export:
    """Export a fitted `KANRegressor` or `KANClassifier`.

    Parameters
    ----------
    estimator : KANRegressor or KANClassifier
        The fitted estimator.
    X : array-like of shape (n_samples, n_features) or None, default=None
        Rows to verify on, of which at most 1,000 are used, evenly spread. ``None`` takes the
        training rows that the estimator kept, or draws rows within and around its grids.
    dtype : {"float32", "float64"}, default="float32"
        Type of the graph's numbers. Large offsets (a year, say) keep their digits in either.
    opset : int, default=20
        Version of the ONNX operators.

    Returns
    -------
    zoo.onnx.Export
        The graph ``"model"``. A classifier with boolean or whole float classes has int64 labels,
        which the runner turns back.

    Raises
    ------
    zoo.errors.ExportError
        ``dtype`` or ``opset`` is not supported, a weight is beyond the range of the dtype, or the
        classes are neither text, whole numbers nor booleans.
    zoo.errors.DataError
        ``X`` does not have the estimator's features.
    """
    network = estimator.network_
    classes = estimator.classes_ if is_classifier(estimator) else None
    names = getattr(estimator, "feature_names_in_", None)
    model = build_graph(network, classes=classes, dtype=dtype, opset=opset)
    return Export(
        graphs={"model": model},
        metadata={
            **class_metadata(classes),
            "feature_names": None if names is None else [str(name) for name in names],
        },
        samples={"X": _samples(estimator, X).astype(dtype)},
        reference=predictor_reference(estimator, classes),
        rtol=RTOL[dtype],
        atol=RTOL[dtype] * float(np.min(np.abs(network.output_scale))),
    )


def _samples(estimator: Any, X: ArrayLike | None) -> Array:
    n_features = estimator.n_features_in_
    if X is not None:
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != n_features:
            raise DataError(
                f"The rows to verify an export on must have shape (n_samples, {n_features}). "
                f"Got {rows.shape}."
            )
        if len(rows) <= _MAX_SAMPLES:
            return rows
        return rows[np.linspace(0, len(rows) - 1, _MAX_SAMPLES).astype(int)]
    kept = np.asarray(estimator.rows_["X"], dtype=np.float64)
    return kept[:_MAX_SAMPLES] if len(kept) else _draw(estimator.network_)


def _draw(network: KANNetwork) -> Array:
    """Rows (n, n_features), uniform over the first grids and over twice their width."""
    first = network.layers[0]
    generator = np.random.default_rng(0)
    inside = generator.uniform(0.0, 1.0, size=(96, first.n_in))
    around = generator.uniform(-0.5, 1.5, size=(32, first.n_in))
    nodes = first.lower + np.concatenate([inside, around]) * (first.upper - first.lower)
    return nodes * network.input_scale + network.input_mean


def build_graph(
    network: KANNetwork,
    *,
    classes: ArrayLike | None = None,
    dtype: str = "float32",
    opset: int = 20,
) -> onnx.ModelProto:
    """Build the graph of a network.

    Parameters
    ----------
    network : KANNetwork
        The fitted network.
    classes : array-like of shape (n_classes,) or None, default=None
        Classes, when the network's outputs are logits: one output for two classes, else one for
        each.
    dtype : {"float32", "float64"}, default="float32"
        Type of the graph's numbers.
    opset : int, default=20
        Version of the ONNX operators.

    Returns
    -------
    onnx.ModelProto
        Input ``X``; output ``prediction``, or ``label`` and ``probabilities``.
    """
    builder = GraphBuilder("kan", dtype=dtype, opset=opset)
    x = builder.input("X", ["n_samples", network.layers[0].n_in])
    raw = add_network(builder, x, network)
    if classes is not None:
        _add_classes(builder, raw, np.asarray(classes), network.layers[-1].n_out)
    elif network.layers[-1].n_out == 1:
        flat = builder.node("Reshape", [raw, builder.weight("flat", [-1], np.int64)], "flattened")
        builder.output(flat, "prediction", ["n_samples"])
    else:
        builder.output(raw, "prediction", ["n_samples", network.layers[-1].n_out])
    return builder.model()


def _add_classes(builder: GraphBuilder, logits: str, classes: NDArray, n_logits: int) -> None:
    if len(classes) == 2 and n_logits == 1:
        # The same as a sigmoid, but onnxruntime's ends at 1e-8 where it should go on to 0.
        halves = builder.weight("halves", [[-0.5, 0.5]])
        logits = builder.node("Mul", [logits, halves], "both_logits")
    chances = builder.node("Softmax", [logits], "softmax", axis=1)
    best = builder.node("ArgMax", [chances], "best", axis=1, keepdims=0)
    names = graph_classes(classes)
    labels = builder.weight("classes", names, names.dtype)
    label = builder.node("Gather", [labels, best], "best_class", axis=0)
    builder.output(label, "label", ["n_samples"], names.dtype)
    builder.output(chances, "probabilities", ["n_samples", len(classes)])


def fold_constants(network: KANNetwork) -> tuple[list[EdgeLayer], NDArray[np.intp]]:
    """Remove nodes that have no edges, or whose value is constant, into the biases behind them.

    Parameters
    ----------
    network : KANNetwork
        The network. It is not changed.

    Returns
    -------
    layers : list of EdgeLayer
        The smaller layers. The last keeps every output. A layer whose input nodes are all gone has
        none left, and so have all layers after it.
    inputs : ndarray of shape (n_live,)
        The columns of X that the first of them reads.
    """
    masks, biases = [], []
    constant = np.full(network.layers[0].n_in, np.nan)
    for layer in network.layers:
        known = ~np.isnan(constant)
        values = layer.edges(np.where(known, constant, layer.lower)[None])[0]
        biases.append(layer.bias + values[:, known].sum(axis=1))
        masks.append(layer.mask & ~known)
        # a product of a known factor and one that is not is not known
        constant = layer.combine(np.where(masks[-1].any(axis=1), np.nan, biases[-1])[None])[0]

    layers: list[EdgeLayer] = []
    kept_out = np.arange(network.layers[-1].n_out)
    for layer, mask, bias in zip(network.layers[::-1], masks[::-1], biases[::-1], strict=True):
        kept_sums = np.flatnonzero(np.isin(layer.owners, kept_out))
        kept_in = np.flatnonzero(mask[kept_sums].any(axis=0))
        edges = np.ix_(kept_sums, kept_in)
        layers.append(
            EdgeLayer(
                lower=layer.lower[kept_in],
                upper=layer.upper[kept_in],
                coef=layer.coef[edges],
                base_weight=layer.base_weight[edges],
                bias=bias[kept_sums],
                mask=mask[edges],
                order=layer.order,
                base=layer.base,
                products=int((kept_out >= layer.n_out - layer.products).sum()),
            )
        )
        kept_out = kept_in
    return layers[::-1], kept_out


def add_network(builder: GraphBuilder, x: str, network: KANNetwork) -> str:
    """Add a network's nodes to a graph.

    Parameters
    ----------
    builder : GraphBuilder
        The graph.
    x : str
        Name of its value of shape (n, n_features).
    network : KANNetwork
        The network.

    Returns
    -------
    str
        Name of the value of shape (n, n_outputs), rescaled.
    """
    layers, inputs = fold_constants(network)
    last = layers[-1]
    if last.n_in == 0:
        values = last.combine(last.bias[None])[0]
        return _add_constant(builder, x, values * network.output_scale + network.output_mean)
    if len(inputs) < network.layers[0].n_in:
        columns = builder.weight("live_columns", inputs, np.int64)
        x = builder.node("Gather", [x, columns], "live", axis=1)
    scale = network.input_scale[inputs]
    nodes = builder.centred(x, network.input_mean[inputs])
    for number, layer in enumerate(layers):
        name = f"layer{number}"
        out_scale: Array = np.ones(layer.n_out)
        out_shift: Array = np.zeros(layer.n_out)
        if layer is last:
            out_scale, out_shift = network.output_scale, network.output_mean
        nodes = _add_layer(builder, name, nodes, layer, scale, out_scale, out_shift)
        scale = np.ones(layer.n_out)
    return nodes


def _add_constant(builder: GraphBuilder, x: str, values: Array) -> str:
    shape = builder.node("Shape", [x], "batch", start=0, end=1)
    width = builder.weight("n_outputs", [len(values)], np.int64)
    target = builder.node("Concat", [shape, width], "output_shape", axis=0)
    return builder.node("Expand", [builder.weight("constant", values), target], "expanded")


def _add_layer(
    builder: GraphBuilder,
    name: str,
    x: str,
    layer: EdgeLayer,
    scale: Array,
    out_scale: Array,
    out_shift: Array,
) -> str:
    """Add one layer over ``x * 1/scale`` (n, i); its output is (n, o), scaled and shifted."""
    n_in, order, grid = layer.n_in, layer.order, layer.grid

    def node(operator: str, inputs: list[str], what: str, **attributes: Any) -> str:
        return builder.node(operator, inputs, f"{name}/{what}", **attributes)

    def weight(what: str, value: ArrayLike, dtype: Any = None) -> str:
        return builder.weight(f"{name}/{what}", value, dtype)

    x = node("Reshape", [x, weight("row_shape", [-1, 1, n_in], np.int64)], "nodes")
    shifted = node("Sub", [x, weight("lower", layer.lower * scale)], "above_lower")
    per_unit = grid / (layer.upper - layer.lower) / scale
    position = node("Mul", [shifted, weight("intervals", per_unit)], "position")
    zero, end = weight("zero", 0.0), weight("grid", float(grid))
    inside = node("Clip", [position, zero, end], "inside")
    middle = weight("centres", spline.centres(grid, order)[:, None])
    distance = node("Abs", [node("Sub", [inside, middle], "offset")], "distance")

    bells = ""
    for number, (reach, polynomial) in enumerate(bell_pieces(order)):
        gap = node("Sub", [weight(f"reach{number}", reach), distance], f"gap{number}")
        local = node("Clip", [gap, zero, weight("one", 1.0)], f"local{number}")
        piece = _add_polynomial(node, weight, local, polynomial)
        bells = piece if number == 0 else node("Add", [bells, piece], "bells")

    low, high = spline.end_slopes(grid, order)
    below = node("Min", [position, zero], "below")
    above = node("Relu", [node("Sub", [position, end], "beyond")], "above")
    coef = layer.coef * layer.mask[..., None]
    features = [bells, below, above]
    rows: list[Array] = [coef / math.factorial(order)]
    rows += [(coef @ slopes)[..., None] for slopes in (low, high)]
    if layer.base != "none" and layer.base_weight[layer.mask].any():
        if (scale != 1.0).any():
            x = node("Mul", [x, weight("per_scale", 1.0 / scale)], "standardised")
        if layer.base == "silu":
            x = node("Mul", [x, node("Sigmoid", [x], "sigmoid")], "silu")
        features.append(x)
        rows.append((layer.base_weight * layer.mask)[..., None])
    stacked = node("Concat", features, "features", axis=1)
    plain = layer.n_sums - 2 * layer.products
    # sums first, then the first factors, then the second ones, which have no part in the scale
    order_of_sums = np.r_[:plain, plain : layer.n_sums : 2, plain + 1 : layer.n_sums : 2]
    sum_scale: Array = np.concatenate([out_scale, np.ones(layer.products)])
    sum_bias = layer.bias[order_of_sums] * sum_scale
    sum_bias[:plain] += out_shift[:plain]
    matrix = np.concatenate(rows, axis=2).transpose(2, 1, 0)[:, :, order_of_sums] * sum_scale
    width = matrix.shape[0] * n_in
    flat = node("Reshape", [stacked, weight("flat_shape", [-1, width], np.int64)], "flat")
    weights = weight("weights", matrix.reshape(width, layer.n_sums))
    sums = node("Gemm", [flat, weights, weight("bias", sum_bias)], "sums")
    if not layer.products:
        return sums
    return _add_products(node, weight, sums, plain, out_shift[plain:])


def _add_products(node: Any, weight: Any, sums: str, plain: int, shift: Array) -> str:
    """Multiply the columns behind the first ``plain``: their first half by their second."""

    def columns(start: int, stop: int, what: str) -> str:
        chosen = weight(f"{what}_columns", np.arange(start, stop), np.int64)
        return str(node("Gather", [sums, chosen], what, axis=1))

    count = len(shift)
    middle, end = plain + count, plain + 2 * count
    products = node(
        "Mul", [columns(plain, middle, "factors"), columns(middle, end, "cofactors")], "products"
    )
    if shift.any():
        products = node("Add", [products, weight("product_shift", shift)], "shifted_products")
    if not plain:
        return str(products)
    return str(node("Concat", [columns(0, plain, "plain"), products], "nodes_out", axis=1))


def bell_pieces(order: int) -> list[tuple[float, list[float]]]:
    """Polynomial pieces of one bell, times ``order!``, from its foot inwards.

    The truncated powers of `spline.bell_terms` are large numbers that cancel; in float32 that costs
    a digit. Written over ``v = clip(reach - |t|, 0, 1)``, each piece of the same bell stays of the
    size of the bell.

    Parameters
    ----------
    order : int
        Degree of the spline, 1 to 5.

    Returns
    -------
    list of (reach, coefficients)
        ``order! * B(t) = sum(sum(c_m * clip(reach - |t|, 0, 1) ** m))``, with ``m`` from 1 up.
    """
    terms = [(factor * math.factorial(order), reach) for factor, reach in spline.bell_terms(order)]
    return [
        (
            reach,
            [
                math.comb(order, m)
                * sum(
                    factor * (j - i) ** (order - m) for i, (factor, _) in enumerate(terms[: j + 1])
                )
                for m in range(1, order + 1)
            ],
        )
        for j, (_, reach) in enumerate(terms)
    ]


def _add_polynomial(node: Any, weight: Any, x: str, coefficients: list[float]) -> str:
    """Add ``sum(c_m * x ** m)``, from ``c_1`` on: Horner's scheme, or one power."""
    if not any(coefficients[:-1]):
        return _add_power(node, x, len(coefficients))
    value = node("Mul", [x, weight("coefficient", coefficients[-1])], "product")
    for coefficient in coefficients[-2::-1]:
        value = node("Add", [value, weight("coefficient", coefficient)], "sum")
        value = node("Mul", [value, x], "product")
    return value


def _add_power(node: Any, base: str, exponent: int) -> str:
    """Add ``base ** exponent`` as products: Pow is slower."""
    if exponent == 1:
        return base
    half = _add_power(node, base, exponent // 2)
    square = node("Mul", [half, half], "power")
    return square if exponent % 2 == 0 else node("Mul", [square, base], "power")
