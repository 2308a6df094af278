"""`evaluate.py anchors`: a few cells whose values others have published, measured here and set beside them.

They are no test of equality, for no two protocols are the same: each names what differs. A number far outside says
that something is wrong with what an encoder is fed, with its weights or with the data, and which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import configs
from benchmark.data import ingest
from benchmark.data.inputs import ImpossibleError, Track
from benchmark.grid import sweep
from benchmark.grid.cells import Cell, cells, plan_inputs
from benchmark.grid.planning import Planner
from benchmark.grid.work import CellResult
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.request import configuration
from benchmark.request.executor_options import Options
from benchmark.scoring.over_seeds import OverSeeds, over_seeds
from encoders import checkpoints, yaml_files
from encoders.errors import UserError, strict, validate

FILE = configs.ROOT / "anchors.yaml"
HEADER = ["anchor", "protocol", "metric", "ours", "our interval", "published", "its interval", "ours is"]
MISSING_HEADER = ["anchor", "not possible here"]
Metric = Literal["accuracy", "f1_micro", "miou_truth", "miou_absent_zero", "miou_absent_excluded"]
NONE_RAN, OUTSIDE, INSIDE = 3, 1, 0
"""What the command ends with."""


@strict
@dataclass(frozen=True)
class Anchor:
    """A cell with a published value.

    Attributes:
        row: as --encoder takes it.
        metric: ours that is theirs, or comes nearest to it.
        value, interval: published, as fractions in [0, 1]; None where no interval is.
        differs: what is not the same in the two protocols, a sentence.
        reason: why this cell is an anchor.
    """

    row: str
    dataset: str
    bands: Track
    protocol: str
    metric: Metric
    value: float
    interval: tuple[float, float] | None
    source: str
    url: str
    differs: str
    reason: str

    def __post_init__(self) -> None:
        low, high = self.interval or (self.value, self.value)
        if not 0 <= low <= self.value <= high <= 1:
            raise ValueError(
                f"value {self.value} in {self.interval} can't be; give fractions, the value within the interval"
            )

    @property
    def title(self) -> str:
        """The cell in a few words."""
        return f"{self.row} / {self.dataset} / {self.bands}"


@dataclass(frozen=True)
class Measured:
    """An anchor and what came out here; `why` says why nothing did."""

    anchor: Anchor
    ours: OverSeeds | None
    why: str = ""
    failed: bool = False

    @property
    def is_inside(self) -> bool:
        """Whether our value is in the published interval; the published value in ours, where it has none."""
        assert self.ours is not None
        if self.anchor.interval is None:
            return self.ours.low <= self.anchor.value <= self.ours.high
        low, high = self.anchor.interval
        return low <= self.ours.value <= high

    def row(self) -> list[str]:
        """A line under `HEADER`."""
        assert self.ours is not None
        anchor, ours = self.anchor, self.ours
        whose = "its interval" if anchor.interval else "no interval published, it is"
        verdict = f"inside {whose}" if anchor.interval else f"{whose} inside ours"
        if not self.is_inside:
            verdict = verdict.replace("inside", "outside")
        theirs = _interval(*anchor.interval) if anchor.interval else "-"
        shown = [_percent(ours.value), _interval(ours.low, ours.high), _percent(anchor.value), theirs]
        return [anchor.title, anchor.protocol, anchor.metric, *shown, verdict]


@dataclass(frozen=True)
class Anchors:
    """How all anchors ended."""

    measured: list[Measured]

    @property
    def ran(self) -> list[Measured]:
        """Those that have a value here."""
        return [one for one in self.measured if one.ours is not None]

    @property
    def code(self) -> int:
        """What the command ends with."""
        if not self.ran and not any(one.failed for one in self.measured):
            return NONE_RAN
        return INSIDE if all(one.is_inside for one in self.ran) and not self._failed else OUTSIDE

    @property
    def summary(self) -> str:
        """The last line."""
        inside, outside = (sum(one.is_inside is wanted for one in self.ran) for wanted in (True, False))
        impossible = len(self.measured) - len(self.ran) - len(self._failed)
        if self.code == NONE_RAN:
            return (
                f"None of the {impossible} anchors can be measured here; what each lacks, and what brings it, is above."
            )
        return (
            f"{inside} anchors inside, {outside} outside, {len(self._failed)} failed, {impossible} not possible here."
        )

    @property
    def _failed(self) -> list[Measured]:
        return [one for one in self.measured if one.failed]


def read(path: Path = FILE) -> list[Anchor]:
    """The anchors of a file.

    Raises:
        UserError: it can't be read, or names the field that can't be.
    """
    plain = yaml_files.read(path, "give a file like configs/anchors.yaml")
    if not isinstance(plain, list) or not plain:
        raise UserError(f"{path}: no list of anchors; give a file like configs/anchors.yaml")
    return [validate(Anchor, one, f"{path}, anchor {number}") for number, one in enumerate(plain, 1)]


def measure(
    anchors: Sequence[Anchor],
    places: Places,
    device: str | None = None,
    executor: str = "inline",
    allow_code: bool = False,
) -> Anchors:
    """Run the anchors that data and weights are there for, as any sweep does, and compare.

    Args:
        allow_code: whether code may run that a YAML file names which an anchor names (`benchmark.request.code`).

    Raises:
        UserError: an anchor names a row, dataset or protocol that there isn't, or code that isn't allowed to run.
    """
    asked = [_cell(anchor, device, executor, allow_code) for anchor in anchors]
    lacking = [_lacking(cell, places) for cell, _ in asked]
    results: dict[int, CellResult] = {}
    chosen = [n for n in range(len(anchors)) if not lacking[n]]
    distinct = {asked[n][0].label: asked[n][0] for n in chosen}
    if distinct:
        ended = sweep.sweep(list(distinct.values()), places, asked[chosen[0]][1])
        by_label = {result.cell.label: result for result in ended}
        results = {n: by_label[asked[n][0].label] for n in chosen}
    return Anchors(
        [
            Measured(anchor, None, lacking[n]) if lacking[n] else _measured(anchor, results[n], places)
            for n, anchor in enumerate(anchors)
        ]
    )


def _cell(anchor: Anchor, device: str | None, executor: str, allow_code: bool) -> tuple[Cell, Options]:
    request = configuration.compose(
        rows=[anchor.row],
        dataset_choice=anchor.dataset,
        probe=None,
        protocol=anchor.protocol,
        settings={"bands": anchor.bands} | ({"device": device} if device else {}),
        overrides=[],
        executor=executor,
        allow_code=allow_code,
    )
    found = cells(request)
    if len(found) > 1:
        raise UserError(f"anchor {anchor.title}: '{anchor.dataset}' names several datasets; name one")
    return found[0], request.executor


def _lacking(cell: Cell, places: Places) -> str:
    """What is not there for a cell, and the command that brings it; empty where all is."""
    try:
        plan = plan_inputs(cell)
    except ImpossibleError as error:
        return str(error)
    found = []
    try:
        ingest.source_folder(cell.dataset, places.data_root)
    except UserError:
        root = places.data_root or "FOLDER"
        command = f"`evaluate.py fetch dataset {cell.dataset.name} --data-root {root}`"
        found.append(f"the data of {cell.dataset.name}: {command} brings it, --data-root names where it is")
    if files := checkpoints.missing_files(cell.card, places.weights_dir, plan.side):
        named = ", ".join(files) if len(files) < 3 else f"{len(files)} files"
        how = checkpoints.how_to_get(cell.card, places.weights_dir, plan.side)
        found.append(f"weights of {cell.card.name} ({named}): {how}")
    return "; ".join(found)


def _measured(anchor: Anchor, result: CellResult, places: Places) -> Measured:
    if result.outcome not in ("done", "skipped"):
        return Measured(anchor, None, result.message, failed=result.outcome == "failed")
    store = RecordStore(places.output)
    records = [store.read(run.key) for run in Planner(places).plan(result.cell).runs]
    return Measured(anchor, over_seeds(records, anchor.metric))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _interval(low: float, high: float) -> str:
    return f"[{_percent(low)}, {_percent(high)}]"
