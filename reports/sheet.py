"""A table ready to print, in words and marks: the same for Markdown and LaTeX, which only dress it."""

from dataclasses import dataclass, field, replace
from typing import Literal

from reports import paper
from reports.marks import WITHOUT
from reports.placed import Placed, place
from reports.table import NOT_RANKED, Cell, Efficiency, Missing, Row, Table, kind

MISSING = {"not run": "--", "failed": "failed", "impossible": "n/a"}
MEANING = {"not run": "not run", "failed": "the run ended in an error", "impossible": "nothing sensible can be fed"}


@dataclass(frozen=True)
class Ink:
    """What is printed in one place.

    Attributes:
        notes: raised after it.
        interval: (low, high) in the text's unit.
    """

    text: str
    style: Literal["best", "second", ""] = ""
    notes: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        name: for references, unique in a document.
        head: of each column; the first `labels` hold text.
        body: rows by section; no heading for one without a name.
        lines: sentences under it; notes: (mark, sentence) after them.
    """

    name: str
    title: str
    head: tuple[Ink, ...]
    labels: int
    body: tuple[tuple[str, tuple[tuple[Ink, ...], ...]], ...]
    lines: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = field(default=())


def of_table(table: Table, number: int) -> Sheet:
    """A leaderboard, or an ablation of fusers."""
    sections = table.sections
    rows = [row for found in sections.values() for row in found]
    placed = place(table, rows)
    aggregates = shown(table)
    head = [Ink("Encoder"), *([Ink("Fuser")] if table.has_fusion else [])]
    head += [Ink(column, notes=placed.columns[column]) for column in table.columns]
    head += [Ink(name) for name in aggregates] + [Ink("Trained"), Ink("GFLOPs"), Ink("Grid")]
    positions = {id(row): position for position, row in enumerate(rows)}
    body = tuple(
        ("" if section == "models" else section,
         tuple(_line(row, positions[id(row)], table, placed, aggregates) for row in found))
        for section, found in sections.items()
    )  # fmt: skip
    ablation = table.ranks_within == "encoder"
    title = f"{kind(table)}{', fusers within each encoder' if ablation else ''}: {table.title}"
    title = title.replace("Segmentation: Segmentation", "Segmentation")
    name = "ablation" if ablation else kind(table).lower()
    return Sheet(
        name=f"{name}-{number}",
        title=title,
        head=tuple(head),
        labels=1 + table.has_fusion,
        body=body,
        lines=(
            *(f"Throughout: {note.rstrip('.')}." for note in placed.throughout),
            *table.footnotes,
            *_explanations(table),
        ),
        notes=(*([("†", NOT_RANKED)] if table.has_unranked else []), *placed.lines),
    )


def shown(table: Table) -> list[str]:
    """The aggregates that have a column: those without the leaky dataset stand beside, behind a slash."""
    return [name for name in table.aggregates if not name.endswith(WITHOUT)]


def _explanations(table: Table) -> list[str]:
    lines = ["Trained: parameters of the probe or decoder; GFLOPs: of the frozen part on one image; "
             "Grid: side of its finest feature map, in cells."]  # fmt: skip
    lines += _absences(table)
    licences: dict[str, list[str]] = {}
    for row in table.rows:
        if "NC" in row.licence.split("-"):
            licences.setdefault(row.licence, []).append(row.title)
    lines += [f"Weights under {name}: {', '.join(dict.fromkeys(titles))}." for name, titles in licences.items()]
    return lines


def _absences(table: Table) -> list[str]:
    """What the marks of missing cells mean, and the reason of each."""
    cells: dict[Missing, list[str]] = {}
    for row in table.rows:
        for column, missing in row.missing.items():
            cells.setdefault(missing, []).append(f"{row.title} on {column}")
    kinds = [one for one in MISSING if any(missing.kind == one for missing in cells)]
    lines = ["; ".join(f"{MISSING[one]}: {MEANING[one]}" for one in kinds) + "."] if kinds else []
    told = [missing for missing in cells if missing.why]
    return lines + [f"{', '.join(cells[one])}: {one.why.rstrip('.')}." for one in told]


def _line(row: Row, position: int, table: Table, placed: Placed, aggregates: list[str]) -> tuple[Ink, ...]:
    title = row.title + (" (random weights)" if row.random else "")
    labels = [Ink(title, notes=placed.rows[position])]
    labels += [Ink(paper.FUSERS.get(row.fusion, row.fusion))] if table.has_fusion else []
    cells = [
        _cell(row.cells[column], placed.at(position, column))
        if column in row.cells
        else Ink(MISSING[row.missing[column].kind])
        for column in table.columns
    ]
    return (*labels, *cells, *(aggregate(row, name, table) for name in aggregates), *_costs(row.efficiency))


def _cell(cell: Cell, notes: str) -> Ink:
    marks = [*([] if cell.ranked else ["†"]), *(["≈"] if cell.tied else []), *([notes] if notes else [])]
    interval = (100 * cell.low, 100 * cell.high) if cell.has_interval else None
    return Ink(cell.percent, cell.mark, ",".join(marks), interval)


def ours(cell: Cell) -> Ink:
    """A cell that stands outside its ranking: its value and interval, a dagger where it isn't ranked."""
    return replace(_cell(cell, ""), style="", notes="" if cell.ranked else "†")


def aggregate(row: Row, name: str, table: Table) -> Ink:
    """An aggregate, and behind a slash, where the table tells them apart, the one without the leaky dataset.

    An asterisk where not every dataset entered; empty where the row has neither.
    """
    whole, without = row.aggregates.get(name), row.aggregates.get(name + WITHOUT)
    if whole is None and without is None:
        return Ink("")
    told = [whole, without] if name + WITHOUT in table.aggregates else [whole]
    return Ink("/".join("--" if one is None else f"{one.value:.2f}{'' if one.is_whole else '*'}" for one in told))


def _costs(cost: Efficiency | None) -> tuple[Ink, ...]:
    if cost is None:
        return (Ink(""), Ink(""), Ink(""))
    return Ink(count(cost.trained_parameters)), Ink(number(cost.gflops)), Ink(grid(cost))


def grid(cost: Efficiency) -> str:
    low, high = cost.finest_grid
    return f"{low}" if low == high else f"{low}–{high}"


def count(value: float) -> str:
    """A count with three digits: 7.69k, 10.9M, 1.2G."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{number(value / size)}{unit}"
    return f"{value:.0f}"


def number(value: float) -> str:
    """A number with three digits, more where it is that large: 0.123, 12.3, 1230."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
