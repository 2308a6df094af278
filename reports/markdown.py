"""Markdown tables: best bold, second underlined, intervals in brackets, notes under each."""

import re
from collections.abc import Iterable

from tabulate import tabulate

from reports.sheet import Ink, Sheet


def document(sheets: Iterable[Sheet]) -> str:
    """All tables, a heading each."""
    return "\n\n".join(_table(sheet) for sheet in sheets) + "\n"


def _table(sheet: Sheet) -> str:
    width = len(sheet.head)
    body = []
    for section, rows in sheet.body:
        if section:
            body.append([f"*{_escape(section)}*", *[""] * (width - 1)])
        body += [[_cell(ink) for ink in row] for row in rows]
    align = [*["left"] * sheet.labels, *["right"] * (width - sheet.labels)]
    header = [_cell(ink) for ink in sheet.head]
    grid = tabulate(body, headers=header, tablefmt="pipe", disable_numparse=True, colalign=align)
    lines = [f"- {_escape(line)}" for line in sheet.lines]
    lines += [f"- <sup>{_escape(mark)}</sup> {_escape(note)}." for mark, note in sheet.notes]
    return f"### {_escape(sheet.title)}\n\n{grid}\n\n" + "\n".join(lines)


def _cell(ink: Ink) -> str:
    text = _escape(ink.text)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(ink.style, text)
    interval = f" [{ink.interval[0]:.1f}, {ink.interval[1]:.1f}]" if ink.interval else ""
    return text + (f"<sup>{_escape(ink.notes)}</sup>" if ink.notes else "") + interval


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))
