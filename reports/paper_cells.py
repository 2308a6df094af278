"""Which records of ours stand beside which cell of a paper's tables; `configs/reproduce/` says by what.

A cell of the paper has a line for each of our protocols that has records of it: what differs between protocols must
not be averaged away. Nothing here is ranked.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import yaml

import configs
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.scoring.over_seeds import OverSeeds, over_seeds
from encoders.bounds import Free
from encoders.errors import UserError, nearest, strict, validate
from reports.literature import Published
from reports.merging import Absence, Merged
from reports.tables import FEWER_SEEDS, has_random_weights, lacks_seeds, may_be_ranked

FOLDER = configs.ROOT / "reproduce"
State = Literal["", "not run", "failed", "impossible", "not measured", "no row of ours"]
COLOURS = ("red", "green", "blue")


@strict
@dataclass(frozen=True)
class Match:
    """Which row of ours stands for a paper's `variant`: its name (an encoder's or a family's), fuser, band track.

    Attributes:
        bands: `rgb`: fed red, green and blue alone, whatever the track it was asked for in; `authors`: that track.
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
        named = run.fusion == self.fusion and self.row in record.rows
        fed = run.bands == self.bands or (self.bands == "rgb" and sees_colour_alone(record))
        return (
            named and fed and all(run.encoder_options.get(name, ...) == value for name, value in self.options.items())
        )

    def lacks(self, absence: Absence, dataset: str) -> bool:
        """Whether a cell without a record is of this row."""
        row, fusion, of, _, _, bands, band_names, partition = absence.cell
        named = (row, fusion, of) == (" ".join(filter(None, (self.row, self.told))), self.fusion, dataset)
        return named and (band_names, partition) == ("corrected", "default") and self.bands in (bands, "rgb")


def sees_colour_alone(record: Record) -> bool:
    """Whether red, green and blue are all that went in: then both band tracks are the same."""
    # A channel is told as `red@0.665 <- B04 ...`.
    return all(channel.split("@")[0].split(" ")[0] in COLOURS for channel in record.run.inputs)


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
    """A cell of the paper and, where there is one, what we have of it under one protocol.

    Attributes:
        state: why there is no number of ours; empty where there is one.
        why: what an error record says of that.
        flags: of its records, a sentence each.
        is_ranked: whether its records may be ranked in their leaderboard.
        bands: the track they were asked for in.
    """

    published: Published
    match: Match | None
    state: State = ""
    protocol: str = ""
    ours: OverSeeds | None = None
    why: str = ""
    flags: tuple[str, ...] = ()
    is_ranked: bool = True
    bands: str = ""

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
        found += [_line(one, match, protocol, run, paper.metrics[one.task], merged) for protocol, run in runs.items()]
        if not runs:
            found.append(_without(one, match, paper, merged.absences))
    return found


def _line(
    published: Published, match: Match | None, protocol: str, run: Sequence[Record], metric: str, merged: Merged
) -> Line:
    flags = dict.fromkeys(flag for record in run for flag in record.flags)
    line = Line(
        published,
        match,
        protocol=protocol,
        flags=(*flags, *([FEWER_SEEDS] if lacks_seeds(run) else [])),
        is_ranked=may_be_ranked(run),
        bands=run[0].run.bands,
    )
    if not all(metric in record.score.metrics for record in run):
        return replace(line, state="not measured")
    return replace(line, ours=over_seeds(_counted(run, metric, merged), metric))


def _without(published: Published, match: Match | None, paper: Paper, absences: Iterable[Absence]) -> Line:
    """A cell that we have no record of, with the reason that an error record gives."""
    if match is None:
        return Line(published, None, "no row of ours")
    found = [one for one in absences if one.protocol in paper.protocols and match.lacks(one, published.dataset)]
    if not found:
        return Line(published, match, "not run")
    nearest_one = min(found, key=lambda one: paper.protocols.index(one.protocol))
    return Line(published, match, nearest_one.kind, nearest_one.protocol, why=nearest_one.why)


def _counted(run: Sequence[Record], metric: str, merged: Merged) -> Sequence[Record]:
    """The records of a run, read again with their counts where the interval of a metric has to be made of them."""
    if metric == run[0].score.headline:
        return run
    read = [RecordStore(merged.folders[record.key]).read(record.key) for record in run]
    # A copy elsewhere may hold more metrics than the one that is read.
    return [
        replace(one, score=replace(one.score, metrics=record.score.metrics))
        for one, record in zip(read, run, strict=True)
    ]


def _by_cell(paper: Paper, records: Iterable[Record]) -> dict[tuple[str, Match], dict[str, list[Record]]]:
    """By dataset and row, then by protocol, the seeds of each run; runs of one protocol that differ stand apart."""
    runs: dict[tuple[str, Match], dict[str, dict[str, list[Record]]]] = defaultdict(lambda: defaultdict(dict))
    for record in {record.key: record for record in records}.values():
        run = record.run
        if run.protocol not in paper.protocols or run.partition != "default" or run.band_names != "corrected":
            continue
        fitting = [match for match in paper.rows if match.fits(record)]
        for match in [match for match in fitting if match.options] or fitting:
            if not has_random_weights(record):
                identity = json.dumps({**vars(run), "seed": None, "bands": None}, sort_keys=True)
                runs[run.dataset, match][identity].setdefault(run.bands, []).append(record)
    return {
        (dataset, match): _named(paper, [_track(match, tracks) for tracks in found.values()])
        for (dataset, match), found in runs.items()
    }


def _track(match: Match, tracks: Mapping[str, list[Record]]) -> list[Record]:
    """The seeds of a run in one track, as one measurement in both counts once: where most are, or else the match's."""
    return tracks[max(tracks, key=lambda track: (len(tracks[track]), track == match.bands))]


def _named(paper: Paper, runs: Sequence[list[Record]]) -> dict[str, list[Record]]:
    named: dict[str, list[Record]] = {}
    for run in sorted(runs, key=lambda one: (paper.protocols.index(one[0].run.protocol), one[0].key)):
        first = run[0].run
        name = f"{first.protocol} ({first.protocol_hash[:6]})"
        named[name if name not in named else f"{name}, run {run[0].key[:6]}"] = run
    return named
