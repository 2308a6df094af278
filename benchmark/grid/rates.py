"""How fast things went: seconds of encoding and training, from the costs that records hold.

A rate is of one device, and stands for the same encoder with the same options at the same image size, precision and
storage tier; a rate of training also for the same fuser, probe and protocol. For anything else there is none.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.features.shapes import shapes
from benchmark.features.tiers import Tier, choose_tier
from benchmark.grid.cells import Cell
from benchmark.records import Cost
from encoders.errors import UserError, strict, validate

Key = tuple[str, ...]
Measured = dict[Key, list[tuple[float, int]]]


@dataclass
class Rates:
    """What was measured on one device.

    Attributes:
        device: as records name it; empty where nothing was measured.
        cells: how many were measured there, `threads` with how many threads.
        encoding: (seconds, images) by `encode_key`.
        training: (seconds, training images) of a cell by `train_key`.
    """

    device: str = ""
    cells: int = 0
    threads: set[int] = field(default_factory=set)
    encoding: Measured = field(default_factory=lambda: defaultdict(list))
    training: Measured = field(default_factory=lambda: defaultdict(list))

    def encode_seconds(self, cell: Cell, side: int, tier: Tier, images: int) -> float | None:
        """Of so many images; None where nothing alike was measured."""
        if tier == "none" or images == 0:
            return 0.0  # nothing is stored: training reads and encodes, and its rate says so
        measured = self.encoding.get(encode_key(cell, side, tier))
        return images * _ratio(measured) if measured else None

    def train_seconds(self, cell: Cell, side: int, tier: Tier, images: int) -> float | None:
        """Of a cell with so many training images, in proportion to images times epochs; None as `encode_seconds`."""
        measured = self.training.get(train_key(cell, side, tier))
        if not measured:
            return None
        return _work(cell, images) * _ratio([(seconds, _work(cell, count)) for seconds, count in measured])


def tier_of(cell: Cell, side: int, bands: int, rows: int) -> Tier | None:
    """The tier a cell's features are kept in; None where the shapes of its maps are not known.

    Args:
        bands: input channels of the encoder.
        rows: stored images of all splits, flipped copies included.
    """
    if cell.reads != "maps":
        return cell.reads
    known, settings = shapes(cell.card, side, bands), cell.settings
    if known is None:
        return settings.feature_tier
    budgets = int(settings.disk_budget_gb * 1e9), int(settings.memory_budget_gb * 1e9)
    try:
        return choose_tier(known, {"": rows}, *budgets, settings.feature_tier, dtype=cell.protocol.feature_dtype)
    except UserError:
        return None  # too large for the memory budget, which the cell itself will say


def encode_key(cell: Cell, side: int, tier: Tier) -> Key:
    """What a rate of encoding stands for."""
    card, options = cell.card, json.dumps(cell.card.options, sort_keys=True)
    return (card.name, str(card.version), options, str(side), cell.settings.arithmetic, tier)


def train_key(cell: Cell, side: int, tier: Tier) -> Key:
    """What a rate of training stands for."""
    return (*encode_key(cell, side, tier), cell.dataset.task, cell.fusion.name, cell.probe.name, cell.protocol.hash)


def read(output: Path, device: str | None) -> Rates:
    """The rates that the records of a results folder hold; what is no whole record is passed over.

    Args:
        device: that rates must be of; None for that of the latest record.
    """
    found = list(_costs(output))
    if device is None:
        device = max(found, key=lambda one: one.created).device if found else ""
    rates = Rates(device)
    for one in found:
        tier = tier_of(one.cell, one.side, one.bands, one.cost.images)
        if one.device != device or tier is None:
            continue
        rates.cells += 1
        rates.threads.add(one.threads)
        if one.cost.encode_seconds:
            rates.encoding[encode_key(one.cell, one.side, tier)].append((one.cost.encode_seconds, one.cost.images))
        rates.training[train_key(one.cell, one.side, tier)].append((one.cost.train_seconds, one.n_train))
    return rates


@strict
@dataclass(frozen=True)
class _Cost:
    """What a cell cost, from one of its records."""

    cell: Cell
    side: int
    bands: int
    n_train: int
    cost: Cost
    device: str
    threads: int
    created: str


def _costs(output: Path) -> Iterator[_Cost]:
    """One a cell: its seeds share the cost. Records are not checked whole, for counts of pixels take long to read."""
    for path in (output / "records").glob("*.json"):
        try:
            record = json.loads(path.read_bytes())
            run, made = record["run"], record["provenance"]
            plain = {
                "cell": made["config"],
                "side": run["image_size"],
                "bands": len(run["inputs"]),
                "n_train": record["score"]["n_train"],
                "cost": record["cost"],
                **{name: made[name] for name in ("device", "threads", "created")},
            }
            if run["seed"] == 0:
                yield validate(_Cost, plain, str(path))
        except (OSError, ValueError, LookupError, TypeError, UserError):
            continue


def _work(cell: Cell, images: int) -> int:
    return images * cell.protocol.total_epochs(images) if cell.is_trained else images


def _ratio(measured: list[tuple[float, int]]) -> float:
    return sum(seconds for seconds, _ in measured) / max(1, sum(count for _, count in measured))
