"""`evaluate.py report --reproduce NAME`: our records beside a paper's numbers, cell by cell, as CSV, Markdown, LaTeX.

A cell of the paper has a line for each of our protocols that has records of it: what differs between protocols must
not be averaged away. Nothing here is ranked.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from tabulate import tabulate

import configs
from benchmark.atomic import write_atomically
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.scoring.over_seeds import OverSeeds, over_seeds
from encoders.bounds import Free
from encoders.errors import UserError, nearest, strict, validate
from reports import latex, literature
from reports.literature import Published
from reports.merging import Merged
from reports.tables import has_random_weights

FOLDER = configs.ROOT / "reproduce"
NOT_RUN, NO_ROW = "not run", "no row of ours"
HEADER = ["dataset", "paper's row", "our row", "our protocol", "paper", "ours", "difference", "in half-widths"]
NOTE = (
    "Percent. Half-widths: the difference in units of half the width of our 95 % interval, value and interval means "
    "over seeds. The paper's numbers are of another protocol and never ranked with ours"
)


@strict
@dataclass(frozen=True)
class Match:
    """Which row of ours stands for a paper's `variant`: its name (an encoder's or a family's), fuser, band track.

    Attributes:
        told: what an experiment tells it by from other rows of that name.
        options: of the encoder, which make it that one; a record that has them stands in no other row.
    """

    variant: str
    row: str
    fusion: str
    bands: Literal["rgb", "authors"]
    told: str = ""
    options: Free = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """As --encoder takes it, and what an experiment tells it by."""
        named = self.row if self.fusion == "none" else f"{self.row}-{self.fusion}"
        return f"{named} [{self.told}]" if self.told else named

    def fits(self, record: Record) -> bool:
        """Whether a record is of this row, whatever others there are."""
        run = record.run
        named = (run.fusion, run.bands) == (self.fusion, self.bands) and self.row in record.rows
        return named and all(run.encoder_options.get(name, ...) == value for name, value in self.options.items())


@strict
@dataclass(frozen=True)
class Paper:
    """What of ours stands for what of a paper's: one YAML each in `configs/reproduce/`.

    Attributes:
        file: in `reports/published/`.
        protocols: of ours that may stand beside the paper's, the nearest first.
        metrics: ours by the published task.
    """

    title: str
    file: str
    protocols: tuple[str, ...]
    metrics: dict[Literal["classification", "multilabel", "segmentation"], str]
    rows: tuple[Match, ...]


@dataclass(frozen=True)
class Line:
    """A cell of the paper and, where there is one, what we have of it under one protocol."""

    published: Published
    match: Match | None
    protocol: str = ""
    ours: OverSeeds | None = None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, a fraction."""
        return self.ours.value - self.published.fraction if self.ours else None

    @property
    def half_widths(self) -> float | None:
        """The difference in units of half our interval; None where that has no width."""
        if self.ours is None or self.difference is None or not self.ours.half_width:
            return None
        return self.difference / self.ours.half_width

    def shown(self) -> list[str]:
        """The line under `HEADER`, numbers as they are printed."""
        row = self.match.title if self.match else NO_ROW
        named = [self.published.dataset, self.published.variant, row, self.protocol]
        ours = NOT_RUN if self.match else "--"
        if self.ours:
            ours = f"{100 * self.ours.value:.1f} [{100 * self.ours.low:.1f}, {100 * self.ours.high:.1f}]"
        difference = "" if self.difference is None else f"{100 * self.difference:+.1f}"
        widths = "" if self.half_widths is None else f"{self.half_widths:+.1f}"
        return [*named, f"{100 * self.published.fraction:.1f}", ours, difference, widths]


def names() -> list[str]:
    """The papers that can be set beside our records."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Paper:
    """A paper by name.

    Raises:
        UserError: no such paper.
    """
    if name not in names():
        raise UserError(f"--reproduce: no paper '{name}'; {nearest(name, names())}")
    return validate(Paper, yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), f"configs/reproduce/{name}.yaml")


def lines(paper: Paper, published: Iterable[Published], merged: Merged) -> list[Line]:
    """The paper's cells by task and dataset, each with every protocol of ours that has records of it."""
    ours = _by_cell(paper, merged.records)
    matches = {match.variant: match for match in paper.rows}
    # One number may stand in several of a paper's tables.
    cells: dict[tuple[object, ...], Published] = {}
    for one in published:
        cells.setdefault((one.task, one.dataset, one.variant, one.value), one)
    found = []
    for one in sorted(cells.values(), key=lambda cell: (cell.task, cell.dataset.lower())):
        match = matches.get(one.variant)
        runs = ours.get((one.dataset, match), {}) if match else {}
        metric = paper.metrics[one.task]
        found += [
            Line(one, match, protocol, over_seeds(_counted(run, metric, merged), metric))
            for protocol, run in runs.items()
        ]
        if not runs:
            found.append(Line(one, match))
    return found


def write(merged: Merged, name: str, folder: Path) -> list[Path]:
    """Write `reproduction_NAME.csv`, `.md` and `.tex` into a folder, each atomically; raises as `load`."""
    paper = load(name)
    found = lines(paper, literature.read(literature.FOLDER / paper.file), merged)
    contents = {"csv": _csv(found), "md": _markdown(paper, found), "tex": _latex(paper, found)}
    paths = [folder / f"reproduction_{name}.{suffix}" for suffix in contents]
    return [
        write_atomically(path, text.encode()) for path, text in zip(paths, contents.values(), strict=True)
    ]  # fmt: skip


def _counted(run: Sequence[Record], metric: str, merged: Merged) -> Sequence[Record]:
    """The records of a run, read again with their counts where the interval of a metric has to be made of them."""
    if metric == run[0].score.headline:
        return run
    return [RecordStore(merged.folders[record.key]).read(record.key) for record in run]


def _by_cell(paper: Paper, records: Iterable[Record]) -> dict[tuple[str, Match], dict[str, list[Record]]]:
    """By dataset and row, then by protocol, the seeds of each run; runs of one protocol that differ stand apart."""
    runs: dict[tuple[str, Match], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in {record.key: record for record in records}.values():
        run = record.run
        if run.protocol not in paper.protocols or run.partition != "default" or run.band_names != "corrected":
            continue
        fitting = [match for match in paper.rows if match.fits(record)]
        for match in [match for match in fitting if match.options] or fitting:
            if not has_random_weights(record):
                identity = json.dumps({**vars(run), "seed": None}, sort_keys=True)
                runs[run.dataset, match][identity].append(record)
    return {cell: _named(paper, list(found.values())) for cell, found in runs.items()}


def _named(paper: Paper, runs: Sequence[list[Record]]) -> dict[str, list[Record]]:
    named: dict[str, list[Record]] = {}
    for run in sorted(runs, key=lambda one: (paper.protocols.index(one[0].run.protocol), one[0].key)):
        first = run[0].run
        name = f"{first.protocol} ({first.protocol_hash[:6]})"
        named[name if name not in named else f"{name}, run {run[0].key[:6]}"] = run
    return named


def _csv(found: Sequence[Line]) -> str:
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    columns = ["table", "task", "dataset", "variant", "row", "protocol", "paper", "ours", "low", "high", "seeds"]
    written.writerow([*columns, "difference", "half_widths", "state", "metric", "protocol_note", "url"])
    for line in found:
        one, ours = line.published, line.ours
        numbers = [ours.value, ours.low, ours.high, ours.seeds] if ours else [""] * 4
        state = "" if ours else NOT_RUN if line.match else NO_ROW
        row = line.match.title if line.match else ""
        named = [one.table, one.task, one.dataset, one.variant, row, line.protocol, one.fraction]
        off = ["" if number is None else number for number in (line.difference, line.half_widths)]
        written.writerow([*named, *numbers, *off, state, one.metric, one.protocol_note, one.url])
    return text.getvalue()


def _markdown(paper: Paper, found: Sequence[Line]) -> str:
    parts = [f"# {paper.title} beside our records"]
    for task, rows in _by_task(found).items():
        shown = [[cell.replace("|", "\\|") for cell in line.shown()] for line in rows]
        table = tabulate(shown, HEADER, tablefmt="pipe", disable_numparse=True)
        parts += [f"## {task.capitalize()} ({paper.metrics[rows[0].published.task]})", table]
    return "\n\n".join([*parts, f"{NOTE}.", *_sources(found)]) + "\n"


def _latex(paper: Paper, found: Sequence[Line]) -> str:
    parts = [latex.HEADER]
    for task, rows in _by_task(found).items():
        caption = f"{paper.title} beside our records: {task} ({paper.metrics[rows[0].published.task]}). {NOTE}."
        parts += [
            r"\begin{table*}",
            r"\centering\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{6pt}",
            rf"\caption{{{latex.escape(caption)}}}",
            rf"\begin{{tabular}}{{llll{'r' * (len(HEADER) - 4)}}}",
            r"\toprule",
            _cells(HEADER),
            r"\midrule",
            *(_cells(line.shown()) for line in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip\raggedright\footnotesize",
            *(latex.escape(source) + r"\par" for source in _sources(rows)),
            r"\end{table*}",
            "",
        ]
    return "\n".join(parts)


def _cells(values: Sequence[str]) -> str:
    # The empty group keeps a cell that starts with a bracket from becoming an argument of the last \\.
    return "{}" + " & ".join(map(latex.escape, values)) + r" \\"


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
