"""From an estimator's parameters to a trained network: which solver, which shape, which rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_kan.network import KANNetwork
from zoo_kan.solvers import (
    GRIDS,
    TrainingResult,
    affordable,
    count_parameters,
    fit_shape,
    initial_network,
    regrid,
    search_shape,
)
from zoo_kan.solvers.lbfgs import fit_lbfgs
from zoo_kan.solvers.problem import count_rows
from zoo_kan.solvers.resume import reaches_beyond, resume
from zoo_kan.widths import Width, hidden_widths

__all__ = ["Rows", "Trained", "hold_out", "train"]

Array = NDArray[np.floating]

_FIXED_GRID = 8  # of the first-order solvers, which do not grow grids
_FIXED_SMOOTHNESS = 3e-5  # of minibatch training, which does not learn it
_SHAPE_ROWS = 2000  # that choose the shape for the first-order solvers
_SHAPE_ITERATIONS = 60
_MOST_FULL_BATCH = 3e8  # rows times parameters beyond which minibatches are taken


@dataclass
class Rows:
    """Rows to train on: raw inputs (n, n_features), targets (n, n_outputs), weights (n,)."""

    X: Array
    T: Array
    weight: Array

    def __getitem__(self, chosen: NDArray) -> "Rows":
        return Rows(self.X[chosen], self.T[chosen], self.weight[chosen])


@dataclass
class Trained:
    """A training result, the solver that reached it and its skorch net, if it has one."""

    result: TrainingResult
    solver: str
    net: Any = None


def hold_out(
    groups: NDArray, fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Split rows at random into those to train on and those held out.

    Parameters
    ----------
    groups : ndarray of shape (n,)
        Each group gives its share; classes, or zeros.
    fraction : float
        Part to hold out. Every group with two rows keeps one on either side.
    rng : numpy.random.Generator

    Returns
    -------
    kept, held : bool ndarray of shape (n,)

    Raises
    ------
    ValueError
        If nothing could be held out.
    """
    held = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups):
        rows = rng.permutation(np.flatnonzero(groups == group))
        count = int(np.clip(round(fraction * len(rows)), 1, len(rows) - 1)) if len(rows) > 1 else 0
        held[rows[:count]] = True
    if not held.any():
        raise ValueError(
            "early_stopping needs at least two rows of one class, or of a regression, to hold "
            f"one out. Got {len(groups)} row(s)."
        )
    return ~held, held


def _ladder(grid: int) -> tuple[int, ...]:
    """Grids to go through on the way to one that is given: a fine grid is a bad place to start."""
    return (*(coarse for coarse in GRIDS if 3 * coarse <= 2 * grid), grid)


def _choose_solver(
    solver: str, hidden: tuple[Width, ...], rows: Rows, grid: int, order: int, base: str
) -> str:
    if solver != "auto":
        return solver
    widths = [rows.X.shape[1], *hidden, rows.T.shape[1]]
    size = count_parameters(widths, grid=grid, order=order, base=base)
    rows_seen, outputs = count_rows(rows.weight), rows.T.shape[1]
    # beyond direct equations second-order steps are iterative, and still ahead of L-BFGS
    if affordable(rows_seen, outputs, size) or rows_seen * outputs * size <= _MOST_FULL_BATCH:
        return "lm"
    return "adam"


def _chosen_part(rows: Rows) -> Rows:
    """Rows, evenly spread over all, that choose the shape for a first-order solver."""
    return rows[np.unique(np.linspace(0, len(rows.X) - 1, _SHAPE_ROWS).astype(int))]


def _check_options(owner: str, solver: str, options: Mapping[str, Any]) -> None:
    unknown = sorted(set(options) - {"progress"})
    if solver != "adam" and unknown:
        raise ValueError(
            f"The 'solver_params' parameter of {owner} with solver={solver!r} may only hold "
            f"'progress'. Got {', '.join(map(repr, unknown))} instead."
        )


def _printer(verbose: int, then: Callable[[dict[str, Any]], None] | None) -> Any:
    if not verbose:
        return then

    def progress(entry: dict[str, Any]) -> None:
        parts = [f"{name}={value:.6g}" for name, value in entry.items()]
        print("  ".join(parts), flush=True)
        if then is not None:
            then(entry)

    return progress


def train(
    params: Mapping[str, Any],
    rows: Rows,
    *,
    owner: str,
    loss: str,
    rng: np.random.Generator,
    held: Rows | None = None,
    start: KANNetwork | None = None,
) -> Trained:
    """Train a network as an estimator's parameters ask.

    Parameters
    ----------
    params : mapping
        The estimator's parameters, checked.
    rows : Rows
        Rows of positive weight.
    owner : str
        Name of the estimator's class, for messages.
    loss : {"squared", "logistic"}
    rng : numpy.random.Generator
    held : Rows, optional
        Held-out rows for early stopping.
    start : KANNetwork, optional
        Trained network to go on from (warm start).

    Returns
    -------
    Trained
    """
    options = dict(params["solver_params"] or {})
    fixed = params["grid"] != "auto"
    grids = _ladder(int(params["grid"])) if fixed else GRIDS
    order, base = int(params["order"]), str(params["base"])
    wanted = params["hidden"]
    searched = isinstance(wanted, str)
    hidden = () if searched else hidden_widths(wanted)
    first_grid = grids[-1] if fixed else grids[0]
    solver = _choose_solver(params["solver"], hidden, rows, first_grid, order, base)
    _check_options(owner, solver, options)
    progress = _printer(int(params["verbose"]), options.pop("progress", None))
    seed = int(rng.integers(2**31))
    smoothness: Any = params["smoothness"]
    common = {
        "loss": loss,
        "sparsity": float(params["sparsity"]),
        "max_iter": int(params["max_iter"]),
        "validation": None if held is None else (held.X, held.T, held.weight),
        "progress": progress,
    }
    data = (rows.X, rows.T, rows.weight)
    if solver == "lm":
        second_order = {**common, "smoothness": smoothness, "tol": float(params["tol"])}
        if start is not None:
            return Trained(resume(start, *data, seed=seed, **second_order), solver)
        ladder = {"grids": grids, "to_the_end": fixed}
        shaped = {**second_order, **ladder, "order": order, "base": base, "seed": seed}
        if searched:
            return Trained(search_shape(*data, **shaped), solver)
        return Trained(fit_shape(*data, hidden, **shaped), solver)

    if start is None:
        if searched:
            chosen = _chosen_part(rows)
            found = search_shape(
                chosen.X,
                chosen.T,
                chosen.weight,
                **{**common, "progress": None, "max_iter": _SHAPE_ITERATIONS},
                smoothness="auto",
                tol=1e-3,
                order=order,
                base=base,
                grids=grids[:1],
                seed=seed,
            )
            hidden = found.network.hidden
        start = initial_network(
            rows.X,
            rows.T,
            [rows.X.shape[1], *hidden, rows.T.shape[1]],
            grid=grids[-1] if fixed else _FIXED_GRID,
            order=order,
            base=base,
            weight=rows.weight,
            standardise_outputs=loss == "squared",
            rng=np.random.default_rng(seed),
        )
    elif reaches_beyond(start, rows.X):
        start = regrid(start, rows.X)
    if solver == "lbfgs":
        # first-order steps are many and small: each of them gains less than a second-order one
        result = fit_lbfgs(
            start, *data, smoothness=smoothness, tol=1e-3 * float(params["tol"]), **common
        )
        return Trained(result, solver)
    # torch takes a second to import: only who trains with it waits
    from zoo_kan.solvers.adam import fit_adam

    fixed = _FIXED_SMOOTHNESS if isinstance(smoothness, str) else float(smoothness)
    result, net = fit_adam(start, *data, seed=seed, smoothness=fixed, net_params=options, **common)
    return Trained(result, solver, net)
