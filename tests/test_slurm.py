"""The SLURM executor: what is handed to SLURM, and, where there is one, a real cluster."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmark.grid.cells import cells
from benchmark.grid.sweep import sweep
from benchmark.grid.work import CellResult
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.request import configuration
from encoders.errors import UserError

pytest.importorskip("submitit", reason="needs the slurm extra")


def start(home: Path, output: str, executor: str, *overrides: str) -> list[CellResult]:
    request = configuration.compose(
        rows=["imagestats", "imagestats-gw"],
        dataset_choice="real-chesapeake-patches",
        probe=None,
        protocol="smoke",
        settings={"device": "cpu"},
        overrides=["executor.threads=1", *overrides],
        executor=executor,
    )
    places = Places(None, home / "data", home / "features", home / "weights", home / output)
    return sweep(cells(request), places, request.executor)


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_slurm_is_given_an_array_of_the_asked_size_and_its_refusal_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    program(bin_, "srun", "exit 0")
    program(
        bin_, "sbatch", f"cp $1 {tmp_path}/script; echo 'sbatch: error: invalid partition specified: fast' >&2; exit 1"
    )
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    asked = ("executor.partition=fast", "executor.account=earth", "executor.gpus=2", "executor.cpus=3",
             "executor.memory_gb=5", "executor.minutes=7", "executor.parallel=1", "executor.setup=[module load cuda]")  # fmt: skip
    with pytest.raises(UserError, match=r"refuses the jobs \(sbatch: error: invalid partition.* see executor"):
        start(tmp_path, "results", "slurm", *asked)
    script = (tmp_path / "script").read_text()
    for line in (
        "--array=0-1%1", "--partition=fast", "--account=earth", "--gpus-per-node=2", "--cpus-per-task=3", "--mem=5GB",
        "--time=7", "--signal=USR2@90",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    # Loaded before the command, which is this Python's.
    assert script.index("module load cuda") < script.index("srun ")
    assert "submitit.core._submit" in script


def test_where_there_is_no_slurm_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no `srun` here"):
        start(tmp_path, "results", "slurm")


def _is_up() -> bool:
    return shutil.which("sinfo") is not None and not subprocess.call(["sinfo"], stdout=subprocess.DEVNULL)


@pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")
@pytest.mark.skipif(not _is_up(), reason="needs a running SLURM: Debian's slurm-wlm on one node will do")
def test_a_real_slurm_gives_the_records_of_one_process(tmp_path: Path) -> None:
    def contents(output: str) -> dict[str, Any]:
        return {one.key: (one.run, one.score, one.predictions_sha256) for one in RecordStore(tmp_path / output)}

    assert [one.outcome for one in start(tmp_path, "here", "inline")] == ["done", "done"]
    asked = ("executor.gpus=0", "executor.cpus=1", "executor.memory_gb=2", "executor.minutes=10")
    assert [one.outcome for one in start(tmp_path, "there", "slurm", *asked)] == ["done", "done"]
    assert contents("there") == contents("here")
