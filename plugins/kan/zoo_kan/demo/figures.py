"""Pictures of the demonstration that are not of a network."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_orbits", "plot_roc"]

Array = NDArray[np.floating]

_COLOURS = (ORANGE, INK, VERMILION, BLUE, GREEN, PURPLE, SKY, PALE)
_MARKERS = "osD^vP*X"


def plot_orbits(
    axis: Array, mass: Array, period: Array, centre: NDArray[np.str_], law: sympy.Expr
) -> "Figure":
    """Plot periods over semi-major axes, and the law as one line per central body.

    Parameters
    ----------
    axis, mass, period : ndarray of shape (n_bodies,)
        In astronomical units, solar masses and years.
    centre : ndarray of str of shape (n_bodies,)
        Central bodies.
    law : sympy.Expr
        The period in the symbols ``a`` and ``M``.

    Returns
    -------
    matplotlib Figure
    """
    evaluate = sympy.lambdify(sympy.symbols("a M", positive=True), law, "numpy")
    figure = new_figure(7.2, 5.4)
    figure.set_layout_engine("constrained")
    ax = figure.add_subplot()
    ax.set_xscale("log")
    ax.set_yscale("log")
    style_axes(ax)
    for number, name in enumerate(dict.fromkeys(centre.tolist())):
        mine = centre == name
        ends = np.array([axis[mine].min() / 2, axis[mine].max() * 2])
        ax.plot(ends, evaluate(ends, mass[mine][0]), color=_COLOURS[number], linewidth=1.1)
        ax.scatter(
            axis[mine],
            period[mine],
            color=_COLOURS[number],
            marker=_MARKERS[number],
            s=34,
            edgecolors="white",
            linewidths=0.6,
            zorder=3,
            label=name,
        )
    ax.set_xlabel("semi-major axis a (astronomical units)")
    ax.set_ylabel("period T (years)")
    ax.legend(title="central body", frameon=False, fontsize=9, title_fontsize=9)
    return figure


def plot_roc(truth: NDArray[np.bool_], scores: Mapping[str, Array]) -> "Figure":
    """Plot receiver operating curves of several models.

    Parameters
    ----------
    truth : bool ndarray of shape (n_samples,)
        Which rows are positive.
    scores : mapping of str to ndarray of shape (n_samples,)
        Probability of the positive class by name of the model, drawn in this order.

    Returns
    -------
    matplotlib Figure
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    figure = new_figure(4.6, 4.6)
    figure.set_layout_engine("constrained")
    ax = figure.add_subplot()
    style_axes(ax)
    for (name, score), colour, width in zip(
        scores.items(), (BLUE, ORANGE, GREEN, PURPLE), (2.4, 1.4, 1.4, 1.4), strict=False
    ):
        false_positive, true_positive, _ = roc_curve(truth, score)
        ax.plot(
            false_positive,
            true_positive,
            color=colour,
            linewidth=width,
            label=f"{name} ({roc_auc_score(truth, score):.3f})",
        )
    ax.set_xlim(-0.01, 0.3)
    ax.set_ylim(0.7, 1.005)
    ax.set_xlabel("false positive rate (shown up to 0.3)")
    ax.set_ylabel("true positive rate (shown from 0.7)")
    ax.legend(title="area under the curve", frameon=False, fontsize=9, title_fontsize=9)
    return figure
