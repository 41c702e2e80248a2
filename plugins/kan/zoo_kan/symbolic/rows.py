"""What `to_symbolic` is given, checked.

Axes: ``n`` rows, ``m`` columns, ``k`` outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.symbolic.refit import RESOLUTION
from zoo_kan.symbolic.units import Units, UnitsLike

__all__ = ["Rows", "check_labels", "check_rows", "check_units"]

Array = NDArray[np.floating]

_MOST_ROWS = 4000
_NETWORK_RESOLUTION = 1e-3  # a network is no closer to a law than that


@dataclass
class Rows:
    """Rows that a formula is fitted to.

    Attributes
    ----------
    X : ndarray of shape (n, m)
    Y : ndarray of shape (n, k)
    weight : ndarray of shape (n,)
    names : list of str
        Of the columns.
    resolution : float
        Relative error below which a formula counts as exact.
    """

    X: Array
    Y: Array
    weight: Array
    names: list[str]
    resolution: float


def check_rows(
    network: KANNetwork,
    X: ArrayLike,
    y: ArrayLike | None,
    weight: ArrayLike | None,
    names: Sequence[str] | None,
    task: str,
    seed: int,
) -> Rows:
    """Rows that a formula may be fitted to; parameters as in `zoo_kan.symbolic.to_symbolic`."""
    rows = np.asarray(X, dtype=np.float64)
    n_features = network.widths[0]
    if rows.ndim != 2 or rows.shape[1] != n_features or not len(rows):
        raise ValueError(
            f"X of to_symbolic must have shape (n_samples, {n_features}), n_samples at least 1. "
            f"Got {rows.shape}."
        )
    if task not in ("regression", "classification"):
        raise ValueError(
            f"task of to_symbolic must be 'regression' or 'classification'. Got {task!r}."
        )
    if y is None and task == "classification":
        raise ValueError("y of to_symbolic must be the classes of a classifier. Got None.")
    targets = network.forward(rows) if y is None else np.asarray(y, dtype=np.float64)
    targets = targets.reshape(len(targets), -1)
    expected = 1 if task == "classification" else network.widths[-1]
    if targets.shape != (len(rows), expected):
        raise ValueError(
            f"y of to_symbolic must have shape ({len(rows)}, {expected}) or ({len(rows)},). "
            f"Got {targets.shape}."
        )
    counts = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
    if counts.shape != (len(rows),) or not (counts >= 0.0).all() or not counts.sum() > 0.0:
        raise ValueError(
            f"weight of to_symbolic must be {len(rows)} numbers from 0 up, not all 0. "
            f"Got shape {counts.shape}."
        )
    if not (np.isfinite(rows).all() and np.isfinite(targets).all() and np.isfinite(counts).all()):
        raise ValueError("X, y and weight of to_symbolic must be finite. Got NaN or infinity.")
    shown = [f"x{j}" for j in range(n_features)] if names is None else [str(n) for n in names]
    if len(shown) != n_features or len(set(shown)) != n_features or not all(shown):
        raise ValueError(
            f"feature_names of to_symbolic must be {n_features} different names. Got {shown}."
        )
    kept = np.flatnonzero(counts > 0.0)
    if len(kept) > _MOST_ROWS:
        kept = np.sort(np.random.default_rng(seed).choice(kept, _MOST_ROWS, replace=False))
    counts = counts[kept]
    if counts.sum() < len(counts):  # relative importance, not frequencies
        counts = counts * (len(counts) / counts.sum())
    resolution = _NETWORK_RESOLUTION if y is None else RESOLUTION
    return Rows(rows[kept], targets[kept], counts, shown, resolution)


def check_units(
    names: Sequence[str],
    units: Mapping[str, UnitsLike] | None,
    target_units: UnitsLike | Sequence[UnitsLike] | None,
    n_outputs: int,
    task: str,
) -> list[Units | None]:
    """Units of the problem of every output; parameters as in `zoo_kan.symbolic.to_symbolic`."""
    if units is None:
        if target_units is not None:
            raise ValueError(
                f"target_units of to_symbolic needs the units of the columns too. "
                f"Got units=None, target_units={target_units!r}."
            )
        return [None] * n_outputs
    if task == "classification":
        if target_units is not None:
            raise ValueError(
                f"target_units of to_symbolic must be None for a classifier, whose logits have no "
                f"units. Got {target_units!r}."
            )
        target_units = "1"
    if isinstance(target_units, Sequence) and not isinstance(target_units, str):
        targets: list[UnitsLike | None] = list(target_units)
    else:
        targets = [target_units] * n_outputs
    if len(targets) != n_outputs:
        raise ValueError(
            f"target_units of to_symbolic must be units, or a list of {n_outputs}, one for every "
            f"output. Got {len(targets)}."
        )
    return [Units.of(names, units, target) for target in targets]


def check_labels(classes: ArrayLike | None, n_outputs: int, task: str) -> NDArray | None:
    """Labels of a classifier's classes; parameters as in `zoo_kan.symbolic.to_symbolic`."""
    if task == "regression":
        return None
    n_classes = max(2, n_outputs)
    labels = np.arange(n_classes) if classes is None else np.asarray(classes)
    if len(labels) != n_classes:
        raise ValueError(
            f"classes of to_symbolic must be {n_classes} labels for a network with {n_outputs} "
            f"outputs. Got {len(labels)}."
        )
    return labels
