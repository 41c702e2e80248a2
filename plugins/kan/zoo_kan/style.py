"""The common look of all pictures, and the one place that imports matplotlib."""

from typing import TYPE_CHECKING

from zoo.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREEN",
    "INK",
    "ORANGE",
    "PALE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "new_figure",
    "style_axes",
]

# Okabe and Ito's palette, which readers with any colour vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
)
INK, PALE = "#22303c", "#8b98a5"


def new_figure(width: float, height: float) -> "Figure":
    """Make an empty figure of so many inches, outside pyplot.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    try:
        from zoo_kan.figure import Picture
    except ImportError as error:
        raise MissingDependencyError(
            "Plots of a KAN need matplotlib, which is not installed: pip install 'zoo-kan[plot]'."
        ) from error
    return Picture(figsize=(width, height))


def style_axes(ax: "Axes") -> None:
    """Give axes the look of the other pictures: no box, a faint grid."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(PALE)
    ax.tick_params(colors=INK, labelsize=9)
    ax.grid(visible=True, color="#e6eaee", linewidth=0.8)
    ax.set_axisbelow(True)
