"""Charts of a table: bars with intervals, label fractions."""

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.scoring.statistics import mean_and_std
from encoders.errors import printable
from reports import paper
from reports.figures.choice import first
from reports.figures.panels import Layout, is_leftmost, legend, legend_height, name_rows, panels
from reports.figures.style import INK, SMALL, TEXT, Look, Looks, folded, label, width_of
from reports.table import Cell, Row, Table

CURVES = 8
"""Rows of a table that lines and points tell apart; the first ones are the best."""
BAR = 0.135
"""Inches of a bar with the space around it."""
SPREAD = 20
"""Of gaps between numbers on an axis: beyond it a linear axis would crowd them."""
PALE = 0.55
"""Opacity of a bar that isn't ranked."""


def bars(table: Table, looks: Looks) -> Any:
    """A panel a dataset, a bar a row with its interval; paler where it isn't ranked."""
    rows = list(reversed(first(table)))
    names = [folded(label(row)) for row in rows]
    lines = max(name.count("\n") + 1 for name in names)
    height = len(rows) * BAR * max(1.0, 0.85 * lines) + 0.06
    made, axes = panels(len(table.columns), Layout(height, width_of(names), gap=0.4, under=0.24, over=0.32, right=0.35))
    for number, (ax, column) in enumerate(zip(axes, table.columns, strict=True)):
        _draw_bars(ax, [row.cells.get(column) for row in rows], [looks[label(row)] for row in rows])
        ax.set(xlim=(0, 100), ylim=(-0.6, len(rows) - 0.4), xticks=(0, 25, 50, 75, 100))
        ax.set_title(f"{printable(column)}\n{paper.metric(table.metrics[column])} (%)", pad=3)
        name_rows(ax, names if is_leftmost(number, len(axes)) else [], TEXT)
        ax.grid(axis="x")
    return made


def _draw_bars(ax: Any, cells: Sequence[Cell | None], drawn: Sequence[Look]) -> None:
    places = [place for place, cell in enumerate(cells) if cell is not None]
    there = [(cell, look) for cell, look in zip(cells, drawn, strict=True) if cell is not None]
    values = [100 * cell.value for cell, _ in there]
    colours = [(look.colour, 1.0 if cell.ranked else PALE) for cell, look in there]
    ax.barh(places, values, height=0.74, color=colours, linewidth=0)
    below = [max(0.0, 100 * (cell.value - cell.low)) for cell, _ in there]
    above = [max(0.0, 100 * (cell.high - cell.value)) for cell, _ in there]
    ax.errorbar(values, places, xerr=[below, above], linestyle="none", color=INK, elinewidth=0.7, capsize=1.2)
    for place, cell in enumerate(cells):
        ax.text(102.5, place, cell.percent if cell else "–", va="center_baseline", fontsize=SMALL)


FRACTION = re.compile(r"(?P<theirs>\d\.\d+)x_train|stratified_(?P<ours>\d\.\d+)_draw\d+")


def fraction_of(partition: str) -> tuple[str, float] | None:
    """Whose label fraction a partition is (`GEO-Bench` or `stratified`) and how much of train it holds."""
    found = FRACTION.fullmatch(partition)
    if not found:
        return None
    return ("GEO-Bench", float(found["theirs"])) if found["theirs"] else ("stratified", float(found["ours"]))


@dataclass(frozen=True)
class Curves:
    """Tables that differ in the partition alone, of one kind of label fractions, by fraction; or in another number.

    Attributes:
        axis: what is written below it; its numbers are those of `tables` divided by `unit`.
        with_intervals: whether a point of one draw shows its interval, where others show their deviation.
    """

    kind: str
    tables: dict[float, list[Table]]
    axis: str = "train labels (%)"
    unit: float = 0.01
    is_log: bool = True
    with_intervals: bool = False

    @property
    def bars(self) -> str:
        """What the bars are, in words."""
        deviation = "deviation over draws and seeds"
        return f"{deviation}, {'the interval' if self.with_intervals else 'none'} where there is but one"


def is_spread(numbers: Sequence[float]) -> bool:
    """Whether ascending numbers lie as a logarithm spaces them: some gaps are dozens of times others."""
    gaps = [after - before for before, after in itertools.pairwise(numbers)]
    return numbers[0] > 0 and max(gaps) > SPREAD * min(gaps)


def curves(tables: Sequence[Table]) -> list[Curves]:
    """What label-fraction curves can be drawn: two fractions or more."""
    alike: dict[tuple[tuple[str, str], ...], list[Table]] = defaultdict(list)
    for table in tables:
        alike[tuple((name, value) for name, value in table.settings.items() if name != "partition")].append(table)
    found = []
    for group in alike.values():
        whole = [table for table in group if table.settings["partition"] == "default"]
        for kind in ("GEO-Bench", "stratified"):
            by_fraction: dict[float, list[Table]] = defaultdict(list)
            for table in group:
                of = fraction_of(table.settings["partition"])
                if of and of[0] == kind:
                    by_fraction[of[1]].append(table)
            if by_fraction:
                by_fraction[1.0] = by_fraction.get(1.0) or whole
            if sum(bool(one) for one in by_fraction.values()) > 1:
                found.append(Curves(kind, {fraction: by_fraction[fraction] for fraction in sorted(by_fraction)}))
    return found


def fractions(of: Curves, looks: Looks) -> Any:
    """A panel a dataset, a line a row: mean score along the axis, with what `Curves.bars` says."""
    every = [table for tables in of.tables.values() for table in tables]
    columns = [
        column
        for column in dict.fromkeys(column for table in every for column in table.columns)
        if sum(any(column in table.columns for table in tables) for tables in of.tables.values()) > 1
    ]
    names = curve_names(of)[:CURVES]
    wide = len(columns) > 2
    layout = Layout(1.2, 0.42, gap=0.3, under=0.34, over=0.32, bottom=legend_height(names, wide))
    made, axes = panels(len(columns), layout)
    metrics = {column: metric for table in every for column, metric in table.metrics.items()}
    for number, (ax, column) in enumerate(zip(axes, columns, strict=True)):
        for name in names:
            cells = {x: _cells(tables, name, column) for x, tables in of.tables.items()}
            _curve(ax, cells, looks[name], of.with_intervals)
        if of.is_log:
            ax.set_xscale("log")
            ax.set_xlim(0.8 * min(of.tables), 1.25 * max(of.tables))
        ticks = _apart(list(of.tables), of.is_log)
        ax.set_xticks(ticks, [f"{number / of.unit:g}" for number in ticks])
        ax.minorticks_off()
        ax.set_title(f"{printable(column)}\n{paper.metric(metrics[column])} (%)", pad=3)
        ax.set_xlabel(of.axis, labelpad=2)
        ax.grid(True)
    legend(made, names, looks)
    return made


def curve_names(of: Curves) -> list[str]:
    """Labels of all rows that have a curve, in the order of the table of the largest number."""
    every = [table for tables in of.tables.values() for table in tables]
    return list(dict.fromkeys(label(row) for table in reversed(every) for row in table.rows))


def _apart(numbers: Sequence[float], is_log: bool) -> list[float]:
    """Those of ascending numbers whose labels don't touch: a fifteenth of the axis from the one before, at least."""

    def place(number: float) -> float:
        return math.log(number) if is_log else number

    least = (place(numbers[-1]) - place(numbers[0])) / 15
    found: list[float] = []
    for number in numbers:
        if not found or place(number) - place(found[-1]) >= least:
            found.append(number)
    return found


def _cells(tables: Sequence[Table], name: str, column: str) -> list[Cell]:
    rows: list[Row] = [row for table in tables for row in table.rows if label(row) == name]
    return [row.cells[column] for row in rows if column in row.cells]


def _curve(ax: Any, cells: dict[float, list[Cell]], look: Look, with_intervals: bool) -> None:
    points = []
    for x, found in cells.items():
        if not found:
            continue
        value, std = mean_and_std([value for cell in found for value in cell.values])
        below = above = std
        if with_intervals and len(found) == 1:
            below, above = max(0.0, value - found[0].low), max(0.0, found[0].high - value)
        points.append((x, 100 * value, 100 * below, 100 * above))
    if points:
        places, values, shorter, longer = zip(*points, strict=True)
        ax.errorbar(places, values, yerr=[shorter, longer], elinewidth=0.6, capsize=1.2, **look.points())
