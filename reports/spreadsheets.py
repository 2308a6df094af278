"""Tables for a spreadsheet or a script: tidy (a row a record), wide (a row an encoder), tests.

Rows are plain dictionaries, all with the same columns in the same order; an empty text where there is nothing to say.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from benchmark.membership import Membership
from benchmark.records import Record
from reports.beside import Number, published_numbers
from reports.table import Row, Table
from reports.tables import OF_TABLES, has_random_weights, tables

Line = dict[str, Any]
_FORMULA = frozenset("=+-@\t\r")
"""What a formula begins with."""


def tidy(records: Iterable[Record], made: Sequence[Table] | None = None) -> list[Line]:
    """One row a record, by dataset, probe and encoder; scores are fractions in [0, 1].

    Args:
        made: the records' tables, where they are known: whether one is ranked and what is flagged is said as there.
    """
    distinct = {record.key: record for record in records}.values()
    order = itemgetter("task", "dataset", "protocol", "bands", "probe", "encoder", "fusion", "seed", "key")
    standing = {
        key: (cell.ranked, [table.notes[note] for note in cell.notes if table.notes[note] in OF_TABLES])
        for table in (tables(distinct) if made is None else made)
        for row in table.rows
        for cell in row.cells.values()
        for key in cell.keys
    }
    return sorted((_tidy_row(record, *standing[record.key]) for record in distinct), key=order)


def wide(tables: Sequence[Table]) -> list[Line]:
    """A row a table and encoder, a column a dataset: mean headline metric as a fraction, none where there is none.

    Behind the datasets: deviation over seeds, interval, rank interval, reason where a number is missing, aggregates,
    and what others have published, a column a protocol, never ranked (`published` says what protocol).
    """
    theirs = [_by_row(table) for table in tables]
    rows = [
        {
            "table": number,
            **table.settings,
            "section": row.section,
            "title": row.title,
            "encoder": row.encoder,
            "fusion": row.fusion,
            **{column: cell.value for column, cell in row.cells.items()},
            **_beside(row),
            **theirs[number - 1].get((row.title, row.fusion), {}),
        }
        for number, table in enumerate(tables, start=1)
        for row in table.rows
    ]
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    keys = dict.fromkeys(key for row in rows for key in row)
    fixed = [name for name in keys if name not in columns and ": " not in name]
    beside = sorted(name for name in keys if ": " in name and name not in columns)
    order = [*fixed, *columns, *beside]
    return [{name: row.get(name, "") for name in order} for row in rows]


def _beside(row: Row) -> dict[str, object]:
    found: dict[str, object] = {}
    for column, cell in row.cells.items():
        found |= {f"{column}: low": cell.low, f"{column}: high": cell.high, f"{column}: seeds": cell.seeds}
        found |= {f"{column}: std": cell.std} if cell.seeds > 1 else {}
        if cell.ranks:
            found |= {f"{column}: rank low": cell.ranks[0], f"{column}: rank high": cell.ranks[1]}
        if cell.mark or cell.tied:
            found[f"{column}: mark"] = cell.mark + (" tied" if cell.tied else "")
    for column, missing in row.missing.items():
        found[f"{column}: missing"] = f"{missing.kind}: {missing.why}" if missing.why else missing.kind
    for name, one in row.aggregates.items():
        found |= {f"all: {name}": one.value, f"all: {name}, datasets": one.datasets}
        if one.low < one.high:
            found |= {f"all: {name}, low": one.low, f"all: {name}, high": one.high}
    return found


def published(tables: Sequence[Table]) -> list[Line]:
    """Every published number beside a table, a row each, with ours where there is one; fractions, never ranked."""
    return [
        {"table": number, "column": one.column, **_ours(one), **_theirs(one)}
        for number, table in enumerate(tables, start=1)
        for one in published_numbers(table)
    ]


def _ours(one: Number) -> Line:
    row, cell = one.line.row, one.line.cell(one.column)
    return {
        "title": one.line.title,
        "encoder": row.encoder if row else "",
        "fusion": row.fusion if row else "",
        "ours": cell.value if cell else "",
        "low": cell.low if cell else "",
        "high": cell.high if cell else "",
    }


def _theirs(one: Number) -> Line:
    theirs = one.published
    return {
        "protocol": one.protocol.name,
        "published": theirs.fraction,
        "published std": "" if theirs.std is None else theirs.std_fraction,
        "published metric": theirs.metric,
        "variant": theirs.variant,
        "protocol_note": theirs.protocol_note,
        "source": theirs.source,
        "url": theirs.url,
    }


def _by_row(table: Table) -> dict[tuple[str, str], Line]:
    """Columns of published numbers, by title and fuser of the row that they stand beside."""
    found: dict[tuple[str, str], Line] = defaultdict(dict)
    for one in published_numbers(table):
        if one.line.row:
            name = f"{one.column}: published, {one.protocol.name}"
            found[one.line.row.title, one.line.row.fusion][name] = one.published.fraction
    return found


def tests(tables: Sequence[Table], ablated: Sequence[Table]) -> list[Line]:
    """Every paired test behind a mark of leaderboards and ablations, a row each; differences are of fractions."""
    return [
        {
            "table": number,
            "ranked within": table.ranks_within,
            "column": test.column,
            "family": test.family,
            "better": test.better[0],
            "better fusion": test.better[1],
            "worse": test.worse[0],
            "worse fusion": test.worse[1],
            "difference": test.difference,
            "low": test.low,
            "high": test.high,
            "test": "Student's t" if test.by_tail else "bootstrap",
            "p": test.p,
            "p_holm": test.adjusted,
            "n_groups": test.groups,
        }
        for found in (tables, ablated)
        for number, table in enumerate(found, start=1)
        for test in table.tests
    ]


def _tidy_row(record: Record, is_ranked: bool, notes: Sequence[str]) -> dict[str, Any]:
    run, score, cost = record.run, record.score, record.cost
    return {
        "title": record.title,
        "encoder": run.encoder,
        "rows": " ".join(sorted(record.rows)),
        "variant": record.variant,
        "experiments": "; ".join(dict.fromkeys(f"{one.experiment}{_points(one)}" for one in record.experiments)),
        "role": record.role,
        "licence": record.licence,
        "pretraining_overlap": run.dataset in record.pretraining_overlap,
        "task": record.task,
        "dataset": run.dataset,
        "probe": run.probe,
        "fusion": run.fusion,
        "bands": run.bands,
        "band_names": run.band_names,
        "missing_bands": " ".join(run.missing_bands),
        "partition": run.partition,
        "protocol": run.protocol,
        "protocol_hash": run.protocol_hash,
        "seed": run.seed,
        "metric": score.headline,
        "value": score.metrics[score.headline],
        "low": score.interval.low,
        "high": score.interval.high,
        "interval": score.interval.method,
        "validation": score.validation,
        "chosen": " ".join(f"{name}={value:g}" for name, value in sorted(score.chosen.items())),
        "other_metrics": " ".join(f"{n}={v:.6g}" for n, v in sorted(score.metrics.items()) if n != score.headline),
        "n_groups": score.n_groups,
        "n_train": score.n_train,
        "n_test": score.n_test,
        "ranked": is_ranked,
        "flags": "; ".join([*record.flags, *notes]),
        "image_size": run.image_size,
        "precision": run.precision,
        "weights": _weights(record),
        "frozen_parameters": cost.frozen_parameters,
        "trained_parameters": cost.trained_parameters,
        "gflops_per_image": cost.flops_per_image / 1e9,
        "feature_bytes_per_image": cost.feature_bytes_per_image,
        "finest_grid": cost.finest_grid,
        "images_per_second": cost.images_per_second,
        "encode_seconds": cost.encode_seconds,
        "train_seconds": cost.train_seconds,
        "peak_memory_bytes": cost.peak_memory_bytes,
        "device": record.provenance.device,
        "git_commit": record.provenance.git_commit,
        "created": record.provenance.created,
        "key": record.key,
    }


def _points(one: Membership) -> str:
    labels = ", ".join(f"{point.axis} {point.label}" for point in one.points)
    return f" ({labels})" if labels else ""


def _weights(record: Record) -> str:
    if has_random_weights(record):
        return "random"
    return " ".join(sha[:8] for _, sha in sorted(record.run.weights.items())) or "none"


def text_of(lines: Sequence[Line]) -> str:
    """CSV whose texts no spreadsheet takes for a formula: those get a leading apostrophe."""
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    rows: list[Iterable[Any]] = [lines[0] if lines else (), *(line.values() for line in lines)]
    written.writerows([f"'{one}" if type(one) is str and one[:1] in _FORMULA else one for one in row] for row in rows)
    return text.getvalue()
