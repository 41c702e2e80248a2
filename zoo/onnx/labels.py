"""Class labels in a graph and in a manifest.

A graph holds labels as text or int64, JSON as strings, numbers and booleans. Booleans and whole
floats are int64 in the graph (``True`` is 1, ``2.0`` is 2); the manifest's ``classes_dtype`` says
what a runner turns them back into.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.errors import ExportError, FormatError

__all__ = ["class_metadata", "graph_classes", "read_classes", "restore_labels"]

_DTYPES = {"str": str, "bool": np.bool_, "int64": np.int64, "float64": np.float64}


def _kind(classes: NDArray) -> str:
    values = classes.tolist()
    if values and all(isinstance(value, str) for value in values):
        return "str"
    if values and all(isinstance(value, bool) for value in values):
        return "bool"
    if values and all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
        return "int64"
    if values and all(
        isinstance(value, float) and value.is_integer() and abs(value) < 2**53 for value in values
    ):
        return "float64"
    raise ExportError(
        f"The classes of a classifier in ONNX must all be text, or all be whole numbers, or all be "
        f"booleans. Got {values[:5]}."
    )


def graph_classes(classes: ArrayLike) -> NDArray:
    """Turn classes into what a graph gathers labels from.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        ``estimator.classes_``.

    Returns
    -------
    ndarray of shape (n_classes,)
        Of str objects, or of int64.

    Raises
    ------
    zoo.errors.ExportError
        They are neither text, whole numbers nor booleans, or are mixed.
    """
    array = np.asarray(classes)
    if _kind(array) == "str":
        return np.array([str(value) for value in array], dtype=object)
    return array.astype(np.int64)


def class_metadata(classes: ArrayLike | None) -> dict[str, Any]:
    """Describe classes in a manifest.

    Parameters
    ----------
    classes : array-like of shape (n_classes,) or None
        ``estimator.classes_``, or None for a regressor.

    Returns
    -------
    dict
        ``classes`` and ``classes_dtype``.

    Raises
    ------
    zoo.errors.ExportError
        See `graph_classes`.
    """
    if classes is None:
        return {"classes": None, "classes_dtype": None}
    array = np.asarray(classes)
    return {"classes": array.tolist(), "classes_dtype": _kind(array)}


def read_classes(metadata: dict[str, Any]) -> NDArray:
    """Read classes back from a manifest.

    Parameters
    ----------
    metadata : dict
        What `class_metadata` wrote.

    Returns
    -------
    ndarray of shape (n_classes,)
        In the type they had.

    Raises
    ------
    zoo.errors.FormatError
        The entries are missing or do not fit each other.
    """
    values, dtype = metadata.get("classes"), metadata.get("classes_dtype")
    fits: dict[str, Any] = {"str": str, "bool": bool, "int64": int, "float64": (int, float)}
    if (
        not isinstance(values, list)
        or not values
        or not isinstance(dtype, str)
        or dtype not in fits
        or not all(isinstance(value, fits[dtype]) for value in values)
    ):
        raise FormatError(
            f"The classes of a bundle must be a list of one type that classes_dtype names, one of "
            f"{', '.join(fits)}. Got {values!r} and {dtype!r}."
        )
    try:
        return np.array(values, dtype=_DTYPES[dtype])
    except OverflowError as error:
        raise FormatError(f"The classes of a bundle must fit {dtype}: {error}.") from error


def restore_labels(labels: NDArray, classes: NDArray) -> NDArray:
    """Turn a graph's labels into the classes' own type.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        The output ``label``.
    classes : ndarray of shape (n_classes,)
        What `read_classes` returned.

    Returns
    -------
    ndarray of shape (n_samples,)
        In the type of ``classes``.
    """
    return labels.astype(classes.dtype)
