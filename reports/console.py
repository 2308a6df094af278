"""Tables for the terminal."""

import sys
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.records import Record
from encoders.errors import printable
from reports.beside import beside
from reports.sheet import MISSING, Ink, Sheet, aggregate, shown
from reports.table import NOT_RANKED, Row, Table, letter
from reports.tables import tables

_MOST_ROWS = 20
"""Of a section: more is no table to be read in a terminal."""
_PIPED_WIDTH = 200
"""Characters a line where there is no terminal to ask: a log should not be folded at 80."""
_BETWEEN = 3
"""Characters between two columns."""
_FEW = 3
"""Columns of a table whose last is prose, with addresses that are folded wherever they must."""


def _text(value: str, style: str = "") -> Text:
    """A text that steers no terminal: titles and notes may come with somebody's records."""
    return Text(printable(value), style=style)


def print_leaderboard(records: Iterable[Record], console: Console | None = None) -> None:
    """Print every comparable set of records."""
    print_tables(tables(records), console)


def print_tables(found: Iterable[Table], console: Console | None = None) -> None:
    """Print tables: best bold, second underlined, floors and unranked rows apart."""
    console = console or _console()
    for table in found:
        console.print(_text(table.title, style="bold"))
        console.print(_leaderboard(table))
        for line in _footnotes(table):
            console.print(_text(line, style="dim"))


def print_sheets(found: Iterable[Sheet], console: Console | None = None) -> None:
    """Print tables that stand beside the leaderboards: the title, a heading a section, the sentences below."""
    console = console or _console()
    for sheet in found:
        console.print(_text(sheet.title, style="bold"))
        grid = RichTable(box=SIMPLE)
        for number, name in enumerate(sheet.head):
            grid.add_column(_text(name.text), justify="left" if number < sheet.labels else "right")
        for section, rows in sheet.body:
            if section:
                grid.add_section()
                grid.add_row(_text(section, style="italic"))
            for row in rows:
                grid.add_row(*map(_printed, row))
        console.print(grid)
        for line in sheet.lines:
            console.print(_text(line, style="dim"))


def _printed(ink: Ink) -> Text:
    style = {"best": "bold", "second": "underline"}.get(ink.style, "")
    notes = f" {ink.notes}" if ink.notes else ""
    interval = f" [{ink.interval[0]:.1f}, {ink.interval[1]:.1f}]" if ink.interval else ""
    return Text.assemble(_text(ink.text, style=style), (notes + interval, "dim"))


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]], console: Console | None = None) -> None:
    """Print any table of plain values; as paragraphs, a row each, where the terminal is too narrow for whole words."""
    console = console or _console()
    head = [printable(name) for name in header]
    cells = [[printable(str(value)) for value in row] + [""] * (len(head) - len(row)) for row in rows]
    longest = [max(_longest(row[column]) for row in [head, *cells]) for column in range(len(head))]
    fits = sum(longest) + _BETWEEN * len(longest) < console.width
    if not fits and len(head) > _FEW:
        for first, *others in cells:
            console.print(Text(first, style="bold"))
            told = "; ".join(f"{name} {value}" for name, value in zip(head[1:], others, strict=True) if value)
            console.print(Padding(Text(told, overflow="fold"), (0, 0, 0, 2)))
        return
    grid = RichTable(box=SIMPLE)
    for number, name in enumerate(head):
        # Folded, for an address or path that is cut short is of no use.
        grid.add_column(Text(name), overflow="fold", min_width=longest[number] if fits else None)
    for row in cells:
        grid.add_row(*map(Text, row))
    console.print(grid)


def _longest(text: str) -> int:
    """Columns that the longest word takes."""
    return max(map(cell_len, text.split()), default=0)


def print_found(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table with a title above it, if any; nothing where nothing was found."""
    if rows:
        if title:
            print(title)
        print_table(header, rows)


def where_to_look(output: str, found: Iterable[Table]) -> list[str]:
    """Sentences that say which file holds what."""
    lines = [f"Look at {output}/index.html; leaderboard.csv, .md and .tex beside it say the same"]
    if any(map(beside, found)):
        lines += [f"What others have published on these datasets: there too, and in {output}/leaderboard_published.csv"]
    return lines


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def _leaderboard(table: Table) -> RichTable:
    grid = RichTable(box=SIMPLE)
    grid.add_column("encoder")
    if table.has_fusion:
        grid.add_column("fusion")
    for name in table.columns:
        grid.add_column(_text(name), justify="right")
    for name in shown(table):
        grid.add_column(_text(name), justify="right")
    for section, rows in table.sections.items():
        if section != "models":
            grid.add_section()
            grid.add_row(_text(section, style="italic"))
        for row in rows[:_MOST_ROWS]:
            labels = [_title(row), _text(row.fusion)] if table.has_fusion else [_title(row)]
            totals = [aggregate(row, name, table).text for name in shown(table)]
            cells = [_cell(row, name) for name in table.columns]
            grid.add_row(*labels, *cells, *map(_text, totals))
        if len(rows) > _MOST_ROWS:
            grid.add_row(Text(f"and {len(rows) - _MOST_ROWS} more, in leaderboard.md", style="dim"))
    return grid


def _title(row: Row) -> Text:
    return _text(row.title + (" (random weights)" if row.random else ""))


def _cell(row: Row, column: str) -> Text:
    if column not in row.cells:
        return _text(MISSING[row.missing[column].kind], style="dim")
    cell = row.cells[column]
    text = _text(cell.percent, style={"best": "bold", "second": "underline"}.get(cell.mark, ""))
    notes = ",".join([*([] if cell.ranked else ["†"]), *(["≈"] if cell.tied else []), *map(letter, cell.notes)])
    interval = f" [{100 * cell.low:.1f}, {100 * cell.high:.1f}]" if cell.has_interval else ""
    return Text.assemble(text, (f" {notes}" if notes else "", "dim"), (interval, "dim"))


def _footnotes(table: Table) -> list[str]:
    dagger = [f"† {NOT_RANKED}."] if table.has_unranked else []
    return [
        *table.footnotes,
        *dagger,
        *(f"{letter(i)}  {note.rstrip('.')}." for i, note in enumerate(table.notes)),
    ]
