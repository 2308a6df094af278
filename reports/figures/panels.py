"""Small multiples: one panel a dataset, laid out in inches so that labels never meet, and legends below them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.figures.style import COLUMN, PAGE, Looks, figure

WIDE = 0.6
"""Inches of labels beside which two panels don't fit a column."""


@dataclass(frozen=True)
class Layout:
    """Inches of a panel's height, and of what surrounds panels.

    Attributes:
        left: of the figure's left edge, for labels that all panels of a row share.
        gap, under: between panels side by side; under each panel, for its axis.
        right: of the last panel.
        over: above each panel, for its title; bottom: under all, for a legend.
    """

    height: float
    left: float
    gap: float = 0.2
    under: float = 0.26
    over: float = 0.2
    bottom: float = 0.0
    right: float = 0.1


def panels(count: int, layout: Layout) -> tuple[Any, list[Any]]:
    """A figure with `count` axes, lines of equal length where that can be; one or two fit a column of a paper."""
    across = side_by_side(count)
    width = COLUMN if count == 1 or (count == 2 and layout.left < WIDE) else PAGE
    down = math.ceil(count / across)
    tall = layout.over + layout.height + layout.under
    total = down * tall + layout.bottom
    made = figure(width, total)
    each = (width - layout.left - layout.right - layout.gap * (across - 1)) / across
    axes = []
    for number in range(count):
        row, column = divmod(number, across)
        x = layout.left + column * (each + layout.gap)
        y = total - (row + 1) * tall + layout.under
        axes.append(made.add_axes((x / width, y / total, each / width, layout.height / total)))
    return made, axes


def side_by_side(count: int) -> int:
    """Panels in a line, at most four."""
    return math.ceil(count / math.ceil(count / 4))


def is_leftmost(number: int, count: int) -> bool:
    """Whether panel `number` is the first of its line."""
    return number % side_by_side(count) == 0


def name_rows(ax: Any, names: Sequence[str], points: float, pad: float = 3) -> None:
    """Names to the left of places 0, 1, ... of the vertical axis, and no ticks: each would be three lines, two texts,
    which take most of the time that a panel of many rows is drawn in."""
    ax.set_yticks([])
    for place, name in enumerate(names):
        ax.annotate(
            name, (0, place), xytext=(-pad, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="center", fontsize=points, annotation_clip=False,
        )  # fmt: skip


def name_columns(ax: Any, names: Sequence[str], points: float, pad: float = 3, rotation: float = 0) -> None:
    """Names below places 0, 1, ... of the horizontal axis, as `name_rows`."""
    ax.set_xticks([])
    for place, name in enumerate(names):
        ax.annotate(
            name, (place, 0), xytext=(0, -pad), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", va="top", fontsize=points, rotation=rotation, annotation_clip=False,
        )  # fmt: skip


def legend(made: Any, names: Sequence[str], looks: Looks, line: str = "-") -> None:
    """Marker and name of rows, along the lower edge."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linestyle=line, label=name, **looks[name].points()) for name in names]
    wide = made.get_figwidth() > COLUMN
    made.legend(
        handles=handles, loc="lower center", ncols=legend_columns(names, wide), handletextpad=0.4, columnspacing=1.2,
        borderaxespad=0.2, labelspacing=0.3,
    )  # fmt: skip


def legend_columns(names: Sequence[str], wide: bool) -> int:
    """Names beside each other in a legend."""
    longest = max(map(len, names), default=1)
    return max(1, min(len(names), int((PAGE if wide else COLUMN) / (0.3 + 0.048 * longest))))


def legend_height(names: Sequence[str], wide: bool) -> float:
    """Inches a legend takes."""
    return 0.08 + 0.122 * math.ceil(len(names) / legend_columns(names, wide)) if names else 0.0
