"""Putting one graph into another, without either noticing.

skl2onnx has a helper for this (``skl2onnx.helpers.add_onnx_graph``) which renames too little: a
weight called like one of skl2onnx's own is overwritten, the branches of ``If`` and the body of
``Loop`` keep their outer names and then read other values, and model-local functions are lost. Here
every name inside the graph gets a prefix of its own, branches and bodies included.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
from onnx import helper, version_converter

from zoo.errors import ExportError

__all__ = ["add_prefix", "inline_graph", "tidy_graph"]


def inline_graph(
    scope: Any,
    container: Any,
    model: onnx.ModelProto,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> None:
    """Add a whole graph to the container of a skl2onnx conversion.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Gives out unique names.
    container : skl2onnx.common._container.ModelComponentContainer
        Collects the nodes and weights.
    model : onnx.ModelProto
        The graph. It is not changed.
    inputs, outputs : sequence of str
        Names in the container, one for each input and output of the graph, in its order.

    Raises
    ------
    zoo.errors.ExportError
        The graph has another number of inputs or outputs, needs a newer operator set than the
        container, or leaves out an optional input that is not the last.
    """
    for side, names, values in (
        ("inputs", inputs, model.graph.input),
        ("outputs", outputs, model.graph.output),
    ):
        if len(names) != len(values):
            raise ExportError(
                f"The {side} of an inlined graph must be {len(values)}. Got {len(names)} names."
            )
    model = _at_opset(model, container.target_opset)
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    prefix = scope.get_unique_variable_name("zoo") + "/"
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    add_prefix(graph, prefix)
    for source, value in zip(inputs, graph.input, strict=True):
        _add_identity(scope, container, source, value.name)
    for node in graph.node:
        _drop_trailing_blanks(node)
        node.name = scope.get_unique_operator_name(prefix + node.op_type)
        container.nodes.append(node)
    container.initializers.extend(graph.initializer)
    for value, target in zip(graph.output, outputs, strict=True):
        _add_identity(scope, container, value.name, target)
    used = {node.domain for node in graph.node} | {""}
    container.node_domain_version_pair_sets.update(
        (opset.domain, opset.version) for opset in model.opset_import if opset.domain in used
    )


def add_prefix(graph: onnx.GraphProto, prefix: str) -> None:
    """Put a prefix before every name of a graph, its branches and bodies included, in place.

    (`onnx.compose.add_prefix` leaves out weights that a branch reads from outside.)

    Parameters
    ----------
    graph : onnx.GraphProto
        The graph. Names of values, weights and nodes change, names of axes do not.
    prefix : str
        What to put before them.
    """
    named = [graph.input, graph.output, graph.value_info, graph.initializer]
    sparse = [weight.values for weight in graph.sparse_initializer]
    for item in [*(item for group in named for item in group), *sparse]:
        item.name = prefix + item.name
    del graph.quantization_annotation[:]
    for node in graph.node:
        node.name = prefix + node.name if node.name else ""
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name:
                    names[position] = prefix + name
        for body in _bodies(node):
            add_prefix(body, prefix)


def _at_opset(model: onnx.ModelProto, target: int) -> onnx.ModelProto:
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), target)
    if version > target:
        raise ExportError(
            f"The graph {model.graph.name!r} is written in opset {version} and must be at most of "
            f"the pipeline's opset {target}."
        )
    if version == target:
        return model
    try:
        return version_converter.convert_version(model, target)
    except Exception as error:  # a C++ exception without a type of its own
        raise ExportError(
            f"The graph {model.graph.name!r} is written in opset {version} and cannot be lifted to "
            f"the pipeline's opset {target}: {error}."
        ) from error


def _drop_trailing_blanks(node: onnx.NodeProto) -> None:
    while node.input and not node.input[-1]:
        node.input.pop()
    if not all(node.input):
        raise ExportError(
            f"The node {node.name!r} ({node.op_type}) leaves out an optional input before its "
            f"last, which skl2onnx cannot sort: give the input its default value."
        )


def _add_identity(scope: Any, container: Any, source: str, target: str) -> None:
    name = scope.get_unique_operator_name("zoo_identity")
    container.nodes.append(helper.make_node("Identity", [source], [target], name=name))


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _reads(node: onnx.NodeProto) -> set[str]:
    """Names a node reads, those its branches and bodies take from outside included."""
    names = {name for name in node.input if name}
    for body in _bodies(node):
        own = {value.name for value in body.input} | {value.name for value in body.initializer}
        for inner in body.node:
            names |= _reads(inner) - own
            own |= set(inner.output)
        names |= {value.name for value in body.output} - own
    return names


def _rename_reads(node: onnx.NodeProto, names: dict[str, str]) -> None:
    for position, name in enumerate(node.input):
        node.input[position] = names.get(name, name)
    for body in _bodies(node):
        for inner in body.node:
            _rename_reads(inner, names)
        for value in body.output:
            value.name = names.get(value.name, value.name)


def tidy_graph(graph: onnx.GraphProto) -> None:
    """Sort nodes after everything they read, drop Identity nodes, name the others, in place.

    skl2onnx sorts by the inputs of nodes alone and would place an ``If`` before what its branches
    read.

    Parameters
    ----------
    graph : onnx.GraphProto
        A graph in which every name is assigned once.

    Raises
    ------
    zoo.errors.ExportError
        The nodes form a cycle, or read what nothing writes.
    """
    known = {value.name for value in graph.input} | {value.name for value in graph.initializer}
    waiting, ordered = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if _reads(node) <= known]
        if not ready:
            raise ExportError(
                f"The nodes of the graph {graph.name!r} cannot be put in order. "
                f"Left over: {', '.join(node.name for node in waiting[:5])}."
            )
        ordered.extend(ready)
        known.update(name for node in ready for name in node.output)
        taken = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in taken]
    results = {value.name for value in graph.output}
    aliases: dict[str, str] = {}
    kept = []
    for node in ordered:
        _rename_reads(node, aliases)
        if node.op_type == "Identity" and node.domain == "" and node.output[0] not in results:
            aliases[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    for number, node in enumerate(kept):
        node.name = node.name or f"{node.op_type}_{number}"
    del graph.node[:]
    graph.node.extend(kept)
