"""The page: `index.html`, one file that shows a leaderboard and what lies behind it, from disk, without a network.

`template.html` holds the tables, readable without JavaScript; `data.py` makes what the scripts draw and open. Whatever
a record says is escaped by the template or set as text by the scripts, and the page's content security policy names
the hashes of its own script and style: no other runs, and nothing is fetched.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from benchmark.atomic import write_atomically
from reports import marks, paper
from reports.beside import all_beside
from reports.derived import is_fraction
from reports.figures.catalogue import PREVIEWS
from reports.figures.painters import Drawn
from reports.merging import Merged
from reports.other_sheets import of_published
from reports.page.data import page_data
from reports.page.pictures import galleries
from reports.page.words import foot, labels, lead
from reports.placed import Placed, place
from reports.sheet import Sheet
from reports.table import NOT_RANKED, Row, Table

HERE = Path(__file__).parent
NAME = "index.html"
TITLE = "Leaderboard of frozen geospatial encoders"
SCRIPTS = (
    "dom.js",
    "board.js",
    "bars.js",
    "cost.js",
    "plot.js",
    "classes.js",
    "fractions.js",
    "detail.js",
    "parts.js",
    "main.js",
)
DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What turns the direction of a text and of what stands behind it (Unicode Standard Annex 9)."""
_ESCAPED_DIRECTIONS = re.compile(r"(?<!\\)((?:\\\\)*)\\(u202[a-e]|u206[6-9])")
"""The same in JSON: a backslash after an even number of them."""


@dataclass(frozen=True)
class Board:
    """A table as the template prints it: rows by section, each with its number in the table and place in print.

    Attributes:
        number: of the table among all that were given.
        published: what others have published beside it.
    """

    number: int
    label: str
    table: Table
    sections: list[tuple[str, list[tuple[int, int, Row]]]]
    placed: Placed
    published: Sheet | None


@dataclass(frozen=True)
class Content:
    """All that the page shows but its pictures."""

    lead: str
    foot: str
    boards: list[Board]
    data: dict[str, Any]
    origins: set[Path]


def content(merged: Merged, tables: Sequence[Table]) -> Content:
    """What the page of these records, and of the tables made of them, shows.

    Raises:
        UserError: a record's file is gone since it was read.
    """
    # Whole training splits first; of the rest, the order is the tables'.
    order = sorted(range(len(tables)), key=lambda number: is_fraction(tables[number]))
    shown = [tables[number] for number in order]
    boards = [_board(number, label, tables[number]) for number, label in zip(order, labels(shown), strict=True)]
    origins = {origin.resolve() for origin in set(merged.folders.values())}
    return Content(lead(merged.records, tables), foot(merged.records), boards, page_data(merged, shown), origins)


def write(content: Content, folder: Path, drawn: Sequence[Drawn] | None = None) -> Path:
    """Write the page into a folder, atomically; returns its path.

    Args:
        drawn: figures, some of which the page shows; None where none were drawn.
    """
    style = (HERE / "style.css").read_text()
    script = '(() => {\n"use strict";\n' + "\n".join((HERE / name).read_text() for name in SCRIPTS) + "})();\n"
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("template.html").render(
        title=TITLE,
        lead=content.lead,
        foot=content.foot,
        boards=content.boards,
        galleries=galleries(drawn or ()),
        previews=PREVIEWS,
        were_drawn=drawn is not None,
        fusers=paper.FUSERS,
        metric=paper.metric,
        span=_span,
        mean_rank=marks.MEAN_RANK,
        not_ranked=NOT_RANKED,
        data=_inert(content.data | {"linked": content.origins == {folder.resolve()}}),
        style=style,
        style_hash=_source_hash(style),
        script=script,
        script_hash=_source_hash(script),
    )
    return write_atomically(folder / NAME, written_out(text).encode())


def written_out(text: str) -> str:
    """The text with the codes of what turns its direction in place of it."""
    return DIRECTIONS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _board(number: int, label: str, table: Table) -> Board:
    numbers = {id(row): place for place, row in enumerate(table.rows)}
    printed = [row for rows in table.sections.values() for row in rows]
    places = {id(row): position for position, row in enumerate(printed)}
    sections = [
        (name, [(numbers[id(row)], places[id(row)], row) for row in rows]) for name, rows in table.sections.items()
    ]
    published = next(iter(of_published(all_beside([table]))), None)
    return Board(number, label, table, sections, place(table, printed), published)


def _span(low: float, high: float, digits: int) -> str:
    return f"{low:.{digits}f}–{high:.{digits}f}"


def _inert(data: object) -> str:
    """JSON that no text in it can end the element of, or be markup in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    text = _ESCAPED_DIRECTIONS.sub(r"\1\\\\\2", text)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _source_hash(text: str) -> str:
    """A hash source of a content security policy (W3C CSP Level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
