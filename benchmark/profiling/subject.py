"""What is profiled: the cells that were asked for, on a few images of the train split, as a run would do them."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.data.ingest import Rows, Split
from benchmark.data.input_transform import InputTransform
from benchmark.evaluation import frozen, pick_device
from benchmark.features.frozen_part import FrozenPart
from benchmark.features.readings import readings
from benchmark.features.tiers import Shapes, Tier, choose_tier, measure
from benchmark.features.views import Reading
from benchmark.grid.cells import Cell, rows_kept
from benchmark.grid.identity import Resolved, resolve
from benchmark.memory import Portions
from benchmark.places import Places
from benchmark.profiling.costs import Work
from benchmark.protocol import Protocol
from benchmark.request.rows import fuser_options
from benchmark.training import loop
from benchmark.training.bank import Member, Trainee
from benchmark.training.decoding import flat, make_decoder, parameters_of, passes, task_of
from benchmark.training.prediction import Task
from benchmark.training.stacking import units
from decoders.batchnorm_linear import CANDIDATES
from decoders.decoder import Decoder
from decoders.moe import Calls
from encoders.base import Encoder
from encoders.errors import UserError

WARM = 10**9
"""Calls of a mixture of experts, more than any warm-up has."""


@dataclass(frozen=True)
class Subject:
    """Cells that share their features, ready to be timed.

    Attributes:
        images: a few of the train split.
        tier: what a run would keep of the frozen part.
        reading: what of the features is read.
        work: what a run does at the dataset's published sizes, or at those that are there where none are published.
        bank: the decoders that one pass trains; empty for probes on embeddings.
        task: None for these.
    """

    cells: tuple[Cell, ...]
    resolved: Resolved
    encoder: Encoder
    transform: InputTransform
    images: Split
    shapes: Shapes
    tier: Tier
    reading: Reading
    work: Work
    bank: tuple[Member, ...]
    task: Task
    device: str

    @property
    def protocol(self) -> Protocol:
        """Under which they are trained, as it is on this dataset."""
        return self.resolved.cell.rules

    @property
    def frozen(self) -> FrozenPart:
        """Encoder and images."""
        settings, dtype = self.resolved.cell.settings, np.dtype(self.protocol.feature_dtype)
        return FrozenPart(
            self.encoder, self.transform, self.images, dtype, settings.batch_size, 1, Portions(), self.reading
        )

    def trainees(self, members: Sequence[Member]) -> list[Trainee]:
        """Members with fresh weights, on the device; a mixture of experts as after its warm-up."""
        each = self.protocol.steps_per_epoch(self.work.train)
        steps = self.work.epochs * each
        found = [Trainee(member, self.task, self.protocol, steps, self.device, each) for member in members]
        for counter in (one for trainee in found for one in trainee.decoder.modules() if isinstance(one, Calls)):
            counter.count = WARM
        return found

    @property
    def singles(self) -> dict[str, Member]:
        """One decoder a fuser."""
        return {member.name: member for member in reversed(self.bank)}

    @property
    def kinds(self) -> list[Member]:
        """One decoder a fuser and candidate head: what the bank holds but for rates and seeds."""
        return list({(member.name, member.candidate): member for member in reversed(self.bank)}.values())


def prepare(cells: Sequence[Cell], places: Places, images: int) -> Subject:
    """Open data, build encoder and decoders.

    Args:
        cells: an encoder on a dataset, with one fuser or several.
        images: of the train split, at most.

    Raises:
        UserError: data or weights are missing, several encoders or datasets, a fuser that doesn't fit the encoder, or
            a protocol that feeds no whole images.
    """
    if len({(cell.card.name, cell.dataset.name, cell.reads, cell.is_trained) for cell in cells}) != 1:
        raise UserError("profile takes one encoder on one dataset, and fusers that are trained alike")
    resolved = resolve(cells[0], places)
    cell, data = resolved.cell, resolved.data
    if resolved.plan.windows:
        raise UserError(
            f"profile times whole images, but protocol {cell.protocol.name} trains on one crop of an image, drawn anew "
            "each epoch, and validates on all its windows, so no one rate an image stands for both; choose another"
        )
    read = readings(cell, resolved.plan, len(data.splits["train"].samples))
    device = pick_device(cell.settings.device)
    encoder, transform = frozen(cell, resolved.plan, data, device, places)
    shapes = measure(encoder, transform, data.splits["train"])
    rows = {name: _published(cell, name) or len(split.samples) for name, split in data.splits.items()}
    tier: Tier = cell.reads
    if tier == "maps":
        tier = choose_tier(
            shapes,
            rows_kept(cell, resolved.plan, rows),
            int(cell.settings.disk_budget_gb * 1e9),
            int(cell.settings.memory_budget_gb * 1e9),
            cell.settings.feature_tier,
            dtype=cell.protocol.feature_dtype,
        )
    tier = "none" if read["train"].fresh else tier
    builds = _builds(cells, encoder, resolved) if cell.is_trained else {}
    candidates = CANDIDATES if cell.probe.name == "bn_linear" else ("",)
    bank = loop.members(builds, cell.rules, candidates) if builds else []
    sizes = {name: parameters_of(functools.partial(build, candidate=candidates[-1])) for name, build in builds.items()}
    together = flat(next(passes(units(bank, cell.probe.name), sizes, int(cell.settings.memory_budget_gb * 1e9)), []))
    return Subject(
        cells=tuple(cells),
        resolved=resolved,
        encoder=encoder,
        transform=transform,
        images=first(data.splits["train"], images),
        shapes=shapes,
        tier=tier,
        reading=read["valid"],
        work=Work(
            rows["train"],
            rows["valid"],
            rows["test"],
            epochs=cell.rules.total_epochs(rows["train"]) if bank else 1,
            decoders=len(bank),
            scored=len(builds) * cell.protocol.seeds,
        ),
        bank=tuple(together),
        task=task_of(data, cell.rules, None),
        device=device,
    )


def first(split: Split, images: int) -> Split:
    """The first images of a split, as a split."""
    rows = np.arange(min(images, len(split.samples)))
    return replace(
        split,
        samples=split.samples[: len(rows)],
        images=Rows(split.images, rows),  # type: ignore[arg-type]
        labels=np.asarray(split.labels[rows]),
        groups=np.asarray(split.groups[rows]),
        rows=split.rows[rows],
    )


def _published(cell: Cell, split: str) -> int | None:
    whole = cell.settings.partition in ("default", "1.00x_train")
    return cell.dataset.splits.get(split) if whole else None  # type: ignore[call-overload]


def _builds(cells: Sequence[Cell], encoder: Encoder, resolved: Resolved) -> dict[str, "functools.partial[Decoder]"]:
    def build(cell: Cell) -> "functools.partial[Decoder]":
        fuser = fuser_options(cell.fusion, cell.dataset.task, cell.rules)
        return functools.partial(make_decoder, cell.probe.name, fuser, encoder, resolved.data, cell.rules)

    return {cell.fusion.name: build(cell) for cell in cells}
