"""From what was asked (cells) to Records. Reads top to bottom as the data flows.

    files -> ingest -> plan of inputs -> encoder -> features -> probe or decoders -> metrics -> records

Cells that differ in the fuser alone are evaluated together: one encoder, one stream of features, one bank.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from benchmark import progress
from benchmark.data import input_transform
from benchmark.data.ingest import OpenDataset
from benchmark.data.inputs import InputPlan
from benchmark.grid.cells import Cell, fed_side, rows_kept
from benchmark.grid.identity import Resolved, feature_identity
from benchmark.pictures import files
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.records import Cost, Record
from benchmark.training.tracking import tracking
from encoders.errors import UserError

if TYPE_CHECKING:
    from benchmark.features.store import SplitFeatures
    from benchmark.features.tiers import Shapes, Tier
    from benchmark.scoring.measured import Measured
    from encoders.base import Encoder


def evaluate(group: Sequence[Resolved], places: Places) -> list[UserError | None]:
    """Do the work of cells that share their features, and write the records of those that could be measured.

    Args:
        group: one cell, or several that differ in fuser and row alone (`Planner.groups`).

    Returns:
        Why a cell has no records, None where it has.

    Raises:
        UserError: what stops the whole group, in one sentence.
    """
    progress.tell(progress.Step("load"))  # first of all, the frameworks
    from benchmark.data.input_card import input_card
    from benchmark.features.tiers import measure
    from benchmark.pictures import examples
    from benchmark.provenance import peak_memory_bytes, reset_peak_memory
    from decoders.probe import check_train_labels

    first = group[0]
    cell, data = first.cell, first.data
    if cell.dataset.task == "classification":
        check_train_labels(data.splits["train"].labels, data.class_names, cell.dataset.multilabel)
    device = pick_device(cell.settings.device)
    reset_peak_memory(device)
    encoder, transform = frozen(cell, first.plan, data, device, places)
    card = input_card(first.plan, transform, data.splits["train"])
    examples.keep(data, places.output)

    shapes = measure(encoder, transform, data.splits["train"])
    features = _features(first, encoder, shapes, transform, places)
    progress.tell(progress.Step("train"))
    start = time.monotonic()
    measured = _measure(group, encoder, features, device, places)
    cost = Cost(
        encode_seconds=sum(one.seconds for one in features.values()),
        train_seconds=(time.monotonic() - start) / len(group),
        images=sum(rows_kept(cell, first.plan, _sizes(first)).values()),
        peak_memory_bytes=peak_memory_bytes(device),
        frozen_parameters=sum(parameter.numel() for parameter in encoder.parameters()),
        trained_parameters=0,
        flops_per_image=shapes.flops,
        feature_bytes_per_image=shapes.row_bytes(cell.reads, cell.protocol.feature_dtype),
        finest_grid=max(shapes.maps[0][2:]),
    )
    for resolved in group:
        found = measured[resolved.cell.fusion.name]
        if not isinstance(found, UserError):
            _write(resolved, found, card, cost, device, places)
    errors = [measured[resolved.cell.fusion.name] for resolved in group]
    return [error if isinstance(error, UserError) else None for error in errors]


def assist(resolved: Resolved, places: Places) -> None:
    """Encode images of a cell that another process evaluates at the same time; nothing that it is encoding itself.

    Raises:
        UserError: as `evaluate`.
    """
    from benchmark.features.tiers import measure

    device = pick_device(resolved.cell.settings.device)
    encoder, transform = frozen(resolved.cell, resolved.plan, resolved.data, device, places)
    shapes = measure(encoder, transform, resolved.data.splits["train"])
    _features(resolved, encoder, shapes, transform, places, assists=True)


def frozen(
    cell: Cell, plan: InputPlan, data: OpenDataset, device: str, places: Places
) -> "tuple[Encoder, input_transform.InputTransform]":
    """A cell's encoder, and what turns a dataset's images into its inputs.

    Raises:
        UserError: weights are missing or not those of the encoder.
    """
    from encoders import build
    from encoders.placing import placed

    encoder = build(
        cell.card,
        bands=[channel.wanted for channel in plan.channels],
        image_size=plan.side,
        weights_dir=places.weights_dir,
        precision=cell.settings.precision,
    )
    encoder = placed(encoder, device, cell.settings.compile)
    return encoder, input_transform.InputTransform(plan, data.statistics)


def _write(
    resolved: Resolved,
    measured: "Mapping[int, Measured]",
    card: dict[str, object],
    cost: Cost,
    device: str,
    places: Places,
) -> None:
    from benchmark.provenance import provenance

    cell, store = resolved.cell, RecordStore(places.output)
    for run in resolved.runs:
        found = measured[run.seed]
        record = Record(
            key=run.key,
            run=run,
            title=cell.card.title,
            rows={cell.row: cell.row_title},
            role=cell.card.role,
            licence=cell.card.licence,
            pretraining_overlap=cell.card.pretraining_overlap,
            task=cell.dataset.task,
            ranked=_is_ranked(cell, resolved.plan),
            flags=_flags(resolved, card, found),
            score=found.score,
            input_card=card,
            predictions_sha256=hashlib.sha256(found.predictions).hexdigest(),
            cost=replace(cost, trained_parameters=found.fitted.trained_parameters),
            provenance=provenance(device, asdict(cell)),
            variant=cell.variant,
            experiments=cell.experiments,
        )
        if store.has(run.key):
            known = store.read(run.key)
            record = record.also(known.rows, known.variant, known.experiments)
        if found.pictures:
            files.write(files.fuser_path(places.output, run.key), found.pictures)
        store.write(record, found.predictions)
        with tracking(places.tracker, places.output) as tracker:
            tracker.score(record)


def _features(
    resolved: Resolved,
    encoder: "Encoder",
    shapes: "Shapes",
    transform: input_transform.InputTransform,
    places: Places,
    assists: bool = False,
) -> "dict[str, SplitFeatures]":
    """Each split's features: embeddings for a probe, means or maps for a decoder, these in the tier budgets allow."""
    from benchmark.features.readings import readings
    from benchmark.features.store import FeatureStore
    from benchmark.features.tiers import choose_tier

    cell, plan, splits = resolved.cell, resolved.plan, resolved.data.splits
    read = readings(cell, plan, len(splits["train"].samples))
    # Flipped copies are for training alone.
    variants = {name: cell.protocol.variants if name == "train" else 1 for name in splits}
    tier: Tier = cell.reads
    if tier == "maps":
        tier = choose_tier(
            shapes,
            rows_kept(cell, plan, _sizes(resolved)),
            int(cell.settings.disk_budget_gb * 1e9),
            int(cell.settings.memory_budget_gb * 1e9),
            cell.settings.feature_tier,
            dtype=cell.protocol.feature_dtype,
        )
    store = FeatureStore(places.features_dir, assists)
    return {
        name: store.open(
            encoder,
            transform,
            split,
            identity=feature_identity(resolved.runs[0], plan, cell.protocol.feature_dtype, name),
            dtype=cell.protocol.feature_dtype,
            batch_size=cell.settings.batch_size,
            tier="none" if read[name].fresh else tier,
            variants=variants[name],
            reading=read[name],
        )
        for name, split in splits.items()
    }


def _sizes(resolved: Resolved) -> dict[str, int]:
    return {name: len(split.samples) for name, split in resolved.data.splits.items()}


def _measure(
    group: Sequence[Resolved], encoder: "Encoder", features: "dict[str, SplitFeatures]", device: str, places: Places
) -> "dict[str, dict[int, Measured] | UserError]":
    """What each seed of each fuser measured on test, or why nothing could be."""
    cell, data = group[0].cell, group[0].data
    if cell.is_trained:
        from benchmark.training.decoding import train_and_score

        fusers = {resolved.cell.fusion.name: resolved.runs[0].fuser for resolved in group}
        memory = int(cell.settings.memory_budget_gb * 1e9)
        runs = {(run.fusion, run.seed): run for resolved in group for run in resolved.runs}
        with tracking(places.tracker, places.output) as tracker:
            return train_and_score(
                cell.probe.name, fusers, encoder, data, cell.rules, features, device, memory,
                report=lambda epoch: tracker.epoch(runs[epoch.member.name, epoch.member.seed], epoch),
            )  # fmt: skip
    from benchmark.training.probing import fit_and_score

    fuser = group[0].runs[0].fuser
    return {cell.fusion.name: {0: fit_and_score(cell.probe.name, fuser, data, cell.rules, features)}}


def pick_device(choice: str) -> str:
    """The device, from here on with float32 products and convolutions that are float32; `auto` is the GPU if any.

    Raises:
        UserError: `cuda` where there is none.
    """
    import torch

    from encoders.placing import exact_float32

    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this machine has no CUDA device that PyTorch can use; choose cpu or auto")
    exact_float32()
    return ("cuda" if torch.cuda.is_available() else "cpu") if choice == "auto" else choice


def _is_ranked(cell: Cell, plan: InputPlan) -> bool:
    """Whether the number may be compared: no drawn weights, no mostly invented bands, no label fraction, and fed as the
    protocol says."""
    whole = cell.settings.partition in ("default", "1.00x_train", "spatial")
    few_filled = len(plan.filled) <= cell.protocol.missing_bands_ranked
    fed_so = not _departures(cell, plan)
    return cell.protocol.ranked and whole and not cell.card.weights.random and few_filled and fed_so


def _departures(cell: Cell, plan: InputPlan) -> list[str]:
    """Where a setting of the user's feeds an encoder otherwise than the protocol says, a sentence each."""
    from encoders import built_in, card, inputs_of

    found = []
    rules = cell.protocol.missing_bands
    if plan.filled and cell.settings.missing_bands != rules:
        found.append(f"bands are not filled by the protocol's rules ({', then '.join(rules)})")
    if cell.card.name in built_in():
        side = fed_side(inputs_of(cell.protocol.card(card(cell.card.name))), cell.dataset, cell.rules)
        if plan.side != side:
            found.append(f"fed images of {plan.side} pixels, where the protocol says {side}")
    return found


def _flags(resolved: Resolved, card: dict[str, object], measured: "Measured") -> tuple[str, ...]:
    cell, plan = resolved.cell, resolved.plan
    flags = []
    if cell.card.weights.random:
        flags.append("random weights: a check of the machinery, not of a model")
    if cell.is_trained and cell.protocol.budget != "paper":
        flags.append(f"budget {cell.protocol.budget}: fewer seeds, learning rates or epochs than the full protocol")
    if plan.filled:
        flags.append("filled bands: " + ", ".join(f"{c.wanted.name} ({c.filled})" for c in plan.filled))
    flags += _departures(cell, plan)
    if cell.dataset.name in cell.card.pretraining_overlap:
        flags.append("the encoder's pre-training data overlap with this dataset")
    if cell.dataset.leak and cell.settings.partition != "spatial":
        flags.append(cell.dataset.leak)
    flags += [*plan.notes, *card["flags"], *resolved.data.warnings, *measured.fitted.flags]  # type: ignore[misc]
    return tuple(dict.fromkeys(flags))
