"""A fitted estimator as plain values and arrays, and back."""

from typing import Any

import numpy as np

from zoo.persistence import FittedState
from zoo_kan.network import KANNetwork

__all__ = ["restore", "snapshot"]

_VALUES = {
    "solver": str,
    "n_iter": int,
    "loss": float,
    "history": list,
    "converged": bool,
    "smoothness": float,
    "effective_parameters": float,
    "n_features_in": int,
}
_ROWS = ("X", "y", "weight")
_LABELS = {"string": str, "integer": int, "float": float, "boolean": bool}


def _labels_to_json(classes: np.ndarray) -> dict[str, Any]:
    labels = classes.tolist()
    for kind, python_type in _LABELS.items():
        if all(type(label) is python_type for label in labels):
            return {"kind": kind, "dtype": classes.dtype.str, "labels": labels}
    raise ValueError(
        f"Classes can be saved if they are all strings, ints, floats or bools. Got {labels}."
    )


def _labels_from_json(value: Any) -> np.ndarray:
    python_type = _LABELS[value["kind"]]
    labels = value["labels"]
    dtype = np.dtype(value["dtype"])
    if not isinstance(labels, list) or not all(type(label) is python_type for label in labels):
        raise ValueError(f"Classes must be a list of {value['kind']} labels. Got {labels!r}.")
    if dtype.kind not in "OUiufb":
        raise ValueError(f"Classes cannot have dtype {dtype}.")
    classes = np.array(labels, dtype=dtype)
    if classes.tolist() != labels or len(np.unique(classes)) != len(labels):
        raise ValueError(f"Classes must be distinct and fit dtype {dtype}. Got {labels!r}.")
    return classes


def snapshot(estimator: Any) -> FittedState:
    """State of a fitted `KANRegressor` or `KANClassifier`."""
    names = getattr(estimator, "feature_names_in_", None)
    values: dict[str, Any] = {
        "network": estimator.network_.to_config(),
        "feature_names_in": None if names is None else [str(name) for name in names],
        "n_outputs": getattr(estimator, "n_outputs_", None),
    }
    values.update({name: getattr(estimator, f"{name}_") for name in _VALUES})
    classes = getattr(estimator, "classes_", None)
    values["classes"] = None if classes is None else _labels_to_json(classes)
    arrays = dict(estimator.network_.to_arrays())
    arrays.update({f"rows.{name}": estimator.rows_[name] for name in _ROWS})
    return FittedState(values=values, arrays=arrays)


def restore(estimator: Any, state: FittedState) -> None:
    """Set the fitted attributes of an estimator from a state.

    Raises
    ------
    ValueError
        If values or arrays are missing, of another type, or do not fit together.
    """
    values, arrays = state.values, dict(state.arrays)
    for name, kind in _VALUES.items():
        value = values.get(name)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise ValueError(f"The value {name!r} of a KAN must be a {kind.__name__}.")
    rows = {}
    for name in _ROWS:
        if f"rows.{name}" not in arrays:
            raise ValueError(f"Array 'rows.{name}' of a KAN is missing.")
        rows[name] = arrays.pop(f"rows.{name}")
    network = KANNetwork.from_arrays(values["network"], arrays)
    n_features, n_outputs = network.widths[0], network.widths[-1]
    if values["n_features_in"] != n_features or rows["X"].shape[1:] != (n_features,):
        raise ValueError(f"A KAN of {n_features} features has rows or names of another number.")
    if not len(rows["X"]) == len(rows["y"]) == len(rows["weight"]) or rows["weight"].ndim != 1:
        raise ValueError("The rows kept by a KAN must be equally many in X, y and weight.")
    names = values["feature_names_in"]
    if names is not None and (
        not isinstance(names, list)
        or len(names) != n_features
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"The feature names of a KAN must be {n_features} strings or None.")
    if values["classes"] is not None:
        classes = _labels_from_json(values["classes"])
        if n_outputs != (1 if len(classes) == 2 else len(classes)) or len(classes) < 2:
            raise ValueError(f"A KAN of {n_outputs} logits cannot have {len(classes)} classes.")
        estimator.classes_ = classes
    elif values["n_outputs"] != n_outputs:
        raise ValueError(f"A KAN of {n_outputs} outputs says it has {values['n_outputs']!r}.")
    else:
        estimator.n_outputs_ = n_outputs
    for name in _VALUES:
        setattr(estimator, f"{name}_", values[name])
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
    estimator.network_, estimator.rows_, estimator.net_ = network, rows, None
