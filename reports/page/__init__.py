"""The page: `index.html`, one file that shows a leaderboard and what lies behind it, from disk, without a network.

`template.html` holds the tables, readable without JavaScript; `data.py` makes what the scripts draw and open. Whatever
a record says is escaped by the template or set as text by the scripts, and the page's content security policy names
the hashes of its own script and style: no other runs, and nothing is fetched.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from benchmark.atomic import write_atomically
from reports import marks
from reports.merging import Merged
from reports.page.data import page_data
from reports.page.words import foot, labels, lead
from reports.table import NOT_RANKED, Row, Table, letter

HERE = Path(__file__).parent
NAME = "index.html"
TITLE = "Leaderboard of frozen geospatial encoders"
SCRIPTS = ("dom.js", "board.js", "bars.js", "cost.js", "classes.js", "detail.js", "main.js")


def write(merged: Merged, tables: Sequence[Table], folder: Path) -> Path:
    """Write the page of these records, and of the tables made of them, into a folder, atomically; returns its path."""
    beside = {origin.resolve() for origin in merged.folders.values()} == {folder.resolve()}
    data = page_data(merged, tables) | {"linked": beside}
    style = (HERE / "style.css").read_text()
    script = '(() => {\n"use strict";\n' + "\n".join((HERE / name).read_text() for name in SCRIPTS) + "})();\n"
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("template.html").render(
        title=TITLE,
        lead=lead(merged.records),
        foot=foot(merged.records),
        tables=list(zip(labels(tables), tables, strict=True)),
        numbered=_numbered,
        mean_rank=marks.MEAN_RANK,
        not_ranked=NOT_RANKED,
        letter=letter,
        data=_inert(data),
        style=style,
        style_hash=_source_hash(style),
        script=script,
        script_hash=_source_hash(script),
    )
    return write_atomically(folder / NAME, text.encode())


def _numbered(table: Table) -> list[tuple[str, list[tuple[int, Row]]]]:
    """A table's sections, each row with its number in the table."""
    numbers = {id(row): number for number, row in enumerate(table.rows)}
    return [(name, [(numbers[id(row)], row) for row in rows]) for name, rows in table.sections.items()]


def _inert(data: object) -> str:
    """JSON that no text in it can end the element of, or be markup in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _source_hash(text: str) -> str:
    """A hash source of a content security policy (W3C CSP Level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
