"""Building a skl2onnx operator's graph with our own builder."""

from collections.abc import Callable
from typing import Any

import onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

from zoo.onnx.builder import GraphBuilder
from zoo.onnx.inline import inline_graph

__all__ = ["Build", "add_built", "element_type", "is_text", "join", "number_dtype", "tensor_type"]

#: ``build(builder, values, variables, model) -> value``: the nodes of one operator.
Build = Callable[[GraphBuilder, list[str], list[Any], Any], str]


def is_text(variable: Any) -> bool:
    """Whether a skl2onnx variable holds text."""
    return isinstance(variable.type, StringTensorType)


def number_dtype(variable: Any) -> str:
    """Name the type in which numbers made from a skl2onnx variable are computed."""
    return "float64" if isinstance(variable.type, DoubleTensorType) else "float32"


def tensor_type(dtype: str) -> type:
    """Find skl2onnx's type of a tensor of numbers."""
    return DoubleTensorType if dtype == "float64" else FloatTensorType


def element_type(builder: GraphBuilder) -> int:
    """Find ONNX's number for the type of a builder's numbers."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(builder.dtype))


def join(builder: GraphBuilder, values: list[str]) -> str:
    """Put matrices side by side."""
    return values[0] if len(values) == 1 else builder.node("Concat", values, "joined", axis=1)


def add_built(
    scope: Any, operator: Any, container: Any, dtype: str, build: Build, output: str
) -> None:
    """Build a small graph over an operator's inputs and inline it.

    Parameters
    ----------
    scope, operator, container
        What skl2onnx hands to a converter.
    dtype : {"float32", "float64"}
        Type of the graph's numbers, to which inputs of numbers are cast.
    build : callable
        Adds the nodes: see `Build`.
    output : str
        Name in the container of the one value it gives.
    """
    model = operator.raw_operator
    builder = GraphBuilder(type(model).__name__, dtype=dtype, opset=container.target_opset)
    values = []
    for number, variable in enumerate(operator.inputs):
        element = variable.type.to_onnx_type().tensor_type.elem_type
        numpy_type = onnx.helper.tensor_dtype_to_np_dtype(element)
        name = builder.input(f"in{number}", ["n", f"width{number}"], numpy_type)
        if not is_text(variable) and numpy_type != builder.dtype:
            name = builder.node("Cast", [name], f"in{number}_cast", to=element_type(builder))
        values.append(name)
    result = build(builder, values, list(operator.inputs), model)
    kind = object if is_text(operator.outputs[0]) else None
    builder.output(result, "out", ["n", "width"], kind)
    inputs = [variable.full_name for variable in operator.inputs]
    inline_graph(scope, container, builder.model(), inputs, [output])
