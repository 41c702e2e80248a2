"""Our own graphs of scikit-learn's scalers, imputer, one-hot encoder and ``FunctionTransformer``.

skl2onnx converts these with fewer digits or fewer cases than a tabular pipeline needs, so they are
replaced for the one conversion that asks for it:

- scalers: in float32 a large offset (a year) is subtracted in two parts and costs no digits;
- ``SimpleImputer``: statistics in the graph's own precision, text columns, indicator columns;
- ``OneHotEncoder``: results in the graph's own precision, ``drop``, infrequent and missing
  categories, and numbers that are not whole;
- ``FunctionTransformer``: numpy's elementary functions, where skl2onnx knows the identity only.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import StringTensorType
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

from zoo.errors import ExportError
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.feeds import MISSING_TEXT
from zoo.onnx.functions import NAMES, add_function
from zoo.onnx.operators import Build, add_built, element_type, is_text, join, tensor_type

__all__ = ["SCALERS", "custom_converters"]

SCALERS = (StandardScaler, RobustScaler, MinMaxScaler, MaxAbsScaler)


def custom_converters(dtype: str) -> dict[str, dict[type, Any]]:
    """Collect what to pass to ``skl2onnx.convert_sklearn``.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Type of the graph's numbers.

    Returns
    -------
    dict
        The keyword arguments ``custom_conversion_functions`` and ``custom_shape_calculators``.
    """
    builds: dict[type, Build] = dict.fromkeys(SCALERS, _build_scaler)
    builds |= {
        SimpleImputer: _build_imputer,
        OneHotEncoder: _build_one_hot,
        FunctionTransformer: _build_function,
    }

    def converter(build: Build) -> Callable[[Any, Any, Any], None]:
        def convert(scope: Any, operator: Any, container: Any) -> None:
            add_built(scope, operator, container, dtype, build, operator.outputs[0].full_name)

        return convert

    def shape(operator: Any) -> None:
        model = operator.raw_operator
        if isinstance(model, FunctionTransformer):
            # elementwise, and its names may be unknown
            widths = [variable.type.shape[1] for variable in operator.inputs]
            width = None if None in widths else sum(widths)
        else:
            width = len(model.get_feature_names_out())
        rows = operator.inputs[0].get_first_dimension()
        keeps_text = isinstance(model, SimpleImputer | FunctionTransformer)
        text = keeps_text and is_text(operator.inputs[0])
        kind = StringTensorType if text else tensor_type(dtype)
        operator.outputs[0].type = kind([rows, width])

    return {
        "custom_conversion_functions": {cls: converter(build) for cls, build in builds.items()},
        "custom_shape_calculators": dict.fromkeys(builds, shape),
    }


def _build_function(
    builder: GraphBuilder, values: list[str], inputs: list[Any], transformer: Any
) -> str:
    """Apply a function element by element; ``feature_names_out`` only names columns."""
    if transformer.func is not None and any(is_text(variable) for variable in inputs):
        raise ExportError("The function of a FunctionTransformer takes numbers. Got text columns.")
    value = add_function(builder, join(builder, values), transformer.func)
    if value is None or transformer.kw_args:
        raise ExportError(
            f"The function of a FunctionTransformer must be one of numpy's {NAMES}, or None. "
            f"Got {transformer!r}."
        )
    return value


def _build_scaler(builder: GraphBuilder, values: list[str], inputs: list[Any], scaler: Any) -> str:
    x = join(builder, values)
    centre = scale = None
    if isinstance(scaler, StandardScaler):
        centre = scaler.mean_ if scaler.with_mean else None
        scale = scaler.scale_ if scaler.with_std else None
    elif isinstance(scaler, RobustScaler):
        centre = scaler.center_ if scaler.with_centering else None
        scale = scaler.scale_ if scaler.with_scaling else None
    elif isinstance(scaler, MinMaxScaler):
        centre, scale = scaler.data_min_, 1.0 / scaler.scale_
    else:
        scale = scaler.scale_
    if centre is not None:
        x = builder.centred(x, centre)
    if scale is not None:
        x = builder.node("Div", [x, builder.weight("scale", scale)], "scaled")
    if isinstance(scaler, MinMaxScaler):
        low, high = (builder.weight("end", float(end)) for end in scaler.feature_range)
        x = builder.node("Add", [x, low], "in_range")
        if scaler.clip:
            x = builder.node("Clip", [x, low, high], "clipped")
    return x


def _build_imputer(
    builder: GraphBuilder, values: list[str], inputs: list[Any], imputer: SimpleImputer
) -> str:
    x = join(builder, values)
    text = is_text(inputs[0])
    missing = _missing_flags(builder, x, imputer.missing_values, text=text)
    statistics = imputer.statistics_.tolist()
    empty = np.array([isinstance(value, float) and np.isnan(value) for value in statistics])
    if text:
        words = [MISSING_TEXT if gone else v for v, gone in zip(statistics, empty, strict=True)]
        fill = builder.text_weight("statistics", words)
    else:
        fill = builder.weight("statistics", np.array(statistics, dtype=np.float64))
    filled = builder.node("Where", [missing, fill, x], "filled")
    if empty.any() and not imputer.keep_empty_features:
        kept = builder.weight("kept", np.flatnonzero(~empty), np.int64)
        filled = builder.node("Gather", [filled, kept], "kept_columns", axis=1)
    if imputer.indicator_ is None:
        return filled
    if text:
        raise ExportError("A SimpleImputer of text columns with add_indicator=True has no graph.")
    marked = builder.weight("indicated", imputer.indicator_.features_, np.int64)
    flags = builder.node("Gather", [missing, marked], "flags", axis=1)
    numbers = builder.node("Cast", [flags], "indicators", to=element_type(builder))
    return builder.node("Concat", [filled, numbers], "with_indicators", axis=1)


def _missing_flags(builder: GraphBuilder, x: str, marker: Any, *, text: bool) -> str:
    if text:
        word = marker if isinstance(marker, str) else MISSING_TEXT
        return builder.node("Equal", [x, builder.text_weight("marker", [word])], "missing")
    if isinstance(marker, int | float) and not np.isnan(marker):
        return builder.node("Equal", [x, builder.weight("marker", float(marker))], "missing")
    return builder.node("IsNaN", [x], "missing")


def _build_one_hot(
    builder: GraphBuilder, values: list[str], inputs: list[Any], encoder: OneHotEncoder
) -> str:
    strict = encoder.handle_unknown == "error"
    columns = _single_columns(builder, values, inputs, len(encoder.categories_))
    parts = [
        _category_flags(builder, column, categories.tolist(), text=text, strict=strict)
        for (column, text), categories in zip(columns, encoder.categories_, strict=True)
    ]
    flags = join(builder, parts)
    n_categories = sum(len(categories) for categories in encoder.categories_)
    if encoder.drop_idx_ is None and len(encoder.get_feature_names_out()) == n_categories:
        return flags
    matrix, bias = _category_map(encoder, strict=strict)
    weights = [builder.weight("category_map", matrix), builder.weight("category_bias", bias)]
    return builder.node("Gemm", [flags, *weights], "encoded")


def _single_columns(
    builder: GraphBuilder, values: list[str], inputs: list[Any], n_columns: int
) -> list[tuple[str, bool]]:
    """Names of single columns (n, 1), and whether each holds text."""
    columns: list[tuple[str, bool]] = []
    for value, variable in zip(values, inputs, strict=True):
        width = variable.type.shape[1] if len(inputs) > 1 else n_columns
        if width == 1:
            columns.append((value, is_text(variable)))
            continue
        for number in range(width):
            index = builder.weight("column_number", [number], np.int64)
            column = builder.node("Gather", [value, index], "column", axis=1)
            columns.append((column, is_text(variable)))
    return columns


def _is_missing(category: object) -> bool:
    return category is None or (isinstance(category, float) and bool(np.isnan(category)))


def _category_flags(
    builder: GraphBuilder, column: str, categories: list[Any], *, text: bool, strict: bool
) -> str:
    """Add the zeros and ones (n, n_categories) of one column."""
    missing = [_is_missing(category) for category in categories]
    if sum(missing) > 1:
        raise ExportError("A OneHotEncoder that tells None from NaN has no graph.")
    if text:
        words = [MISSING_TEXT if _is_missing(c) else str(c) for c in categories]
        if len(set(words)) < len(words):
            raise ExportError(f"The categories {words[:5]} of a OneHotEncoder coincide as text.")
        if strict:
            return _strict_flags(builder, column, len(words), cats_strings=words)
        same = builder.node("Equal", [column, builder.text_weight("categories", words)], "same")
        return builder.node("Cast", [same], "flags", to=element_type(builder))
    if not all(_is_missing(c) or isinstance(c, int | float) for c in categories):
        raise ExportError(
            f"A OneHotEncoder of text categories must be given a text column in the rows that an "
            f"export starts from. Got numbers for the categories {categories[:5]}."
        )
    if strict:
        if not all(float(number).is_integer() for number in categories):
            raise ExportError(
                f"A OneHotEncoder with handle_unknown='error' must have text or whole number "
                f"categories: use handle_unknown='ignore'. Got {categories[:5]}."
            )
        whole = builder.node("Cast", [column], "whole", to=onnx.TensorProto.INT64)
        integers = [int(number) for number in categories]
        return _strict_flags(builder, whole, len(integers), cats_int64s=integers)
    numbers = np.array([np.nan if _is_missing(c) else float(c) for c in categories])
    same = builder.node("Equal", [column, builder.weight("categories", numbers)], "same")
    if any(missing):
        here = builder.weight("is_missing_category", missing, np.bool_)
        absent = builder.node("IsNaN", [column], "absent")
        both = builder.node("And", [absent, here], "missing_flag")
        same = builder.node("Or", [same, both], "same_or_missing")
    return builder.node("Cast", [same], "flags", to=element_type(builder))


def _strict_flags(
    builder: GraphBuilder, column: str, n_categories: int, **categories: list[Any]
) -> str:
    """Add the one operator that refuses unknown categories when it runs."""
    flags = builder.node(
        "OneHotEncoder", [column], "one_hot", domain="ai.onnx.ml", zeros=0, **categories
    )
    shape = builder.weight("flat_shape", [-1, n_categories], np.int64)
    flat = builder.node("Reshape", [flags, shape], "flat_flags")
    return builder.node("Cast", [flat], "flags", to=element_type(builder))


def _category_map(encoder: OneHotEncoder, *, strict: bool) -> tuple[NDArray, NDArray]:
    """Matrix and bias from zeros and ones to an encoding with dropped or infrequent categories.

    An encoding is a sum over columns, so a category's row in the matrix is what it changes in the
    encoding of a row of first categories. In a column of an unknown category all flags are zero:
    what that gives is the bias.
    """
    first = [categories[0] for categories in encoder.categories_]
    rows = [first]
    for column, categories in enumerate(encoder.categories_):
        for category in [*categories, _unknown_like(categories)][: -1 if strict else None]:
            rows.append([*first[:column], category, *first[column + 1 :]])
    table = np.empty((len(rows), len(first)), dtype=object)
    for number, row in enumerate(rows):
        table[number] = row
    if all(categories.dtype.kind in "biuf" for categories in encoder.categories_):
        table = table.astype(np.float64)
    with warnings.catch_warnings():
        # The rows are made up: an unknown category in each column, and no names.
        warnings.filterwarnings("ignore", message="Found unknown categories")
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        encoded = encoder.transform(table)
    dense = np.asarray(encoded if encoder.sparse_output is False else encoded.todense())
    bias, changes = dense[0].astype(np.float64), dense[1:] - dense[0]
    parts, start = [], 0
    for categories in encoder.categories_:
        block = changes[start : start + len(categories)]
        start += len(categories)
        if not strict:
            unknown = changes[start]
            block, bias = block - unknown, bias + unknown
            start += 1
        parts.append(block)
    return np.concatenate(parts), bias


def _unknown_like(categories: NDArray) -> Any:
    """Value of the categories' type that is none of them."""
    if categories.dtype.kind not in "biuf":
        return "".join(str(category) for category in categories) + "?"
    known = categories.astype(np.float64)
    return np.nanmax(known) + 1.0 if np.isfinite(known).any() else 0.0
