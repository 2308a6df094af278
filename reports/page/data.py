"""What the page's scripts draw and open, as plain data: tables, and behind each cell its records.

Protocols, input cards, class names and the like are held once and named by number, so that a page of 10,000 records
stays a file of some megabytes.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmark.records import Record
from reports import paper
from reports.averaging import mean_of
from reports.derived import Curve, curves
from reports.efficiency import measured_on
from reports.merging import Merged
from reports.page import behind, facts
from reports.page.behind import Behind
from reports.table import NOT_RANKED, Aggregate, Cell, Efficiency, Row, Table

DIGITS = 5
"""Of fractions: a thousandth of a per cent."""
COSTS = (
    "images_per_second", "frozen_parameters", "trained_parameters", "flops_per_image", "encode_seconds",
    "train_seconds", "peak_memory_bytes", "feature_bytes_per_image", "finest_grid",
)  # fmt: skip
FAMILIES = ("neighbours", "against the best")


class Pool:
    """Values held once, by number."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    @property
    def values(self) -> list[Hashable]:
        """All values, each at its number."""
        return list(self._numbers)

    def number(self, value: Hashable) -> int:
        """The number of a value, which is kept if it is new."""
        return self._numbers.setdefault(value, len(self._numbers))


class _Source:
    """Where cells get their records from, and where they leave what many share."""

    def __init__(self, merged: Merged) -> None:
        self.records = {record.key: record for record in merged.records}
        self.merged = merged
        names = ("cards", "classes", "devices", "environments", "facts", "methods", "protocols")
        self.pools = {name: Pool() for name in names}

    def number(self, pool: str, value: Hashable) -> int:
        """The number of a value in a pool."""
        return self.pools[pool].number(value)

    def behind(self, record: Record) -> Behind:
        """What the record's file says and the record in memory does not."""
        return behind.read(self.merged.folders[record.key], record.key)


def page_data(merged: Merged, tables: Sequence[Table]) -> dict[str, Any]:
    """All tables with what lies behind their cells, ready for JSON.

    Raises:
        UserError: a record's file is gone since it was read.
    """
    source, fractions = _Source(merged), curves(tables)
    sets = [_set(table, source) | {"curves": _curves(table, fractions)} for table in tables]
    pools = {name: pool.values for name, pool in source.pools.items()}
    return {"sets": sets, "card_columns": facts.CARD_COLUMNS, "not_ranked": NOT_RANKED, "families": FAMILIES, **pools}


def _set(table: Table, source: _Source) -> dict[str, Any]:
    classes: dict[str, int] = {}
    blocks = {id(row): name for name, rows in table.sections.items() for row in rows}
    rows = [_row(row, table, source, classes) | {"block": blocks[id(row)]} for row in table.rows]
    mean = mean_of(table)
    return {
        "task": table.settings["task"],
        "columns": [
            {"name": name, "metric": paper.metric(table.metrics[name]), "classes": classes.get(name)}
            for name in table.columns
        ],
        "mean": {
            "columns": [table.columns.index(name) for name in mean.columns],
            "metric": mean.metric,
            "words": mean.words,
        },
        "aggregates": list(table.aggregates),
        "notes": table.notes,
        "rows": rows,
        "tests": _tests(table),
    }


def _curves(table: Table, fractions: Sequence[Curve]) -> list[dict[str, Any]]:
    """Curves of label fractions whose records differ from the table's in nothing but the partition."""
    settings = tuple((name, value) for name, value in table.settings.items() if name != "partition")
    rows = {(row.title, row.fusion): number for number, row in enumerate(table.rows)}
    columns = {name: number for number, name in enumerate(table.columns)}
    return [
        {
            "row": rows[curve.title, curve.fusion],
            "column": columns[curve.dataset],
            "origin": curve.origin,
            "points": [[one.fraction, *_all_rounded(one.mean, one.std), one.draws] for one in curve.points],
        }
        for curve in fractions
        if curve.settings == settings and (curve.title, curve.fusion) in rows and curve.dataset in columns
    ]


def _tests(table: Table) -> list[list[float]]:
    """Every paired test, rows, columns and families by number."""
    rows = {(row.title, row.fusion): number for number, row in enumerate(table.rows)}
    columns = {name: number for number, name in enumerate(table.columns)}
    return [
        [columns[one.column], FAMILIES.index(one.family), rows[one.better], rows[one.worse], *_all_rounded(
            one.difference, one.low, one.high, one.p, one.adjusted)]
        for one in table.tests
    ]  # fmt: skip


def _row(row: Row, table: Table, source: _Source, classes: dict[str, int]) -> dict[str, Any]:
    return {
        "title": row.title,
        "encoder": row.encoder,
        "fuser": "" if row.fusion == "none" else paper.FUSERS.get(row.fusion, row.fusion),
        "section": row.section,
        "random": row.random,
        "licence": row.licence,
        "overlap": [number for number, name in enumerate(table.columns) if name in row.overlap],
        "missing": [
            (name, row.missing[name].kind, row.missing[name].why) for name in table.columns if name in row.missing
        ],
        "aggregates": [_aggregate(row.aggregates.get(name)) for name in table.aggregates],
        "efficiency": _efficiency(row.efficiency, table) if row.efficiency else None,
        "cells": [
            _cell(row.cells[name], name, source, classes) if name in row.cells else None for name in table.columns
        ],
    }


def _efficiency(cost: Efficiency, table: Table) -> dict[str, Any]:
    """The costs of a row, with where its seconds and its speed were measured in the place of their datasets."""
    places = {name: measured_on(cost.device, getattr(cost, name), table.columns) for name in ("timed", "encoded")}
    return asdict(cost) | places


def _aggregate(one: Aggregate | None) -> float | None:
    return None if one is None else _rounded(one.value)


def _cell(cell: Cell, column: str, source: _Source, classes: dict[str, int]) -> dict[str, Any]:
    records = [source.records[key] for key in cell.keys]
    # Seeds share all that is behind them but the packages they were made with.
    first, score, found = records[0], records[0].score, source.behind(records[0])
    classes.setdefault(column, source.number("classes", facts.class_names(found.config)))
    return {
        "value": _rounded(cell.value),
        "low": _rounded(cell.low),
        "high": _rounded(cell.high),
        "std": _rounded(cell.std),
        "seeds": cell.seeds,
        "ranked": cell.ranked,
        "ranks": cell.ranks,
        "mark": cell.mark,
        "notes": cell.notes,
        "metrics": _means([record.score.metrics for record in records]),
        "validation": _rounded(sum(record.score.validation for record in records) / len(records)),
        "chosen": ", ".join(f"{name} {value:g}" for name, value in sorted(score.chosen.items())),
        "counts": [score.n_train, score.n_test, score.n_groups],
        "cost": {name: float(f"{getattr(first.cost, name):.4g}") for name in COSTS},
        "device": source.number("devices", first.provenance.device),
        "confusion": behind.added([record.score.confusion for record in records]),
        "method": source.number("methods", score.interval.method),
        "card": source.number("cards", facts.card(found.card)),
        "protocol": source.number("protocols", facts.protocol(first.run, found.config)),
        "run": [source.number("facts", fact) for fact in facts.run(first.run, found.config)],
        "packages": source.number("facts", ("packages of the first record", facts.versions(found.packages))),
        "records": [_record(record, source) for record in records],
    }


def _record(record: Record, source: _Source) -> list[object]:
    score = record.score
    environment = source.number("environments", facts.environment(record.provenance))
    value = _rounded(score.metrics[score.headline])
    return [record.key, record.run.seed, value, record.provenance.created, environment]


def _means(metrics: Sequence[Mapping[str, float]]) -> list[tuple[str, float]]:
    """Mean over seeds of what is not by class: that is computed from the confusion."""
    names = [name for name in sorted(metrics[0]) if not name.removeprefix("iou_").isdigit()]
    common = [name for name in names if all(name in one for one in metrics)]
    return [(paper.metric(name), _rounded(sum(one[name] for one in metrics) / len(metrics))) for name in common]


def _all_rounded(*values: float) -> list[float]:
    return [_rounded(value) for value in values]


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
