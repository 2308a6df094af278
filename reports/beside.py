"""What others have published on a table's datasets: in columns of their own, each with its protocol, never ranked.

`configs/published.yaml` says which protocols stand beside which tables, and which models beside which of our rows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml

import configs
from encoders.errors import strict, validate
from reports import literature, paper
from reports.literature import Published
from reports.table import Cell, Row, Table, kind, letter

FILE = configs.ROOT / "published.yaml"
DOUBT = "FLAG: "
"""In a protocol note, before what speaks against the number."""


@strict
@dataclass(frozen=True)
class Protocol:
    """A column: numbers of one source and protocol.

    Attributes:
        name: its head.
        file: in `reports/published/`.
        tables, bands: the kinds and the track of our tables that it stands beside; either track where None.
        note: a regular expression that is found in the numbers' protocol notes.
        metrics: headline metrics of ours that may stand beside theirs.
        protocol: in one clause, for the footnote.
    """

    name: str
    file: str
    tables: tuple[Literal["LP", "kNN", "FUSED", "Segmentation"], ...]
    note: str
    metrics: dict[str, tuple[str, ...]]
    protocol: str
    bands: Literal["rgb", "authors"] | None = None

    def fits(self, table: Table) -> bool:
        """Whether its numbers stand beside this table."""
        return kind(table) in self.tables and self.bands in (None, table.settings["bands"])


@strict
@dataclass(frozen=True)
class Model:
    """A published model: its names in the sources, and the rows of ours that it stands beside, if any."""

    title: str
    variants: tuple[str, ...]
    rows: tuple[str, ...] = ()
    fusion: str = "none"


@strict
@dataclass(frozen=True)
class _File:
    columns: tuple[Protocol, ...]
    models: tuple[Model, ...]


@dataclass(frozen=True)
class Line:
    """A model on a dataset: our row, where there is one, and a number or None for each protocol."""

    model: Model
    row: Row | None
    published: tuple[Published | None, ...]

    @property
    def title(self) -> str:
        """Our row's; else the model's."""
        return self.row.title if self.row else self.model.title

    def cell(self, column: str) -> Cell | None:
        """Our number."""
        return self.row.cells[column] if self.row else None


@dataclass(frozen=True)
class Beside:
    """Published numbers beside a table: the protocols that have any, and the models of each dataset that has any."""

    table: Table
    protocols: tuple[Protocol, ...]
    lines: dict[str, tuple[Line, ...]]

    @property
    def notes(self) -> dict[str, str]:
        """Sentences by letter: of each protocol, in the order of the columns, then doubts about single numbers."""
        return {letter(number): note for number, note in enumerate([*map(self._of, self.protocols), *self._doubts])}

    def marks(self, number: Published) -> str:
        """The letter of what speaks against a number."""
        doubts = self._doubts
        return letter(len(self.protocols) + doubts.index(_doubt(number))) if _doubt(number) else ""

    @property
    def _doubts(self) -> list[str]:
        every = [one for lines in self.lines.values() for line in lines for one in line.published if one]
        return [doubt for doubt in dict.fromkeys(map(_doubt, every)) if doubt]

    def _of(self, protocol: Protocol) -> str:
        column = self.protocols.index(protocol)
        found = [line.published[column] for lines in self.lines.values() for line in lines]
        first = next(one for one in found if one)
        metrics = dict.fromkeys(one.metric for one in found if one)
        return f"{protocol.protocol}; {', '.join(metrics)}. {first.source}, {first.url}"


def beside(table: Table) -> Beside | None:
    """What has been published on a table's datasets; None where nothing has, or the table's split is another."""
    if table.settings["partition"] != "default":
        return None
    file = _file()
    protocols = [protocol for protocol in file.columns if protocol.fits(table)]
    lines = {column: _lines(table, column, file.models, protocols) for column in table.columns}
    every = [line.published for found in lines.values() for line in found]
    there = [place for place in range(len(protocols)) if any(numbers[place] for numbers in every)]
    if not there:
        return None
    kept = {
        column: tuple(
            Line(line.model, line.row, tuple(line.published[place] for place in there)) for line in found
        )
        for column, found in lines.items()
        if found
    }  # fmt: skip
    return Beside(table, tuple(protocols[place] for place in there), kept)


@dataclass(frozen=True)
class Number:
    """One published number and where it stands."""

    column: str
    line: Line
    protocol: Protocol
    published: Published


def published_numbers(table: Table) -> Iterator[Number]:
    """Every number of `beside`, by dataset, model and protocol."""
    found = beside(table)
    for column, lines in (found.lines if found else {}).items():
        for line in lines:
            for protocol, one in zip(found.protocols if found else (), line.published, strict=True):
                if one:
                    yield Number(column, line, protocol, one)


def all_beside(tables: Sequence[Table]) -> list[Beside]:
    """What has been published beside several tables, for those that have any."""
    return [found for table in tables if (found := beside(table))]


def _lines(table: Table, column: str, models: Sequence[Model], protocols: Sequence[Protocol]) -> list[Line]:
    found = []
    for model in models:
        numbers = tuple(_number(protocol, model, column, table.metrics[column]) for protocol in protocols)
        if not any(numbers):
            continue
        ours = [row for row in table.rows if (row.encoder, row.fusion) in {(one, model.fusion) for one in model.rows}]
        rows: list[Row | None] = [*(row for row in ours if column in row.cells)]
        found += [Line(model, row, numbers) for row in (rows if model.rows else [None])]
    return found


def _number(protocol: Protocol, model: Model, column: str, metric: str) -> Published | None:
    for one in _numbers(protocol.file).get(paper.dataset_of(column), ()):
        comparable = metric in protocol.metrics.get(one.metric, ())
        if comparable and one.variant in model.variants and re.search(protocol.note, one.protocol_note):
            return one
    return None


def _doubt(number: Published) -> str:
    doubt = number.protocol_note.partition(DOUBT)[2]
    return f"doubted: {doubt}" if doubt else ""


@cache
def _file() -> _File:
    return validate(_File, yaml.safe_load(FILE.read_text(encoding="utf-8")), f"configs/{FILE.name}")


@cache
def _numbers(file: str) -> dict[str, list[Published]]:
    by_dataset: dict[str, list[Published]] = {}
    for one in literature.read(literature.FOLDER / file):
        by_dataset.setdefault(one.dataset, []).append(one)
    return by_dataset
