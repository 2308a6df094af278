"""The identity of a cell's runs and of the features they read: what their keys hash."""

from dataclasses import dataclass, replace

from benchmark.data import ingest
from benchmark.data.dataset import OWN
from benchmark.data.inputs import InputPlan
from benchmark.grid.cells import Cell, plan_inputs
from benchmark.places import Places
from benchmark.records import Run
from benchmark.request.rows import fuser_options
from encoders import checkpoints, sources


@dataclass(frozen=True)
class Resolved:
    """A cell with its data opened and the identity of its runs known, one a seed."""

    cell: Cell
    runs: tuple[Run, ...]
    plan: InputPlan
    data: ingest.OpenDataset


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
        weights=weights | sources(cell.card),
        inputs=plan.describe(),
        image_size=plan.side,
        precision=cell.settings.arithmetic,
        dataset=cell.dataset.name,
        data=data,
        dataset_facts={name: getattr(cell.dataset, name) for name in ("metric", "multilabel", "num_classes", "no_data")}
        | {"groups": [cell.dataset.groups.by, cell.dataset.groups.pattern]}
        | ({"benchmark": OWN} if cell.dataset.file else {}),
        partition=cell.settings.partition,
        bands=cell.settings.bands,
        band_names=cell.settings.band_names,
        missing_bands=cell.settings.missing_bands,
        fusion=cell.fusion.name,
        fuser=fuser_options(cell.fusion, cell.dataset.task, cell.protocol),
        probe=cell.probe.name,
        probe_version=cell.probe.version,
        protocol=cell.protocol.name,
        protocol_hash=cell.protocol.hash,
        seed=0,
    )
    return tuple(replace(first, seed=seed) for seed in cell.seeds)


def feature_identity(run: Run, plan: InputPlan, dtype: str, split: str) -> dict[str, object]:
    """Everything that determines the features of a split but storage tier and variants.

    Args:
        run: of any fuser, probe and seed.
        dtype: what features are rounded to.
    """
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
    identity |= {"data": run.data[split], "dtype": dtype}
    # Train statistics enter the pixels of every split, so another train split means other features.
    return identity | ({"train": run.data["train"]} if plan.uses_statistics else {})
