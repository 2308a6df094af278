"""Ingest when it goes wrong: killed, disk full, source changed, another process, damaged samples."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmark.data import datasets, geobench, ingest, split_store
from benchmark.data.rowfile import RowFile
from encoders.errors import UserError
from tests import writing

EUROSAT = datasets.dataset("m-eurosat")
ROOT = Path(ingest.__file__).parents[2]


def folder_of(root: Path) -> Path:
    return root / EUROSAT.folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file of an ingest that is not a lock or a signature, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != "signature.txt"
    }


def ingested(root: Path, ingest_dir: Path) -> dict[str, bytes]:
    ingest.open_dataset(EUROSAT, root, ingest_dir)
    return content(ingest.ingest_folder(EUROSAT, folder_of(root), ingest_dir))


# --- what goes wrong half-way

KILLED = """
import os, signal, sys
from pathlib import Path
from benchmark.data import datasets, ingest, split_store
from benchmark.data.rowfile import RowFile
split_store.JOURNAL_SECONDS = 0
root, target, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
write, rows = RowFile.append, []
def append(self, row):
    if len(rows) == after:
        self.file.write(row.tobytes()[: row.nbytes // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    rows.append(row)
    write(self, row)
RowFile.append = append
ingest.open_dataset(datasets.dataset("m-eurosat"), root, target)
"""


@pytest.mark.parametrize("after", [0, 2, 25, 26, 55])
def test_a_killed_ingest_goes_on_and_gives_the_same_bytes(
    geobench_copy: Path, tmp_path: Path, reads: list[str], after: int
) -> None:
    """Four arrays a sample, so row 25 is in the middle of the seventh."""
    target = tmp_path / "killed"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(geobench_copy), str(target), str(after)],
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    resumed = ingested(geobench_copy, target)
    train = geobench.read_partition(folder_of(geobench_copy))["train"]
    finished = min(after // 4, len(train))
    assert not set(reads) & set(train[:finished])
    assert set(reads) >= set(train[finished:])
    assert resumed == ingested(geobench_copy, tmp_path / "whole")


def test_a_torn_journal_line_is_dropped(geobench_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_store, "JOURNAL_SECONDS", 0)
    fail_in_row(monkeypatch, 30, RuntimeError("stop"))
    with pytest.raises(RuntimeError):
        ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    (journal,) = (tmp_path / "ingest").rglob("journal")
    journal.write_bytes(journal.read_bytes() + b'{"finis')
    monkeypatch.undo()
    assert ingested(geobench_copy, tmp_path / "ingest") == ingested(geobench_copy, tmp_path / "whole")


def test_killed_between_its_last_two_steps_an_ingest_leaves_no_journal(geobench_copy: Path, tmp_path: Path) -> None:
    whole = ingested(geobench_copy, tmp_path / "ingest")
    train = ingest.ingest_folder(EUROSAT, folder_of(geobench_copy), tmp_path / "ingest") / "train"
    (train / split_store.JOURNAL).write_text("{}\n")
    assert ingested(geobench_copy, tmp_path / "ingest") == whole


def fail_in_row(monkeypatch: pytest.MonkeyPatch, number: int, error: Exception) -> None:
    write = RowFile.append
    rows: list[int] = []

    def append(self: RowFile, row: np.ndarray) -> None:
        rows.append(1)
        if len(rows) > number:
            raise error
        write(self, row)

    monkeypatch.setattr(RowFile, "append", append)


def test_a_full_disk_is_one_sentence_and_what_is_finished_is_kept(
    geobench_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(split_store, "JOURNAL_SECONDS", 0)
    with monkeypatch.context() as patch:
        fail_in_row(patch, 22, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(UserError, match=r"disk full .*--ingest-dir") as caught:
            ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    assert "\n" not in str(caught.value)
    reads.clear()
    again = ingested(geobench_copy, tmp_path / "ingest")
    assert "id_0004" not in reads
    assert "id_0005" in reads
    assert again == ingested(geobench_copy, tmp_path / "whole")


def test_too_little_room_is_said_before_anything_is_written(
    geobench_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(UserError, match=r"m-eurosat, split train, needs 0.00 GB in .*where 0.00 GB.*--ingest-dir"):
        ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    assert not list((tmp_path / "ingest").rglob("*.npy"))


def test_a_changed_source_is_ingested_again(geobench_copy: Path, tmp_path: Path, reads: list[str]) -> None:
    ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    with h5py.File(geobench.sample_path(folder_of(geobench_copy), "id_0002"), "r+") as file:
        file["02 - Blue"][0, 0] = 4321
    reads.clear()
    opened = ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    assert opened.splits["train"].images[2, 1, 0, 0] == 4321
    assert set(reads) == set(opened.splits["train"].samples)


def test_a_source_that_changes_during_a_broken_ingest_starts_it_anew(
    geobench_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(split_store, "JOURNAL_SECONDS", 0)
    with monkeypatch.context() as patch:
        fail_in_row(patch, 22, RuntimeError("stop"))
        with pytest.raises(RuntimeError):
            ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    os.utime(geobench.sample_path(folder_of(geobench_copy), "id_0000"), (1, 1))
    reads.clear()
    assert ingested(geobench_copy, tmp_path / "ingest") == ingested(geobench_copy, tmp_path / "whole")
    assert "id_0000" in reads


BESIDE = """
import sys, time
from pathlib import Path
from benchmark.data import datasets, geobench, ingest
read, count = geobench.read_sample, []
def slow(*arguments):
    count.append(1)
    time.sleep(0.02)
    return read(*arguments)
geobench.read_sample = slow
opened = ingest.open_dataset(datasets.dataset("m-eurosat"), Path(sys.argv[1]), Path(sys.argv[2]))
print(len(count), *(split.fingerprint for split in opened.splits.values()))
"""


def test_two_processes_ingest_once(geobench_copy: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BESIDE, str(geobench_copy), str(tmp_path / "ingest")]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0][1:] == said[1][1:]
    # The first sample of a split is read twice: once for the plan of its arrays.
    assert (
        sum(int(words[0]) for words in said)
        == sum(map(len, geobench.read_partition(folder_of(geobench_copy)).values())) + 3
    )


# --- data that is refused


def overwrite(root: Path, sample: str, band: str, pixels: np.ndarray) -> None:
    with h5py.File(geobench.sample_path(folder_of(root), sample), "r+") as file:
        del file[band]
        file[band] = pixels


def relabel(root: Path, label: object) -> None:
    with h5py.File(geobench.sample_path(folder_of(root), "id_0005"), "r+") as file:
        file.attrs["pickle"] = str(writing.dumps({"label": label}))


def truncate(root: Path) -> None:
    path = geobench.sample_path(folder_of(root), "id_0005")
    path.write_bytes(path.read_bytes()[:9000])


def dangling(root: Path) -> None:
    path = geobench.sample_path(folder_of(root), "id_0005")
    path.unlink()
    path.symlink_to(root / "nowhere")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, "cannot be read as HDF5"),
        (dangling, "id_0005.hdf5; download"),
        (lambda r: overwrite(r, "id_0005", "04 - Red", np.full((64, 64), np.nan)), "NaN or infinite"),
        (
            lambda r: overwrite(r, "id_0005", "04 - Red", np.ones((64, 65), "i2")),
            "band '04 - Red' has (64, 65)",
        ),
        (
            lambda r: overwrite(r, "id_0005", "04 - Red", np.ones((64, 64), "f4")),
            "band '04 - Red' is float32",
        ),
        (lambda r: relabel(r, 10), "label holds 10, outside 0..9"),
        (lambda r: relabel(r, -1), "label holds -1, outside 0..9"),
        (lambda r: relabel(r, np.array([0, 1])), "label is an array"),
    ],
)
def test_a_damaged_sample_stops_the_ingest_in_one_sentence(
    geobench_copy: Path, tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    damage(geobench_copy)
    with pytest.raises(UserError) as caught:
        ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    assert says in str(caught.value)
    assert "id_0005.hdf5" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.zeros((255, 256), "i2"), "label is of (255, 256) pixels, the image has (256, 256)"),
        (np.full((256, 256), 10, "i2"), "label holds 10, outside 0..9"),
        (np.full((256, 256), -1, "i2"), "label holds -1, outside 0..9"),
        (None, "field 'label' is missing"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path, mask: np.ndarray | None, says: str) -> None:
    folder = writing.write_dataset(tmp_path, "m-SA-crop-type", (1, 1, 1))
    path = geobench.sample_path(folder, geobench.read_partition(folder)["train"][0])
    with h5py.File(path, "r+") as file:
        del file["label"]
        if mask is not None:
            file["label"] = mask
    with pytest.raises(UserError) as caught:
        ingest.open_dataset(datasets.dataset("m-SA-crop-type"), tmp_path, tmp_path / "ingest")
    assert says in str(caught.value)


def test_a_multi_hot_label_of_another_length_is_refused(tmp_path: Path) -> None:
    folder = writing.write_dataset(tmp_path, "m-bigearthnet", (1, 1, 1))
    with h5py.File(folder / "id_0000.hdf5", "r+") as file:
        file.attrs["pickle"] = str(writing.dumps({"label": np.zeros(19, int)}))
    with pytest.raises(UserError, match="expected 43 zeros and ones"):
        ingest.open_dataset(datasets.dataset("m-bigearthnet"), tmp_path, tmp_path / "ingest")


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "manifest.json"])
def test_damage_to_the_ingested_files_is_one_sentence(geobench_copy: Path, tmp_path: Path, name: str) -> None:
    ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    path = ingest.ingest_folder(EUROSAT, folder_of(geobench_copy), tmp_path / "ingest") / "train" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="delete the folder") as caught:
        ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    assert name in str(caught.value)
