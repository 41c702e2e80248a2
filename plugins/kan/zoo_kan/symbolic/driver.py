"""`to_symbolic`: from a fitted network and rows of data to formulas.

Axes: ``n`` rows, ``k`` outputs.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

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
from zoo_kan.symbolic.progress import Progress, reporter
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.rows import Rows, check_labels, check_rows, check_units
from zoo_kan.symbolic.search import Candidate, Search
from zoo_kan.symbolic.shortlist import shortlist
from zoo_kan.symbolic.structure import Shape
from zoo_kan.symbolic.tidy import Scaling
from zoo_kan.symbolic.units import Units, UnitsLike

__all__ = ["to_symbolic"]

Array = NDArray[np.floating]


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
    units: Mapping[str, UnitsLike] | None = None,
    target_units: UnitsLike | Sequence[UnitsLike] | None = None,
    time_limit: float = 60.0,
    random_state: int = 0,
    n_jobs: int | None = None,
    progress: Progress | str | None = None,
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
    units : mapping of str to (str or mapping), optional
        Physical units of every column by its name, ``"1"`` for none. They are products of SI units
        and their powers, ``"kg*m/s^2"``, ``"J/mol"``; or exponents by unit, ``{"m": 1, "s": -2}``,
        in which any other name is a base unit of its own. Only dimensions count, so ``"km"`` is
        ``"m"``. Numbers in a formula are taken to have no units: formulas are then also sought in
        dimensionless groups, and each number that would need units lengthens a description by 20
        nats. Give a constant that has units as a column.
    target_units : str, mapping or sequence of them, optional
        Units of the target, or of every output; without them the result may have any units, and
        dimensionless groups are not used. Logits have none.
    time_limit : float
        Seconds after which no new hypotheses are tried.
    random_state : int
        Seed. Results are the same for the same seed unless the time limit cuts in.
    n_jobs : int, optional
        Processes for the outputs of a network with several; as in scikit-learn, ``-1`` is all
        cores. The formulas are the same for any number.
    progress : callable or "bar", optional
        Called with a dict (``output``, ``stage``, ``tried``, ``seconds``) at every stage, unless
        there are several processes. ``"bar"`` draws a bar in the terminal instead.

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
        If the library or units are malformed, or units do not name every column.
    """
    started = time.monotonic()
    functions = resolve_library(library)
    data = check_rows(network, X, y, weight, feature_names, task, random_state)
    logits = network.forward(data.X)
    labels = check_labels(classes, logits.shape[1], task)
    n_outputs = logits.shape[1]
    dimensions = check_units(data.names, units, target_units, n_outputs, task)
    settings = _Settings(network, data, logits, task, functions, dimensions, random_state)
    with reporter(progress, time_limit) as show:
        found = _find_all(settings, n_outputs, started, time_limit, n_jobs, show)
    formula = SymbolicKAN(
        [one.expression for one in found],
        feature_names=data.names,
        pareto=[row for one in found for row in one.rows],
        classes=labels,
        sample=data.X[:: max(1, len(data.X) // 1000)],
        n_tried=sum(one.n_tried for one in found),
        seconds=time.monotonic() - started,
    )
    if units is not None:
        formula.consistent_ = all(one.consistent for one in found)
    _judge(formula, data, logits)
    return formula


@dataclass
class _Settings:
    """What the searches for all outputs share."""

    network: KANNetwork
    data: Rows
    logits: Array
    task: str
    library: tuple[Function, ...]
    units: list[Units | None]
    seed: int


@dataclass
class _Found:
    """Result for one output."""

    expression: sympy.Expr
    rows: list[FormulaRow]
    n_tried: int

    @property
    def consistent(self) -> bool:
        """Whether its units agree."""
        return any(row.consistent for row in self.rows if row.expression == self.expression)


def _find_all(
    settings: _Settings,
    n_outputs: int,
    started: float,
    time_limit: float,
    n_jobs: int | None,
    show: Progress | None,
) -> list[_Found]:
    """Search the formulas of all outputs."""
    workers = min(effective_n_jobs(n_jobs), n_outputs)
    if workers > 1:
        seconds = time_limit * workers / n_outputs
        return list(
            Parallel(n_jobs=workers)(
                delayed(_find)(settings, output, seconds) for output in range(n_outputs)
            )
        )
    found: list[_Found] = []
    for output in range(n_outputs):
        tried = sum(one.n_tried for one in found)

        def report(stage: str, fitted: int, output: int = output, before: int = tried) -> None:
            if show is not None:
                passed, tried = time.monotonic() - started, before + fitted
                show({"output": output, "stage": stage, "tried": tried, "seconds": passed})

        left = started + time_limit * (output + 1) / n_outputs - time.monotonic()
        found.append(_find(settings, output, left, report))
    return found


def _find(
    settings: _Settings,
    output: int,
    seconds: float,
    report: Callable[[str, int], None] = lambda stage, fitted: None,
) -> _Found:
    """Search the formula of one output."""
    deadline = time.monotonic() + seconds
    data = settings.data
    scalings = [Scaling.of(column) for column in data.X.T]
    columns = [scaling.apply(column) for scaling, column in zip(scalings, data.X.T, strict=True)]
    units = settings.units[output]
    if settings.task == "regression":
        target = Scaling.of(data.Y[:, output])
        searches = _regression(settings.network, data, columns, target, output, units)
    else:
        target = Scaling(0.0, 1.0)
        searches = [_classification(data, columns, settings.logits, output, units)]
    shifted = any(scaling.shift for scaling in (target, *scalings))
    best: tuple[float, Search, list[Candidate]] | None = None
    n_tried = 0
    for number, search in enumerate(searches, start=1):
        now = time.monotonic()
        search.deadline = now + (deadline - now) / (len(searches) - number + 1)
        search.library, search.seed = settings.library, settings.seed

        def say(stage: str, search: Search = search, before: int = n_tried) -> None:
            report(stage, before + search.n_tried)

        search.report = say
        search.grouped = units is not None and not shifted
        ranked = search.run()
        n_tried += search.n_tried
        cost = data_cost(ranked[0].length, search.problem, data.weight)
        if best is None or cost < best[0]:
            best = (cost, search, ranked)
        if search.settled():
            break
    if best is None:
        raise RuntimeError("A search must have a noise model.")
    _, search, ranked = best
    report("writing", n_tried)
    expression, rows = shortlist(
        ranked, search, data.X, data.names, data.weight, scalings, target, output, settings.seed
    )
    return _Found(expression, rows, n_tried)


def _regression(
    network: KANNetwork,
    data: Rows,
    columns: list[Array],
    target: Scaling,
    output: int,
    units: Units | None,
) -> list[Search]:
    """One search for each noise model that may suit."""
    y = target.apply(data.Y[:, output])
    predicted = target.apply(network.forward(data.X)[:, output])
    given = _network_shapes(network, data.X, y, target) if network.widths[-1] == 1 else []
    given = [shape for shape in given if np.isfinite(shape.error)]
    searches = []
    exact = Problem(columns, y, data.weight, resolution=data.resolution, units=units)
    for problem in noise_models(exact):
        left = 2.0 * problem.loss(predicted) / problem.total
        attainable = left if math.isfinite(left) else np.inf
        searches.append(Search(problem, (), 0.0, attainable=attainable, given=given))
    return searches


def _classification(
    data: Rows, columns: list[Array], logits: Array, output: int, units: Units | None
) -> Search:
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
    problem = Problem(columns, target, data.weight, logistic=True, units=units)
    return Search(problem, (), 0.0, surrogate=logit_problem(columns, logit, data.weight))


def _judge(formula: SymbolicKAN, data: Rows, logits: Array) -> None:
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
