"""Which rows a figure shows where it has no room for all of a table's."""

from collections.abc import Sequence

import numpy as np

from benchmark.scoring.ranking import mean_ranks
from reports.table import Row, Table

BARS = 24
"""Rows that a page holds in two lines of panels."""
CHOSEN = "the best ranked models, an encoder's best row before its others, then the rest, floors last"
"""How `best` chooses, in a caption."""


def first(table: Table) -> list[Row]:
    """All rows; or the floors and as many of the first as a page holds."""
    floors = [row for row in table.rows if row.section == "floors"]
    others = [row for row in table.rows if row.section != "floors"]
    if len(table.rows) <= BARS:
        return list(table.rows)
    return [*others[: max(0, BARS - len(floors))], *floors]


def first_in_words(table: Table) -> str:
    """What `first` left out: ` of the first 22 of 60 rows and the floors`; nothing where it shows all."""
    shown = first(table)
    if len(shown) == len(table.rows):
        return ""
    floors = sum(row.section == "floors" for row in shown)
    return f" of the first {len(shown) - floors} of {len(table.rows)} rows{' and the floors' if floors else ''}"


def best(table: Table, columns: Sequence[str], most: int) -> list[Row]:
    """The rows that have a score in any of the columns, the best first, `most` of them.

    Ranked models come before all others, floors last; of ranked models each encoder's best before further rows of it;
    those come by number of missing scores, then by mean rank among all ranked models.
    """
    rows = [row for row in table.rows if any(column in row.cells for column in columns)]
    values = np.array([[_ranked(row, column) for column in columns] for row in rows]).reshape(len(rows), len(columns))
    ranked = ~np.isnan(values).all(axis=1)
    places = mean_ranks(values) if rows else np.empty(0)
    missing = np.isnan(values).sum(axis=1)
    by_rank = sorted(np.flatnonzero(ranked).tolist(), key=lambda one: (missing[one], places[one], one))
    heads: dict[str, int] = {}
    for one in by_rank:
        heads.setdefault(rows[one].encoder, one)
    rest = sorted(np.flatnonzero(~ranked).tolist(), key=lambda one: (rows[one].section == "floors", one))
    order = [*dict.fromkeys([*heads.values(), *by_rank]), *rest]
    return [rows[one] for one in order[:most]]


def best_in_words(table: Table, columns: Sequence[str], most: int) -> str:
    """What `best` shows of the table; nothing where it shows all."""
    there = sum(any(column in row.cells for column in columns) for row in table.rows)
    if there <= most:
        return ""
    return f"; {most} of {there} rows: {CHOSEN}"


def _ranked(row: Row, column: str) -> float:
    cell = row.cells.get(column)
    return cell.value if row.section == "models" and cell is not None and cell.ranked else float("nan")
