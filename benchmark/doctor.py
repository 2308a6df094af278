"""What is installed, which weights and datasets are found, and the command that brings what is missing."""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import encoders
from benchmark import datasets
from benchmark.places import DATA_VARIABLE, HOME_VARIABLE, Places
from benchmark.provenance import versions
from encoders import checkpoints

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
    found = []
    for name in encoders.names():
        card = encoders.card(name)
        for size in (256, 512) if card.weights.files else ():
            missing = checkpoints.missing_files(card, places.weights_dir, size)
            if not missing:
                found.append(Finding("weights", "ok", f"{name} at {size} px in {places.weights_dir}"))
                continue
            remedy = checkpoints.how_to_get(card, places.weights_dir, size)
            text = f"{name} at {size} px: {len(missing)} files, first {missing[0]}; {remedy}"
            found.append(Finding("weights", "missing", text))
    return found


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
