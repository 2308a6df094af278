"""Score against cost, with the Pareto front of the ranked models: those that no other beats in both."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from encoders.errors import printable
from reports.averaging import Mean, mean_of
from reports.efficiency import measured_on
from reports.figures.choice import BARS
from reports.figures.panels import Layout, legend, legend_height, panels
from reports.figures.style import SMALL, Looks, cut, label
from reports.table import Efficiency, Row, Table

Point = tuple[float, float]
"""Cost and score."""
ALONG = 26
"""Characters along the vertical axis of a panel."""
UNRANKED = 0.4
"""Opacity of a marker, of which often but the edge is drawn, that isn't ranked."""
NOUGHT = 4
"""How many times less than the least cost a cost of 0 is drawn at."""


@dataclass(frozen=True)
class Axis:
    """A cost: its name, how a row gives it (None where it isn't known), whether more of it is better.

    Attributes:
        of_device: whether it compares only on one device, over the same datasets.
    """

    name: str
    of: Callable[[Efficiency], float | None]
    more_is_better: bool = False
    of_device: bool = False


COSTS = (
    Axis("images/s, frozen part", lambda one: one.images_per_second, more_is_better=True, of_device=True),
    Axis("frozen parameters", lambda one: one.frozen_parameters),
    Axis("trained parameters", lambda one: one.trained_parameters),
    Axis("GFLOPs an image, frozen part", lambda one: one.gflops),
)


@dataclass(frozen=True)
class Compared:
    """What is drawn of a table.

    Attributes:
        mean: the score.
        points: (cost, score) of each row that has both, by cost.
        fronts: of ranked models, by cost; empty where there are none, or their speeds don't compare.
        apart: why speeds of ranked models don't compare; empty where they do.
        speeds: device and datasets of the front of speeds; empty where these are all of the table's.
        floors: drawn as lines.
        rows: with any point, as many as a legend holds, those on a front among them.
        others: how many rows with a point aren't drawn; `lacking`: how many have no such score.
    """

    mean: Mean
    points: tuple[dict[str, Point], ...]
    fronts: tuple[list[Point], ...]
    apart: str
    speeds: str
    floors: tuple[Row, ...]
    rows: tuple[Row, ...]
    others: int
    lacking: int

    @property
    def caption(self) -> str:
        """What the figure shows, and what it leaves out."""
        told = [f"Score ({self.mean.words}) against cost (mean over a row's datasets)"]
        if any(self.fronts):
            told.append("steps: the front of ranked models that no other ranked model beats in both")
        else:
            told.append("no ranked model here, so no front")
        told += [f"images/s without a front, as {self.apart} don't compare"] if self.apart else []
        told += [f"the front of images/s is of {self.speeds}"] if self.speeds else []
        told.append("paler: not ranked")
        told += ["dashed: floors without a network"] if self.floors else []
        told += [f"{self.others} more rows are not drawn"] if self.others else []
        told += [f"{self.lacking} more rows lack such a score"] if self.lacking else []
        return "; ".join(told) + "."


def compared(table: Table) -> Compared | None:
    """What can be drawn of a table; None where no row has a score to draw."""
    mean = mean_of(table)
    floors = [row for row in table.rows if row.section == "floors"]
    models = [row for row in table.rows if row.section != "floors" and row.efficiency and mean.has(row)]
    if not models:
        return None
    ranked = [row for row in models if mean.is_ranked(row)]
    timed = [row.efficiency for row in ranked if row.efficiency and row.efficiency.encoded]
    apart = _apart(timed)
    points = tuple(_points(models, axis, mean) for axis in COSTS)
    fronts = tuple(
        [] if axis.of_device and apart else front(_points(ranked, axis, mean).values(), axis.more_is_better)
        for axis in COSTS
    )
    on_front = {
        next(label(row) for row in ranked if found.get(label(row)) == point)
        for found, line in zip(points, fronts, strict=True)
        for point in line
    }
    order = sorted(models, key=lambda row: label(row) not in on_front)
    kept = {label(row) for row in order[:BARS]}
    return Compared(
        mean=mean,
        points=points,
        fronts=fronts,
        apart=apart,
        speeds="" if apart or not timed else _where(timed[0], table),
        floors=tuple(row for row in floors if mean.has(row)),
        rows=tuple(row for row in models if label(row) in kept),
        others=len(models) - len(kept),
        lacking=sum(not mean.has(row) for row in table.rows),
    )


def _apart(costs: Sequence[Efficiency]) -> str:
    """Why their speeds don't compare; empty where they do."""
    devices = {cost.device for cost in costs}
    if len(devices) > 1:
        return f"{len(devices)} kinds of device"
    return "means over different datasets" if len({cost.encoded for cost in costs}) > 1 else ""


def _where(cost: Efficiency, table: Table) -> str:
    """The device of a speed and its datasets; empty where these are all of the table's."""
    place = measured_on(cost.device, cost.encoded, table.columns)
    return place if place != cost.device else ""


def _points(rows: Sequence[Row], axis: Axis, mean: Mean) -> dict[str, Point]:
    found = {}
    for row in rows:
        cost = axis.of(row.efficiency) if row.efficiency else None
        if cost is not None:
            found[label(row)] = (cost, 100 * mean.of(row))
    return found


def front(points: Iterable[Point], more_is_better: bool) -> list[Point]:
    """The Pareto front: points that no other beats in one and equals in the other, by cost."""
    sign = -1 if more_is_better else 1
    found: list[Point] = []
    for point in sorted(set(points), key=lambda one: (sign * one[0], -one[1])):
        if not found or point[1] > found[-1][1]:
            found.append(point)
    return sorted(found)


def draw(shown: Compared, looks: Looks) -> Any:
    """A panel a cost, a marker a row, steps along the front, a dashed line a floor."""
    names = [label(row) for row in shown.rows]
    layout = Layout(1.35, 0.6, gap=0.14, under=0.34, over=0.08, bottom=legend_height(names, True))
    made, axes = panels(len(COSTS), layout)
    for number, (ax, axis) in enumerate(zip(axes, COSTS, strict=True)):
        for row in shown.floors:
            look = looks[label(row)]
            ax.axhline(100 * shown.mean.of(row), color=look.colour, linewidth=0.7, linestyle=(0, (4, 2)))
        points = {name: shown.points[number][name] for name in names if name in shown.points[number]}
        nought = min((x for x, _ in points.values() if x > 0), default=NOUGHT) / NOUGHT
        line = [(x or nought, y) for x, y in shown.fronts[number]]
        if line:
            # Between two of its points, what can be had is the score of the cheaper one.
            steps = "steps-pre" if axis.more_is_better else "steps-post"
            ax.plot(*zip(*line, strict=True), color="#888888", linewidth=0.8, zorder=1, drawstyle=steps)
        for row in shown.rows:
            if label(row) in points:
                x, y = points[label(row)]
                alpha = 1.0 if shown.mean.is_ranked(row) else UNRANKED
                ax.plot(x or nought, y, linestyle="none", **looks[label(row)].points(markersize=4.5, alpha=alpha))
        _name_axis(ax, axis, points, nought)
        if number:
            ax.sharey(axes[0])
            ax.tick_params(labelleft=False)
    columns = shown.mean.columns
    over = printable(columns[0]) if len(columns) == 1 else f"mean of {len(columns)} datasets"
    axes[0].set_ylabel(f"{cut(shown.mean.metric, ALONG - 4)} (%)\n{cut(over, ALONG)}", linespacing=1.1)
    legend(made, names, looks, line="none")
    return made


def _name_axis(ax: Any, axis: Axis, points: dict[str, Point], nought: float) -> None:
    ax.set_xscale("log")
    ax.margins(x=0.15, y=0.12)
    ax.set_xlabel(axis.name + (" →" if axis.more_is_better else ""), labelpad=2)
    ax.grid(True)
    ax.minorticks_off()
    if not points:
        ax.set_xticks([])
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", fontsize=SMALL)
        return
    low, high = ax.get_xlim()
    has_nought = any(x == 0 for x, _ in points.values())
    known = [x for x, _ in points.values() if x > 0]
    places = [(nought, "0")] if has_nought else []
    if known:
        places += [(tick, _number(tick)) for tick in _ticks(2 * nought if has_nought else low, high)]
    ax.set_xticks(*map(list, zip(*places, strict=True)))


def _ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers of a logarithmic axis."""
    from matplotlib.ticker import MaxNLocator

    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(found) > 1:
            return found[:: math.ceil(len(found) / 5)]
    # So short an axis is as good as linear.
    return [float(tick) for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]


def _number(value: float) -> str:
    """`2 M` for two million."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
