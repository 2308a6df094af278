"""kill -9 anywhere, then the same command: the records of an undisturbed run, and no litter."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.records import Record, RecordStore
from tests.writing import write_dataset

ROOT = Path(__file__).parent.parent
RANDOM_KILLS = int(os.environ.get("SATDIFUSER_BENCH_KILLS", "0"))

# Sends its own process a signal at the n-th call of a function on the data's way.
DIE_AT = """
import importlib, os, signal, sys
import evaluate
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have it ignored
place, count, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if place:
    module, _, path = place.partition(":")
    owner = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original, calls = getattr(owner, name), []
    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return original(*args, **kwargs)
    setattr(owner, name, dying)
sys.exit(evaluate.main(sys.argv[4:]))
"""


def command(root: Path, home: Path) -> list[str]:
    return [
        "--encoder", "rcf", "--dataset", "m-eurosat", "--data-root", str(root), "--output", str(home / "results"),
        "--device", "cpu", "encoder.options.features=16", "protocol.linear_c.values=5",
    ]  # fmt: skip


def start(
    home: Path, arguments: list[str], place: str = "", count: int = 0, number: int = signal.SIGKILL
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DIE_AT, place, str(count), str(int(number)), *arguments],
        cwd=ROOT,
        env={**os.environ, "SATDIFUSER_BENCH_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> int:
    _, errors = process.communicate(timeout=300)
    if process.returncode not in (0, -signal.SIGKILL):
        pytest.fail(errors)
    return process.returncode


def only_record(home: Path) -> Record:
    (record,) = RecordStore(home / "results")
    return record


def same(one: Record, other: Record) -> bool:
    return (one.run, one.score, one.predictions_sha256) == (other.run, other.score, other.predictions_sha256)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("geobench")
    write_dataset(folder, "m-eurosat", n=(150, 70, 70), seed=5)
    return folder


@pytest.fixture(scope="module")
def undisturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    home = tmp_path_factory.mktemp("undisturbed")
    assert finish(start(home, command(root, home))) == 0
    return only_record(home)


def test_killed_in_every_stage_the_same_command_ends_in_the_same_record(
    root: Path, undisturbed: Record, tmp_path: Path
) -> None:
    stages = [
        ("benchmark.geobench:read_sample", 40),
        ("benchmark.features:FeatureStore._encode", 2),
        ("decoders.linear:LinearProbe.fit_replicate", 2),
        ("benchmark.records:to_json", 1),
    ]
    arguments = command(root, tmp_path)
    for place, count in stages:
        assert finish(start(tmp_path, arguments, place, count)) == -signal.SIGKILL, f"{place} was not reached"
        assert not list(RecordStore(tmp_path / "results"))
    assert finish(start(tmp_path, arguments)) == 0
    assert same(only_record(tmp_path), undisturbed)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((".tmp", ".partial"))]


@pytest.mark.skipif(not RANDOM_KILLS, reason="the long run: set SATDIFUSER_BENCH_KILLS to a number of kills")
def test_killed_at_random_moments_the_record_is_the_same(root: Path, undisturbed: Record, tmp_path: Path) -> None:
    moments = random.Random(0)
    for number in range(RANDOM_KILLS):
        home = tmp_path / str(number // 5)
        process = start(home, command(root, home))
        time.sleep(moments.uniform(0.5, 12))
        process.kill()
        process.communicate()
        if number % 5 == 4:
            assert finish(start(home, command(root, home))) == 0
            assert same(only_record(home), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_says_how_to_go_on(root: Path, tmp_path: Path, number: int) -> None:
    process = start(tmp_path, command(root, tmp_path), "benchmark.features:FeatureStore._encode", 1, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command to go on" in errors
    assert "Traceback" not in errors
