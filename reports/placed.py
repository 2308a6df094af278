"""Where a table's notes are printed: once at a row or column that they hold for throughout, else at the cell."""

from collections.abc import Iterable
from dataclasses import dataclass

from reports.table import Cell, Row, Table, letter

INPUTS = "an input's scale is flagged: see `flags` in leaderboard.csv, and `preview`"
"""Instead of a note for each band."""


@dataclass(frozen=True)
class Placed:
    """A table's notes by where they stand, lettered anew in the order of reading.

    Attributes:
        throughout: sentences that hold for every cell, without a letter.
        columns, rows: letters by column, and by position of the row.
        cells: letters by position of the row and column.
        lines: (letter, sentence) under the table.
    """

    throughout: list[str]
    columns: dict[str, str]
    rows: list[str]
    cells: dict[tuple[int, str], str]
    lines: list[tuple[str, str]]

    def at(self, row: int, column: str) -> str:
        """The letters at a cell."""
        return self.cells.get((row, column), "")


def place(table: Table, rows: list[Row]) -> Placed:
    """Place the notes of a table whose rows are printed in this order."""
    held = [{column: _notes(cell, table) for column, cell in row.cells.items()} for row in rows]
    columns = {column: _shared([one[column] for one in held if column in one]) for column in table.columns}
    throughout = set.intersection(*columns.values()) if columns else set()
    columns = {column: notes - throughout for column, notes in columns.items()}
    held = [{column: notes - throughout for column, notes in one.items()} for one in held]
    left = [{column: notes - columns[column] for column, notes in one.items()} for one in held]
    by_row = [_shared(one.values()) for one in left]
    in_reading_order = list(columns.values())
    for notes_of, whole in zip(left, by_row, strict=True):
        in_reading_order += [whole, *(notes_of[column] for column in table.columns if column in notes_of)]
    order = dict.fromkeys(note for found in in_reading_order for note in sorted(found))
    letters = {note: letter(index) for index, note in enumerate(order)}

    def told(notes: Iterable[str]) -> str:
        return ",".join(sorted((letters[note] for note in notes), key=lambda one: (len(one), one)))

    return Placed(
        throughout=sorted(throughout),
        columns={column: told(notes) for column, notes in columns.items()},
        rows=[told(notes) for notes in by_row],
        cells={
            (position, column): told(notes - whole)
            for position, (one, whole) in enumerate(zip(left, by_row, strict=True))
            for column, notes in one.items()
        },
        lines=[(one, note.rstrip(".")) for note, one in letters.items()],
    )


def _notes(cell: Cell, table: Table) -> set[str]:
    notes = {table.notes[index] for index in cell.notes}
    return {INPUTS if note.startswith("input ") else note for note in notes}


def _shared(sets: Iterable[set[str]]) -> set[str]:
    """What all of several sets hold; of one alone, nothing is said to be shared."""
    given = list(sets)
    return set.intersection(*given) if len(given) > 1 else set()
