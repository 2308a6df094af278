"""The readers, each as a function of bytes, and whole files to begin from.

Whatever the bytes, a reader returns or raises its own one error, with a message that fits a line; it changes nothing and
calls nothing. Anything else is a finding.
"""

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from benchmark import record_store
from benchmark.data import geobench
from benchmark.data.own import table
from benchmark.fetching import archives
from benchmark.scoring import npz
from encoders import checkpoints, yaml_files
from encoders.errors import UserError
from tests import hostile_pickles, writing
from tests.record_factory import make_record

MOST_MESSAGE = 2000


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        file: what the bytes are called in their folder.
        read: reads them there.
        seeds: whole files.
        refuses: its one error.
        native: whether a C library parses the bytes first: a fuzzer finds that one's endless loops, and not our faults.
    """

    file: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    refuses: type[Exception] = UserError
    native: bool = False

    def __call__(self, data: bytes, folder: Path) -> None:
        """Feed it; the folder is its own and stays.

        Raises:
            AssertionError: it did what no reader may.
            Exception: another error than its own.
        """
        path = folder / self.file
        path.write_bytes(data)
        message = ""
        try:
            self.read(path)
        except self.refuses as error:
            message = str(error)
        # What is printed of it is one line (`encoders.errors.one_line`).
        assert len(message) < MOST_MESSAGE + len(str(path)), message
        assert path.read_bytes() == data
        found = {one.name for one in folder.iterdir()} - {self.file, "unpacked"}
        assert not found, f"it wrote {found}"
        assert not hostile_pickles.MARK


def _sample() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["Red"] = np.ones((4, 4), "u1")
        file["label"] = np.zeros((4, 4), "u1")
        file.attrs["pickle"] = str(writing.dumps({"bands_order": ["Red"], "label": 1}))
    return buffer.getvalue()


def _pickled() -> list[bytes]:
    task = writing.stub("geobench.task", "TaskSpecifications", dataset_name="m-x", label_type=3)
    return [writing.dumps(task), writing.dumps({"label": np.arange(3), "bands_order": ["Red"]}), *_hostile()]


def _hostile() -> list[bytes]:
    return [data for data in hostile_pickles.HOSTILE.values() if len(data) < 2000]


def _metadata(path: Path) -> object:
    """The attribute of a sample, without HDF5 around it."""
    stored = path.with_name("sample.hdf5")
    try:
        with h5py.File(stored, "w") as file:
            file["Red"] = np.ones((4, 4), "u1")
            # HDF5 takes no zero byte and no more than 64 KB in an attribute.
            file.attrs["pickle"] = path.read_bytes().replace(b"\0", b" ")[:60_000].decode("latin-1").encode("utf-8")
        return geobench.read_sample(stored)
    finally:
        stored.unlink()


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m-x/a.hdf5", b"pixels" * 20)
        archive.writestr("m-x/deep/default_partition.json", b"{}")
        archive.writestr("../out", b"x")
    return buffer.getvalue()


def _unpack(path: Path) -> None:
    def all_of(entries: "archives.Sequence[archives.Entry]") -> list[tuple[archives.Entry, PurePosixPath]]:
        return [(entry, entry.path) for entry in entries]

    target = path.parent / "unpacked"
    try:
        archives.unpack(path, target, archives.Limits(entries=20, bytes=10**5), all_of)
        assert all(one.is_file() or one.is_dir() for one in target.rglob("*") if not one.is_symlink())
        assert not any(one.is_symlink() for one in target.rglob("*"))
    finally:
        if target.exists():
            archives._remove(target)


@cache
def _checkpoints() -> tuple[bytes, ...]:
    import torch

    plain = {"a.weight": torch.zeros(2, 2), "nested": {"b": torch.ones(1)}}
    found = []
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(plain, buffer, _use_new_zipfile_serialization=new)
        found.append(buffer.getvalue())
    return (*found, *_hostile())


def _safetensors() -> list[bytes]:
    from safetensors.numpy import save

    return [save({"a.weight": np.zeros((2, 2), np.float32)})]


def _partition(path: Path) -> object:
    return geobench.read_partition(path.parent)


def _record() -> bytes:
    from encoders.errors import to_json

    return to_json(make_record())


def _splits() -> bytes:
    return json.dumps({"train": ["a"], "valid": ["b"], "test": ["c"]}).encode()


YAML = b"name: mine\nbands: [{band: red, unit: byte}]\nfiles: &f {images: '{label}/x.png', splits: {train: 0.6}}\nmore: *f\n"
CSV = b'name,label,split\ns1,a,train\n"s2",b,"te\nst"\n'
READERS = {
    "sample": Reader("s.hdf5", geobench.read_sample, lambda: [_sample()], native=True),
    "metadata": Reader("m.txt", _metadata, lambda: [str(one).encode() for one in _pickled()]),
    "task specs": Reader("task_specs.pkl", lambda path: geobench.read_task_specs(path.parent), _pickled),
    "yaml": Reader("mine.yaml", lambda path: yaml_files.read(path, "correct it"), lambda: [YAML]),
    "partition": Reader("default_partition.json", _partition, lambda: [_splits()]),
    "record": Reader("0.json", record_store.read_record, lambda: [_record()]),
    "archive": Reader("a.zip", _unpack, lambda: [_archive()]),
    "table": Reader("t.csv", lambda path: table.read(path, {}, ("a", "b")), lambda: [CSV]),
    "predictions": Reader("p.npz", lambda path: npz.read(path.read_bytes(), 10**6),
                          lambda: [npz.pack({"scores": np.zeros((2, 3), np.float32)})], ValueError),
    "model config": Reader("config.json", checkpoints.read_json, lambda: [b'{"a": [1, 2.5, null]}']),
    "safetensors": Reader("w.safetensors", checkpoints.load_tensors, _safetensors),
    "checkpoint": Reader("w.pt", checkpoints.load_tensors, lambda: list(_checkpoints())),
}  # fmt: skip


def without_waiting() -> None:
    """Let nothing wait for the disk; for processes that read and do no more."""
    os.sync = os.fsync = lambda *_: None  # type: ignore[assignment]
