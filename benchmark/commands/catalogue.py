"""What there is: the lists of `evaluate.py list`, read from the configs alone, so nothing heavy is imported."""

from collections.abc import Callable

import yaml

import configs
import encoders
from benchmark.data import datasets, families, matrix
from benchmark.data.dataset import Dataset
from benchmark.request import configuration, experiments
from benchmark.request.rows import fusion_names

Rows = tuple[list[str], list[list[str]]]


def list_encoders(dataset: str | None = None) -> Rows:
    """Name, title, role, weights and licence; for a dataset, what encoders are fed, those fed alike in one line."""
    if dataset:
        return _fed_on(datasets.dataset(dataset))
    rows = []
    for name in encoders.names():
        card = encoders.card(name)
        weights = "random, never ranked" if card.weights.random else "released files" if card.weights.files else "none"
        rows.append([name, card.title, card.role, weights, card.licence])
    return ["encoder", "title", "role", "weights", "licence"], rows


def list_families(_: str | None = None) -> Rows:
    """Name, datasets and track of each choice, the encoders that stand for the family and its `:tiny`, and why."""
    rows = [
        [name, ", ".join(choice.where), choice.bands or "both", choice.encoder, choice.tiny, choice.reason]
        for name, family in families.full().items()
        for choice in family.choices
    ]
    return ["family", "on the first of", "track", "encoder", f"in NAME{families.TINY}", "why"], rows


def list_datasets(dataset: str | None = None) -> Rows:
    """Name, task, classes, size, bands and sizes of the splits; `?` is unknown. Of one dataset alone if it is named."""
    rows = []
    for name in datasets.names() if dataset is None else datasets.select(dataset):
        one = datasets.dataset(name)
        sizes = "/".join(str(one.splits.get(split) or "?") for split in ("train", "valid", "test"))
        task = "multi-label" if one.multilabel else one.task
        side = "x".join(map(str, one.image_size))
        rows.append(
            [one.name, task, str(one.num_classes), side, str(len(one.main_bands)), sizes, one.metric, one.licence]
        )
    return ["dataset", "task", "classes", "pixels", "bands", "train/valid/test", "metric", "licence"], rows


def list_probes(_: str | None = None) -> Rows:
    """Name, tasks and what it is."""
    probes = [configuration.load_probe(name) for name in configuration.choices("probe")]
    return ["probe", "tasks", "what"], [[probe.name, ", ".join(probe.tasks), probe.title] for probe in probes]


def list_protocols(_: str | None = None) -> Rows:
    """Name and what it fixes."""
    folder = configs.ROOT / "protocol"
    read = [yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in configuration.choices("protocol")]
    return ["protocol", "what"], [[protocol["name"], protocol["title"]] for protocol in read]


def list_fusions(_: str | None = None) -> Rows:
    """Name, what it is and where it is from."""
    folder = configs.ROOT / "fusion"
    read = [yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in fusion_names()]
    return ["fusion", "what", "source"], [[fusion["name"], fusion["title"], fusion["source"]] for fusion in read]


def list_experiments(_: str | None = None) -> Rows:
    """Name, question, and hours on one H200 as counted."""
    read = {name: experiments.load(name) for name in experiments.names()}
    rows = [
        [name, one.question, "?" if one.h200_hours is None else f"{one.h200_hours:g}"] for name, one in read.items()
    ]
    return ["experiment", "question", "H200 hours, counted"], rows


LISTS: dict[str, Callable[[str | None], Rows]] = {
    "encoders": list_encoders,
    "families": list_families,
    "fusions": list_fusions,
    "datasets": list_datasets,
    "probes": list_probes,
    "protocols": list_protocols,
    "experiments": list_experiments,
}


def _fed_on(dataset: Dataset) -> Rows:
    rows = []
    for profile in matrix.profiles():
        fed = [profile.fed(dataset, track) for track in matrix.TRACKS]
        told = [one if isinstance(one, str) else matrix.count(one, named=not one.marked) for one in fed]
        rows.append([profile.spec.title, ", ".join(profile.encoders), *dict.fromkeys(told)])
    header = ["inputs", "encoders", f"bands on {dataset.name} (* value rule ours): track rgb", "authors, where another"]
    return header, rows
