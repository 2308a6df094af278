"""The leaderboard: records in, `leaderboard.csv` (tidy), `leaderboard_wide.csv`, `.md` and `.tex` out.

The tidy table has one row a record and everything known of it; the wide ones have a row an encoder and a
column a dataset, one for each set of comparable records (`reports.tables`).
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from benchmark.atomic import write_atomically
from benchmark.records import Record
from encoders.errors import UserError
from reports import latex
from reports.table import NOT_RANKED, Cell, Row, Table, letter
from reports.tables import has_random_weights, tables

MISSING = "--"


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record, by dataset, probe and encoder; scores are fractions in [0, 1]."""
    distinct = {record.key: record for record in records}.values()
    frame = pd.DataFrame([_tidy_row(record) for record in distinct])
    order = ["task", "dataset", "protocol", "bands", "probe", "encoder", "fusion", "seed", "key"]
    return frame.sort_values(order, ignore_index=True) if len(frame) else frame


def wide(records: Iterable[Record]) -> pd.DataFrame:
    """A row a table and encoder, a column a dataset: mean headline metric as a fraction, NaN if not run."""
    found = tables(records)
    rows = [
        {
            "table": number,
            **table.settings,
            "section": row.section,
            "title": row.title,
            "encoder": row.encoder,
            "fusion": row.fusion,
            **{column: cell.value for column, cell in row.cells.items()},
        }
        for number, table in enumerate(found, start=1)
        for row in table.rows
    ]
    columns = sorted({column for table in found for column in table.columns}, key=str.lower)
    fixed = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in columns]
    return pd.DataFrame(rows, columns=[*fixed, *columns])


def markdown(records: Iterable[Record]) -> str:
    """Every comparable set as a Markdown table with its footnotes."""
    return "\n\n".join(_markdown_table(table) for table in tables(records)) + "\n"


def write(records: Iterable[Record], folder: Path) -> list[Path]:
    """Write all four files into a folder, each atomically.

    Returns:
        Their paths, the tidy CSV first.

    Raises:
        UserError: there are no records.
    """
    found = list(records)
    if not found:
        raise UserError(f"{folder}: holds no records yet; make some: uv run evaluate.py --demo --output {folder}")
    contents = {
        "leaderboard.csv": _csv(tidy(found)),
        "leaderboard_wide.csv": _csv(wide(found)),
        "leaderboard.md": markdown(found),
        "leaderboard.tex": latex.document(tables(found)),
    }
    return [write_atomically(folder / name, text.encode()) for name, text in contents.items()]


def _tidy_row(record: Record) -> dict[str, Any]:
    run, score, cost = record.run, record.score, record.cost
    return {
        "title": record.title,
        "encoder": run.encoder,
        "rows": " ".join(sorted(record.rows)),
        "role": record.role,
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
        "ranked": record.ranked and not has_random_weights(record),
        "flags": "; ".join(record.flags),
        "image_size": run.image_size,
        "precision": run.precision,
        "weights": _weights(record),
        "frozen_parameters": cost.frozen_parameters,
        "trained_parameters": cost.trained_parameters,
        "images_per_second": cost.images_per_second,
        "encode_seconds": cost.encode_seconds,
        "train_seconds": cost.train_seconds,
        "peak_memory_bytes": cost.peak_memory_bytes,
        "device": record.provenance.device,
        "git_commit": record.provenance.git_commit,
        "created": record.provenance.created,
        "key": record.key,
    }


def _weights(record: Record) -> str:
    if has_random_weights(record):
        return "random"
    return " ".join(sha[:8] for _, sha in sorted(record.run.weights.items())) or "none"


def _is_value(frame: pd.DataFrame, name: str) -> bool:
    return pd.api.types.is_numeric_dtype(frame[name])


def _csv(frame: pd.DataFrame) -> str:
    """CSV whose texts no spreadsheet takes for a formula: those get a leading apostrophe."""
    inert = frame.copy()
    for name in inert.columns:
        if not _is_value(inert, name):
            inert[name] = [_inert(value) for value in inert[name]]
    inert.columns = pd.Index([_inert(name) for name in inert.columns])
    text: str = inert.to_csv(index=False, lineterminator="\n")
    return text


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _markdown_table(table: Table) -> str:
    labels = ["encoder", "fusion"] if table.has_fusion else ["encoder"]
    width = len(labels) + len(table.columns)
    body = []
    for section, rows in table.sections.items():
        if section != "models":
            body.append([f"*{section}*", *[""] * (width - 1)])
        for row in rows:
            names = [_markdown_title(row), _escape(row.fusion)][: len(labels)]
            body.append([*names, *_markdown_cells(row, table)])
    header = [*labels, *map(_escape, table.columns)]
    align = [*["left"] * len(labels), *["right"] * len(table.columns)]
    grid = tabulate(body, headers=header, tablefmt="pipe", disable_numparse=True, colalign=align)
    lines = [f"- {_escape(line)}" for line in table.footnotes]
    lines += [f"- † {NOT_RANKED}."] if table.has_unranked else []
    lines += [f"- <sup>{letter(index)}</sup> {_escape(note)}" for index, note in enumerate(table.notes)]
    return f"### {_escape(table.title)}\n\n{grid}\n\n" + "\n".join(lines)


def _markdown_title(row: Row) -> str:
    return _escape(row.title) + (" (random weights)" if row.random else "")


def _markdown_cells(row: Row, table: Table) -> list[str]:
    return [_markdown_cell(row.cells[column]) if column in row.cells else MISSING for column in table.columns]


def _markdown_cell(cell: Cell) -> str:
    value = {"best": f"**{cell.percent}**", "second": f"<u>{cell.percent}</u>"}.get(cell.mark, cell.percent)
    interval = f" [{100 * cell.low:.1f}, {100 * cell.high:.1f}]" if cell.has_interval else ""
    notes = ",".join(letter(note) for note in cell.notes)
    return value + ("" if cell.ranked else "†") + (f"<sup>{notes}</sup>" if notes else "") + interval


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))
