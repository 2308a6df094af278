"""What a table is: rows of encoders, columns of datasets, marks, aggregates, footnotes. `reports.tables` makes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmark.scoring.ranking import FEWEST_GROUPS
from reports import paper

Section = Literal["models", "variants", "controls", "floors", "not ranked"]
SECTIONS: tuple[Section, ...] = ("models", "variants", "controls", "floors", "not ranked")
Within = Literal["fusion", "encoder", "experiment"]

NOT_RANKED = (
    "not ranked: random weights, three or more filled bands, input other than the protocol says, fewer seeds than it "
    "asks, a label fraction, or a protocol made for trying things out"
)
SEEDS = (
    "where a cell has several seeds, its value is their mean and its interval a bootstrap over test groups and seeds "
    "at once"
)
MARKS = "best model bold, second best underlined, by the printed digits; no other section is ranked"
TIED = (
    "≈ not significantly worse than the best of its column: paired bootstrap over test groups, 5 % after Holm's "
    f"correction; never said of fewer than {FEWEST_GROUPS} groups"
)
TAILS = (
    "where rivals are so many that samples could show nothing significant, a difference that no sample contradicts is "
    "tested by Student's t with the samples' deviation"
)
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        value, low, high: headline metric and its interval, fractions in [0, 1]; of the mean over seeds.
        std: standard deviation over seeds; 0 for one.
        seeds: number of records behind it.
        ranked: whether it may be compared at all.
        notes: indices into the table's notes.
        mark: its place among the ranked models of its column and fuser.
        tied: whether it is another than the best there, and not significantly worse.
        ranks: 95 % interval of its rank there; None where nothing is ranked or could be resampled.
        keys: of its records, by seed.
        values: of its seeds.
        samples: bootstrap samples (S,) of `value`, the same test groups in every row; empty with one group.
    """

    value: float
    low: float
    high: float
    seeds: int
    ranked: bool
    notes: tuple[int, ...]
    mark: Literal["best", "second", ""] = ""
    tied: bool = False
    ranks: tuple[int, int] | None = None
    std: float = 0.0
    keys: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    samples: Array = field(default_factory=lambda: np.empty(0), compare=False, repr=False)

    @property
    def percent(self) -> str:
        """The value as printed: percent, one decimal."""
        return f"{100 * self.value:.1f}"

    @property
    def has_interval(self) -> bool:
        """False where nothing could be resampled, so that no '+- 0.0' is printed."""
        return self.high > self.low


@dataclass(frozen=True)
class Missing:
    """Why a cell holds no number: `failed` and `impossible` with what the error record says."""

    kind: Literal["not run", "failed", "impossible"]
    why: str = ""


@dataclass(frozen=True)
class Aggregate:
    """A number over the datasets of a row.

    Attributes:
        low, high: its 95 % interval over bootstrap samples; equal to the value where there is none.
        datasets, of: how many entered, and how many the table has: the aggregate of an incomplete row is marked.
    """

    value: float
    low: float
    high: float
    datasets: int
    of: int

    @property
    def is_whole(self) -> bool:
        """Whether every dataset of the table entered."""
        return self.datasets == self.of


@dataclass(frozen=True)
class Efficiency:
    """What a row costs: means over its datasets, but speed, memory and seconds of those measured on one device.

    These compare with another row's only where device and datasets agree.

    Attributes:
        gflops: of the frozen part on one image, 10^9 operations.
        images_per_second: of the frozen part, over `encoded`; None where nothing had to be encoded.
        peak_memory_bytes: the highest of `timed`.
        finest_grid: (smallest, largest) side of the encoder's finest feature map, in cells.
        seconds: a cell of `timed`, frozen part and training together.
        device: what speed, memory and seconds were measured on.
        timed: datasets measured on it, in the papers' order.
        encoded: those of them with images to encode.
    """

    frozen_parameters: int
    trained_parameters: int
    gflops: float
    images_per_second: float | None
    peak_memory_bytes: int
    feature_bytes_per_image: int
    finest_grid: tuple[int, int]
    seconds: float
    device: str
    timed: tuple[str, ...]
    encoded: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """An encoder or family.

    Attributes:
        title: with what tells it from its namesakes.
        cells, missing: by column; every column is in one of them.
        aggregates: by name, see `Table.aggregates`.
        licence: of its encoders' weights; several where they differ.
        variant: what an experiment changed about it; empty for the row as it is.
        overlap: columns whose imagery its pre-training data may hold.
    """

    title: str
    encoder: str
    fusion: str
    section: Section
    random: bool
    cells: dict[str, Cell]
    missing: dict[str, Missing] = field(default_factory=dict)
    aggregates: dict[str, Aggregate] = field(default_factory=dict)
    efficiency: Efficiency | None = None
    licence: str = ""
    overlap: tuple[str, ...] = ()
    variant: str = ""


@dataclass(frozen=True)
class PairedTest:
    """A paired test of two ranked rows in a column, by their titles and fusers; see `ranking.Comparison`."""

    column: str
    family: Literal["neighbours", "against the best"]
    better: tuple[str, str]
    worse: tuple[str, str]
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    by_tail: bool
    groups: int


@dataclass(frozen=True)
class Table:
    """One set of comparable records.

    Attributes:
        settings: what all its records share, by name.
        protocol_title: what their protocol calls itself; empty where a record doesn't say.
        columns: dataset names, with data or metric added where one name would mean two things.
        rows: by section and fuser; models by number of missing cells, then mean rank.
        notes: the records' flags, each once.
        metrics, groups: headline metric and number of independent test groups, by column.
        methods: how the intervals were made.
        aggregates: what rows have of them, in order: name and what it means.
        tests: every paired test made, for the record.
        ranks_within: what competes: the rows of one fuser, (ablation) of one encoder's title, or (experiment) all that
            was made of one encoder.
    """

    settings: dict[str, str]
    columns: tuple[str, ...]
    metrics: dict[str, str]
    groups: dict[str, int]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    methods: tuple[str, ...]
    aggregates: dict[str, str] = field(default_factory=dict)
    tests: tuple[PairedTest, ...] = ()
    ranks_within: Within = "fusion"
    protocol_title: str = ""

    @property
    def title(self) -> str:
        """The settings in one line, with the beginning of the protocol's title."""
        s = self.settings
        called = re.split(r"[:;,] ", self.protocol_title)[0]
        fused = f" on {s['features']} features" if s["features"] else ""
        own = ", datasets of one's own" if s.get("benchmark") else ""
        return (
            f"{s['task'].capitalize()}, {s['probe']} probe (version {s['probe_version']}){fused}, "
            f"protocol {s['protocol']}{f' “{called}”' if called else ''} ({s['protocol_hash']}), {s['bands']} bands, "
            f"{s['band_names']} band names, {s['partition']} partition{own}"
        )

    @property
    def sections(self) -> dict[str, list[Row]]:
        """Rows by section; models by what competes where that is several sets, those without a rival together."""
        blocks: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.section == "models":
                blocks.setdefault(block_of(row, self.ranks_within), []).append(row)
        found: dict[str, list[Row]] = {}
        for block, rows in blocks.items():
            if len(rows) > 1 or len(blocks) == 1:
                found[f"models, {block}" if len(blocks) > 1 else "models"] = rows
        alone = [row for rows in blocks.values() for row in rows if len(rows) == 1 < len(blocks)]
        found |= {"models, without a rival": alone} if alone else {}
        others = {name: [row for row in self.rows if row.section == name] for name in SECTIONS if name != "models"}
        return found | {name: rows for name, rows in others.items() if rows}

    @property
    def footnotes(self) -> list[str]:
        """Sentences under the table, without the lettered notes."""
        metrics = {column: paper.metric(name) for column, name in self.metrics.items()}
        lines = [f"Percent; {_per_column(metrics)}; {MARKS}."]
        if "miou_truth" in self.metrics.values():
            lines.append(f"{paper.metric('miou_truth')}: mean over the classes that the test split's truth has.")
        cells = [cell for row in self.rows for cell in row.cells.values()]
        if len([name for name in self.sections if name.startswith("models")]) > 1:
            lines.append(f"Ranked within one {'fuser' if self.ranks_within == 'fusion' else 'encoder'}.")
        if any(row.section == "variants" for row in self.rows):
            lines.append("Variants: rows that an experiment changed; they compete in its own table.")
        if any(cell.tied for cell in cells):
            lines.append(f"{TIED}.")
        if any(test.by_tail for test in self.tests):
            lines.append(f"{TAILS}.")
        lines += [f"Interval: {method}." for method in self.methods]
        lines.append(f"Independent test groups: {_per_column(self.groups)}.")
        few = [column for column, groups in self.groups.items() if groups < FEWEST_GROUPS]
        if few:
            lines.append(f"Too few groups for an interval to be relied on: {', '.join(few)}.")
        if any(cell.seeds > 1 for cell in cells):
            lines.append(f"Seeds: {SEEDS}.")
        # A name with a comma is another's on fewer datasets.
        lines += [f"{name}: {meaning}." for name, meaning in self.aggregates.items() if "," not in name]
        if any("," in name for name in self.aggregates):
            lines.append(f"No {paper.LEAKY} (behind a slash): its train and test images share fields.")
        if any(not one.is_whole for row in self.rows for one in row.aggregates.values()):
            lines.append("* over the datasets the row has, at least two, not all of the table's.")
        if self.protocol_title:
            lines.append(f"Protocol {self.settings['protocol']}: {self.protocol_title.rstrip('.')}.")
        return lines

    @property
    def has_fusion(self) -> bool:
        """Whether any row has a fuser, so that a column for it says something."""
        return any(row.fusion != "none" for row in self.rows)

    @property
    def has_unranked(self) -> bool:
        """Whether a dagger stands in the table."""
        return any(not cell.ranked for row in self.rows for cell in row.cells.values())


def kind(table: Table) -> str:
    """What a table is called for short."""
    if table.settings["task"] == "segmentation":
        return "Segmentation"
    if table.settings["features"]:
        return "FUSED"
    return {"linear": "LP", "knn": "kNN"}.get(table.settings["probe"], table.settings["probe"])


def block_of(row: Row, ranks_within: Within) -> str:
    """What a model's row competes within, in a few words."""
    if ranks_within != "fusion":
        return row.title if ranks_within == "encoder" else row.encoder
    return paper.FUSERS.get(row.fusion, row.fusion)


def letter(note: int) -> str:
    """The letter of a note: a to z, then aa, ab and so on."""
    first, last = divmod(note, 26)
    return (letter(first - 1) if first else "") + chr(ord("a") + last)


def _per_column(values: Mapping[str, object]) -> str:
    """'accuracy', or where columns differ 'micro F1 (m-bigearthnet), accuracy (m-eurosat, m-so2sat)'."""
    distinct = list(dict.fromkeys(values.values()))
    if len(distinct) == 1:
        return str(distinct[0])
    return ", ".join(
        f"{one} ({', '.join(column for column, value in values.items() if value == one)})" for one in distinct
    )
