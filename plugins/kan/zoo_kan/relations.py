"""Separability and symmetry of a fitted function, pair by pair of its inputs.

The tests of AI Feynman (arXiv 1905.11481, Sections II.D to II.F) and KAN 2.0 (arXiv 2408.10205,
Section 4.3) compare values of a network at shifted and scaled inputs, or its numerical gradients. A
KAN has its first and second derivatives in closed form, so every test is an identity between them:

============  ==========================================  ===========================
relation      the function is                             identity of its derivatives
============  ==========================================  ===========================
``add``       ``g(x_i, ...) + h(x_j, ...)``               ``f_ij = 0``
``multiply``  ``g(x_i, ...) * h(x_j, ...)``               ``f f_ij = f_i f_j``
``x-y``       a function of ``x_i - x_j`` and the rest    ``f_i + f_j = 0``
``x+y``       of ``x_i + x_j`` and the rest               ``f_i - f_j = 0``
``x*y``       of ``x_i * x_j`` and the rest               ``x_i f_i - x_j f_j = 0``
``x/y``       of ``x_i / x_j`` and the rest               ``x_i f_i + x_j f_j = 0``
``h(x,y)``    of one ``h(x_i, x_j)`` and the rest         ``f_j f_ik - f_i f_jk = 0``
============  ==========================================  ===========================

A relation's score is the size of what should vanish relative to the size it would have if nothing
made it vanish: 0 where the relation holds exactly, around 1 where nothing of it is left. Sizes are
mean absolute values over the rows.

Axes: ``n`` rows, ``f`` features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zoo_kan.attribution import sample_rows
from zoo_kan.network import KANNetwork

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RELATIONS", "Relation", "Relations", "relations"]

Array = NDArray[np.floating]

#: What every relation says of inputs ``x`` and ``y``.
RELATIONS = {
    "add": "x and y enter separate terms",
    "multiply": "x and y enter separate factors",
    "x-y": "x and y enter as x - y only",
    "x+y": "x and y enter as x + y only",
    "x*y": "x and y enter as x * y only",
    "x/y": "x and y enter as x / y only",
    "h(x,y)": "x and y enter through one function of both",
}
_NO_EFFECT = 1e-3  # share of the strongest input's effect below which an input has none


@dataclass(frozen=True)
class Relation:
    """One relation between two inputs.

    Attributes
    ----------
    kind : str
        A key of `RELATIONS`.
    first, second : str
        Names of the inputs.
    score : float
        0 where it holds exactly.
    """

    kind: str
    first: str
    second: str
    score: float


@dataclass(frozen=True)
class Relations:
    """Scores of all relations between all pairs of inputs.

    Attributes
    ----------
    feature_names : list of str
    scores : dict of str to ndarray of shape (f, f)
        By key of `RELATIONS`; symmetric. NaN on the diagonal, and in the rows and columns of
        inputs that the function does not depend on.
    tolerance : float
        Score below which a relation is said to hold.
    """

    feature_names: list[str]
    scores: dict[str, Array]
    tolerance: float

    def holding(self) -> list[Relation]:
        """Relations whose score is below the tolerance, the clearest first."""
        return sorted(
            (relation for relation in self.table() if relation.score < self.tolerance),
            key=lambda relation: relation.score,
        )

    def table(self) -> list[Relation]:
        """All relations with a score, pair by pair."""
        return [
            Relation(kind, self.feature_names[i], self.feature_names[j], float(scores[i, j]))
            for i, j in combinations(range(len(self.feature_names)), 2)
            for kind, scores in self.scores.items()
            if np.isfinite(scores[i, j])
        ]

    def __str__(self) -> str:
        width = max(map(len, self.feature_names))
        lines = [" " * (2 * width + 2) + "".join(f"{kind:>10}" for kind in self.scores)]
        for i, j in combinations(range(len(self.feature_names)), 2):
            values = [scores[i, j] for scores in self.scores.values()]
            cells = [
                f"{'-':>10}"
                if np.isnan(value)
                else f"{value:>9.3f}{'*' if value < self.tolerance else ' '}"
                for value in values
            ]
            names = f"{self.feature_names[i]:<{width}} {self.feature_names[j]:<{width}} "
            lines.append(names + "".join(cells))
        lines.append(f"* holds: below {self.tolerance:g}")
        return "\n".join(lines)

    def plot(self) -> "Figure":
        """Draw one matrix per relation; the darker a cell, the better the relation holds.

        Returns
        -------
        matplotlib.figure.Figure
            A cross stands where the score is below the tolerance.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        from zoo_kan.style import INK, new_figure

        n = len(self.feature_names)
        side = float(np.clip(0.42 * n, 1.5, 4.0))
        figure = new_figure(4 * (side + 0.55), 2 * (side + 0.75))
        figure.set_layout_engine("constrained")
        for place, (kind, scores) in enumerate(self.scores.items()):
            self._draw(figure.add_subplot(2, 4, place + 1), kind, scores)
        note = figure.add_subplot(2, 4, len(self.scores) + 1)
        note.set_axis_off()
        note.text(
            0.0,
            0.9,
            f"dark: the relation holds\n× score below {self.tolerance:g}\nblank: no effect",
            va="top",
            fontsize=9,
            color=INK,
            transform=note.transAxes,
        )
        return figure

    def _draw(self, ax: "Axes", kind: str, scores: Array) -> None:
        from zoo_kan.style import INK, PALE

        n = len(self.feature_names)
        ax.set_title(kind, fontsize=10, color=INK, parse_math=False)
        if n < 2:
            ax.set_axis_off()
            return
        shown = np.where(np.tri(n, k=-1, dtype=bool), scores, np.nan)
        # three decades below 1
        darkness = np.clip(-np.log10(np.maximum(shown, 1e-12)) / 3.0, 0.0, 1.0)
        ax.imshow(darkness, cmap="Blues", vmin=0.0, vmax=1.25)
        for i, j in zip(*np.nonzero(shown < self.tolerance), strict=True):
            ax.text(j, i, "×", ha="center", va="center", color="white", fontsize=12)
        small = n > 8
        size = 7 if small else 9
        ax.set_xticks(range(n - 1), self.feature_names[:-1], fontsize=size, parse_math=False)
        ax.set_yticks(range(1, n), self.feature_names[1:], fontsize=size, parse_math=False)
        ax.set_xlim(-0.5, n - 1.5)
        ax.set_ylim(n - 0.5, 0.5)
        longest = max(map(len, self.feature_names))
        ax.tick_params(axis="x", rotation=90 if small or longest > 4 else 0, length=0, colors=INK)
        ax.tick_params(axis="y", length=0, colors=INK)
        for spine in ax.spines.values():
            spine.set_color(PALE)


def relations(
    network: KANNetwork,
    X: Array | None = None,
    *,
    output: int = 0,
    feature_names: Sequence[str] | None = None,
    tolerance: float = 0.05,
) -> Relations:
    """Test every pair of inputs for separability and symmetry.

    The scores are those of the network: where it was fitted to noisy or few rows, its derivatives
    are less exact than its values, and second derivatives less than first.

    Parameters
    ----------
    network : KANNetwork
    X : ndarray of shape (n_samples, n_features), optional
        Rows to measure on. By default 200 rows that cover the grid of each input evenly.
    output : int, default=0
        The output to look at.
    feature_names : sequence of str of length n_features, optional
    tolerance : float, default=0.05
        Score below which a relation is said to hold.

    Returns
    -------
    Relations

    Raises
    ------
    ValueError
        If rows, names, the output or the tolerance are not what they may be.
    """
    rows = sample_rows(network, X, what="a test of relations")
    n_features, n_outputs = network.widths[0], network.widths[-1]
    names = [f"x{j}" for j in range(n_features)] if feature_names is None else list(feature_names)
    if len(names) != n_features:
        raise ValueError(
            f"feature_names of a test of relations must hold {n_features} names. Got {len(names)}."
        )
    if not 0 <= output < n_outputs:
        raise ValueError(
            f"output of a test of relations must be an int from 0 to {n_outputs - 1}. "
            f"Got {output!r}."
        )
    if not 0.0 < tolerance < 1.0:
        raise ValueError(
            f"tolerance of a test of relations must be a float between 0 and 1. Got {tolerance!r}."
        )
    # units in which every input and the output have deviation 1 about
    unit = network.input_scale
    size = float(network.output_scale[output])
    value = network.forward(rows)[:, output] / size
    first = network.gradient(rows)[:, output] * (unit / size)
    second = network.hessian(rows)[:, output] * (unit[:, None] * unit / size)
    effect = _size(first)
    alive = effect > _NO_EFFECT * max(float(effect.max()), np.finfo(float).tiny)
    scores = {kind: np.full((n_features, n_features), np.nan) for kind in RELATIONS}
    for i, j in combinations(np.flatnonzero(alive).tolist(), 2):
        for kind, score in _pair(value, first, second, rows, unit, i, j).items():
            scores[kind][i, j] = scores[kind][j, i] = score
    return Relations([str(name) for name in names], scores, tolerance)


def _size(values: Array) -> Array:
    """Mean absolute value over the rows: a few large ones do not decide, as in a mean square."""
    return np.abs(values).mean(axis=0)


def _relative(difference: Array, *sizes: Array) -> float:
    total = float(sum(_size(part) for part in sizes))
    return float(_size(difference)) / max(total, np.finfo(float).tiny)


def _pair(f: Array, d: Array, dd: Array, x: Array, unit: Array, i: int, j: int) -> dict[str, float]:
    """Scores of one pair: values (n,), derivatives (n, f) and (n, f, f), raw inputs (n, f)."""
    di, dj, dij = d[:, i], d[:, j], dd[:, i, j]
    both = float(np.sqrt(_size(di) * _size(dj)))
    raw_i, raw_j = di / unit[i], dj / unit[j]
    scaled_i, scaled_j = x[:, i] * raw_i, x[:, j] * raw_j
    shared = [0.0]
    for k in range(d.shape[1]):
        if k not in (i, j):
            turn = dj * dd[:, i, k] - di * dd[:, j, k]
            shared.append(float(_size(turn) / max(float(_size(di * dj)), np.finfo(float).tiny)))
    return {
        "add": float(_size(dij)) / both,
        "multiply": _relative(f * dij - di * dj, f * dij, di * dj),
        "x-y": _relative(raw_i + raw_j, raw_i, raw_j),
        "x+y": _relative(raw_i - raw_j, raw_i, raw_j),
        "x*y": _relative(scaled_i - scaled_j, scaled_i, scaled_j),
        "x/y": _relative(scaled_i + scaled_j, scaled_i, scaled_j),
        "h(x,y)": max(shared),
    }
