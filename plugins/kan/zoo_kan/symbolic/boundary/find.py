"""`find_boundary`: from rows of two classes to the equation of what divides them.

Axes: ``n`` rows, ``k`` terms.
"""

import math
import time
from collections.abc import Iterable, Sequence

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.symbolic.boundary.dictionary import COSINE, Term, build_dictionary
from zoo_kan.symbolic.boundary.equation import Boundary, BoundaryRow, expression_values
from zoo_kan.symbolic.boundary.implicit import EquationSearch, Terms, relation_costs
from zoo_kan.symbolic.boundary.proposals import Relations, boundary_points, mixed_rows, nearest_rows
from zoo_kan.symbolic.boundary.ratios import Rounded, Rounding, shrunk_difference
from zoo_kan.symbolic.boundary.separation import Labels
from zoo_kan.symbolic.library import Function, resolve_library
from zoo_kan.symbolic.numeric import n_nodes
from zoo_kan.symbolic.snap import NATS_PER_NODE

__all__ = ["find_boundary"]

Array = NDArray[np.floating]

_FUNCTIONS = (
    *("power 2", "power 3", "power -1", "power -2", "power 1/2"),
    *("exp", "log", "sin", "tanh", "cosh", "sinh"),
)
_MOST_ROWS = 6000  # the search looks at, those near the boundary first
_FINALISTS = 12  # equations whose constants are rounded
_SHOWN = 8


def find_boundary(
    X: ArrayLike,
    y: ArrayLike,
    *,
    network: KANNetwork | None = None,
    weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    feature_names: Sequence[str] | None = None,
    library: Iterable[Function | str] | None = None,
    most_terms: int = 4,
    time_limit: float = 60.0,
    random_state: int = 0,
) -> Boundary:
    """Find the equation of the boundary between two classes.

    The formula of a classifier's logit says how sure the classes are everywhere, and any monotone
    function of the boundary's equation may appear in it. Where the classes are sharply divided it
    is the boundary that has a law. This search looks for ``sum_k c_k m_k(x) = 0`` with terms that
    are products of functions of one column, and rounds the ratios of the coefficients. Equations
    are compared by description length: the labels' log loss, with a share of wrong labels that is
    fitted along, plus the nats it takes to write the equation down.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
        Labels of two classes.
    network : KANNetwork, optional
        A fitted classifier's, with one logit for the second class. Equations are then proposed
        from its zeros, as well as from points half way between rows of different classes. The
        labels decide.
    weight : array-like of shape (n_samples,), optional
        How much each row counts.
    groups : array-like of shape (n_samples,), optional
        Labels of groups whose rows are not independent: one specimen, one spectrum. Constants
        are then taken to be as uncertain as the groups differ, not as the rows would say.
    feature_names : sequence of str, optional
        ``x0``, ``x1``, ... by default. They are never evaluated.
    library : iterable of Function or str, optional
        Functions beside the columns themselves and the cosine; by default squares, cubes, square
        roots, reciprocals and their squares, exp, log, sin, tanh, cosh, sinh. The rate inside a
        function is 1, or -1 for exp.
    most_terms : int, default=4
        Most terms of an equation, a constant included; at least 2.
    time_limit : float, default=60.0
        Seconds after which no new equations are tried.
    random_state : int, default=0
        Seed. Results are the same for the same seed unless the time limit cuts in.

    Returns
    -------
    Boundary
        Always an equation, if need be a poor one; ``verdict_`` says how it does.

    Raises
    ------
    ValueError
        If shapes do not fit, numbers are not finite, there are not two classes, every column is
        constant, or a parameter is not what it may be.
    """
    started = time.monotonic()
    rows, labels, classes, names = _check(X, y, weight, groups, feature_names)
    if not isinstance(most_terms, int) or most_terms < 2:
        raise ValueError(
            f"most_terms of find_boundary must be an integer from 2 up. Got {most_terms!r}."
        )
    if network is not None and (network.widths[0], network.widths[-1]) != (rows.shape[1], 1):
        raise ValueError(
            f"network of find_boundary must have {rows.shape[1]} inputs and one logit. "
            f"Got widths {network.widths}."
        )
    functions = (*resolve_library(_FUNCTIONS if library is None else library), COSINE)
    scale = rows.std(axis=0)
    scale[scale == 0.0] = 1.0
    rng = np.random.default_rng(random_state)
    chosen = mixed_rows(rows / scale, labels.second, _MOST_ROWS, rng)
    near, judged = rows[chosen], labels.take(chosen)
    terms, values, sizes = build_dictionary(near, functions)
    if len(terms) < 2:
        raise ValueError("X of find_boundary must have a column that is not constant.")
    relations = _relations(terms, values, sizes, near, judged.second, scale, network)
    search = EquationSearch(
        terms,
        values,
        judged,
        relations,
        most_terms=most_terms,
        deadline=started + 0.7 * time_limit,
    )
    ranked = search.run()
    finished = _round_all(ranked[:_FINALISTS], search, near, started + time_limit)
    table = [
        _row(chosen_terms, rounded, length, terms, names, rows, labels)
        for length, chosen_terms, rounded in finished
    ]
    boundary = Boundary(
        table[0].expression, feature_names=names, classes=classes, pareto=_front(table)
    )
    boundary.n_tried_ = len(search.tried)
    boundary.accuracy_ = table[0].accuracy
    _judge(boundary, rows, labels, network)
    boundary.seconds_ = time.monotonic() - started
    return boundary


def _check(
    X: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None,
    groups: ArrayLike | None,
    feature_names: Sequence[str] | None,
) -> tuple[Array, Labels, NDArray, list[str]]:
    """Rows, labels, classes and names."""
    rows = np.asarray(X, dtype=np.float64)
    if rows.ndim != 2 or not rows.size:
        raise ValueError(
            f"X of find_boundary must have shape (n_samples, n_features). Got {rows.shape}."
        )
    target = np.asarray(y)
    if target.shape != (len(rows),):
        raise ValueError(
            f"y of find_boundary must have shape ({len(rows)},), as many as X has rows. "
            f"Got {target.shape}."
        )
    classes, second = np.unique(target, return_inverse=True)
    if len(classes) != 2:
        raise ValueError(f"y of find_boundary must hold two classes. Got {len(classes)}.")
    counts = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
    if counts.shape != (len(rows),) or not (counts >= 0.0).all() or not counts.sum() > 0.0:
        raise ValueError(
            f"weight of find_boundary must be {len(rows)} numbers from 0 up, not all 0. "
            f"Got shape {counts.shape}."
        )
    if not (np.isfinite(rows).all() and np.isfinite(counts).all()):
        raise ValueError("X and weight of find_boundary must be finite. Got NaN or infinity.")
    members = np.arange(len(rows)) if groups is None else np.asarray(groups)
    if members.shape != (len(rows),):
        raise ValueError(
            f"groups of find_boundary must have shape ({len(rows)},). Got {members.shape}."
        )
    numbers = np.unique(members, return_inverse=True)[1]
    n_features = rows.shape[1]
    names = [f"x{j}" for j in range(n_features)] if feature_names is None else list(feature_names)
    if len(names) != n_features or len(set(names)) != n_features or not all(names):
        raise ValueError(
            f"feature_names of find_boundary must be {n_features} different names. Got {names}."
        )
    return rows, Labels(second.astype(float), counts, numbers), classes, [str(n) for n in names]


def _relations(
    terms: Sequence[Term],
    values: Array,
    sizes: Array,
    rows: Array,
    second: Array,
    scale: Array,
    network: KANNetwork | None,
) -> list[Relations]:
    """Where to propose equations from."""
    cost = relation_costs(terms)
    band = nearest_rows(rows, second, scale)
    found = [Relations.between_rows(values[band], second[band], cost)] if len(band) else []
    for source in (None, network)[: 1 if network is None else 2]:
        points = boundary_points(rows, second, scale, source)
        if len(points) < 2:
            continue
        at = np.stack([term.evaluate(points) for term in terms], axis=1) / sizes
        slopes = np.stack([term.gradient(points) * scale for term in terms], axis=2) / sizes
        defined = np.isfinite(at).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2))
        if defined.sum() > 1:
            found.append(Relations.on_points(at[defined], slopes[defined], cost))
    return found


def _round_all(
    ranked: Sequence[Terms], search: EquationSearch, rows: Array, deadline: float
) -> list[tuple[float, Terms, Rounded]]:
    """Equations with rounded constants and their description lengths, shortest first."""
    finished: list[tuple[Terms, Rounded]] = []
    for chosen in ranked:
        if finished and time.monotonic() > deadline:
            break
        features = np.stack([search.terms[index].evaluate(rows) for index in chosen], axis=1)
        finished.append((chosen, Rounding(features, search.labels).run()))

    def code(chosen: Terms, rounded: Rounded) -> float:
        plain = [
            (number is not None and abs(number.value) == 1.0) or not search.terms[index].factors
            for number, index in zip(rounded.exact, chosen, strict=True)
        ]
        written = 2.0 * NATS_PER_NODE * (len(chosen) - sum(plain))
        return rounded.code + search.cost(chosen) + written

    best = min(finished, key=lambda pair: float(pair[1].loss.sum()) + code(*pair))[1]
    lengths = [
        (code(*pair) + float(best.loss.sum()) + shrunk_difference(pair[1].loss, best.loss), *pair)
        for pair in finished
    ]
    return sorted(lengths, key=lambda entry: entry[0])


def _row(
    chosen: Terms,
    rounded: Rounded,
    length: float,
    terms: Sequence[Term],
    names: Sequence[str],
    rows: Array,
    labels: Labels,
) -> BoundaryRow:
    symbols = [sympy.Symbol(name) for name in names]
    expression = sympy.Add(
        *(
            _number(rounded, place) * terms[index].symbolic(symbols)
            for place, index in enumerate(chosen)
        )
    )
    expression = _plain(expression * int(rounded.sign), names, rows)
    value = expression_values(expression, names, rows)
    right = (value > 0.0) == (labels.second > 0.5)
    accuracy = float(labels.weight @ right) / labels.total
    if accuracy < 0.5 and not expression.is_Symbol:
        accuracy, expression = 1.0 - accuracy, -expression
    return BoundaryRow(n_nodes(expression), accuracy, length, expression)


def _number(rounded: Rounded, place: int) -> sympy.Expr:
    """A coefficient as it is written: exact, or with the digits that the labels determine."""
    number = rounded.exact[place]
    if number is not None:
        return number.exact
    value, spread = float(rounded.ratios[place]), float(rounded.spread[place])
    relative = spread / abs(value) if value and math.isfinite(spread) else 1.0
    digits = min(max(2, 1 - math.floor(math.log10(max(relative, 1e-12)))), 12)
    return sympy.Float(f"{value:.{digits - 1}e}", 15)


def _plain(expression: sympy.Expr, names: Sequence[str], rows: Array) -> sympy.Expr:
    """The equation without denominators and without factors that keep their sign on the rows."""
    if expression.atoms(sympy.Float):
        return expression
    factored = sympy.factor(expression)
    sign, kept = 1, []
    for factor in sympy.Mul.make_args(factored):
        value = expression_values(factor, names, rows)
        if (value > 0.0).all() or (value < 0.0).all():
            sign *= 1 if value[0] > 0.0 else -1
        else:
            kept.append(factor)
    if not kept:
        return expression
    plain = sign * sympy.Mul(*kept)
    if n_nodes(plain) > n_nodes(expression):
        plain = expression
    return plain.as_content_primitive()[1] if len(kept) == 1 else plain


def _front(table: Sequence[BoundaryRow]) -> list[BoundaryRow]:
    """Rows that no shorter row matches in accuracy, and the chosen one, shortest first."""
    front: list[BoundaryRow] = []
    for row in sorted(table, key=lambda r: (r.complexity, -r.accuracy, r.description_length)):
        if not front or row.accuracy > front[-1].accuracy or row is table[0]:
            front.append(row)
    return front[:_SHOWN] if table[0] in front[:_SHOWN] else [*front[: _SHOWN - 1], table[0]]


def _judge(boundary: Boundary, rows: Array, labels: Labels, network: KANNetwork | None) -> None:
    """Compare the equation with the network, and with no equation at all."""
    share = float(labels.weight @ labels.second) / labels.total
    chance = max(share, 1.0 - share)
    own = boundary.accuracy_
    if network is not None:
        right = (network.forward(rows)[:, 0] > 0.0) == (labels.second > 0.5)
        boundary.network_accuracy_ = float(labels.weight @ right) / labels.total
    other = boundary.network_accuracy_
    if own - chance < 0.1 * (1.0 - chance):
        boundary.verdict_ = (
            f"No boundary found: the best equation is right on {own:.4f} of the rows, always "
            f"naming the larger class on {chance:.4f}."
        )
    elif math.isnan(other):
        boundary.verdict_ = f"The equation is right on {own:.4f} of the rows."
    elif other - own > max(0.002, 0.05 * (1.0 - other)):
        boundary.verdict_ = (
            f"The equation falls short of the network: right on {own:.4f} of the rows against "
            f"{other:.4f}."
        )
    else:
        boundary.verdict_ = (
            f"The equation divides the classes as well as the network: right on {own:.4f} of the "
            f"rows against {other:.4f}."
        )
