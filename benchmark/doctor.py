"""What is installed, which weights and datasets are found, and the command that brings what is missing."""

import shutil
from collections import defaultdict
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import encoders
from benchmark import datasets
from benchmark.places import DATA_VARIABLE, HOME_VARIABLE, Places
from benchmark.provenance import versions
from encoders import checkpoints
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


def examine(places: Places) -> list[Finding]:
    """Look at packages, device, folders, weights and datasets; changes nothing, fetches nothing."""
    return [*_packages(), _device(), *_folders(places), *_weights(places), *_datasets(places)]


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
    lacking: dict[str, list[EncoderCard]] = defaultdict(list)
    for card in map(encoders.card, encoders.names()):
        # One size says it all, unless each has files of its own.
        by_size = any("{size}" in path for path in card.weights.files)
        for size in (256, 512) if by_size else (256,) if card.weights.files else ():
            folder = card.weights.files[0].partition("/")[0]
            if not checkpoints.missing_files(card, places.weights_dir, size):
                here[folder].append(f"{card.name} at {size} px" if by_size else card.name)
            elif card not in lacking[folder]:
                lacking[folder].append(card)
    return [
        *(
            Finding("weights", "ok", f"{places.weights_dir / folder}: {', '.join(names)}")
            for folder, names in here.items()
        ),
        *(
            Finding("weights", "missing", f"{places.weights_dir / folder}: {_remedy(cards)}")
            for folder, cards in lacking.items()
            if cards
        ),
    ]


def _remedy(cards: list[EncoderCard]) -> str:
    """What brings the weights of encoders: a command for those with an address, a place for the others."""
    fetched = [card.name for card in cards if card.weights.urls or card.weights.archives]
    by_hand = [f"{card.name} from {card.weights.source}" for card in cards if card.name not in fetched]
    command = [f"`evaluate.py fetch encoder {','.join(fetched)}`"] if fetched else []
    return "; ".join([*command, *by_hand])


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
