"""Partition files that name what isn't there, name it twice, or are no JSON; folders that hold less than they should."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bad_inputs.case import Case, Ended, Place, Spoil, replace

DATASET = "m-eurosat"
DEFAULT, TENTH = "default_partition.json", "0.10x_train_partition.json"
Splits = dict[str, Any]


def argv(partition: str = "") -> tuple[str, ...]:
    """The command that reads the default partition and no more; another one takes a run."""
    root = ("--data-root", "{root}", "--output", "{output}")
    if partition:
        return ("--encoder", "imagestats", "--dataset", DATASET, "--partition", partition, *root)
    return ("fetch", "dataset", DATASET, "--ingest", *root)


def content(data: bytes, name: str = DEFAULT) -> Spoil:
    return lambda place: replace(place.dataset() / name, data)


def edited(change: Callable[[Splits], object], name: str = DEFAULT) -> Spoil:
    """Spoil the splits of a partition."""

    def spoil(place: Place) -> None:
        path = place.dataset() / name
        splits = json.loads(path.read_text())
        change(splits)
        replace(path, json.dumps(splits).encode())

    return spoil


def put(split: str, value: object) -> Spoil:
    return edited(lambda splits: splits.update({split: value}))


def added(split: str, name: object) -> Spoil:
    return edited(lambda splits: splits[split].append(name))


def shared(first: str, second: str) -> Spoil:
    return edited(lambda splits: splits[first].append(splits[second][0]))


def whole(value: object) -> Spoil:
    return content(json.dumps(value).encode())


def instead(make: Callable[[Path], object], name: str = DEFAULT) -> Spoil:
    """Something else than a file in a file's place."""

    def spoil(place: Place) -> None:
        path = place.dataset() / name
        path.unlink()
        make(path)

    return spoil


def without(*names: str) -> Spoil:
    def spoil(place: Place) -> None:
        for name in names:
            for path in place.dataset().glob(name):
                path.unlink()

    return spoil


def no_folder(place: Place) -> None:
    shutil.rmtree(place.dataset())


def empty_folder(place: Place) -> None:
    no_folder(place)
    (place.root / "classification_v1.0" / DATASET).mkdir()


def a_file_for_a_folder(place: Place) -> None:
    no_folder(place)
    (place.root / "classification_v1.0" / DATASET).write_text("")


def many(place: Place) -> None:
    names = [f"made_up_{number}" for number in range(50_000)]
    replace(place.dataset() / DEFAULT, json.dumps({"train": names, "valid": ["a"], "test": ["b"]}).encode())


PARTITIONS: dict[str, tuple[Spoil, str]] = {
    "is empty": (content(b""), DEFAULT),
    "is one bracket": (content(b"{"), DEFAULT),
    "ends in a comma": (content(b'{"train": ["id_0000"], "valid": ["id_0001"], "test": ["id_0002"],}'), DEFAULT),
    "has single quotes": (content(b"{'train': [], 'valid': [], 'test': []}"), DEFAULT),
    "has a comment": (content(b'{"train": ["id_0000"], // mine\n"valid": [], "test": []}'), DEFAULT),
    "is YAML": (content(b"train: [id_0000]\nvalid: [id_0001]\ntest: [id_0002]\n"), DEFAULT),
    "is CSV": (content(b"train,id_0000\nvalid,id_0001\ntest,id_0002\n"), DEFAULT),
    "is HTML": (content(b"<html>404 Not Found</html>"), DEFAULT),
    "is no text": (content(bytes(range(256))), DEFAULT),
    "is UTF-16": (content('{"train": [], "valid": [], "test": []}'.encode("utf-16")), "train"),
    "is nested without end": (content(b"[" * 100_000), DEFAULT),
    "holds a number of 10,000 digits": (content(b'{"train": ' + b"9" * 10_000 + b"}"), DEFAULT),
    "is larger than any": (content(b" " * (9 * 2**20)), DEFAULT),
    "is a list": (whole([1, 2]), DEFAULT),
    "is a number": (whole(3), DEFAULT),
    "is null": (whole(None), DEFAULT),
    "lacks a split": (edited(lambda splits: splits.pop("valid")), "valid"),
    "says val for valid": (edited(lambda splits: splits.update(val=splits.pop("valid"))), "valid"),
    "says Train for train": (edited(lambda splits: splits.update(Train=splits.pop("train"))), "train"),
    "a split is null": (put("train", None), "train"),
    "a split is empty": (put("test", []), "test"),
    "a split is a text": (put("valid", "id_0001"), "valid"),
    "a split is a table": (put("valid", {"id_0001": 1}), "valid"),
    "a split holds numbers": (put("valid", [1, 2]), "valid"),
    "a split holds lists": (put("valid", [["id_0001"]]), "valid"),
    "a split holds null": (added("valid", None), "valid"),
    "a split holds nothing": (added("valid", ""), "valid"),
    "a sample that is missing": (added("train", "id_9999"), "id_9999"),
    "a sample that is missing in test": (added("test", "id_9999"), "test"),
    "only samples that are missing": (put("test", ["no", "none"]), "no.hdf5"),
    "thousands that are missing": (many, "made_up_0"),
    "a sample with its ending": (added("train", "id_0000.hdf5"), "id_0000.hdf5"),
    "a sample twice": (edited(lambda splits: splits["train"].append(splits["train"][0])), "id_0000"),
    "a sample in train and valid": (shared("train", "valid"), "train"),
    "a sample in train and test": (shared("train", "test"), "test"),
    "a sample in valid and test": (shared("valid", "test"), "valid"),
    "all splits are one": (edited(lambda splits: splits.update(test=splits["train"])), "id_0000"),
    "a sample above the folder": (added("train", "../id_0000"), "../id_0000"),
    "a sample by its whole path": (added("train", "/etc/passwd"), "/etc/passwd"),
    "a sample in a folder below": (added("train", "a/b"), "a/b"),
    "a sample with a backslash": (added("train", "a\\b"), "a"),
    "a sample with a zero byte": (added("train", "a\0b"), "train"),
    "a sample of two lines": (added("train", "a\nb"), "train"),
    "a sample that steers the terminal": (added("train", "\x1b[2Jid"), "hdf5"),
    "a sample of 10,000 letters": (added("train", "x" * 10_000), "train"),
    "a sample of half a letter": (added("train", "\ud800"), "train"),
    "is a folder": (instead(Path.mkdir), ""),
    "links to itself": (instead(lambda path: path.symlink_to(path)), ""),
    "links to nowhere": (instead(lambda path: path.symlink_to("nowhere")), ""),
    "is a pipe": (instead(os.mkfifo), ""),
    "is missing": (without(DEFAULT), ""),
    "an empty folder": (empty_folder, DEFAULT),
    "a file for a folder": (a_file_for_a_folder, ""),
    "no samples": (without("*.hdf5"), "12 of 12"),
    "half of the samples": (without("id_000*.hdf5"), "10 of 12"),
}  # fmt: skip
FRACTIONS: dict[str, tuple[Spoil, str, str]] = {
    "a fraction: is no JSON": (content(b"{", TENTH), "0.10x_train", TENTH),
    "a fraction: takes from test": (
        edited(lambda splits: splits.update(train=["id_0018"], test=["id_0019"]), TENTH), "0.10x_train", "id_0018",
    ),
    "a fraction: is missing": (without(TENTH), "0.10x_train", "0.10x_train"),
    "a fraction: leads elsewhere": (without(), "../m-eurosat/default", "../m-eurosat/default"),
    "a fraction: a whole path": (without(), "/etc/passwd", "/etc/passwd"),
    "no folder": (no_folder, "default", "--data-root"),
}  # fmt: skip


def cases() -> list[Case]:
    found = [Case(name, argv(), (part,), spoil, (DATASET,)) for name, (spoil, part) in PARTITIONS.items()]
    return found + [
        Case(name, argv(which), (part,), spoil, (DATASET,)) for name, (spoil, which, part) in FRACTIONS.items()
    ]


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_partition_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(case)
