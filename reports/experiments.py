"""An experiment's records as its own table: points of its axes as rows, or as columns, whatever they vary.

Leaderboards hold what a row is; an experiment asks what changes it, so its table may set protocols, partitions or
options side by side that a leaderboard keeps apart. All it needs is in the records.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from benchmark.membership import AxisPoint, Membership
from benchmark.records import Record
from benchmark.request import experiments as files
from reports import paper
from reports.derived import unmarked
from reports.sheet import Ink, Sheet, of_table
from reports.table import Cell, Row, Table
from reports.tables import finished, tables

Asked = tuple[Record, Membership]


@dataclass(frozen=True)
class Shown:
    """An experiment's records under one protocol, track and partition.

    Attributes:
        columns: `datasets`, `fusers` or an axis.
        by_column: tables of what is in a column, several where it holds draws or several probes; under no name where
            the columns are datasets.
        values: where a column lies, on an axis of numbers.
    """

    name: str
    title: str
    columns: str
    shared: dict[str, str]
    by_column: dict[str, list[Table]]
    values: dict[str, float]

    @property
    def settings(self) -> str:
        """What its records share, in a few words."""
        s = self.shared
        return (
            f"protocol {s['protocol']} ({s['protocol_hash']}), {s['bands']} bands, {s['band_names']} band names, "
            f"{s['partition']} partition"
        )


def shown(records: Iterable[Record]) -> list[Shown]:
    """The experiments that records are part of, but for those whose table is the leaderboards: they have no axis, and
    datasets for columns."""
    found: dict[tuple[object, ...], list[Asked]] = defaultdict(list)
    for record in {record.key: record for record in records}.values():
        for one in record.experiments:
            found[one.experiment, one.columns, *sorted(one.shared.items())].append((record, one))
    sets = [found[key] for key in sorted(found, key=str)]
    return [_shown(asked) for asked in sets if asked[0][1].columns != "datasets" or any(one.points for _, one in asked)]


def _shown(asked: Sequence[Asked]) -> Shown:
    _, first = asked[0]
    columns: dict[str, list[Record]] = defaultdict(list)
    points: dict[str, AxisPoint] = {}
    for record, one in asked:
        name = ""
        if first.columns == "fusers":
            name = paper.FUSERS.get(record.run.fusion, record.run.fusion)
        for point in one.points:
            if point.axis == first.columns:
                name, points[point.label] = point.label, point
        columns[name].append(_retitled(record, one, first.columns))
    order = sorted(columns, key=lambda name: (points[name].place if name in points else -1, name))
    return Shown(
        name=first.experiment,
        title=first.title,
        columns=first.columns,
        shared=first.shared,
        by_column={name: tables(columns[name]) for name in order},
        values={name: value for name, point in points.items() if (value := point.value) is not None},
    )


def _retitled(record: Record, one: Membership, columns: str) -> Record:
    """The record as a row of the experiment, told from others by the points that are no columns."""
    labels = ", ".join(point.label for point in one.points if point.axis != columns)
    told = replace(record, rows={one.row: record.rows[one.row]}, variant=labels)
    if columns != "datasets":
        return told
    # What the points vary of a table's settings is told by their labels.
    return replace(told, run=replace(record.run, **one.shared))  # type: ignore[arg-type]


def sheets(found: Iterable[Shown]) -> list[Sheet]:
    """The experiments' tables, ready to print."""
    return [sheet for one in found for sheet in _sheets(one)]


def _sheets(one: Shown) -> list[Sheet]:
    lines = _words(one.name)
    if one.columns != "datasets":
        return [replace(_pivot(one), lines=(*lines, *_pivot(one).lines))]
    found = []
    for number, table in enumerate(one.by_column[""], start=1):
        rows = tuple(
            replace(unmarked(row), section="models" if row.section == "variants" else row.section) for row in table.rows
        )
        sheet = of_table(finished(replace(table, rows=rows, ranks_within="experiment")), number)
        name = f"experiment-{one.name}-{number}"
        found.append(replace(sheet, name=name, title=f"{one.title}: {table.title}", lines=(*lines, *sheet.lines)))
    return found


def _pivot(one: Shown) -> Sheet:
    every = [table for found in one.by_column.values() for table in found]
    datasets = paper.in_order({column for table in every for column in table.columns})
    rows = list(dict.fromkeys(_label(row, one) for table in every for row in table.rows))
    fused = one.columns != "fusers" and any(fuser != "none" for _, fuser in rows)
    body = []
    for dataset in datasets:
        lines = []
        for label in rows:
            cells = [_cells(found, label, dataset, one) for found in one.by_column.values()]
            if any(cells):
                title, fuser = label
                labels = [Ink(title), *([Ink(paper.FUSERS.get(fuser, fuser))] if fused else [])]
                lines.append((*labels, *map(_ink, cells)))
        body.append((dataset, tuple(lines)))
    return Sheet(
        name=f"experiment-{one.name}",
        title=f"{one.title}: {one.settings}",
        head=(Ink("Encoder"), *([Ink("Fuser")] if fused else []), *(Ink(name) for name in one.by_column)),
        labels=1 + fused,
        body=tuple(body),
        lines=(
            f"Columns: {one.columns}. Percent of each dataset's headline metric with its interval; of several draws, "
            "mean ± deviation. On images, what is unfused is a linear probe; all else a trained decoder. Not ranked.",
        ),
    )


def _label(row: Row, one: Shown) -> tuple[str, str]:
    title = row.title + (" (random weights)" if row.random else "")
    return title, "" if one.columns == "fusers" else row.fusion


def _cells(found: Sequence[Table], label: tuple[str, str], dataset: str, one: Shown) -> list[Cell]:
    rows = [row for table in found for row in table.rows if _label(row, one) == label]
    return [row.cells[dataset] for row in rows if dataset in row.cells]


def _ink(cells: Sequence[Cell]) -> Ink:
    if not cells:
        return Ink("--")
    values = [100 * value for cell in cells for value in cell.values]
    if len(cells) > 1:
        return Ink(f"{fmean(values):.1f} ± {stdev(values):.1f}")
    (cell,) = cells
    return Ink(cell.percent, interval=(100 * cell.low, 100 * cell.high) if cell.has_interval else None)


def _words(name: str) -> tuple[str, ...]:
    """What an experiment of ours asks, and how to read its table; nothing of one that isn't ours."""
    if name not in files.names():
        return ()
    found = files.load(name)
    return found.question, found.reading.strip()
