"""Building a graph node by node, every node and weight named."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import helper, numpy_helper

from zoo.errors import ExportError

__all__ = ["IR_VERSION", "OPSETS", "GraphBuilder"]

#: Operator sets a graph may be written in: strings can be compared from 19 on, skl2onnx ends at 22.
OPSETS = range(19, 23)
IR_VERSION = 10


class GraphBuilder:
    """Collects nodes and weights and makes a model of them.

    Parameters
    ----------
    name : str
        Name of the graph.
    dtype : {"float32", "float64"}
        Type of its weights and numbers.
    opset : int
        Version of the ONNX operators.

    Raises
    ------
    zoo.errors.ExportError
        ``dtype`` or ``opset`` is something else.
    """

    def __init__(self, name: str, *, dtype: str, opset: int) -> None:
        if dtype not in ("float32", "float64"):
            raise ExportError(
                f"The dtype of an exported graph must be 'float32' or 'float64'. Got {dtype!r}."
            )
        if opset not in OPSETS:
            raise ExportError(
                f"The opset of an exported graph must be from {OPSETS[0]} to {OPSETS[-1]}. "
                f"Got {opset!r}."
            )
        self.name, self.dtype, self.opset = name, np.dtype(dtype), opset
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._taken: set[str] = set()

    def _claim(self, name: str) -> str:
        unique, number = name, 1
        while unique in self._taken:
            number += 1
            unique = f"{name}_{number}"
        self._taken.add(unique)
        return unique

    def input(self, name: str, shape: list[int | str], dtype: DTypeLike | None = None) -> str:
        """Declare an input; ``shape`` holds ints and names of axes. Returns its name."""
        self._inputs.append(self._value(self._claim(name), shape, dtype))
        return name

    def output(
        self, value: str, name: str, shape: list[int | str], dtype: DTypeLike | None = None
    ) -> None:
        """Declare the value an earlier node computed to be the output ``name``."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"{name}_output"))
        self._outputs.append(self._value(self._claim(name), shape, dtype))

    def _value(
        self, name: str, shape: list[int | str], dtype: DTypeLike | None
    ) -> onnx.ValueInfoProto:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype if dtype is None else dtype))
        return helper.make_tensor_value_info(name, element, shape)

    def weight(self, name: str, value: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """Add a constant tensor, in the graph's dtype unless another is given. Returns its name.

        Raises
        ------
        zoo.errors.ExportError
            A finite number is beyond the range of the dtype.
        """
        array = np.asarray(value)
        cast = self.cast(array) if dtype is None else array.astype(dtype)
        unique = self._claim(name)
        self._weights.append(numpy_helper.from_array(cast, unique))
        return unique

    def text_weight(self, name: str, texts: list[str]) -> str:
        """Add a constant vector of text. Returns its name."""
        return self.weight(name, np.array([str(text) for text in texts], dtype=object), object)

    def centred(self, x: str, centre: ArrayLike) -> str:
        """Subtract in two parts, so that in float32 a large offset does not cost digits.

        The first part is the rounded centre: where ``x`` is close to it the difference is exact.
        """
        exact = np.asarray(centre, dtype=np.float64)
        rounded = self.cast(exact)
        difference = self.node("Sub", [x, self.weight("centre", rounded)], "centred")
        rest = self.cast(exact - rounded)
        if not rest.any():
            return difference
        return self.node("Sub", [difference, self.weight("centre_rest", rest)], "centred_exactly")

    def cast(self, value: NDArray) -> NDArray:
        """Round numbers to the graph's dtype, refusing those beyond its range."""
        with np.errstate(over="ignore"):
            cast = value.astype(self.dtype)
        if np.isinf(cast).any() and not np.isinf(value).any():
            raise ExportError(
                f"A weight of {np.abs(value).max():.3g} is beyond the range of {self.dtype}: "
                f"export with dtype='float64'."
            )
        return cast

    def node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output, both called ``name`` (numbered if taken); returns it."""
        unique = self._claim(name)
        self._nodes.append(helper.make_node(operator, inputs, [unique], name=unique, **attributes))
        return unique

    def model(self) -> onnx.ModelProto:
        """Return the model."""
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, self._weights
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
