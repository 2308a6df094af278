"""Wherever cells are run, the records are the same; a worker that dies takes down no other cell."""

import multiprocessing
import os
import signal
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import evaluation, progress
from benchmark.features.arrays import SHARD
from benchmark.grid.cells import Cell, cells
from benchmark.grid.executors import local
from benchmark.grid.failures import Failure
from benchmark.grid.sweep import sweep
from benchmark.places import Places
from benchmark.progress import Step
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.request import configuration
from benchmark.request.executor_options import Options, parse
from benchmark.training import loop
from benchmark.training.bank import Member, Trained
from encoders.errors import UserError, validate_json

LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")


def options(name: str, *overrides: str) -> Options:
    return compose(overrides=("executor.threads=1", *overrides), executor=name).executor


def compose(
    overrides: tuple[str, ...] = (), executor: str = "inline", rows: tuple[str, ...] = ("imagestats", "imagestats-gw")
) -> configuration.Request:
    return configuration.compose(
        rows=list(rows),
        dataset_choice="real-chesapeake-patches",
        probe=None,
        protocol="smoke",
        settings={"device": "cpu"},
        overrides=list(overrides),
        executor=executor,
        allow_code=True,
    )


FLOOR = """
import os
import pathlib
import signal
import time

from encoders.baselines import ImageStats


class Noted(ImageStats):
    def _stem(self, images):
        notes = pathlib.Path(__file__).with_name("notes")
        if notes.exists():
            self.note(notes, len(images))
        return super()._stem(images)

    def note(self, notes, count):
        with notes.open("a") as file:
            file.write(f"{os.getpid()} {count}\\n")
        end = time.monotonic() + 120
        while len({line.split()[0] for line in notes.read_text().splitlines()}) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.1)
        if notes.with_name("dies").exists():
            notes.with_name("dies").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
"""
"""An own encoder that notes how many images which process gave it, and lets the first wait for another."""

PASSPORT = "{name: noted, title: Noted, _target_: 'noted:Noted', inputs: floor, version: 1, licence: none}"


def places(folder: Path, home: Path) -> Places:
    return Places(None, home / "data", home / "features", home / "weights", folder)


def asked() -> list[Cell]:
    return cells(compose())


def contents(folder: Path) -> dict[str, Any]:
    return {one.key: (one.run, one.score, one.predictions_sha256) for one in RecordStore(folder)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def expected(home: Path) -> dict[str, Any]:
    results = sweep(asked(), places(home / "inline", home), options("inline"))
    assert [result.outcome for result in results] == ["done", "done"]
    return contents(home / "inline")


@pytest.mark.parametrize(
    ("kind", "dies"),
    [("local", False), pytest.param("local", True, marks=LONG), pytest.param("ray", False, marks=LONG)],
)
def test_workers_without_cells_encode_for_those_that_have_some(
    home: Path, tmp_path: Path, kind: str, dies: bool, request: pytest.FixtureRequest
) -> None:
    given = ("executor.workers=2",)
    if kind == "ray":
        given = (f"executor.address='{request.getfixturevalue('cluster')}'", "executor.gpus=0", "executor.cpus=1")
    (tmp_path / "noted.py").write_text(FLOOR)
    (tmp_path / "noted.yaml").write_text(PASSPORT)

    def swept(name: str, executor: str, *overrides: str) -> tuple[list[Record], dict[str, bytes]]:
        asked = compose(("executor.threads=1", *overrides), executor, rows=(str(tmp_path / "noted.yaml"),))
        where = replace(places(tmp_path / name, home), features_dir=tmp_path / name / "features")
        (result,) = sweep(cells(asked), where, asked.executor)
        assert result.outcome == "done", result.message
        arrays = {path.parent.name: path.read_bytes() for path in where.features_dir.rglob("embedding.npy")}
        return list(RecordStore(where.output)), arrays

    (alone,), features = swept("alone", "inline")
    (tmp_path / "notes").touch()
    if dies:
        (tmp_path / "dies").touch()
    (shared,), shared_features = swept("shared", kind, *given)
    assert (shared.run, shared.score, shared.predictions_sha256) == (alone.run, alone.score, alone.predictions_sha256)
    assert shared_features == features
    counts = [(process, int(count)) for process, count in map(str.split, (tmp_path / "notes").read_text().splitlines())]
    images, processes = alone.cost.images, len({process for process, _ in counts})
    assert processes >= 2
    assert not (tmp_path / "dies").exists()
    # Each image once, and in each process one more, to measure shapes by.
    assert images <= sum(count for _, count in counts) <= images + processes + dies * SHARD


def test_local_workers_give_the_records_of_one_process(home: Path, expected: dict[str, Any]) -> None:
    folder = home / "local"
    steps: list[Step] = []
    with progress.heard_by(steps.append):
        results = sweep(asked(), places(folder, home), options("local", "executor.workers=2"))
    assert [result.outcome for result in results] == ["done", "done"]
    assert contents(folder) == expected
    seen = {(step.group, step.stage) for step in steps}
    assert seen >= {(cell.title, stage) for cell in asked() for stage in ("start", "load", "train")}
    again = sweep(asked(), places(folder, home), options("local", "executor.workers=2"))
    assert [result.outcome for result in again] == ["skipped", "skipped"]
    assert not multiprocessing.active_children()


def test_decoders_too_many_for_the_memory_are_trained_in_halves(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = compose(("seeds=2",), rows=("imagestats-gw",))
    sweep(cells(asked), places(home / "whole", home), asked.executor)
    original = loop.train

    def limited(bank: Sequence[Member], *arguments: Any, **options: Any) -> list[Trained]:
        trained = original(bank, *arguments, **options)
        if len(bank) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return trained

    monkeypatch.setattr(loop, "train", limited)
    sweep(cells(asked), places(home / "halves", home), asked.executor)
    assert contents(home / "halves") == contents(home / "whole")
    assert len(contents(home / "halves")) == 2
    assert "training gw: decoders: memory does not hold 2 at once; going on with 1" in capsys.readouterr().err


def test_memory_that_runs_out_elsewhere_fails_the_cell_in_one_sentence(
    home: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    results = sweep(asked()[:1], places(home / "never", home), options("inline"))
    assert [result.outcome for result in results] == ["failed"]
    assert results[0].message.startswith("CUDA out of memory; free some memory, run fewer workers")


@LONG
def test_submitits_own_executor_gives_them_too(home: Path, expected: dict[str, Any]) -> None:
    pytest.importorskip("submitit", reason="needs the slurm extra")
    folder = home / "slurm"
    results = sweep(asked(), places(folder, home), options("slurm", "executor.cluster=local", "executor.gpus=0"))
    assert [result.outcome for result in results] == ["done", "done"], [result.message for result in results]
    assert contents(folder) == expected


@LONG
def test_ray_gives_them_too(home: Path, expected: dict[str, Any], cluster: str) -> None:
    folder = home / "ray"
    chosen = options("ray", f"executor.address='{cluster}'", "executor.gpus=0", "executor.cpus=1")
    results = sweep(asked(), places(folder, home), chosen)
    assert [result.outcome for result in results] == ["done", "done"], [result.message for result in results]
    assert contents(folder) == expected


def kill_workers(times: int) -> None:
    """Send SIGKILL to a worker as soon as there is one, so many times."""
    killed: set[int] = set()
    while len(killed) < times:
        for child in multiprocessing.active_children():
            if child.pid is not None and child.pid not in killed and len(killed) < times:
                os.kill(child.pid, signal.SIGKILL)
                killed.add(child.pid)
        time.sleep(0.05)


def test_a_worker_that_is_killed_each_time_fails_its_cells_with_the_reason(
    home: Path, expected: dict[str, Any]
) -> None:
    killer = threading.Thread(target=kill_workers, args=(2,))
    killer.start()
    folder = home / "killed-always"
    results = sweep(asked()[:1], places(folder, home), options("local", "executor.workers=1"))
    killer.join()
    assert [result.outcome for result in results] == ["failed"]
    assert "its worker process died 2 times, last by signal 9" in results[0].message
    (kept,) = (folder / "errors").iterdir()
    failure = validate_json(Failure, kept.read_bytes(), kept.name)
    assert (failure.type, failure.message, failure.traceback) == ("DiedError", results[0].message, "")
    assert not contents(folder)


def die_in_a_message(pipe: Connection, *_: object) -> None:
    """A worker's life that ends while it tells something: a length, and less than that."""
    pipe.recv()
    os.write(pipe.fileno(), struct.pack("!i", 1000) + b"some")
    os._exit(3)


def test_a_worker_that_dies_in_the_middle_of_a_message_fails_its_cells_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_serve", die_in_a_message)
    results = sweep(asked()[:1], places(home / "cut", home), options("local", "executor.workers=1"))
    assert "its worker process died 2 times, last by exit code 3" in results[0].message


@LONG
def test_a_worker_that_is_killed_once_loses_nothing(home: Path, expected: dict[str, Any]) -> None:
    killer = threading.Thread(target=kill_workers, args=(1,))
    killer.start()
    folder = home / "killed-once"
    results = sweep(asked(), places(folder, home), options("local", "executor.workers=2"))
    killer.join()
    assert [result.outcome for result in results] == ["done", "done"]
    assert contents(folder) == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "lokal"}, "'kind' is 'lokal'; did you mean local"),
        ({"workers": 0}, "'workers' is 0; it must be at least 1"),
        ({"retries": -1}, "'retries' is -1; it must be at least 0"),
        ({"worker": 2}, "unknown key 'worker'; did you mean workers"),
    ],
)
def test_a_wrong_option_is_one_sentence(changed: dict[str, object], message: str) -> None:
    plain = {"name": "local", "title": "t", "kind": "local", "workers": 1, "threads": 1, "retries": 1}
    with pytest.raises(UserError, match=message):
        parse({**plain, **changed})


def test_a_cluster_that_is_not_there_is_one_sentence(home: Path) -> None:
    pytest.importorskip("ray", reason="needs the ray extra")
    with pytest.raises(UserError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        sweep(asked(), places(home / "none", home), options("ray", "executor.address='127.0.0.1:1'"))
