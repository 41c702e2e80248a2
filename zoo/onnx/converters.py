"""What skl2onnx is taught: estimators of installed plugins, and ``TransformedTargetRegressor``."""

import sys
from typing import Any

import numpy as np
import onnx
from skl2onnx import get_model_alias, update_registered_converter
from skl2onnx.common.data_types import Int64TensorType, StringTensorType
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import FunctionTransformer

from zoo.errors import ExportError
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.export import call_exporter
from zoo.onnx.functions import NAMES, add_function
from zoo.onnx.inline import inline_graph
from zoo.onnx.operators import add_built, is_text, join, number_dtype, tensor_type
from zoo.onnx.preprocessing import SCALERS

__all__ = ["register_converters"]

# Declaring "zipmap" is what gives a classifier two outputs.
_CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}


def register_converters() -> None:
    """Register the converters with skl2onnx, where nested models look them up.

    Of the installed models only those whose module is imported already: no fitted pipeline can
    hold another.
    """
    from zoo.registry import registry

    update_registered_converter(
        TransformedTargetRegressor,
        "ZooTransformedTargetRegressor",
        _target_shape,
        _convert_target,
    )
    found = registry()
    for entry in found.entries + found.clashing:
        if entry.spec.exporter is None:
            continue
        for task, target in entry.spec.targets.items():
            module, _, name = target.partition(":")
            cls = getattr(sys.modules.get(module), name, None)
            if isinstance(cls, type):
                _register_model(cls, f"Zoo_{entry.distribution}_{entry.spec.name}_{task}")


def _register_model(cls: type, alias: str) -> None:
    options = _CLASSIFIER_OPTIONS if issubclass(cls, ClassifierMixin) else None
    update_registered_converter(cls, alias, _model_shape, _convert_model, options=options)
    subclasses: list[type] = cls.__subclasses__()
    for subclass in subclasses:
        _register_model(subclass, f"{alias}_{subclass.__module__}.{subclass.__qualname__}")


def _model_graph(operator: Any) -> onnx.ModelProto:
    target = operator.target_opset
    options = {
        "dtype": number_dtype(operator.inputs[0]),
        "opset": int(target[""] if isinstance(target, dict) else target),
    }
    return call_exporter(operator.raw_operator, None, options).graphs["model"]


def _model_shape(operator: Any) -> None:
    graph = _model_graph(operator).graph
    rows = operator.inputs[0].get_first_dimension()
    kind = tensor_type(number_dtype(operator.inputs[0]))
    axes = graph.output[-1].type.tensor_type.shape.dim
    operator.outputs[-1].type = kind([rows, axes[1].dim_value if len(axes) == 2 else 1])
    if is_classifier(operator.raw_operator):
        text = graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.STRING
        operator.outputs[0].type = (StringTensorType if text else Int64TensorType)([rows])


def _convert_model(scope: Any, operator: Any, container: Any) -> None:
    graph = _model_graph(operator)
    matrix = scope.get_unique_variable_name("zoo_matrix")
    dtype = number_dtype(operator.inputs[0])
    add_built(scope, operator, container, dtype, _build_matrix, matrix)
    outputs = [variable.full_name for variable in operator.outputs]
    if len(outputs) == 2:
        inline_graph(scope, container, graph, [matrix], outputs)
        return
    # Meta-estimators expect two-dimensional predictions.
    flat = scope.get_unique_variable_name("zoo_prediction")
    inline_graph(scope, container, graph, [matrix], [flat])
    shape = scope.get_unique_variable_name("zoo_shape")
    width = operator.outputs[0].type.shape[1]
    container.add_initializer(shape, onnx.TensorProto.INT64, [2], [-1, width])
    name = scope.get_unique_operator_name("zoo_reshape")
    container.add_node("Reshape", [flat, shape], outputs, name=name)


def _build_matrix(builder: GraphBuilder, values: list[str], inputs: list[Any], model: Any) -> str:
    if any(is_text(variable) for variable in inputs):
        raise ExportError(f"The estimator {type(model).__name__} takes numbers. Got text columns.")
    return join(builder, values)


def _target_shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    width = getattr(operator.raw_operator.transformer_, "n_features_in_", None)
    operator.outputs[0].type = tensor_type(number_dtype(operator.inputs[0]))([rows, width])


def _convert_target(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    inner = scope.declare_local_operator(get_model_alias(type(model.regressor_)), model.regressor_)
    inner.inputs = list(operator.inputs)
    dtype = number_dtype(operator.inputs[0])
    variable = scope.declare_local_variable("zoo_target", tensor_type(dtype)())
    inner.outputs.append(variable)
    builder = GraphBuilder("inverse", dtype=dtype, opset=container.target_opset)
    y = builder.input("y", ["n", "n_outputs"])
    builder.output(_build_inverse(builder, y, model.transformer_), "out", ["n", "n_outputs"])
    outputs = [operator.outputs[0].full_name]
    inline_graph(scope, container, builder.model(), [variable.full_name], outputs)


def _build_inverse(builder: GraphBuilder, y: str, transformer: Any) -> str:
    if isinstance(transformer, SCALERS):
        width = transformer.n_features_in_
        ends = transformer.inverse_transform(np.array([[0.0], [1.0]]) * np.ones(width))
        scaled = builder.node("Mul", [y, builder.weight("slope", ends[1] - ends[0])], "scaled")
        return builder.node("Add", [scaled, builder.weight("intercept", ends[0])], "shifted")
    if isinstance(transformer, FunctionTransformer):
        value = add_function(builder, y, transformer.inverse_func)
        if value is not None:
            return value
    raise ExportError(
        f"The target of a TransformedTargetRegressor must be scaled by StandardScaler, "
        f"RobustScaler, MinMaxScaler or MaxAbsScaler, or have one of numpy's {NAMES} as inverse "
        f"function. Got {transformer!r}."
    )
