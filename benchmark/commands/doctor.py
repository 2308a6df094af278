"""What is installed, which weights and datasets are found, and the command that brings what is missing."""

import difflib
import os
import re
import shutil
import socket
import warnings
from collections import defaultdict
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import encoders
from benchmark.data import datasets, geobench, ingest, roots
from benchmark.data.readers import SPLITS
from benchmark.fetching.download import part_of, show_bytes
from benchmark.places import DATA_VARIABLE, Places
from benchmark.provenance import versions
from benchmark.request import code
from encoders import checkpoints
from encoders.errors import UserError
from encoders.home import HOME_VARIABLE
from encoders.spec import EncoderCard

LITTLE_GB = 2.0
"""Free on a disk: with less, features of one encoder on one dataset may not fit."""
HTTPS, SECONDS = 443, 3.0
"""Port of a server, and how long it is waited for."""
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
    """Look at packages, device, folders, weights, datasets, and where anything is missing at the internet.

    Changes nothing, fetches nothing.

    Args:
        own: YAML files of datasets of the user's own, separated by commas.
        allow_code: whether code may run that these name (`benchmark.request.code`).
    """
    brought = [*_weights(places), *_datasets(places)]
    found = [*_packages(), _device(), *_variables(), *_folders(places), *brought]
    found += [_internet()] if any(one.state == "missing" for one in brought) else []
    return found + [_own(name.strip(), places, allow_code) for name in (own or "").split(",") if name.strip()]


def _packages() -> list[Finding]:
    found = [Finding("package", "ok", f"{name} {version}") for name, version in versions().items()]
    if find_spec("geobench") is None:
        text = "geobench needs Python 3.12; the project's own reader is used on every Python"
        found.append(Finding("package", "note", text))
    return found


def _device() -> Finding:
    import torch

    # A driver that is too old is told of in a warning, and passes for no GPU.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    said = [" ".join(str(one.message).split()) for one in told if "driver" in str(one.message).lower()]
    if not available and said:
        remedy = f"update it, or run with --device cpu ({said[0][:160]})"
        text = f"the GPU's driver is too old for PyTorch {torch.__version__}; {remedy}"
        return Finding("device", "missing", text)
    if available:
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, {memory:.0f} GB")
    return Finding("device", "note", "no CUDA device; everything runs on the CPU (slowly for SatDiFuser)")


def _folders(places: Places) -> list[Finding]:
    found = []
    for name, folder in (("ingested data", places.ingest_dir), ("features", places.features_dir)):
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(existing).free / 1e9
        where, elsewhere = f"{name}: {folder}", f"set ${HOME_VARIABLE}=FOLDER"
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            text = f"{where} cannot be written, for {existing} is in the way; change its rights, or {elsewhere}"
            found.append(Finding("folder", "missing", text))
        elif free < LITTLE_GB:
            text = f"{where}: {free:.1f} GB are free; make room (`evaluate.py cache list`), or {elsewhere}"
            found.append(Finding("folder", "missing", text))
        else:
            found.append(Finding("folder", "ok", f"{where} ({free:.0f} GB free; ${HOME_VARIABLE} moves it)"))
    return found


def _variables() -> list[Finding]:
    """Environment variables that are set and nobody reads, being nearly called as ours."""
    known = (DATA_VARIABLE, HOME_VARIABLE)
    found = []
    for name in sorted(os.environ):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if near and name not in known and not os.environ.get(near[0]):
            text = f'${name} is set and not read; did you mean {near[0]}? `export {near[0]}="${name}"`'
            found.append(Finding("variable", "missing", text))
    return found


def _weights(places: Places) -> list[Finding]:
    """For each folder of released weights, a line for the encoders that are there and one for those that are not."""
    here: dict[str, list[str]] = defaultdict(list)
    lacking: dict[str, dict[str, EncoderCard]] = defaultdict(dict)
    elsewhere: dict[Path, None] = {}
    for card in map(encoders.card, encoders.names()):
        # One size says it all, unless each has files of its own.
        by_size = any("{size}" in path for path in card.weights.files)
        for size in (256, 512) if by_size else (256,) if card.weights.files else ():
            told = f"{card.name} at {size} px" if by_size else card.name
            folder = str(places.weights_dir / card.weights.files[0].partition("/")[0])
            if checkpoints.missing_files(card, places.weights_dir, size):
                lacking[folder][told] = card
                elsewhere |= _at_another_level(card, places.weights_dir, size)
            else:
                here[folder].append(told)
    found = [Finding("weights", "ok", f"{folder}: {', '.join(names)}") for folder, names in here.items()]
    for right in elsewhere:
        text = f"{places.weights_dir} holds no weights on its level, {right} does: give --weights={right}"
        found.append(Finding("weights", "missing", text))
    return found + [Finding("weights", "missing", f"{folder}: {_remedy(cards)}") for folder, cards in lacking.items()]


def _at_another_level(card: EncoderCard, folder: Path, size: int) -> dict[Path, None]:
    """The folder above or below that would be right for `--weights`, where one is."""
    near = [folder.parent, folder.parent.parent, *(path for path in sorted(folder.glob("*")) if path.is_dir())]
    return dict.fromkeys(path for path in near if not checkpoints.missing_files(card, path, size))


def _internet() -> Finding:
    """Whether the server of all datasets and most weights, or the proxy before it, answers; nothing is asked of it."""
    address = urlsplit(datasets.dataset("m-eurosat").archive.url)  # type: ignore[union-attr]
    host = str(address.hostname)
    proxy = None if proxy_bypass(host) else getproxies().get("https")
    at = urlsplit(proxy if not proxy or "//" in proxy else f"//{proxy}") if proxy else address
    told = f"{host} (through {at.hostname})" if proxy else host
    try:
        socket.create_connection((str(at.hostname), at.port or HTTPS), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        text = (
            f"{told} cannot be reached ({why}); everything but `evaluate.py fetch` works without: fetch on another "
            f"machine, and copy ${HOME_VARIABLE} and the data root here"
        )
        return Finding("internet", "note", text)
    return Finding("internet", "ok", f"{told} answers; only `evaluate.py fetch` asks it for anything")


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
    root = places.data_root
    if not root.is_dir():
        text = f"there is no folder {root}; correct ${DATA_VARIABLE} or --data-root; {REMEDY}"
        return [Finding("dataset", "missing", text)]
    if meant := roots.nearby(root):
        text = f"{root} is no GEO-Bench root, {meant} is: give --data-root={meant}, or set {DATA_VARIABLE}={meant}"
        return [Finding("dataset", "missing", text)]
    found = [_dataset(name, root) for name in datasets.select("all")]
    for path, near in roots.strangers(root):
        found.append(Finding("dataset", "note", f"{path} is no dataset's folder; {near} Rename it"))
    return found


def _dataset(name: str, root: Path) -> Finding:
    """Whether a dataset is there with all its files, as far as their names tell."""
    folder = root / datasets.dataset(name).folder
    command = f"`evaluate.py fetch dataset {name} --data-root {root}`"
    begun = part_of(folder.with_name(f"{folder.name}.zip"))
    if begun.is_file():
        text = f"{name}: half a download, {begun} holds {show_bytes(begun.stat().st_size)}; {command} goes on with it"
        return Finding("dataset", "missing", text)
    if not folder.is_dir():
        return Finding("dataset", "missing", f"{name}: {folder}; {command} brings it")
    try:
        geobench.read_partition(folder)
    except UserError as error:
        return Finding("dataset", "missing", f"{error}; move the folder away, then {command} brings it")
    return Finding("dataset", "ok", f"{name}: {folder}")
