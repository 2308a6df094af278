"""What a run keeps for the next one, damaged in between: features, ingested arrays and what says of them what they hold.

A bit that flips within an array's numbers shows in nothing (SECURITY.md); everything else ends in one line.
"""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import evaluate
from tests.bad_inputs.case import Case, Ended, Place, Spoil, copy_root, floor, replace

DATASET = "m-eurosat"
RUN = floor("{shared}/root")
Change = Callable[[bytes], bytes]


@pytest.fixture(scope="session")
def kept(shared: Path, read: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run left in its home; not to be changed."""
    read(DATASET)
    home = shared / "kept"
    evaluate(
        "imagestats", DATASET, probe="knn", data_root=shared / "root", output=tmp_path_factory.mktemp("results"),
        ingest_dir=home / "data", features_dir=home / "features",
    )  # fmt: skip
    return home


def saved(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def loaded(data: bytes) -> np.ndarray:
    found: np.ndarray = np.load(io.BytesIO(data))
    return found


def flipped(position: int) -> Change:
    return lambda data: data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


ARRAYS: dict[str, Change] = {
    "is empty": lambda data: b"",
    "ends in its header": lambda data: data[:40],
    "ends in its middle": lambda data: data[: (128 + len(data)) // 2],
    "lacks a byte": lambda data: data[:-1],
    "a bit of its magic flipped": flipped(1),
    "a bit of its version flipped": flipped(6),
    "a bit of its header flipped": flipped(12),
    "a row short": lambda data: saved(loaded(data)[:-1]),
    "turned": lambda data: saved(loaded(data)[None]),
    "of another type": lambda data: saved(loaded(data).astype("c16" if loaded(data).dtype.kind != "V" else "f8")),
    "of objects": lambda data: saved(np.array([{}, {}]), allow_pickle=True),
    "is a zip": lambda data: b"PK\x03\x04" + data[4:],
}  # fmt: skip
TEXTS: dict[str, Change] = {
    "is empty": lambda data: b"",
    "is cut": lambda data: data[: len(data) // 2],
    "a bit flipped": flipped(0),
    "is a list": lambda data: b"[" + data + b"]",
    "is no text": lambda data: bytes(range(128, 256)),
    "is nested without end": lambda data: b"[" * 100_000,
    "lacks a key": lambda data: json.dumps(dict(list(json.loads(data).items())[1:])).encode(),
    "has a key too many": lambda data: json.dumps(json.loads(data) | {"more": 1}).encode(),
    "names arrays elsewhere": lambda data: json.dumps(
        json.loads(data) | {"arrays": [["../../../x.npy", "<f4", [1]]]}
    ).encode(),
}  # fmt: skip
READ_AGAIN = {"is empty", "is cut", "a bit flipped", "is a list", "is no text", "is nested without end"}
"""Of `about.json`, which says nothing then: the features are made again."""


TRAIN = "features/[train]"


def spoilt(pattern: str, change: Change) -> Spoil:
    def spoil(place: Place) -> None:
        copy_root(place.shared / "kept", place.home)
        for about in place.home.glob("features/*/about.json"):
            if json.loads(about.read_text())["split"] == "train":
                found = pattern.replace(TRAIN, f"features/{about.parent.name}")
        (path,) = place.home.glob(found)
        replace(path, change(path.read_bytes()))

    return spoil


def cases() -> Iterator[Case]:
    for file in ("images.npy", "labels.npy", "groups.npy"):
        part = "test" if file == "groups.npy" else "train"
        for name, change in ARRAYS.items():
            yield Case(f"{file}: {name}", RUN, (file, "delete the folder"), spoilt(f"data/*/{part}/{file}", change))
    for file in ("embedding.npy", "seconds.npy"):
        for name, change in ARRAYS.items():
            yield Case(f"{file}: {name}", RUN, (file, "delete the folder"), spoilt(f"{TRAIN}/{file}", change))
    for name, change in TEXTS.items():
        yield Case(
            f"manifest.json: {name}", RUN, ("train", "delete the folder"), spoilt("data/*/train/manifest.json", change)
        )
        if name not in READ_AGAIN:
            yield Case(f"about.json: {name}", RUN, ("about.json",), spoilt(f"{TRAIN}/about.json", change))


@pytest.mark.parametrize("case", list(cases()), ids=str)
@pytest.mark.usefixtures("kept")
def test_a_cache_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(case)
