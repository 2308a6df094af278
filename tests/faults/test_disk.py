"""A full disk and a read-only one: one sentence that names the folder and the remedy, and nothing half-written."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import pytest

from encoders import checkpoints
from tests.faults.attempt import Attempt
from tests.faults.whole import Results, command, litter, results

ROW, DATASET = "imagestats-gw", "real-neontree-crops"
PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("this machine has no mount")
    if made.returncode:
        pytest.skip(f"this process may not mount a tmpfs ({made.stderr.strip()}); run the test as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Fill:
    """Another program that takes all room of a disk once a place is entered for the n-th time."""

    def __init__(self, disk: Path, count: int) -> None:
        self.disk, self.count = disk, count

    def __call__(self) -> None:
        self.count -= 1
        if self.count == 0:
            ballast = os.open(self.disk / "ballast", os.O_CREAT | os.O_WRONLY)
            try:
                while os.write(ballast, bytes(PAGE)):
                    pass
            except OSError:
                os.close(ballast)


def one_error(attempt: Attempt) -> str:
    """The sentence a command ended with."""
    assert attempt.end() == 2, attempt.said
    assert "Traceback" not in attempt.said
    (line,) = [line for line in attempt.said.splitlines() if line.startswith("error: ")]
    return line


def test_a_disk_that_fills_up_in_any_stage(root: Path, undisturbed: Results, tmp_path: Path, disk: Path) -> None:
    home, output = disk / "home", disk / "out"
    start = partial(Attempt, command(root, output, rows=ROW, datasets=DATASET), home, log=tmp_path / "log")
    for place, count, says in (
        ("benchmark.data.rowfile:RowFile.append", 20, f"{home}/data/{DATASET}-*: disk full*free some*same command*"),
        ("benchmark.data.manifest:_write_groups", 1, f"{home}/data/{DATASET}-*: disk full*free some*same command*"),
        ("benchmark.features.arrays:create", 1, f"features need * GB in {home}/features/*make room*"),
        ("numpy.lib.format:open_memmap", 1, f"features need * GB in {home}/features/*make room*"),
        ("benchmark.record_store:write_atomically", 1, f"disk is full while writing {output}/predictions/*make room*"),
        ("benchmark.record_store:write_atomically", 2, f"disk is full while writing {output}/records/*make room*"),
        ("reports.leaderboard:write_atomically", 2, f"disk is full while writing {output}/leaderboard*make room*"),
    ):
        line = one_error(start(hooks={place: Fill(disk, count)}))
        assert fnmatch(line, f"*{says}"), line
        assert not [path for path in litter(disk) if path.name.endswith(".tmp")], place
        assert not list((home / "features").glob("*/level*.npy")) or "features" not in says
        assert results(output).cells.items() <= undisturbed.cells.items()
        (disk / "ballast").unlink()
    attempt = start()
    assert attempt.end() == 0, attempt.said
    assert len(results(output).cells) == 1
    assert not litter(disk)


def test_an_output_that_cannot_be_written(root: Path, undisturbed: Results, tmp_path: Path, disk: Path) -> None:
    home, output = tmp_path / "home", disk / "out"
    start = partial(Attempt, command(root, output, rows=ROW, datasets=DATASET), home)
    for made in (False, True):
        if made:
            (output / "records").mkdir(parents=True)
            (output / "predictions").mkdir()
        remount(disk, "ro")
        line = one_error(start())
        assert str(output) in line
        assert "cannot be written" in line
        assert "change its rights" in line
        assert not list(home.rglob("*.npy")), "it found out only after it had begun"
        remount(disk, "rw")
    line = one_error(start(hooks={"benchmark.evaluation:_write": partial(remount, disk, "ro")}))
    assert fnmatch(line, f"*{output}*cannot be written*change its rights*")
    remount(disk, "rw")
    assert start().end() == 0
    assert results(output).cells.items() <= undisturbed.cells.items()
    assert len(results(output).cells) == 1
    assert not litter(disk) + litter(home)


def test_weights_on_a_read_only_disk_are_hashed_all_the_same(disk: Path) -> None:
    (disk / "a.pth").write_bytes(b"weights")
    remount(disk, "ro")
    assert checkpoints._digests(disk, {"a.pth": disk / "a.pth"}) == {"a.pth": hashlib.sha256(b"weights").hexdigest()}


def remount(disk: Path, how: str) -> None:
    """Make a mounted disk read-only (`ro`) or writable (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)
