"""The page: `index.html`, one file that shows a leaderboard and what lies behind it, from disk, without a network.

`template.html` holds the tables, readable without JavaScript; `data.py` makes what the scripts draw and open. Whatever
a record says is escaped by the template or set as text by the scripts, and the page's content security policy names
the hashes of its own script and style: no other runs, and nothing is fetched.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from benchmark.atomic import write_atomically
from reports import marks, paper
from reports.derived import is_fraction
from reports.merging import Merged
from reports.page.data import page_data
from reports.page.words import foot, labels, lead
from reports.placed import Placed, place
from reports.table import NOT_RANKED, Row, Table

HERE = Path(__file__).parent
NAME = "index.html"
TITLE = "Leaderboard of frozen geospatial encoders"
SCRIPTS = ("dom.js", "board.js", "bars.js", "cost.js", "plot.js", "classes.js", "detail.js", "parts.js", "main.js")


def write(merged: Merged, tables: Sequence[Table], folder: Path) -> Path:
    """Write the page of these records, and of the tables made of them, into a folder, atomically; returns its path."""
    # Whole training splits first; of the rest, the order is the tables'.
    tables = sorted(tables, key=is_fraction)
    beside = {origin.resolve() for origin in set(merged.folders.values())} == {folder.resolve()}
    data = page_data(merged, tables) | {"linked": beside}
    style = (HERE / "style.css").read_text()
    script = '(() => {\n"use strict";\n' + "\n".join((HERE / name).read_text() for name in SCRIPTS) + "})();\n"
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("template.html").render(
        title=TITLE,
        lead=lead(merged.records),
        foot=foot(merged.records),
        boards=[_board(label, table) for label, table in zip(labels(tables), tables, strict=True)],
        fusers=paper.FUSERS,
        span=_span,
        mean_rank=marks.MEAN_RANK,
        not_ranked=NOT_RANKED,
        data=_inert(data),
        style=style,
        style_hash=_source_hash(style),
        script=script,
        script_hash=_source_hash(script),
    )
    return write_atomically(folder / NAME, text.encode())


@dataclass(frozen=True)
class _Board:
    """A table as the template prints it: rows by section, each with its number in the table and place in print."""

    label: str
    table: Table
    sections: list[tuple[str, list[tuple[int, int, Row]]]]
    placed: Placed


def _board(label: str, table: Table) -> _Board:
    numbers = {id(row): number for number, row in enumerate(table.rows)}
    printed = [row for rows in table.sections.values() for row in rows]
    places = {id(row): position for position, row in enumerate(printed)}
    sections = [
        (name, [(numbers[id(row)], places[id(row)], row) for row in rows]) for name, rows in table.sections.items()
    ]
    return _Board(label, table, sections, place(table, printed))


def _span(low: float, high: float, digits: int) -> str:
    return f"{low:.{digits}f}–{high:.{digits}f}"


def _inert(data: object) -> str:
    """JSON that no text in it can end the element of, or be markup in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _source_hash(text: str) -> str:
    """A hash source of a content security policy (W3C CSP Level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
