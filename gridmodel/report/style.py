"""What all pictures share: colors, marks, texts without mathematics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS", "FORMATS", "INK", "dress", "legend", "literal", "rounds_axis"]

FORMATS = (".png", ".pdf", ".svg", ".jpg")
"""File endings that ``plot`` knows."""

INK = "#333333"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def dress(figure: Figure, title: str) -> None:
    """The common look of all axes, and the title."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.title.set_fontsize(11)
    figure.suptitle(title, fontsize=13, color=INK)


def rounds_axis(axes: Axes, last: float) -> None:
    """Whole numbers of rounds, from none to the last."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0.0, 1.03 * last)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))


def legend(axes: Axes) -> None:
    """A legend that hides little."""
    axes.legend(fontsize=9, framealpha=0.85, edgecolor="none")


def literal(text: str) -> str:
    """Text in which matplotlib sees no mathematics."""
    return text.replace("$", r"\$")
