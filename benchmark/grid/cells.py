"""What is asked: cells, each a row of the leaderboard on one dataset, and the identity of a cell's runs.

Nothing here imports a deep-learning framework, so a cell whose records exist is skipped at once.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from benchmark.data import inputs
from benchmark.data.dataset import Dataset
from benchmark.data.inputs import InputPlan
from benchmark.membership import Membership
from benchmark.protocol import Protocol
from benchmark.records import trains
from benchmark.request.configuration import Probe, Request, Settings, choices, load_probe
from benchmark.request.rows import Fusion
from encoders import LIBRARIES, built_in, card, elsewhere, inputs_of, profile_of
from encoders.errors import UserError, strict, validate
from encoders.spec import EncoderCard, InputSpec

SETTINGS = ("bands", "band_names", "missing_bands", "partition", "arithmetic")
"""The settings that make another cell; a cell that fails on one device and succeeds on another is the same cell."""


@strict
@dataclass(frozen=True)
class Cell:
    """One row on one dataset: an encoder, a fuser and a probe.

    Attributes:
        card: of the encoder (`encoders.spec.EncoderCard`, configs/encoder/), as the protocol sets it.
        fusion: the fuser (configs/fusion/).
        dataset: `benchmark.data.dataset.Dataset` (configs/dataset/); `metric` is the protocol's headline metric on it.
        probe: what is fitted (configs/probe/).
        protocol: `benchmark.protocol.Protocol` (configs/protocol/).
        settings: what configs/config.yaml holds beside these: track, partition, device, precision, ...
        row, row_title: of the encoder, or of the family that it stands for here.
        told: what an experiment tells it by from its other cells, in a few words.
        variant: what of that changes the row itself; see `Record.variant`.
        experiments: that it is part of.
    """

    card: EncoderCard
    fusion: Fusion
    dataset: Dataset
    probe: Probe
    protocol: Protocol
    settings: Settings
    row: str
    row_title: str
    told: str = ""
    variant: str = ""
    experiments: tuple[Membership, ...] = ()

    @property
    def title(self) -> str:
        """The cell in a few words."""
        return self._titled(f" [{self.told}]" if self.told else "")

    @property
    def plain_title(self) -> str:
        """The same, whatever an experiment tells it by."""
        return self._titled("")

    def _titled(self, told: str) -> str:
        fused = "" if self.fusion.name == "none" else f"-{self.fusion.name}"
        stands_for = "" if self.row == self.card.name else f" ({self.card.name})"
        return f"{self.row}{fused}{stands_for}{told} / {self.dataset.name} / {self.probe.name}"

    @property
    def label(self) -> str:
        """What tells the cells of a sweep apart: equal for a row whose runs would be the same."""
        return f"{self.row} {self.digits}"

    @cached_property
    def digits(self) -> str:
        """Eight hexadecimal digits of what makes its runs, as far as that is known before data are opened."""
        card, dataset = self.card, self.dataset
        identity = {
            "card": [card.adapter, card.name, card.version, card.options, card.image_size, card.inputs],
            "dataset": [dataset.name, dataset.metric, dataset.product_level, asdict(dataset.groups)],
            "fusion": [self.fusion.name, self.fusion.options],
            "probe": self.probe.name,
            "protocol": self.protocol.hash,
            "settings": [getattr(self.settings, name) for name in SETTINGS],
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def is_trained(self) -> bool:
        """Whether a decoder is trained by gradient on feature maps, rather than a probe fitted on embeddings."""
        return trains(self.dataset.task, self.fusion.kind, self.probe.name)

    @cached_property
    def rules(self) -> Protocol:
        """What the protocol says of this dataset; its hash is the protocol's."""
        return self.protocol.on(self.dataset)

    @property
    def reads(self) -> Literal["embedding", "pooled", "maps"]:
        """What of the frozen part's output it is fitted on: maps, each module's spatial mean, or the embedding."""
        if self.dataset.task == "segmentation" or self.fusion.kind in ("gw", "lw", "moe"):
            return "maps"
        return "embedding" if self.fusion.kind == "none" and not self.is_trained else "pooled"

    @property
    def seeds(self) -> range:
        """Seeds, each a run of its own. Logistic regression and kNN have none: theirs is the bootstrap's."""
        first = self.protocol.first_seed
        return range(first, first + self.protocol.seeds) if self.is_trained else range(1)


def title(group: Sequence[Cell]) -> str:
    """Cells that differ in fuser and row alone, in a few words."""
    first = group[0]
    if len(group) == 1:
        return first.title
    rows = " + ".join(dict.fromkeys(cell.row for cell in group))
    fused = ", ".join(dict.fromkeys(cell.fusion.name for cell in group))
    return f"{rows} with {fused} / {first.dataset.name} / {first.probe.name}"


def cells(request: Request) -> list[Cell]:
    """The cells of a grid, dataset by dataset.

    Raises:
        UserError: the probe doesn't fit one of the datasets.
    """
    found = []
    for dataset in request.datasets:
        probe = request.probe_for(dataset)
        scored = replace(dataset, metric=request.protocol.metric(dataset))
        found += [
            Cell(
                row.cards[dataset.name],
                row.fusion,
                scored,
                probe,
                request.protocol,
                request.settings,
                row.name,
                row.title,
                **_part(request, row.name),
            )
            for row in request.rows
        ]
    return found


def _part(request: Request, row: str) -> dict[str, Any]:
    part = request.part
    if part is None:
        return {}
    experiments = (replace(part.membership, row=row),)
    return {"told": part.told, "variant": part.variant, "experiments": experiments}


def all_cells(requests: Iterable[Request]) -> list[Cell]:
    """The cells of several grids, each once: one that several ask for stands wherever they say.

    Raises:
        UserError: as `cells`.
    """
    found: dict[str, Cell] = {}
    for cell in (one for request in requests for one in cells(request)):
        known = found.get(cell.label)
        found[cell.label] = cell if known is None else _both(known, cell)
    return list(found.values())


def _both(known: Cell, again: Cell) -> Cell:
    experiments = tuple(one for one in again.experiments if one not in known.experiments)
    variant = known.variant if again.variant else ""
    return replace(known, variant=variant, experiments=(*known.experiments, *experiments))


def rebuild(config: object, where: str, own: EncoderCard | None = None, own_dataset: Dataset | None = None) -> Cell:
    """A cell from the plain data a record keeps of it (`provenance.config`), under the versions of today's code.

    Args:
        own: the encoder of the user's own that the record is of. Code runs from where the user says, never from
            where a record does.
        own_dataset: the dataset of the user's own that it is of; its files are looked for where the user says, too.

    Raises:
        UserError: names the field that can't be, or a dataset's name that would be a path; or the record is of an
            encoder or a dataset of the user's own, and not of the one given.
    """
    kept = validate(Cell, config, where)
    for name in (kept.dataset.name, kept.dataset.benchmark):
        if name in ("", "..") or Path(name).name != name:
            raise UserError(f"{where}: '{name}' names no dataset; restore the record from where it was made")
    dataset, probe = _dataset_now(kept.dataset, where, own_dataset), kept.probe
    if probe.name in choices("probe"):
        probe = replace(probe, version=load_probe(probe.name).version)
    return replace(kept, card=_encoder_now(kept.card, where, own), dataset=dataset, probe=probe)


def _dataset_now(kept: Dataset, where: str, own: Dataset | None) -> Dataset:
    if own is not None and own.name != kept.name:
        raise UserError(f"{where}: its dataset is {kept.name}, not {own.name}; give the file of that one")
    if own is None and (kept.files is not None or kept.file):
        raise UserError(f"{where}: {kept.name} is a dataset of someone's own; give its file with --dataset FILE")
    return kept if own is None else replace(kept, file=own.file, files=own.files)


def _encoder_now(kept: EncoderCard, where: str, own: EncoderCard | None) -> EncoderCard:
    if own is not None and own.name != kept.name:
        raise UserError(f"{where}: its encoder is {kept.name}, not {own.name}; give the file of that one")
    if kept.home or own is not None:
        found = own or (elsewhere.installed_card(kept.name) if kept.name in elsewhere.installed() else None)
        if found is None:
            raise UserError(f"{where}: {kept.name} is an encoder of someone's own; give its file with --encoder FILE")
        return replace(kept, version=found.version, adapter=found.adapter, home=found.home)
    if kept.name in built_in() or kept.name.startswith(LIBRARIES):
        return replace(kept, version=card(kept.name).version)
    return kept


def plan_inputs(cell: Cell, spec: InputSpec | None = None) -> InputPlan:
    """What the cell's encoder is fed.

    Args:
        spec: what its encoder wants (`encoders.inputs_of`), where that is known already.

    Raises:
        ImpossibleError: as `inputs.plan`; or the cell wants masks from what has no place in the image.
    """
    check_fusion(cell)
    settings, rules = cell.settings, cell.rules
    spec = inputs_of(cell.card) if spec is None else spec
    return inputs.plan(
        cell.dataset,
        spec,
        track=settings.bands,
        band_names=settings.band_names,
        missing_bands=settings.missing_bands,
        scaling=rules.input_scaling,
        side=fed_side(spec, cell.dataset, rules),
        antialias=rules.antialias,
        windows=cell.dataset.task == "segmentation" and rules.segmentation_view == "windows",
        profile=profile_of(cell.card),
    )


def fed_side(spec: InputSpec, dataset: Dataset, rules: Protocol) -> int:
    """The side in pixels an encoder is fed on a dataset; a model that takes one size only keeps it."""
    native, task = max(dataset.image_size), dataset.task
    asked = rules.classification_size if task == "classification" else rules.segmentation_size
    usual = "pretraining" if task == "classification" else "256_or_512"
    if asked == usual or isinstance(spec.segmentation_size, int):
        return spec.side(native, task)
    if asked == "pretraining":
        return spec.side(native)
    return replace(spec, image_size=asked).side(native)


def is_fresh(cell: Cell, plan: InputPlan) -> bool:
    """Whether training images are changed anew each epoch, so that their features can't be kept.

    What a probe is fitted on is seen once: it has the images as they are.
    """
    return cell.is_trained and bool(cell.rules.fresh or plan.windows)


def rows_kept(cell: Cell, plan: InputPlan, images: Mapping[str, int]) -> dict[str, int]:
    """Rows of features that are kept, by split, of so many images: windows each, copies, or none of what is fresh."""
    train = 0 if is_fresh(cell, plan) else cell.protocol.variants
    return {split: count * (train if split == "train" else plan.looks) for split, count in images.items()}


def check_fusion(cell: Cell) -> None:
    """Check that a cell doesn't want masks from what has no place in the image.

    Raises:
        ImpossibleError: it does.
    """
    if cell.fusion.kind == "pca" and cell.dataset.task == "segmentation":
        raise inputs.ImpossibleError(
            f"fusion {cell.fusion.name} averages over the image, {cell.dataset.name} wants masks; choose another fusion"
        )
