"""All twelve datasets in one command, twice: the long proof, for the nightly run.

Written by the geobench package with made-up content that can be learnt, and once with none.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import evaluate
from benchmark.record_store import RecordStore
from benchmark.records import Record
from tests.commands import run

if "SATDIFUSER_BENCH_LONG" not in os.environ:
    pytest.skip("takes half an hour; set SATDIFUSER_BENCH_LONG=1", allow_module_level=True)
pytest.importorskip("geobench", reason="the synthetic root is written by the geobench package (Python 3.12)")

ROWS = "imagestats,rcf,satdifuser_tiny-gw,satdifuser_tiny-lw,satdifuser_tiny-moe"


def twelve(root: Path, home: Path, rows: str = ROWS, datasets: str = "all") -> dict[tuple[str, str, str], Record]:
    arguments = ("--encoder", rows, "--dataset", datasets, "--protocol", "smoke", "--device", "cpu")
    assert run(home, *arguments, "--data-root", str(root), "--output", str(home / "results")) == 0
    return {(one.run.encoder, one.run.fusion, one.run.dataset): one for one in RecordStore(home / "results")}


def write(folder: Path, signal: str) -> Path:
    assert evaluate.main(["fetch", "dataset", "--synthetic", str(folder), "--signal", signal]) == 0
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("synthetic"), "1")


@pytest.fixture(scope="module")
def first(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Record]:
    return twelve(root, tmp_path_factory.mktemp("first"))


def test_every_cell_has_a_record_and_again_the_same(
    root: Path, first: dict[tuple[str, str, str], Record], tmp_path: Path
) -> None:
    assert len(first) == 5 * 12
    again = twelve(root, tmp_path)
    assert again.keys() == first.keys()
    for key, record in again.items():
        other = first[key]
        assert (record.run, record.score, record.predictions_sha256) == (
            other.run,
            other.score,
            other.predictions_sha256,
        ), key


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Record]:
    """Image statistics on images that say nothing of their labels."""
    root = write(tmp_path_factory.mktemp("noise"), "0")
    return twelve(root, tmp_path_factory.mktemp("home"), "imagestats")


def test_content_is_learnt_and_noise_is_not(
    first: dict[tuple[str, str, str], Record], noise: dict[tuple[str, str, str], Record]
) -> None:
    assert len(noise) == 12
    for key, record in noise.items():
        learnt, guessed = (one.score.metrics[one.score.headline] for one in (first[key], record))
        # m-bigearthnet: 43 labels from 24 images.
        assert learnt > guessed + 0.05, key


def test_noise_is_classified_by_chance(
    first: dict[tuple[str, str, str], Record], noise: dict[tuple[str, str, str], Record]
) -> None:
    """Over all single-label datasets; who knows nothing is right as often as the largest class occurs, at most."""
    chosen = [key for key, record in noise.items() if record.score.headline == "accuracy"]
    learnt, guessed = (sum(np.trace(np.array(one[key].score.confusion)) for key in chosen) for one in (first, noise))
    truth = [np.array(noise[key].score.confusion).sum(axis=1) for key in chosen]
    images, share = np.array([t.sum() for t in truth]), np.array([t.max() / t.sum() for t in truth])
    chance, deviation = (images * share).sum(), np.sqrt((images * share * (1 - share)).sum())
    assert len(chosen) == 5
    assert guessed < chance + 4 * deviation
    assert learnt > chance + 8 * deviation
