"""One run: from what was asked (a cell) to a Record. Reads top to bottom as the data flows.

    files -> ingest -> plan of inputs -> encoder -> features -> probe -> metrics -> record

`resolve` gives a cell its Run, hence its key, without importing a deep-learning framework; a cell whose record
exists is skipped at that point. `evaluate` does the work.
"""

import hashlib
import io
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark import ingest, inputs
from benchmark.configuration import Probe, Request, Settings
from benchmark.datasets import Dataset
from benchmark.inputs import ImpossibleError, InputPlan
from benchmark.places import Places
from benchmark.protocol import Protocol
from benchmark.records import Cost, Record, RecordStore, Run, Score
from encoders import checkpoints, input_spec
from encoders.errors import UserError
from encoders.spec import EncoderCard

if TYPE_CHECKING:
    import decoders.probe
    from benchmark.features import Extracted
    from decoders.probe import FittedProbe


@dataclass(frozen=True)
class Cell:
    """One encoder on one dataset with one probe; None where the task has no probe yet."""

    card: EncoderCard
    dataset: Dataset
    probe: Probe | None
    protocol: Protocol
    settings: Settings

    @property
    def title(self) -> str:
        """The cell in a few words."""
        return " / ".join([self.card.name, self.dataset.name, *([self.probe.name] if self.probe else [])])


@dataclass(frozen=True)
class Resolved:
    """A cell with its data opened and its identity known."""

    cell: Cell
    run: Run
    plan: InputPlan
    data: ingest.OpenDataset


def cells(request: Request) -> list[Cell]:
    """The cells of a grid, dataset by dataset.

    Raises:
        UserError: the probe doesn't fit one of the datasets.
    """
    return [
        Cell(card, dataset, request.probe_for(dataset), request.protocol, request.settings)
        for dataset in request.datasets
        for card in request.encoders
    ]


def plan_inputs(cell: Cell) -> InputPlan:
    """What the cell's encoder is fed; raises as `inputs.plan`."""
    settings = cell.settings
    return inputs.plan(
        cell.dataset,
        input_spec(cell.card.inputs),
        track=settings.bands,
        band_names=settings.band_names,
        missing_bands=settings.missing_bands,
    )


def require_probe(cell: Cell) -> Probe:
    """The cell's probe.

    Raises:
        ImpossibleError: the task has none.
    """
    if cell.probe is None:
        raise ImpossibleError(f"{cell.dataset.task} has no probe yet; choose a classification dataset")
    return cell.probe


def resolve(cell: Cell, places: Places) -> Resolved:
    """Open the data (ingesting it on first use) and fix the run's identity.

    Raises:
        UserError: data or weights are missing or damaged; `ImpossibleError` where nothing can be fed.
    """
    probe = require_probe(cell)
    plan = plan_inputs(cell)
    weights = checkpoints.weights_sha256(cell.card, places.weights_dir, plan.side)
    data = ingest.open_dataset(cell.dataset, places.data_root, places.ingest_dir, cell.settings.partition)
    run = Run(
        encoder=cell.card.name,
        encoder_version=cell.card.version,
        encoder_options=cell.card.options,
        weights=weights,
        inputs=plan.describe(),
        image_size=plan.side,
        precision=cell.settings.precision,
        dataset=cell.dataset.name,
        data={name: split.fingerprint for name, split in data.splits.items()},
        partition=cell.settings.partition,
        bands=cell.settings.bands,
        band_names=cell.settings.band_names,
        missing_bands=cell.settings.missing_bands,
        fusion=cell.settings.fusion,
        probe=probe.name,
        probe_version=probe.version,
        probe_options={},
        protocol=cell.protocol.name,
        protocol_hash=cell.protocol.hash,
        # Logistic regression and kNN have no seed: theirs is the bootstrap's, which the protocol holds.
        seed=0,
    )
    return Resolved(cell, run, plan, data)


def evaluate(resolved: Resolved, places: Places) -> Record:
    """Do the work of a run and write its record.

    Raises:
        UserError: whatever the user can mend, in one sentence.
    """
    from benchmark.features import FeatureStore
    from benchmark.input_card import input_card
    from benchmark.provenance import peak_memory_bytes, provenance
    from encoders import build

    cell, run, plan, data = resolved.cell, resolved.run, resolved.plan, resolved.data
    device = pick_device(cell.settings.device)
    encoder = build(
        cell.card,
        channels=len(plan.channels),
        image_size=plan.side,
        weights_dir=places.weights_dir,
        precision=cell.settings.precision,
    ).to(device)
    transform = inputs.InputTransform(plan, data.statistics)
    card = input_card(plan, transform, data.splits["train"])

    store = FeatureStore(places.features_dir)
    extracted = {
        name: store.embeddings(
            encoder,
            transform,
            split,
            identity=_feature_identity(resolved, name),
            dtype=cell.protocol.feature_dtype,
            batch_size=cell.settings.batch_size,
        )
        for name, split in data.splits.items()
    }
    start = time.monotonic()
    score, predictions, probe = fit_and_score(cell, data, extracted)
    train_seconds = time.monotonic() - start

    encode_seconds = sum(one.seconds for one in extracted.values())
    images = sum(len(split.samples) for split in data.splits.values())
    record = Record(
        key=run.key,
        run=run,
        title=cell.card.title,
        role=cell.card.role,
        task=cell.dataset.task,
        ranked=cell.protocol.ranked and not cell.card.weights.random and not plan.marked,
        flags=_flags(resolved, card, probe),
        score=score,
        input_card=card,
        predictions_sha256=hashlib.sha256(predictions).hexdigest(),
        cost=Cost(
            encode_seconds=encode_seconds,
            train_seconds=train_seconds,
            images_per_second=images / max(encode_seconds, 1e-9),
            peak_memory_bytes=peak_memory_bytes(device),
            frozen_parameters=sum(parameter.numel() for parameter in encoder.parameters()),
            trained_parameters=probe.trained_parameters,
        ),
        provenance=provenance(device, asdict(cell)),
    )
    RecordStore(places.output).write(record, predictions)
    return record


def fit_and_score(
    cell: Cell, data: ingest.OpenDataset, extracted: dict[str, "Extracted"]
) -> tuple[Score, bytes, "FittedProbe"]:
    """Fit the probe on train, choose on validation, score test once; refits on bootstraps give the interval."""
    from benchmark import metrics, statistics

    protocol, dataset = cell.protocol, cell.dataset
    x = {name: np.asarray(one.embedding, dtype=np.float32) for name, one in extracted.items()}
    y = {name: split.labels for name, split in data.splits.items()}
    test = data.splits["test"]

    def headline(scores: np.ndarray, labels: np.ndarray) -> float:
        return metrics.classification_metrics(scores, labels, dataset.multilabel)[dataset.metric]

    rng = np.random.default_rng(protocol.bootstrap_seed)
    probe = _make_probe(cell, data.class_names)
    fitted = probe.fit(x["train"], y["train"], x["valid"], y["valid"], headline)
    # kNN's answer on a bootstrap is its answer on fewer images: its interval is over test groups alone.
    refits = protocol.train_bootstraps if cell.probe and cell.probe.name == "linear" else 0
    resampled = [rng.integers(0, len(x["train"]), len(x["train"])) for _ in range(refits)]
    replicates = [probe.fit_replicate(x["train"], y["train"], rows, fitted.chosen) for rows in resampled]
    scores = fitted.predict_scores(x["test"])
    counts = np.stack(
        [
            metrics.group_counts(dataset.metric, one, y["test"], test.groups)
            for one in (scores, *(replicate(x["test"]) for replicate in replicates))
        ]
    )
    interval = statistics.bootstrap_interval(
        counts, dataset.metric, rng, samples=protocol.test_bootstraps, level=protocol.interval_level
    )
    score = Score(
        headline=dataset.metric,
        metrics=metrics.classification_metrics(scores, y["test"], dataset.multilabel),
        validation=fitted.validation,
        chosen=fitted.chosen,
        interval=interval,
        group_counts=counts.tolist(),
        n_groups=len(np.unique(test.groups)),
        n_train=len(x["train"]),
        n_test=len(x["test"]),
    )
    return (
        score,
        _npz(scores=scores, labels=y["test"], groups=test.groups, samples=np.array(test.samples)),
        fitted,
    )


def _make_probe(cell: Cell, class_names: tuple[str, ...]) -> "decoders.probe.Probe":
    from decoders.knn import KNNProbe
    from decoders.linear import LinearProbe

    multilabel, protocol = cell.dataset.multilabel, cell.protocol
    if require_probe(cell).name == "linear":
        return LinearProbe(class_names, multilabel, protocol.linear_c.numbers())
    return KNNProbe(class_names, multilabel, protocol.knn_k)


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
    run = resolved.run
    shared = (
        "encoder",
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


def _flags(resolved: Resolved, card: dict[str, object], probe: "FittedProbe") -> tuple[str, ...]:
    cell, plan = resolved.cell, resolved.plan
    flags = []
    if cell.card.weights.random:
        flags.append("random weights: a check of the machinery, not of a model")
    if plan.filled:
        flags.append("filled bands: " + ", ".join(f"{c.wanted.name} ({c.filled})" for c in plan.filled))
    if cell.dataset.name in cell.card.pretraining_overlap:
        flags.append("the encoder's pre-training data overlap with this dataset")
    if cell.dataset.leak:
        flags.append(cell.dataset.leak)
    flags += [*plan.notes, *card["flags"], *resolved.data.warnings, *probe.flags]  # type: ignore[misc]
    return tuple(dict.fromkeys(flags))


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
