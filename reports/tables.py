"""Which numbers may stand in one table, and what is marked in it.

Records share a table only if they share task, protocol, probe, band track, band names and partition; a column
holds one dataset with one content and one metric; a row is one configured encoder, or a family whose encoder was
fixed by dataset. Everything that prints a table (`leaderboard`, `latex`, `console`) prints one of these.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from benchmark.records import Record
from benchmark.scoring import over_seeds, statistics
from reports import marks, paper
from reports.efficiency import efficiency
from reports.merging import Absence
from reports.table import Cell, Missing, Row, Section, Table

FLOOR = "imagestats"
FEWER_SEEDS = "fewer seeds than the protocol asks: not compared with means over all of them"
BELOW_FLOOR = "below image statistics, a floor without a network: look at the input card before believing the model"
OF_TABLES = (FEWER_SEEDS, BELOW_FLOOR)
"""Notes that no record knows of itself."""

_ENCODER_FIELDS = ("encoder", "encoder_version", "encoder_options")
_ROW_FIELDS = ("precision", "fusion", "fuser")
_CELL_FIELDS = ("weights", "inputs", "image_size", "missing_bands")


def has_random_weights(record: Record) -> bool:
    """Whether the encoder's weights were drawn, not trained."""
    return "random" in record.run.weights or "random" in record.run.weights.values()


def tables(records: Iterable[Record], absences: Iterable[Absence] = ()) -> list[Table]:
    """One table a set of comparable records; a record that occurs twice counts once.

    Args:
        absences: cells that have no record, and why.
    """
    distinct = {record.key: record for record in records}.values()
    sets: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in sorted(distinct, key=lambda record: record.key):
        settings = settings_of(record)
        sets[tuple(settings[name] for name in sorted(settings))] += _by_row(record)
    reasons = {one.cell: Missing(one.kind, one.why) for one in absences}
    return [_table(sets[key], reasons) for key in sorted(sets)]


def _by_row(record: Record) -> list[Record]:
    """The record once for each row that it stands in, titled as the row is, with what an experiment changed of it."""
    told = f" ({record.variant})" if record.variant else ""
    return [replace(record, title=title + told, rows={name: title}) for name, title in sorted(record.rows.items())]


def _name(record: Record) -> str:
    (name,) = record.rows
    return name


def _fields(record: Record) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a row has one value of on all datasets, and what differs between datasets as a matter of course."""
    if _name(record) == record.run.encoder:
        return (*_ENCODER_FIELDS, *_ROW_FIELDS), _CELL_FIELDS
    return _ROW_FIELDS, (*_ENCODER_FIELDS, *_CELL_FIELDS)


def settings_of(record: Record) -> dict[str, str]:
    """What the records of one table share."""
    run = record.run
    # A trained fuser before a classifier is another instrument; a segmentation decoder is trained either way.
    fused = record.task == "classification" and record.is_trained
    return {
        "task": record.task,
        "probe": run.probe,
        "probe_version": str(run.probe_version),
        "features": "fused" if fused else "",
        "protocol": run.protocol,
        "protocol_hash": run.protocol_hash,
        "bands": run.bands,
        "band_names": run.band_names,
        "partition": run.partition,
        # Datasets of a user's own have tables of their own: no aggregate mixes them with the benchmark's.
        "benchmark": str(run.dataset_facts.get("benchmark", "")),
    }


def _table(records: list[Record], reasons: dict[tuple[str, ...], Missing]) -> Table:
    columns = column_names(records)
    groups = _row_groups(records, columns)
    notes = tuple(dict.fromkeys(flag for record in records for flag in record.flags))
    notes += (FEWER_SEEDS,) if any(_is_short(group, columns) for group in groups) else ()
    rows = [_row(title, group, columns, notes) for title, group in zip(_titles(groups), groups, strict=True)]
    names = paper.in_order(set(columns.values()))
    rows, notes = _flagged_below_floor(rows, notes)
    by_column = {columns[record.key]: record for record in records}
    first = {name: by_column[name] for name in names}
    settings = settings_of(records[0])
    table = Table(
        settings=settings,
        columns=tuple(names),
        metrics={name: record.score.headline for name, record in first.items()},
        groups={name: record.score.n_groups for name, record in first.items()},
        rows=tuple(_explained(row, first, settings, reasons) for row in rows),
        notes=notes,
        methods=tuple(sorted({record.score.interval.method for record in records})),
        protocol_title=records[0].protocol_title,
    )
    return finished(table)


def finished(table: Table) -> Table:
    """A table with its cells marked, its aggregates computed and its rows in order, all anew."""
    rows, tests = marks.marked(table.rows, table.columns, table.groups, table.ranks_within)
    rows, aggregates = marks.aggregated(rows, table.columns, table.ranks_within)
    ordered = marks.ordered(rows, table.columns, table.ranks_within)
    return replace(table, rows=tuple(ordered), tests=tuple(tests), aggregates=aggregates)


def _explained(
    row: Row, columns: dict[str, Record], settings: dict[str, str], reasons: dict[tuple[str, ...], Missing]
) -> Row:
    """The row with a reason for each cell it lacks."""
    shared = [settings[name] for name in ("probe", "protocol_hash", "bands", "band_names", "partition")]
    name = " ".join(filter(None, (row.encoder, row.variant)))
    missing = {
        column: reasons.get((name, row.fusion, record.run.dataset, *shared), Missing("not run"))
        for column, record in columns.items()
        if column not in row.cells
    }
    return replace(row, missing=missing)


def column_names(records: list[Record]) -> dict[str, str]:
    """Column by record key: the dataset's name, and what sets it apart where that alone is ambiguous."""
    identity = {record.key: (record.run.dataset, record.score.headline, _short(record.run.data)) for record in records}
    named, distinct = {}, set(identity.values())
    for key, (dataset, metric, data) in identity.items():
        others = {other for other in distinct if other[0] == dataset}
        parts = [metric] if len({other[1] for other in others}) > 1 else []
        parts += [f"data {data}"] if len({other[2] for other in others}) > 1 else []
        named[key] = f"{dataset} ({', '.join(parts)})" if parts else dataset
    return named


def _row_groups(records: list[Record], columns: dict[str, str]) -> list[list[Record]]:
    """Records by row: never two configurations in one cell, seeds apart."""
    rows: dict[object, list[Record]] = defaultdict(list)
    for record in records:
        own = (_hashable(getattr(record.run, field)) for field in _fields(record)[0])
        rows[_name(record), record.variant, *own].append(record)
    return [group for row in rows.values() for group in _split(row, columns)]


def _split(row: list[Record], columns: dict[str, str]) -> list[list[Record]]:
    # What differs between datasets as a matter of course is another row within one.
    cells: dict[str, list[Record]] = defaultdict(list)
    for record in row:
        cells[columns[record.key]].append(record)
    varying = [
        field
        for field in _fields(row[0])[1]
        if any(len({_hashable(getattr(r.run, field)) for r in cell}) > 1 for cell in cells.values())
    ]
    groups: dict[object, list[Record]] = defaultdict(list)
    for record in row:
        groups[tuple(_hashable(getattr(record.run, field)) for field in varying)].append(record)
    return list(groups.values())


def _titles(groups: list[list[Record]]) -> list[str]:
    """A title a row, with the fields that tell rows of one title and fusion apart."""
    titles = []
    for group in groups:
        record = group[0]
        same = [
            other[0] for other in groups
            if (other[0].title, other[0].run.fusion) == (record.title, record.run.fusion)
        ]  # fmt: skip
        differing: list[str] = []
        for fields in _fields(record):
            if len({_canonical([getattr(r.run, f) for f in differing]) for r in same}) < len(same):
                differing += [f for f in fields if len({_canonical(getattr(r.run, f)) for r in same}) > 1]
        told = ", ".join(_told(record, field, same) for field in differing)
        titles.append(f"{record.title} ({told})" if told else record.title)
    return titles


def _told(record: Record, field: str, same: list[Record]) -> str:
    value = getattr(record.run, field)
    if field not in ("encoder_options", "fuser"):
        return f"{field.replace('_', ' ')} {_short(value)}"
    options = [getattr(other.run, field) for other in same]
    keys = sorted({key for one in options for key in one})
    varying = [key for key in keys if len({_canonical(one.get(key)) for one in options}) > 1]
    return ", ".join(f"{key} {_short(value.get(key))}" for key in varying)


def _row(title: str, group: list[Record], columns: dict[str, str], notes: tuple[str, ...]) -> Row:
    by_column = _by_column(group, columns)
    random = any(has_random_weights(record) for record in group)
    cells = {column: _cell(found, notes) for column, found in by_column.items()}
    first = group[0]
    return Row(
        title=title,
        encoder=_name(first),
        fusion=first.run.fusion,
        section=_section(first, random, cells),
        random=random,
        cells=cells,
        efficiency=efficiency([min(found, key=lambda record: record.run.seed) for found in by_column.values()]),
        licence=", ".join(sorted({record.licence for record in group})),
        overlap=tuple(column for column, (one, *_) in by_column.items() if one.run.dataset in one.pretraining_overlap),
        variant=first.variant,
    )


def _flagged_below_floor(rows: list[Row], notes: tuple[str, ...]) -> tuple[list[Row], tuple[str, ...]]:
    """Rows whose cells say so where they score under the floor of their column; a record alone can't know it."""
    floor = {column: cell.value for row in rows if row.encoder == FLOOR for column, cell in row.cells.items()}
    below = len(notes)
    flagged = [
        replace(row, cells={
            column: replace(cell, notes=(*cell.notes, below)) if cell.value < floor.get(column, 0) else cell
            for column, cell in row.cells.items()
        })
        if row.section != "floors" else row
        for row in rows
    ]  # fmt: skip
    return flagged, (*notes, BELOW_FLOOR) if flagged != rows else notes


def _section(record: Record, random: bool, cells: dict[str, Cell]) -> Section:
    if record.role == "floor":
        return "floors"
    if random or not any(cell.ranked for cell in cells.values()):
        return "not ranked"
    if record.variant:
        return "variants"
    return "controls" if record.role == "control" else "models"


def _cell(found: list[Record], notes: tuple[str, ...]) -> Cell:
    by_seed = sorted(found, key=lambda record: record.run.seed)
    scores = [record.score for record in by_seed]
    flags = {flag for record in found for flag in record.flags} | ({FEWER_SEEDS} if lacks_seeds(found) else set())
    values = [score.metrics[score.headline] for score in scores]
    value, std = statistics.mean_and_std(values)
    keys = tuple(record.key for record in by_seed)
    samples = over_seeds.together([statistics.unpack(score.resamples) for score in scores], keys[0])
    low, high = over_seeds.interval([score.interval for score in scores], samples)
    return Cell(
        value=value,
        low=low,
        high=high,
        seeds=len(scores),
        ranked=may_be_ranked(found),
        notes=tuple(index for index, note in enumerate(notes) if note in flags),
        std=std,
        keys=keys,
        values=tuple(values),
        samples=samples,
    )


def may_be_ranked(found: Sequence[Record]) -> bool:
    """Whether the mean over the records of a cell may be ranked."""
    return not lacks_seeds(found) and all(record.ranked and not has_random_weights(record) for record in found)


def lacks_seeds(found: Iterable[Record]) -> bool:
    """Whether one of the runs of a cell, draws of a partition among them, has fewer seeds than its protocol asks."""
    runs: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in found:
        runs[record.run.partition, record.run.protocol_hash].append(record)
    return any(len(seeds) < seeds[0].seeds_asked for seeds in runs.values())


def _is_short(group: list[Record], columns: dict[str, str]) -> bool:
    return any(map(lacks_seeds, _by_column(group, columns).values()))


def _by_column(group: list[Record], columns: dict[str, str]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in group:
        found[columns[record.key]].append(record)
    return found


def _hashable(value: object) -> object:
    """The value, or its canonical text where it is a dictionary."""
    return _canonical(value) if isinstance(value, dict) else value


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else _canonical(value)
    return text if len(text) <= 24 else hashlib.sha256(text.encode()).hexdigest()[:8]
