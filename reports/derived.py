"""What is read off several comparable sets: ablations of fusers, curves of label fractions, what stored bands cost."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmark.scoring import statistics
from reports.table import Row, Table
from reports.tables import finished

Settings = tuple[tuple[str, str], ...]
Key = tuple[str, str, str, str, Settings]
"""Title, encoder, fusion, dataset and settings of a cell."""
Origin = Literal["ours", "GEO-Bench"]

_FRACTION = re.compile(r"(?P<theirs>\d\.\d+)x_train|stratified_(?P<ours>\d\.\d+)_draw\d+")
WHOLE = ("default", "1.00x_train")


@dataclass(frozen=True)
class Point:
    """A score with a fraction of the labels: mean and deviation over draws (and seeds), as fractions of 1."""

    fraction: float
    mean: float
    std: float
    draws: int


@dataclass(frozen=True)
class Curve:
    """A row's scores on a dataset over label fractions, ascending; never ranked.

    Attributes:
        random: whether its encoder's weights were drawn.
        metric: headline metric.
        origin: who drew the fractions: `ours`, stratified, five times; or GEO-Bench once.
        settings: as `Table.settings`, the partition left out.
        notes: what is flagged about its scores.
    """

    title: str
    encoder: str
    fusion: str
    random: bool
    dataset: str
    metric: str
    origin: Origin
    settings: Settings
    points: tuple[Point, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """What corrected band names add to a score on one dataset: corrected minus stored, with its paired interval."""

    title: str
    encoder: str
    fusion: str
    dataset: str
    settings: Settings
    value: float
    low: float
    high: float


def is_fraction(table: Table) -> bool:
    """Whether its records were trained on a fraction of the labels."""
    return table.settings["partition"] not in WHOLE and bool(_FRACTION.fullmatch(table.settings["partition"]))


def main(tables: Sequence[Table]) -> list[Table]:
    """The tables to print: label fractions are curves, unless there is nothing else."""
    return [table for table in tables if not is_fraction(table)] or list(tables)


def ablations(tables: Sequence[Table]) -> list[Table]:
    """Fusers side by side, encoder by encoder: the rows of encoders with several, ranked within each."""
    found = []
    for table in main(tables):
        fusers: dict[str, set[str]] = defaultdict(set)
        for row in table.rows:
            fusers[row.title].add(row.fusion)
        rows = [unmarked(row) for row in table.rows if len(fusers[row.title]) > 1 and not row.random]
        if rows:
            found.append(finished(replace(table, rows=tuple(rows), ranks_within="encoder")))
    return found


def unmarked(row: Row) -> Row:
    """A row without what was said of it among others."""
    cells = {name: replace(cell, mark="", tied=False, ranks=None) for name, cell in row.cells.items()}
    return replace(row, cells=cells, aggregates={})


def curves(tables: Sequence[Table]) -> list[Curve]:
    """Every row's curve on every dataset that has fractions; the whole training split is the last point of each."""
    scores: dict[tuple[Key, Origin], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    whole: dict[Key, list[float]] = {}
    about: dict[Key, tuple[bool, str]] = {}
    notes: dict[Key, dict[str, None]] = defaultdict(dict)
    for table in tables:
        origin, fraction = _origin(table.settings["partition"])
        for row, column, key in _cells(table, "partition"):
            about[key] = row.random, table.metrics[column]
            notes[key] |= dict.fromkeys(table.notes[note] for note in row.cells[column].notes)
            if origin:
                scores[key, origin][fraction] += row.cells[column].values
            elif table.settings["partition"] in WHOLE:
                whole.setdefault(key, list(row.cells[column].values))
    found = []
    for (key, drawn), by_fraction in scores.items():
        given = {**by_fraction, **({1.0: whole[key]} if key in whole else {})}
        points = tuple(
            Point(fraction, *statistics.mean_and_std(values), len(values)) for fraction, values in sorted(given.items())
        )
        title, encoder, fusion, dataset, settings = key
        random, metric = about[key]
        told = tuple(notes[key])
        found.append(Curve(title, encoder, fusion, random, dataset, metric, drawn, settings, points, told))
    return sorted(found, key=lambda curve: (curve.settings, curve.dataset, -curve.points[-1].mean, curve.title))


def differences(tables: Sequence[Table]) -> list[Difference]:
    """Corrected minus stored band names, wherever a row has both on a dataset and is fed otherwise for it."""
    stored = {
        key: row.cells[column]
        for table in main(tables)
        if table.settings["band_names"] == "stored"
        for row, column, key in _cells(table, "band_names")
    }
    found = []
    for table in main(tables):
        if table.settings["band_names"] != "corrected":
            continue
        for row, column, key in _cells(table, "band_names"):
            if key not in stored:
                continue
            cell, other = row.cells[column], stored[key]
            value = cell.value - other.value
            paired = len(cell.samples) and len(cell.samples) == len(other.samples)
            low, high = statistics.percentiles(cell.samples - other.samples) if paired else (np.nan, np.nan)
            found.append(Difference(row.title, row.encoder, row.fusion, column, key[-1], value, low, high))
    return found


def _cells(table: Table, left_out: str) -> Iterator[tuple[Row, str, Key]]:
    """Each cell's row and column, and what tells it from others whatever the setting left out is."""
    settings = tuple((name, value) for name, value in table.settings.items() if name != left_out)
    for row in table.rows:
        for column in row.cells:
            yield row, column, (row.title, row.encoder, row.fusion, column.split(" (data", maxsplit=1)[0], settings)


def _origin(partition: str) -> tuple[Origin | None, float]:
    match = _FRACTION.fullmatch(partition)
    if match is None or partition in WHOLE:
        return None, 1.0
    return ("ours", float(match["ours"])) if match["ours"] else ("GEO-Bench", float(match["theirs"]))
