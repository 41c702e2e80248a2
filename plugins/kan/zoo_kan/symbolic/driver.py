"""`to_symbolic`: from a fitted network and rows of data to formulas.

Axes: ``n`` rows, ``k`` outputs.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, r2_score

from zoo_kan.network import KANNetwork
from zoo_kan.symbolic.formula import SymbolicKAN, verdict
from zoo_kan.symbolic.library import Function, resolve_library
from zoo_kan.symbolic.noise import data_cost, logit_problem, noise_models
from zoo_kan.symbolic.pareto import FormulaRow
from zoo_kan.symbolic.refit import RESOLUTION, Problem
from zoo_kan.symbolic.search import Candidate, Search
from zoo_kan.symbolic.shortlist import shortlist
from zoo_kan.symbolic.structure import Shape
from zoo_kan.symbolic.tidy import Scaling

__all__ = ["to_symbolic"]

Array = NDArray[np.floating]
Progress = Callable[[dict[str, Any]], None]

_MOST_ROWS = 4000
_NETWORK_RESOLUTION = 1e-3  # a network is no closer to a law than that


@dataclass
class _Data:
    """Checked rows."""

    X: Array
    Y: Array
    weight: Array
    names: list[str]
    resolution: float  # relative error below which a formula counts as exact


def _check(
    network: KANNetwork,
    X: ArrayLike,
    y: ArrayLike | None,
    weight: ArrayLike | None,
    names: Sequence[str] | None,
    task: str,
    seed: int,
) -> _Data:
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
    return _Data(rows[kept], targets[kept], counts, shown, resolution)


def _network_shapes(network: KANNetwork, X: Array, target: Array, scaling: Scaling) -> list[Shape]:
    """Shapes that the network itself has: a sum, or a link of a sum."""
    first = network.layers[0]
    parts = list(first.edges(network.standardise(X))[:, 0].T)
    value = scaling.apply(network.forward(X)[:, 0])
    variance = float(np.var(target)) or 1e-300
    with np.errstate(over="ignore"):
        error = float(np.mean((value - target) ** 2)) / variance
    if network.widths[1:] == [1]:
        size = float(network.output_scale[0]) / scaling.unit
        parts = [part * size - float(np.mean(part)) * size for part in parts]
        return [Shape("sum", parts, value, error, float(np.mean(value)))]
    if network.widths[1:] == [1, 1]:
        return [Shape("link", parts, value, error)]
    return []


def to_symbolic(
    network: KANNetwork,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    weight: ArrayLike | None = None,
    feature_names: Sequence[str] | None = None,
    task: str = "regression",
    classes: ArrayLike | None = None,
    library: Iterable[Function | str] | None = None,
    time_limit: float = 60.0,
    random_state: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> SymbolicKAN:
    """Find formulas that stand for a network, judged by the data.

    The network says how well the data can be explained and, if it has no more than one hidden
    node, which shape the law has. Shapes, closed forms and constants are then chosen on the data
    by description length: a simpler formula wins unless the data clearly speak for the longer one.
    Errors are taken to be of equal size, or, for targets of one sign that span more than a factor
    of 20, in proportion to the target if that makes the data likelier.

    Parameters
    ----------
    network : KANNetwork
        The fitted network. For a classifier its outputs are logits: one for two classes, else one
        for each.
    X : array-like of shape (n_samples, n_features)
        Raw inputs.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        Targets; numbers of the classes for a classifier. A regression without them stands for the
        network's own predictions.
    weight : array-like of shape (n_samples,), optional
        How often each row counts.
    feature_names : sequence of str, optional
        Any different strings; ``x0``, ``x1``, ... by default. They are never evaluated.
    task : {"regression", "classification"}
    classes : array-like of shape (n_classes,), optional
        Labels by number; 0, 1, ... by default.
    library : iterable of Function or str, optional
        Functions a formula may be made of; see `zoo_kan.symbolic.LIBRARY`.
    time_limit : float
        Seconds after which no new hypotheses are tried.
    random_state : int
        Seed. Results are the same for the same seed unless the time limit cuts in.
    n_jobs : int, optional
        Processes for the outputs of a network with several; as in scikit-learn, ``-1`` is all
        cores. The formulas are the same for any number.
    progress : callable, optional
        Called with a dict (``output``, ``stage``, ``tried``, ``seconds``) at every stage, unless
        there are several processes.

    Returns
    -------
    SymbolicKAN
        Always a formula, if need be a poor one: a constant or a straight line. How it compares
        with the network is in ``verdict_``.

    Raises
    ------
    ValueError
        If shapes do not fit, numbers are not finite, or names are not different.
    TypeError, ValueError
        If the library is malformed.
    """
    started = time.monotonic()
    functions = resolve_library(library)
    data = _check(network, X, y, weight, feature_names, task, random_state)
    logits = network.forward(data.X)
    labels = _labels(classes, logits.shape[1], task)
    n_outputs = logits.shape[1]
    settings = _Settings(network, data, logits, task, functions, random_state)
    workers = min(effective_n_jobs(n_jobs), n_outputs)
    found: list[_Found] = []
    if workers > 1:
        seconds = time_limit * workers / n_outputs
        found = Parallel(n_jobs=workers)(
            delayed(_find)(settings, output, seconds) for output in range(n_outputs)
        )
    else:
        for output in range(n_outputs):
            tried = sum(one.n_tried for one in found)

            def report(stage: str, output: int = output, tried: int = tried) -> None:
                if progress is not None:
                    passed = time.monotonic() - started
                    progress({"output": output, "stage": stage, "tried": tried, "seconds": passed})

            left = started + time_limit * (output + 1) / n_outputs - time.monotonic()
            found.append(_find(settings, output, left, report))
    formula = SymbolicKAN(
        [one.expression for one in found],
        feature_names=data.names,
        pareto=[row for one in found for row in one.rows],
        classes=labels,
        sample=data.X[:: max(1, len(data.X) // 1000)],
        n_tried=sum(one.n_tried for one in found),
        seconds=time.monotonic() - started,
    )
    _judge(formula, data, logits)
    return formula


@dataclass
class _Settings:
    """What the searches for all outputs share."""

    network: KANNetwork
    data: _Data
    logits: Array
    task: str
    library: tuple[Function, ...]
    seed: int


@dataclass
class _Found:
    """Result for one output."""

    expression: sympy.Expr
    rows: list[FormulaRow]
    n_tried: int


def _find(
    settings: _Settings,
    output: int,
    seconds: float,
    report: Callable[[str], None] = lambda stage: None,
) -> _Found:
    """Search the formula of one output."""
    deadline = time.monotonic() + seconds
    data = settings.data
    scalings = [Scaling.of(column) for column in data.X.T]
    columns = [scaling.apply(column) for scaling, column in zip(scalings, data.X.T, strict=True)]
    if settings.task == "regression":
        target = Scaling.of(data.Y[:, output])
        searches = _regression(settings.network, data, columns, target, output)
    else:
        target = Scaling(0.0, 1.0)
        searches = [_classification(data, columns, settings.logits, output)]
    best: tuple[float, Search, list[Candidate]] | None = None
    n_tried = 0
    for number, search in enumerate(searches, start=1):
        now = time.monotonic()
        search.deadline = now + (deadline - now) / (len(searches) - number + 1)
        search.library, search.seed, search.report = settings.library, settings.seed, report
        ranked = search.run()
        n_tried += search.n_tried
        cost = data_cost(ranked[0].length, search.problem, data.weight)
        if best is None or cost < best[0]:
            best = (cost, search, ranked)
        if search.explains(0.0):
            break
    if best is None:
        raise RuntimeError("A search must have a noise model.")
    _, search, ranked = best
    report("writing")
    expression, rows = shortlist(
        ranked, search, data.X, data.names, data.weight, scalings, target, output, settings.seed
    )
    return _Found(expression, rows, n_tried)


def _labels(classes: ArrayLike | None, n_outputs: int, task: str) -> NDArray | None:
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


def _regression(
    network: KANNetwork, data: _Data, columns: list[Array], target: Scaling, output: int
) -> list[Search]:
    """One search for each noise model that may suit."""
    y = target.apply(data.Y[:, output])
    predicted = target.apply(network.forward(data.X)[:, output])
    given = _network_shapes(network, data.X, y, target) if network.widths[-1] == 1 else []
    given = [shape for shape in given if np.isfinite(shape.error)]
    searches = []
    for problem in noise_models(Problem(columns, y, data.weight, resolution=data.resolution)):
        left = 2.0 * problem.loss(predicted) / problem.total
        attainable = left if math.isfinite(left) else np.inf
        searches.append(Search(problem, (), 0.0, attainable=attainable, given=given))
    return searches


def _classification(data: _Data, columns: list[Array], logits: Array, output: int) -> Search:
    """One class against the rest."""
    if logits.shape[1] == 1:
        positive, logit = data.Y[:, 0] == 1, logits[:, 0]
    else:
        positive = data.Y[:, 0] == output
        others = np.delete(logits, output, axis=1)
        logit = logits[:, output] - np.logaddexp.reduce(others, axis=1)
    # a pseudo-count keeps the logits of separable classes finite
    share = 1.0 / (len(positive) + 2.0)
    target = share + (1.0 - 2.0 * share) * positive
    problem = Problem(columns, target, data.weight, logistic=True)
    return Search(problem, (), 0.0, surrogate=logit_problem(columns, logit, data.weight))


def _judge(formula: SymbolicKAN, data: _Data, logits: Array) -> None:
    """Scores of the formula and the network on the data, and what they say."""
    if formula.classes_ is None:
        formula.network_score_ = _r2(data.Y, logits, data.weight)
        formula.score_ = _r2(data.Y, formula.decision_function(data.X), data.weight)
        formula.verdict_ = verdict(formula.score_, formula.network_score_, "R2")
        return
    numbers = data.Y[:, 0].astype(int)
    guess = (logits[:, 0] > 0.0).astype(int) if logits.shape[1] == 1 else logits.argmax(axis=1)
    found = formula.predict_proba(data.X).argmax(axis=1)
    formula.network_score_ = float(accuracy_score(numbers, guess, sample_weight=data.weight))
    formula.score_ = float(accuracy_score(numbers, found, sample_weight=data.weight))
    formula.verdict_ = verdict(formula.score_, formula.network_score_, "accuracy")


def _r2(y: Array, value: Array, weight: Array) -> float:
    """Coefficient of determination, on targets brought to size 1: squares of 1e200 overflow."""
    if len(y) < 2:
        return 1.0 if np.allclose(y, value) else 0.0
    size = np.abs(y).max(axis=0)
    size = np.where(size > 0.0, size, 1.0)
    with np.errstate(over="ignore"):
        value = np.clip(value / size, -1e100, 1e100)
    return float(r2_score(y / size, value, sample_weight=weight))
