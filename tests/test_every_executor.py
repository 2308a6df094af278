"""Five encoders x twelve datasets x two seeds, the same records wherever the cells run: the long proof.

Each executor starts from nothing: its own ingest, features and records.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.data import datasets, synthetic
from benchmark.grid.cells import Cell, cells
from benchmark.grid.sweep import sweep
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.request import configuration

if "SATDIFUSER_BENCH_LONG" not in os.environ:
    pytest.skip("takes an hour; set SATDIFUSER_BENCH_LONG=1", allow_module_level=True)
pytest.importorskip("geobench", reason="the synthetic root is written by the geobench package (Python 3.12)")

ROWS = ["croma:tiny-gw", "dofa:tiny-gw", "satmae:tiny-gw", "satlas:tiny-gw", "satdifuser_tiny-gw"]
SEEDS = 2


def request(executor: str, *overrides: str) -> configuration.Request:
    return configuration.compose(
        rows=ROWS,
        dataset_choice="all",
        probe=None,
        protocol="smoke",
        settings={"bands": "authors", "device": "cpu"},
        overrides=[f"protocol.seeds={SEEDS}", "executor.threads=1", *overrides],
        executor=executor,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twelve") / "root"
    synthetic.write_root(folder, datasets.select("all"), sizes=(8, 4, 4))
    return folder


def records(root: Path, home: Path, executor: str, *overrides: str) -> dict[str, Any]:
    asked = request(executor, *overrides)
    grid: list[Cell] = cells(asked)
    places = Places(root, home / "data", home / "features", home / "weights", home / "results")
    results = sweep(grid, places, asked.executor)
    assert [(result.cell.label, result.message) for result in results if result.outcome != "done"] == []
    return {one.key: (one.run, one.score, one.predictions_sha256) for one in RecordStore(home / "results")}


@pytest.fixture(scope="module")
def expected(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = records(root, tmp_path_factory.mktemp("inline"), "inline")
    assert len(found) == len(ROWS) * 12 * SEEDS
    return found


def test_local_workers(root: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    assert records(root, tmp_path, "local", "executor.workers=2") == expected


def test_submitits_own_executor(root: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="needs the slurm extra")
    assert (
        records(root, tmp_path, "slurm", "executor.cluster=local", "executor.gpus=0", "executor.parallel=2") == expected
    )


def test_a_ray_of_two_workers(root: Path, expected: dict[str, Any], tmp_path: Path, cluster: str) -> None:
    chosen = (f"executor.address='{cluster}'", "executor.gpus=0", "executor.cpus=1")
    assert records(root, tmp_path, "ray", *chosen) == expected
