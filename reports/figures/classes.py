"""What a dataset's mean hides: confusion matrices, scores by class, calibration. Seeds of a cell are added up."""

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.scoring.counts import Array, class_counts, iou, ratio
from encoders.errors import printable
from reports.figures.choice import best
from reports.figures.details import Details
from reports.figures.panels import Layout, is_leftmost, legend, legend_height, name_columns, name_rows, panels
from reports.figures.style import FAINT, INK, PAGE, SHADES, SMALL, Looks, cut, figure, folded, label, width_of
from reports.table import Row, Table

MATRICES = 2
"""Rows of a dataset whose confusion matrix is drawn, see `choice.best`."""
LINES = 6
"""Rows of a table shown by class and in the calibration diagram, see `choice.best`."""
NUMBERED = 10
"""With more classes a matrix's cells are too small for numbers."""
OVER, LINE, UNDER = 0.2, 0.105, 0.28
"""Inches of a panel's title, of each class in it, and of its axis."""
TITLE_LINE = 0.11
"""Inches of a line of a matrix's title."""
FEW = 0.005
"""Share of all predictions below which a bin of confidence is not drawn."""


def confusions(table: Table, column: str, details: Details, classes: list[str]) -> Any:
    """Matrices of the dataset's best rows, each truth's predictions in per cent; None for multi-label."""
    rows = [(row, row.cells[column]) for row in best(table, [column], MATRICES)]
    matrices = [details.confusion(cell.keys) for _, cell in rows]
    if not rows or any(matrix.ndim != 2 for matrix in matrices):
        return None
    size = len(matrices[0])
    names = _names(classes, size)
    points = SMALL if size <= 20 else 3.5
    left = under = width_of(names, points) + 0.14
    most = (PAGE - left - 0.15 * MATRICES - 0.5) / MATRICES
    side = min(most, 0.6 + 0.22 * size)
    titles = [folded(label(row), max(18, int(16 * side))) for row, _ in rows]
    over = 0.12 + TITLE_LINE * max(title.count("\n") + 1 for title in titles)
    width, height = left + len(rows) * (side + 0.15) + 0.5, side + under + over
    made = figure(width, height)
    image = None
    for number, matrix in enumerate(matrices):
        x = left + number * (side + 0.15)
        ax = made.add_axes((x / width, under / height, side / width, side / height))
        share = 100 * ratio(matrix, matrix.sum(axis=1, keepdims=True))
        image = ax.imshow(share, cmap=SHADES, vmin=0, vmax=100, interpolation="nearest", aspect="auto")
        if size <= NUMBERED:
            _numbers(ax, share)
        name_columns(ax, names, points, rotation=90)
        name_rows(ax, [] if number else names, points)
        ax.set_title(titles[number], pad=3)
        beyond = 72 * (width_of(names, points) - 0.04)
        ax.set_xlabel("prediction", labelpad=beyond)
        if not number:
            ax.set_ylabel("truth", labelpad=beyond)
    bar = left + len(rows) * (side + 0.15) - 0.05
    shown = made.add_axes((bar / width, under / height, 0.1 / width, side / height))
    made.colorbar(image, cax=shown, label="of the class's truth (%)")
    return made


def _numbers(ax: Any, share: npt.NDArray[Any]) -> None:
    for (truth, predicted), value in np.ndenumerate(share):
        if value >= 0.5:
            ax.text(
                predicted, truth, f"{value:.0f}", ha="center", va="center", fontsize=SMALL,
                color="white" if value > 55 else INK,
            )  # fmt: skip


def by_class(table: Table, details: Details, classes: dict[str, list[str]], looks: Looks) -> Any:
    """A panel a dataset, a line a class, a point a row: IoU of masks, recall of classes, F1 of labels."""
    rows = best(table, table.columns, LINES)
    names = [label(row) for row in rows]
    scores = {column: {label(row): _by_class(table, row, column, details) for row in rows} for column in table.columns}
    shown = {column: {name: one for name, one in found.items() if len(one)} for column, found in scores.items()}
    sizes = {column: max((len(one) for one in found.values()), default=0) for column, found in shown.items()}
    columns = [column for column in table.columns if sizes[column]]
    named = {column: _names(classes.get(column, []), sizes[column]) for column in columns}
    if not columns:
        return None
    left = width_of([name for column in columns for name in named[column]], SMALL)
    tops, across = _packed([sizes[column] for column in columns]), min(2, len(columns))
    bottom = legend_height(names, True)
    total = bottom + max(top + _panel(sizes[column]) for (_, top), column in zip(tops, columns, strict=True))
    made = figure(PAGE, total)
    each = (PAGE - 0.1 - across * left) / across
    for column, (place, top) in zip(columns, tops, strict=True):
        height = sizes[column] * LINE
        x, y = left + place * (each + left), total - top - OVER - height
        ax = made.add_axes((x / PAGE, y / total, each / PAGE, height / total))
        for name, values in shown[column].items():
            points = looks[name].points(markersize=3.4, markeredgewidth=0.5)
            ax.plot(100 * values, range(len(values)), linestyle="none", clip_on=False, **points)
        ax.set(xlim=(0, 100), ylim=(sizes[column] - 0.4, -0.6))
        name_rows(ax, named[column], SMALL)
        ax.tick_params(length=0)
        ax.grid(axis="x")
        ax.hlines(range(sizes[column]), 0, 100, color="#E5E5E5", linewidth=0.4, zorder=0.5)
        ax.set_title(f"{printable(column)}: {_what(table, column)} by class (%)", pad=3)
    legend(made, names, looks, line="none")
    return made


def _panel(classes: int) -> float:
    """Inches of a panel, its title and its axis."""
    return OVER + classes * LINE + UNDER


def _packed(sizes: list[int]) -> list[tuple[int, float]]:
    """Column and top in inches of panels that follow each other in two columns, each under the shorter one."""
    filled, found = [0.0, 0.0], []
    for size in sizes:
        place = filled.index(min(filled))
        found.append((place, filled[place]))
        filled[place] += _panel(size)
    return found


def calibration(table: Table, details: Details, looks: Looks) -> Any:
    """A panel a dataset: of what is said with some confidence, how much is right; the diagonal is honest."""
    rows = best(table, table.columns, LINES)
    names = [label(row) for row in rows]
    wide = len(table.columns) > 2
    layout = Layout(1.3, 0.42, gap=0.15, under=0.34, bottom=legend_height(names, wide))
    made, axes = panels(len(table.columns), layout)
    for number, (ax, column) in enumerate(zip(axes, table.columns, strict=True)):
        ax.plot((0, 100), (0, 100), color=FAINT, linewidth=1)
        for row in rows:
            if column in row.cells:
                said, right = _reliability(details.calibration(row.cells[column].keys))
                ax.plot(said, right, linewidth=0.8, **looks[label(row)].points(markersize=3))
        ax.set(xlim=(0, 100), ylim=(0, 100), xticks=(0, 50, 100), yticks=(0, 50, 100))
        ax.set_title(printable(column), pad=3)
        ax.set_xlabel("confidence (%)", labelpad=2)
        ax.grid(True)
        if is_leftmost(number, len(axes)):
            ax.set_ylabel("right (%)", labelpad=1)
        else:
            ax.set_yticklabels([])
    legend(made, names, looks)
    return made


def _reliability(counts: Array) -> tuple[Array, Array]:
    """Mean confidence and share of right predictions, per cent, of the bins that hold anything to speak of."""
    counts = counts[counts[:, 0] > FEW * counts[:, 0].sum()]
    return 100 * ratio(counts[:, 1], counts[:, 0]), 100 * ratio(counts[:, 2], counts[:, 0])


def _by_class(table: Table, row: Row, column: str, details: Details) -> Array:
    """(K,) fractions; empty where the row has no such cell."""
    if column not in row.cells:
        return np.empty(0)
    matrix = details.confusion(row.cells[column].keys).astype(np.float64)
    if matrix.ndim == 3:  # a table [truth, prediction] of absent and present for each label
        hits, misses, false = matrix[:, 1, 1], matrix[:, 1, 0], matrix[:, 0, 1]
        return ratio(2 * hits, 2 * hits + misses + false)
    if table.settings["task"] == "segmentation":
        return iou(class_counts(matrix, None))
    return ratio(np.diagonal(matrix), matrix.sum(axis=1))


def _what(table: Table, column: str) -> str:
    if table.settings["task"] == "segmentation":
        return "IoU"
    return "F1" if table.metrics[column].startswith("f1") else "recall"


def _names(classes: list[str], size: int) -> list[str]:
    """Class names, short enough for an axis; numbers where they aren't known."""
    if len(classes) != size:
        return [str(number) for number in range(size)]
    return [cut(name, 24) for name in classes]
