"""One run: from what was asked (a cell) to a Record. Reads top to bottom as the data flows.

    files -> ingest -> plan of inputs -> encoder -> features -> probe -> metrics -> record

`resolve` gives a cell its Run, hence its key, without importing a deep-learning framework; a cell whose record
exists is skipped at that point. `evaluate` does the work.
"""

import hashlib
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from benchmark import ingest, inputs
from benchmark.configuration import Probe, Request, Settings
from benchmark.datasets import Dataset
from benchmark.inputs import InputPlan
from benchmark.places import Places
from benchmark.protocol import Protocol, fusion_options
from benchmark.records import Cost, Record, RecordStore, Run
from encoders import checkpoints, inputs_of
from encoders.errors import UserError
from encoders.spec import EncoderCard

if TYPE_CHECKING:
    from benchmark.feature_tiers import Tier
    from benchmark.features import SplitFeatures
    from benchmark.measured import Measured
    from encoders.base import Encoder


@dataclass(frozen=True)
class Cell:
    """One encoder on one dataset with one probe."""

    card: EncoderCard
    dataset: Dataset
    probe: Probe
    protocol: Protocol
    settings: Settings

    @property
    def title(self) -> str:
        """The cell in a few words."""
        fused = [self.settings.fusion] if self.settings.fusion != "none" else []
        return " / ".join([self.card.name, self.dataset.name, *fused, self.probe.name])

    @property
    def is_trained(self) -> bool:
        """Whether a decoder is trained by gradient on feature maps, rather than a probe fitted on embeddings."""
        return self.dataset.task == "segmentation" or self.settings.fusion != "none"

    @property
    def seeds(self) -> range:
        """Seeds, each a run of its own. Logistic regression and kNN have none: theirs is the bootstrap's."""
        return range(self.protocol.seeds if self.is_trained else 1)


@dataclass(frozen=True)
class Resolved:
    """A cell with its data opened and the identity of its runs known, one a seed."""

    cell: Cell
    runs: tuple[Run, ...]
    plan: InputPlan
    data: ingest.OpenDataset


def cells(request: Request) -> list[Cell]:
    """The cells of a grid, dataset by dataset.

    Raises:
        UserError: the probe doesn't fit one of the datasets.
    """
    return [
        Cell(card, dataset, request.probe_for(dataset), request.protocol, replace(request.settings, fusion=fusion))
        for dataset in request.datasets
        for card in request.encoders
        for fusion in request.fusions
    ]


def plan_inputs(cell: Cell) -> InputPlan:
    """What the cell's encoder is fed; raises as `inputs.plan`."""
    settings = cell.settings
    return inputs.plan(
        cell.dataset,
        inputs_of(cell.card),
        track=settings.bands,
        band_names=settings.band_names,
        missing_bands=settings.missing_bands,
    )


def resolve(cell: Cell, places: Places) -> Resolved:
    """Open the data (ingesting it on first use) and fix the run's identity.

    Raises:
        UserError: data or weights are missing or damaged; `ImpossibleError` where nothing can be fed.
    """
    plan = plan_inputs(cell)
    weights = checkpoints.weights_sha256(cell.card, places.weights_dir, plan.side)
    data = ingest.open_dataset(cell.dataset, places.data_root, places.ingest_dir, cell.settings.partition)
    fingerprints = {name: split.fingerprint for name, split in data.splits.items()}
    return Resolved(cell, identify(cell, plan, weights, fingerprints), plan, data)


def identify(cell: Cell, plan: InputPlan, weights: dict[str, str], data: dict[str, str]) -> tuple[Run, ...]:
    """A cell's runs, given its inputs, the digests of its weights and the fingerprints of its splits."""
    first = Run(
        encoder=cell.card.name,
        adapter=cell.card.adapter,
        encoder_version=cell.card.version,
        encoder_options=cell.card.options,
        weights=weights,
        inputs=plan.describe(),
        image_size=plan.side,
        precision=cell.settings.precision,
        dataset=cell.dataset.name,
        data=data,
        dataset_facts={name: getattr(cell.dataset, name) for name in ("metric", "multilabel", "num_classes", "no_data")}
        | {"groups": [cell.dataset.groups.by, cell.dataset.groups.pattern]},
        partition=cell.settings.partition,
        bands=cell.settings.bands,
        band_names=cell.settings.band_names,
        missing_bands=cell.settings.missing_bands,
        fusion=cell.settings.fusion,
        probe=cell.probe.name,
        probe_version=cell.probe.version,
        probe_options=fusion_options(cell.settings.fusion, cell.dataset.task, cell.protocol),
        protocol=cell.protocol.name,
        protocol_hash=cell.protocol.hash,
        seed=0,
    )
    return tuple(replace(first, seed=seed) for seed in cell.seeds)


def evaluate(resolved: Resolved, places: Places) -> list[Record]:
    """Do the work of a cell's runs and write their records.

    Raises:
        UserError: whatever the user can mend, in one sentence.
    """
    from benchmark.input_card import input_card
    from benchmark.provenance import peak_memory_bytes, provenance, reset_peak_memory
    from decoders.probe import check_train_labels
    from encoders import build

    cell, plan, data = resolved.cell, resolved.plan, resolved.data
    if cell.dataset.task == "classification":
        check_train_labels(data.splits["train"].labels, data.class_names, cell.dataset.multilabel)
    device = pick_device(cell.settings.device)
    reset_peak_memory(device)
    encoder = build(
        cell.card,
        bands=[channel.wanted for channel in plan.channels],
        image_size=plan.side,
        weights_dir=places.weights_dir,
        precision=cell.settings.precision,
    ).to(device)
    transform = inputs.InputTransform(plan, data.statistics)
    card = input_card(plan, transform, data.splits["train"])

    features = _features(resolved, encoder, transform, places)
    start = time.monotonic()
    measured = _measure(resolved, encoder, features, device)
    train_seconds = time.monotonic() - start

    encode_seconds = sum(one.seconds for one in features.values())
    images = sum(len(split.samples) for split in data.splits.values())
    records = []
    for run in resolved.runs:
        found = measured[run.seed]
        record = Record(
            key=run.key,
            run=run,
            title=cell.card.title,
            role=cell.card.role,
            task=cell.dataset.task,
            ranked=_is_ranked(cell, plan),
            flags=_flags(resolved, card, found),
            score=found.score,
            input_card=card,
            predictions_sha256=hashlib.sha256(found.predictions).hexdigest(),
            cost=Cost(
                encode_seconds=encode_seconds,
                train_seconds=train_seconds,
                images_per_second=images / encode_seconds if encode_seconds else 0.0,
                peak_memory_bytes=peak_memory_bytes(device),
                frozen_parameters=sum(parameter.numel() for parameter in encoder.parameters()),
                trained_parameters=found.trained_parameters,
            ),
            provenance=provenance(device, asdict(cell)),
        )
        RecordStore(places.output).write(record, found.predictions)
        records.append(record)
    return records


def _features(
    resolved: Resolved, encoder: "Encoder", transform: inputs.InputTransform, places: Places
) -> "dict[str, SplitFeatures]":
    """Each split's features: embeddings for a probe, maps for a decoder, in the tier that the budgets allow."""
    from benchmark.feature_tiers import choose_tier, measure
    from benchmark.features import FeatureStore

    cell, splits = resolved.cell, resolved.data.splits
    tier: Tier = "embedding"
    if cell.is_trained:
        tier = choose_tier(
            measure(encoder, transform, splits["train"]),
            {name: len(split.samples) for name, split in splits.items()},
            int(cell.settings.disk_budget_gb * 1e9),
            int(cell.settings.memory_budget_gb * 1e9),
            cell.settings.feature_tier,
            dtype=cell.protocol.feature_dtype,
        )
    store = FeatureStore(places.features_dir)
    return {
        name: store.open(
            encoder,
            transform,
            split,
            identity=_feature_identity(resolved, name),
            dtype=cell.protocol.feature_dtype,
            batch_size=cell.settings.batch_size,
            tier=tier,
        )
        for name, split in splits.items()
    }


def _measure(
    resolved: Resolved, encoder: "Encoder", features: "dict[str, SplitFeatures]", device: str
) -> "dict[int, Measured]":
    """What each seed measured on test."""
    cell, data = resolved.cell, resolved.data
    if cell.is_trained:
        from benchmark.decoding import train_and_score

        options = resolved.runs[0].probe_options
        return train_and_score(
            cell.probe.name, cell.settings.fusion, options, encoder, data, cell.protocol, features, device
        )
    from benchmark.probing import fit_and_score

    embeddings = {name: one.embedding for name, one in features.items() if one.embedding is not None}
    return {0: fit_and_score(cell.probe.name, data, cell.protocol, embeddings)}


def pick_device(choice: str) -> str:
    """`auto` is the GPU where there is one.

    Raises:
        UserError: `cuda` where there is none.
    """
    import torch

    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this machine has no CUDA device that PyTorch can use; choose cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if choice == "auto" else choice


def _feature_identity(resolved: Resolved, split: str) -> dict[str, object]:
    run = resolved.runs[0]
    shared = (
        "encoder",
        "adapter",
        "encoder_version",
        "encoder_options",
        "weights",
        "inputs",
        "image_size",
        "precision",
        "dataset",
    )
    identity: dict[str, object] = {name: getattr(run, name) for name in shared}
    identity |= {"data": run.data[split], "dtype": resolved.cell.protocol.feature_dtype}
    # Train statistics enter the pixels of every split, so another train split means other features.
    return identity | ({"train": run.data["train"]} if resolved.plan.uses_statistics else {})


def _is_ranked(cell: Cell, plan: InputPlan) -> bool:
    """Whether the number may be compared: no drawn weights, no mostly invented bands, no label fraction."""
    whole = cell.settings.partition in ("default", "1.00x_train", "spatial")
    return cell.protocol.ranked and whole and not cell.card.weights.random and not plan.marked


def _flags(resolved: Resolved, card: dict[str, object], measured: "Measured") -> tuple[str, ...]:
    cell, plan = resolved.cell, resolved.plan
    flags = []
    if cell.card.weights.random:
        flags.append("random weights: a check of the machinery, not of a model")
    if cell.is_trained and cell.protocol.budget != "paper":
        flags.append(f"budget {cell.protocol.budget}: fewer seeds, learning rates or epochs than the full protocol")
    if plan.filled:
        flags.append("filled bands: " + ", ".join(f"{c.wanted.name} ({c.filled})" for c in plan.filled))
    if cell.dataset.name in cell.card.pretraining_overlap:
        flags.append("the encoder's pre-training data overlap with this dataset")
    if cell.dataset.leak and cell.settings.partition != "spatial":
        flags.append(cell.dataset.leak)
    flags += [*plan.notes, *card["flags"], *resolved.data.warnings, *measured.flags]  # type: ignore[misc]
    return tuple(dict.fromkeys(flags))
