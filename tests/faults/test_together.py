"""Two sweeps on one folder at once, and workers that are killed: the records of one undisturbed process."""

import os
import signal
import time
from pathlib import Path

import pytest

from benchmark.commands import cache
from tests.faults.attempt import Attempt, command_line, descendants
from tests.faults.whole import Results, check_finished, command

LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")


def test_two_sweeps_at_once_give_the_records_of_one(root: Path, undisturbed: Results, tmp_path: Path) -> None:
    home, output = tmp_path / "home", tmp_path / "out"
    both = [Attempt(command(root, output), home, log=tmp_path / f"log{number}") for number in range(2)]
    for attempt in both:
        assert attempt.end() == 0, attempt.said
    check_finished(output, home, undisturbed)
    assert not cache.verify(home / "features")
    # Each shard was encoded by one of them.
    shards = sum(one.shards for one in cache.entries(home / "features"))
    assert sum(attempt.entered["benchmark.features.extraction:Extraction._encode"] for attempt in both) == shards


@LONG
def test_a_sweep_under_local_that_is_killed_leaves_no_worker_and_loses_nothing(
    root: Path, undisturbed: Results, tmp_path: Path
) -> None:
    home, output = tmp_path / "home", tmp_path / "out"
    arguments = command(root, output, "--executor", "local", "executor.workers=2")
    attempt = Attempt(arguments, home)
    workers = attempt.workers(2)
    while not list((output / "records").glob("*.json")):
        time.sleep(0.05)
    attempt.kill()
    deadline = time.monotonic() + 5
    while any(command_line(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlive their sweep"
        time.sleep(0.1)
    again = Attempt(arguments, home)
    assert again.end() == 0, again.said
    check_finished(output, home, undisturbed)


@LONG
def test_workers_under_local_that_are_killed_at_work_lose_nothing(
    root: Path, undisturbed: Results, tmp_path: Path
) -> None:
    home, output = tmp_path / "home", tmp_path / "out"
    attempt = Attempt(command(root, output, "--executor", "local", "executor.workers=2"), home)
    for folder in (home / "features", output / "records"):
        while not folder.is_dir() or not list(folder.iterdir()):
            time.sleep(0.02)
        os.kill(attempt.workers(2)[0], signal.SIGKILL)
    assert attempt.end() == 0, attempt.said
    check_finished(output, home, undisturbed)


@LONG
def test_a_worker_under_ray_that_is_killed_loses_nothing(
    root: Path, undisturbed: Results, tmp_path: Path, cluster: str
) -> None:
    home, output = tmp_path / "home", tmp_path / "out"
    chosen = (f"executor.address='{cluster}'", "executor.gpus=0", "executor.cpus=1")
    attempt = Attempt(command(root, output, "--executor", "ray", *chosen), home)
    while not list((home / "features").glob("*")):
        time.sleep(0.02)
    at_work = [pid for pid in descendants(os.getpid()) if "ray::_task" in command_line(pid)]
    os.kill(at_work[0], signal.SIGKILL)
    assert attempt.end(300) == 0, attempt.said
    check_finished(output, home, undisturbed)
