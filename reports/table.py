"""What a table is: rows of encoders, columns of datasets, marks and footnotes. `reports.tables` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Section = Literal["models", "controls", "floors", "not ranked"]
SECTIONS: tuple[Section, ...] = ("models", "controls", "floors", "not ranked")

NOT_RANKED = (
    "not ranked: random weights, three or more filled bands, a label fraction, or a protocol made for trying things out"
)
SEEDS = "where a cell has several seeds, its value and the ends of its interval are means over them"
MARKS = "best model bold, second best underlined, by the printed digits; no other section is ranked"


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        value, low, high: headline metric and its interval, fractions in [0, 1]; means over seeds.
        seeds: number of records behind it.
        ranked: whether it may be compared at all.
        mark: its place among the ranked models of its column.
        notes: indices into the table's notes.
    """

    value: float
    low: float
    high: float
    seeds: int
    ranked: bool
    notes: tuple[int, ...]
    mark: Literal["best", "second", ""] = ""

    @property
    def percent(self) -> str:
        """The value as printed: percent, one decimal."""
        return f"{100 * self.value:.1f}"

    @property
    def has_interval(self) -> bool:
        """False where nothing could be resampled, so that no '+- 0.0' is printed."""
        return self.high > self.low


@dataclass(frozen=True)
class Row:
    """An encoder or family: title (with what tells it from its namesakes), name, fusion, cells by column."""

    title: str
    encoder: str
    fusion: str
    section: Section
    random: bool
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Table:
    """One set of comparable records.

    Attributes:
        settings: what all its records share, by name.
        columns: dataset names, with data or metric added where one name would mean two things.
        rows: by section; models by number of missing cells, then mean rank.
        notes: the records' flags, each once.
        metrics, groups: headline metric and number of independent test groups, by column.
        methods: how the intervals were made.
    """

    settings: dict[str, str]
    columns: tuple[str, ...]
    metrics: dict[str, str]
    groups: dict[str, int]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    methods: tuple[str, ...]

    @property
    def title(self) -> str:
        """The settings in one line."""
        s = self.settings
        fused = f" on {s['features']} features" if s["features"] else ""
        return (
            f"{s['task'].capitalize()}, {s['probe']} probe (version {s['probe_version']}){fused}, "
            f"protocol {s['protocol']} ({s['protocol_hash']}), {s['bands']} bands, "
            f"{s['band_names']} band names, {s['partition']} partition"
        )

    @property
    def sections(self) -> dict[Section, list[Row]]:
        """Rows by section, empty sections left out."""
        found = {name: [row for row in self.rows if row.section == name] for name in SECTIONS}
        return {name: rows for name, rows in found.items() if rows}

    @property
    def footnotes(self) -> list[str]:
        """Sentences under the table, without the lettered notes."""
        lines = [f"Percent; {_per_column(self.metrics)}; {MARKS}."]
        lines += [f"Interval: {method}." for method in self.methods]
        lines.append(f"Independent test groups: {_per_column(self.groups)}.")
        cells = [cell for row in self.rows for cell in row.cells.values()]
        if any(cell.seeds > 1 for cell in cells):
            lines.append(f"Seeds: {SEEDS}.")
        return lines

    @property
    def has_fusion(self) -> bool:
        """Whether any row has a fuser, so that a column for it says something."""
        return any(row.fusion != "none" for row in self.rows)

    @property
    def has_unranked(self) -> bool:
        """Whether a dagger stands in the table."""
        return any(not cell.ranked for row in self.rows for cell in row.cells.values())


def letter(note: int) -> str:
    """The letter of a note: a to z, then aa, ab and so on."""
    first, last = divmod(note, 26)
    return (letter(first - 1) if first else "") + chr(ord("a") + last)


def _per_column(values: Mapping[str, object]) -> str:
    """'accuracy', or where columns differ 'f1_micro (m-bigearthnet), accuracy (m-eurosat, m-so2sat)'."""
    distinct = list(dict.fromkeys(values.values()))
    if len(distinct) == 1:
        return str(distinct[0])
    return ", ".join(
        f"{one} ({', '.join(column for column, value in values.items() if value == one)})" for one in distinct
    )
