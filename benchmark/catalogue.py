"""What there is: the lists of `evaluate.py list`, read from the configs alone, so nothing heavy is imported."""

from collections.abc import Callable

import yaml

import configs
import encoders
from benchmark import configuration, datasets, inputs
from benchmark.rows import fusion_names
from encoders.errors import UserError
from encoders.spec import EncoderCard

Rows = tuple[list[str], list[list[str]]]


def list_encoders(dataset: str | None = None) -> Rows:
    """Name, title, role, weights and, for a dataset, what it would be fed."""
    header = ["encoder", "title", "role", "weights", "licence"]
    header += [f"rgb track on {dataset}", "authors' track"] if dataset else []
    described = datasets.dataset(dataset) if dataset else None
    rows = []
    for name in encoders.names():
        card = encoders.card(name)
        weights = "random, never ranked" if card.weights.random else "released files" if card.weights.files else "none"
        row = [name, card.title, card.role, weights, card.licence]
        if described:
            row += [_fed(card, described, "rgb"), _fed(card, described, "authors")]
        rows.append(row)
    return header, rows


def list_datasets(_: str | None = None) -> Rows:
    """Name, task, classes, size, bands and sizes of the splits; `?` is unknown."""
    rows = []
    for name in datasets.names():
        one = datasets.dataset(name)
        sizes = "/".join(str(one.splits.get(split) or "?") for split in ("train", "valid", "test"))
        task = "multi-label" if one.multilabel else one.task
        side = "x".join(map(str, one.image_size))
        rows.append([name, task, str(one.num_classes), side, str(len(one.main_bands)), sizes, one.metric, one.licence])
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


LISTS: dict[str, Callable[[str | None], Rows]] = {
    "encoders": list_encoders,
    "fusions": list_fusions,
    "datasets": list_datasets,
    "probes": list_probes,
    "protocols": list_protocols,
}


def _fed(card: EncoderCard, dataset: datasets.Dataset, track: inputs.Track) -> str:
    try:
        return inputs.plan(dataset, encoders.inputs_of(card), track=track).summary() + " bands"
    except UserError as error:
        return str(error)
