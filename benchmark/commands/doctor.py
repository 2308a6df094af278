"""What is installed, which weights and datasets are found, and the command that brings what is missing."""

import re
import shutil
from collections import defaultdict
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import encoders
from benchmark.data import datasets, ingest
from benchmark.data.readers import SPLITS
from benchmark.places import DATA_VARIABLE, Places
from benchmark.provenance import versions
from benchmark.request import code
from encoders import checkpoints
from encoders.errors import UserError
from encoders.home import HOME_VARIABLE
from encoders.spec import EncoderCard

State = Literal["ok", "missing", "note"]
REMEDY = (
    "`evaluate.py fetch dataset NAME --data-root FOLDER` brings it (`all`: 57 GB unpacked), as does "
    f"`{DATA_VARIABLE}=FOLDER uv run geobench-download` (Python 3.12)"
)


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it stands, and the remedy where it is missing."""

    area: str
    state: State
    text: str


def examine(places: Places, own: str | None = None, allow_code: bool = False) -> list[Finding]:
    """Look at packages, device, folders, weights and datasets; changes nothing, fetches nothing.

    Args:
        own: YAML files of datasets of the user's own, separated by commas.
        allow_code: whether code may run that these name (`benchmark.request.code`).
    """
    found = [*_packages(), _device(), *_folders(places), *_weights(places), *_datasets(places)]
    return found + [_own(name.strip(), places, allow_code) for name in (own or "").split(",") if name.strip()]


def _packages() -> list[Finding]:
    found = [Finding("package", "ok", f"{name} {version}") for name, version in versions().items()]
    if find_spec("geobench") is None:
        text = "geobench needs Python 3.12; the project's own reader is used on every Python"
        found.append(Finding("package", "note", text))
    return found


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, {memory:.0f} GB")
    return Finding("device", "note", "no CUDA device; everything runs on the CPU (slowly for SatDiFuser)")


def _folders(places: Places) -> list[Finding]:
    found = []
    for name, folder in (("ingested data", places.ingest_dir), ("features", places.features_dir)):
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(existing).free / 1e9
        found.append(Finding("folder", "ok", f"{name}: {folder} ({free:.0f} GB free; ${HOME_VARIABLE} moves it)"))
    return found


def _weights(places: Places) -> list[Finding]:
    """For each folder of released weights, a line for the encoders that are there and one for those that are not."""
    here: dict[str, list[str]] = defaultdict(list)
    lacking: dict[str, dict[str, EncoderCard]] = defaultdict(dict)
    for card in map(encoders.card, encoders.names()):
        # One size says it all, unless each has files of its own.
        by_size = any("{size}" in path for path in card.weights.files)
        for size in (256, 512) if by_size else (256,) if card.weights.files else ():
            told = f"{card.name} at {size} px" if by_size else card.name
            folder = str(places.weights_dir / card.weights.files[0].partition("/")[0])
            if checkpoints.missing_files(card, places.weights_dir, size):
                lacking[folder][told] = card
            else:
                here[folder].append(told)
    found = [Finding("weights", "ok", f"{folder}: {', '.join(names)}") for folder, names in here.items()]
    return found + [Finding("weights", "missing", f"{folder}: {_remedy(cards)}") for folder, cards in lacking.items()]


def _remedy(cards: dict[str, EncoderCard]) -> str:
    """Whose weights are lacking, the command that brings those with an address, and where all are published."""
    fetched = dict.fromkeys(card.name for card in cards.values() if card.weights.urls or card.weights.archives)
    command = f"`evaluate.py fetch encoder {','.join(fetched)}`, or by hand " if fetched else ""
    # Which file is whose stands in brackets, and in each card.
    sources = dict.fromkeys(card.weights.source for card in cards.values())
    if len(sources) > 1:
        sources = dict.fromkeys(re.sub(r" \([^()]*\)", "", source) for source in sources)
    return f"{', '.join(cards)}: {command}from {'; '.join(sources)}"


def _own(name: str, places: Places, allow_code: bool) -> Finding:
    """Whether a dataset's files are what its YAML file says, as far as their names and one image tell."""
    try:
        dataset = datasets.dataset(name)
        code.check([], [dataset], allow_code)
        sizes = ingest.look(dataset, places.data_root, places.ingest_dir)
    except UserError as error:
        return Finding("dataset", "missing", str(error))
    told = "/".join(str(sizes[split]) for split in SPLITS)
    return Finding("dataset", "ok", f"{dataset.name}: train/valid/test {told} images; the first one was read")


def _datasets(places: Places) -> list[Finding]:
    if places.data_root is None:
        text = f"no GEO-Bench root: set ${DATA_VARIABLE} or give --data-root; {REMEDY}"
        return [Finding("dataset", "missing", text)]
    found = []
    for name in datasets.select("all"):
        folder = places.data_root / datasets.dataset(name).folder
        here = (folder / "default_partition.json").is_file()
        remedy = "" if here else f"; `evaluate.py fetch dataset {name} --data-root {places.data_root}` brings it"
        found.append(Finding("dataset", "ok" if here else "missing", f"{name}: {folder}{remedy}"))
    return found
