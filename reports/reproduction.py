"""`evaluate.py report --reproduce NAME`: our records beside a paper's numbers, cell by cell, as CSV, Markdown, LaTeX.

Nothing here is ranked.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from benchmark.atomic import write_atomically
from reports import latex, literature, markdown, paper, spreadsheets
from reports.merging import Merged
from reports.paper_cells import Line, Paper, State, lines, load
from reports.placed import INPUTS
from reports.sheet import Ink, Sheet
from reports.table import NOT_RANKED, letter

STEM = "reproduction_"
HEAD = (*map(Ink, ("Paper's row", "Our row", "Our protocol", "Paper", "Ours", "Difference", "Half-widths")),)
LABELS = 3
PAGE_ROWS = 24
"""Of a table in LaTeX, some of which take two lines."""
NOTE = (
    "Percent. Half-widths: the difference in units of half the width of our 95 % interval, which is over test groups "
    "and seeds at once. The paper's numbers are of another protocol and never ranked with ours"
)
TRACK = "Rows of red, green and blue alone may be of either band track: both feed the same"
MEANING: dict[State, str] = {
    "not run": "no record of ours",
    "failed": "the run ended in an error",
    "impossible": "nothing sensible can be fed",
    "not measured": "its records are of a version that did not measure this metric; run it again",
    "no row of ours": "nothing of ours stands for it",
}


def write(merged: Merged, name: str, folder: Path) -> list[Path]:
    """Write `reproduction_NAME.csv`, `.md` and `.tex` into a folder, each atomically.

    Raises:
        UserError: as `load`.
    """
    chosen = load(name)
    found = lines(chosen, literature.read(literature.FOLDER / chosen.file), merged)
    tasks = _by_task(found)
    sheets = [_sheet(name, chosen, task, rows) for task, rows in tasks.items()]
    pages = [page for task, rows in tasks.items() for page in _pages(name, chosen, task, rows)]
    contents = {
        "csv": spreadsheets.text_of(list(map(_plain, found))),
        "md": f"# {chosen.title} beside our records\n\n{markdown.document(sheets)}",
        # Its first lines say how to compile it, by its name.
        "tex": latex.document(pages).replace(r"\input{leaderboard}", rf"\input{{{STEM}{name}}}", 1),
    }
    return [write_atomically(path, contents[suffix].encode()) for suffix, path in paths(name, folder).items()]


def paths(name: str, folder: Path) -> dict[str, Path]:
    """The files of a paper by their suffix."""
    return {suffix: folder / f"{STEM}{name}.{suffix}" for suffix in ("csv", "md", "tex")}


def _pages(name: str, chosen: Paper, task: str, found: Sequence[Line]) -> list[Sheet]:
    """One task's cells as sheets of a page each, no dataset of which is cut in two."""
    parts: list[list[Line]] = [[]]
    for _, rows in groupby(found, lambda line: line.published.dataset):
        held = list(rows)
        if len(parts[-1]) + len(held) > PAGE_ROWS:
            parts.append([])
        parts[-1] += held
    told = [f", part {number} of {len(parts)}" if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    return [_sheet(name, chosen, task, rows, part) for rows, part in zip(parts, told, strict=True)]


def _sheet(name: str, chosen: Paper, task: str, found: Sequence[Line], part: str = "") -> Sheet:
    """One task's cells, by dataset."""
    measured = [_notes(line) for line in found if line.ours]
    throughout = set.intersection(*measured) if len(measured) > 1 else set()
    every = dict.fromkeys(note for line in found for note in sorted(_notes(line) - throughout))
    letters = {note: letter(place) for place, note in enumerate(every)}
    metric = paper.metric(chosen.metrics[found[0].published.task])
    states = [state for state in MEANING if any(line.state == state for line in found)]
    dagger = [("†", NOT_RANKED)] if any(line.ours and not line.is_ranked for line in found) else []
    return Sheet(
        name=f"reproduction-{name}-{task}{re.sub('[ ,]+', '-', part)}",
        title=f"{chosen.title} beside our records: {task}, {metric}{part}",
        head=HEAD,
        labels=LABELS,
        body=tuple(
            (dataset, tuple(_row(line, [letters[note] for note in letters if note in _notes(line)]) for line in rows))
            for dataset, rows in groupby(found, lambda line: line.published.dataset)
        ),
        lines=(
            *(f"Throughout: {note.rstrip('.')}." for note in sorted(throughout)),
            f"{NOTE}.",
            *([f"{TRACK}."] if any(line.match and line.match.bands == "rgb" for line in found) else []),
            *(["; ".join(f"{state}: {MEANING[state]}" for state in states) + "."] if states else []),
            *_sources(found),
        ),
        notes=(*dagger, *((mark, note.rstrip(".")) for note, mark in letters.items())),
    )


def _notes(line: Line) -> set[str]:
    """What a reader of the line must know: flags of its records, or why there are none."""
    flags = {INPUTS if flag.startswith("input ") else flag for flag in line.flags}
    return flags | ({line.why} if line.why else set())


def _row(line: Line, letters: Sequence[str]) -> tuple[Ink, ...]:
    ours, difference = Ink(line.state, notes=",".join(letters)), ""
    if line.ours and line.difference is not None:
        interval = (100 * line.ours.low, 100 * line.ours.high) if line.ours.half_width else None
        marks = ",".join([*([] if line.is_ranked else ["†"]), *letters])
        ours, difference = (
            Ink(f"{100 * line.ours.value:.1f}", notes=marks, interval=interval),
            f"{100 * line.difference:+.1f}",
        )
    widths = "" if line.half_widths is None else f"{line.half_widths:+.1f}"
    row = line.match.title if line.match else ""
    labels = (Ink(line.published.variant), Ink(row), Ink(line.protocol))
    return (*labels, Ink(f"{100 * line.published.fraction:.1f}"), ours, Ink(difference), Ink(widths))


def _plain(line: Line) -> dict[str, object]:
    """A line of the spreadsheet."""
    one, ours = line.published, line.ours
    return {
        "table": one.table,
        "task": one.task,
        "dataset": one.dataset,
        "variant": one.variant,
        "row": line.match.title if line.match else "",
        "protocol": line.protocol,
        "paper": one.fraction,
        "ours": ours.value if ours else None,
        "low": ours.low if ours else None,
        "high": ours.high if ours else None,
        "seeds": ours.seeds if ours else None,
        "difference": line.difference,
        "half_widths": line.half_widths,
        "state": line.state,
        "why": line.why,
        "ranked": line.is_ranked if ours else None,
        "bands": line.bands,
        "flags": "; ".join(line.flags),
        "metric": one.metric,
        "protocol_note": one.protocol_note,
        "url": one.url,
    }


def _by_task(found: Sequence[Line]) -> Mapping[str, list[Line]]:
    tasks: dict[str, list[Line]] = defaultdict(list)
    for line in found:
        tasks[line.published.task].append(line)
    return tasks


def _sources(found: Sequence[Line]) -> list[str]:
    """Where the paper's numbers are from and under which protocol, each once."""
    notes = dict.fromkeys(
        f"{line.published.table}: {line.published.protocol_note} ({line.published.url})." for line in found
    )
    return list(notes)
