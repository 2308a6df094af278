"""What a plan will take on a device by its data sheet: operations counted, divided by the rate they are taken to have.

Counted are the frozen part, decoders' training steps, their predictions on validation and test, and maps that are made
anew in every epoch because they don't fit on disk. Not counted are probes, which are fitted on the CPU, reading, and
whatever keeps a device waiting. So it is a prediction to plan by; what was measured (`benchmark.grid.estimates`) is
better wherever there is any.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from benchmark import memory
from benchmark.data import partitions
from benchmark.data.inputs import InputPlan
from benchmark.features import shapes
from benchmark.features.tiers import Tier
from benchmark.flops import table
from benchmark.flops.devices import Device
from benchmark.flops.operations import Operations
from benchmark.flops.parts import Decoding, Frozen, Grid, Head, Trained
from benchmark.grid.cells import Cell
from benchmark.grid.planning import Planned, Planner
from benchmark.grid.rates import tier_of
from benchmark.request.rows import fuser_options
from encoders.bands import Band
from encoders.errors import UserError
from encoders.spec import EncoderCard

Stage = Literal["encoding", "training", "validation", "test", "maps made anew"]
HEADS: dict[tuple[str, str], Head] = {
    ("classification", "linear"): "pooled",
    ("classification", "pooled"): "pooled",
    ("segmentation", "linear"): "linear",
    ("segmentation", "upernet"): "upernet",
}
"""What is counted, by task and probe."""
FLOAT = 4
STATE = 10 * FLOAT
"""Bytes a parameter that a training step moves: the parameter is read three times and written once, its gradient and
AdamW's two moments are each read and written."""


class Known(Protocol):
    """Who knows operations: `benchmark.flops.table`."""

    def frozen(self, card: EncoderCard, bands: Sequence[Band], side: int) -> Frozen:
        """See there."""

    def trained(self, decoding: Decoding, classes: int) -> Trained:
        """See there."""


@dataclass(frozen=True)
class Taken:
    """Seconds of a cell, by stage."""

    stages: dict[Stage, float]

    @property
    def encode_seconds(self) -> float:
        """Of the frozen part, once an image; 0 where another cell before it brings its features."""
        return self.stages.get("encoding", 0.0)

    @property
    def train_seconds(self) -> float:
        """Of all that follows."""
        return self.seconds - self.encode_seconds

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(self.stages.values())


@dataclass(frozen=True)
class _Shared:
    """What cells share that are evaluated together.

    Attributes:
        frozen: operations on an image.
        anew: operations of an image's maps whenever they are read.
    """

    cell: Cell
    fed: InputPlan
    sizes: dict[str, int]
    tier: Tier
    frozen: Frozen

    @property
    def kept(self) -> Operations:
        """Of an image, once."""
        if self.tier == "none":
            return Operations()
        return self.frozen.stem if self.tier == "stem" else self.frozen.stem + self.frozen.body

    @property
    def anew(self) -> Operations:
        """Of an image's maps, whenever they are read."""
        if self.tier == "none":
            return self.frozen.stem + self.frozen.body
        return self.frozen.body if self.tier == "stem" else Operations()

    @property
    def epochs(self) -> int:
        """Of a decoder."""
        return self.cell.rules.total_epochs(self.sizes["train"])

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.cell.rules.steps_per_epoch(self.sizes["train"])

    @property
    def learnt(self) -> int:
        """Images of an epoch."""
        return min(self.sizes["train"], self.steps * self.cell.rules.decoder_batch)

    @property
    def evaluations(self) -> int:
        """Passes over validation, of a decoder that goes through all epochs."""
        rules, steps, epochs = self.cell.rules, self.steps, self.epochs
        if rules.evaluate_every_steps is not None:
            return rules.evaluate_untrained + epochs * steps // min(rules.evaluate_every_steps, steps)
        read = (rules.is_evaluated(epoch, steps, steps, epochs) for epoch in range(epochs))
        return rules.evaluate_untrained + sum(read)


class Counting:
    """Counts cells in the order they run in: what one leaves behind, the next finds.

    Attributes:
        guessed: datasets whose splits' sizes are neither on disk nor published, and were taken to be as large as any.
    """

    def __init__(self, planner: Planner, device: Device, known: "Known" = table) -> None:
        self.device, self._planner, self._known = device, planner, known
        self._brought: set[tuple[object, ...]] = set()
        self.guessed: set[str] = set()

    def group(self, group: Sequence[Planned]) -> list[Taken | None]:
        """What cells take that are evaluated together; None for one that can't be counted."""
        try:
            shared = self._shared(group[0])
        except UserError:
            shared = None
        if shared is None:
            return [None] * len(group)
        cells = [one.cell for one in group]
        found = self._trained(shared, cells) if shared.cell.is_trained else [{} for _ in cells]
        first = next((one for one in found if one is not None), None)
        if first is not None:
            first["encoding"] = self._encoding(shared)
        return [None if one is None else Taken(one) for one in found]

    def _shared(self, planned: Planned) -> _Shared | None:
        cell, fed = planned.cell, planned.fed
        if fed is None or not shapes.known(cell.card):
            return None
        sizes = self._sizes(cell)
        rows = sum(count * _copies(cell, split) for split, count in sizes.items())
        # What augmentation changes anew in every epoch can't be kept.
        tier = "none" if cell.is_trained and cell.rules.fresh else tier_of(cell, fed.side, len(fed.channels), rows)
        if tier is None or cell.rules.segmentation_view != "whole":
            return None
        frozen = self._known.frozen(cell.card, [channel.wanted for channel in fed.channels], fed.side)
        return _Shared(cell, fed, sizes, tier, frozen)

    def _sizes(self, cell: Cell) -> dict[str, int]:
        found = self._planner.sizes(cell)
        if found is None:
            found, guessed = partitions.published_sizes(cell.dataset, cell.settings.partition)
            self.guessed |= {cell.dataset.name} if guessed else set()
        return found

    def _encoding(self, shared: _Shared) -> float:
        """Seconds of the splits that no cell before brought."""
        cell, fed = shared.cell, shared.fed
        whole = self._sizes(replace(cell, settings=replace(cell.settings, partition="default")))
        # Splits that a partition leaves whole are the same in all partitions.
        parts = {name: "" if count == whole[name] else cell.settings.partition for name, count in shared.sizes.items()}
        inputs = (fed.describe(), fed.side, cell.settings.arithmetic, cell.protocol.feature_dtype, shared.tier)
        statistics = parts["train"] if fed.uses_statistics else ""
        images = 0
        for split, count in shared.sizes.items():
            copies = _copies(cell, split)
            key = (shapes.named(cell.card), cell.dataset.name, split, parts[split], copies, statistics, inputs)
            images += 0 if key in self._brought else count * copies
            self._brought.add(key)
        return self.device.seconds(images * shared.kept, cell.settings.precision)

    def _trained(self, shared: _Shared, cells: Sequence[Cell]) -> list[dict[Stage, float] | None]:
        """Of decoders that train together on one stream of features."""
        decoders: list[tuple[Decoding, Trained] | None] = []
        for cell in cells:
            try:
                decoding = _decoding(shared, cell)
                decoders.append((decoding, self._known.trained(decoding, cell.dataset.num_classes)))
            except UserError:
                decoders.append(None)  # there is nothing to fuse, which the cell itself will say
        found = [self._decoder(shared, *one) if one else None for one in decoders]
        there = [stages for stages in found if stages is not None]
        anew = self._anew(shared, [one for _, one in filter(None, decoders)])
        for stages in there if anew else ():
            stages["maps made anew"] = anew / len(there)
        return found

    def _decoder(self, shared: _Shared, decoding: Decoding, one: Trained) -> dict[Stage, float]:
        rules, sizes = shared.cell.rules, shared.sizes
        members, steps = len(rules.learning_rates) * rules.seeds, shared.epochs * shared.steps
        reads = Operations(gigabytes=FLOAT * decoding.values / 1e9)
        # Of a mixture, every view is a call, and the first calls ask all experts.
        warm = min(steps, math.ceil(_warm_up(decoding) / decoding.views))
        learnt = shared.epochs * shared.learnt * (one.step + 2 * reads) + warm * rules.decoder_batch * one.dense
        learnt += Operations(gigabytes=steps * STATE * one.parameters / 1e9)
        looked = one.forward + reads + Operations(gigabytes=FLOAT * one.parameters / rules.decoder_batch / 1e9)
        amounts: dict[Stage, Operations] = {
            "training": members * learnt,
            "validation": members * shared.evaluations * sizes["valid"] * looked,
            "test": rules.seeds * sizes["test"] * looked,
        }
        return {stage: self.device.seconds(work, rules.decoder_dtype) for stage, work in amounts.items()}

    def _anew(self, shared: _Shared, decoders: Sequence[Trained]) -> float:
        """Seconds of maps that are made whenever they are read, of all decoders together."""
        rules, sizes = shared.cell.rules, shared.sizes
        members = len(rules.learning_rates) * rules.seeds
        needed = [memory.BYTES_A_PARAMETER * one.parameters for one in decoders for _ in range(members)]
        passes = len(list(memory.packed(needed, int(shared.cell.settings.memory_budget_gb * 1e9))))
        images = passes * (shared.epochs * shared.learnt + shared.evaluations * sizes["valid"])
        images += len(decoders) * rules.seeds * sizes["test"]
        return self.device.seconds(images * shared.anew, shared.cell.settings.precision)


def _copies(cell: Cell, split: str) -> int:
    return cell.protocol.variants if split == "train" else 1


def _decoding(shared: _Shared, cell: Cell) -> Decoding:
    known, bands = shapes.of(cell.card), len(shared.fed.channels)
    assert known is not None
    maps = known.shapes(shared.fed.side, bands).maps
    levels = tuple(
        Grid(1 if cell.reads == "pooled" else shape[-1], modules)
        for shape, modules in zip(maps, known.modules(bands), strict=True)
    )
    head = HEADS.get((cell.dataset.task, cell.probe.name))
    if head is None:
        raise UserError(f"probe {cell.probe.name}: its operations are not counted")
    fuser = fuser_options(cell.fusion, cell.dataset.task, cell.protocol)
    return Decoding(levels, known.views, fuser, head, cell.protocol.upernet_channels)


def _warm_up(decoding: Decoding) -> int:
    return int(decoding.fuser.get("warmup_steps", 0))  # type: ignore[call-overload]
