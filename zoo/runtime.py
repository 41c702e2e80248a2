"""Running exported folders on onnxruntime and numpy: no torch, no scikit-learn, no pandas."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError, FormatError, NameClashError
from zoo.onnx.bundle import TABULAR, Bundle, read_bundle
from zoo.onnx.feeds import column_reader, numeric_column, position_name, text_column
from zoo.onnx.labels import read_classes, restore_labels
from zoo.onnx.session import open_session, session_device

__all__ = ["TabularRunner", "load_onnx"]


def load_onnx(folder: str | os.PathLike[str], *, device: str = "auto") -> Any:
    """Load an exported folder for execution.

    Parameters
    ----------
    folder : path-like
        What ``export_onnx`` or ``zoo export`` wrote.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to run. ``"cuda"`` runs there or raises.

    Returns
    -------
    TabularRunner or the model's own runner
        It has the verbs of the model: ``predict``, ``predict_proba``, ...

    Raises
    ------
    zoo.errors.SourceError
        There is no such folder.
    zoo.errors.FormatError
        It is malformed.
    zoo.errors.IntegrityError
        A file is not the one that was written.
    zoo.errors.DeviceError
        ``device="cuda"`` cannot be had.
    zoo.errors.UnknownModelError
        The plugin whose runner executes the folder is not installed.
    zoo.errors.MissingDependencyError
        onnxruntime is missing.
    """
    bundle = read_bundle(folder)
    if bundle.runner == TABULAR:
        return TabularRunner(bundle, device=device)
    runner: Any = _find_runner(bundle)
    return runner(bundle, device=device)


def _find_runner(bundle: Bundle) -> object:
    from zoo.registry import registry
    from zoo.targets import import_target

    try:
        entry = registry().find(bundle.runner)
    except NameClashError:
        entry = registry().find(f"{bundle.distribution}:{bundle.runner}")
    if entry.spec.runner is None:
        raise FormatError(
            f"The bundle {bundle.folder} is to be run by the model {bundle.runner!r}, which has no "
            f"runner in {entry.distribution} {entry.version}."
        )
    return import_target(entry.spec.runner)


class TabularRunner:
    """Executes an exported regressor, classifier or whole pipeline.

    Parameters
    ----------
    bundle : zoo.onnx.Bundle
        The exported folder.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to run.

    Attributes
    ----------
    bundle : zoo.onnx.Bundle
        The exported folder.
    task : str
        What the model does.
    device : {"cpu", "cuda"}
        Where it runs.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where the model knew them; else there is no such attribute.
    classes_ : ndarray of shape (n_classes,)
        A classifier's classes; a regressor has no such attribute.

    Raises
    ------
    zoo.errors.FormatError
        The graph is not one of a tabular model.
    """

    def __init__(self, bundle: Bundle, *, device: str = "auto") -> None:
        self.bundle, self.task = bundle, bundle.task
        graph = bundle.graph()
        record = bundle.graphs["model"]
        self._inputs: list[dict[str, Any]] = record["inputs"]
        self._outputs = [output["name"] for output in record["outputs"]]
        metadata = bundle.metadata
        self._columns = _text_mapping(metadata.get("columns"), bundle)
        self._names = _text_list(metadata.get("feature_names"), bundle)
        self._accepts_missing = metadata.get("accepts_missing", False)
        if self._columns is not None:
            self._names = list(self._columns)
            self.n_features_in_ = len(self._columns)
            fits = list(self._columns.values()) == [value["name"] for value in self._inputs]
        else:
            shape = self._inputs[0]["shape"] if len(self._inputs) == 1 else []
            fits = len(shape) == 2 and isinstance(shape[1], int)
            self.n_features_in_ = shape[1] if fits else 0
        if self._names is not None:
            fits = fits and len(self._names) == self.n_features_in_
            if metadata.get("feature_names") is not None:
                self.feature_names_in_ = np.array(self._names, dtype=object)
        if not fits or not {"prediction", "label"} & set(self._outputs):
            raise FormatError(
                f"The graph of {bundle.folder} must take one matrix, or the columns that its "
                f"metadata lists, and give 'prediction' or 'label'. Got {record!r}."
            )
        if "label" in self._outputs:
            self.classes_ = read_classes(metadata)
        self._session = open_session(graph, device=device)
        self.device = session_device(self._session)

    def __repr__(self) -> str:
        """Say what runs where."""
        model = f"{self.bundle.model!r}, task={self.task!r}, n_features={self.n_features_in_}"
        return f"{type(self).__name__}({model}, device={self.device!r})"

    def predict(self, X: Any) -> NDArray:
        """Predict.

        Parameters
        ----------
        X : array-like, DataFrame or mapping of shape (n_samples, n_features)
            Rows. Named columns are taken by name, in any order.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Numbers, or classes.

        Raises
        ------
        zoo.errors.DataError
            A column is missing, too many, of another type or incomplete, or the graph refuses the
            rows (a category it does not know, for example).
        """
        if "prediction" in self._outputs:
            return self._run(X, "prediction")
        return restore_labels(self._run(X, "label"), self.classes_)

    def predict_proba(self, X: Any) -> NDArray:
        """Predict the probability of every class.

        Parameters
        ----------
        X : array-like, DataFrame or mapping of shape (n_samples, n_features)
            Rows. Named columns are taken by name, in any order.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.

        Raises
        ------
        AttributeError
            The model gives no probabilities.
        zoo.errors.DataError
            See `predict`.
        """
        if "probabilities" not in self._outputs:
            raise AttributeError(
                f"predict_proba is not available: the exported {self.bundle.model!r} "
                f"({self.task}) gives no probabilities."
            )
        return self._run(X, "probabilities")

    def feeds(self, X: Any) -> dict[str, NDArray]:
        """Turn rows into the inputs of the graph.

        Parameters
        ----------
        X : array-like, DataFrame or mapping of shape (n_samples, n_features)
            Rows. Named columns are taken by name, in any order.

        Returns
        -------
        dict of str to ndarray
            Input name to its array, for a session of onnxruntime.

        Raises
        ------
        zoo.errors.DataError
            See `predict`.
        """
        if self._columns is None and isinstance(X, np.ndarray) and X.dtype.kind in "biuf":
            return {self._inputs[0]["name"]: self._read_matrix(X)}
        columns = self._split(X)
        if self._columns is None:
            dtypes = [self._inputs[0]["dtype"]] * len(columns)
        else:
            dtypes = [value["dtype"] for value in self._inputs]
        arrays = [
            self._read(column, name, dtype)
            for (name, column), dtype in zip(columns.items(), dtypes, strict=True)
        ]
        heights = {name: len(array) for name, array in zip(columns, arrays, strict=True)}
        if len(set(heights.values())) > 1:
            raise DataError(f"The columns of X must have the same number of rows. Got {heights}.")
        if not min(heights.values(), default=0):
            raise DataError("X must have at least one row. Got none.")
        if self._columns is None:
            return {self._inputs[0]["name"]: np.stack(arrays, axis=1)}
        return {
            value["name"]: array[:, None] for value, array in zip(self._inputs, arrays, strict=True)
        }

    def _run(self, X: Any, output: str) -> NDArray:
        feeds = self.feeds(X)
        try:
            return np.asarray(self._session.run([output], feeds)[0])
        except Exception as error:  # onnxruntime's errors share no base but Exception
            first = str(error).strip().partition("\n")[0]
            raise DataError(f"The exported model refuses the rows: {first}.") from error

    def _split(self, X: Any) -> dict[str, Any]:
        """Columns of a table by name, in the graph's order."""
        named = column_reader(X)
        if named is None:
            return self._split_array(X)
        names, column = named
        if len(names) != len(set(names)):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            raise DataError(
                f"The columns of X must have different names. Got {_some(twice)} twice."
            )
        if self._names is None:
            self._check_width(len(names))
            return {name: column(name) for name in names}
        missing = [name for name in self._names if name not in names]
        extra = [name for name in names if name not in self._names]
        if missing or extra:
            raise DataError(
                f"The columns of X must be {_some(self._names)}. "
                f"Missing: {_some(missing)}; unknown: {_some(extra)}."
            )
        return {name: column(name) for name in self._names}

    def _split_array(self, X: Any) -> dict[str, Any]:
        rows = np.asarray(X)
        self._check_matrix(rows)
        names = self._names or [position_name(number) for number in range(rows.shape[1])]
        return dict(zip(names, rows.T, strict=True))

    def _check_matrix(self, rows: NDArray) -> None:
        if rows.ndim != 2:
            raise DataError(
                f"X must be two-dimensional, (n_samples, {self.n_features_in_}). "
                f"Got shape {rows.shape}."
            )
        self._check_width(rows.shape[1])

    def _read_matrix(self, rows: NDArray) -> NDArray:
        """Read numbers all at once; only where some are amiss, column by column to say which."""
        self._check_matrix(rows)
        if not len(rows):
            raise DataError("X must have at least one row. Got none.")
        dtype = self._inputs[0]["dtype"]
        with np.errstate(over="ignore"):
            cast = rows.astype(dtype)
        if np.isfinite(cast).all():
            return cast
        columns = self._split_array(rows)
        return np.stack([self._read(column, name, dtype) for name, column in columns.items()], 1)

    def _check_width(self, width: int) -> None:
        if width != self.n_features_in_:
            raise DataError(f"X must have {self.n_features_in_} columns. Got {width}.")

    def _read(self, column: Any, name: str, dtype: str) -> NDArray:
        if dtype == "string":
            return text_column(column, name)
        numbers = numeric_column(column, name)
        if np.isnan(numbers).any() and not self._may_miss(name):
            raise DataError(
                f"The column {name!r} must be complete: the exported model takes no missing "
                f"numbers there. Got NaN."
            )
        if np.isinf(numbers).any():
            raise DataError(f"The column {name!r} must be finite. Got infinity.")
        with np.errstate(over="ignore", invalid="ignore"):
            cast = numbers.astype(dtype)
        if np.isinf(cast).any():
            raise DataError(
                f"The column {name!r} must be within the range of {dtype}. "
                f"Got {numbers[np.isinf(cast)][0]:.3g}."
            )
        return cast

    def _may_miss(self, name: str) -> bool:
        if isinstance(self._accepts_missing, list):
            return name in self._accepts_missing
        return self._accepts_missing is True


def _some(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:8])) or "none"
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown


def _text_list(value: object, bundle: Bundle) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    raise FormatError(
        f"The feature_names of {bundle.folder} must be a list of text or null. Got {value!r}."
    )


def _text_mapping(value: object, bundle: Bundle) -> dict[str, str] | None:
    if value is None:
        return None
    if isinstance(value, dict) and all(isinstance(name, str) for name in value.values()):
        return value
    raise FormatError(
        f"The columns of {bundle.folder} must map names to inputs, or be null. Got {value!r}."
    )
