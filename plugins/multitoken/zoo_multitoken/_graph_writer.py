"""Writing an ONNX graph node by node: names, constants, weights, inputs and outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import helper, numpy_helper

__all__ = ["SCALE", "GraphWriter"]

#: What the name of a scale adds to that of its int8 matrix.
SCALE = ".scale"


class GraphWriter:
    """A graph under way; constants of one value and weights of one name are written once.

    Parameters
    ----------
    weights : mapping of str to ndarray
        By name.
    scales : mapping of str to ndarray of shape (outputs,)
        Of the matrices that are given as int8.
    dtype : dtype-like
        Floating type of the computation.
    """

    def __init__(
        self, weights: Mapping[str, NDArray], scales: Mapping[str, NDArray], *, dtype: Any
    ) -> None:
        self.weights, self.scales, self.dtype = weights, scales, dtype
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{what}_{self._count}"

    def _op(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        return self._ops(operator, inputs, 1, **attributes)[0]

    def _ops(
        self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any
    ) -> list[str]:
        names = [self._name(operator.lower()) for _ in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def _constant(self, value: ArrayLike, dtype: DTypeLike = np.int64, name: str = "") -> str:
        array = np.asarray(value, dtype=dtype)
        name = name or f"constant_{array.dtype}_{array.tolist()}"
        if name not in self._tensors:
            self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _weight(self, name: str) -> str:
        value = self.weights[name]
        if name not in self.scales:
            return self._constant(value, self.dtype, name)
        scaled = name + ".scaled"
        if not any(scaled in node.output for node in self._nodes):
            inputs = [
                self._constant(value, np.int8, name),
                self._constant(self.scales[name], self.dtype, name + SCALE),
            ]
            self._nodes.append(helper.make_node("DequantizeLinear", inputs, [scaled], axis=-1))
        return scaled

    def _input(self, name: str, shape: list[int | str], dtype: DTypeLike) -> str:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def _output(
        self, value: str, name: str, shape: list[int | str], dtype: DTypeLike = np.float32
    ) -> None:
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._outputs.append(helper.make_tensor_value_info(name, element, shape))

    def _float32(self, value: str) -> str:
        if self.dtype == np.float32:
            return value
        return self._op("Cast", [value], to=onnx.TensorProto.FLOAT)
