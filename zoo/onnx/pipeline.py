"""A whole scikit-learn pipeline as one graph, and as a bundle.

skl2onnx converts scikit-learn's own steps; every estimator of the zoo inside, however deeply
nested, brings the graph of its exporter. Outputs follow the conventions of `zoo.onnx.Export`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

from zoo.errors import ExportError, MissingDependencyError, UnknownModelError, ZooError
from zoo.onnx.builder import OPSETS
from zoo.onnx.export import Export, call_exporter, write_export
from zoo.onnx.graphs import PROPERTY_PREFIX, check_graph, clean_graph
from zoo.onnx.inline import add_prefix, tidy_graph
from zoo.onnx.labels import class_metadata, graph_classes
from zoo.onnx.reference import predict_like_graph
from zoo.onnx.tables import Table

__all__ = ["export_pipeline", "to_onnx"]

_ML_OPSET = 3  # the first with float64 trees; onnxruntime runs all of it
_RTOL = {"float32": 1e-4, "float64": 1e-9}


def to_onnx(model: Any, X: Any, *, dtype: str | None = None, opset: int = 20) -> onnx.ModelProto:
    """Convert a fitted estimator of the zoo, or a scikit-learn model around one, to one graph.

    Parameters
    ----------
    model : estimator
        A fitted regressor or classifier: a `sklearn.pipeline.Pipeline`, a meta-estimator, or an
        estimator of the zoo.
    X : array-like or pandas.DataFrame of shape (n_samples, n_features)
        Rows like those it was fitted on, from which names and types of the columns are taken. A
        table of numbers becomes one input ``X``; a DataFrame with text, or one whose columns a
        ``ColumnTransformer`` selects, becomes one input per column. A missing value in a text
        column is fed as ``"nan"``.
    dtype : {"float32", "float64"} or None, default=None
        Type of the graph's numbers, inputs included. ``None`` takes float32 when all floats of
        ``X`` are float32, else float64.
    opset : int, default=20
        Version of the ONNX operators, 19 to 22.

    Returns
    -------
    onnx.ModelProto
        The graph. Its property ``zoo.columns`` maps column names to inputs, as JSON, where there is
        one input per column.

    Raises
    ------
    zoo.errors.ExportError
        A step cannot be converted, or ``dtype`` or ``opset`` is not supported.
    zoo.errors.DataError
        A column of ``X`` holds neither numbers nor text.
    zoo.errors.MissingDependencyError
        skl2onnx, which converts scikit-learn's steps, is missing.
    """
    return _convert(model, Table.read(X, by_column=_selects_columns(model), dtype=dtype), opset)


def export_pipeline(
    pipeline: Any,
    X: Any,
    folder: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    opset: int = 20,
    verify: bool = True,
    overwrite: bool = False,
    rtol: float | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a fitted pipeline as a folder that `zoo.load_onnx` runs.

    Parameters
    ----------
    pipeline : estimator
        See `to_onnx`.
    X : array-like or pandas.DataFrame of shape (n_samples, n_features)
        Rows like those it was fitted on, to verify on.
    folder : path-like
        Where to write. It is whole or absent.
    dtype, opset
        See `to_onnx`.
    verify : bool, default=True
        Run graph and pipeline on ``X``, rounded to the graph's precision, and raise where they
        differ.
    overwrite : bool, default=False
        Replace an exported folder that is there.
    rtol : float or None, default=None
        How much an output may differ, relative to the largest in its column. ``None`` stands
        for 1e-9 for a float64 pipeline that ends in an estimator of the zoo, else for 1e-4.
    files : mapping of str to bytes or None, default=None
        Further files to put into the folder, by name.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    zoo.errors.VerificationError
        The graph computes other numbers than the pipeline. Nothing is left behind.
    zoo.errors.ExportError, zoo.errors.DataError, zoo.errors.MissingDependencyError
        See `to_onnx`.
    zoo.errors.FolderExistsError
        Something is at ``folder`` that may not be replaced.
    """
    table = Table.read(X, by_column=_selects_columns(pipeline), dtype=dtype)
    graph = _convert(pipeline, table, opset)
    classes = _classes(pipeline)
    export = Export(
        graphs={"model": graph},
        metadata={
            **class_metadata(classes),
            "feature_names": table.feature_names,
            "columns": table.inputs,
            "accepts_missing": _accepts_missing(pipeline, table, graph, classes),
        },
        samples=table.feeds,
        reference=lambda _: predict_like_graph(pipeline, table.rounded(), classes),
        files=dict(files or {}),
        rtol=_tolerance(pipeline, table.dtype) if rtol is None else rtol,
    )
    return write_export(
        export,
        folder,
        task="regression" if classes is None else "classification",
        verify=verify,
        overwrite=overwrite,
        **_maker(pipeline),
    )


def _classes(model: Any) -> NDArray | None:
    from sklearn.base import is_classifier, is_regressor

    if is_classifier(model):
        classes = model.classes_
        if isinstance(classes, list) or np.ndim(classes) != 1:
            raise ExportError("A classifier of several targets at once has no graph.")
        return np.asarray(classes)
    if is_regressor(model):
        return None
    raise ExportError(
        f"An exported pipeline must end in a regressor or classifier. "
        f"Got a {type(model).__qualname__}."
    )


def _convert(model: Any, table: Table, opset: int) -> onnx.ModelProto:
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    classes = _classes(model)
    if opset not in OPSETS:
        raise ExportError(
            f"The opset of an exported pipeline must be from {OPSETS[0]} to {OPSETS[-1]}. "
            f"Got {opset!r}."
        )
    if table.dtype not in _RTOL:
        raise ExportError(
            f"The dtype of an exported pipeline must be 'float32' or 'float64'. "
            f"Got {table.dtype!r}."
        )
    if table.inputs is None and _owner(model) is not None:
        options = {"dtype": table.dtype, "opset": opset}
        return clean_graph(call_exporter(model, None, options).graphs["model"])
    graph = _convert_by_skl2onnx(_best(model), table, opset, classes)
    predicted = predict_like_graph(model, table.rounded()[:1], classes)
    _follow_conventions(graph, table, predicted, classes)
    tidy_graph(graph.graph)
    if table.inputs is not None:
        helper.set_model_props(graph, {PROPERTY_PREFIX + "columns": json.dumps(table.inputs)})
    graph = clean_graph(graph)
    check_graph(graph, f"what skl2onnx makes of {type(model).__qualname__}", ExportError)
    return graph


def _best(model: Any) -> Any:
    """Put what a search found in place of the search, which skl2onnx knows one kind of."""
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.pipeline import Pipeline

    if isinstance(model, BaseSearchCV):
        return _best(model.best_estimator_)
    if type(model) is Pipeline:
        return Pipeline([(name, _best(step)) for name, step in model.steps])
    return model


def _convert_by_skl2onnx(
    model: Any, table: Table, opset: int, classes: ArrayLike | None
) -> onnx.ModelProto:
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
    except ImportError as error:
        raise MissingDependencyError(
            "Converting a scikit-learn pipeline needs skl2onnx: pip install skl2onnx."
        ) from error
    from zoo.onnx.converters import register_converters
    from zoo.onnx.preprocessing import custom_converters

    register_converters()
    number = DoubleTensorType if table.dtype == "float64" else FloatTensorType
    types: list[tuple[str, Any]]
    if table.inputs is None:
        types = [("X", number([None, len(table.columns)]))]
    else:
        types = [
            (name, (StringTensorType if values.dtype == object else number)([None, 1]))
            for name, values in table.columns.items()
        ]
    try:
        return convert_sklearn(
            model,
            initial_types=types,
            name="pipeline",
            target_opset={"": opset, "ai.onnx.ml": _ML_OPSET},
            options=None if classes is None else {id(model): {"zipmap": False}},
            # Its optimiser renames values that branches read; tidy_graph does the work after it.
            model_optim=False,
            **custom_converters(table.dtype),
        )
    except ZooError:
        raise
    except Exception as error:  # skl2onnx raises whatever it meets
        first = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"skl2onnx cannot convert {type(model).__qualname__}: {type(error).__name__}: {first}"
        ) from error


def _follow_conventions(
    model: onnx.ModelProto,
    table: Table,
    predicted: dict[str, NDArray],
    classes: NDArray | None,
) -> None:
    """Give inputs and outputs the names, types and shapes of every graph of the zoo, in place."""
    graph = model.graph
    add_prefix(graph, "pipeline/")
    inputs = ["X"] if table.inputs is None else list(table.inputs.values())
    for value, name in zip(graph.input, inputs, strict=True):
        graph.node.append(helper.make_node("Identity", [name], [value.name], name=f"{name}_input"))
        value.name = name
        value.type.tensor_type.shape.dim[0].dim_param = "n_samples"
    results = [value.name for value in graph.output]
    del graph.output[:]
    for value_name, (name, values) in zip(results, predicted.items(), strict=False):
        result = value_name
        if name == "label" and classes is not None:
            dtype = graph_classes(classes).dtype
        else:
            dtype = np.dtype(table.dtype)
        element = helper.np_dtype_to_tensor_dtype(dtype)
        if element != onnx.TensorProto.STRING:
            cast = helper.make_node("Cast", [result], [f"{name}_cast"], f"{name}_cast", to=element)
            graph.node.append(cast)
            result = cast.output[0]
        shape = numpy_helper.from_array(np.array([-1, *values.shape[1:]]), f"{name}_shape")
        graph.initializer.append(shape)
        names = [result, shape.name]
        graph.node.append(helper.make_node("Reshape", names, [name], name=f"{name}_reshape"))
        axes = ["n_samples", *values.shape[1:]]
        graph.output.append(helper.make_tensor_value_info(name, element, axes))


def _accepts_missing(
    model: Any, table: Table, graph: onnx.ModelProto, classes: NDArray | None
) -> list[str]:
    """Columns of numbers where model and graph both take NaN, and agree on what it means."""
    from zoo.onnx.session import open_session
    from zoo.onnx.verify import verify_outputs

    if not table.numeric:
        return []
    probe = table.with_missing()
    names = [value.name for value in graph.graph.output]
    session = open_session(graph.SerializeToString(), device="cpu")

    def run(inputs: dict[str, NDArray]) -> dict[str, NDArray]:
        return dict(zip(names, session.run(names, inputs), strict=True))

    try:
        wanted = predict_like_graph(model, probe.rounded(), classes)
        verify_outputs(run, probe.feeds, wanted, rtol=_RTOL["float32"], atol=0.0)
    except Exception:  # the model refuses NaN with whatever its steps raise, or the graph differs
        return [name for name in table.numeric if np.isnan(table.columns[name]).any()]
    return table.numeric


def _owner(model: Any) -> dict[str, str] | None:
    """Who a model comes from, if from a plugin."""
    from zoo.registry import registry

    try:
        entry, _ = registry().owner_of(type(model))
    except UnknownModelError:
        return None
    return {
        "model": entry.spec.name,
        "distribution": entry.distribution,
        "version": entry.version,
    }


def _maker(model: Any) -> dict[str, str]:
    """Who a bundle says it comes from: an estimator of the zoo inside, else scikit-learn."""
    import sklearn

    parts = [model, *model.get_params(deep=True).values()]
    owners = [_owner(part) for part in parts if isinstance(part, sklearn.base.BaseEstimator)]
    return next(filter(None, owners), None) or {
        "model": type(model).__name__,
        "distribution": "scikit-learn",
        "version": sklearn.__version__,
    }


def _tolerance(model: Any, dtype: str) -> float:
    """Tolerance of verification: scikit-learn's own predictors compute some things in float32."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import Pipeline

    last = _best(model)
    while isinstance(last, Pipeline | TransformedTargetRegressor):
        last = _best(last.steps[-1][1] if isinstance(last, Pipeline) else last.regressor_)
    return _RTOL[dtype if _owner(last) is not None else "float32"]


def _selects_columns(model: Any) -> bool:
    from sklearn.compose import ColumnTransformer

    parts = [model, *model.get_params(deep=True).values()]
    return any(isinstance(part, ColumnTransformer) for part in parts)
