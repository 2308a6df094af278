"""Whole runs through `main`, small ones: both tasks, every kind of fuser, and what enters a number or a key."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.commands import cache
from benchmark.record_store import RecordStore
from reports.tables import tables
from tests.commands import DEMO, SHORT, run
from tests.writing import write_dataset

FUSED = ("mean", "gw", "moe-balanced")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module keep what they ingest."""
    return tmp_path_factory.mktemp("home")


def test_real_segmentation_files_are_trained_on_and_scored(home: Path, geobench_real: Path) -> None:
    code = run(
        home, "--encoder", "imagestats", "--dataset", "m-chesapeake,m-SA-crop-type", "--data-root", str(geobench_real),
        "--protocol", "smoke", "--probe", "linear", "--output", str(home / "segmentation"),
    )  # fmt: skip
    assert code == 0
    store = RecordStore(home / "segmentation")
    for record in store:
        predictions = np.load(store.predictions_path(record.key), allow_pickle=False)
        assert predictions["masks"].dtype == np.uint8
        assert predictions["masks"].shape == (record.score.n_test, 256, 256)
        right = predictions["confusions"].sum(0).trace() / predictions["confusions"].sum()
        assert record.score.metrics["pixel_accuracy"] == pytest.approx(right)
        assert not record.ranked


def test_fusers_trained_on_one_stream_give_the_records_of_each_trained_alone(home: Path, tmp_path: Path) -> None:
    kept = tmp_path / "features"
    shared = (*DEMO, "--protocol", "smoke", "--seeds", "2", "--device", "cpu", "--features-dir", str(kept))
    shared += ("protocol.epochs=1",)
    rows = ",".join(f"satdifuser_tiny-{fusion}" for fusion in FUSED)
    assert run(home, *shared, "--encoder", rows, "--output", str(tmp_path / "together")) == 0
    together = RecordStore(tmp_path / "together")
    assert sorted((record.run.fusion, record.run.seed) for record in together) == [
        (fusion, seed) for fusion in sorted(FUSED) for seed in (0, 1)
    ]
    assert len({record.predictions_sha256 for record in together}) == 2 * len(FUSED)
    assert all(record.cost.trained_parameters > 0 for record in together)
    # What has no look at places is stored without them; the others share one set of maps.
    assert sorted(one.about.tier for one in cache.entries(kept) if one.about) == ["maps"] * 3 + ["pooled"] * 3
    alone = ("--encoder", "satdifuser_tiny", "--fusion", "gw", "--output", str(tmp_path / "alone"))
    assert run(home, *shared, *alone) == 0
    for record in RecordStore(tmp_path / "alone"):
        other = together.read(record.key)
        assert (record.score, record.predictions_sha256) == (other.score, other.predictions_sha256)


def test_flipped_copies_are_of_train_alone_and_make_another_run(home: Path, tmp_path: Path) -> None:
    arguments = (*DEMO, "--encoder", "rcf", "--device", "cpu")
    arguments += ("--output", str(tmp_path), "--features-dir", str(tmp_path))
    assert run(home, *arguments, "protocol.augmentation=flips", *SHORT) == 0
    assert run(home, *arguments, *SHORT) == 0
    flipped, plain = sorted(RecordStore(tmp_path), key=lambda record: -record.cost.images)
    assert (plain.cost.images, flipped.cost.images) == (109 + 34 + 51, 4 * 109 + 34 + 51)
    assert flipped.score.n_train == plain.score.n_train == 109
    assert flipped.run.protocol_hash != plain.run.protocol_hash
    assert flipped.predictions_sha256 != plain.predictions_sha256


def test_a_fuser_that_fits_no_level_stops_alone(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (*DEMO, "--protocol", "smoke", "--encoder", "imagestats-lw,imagestats-gw", "--device", "cpu")
    assert run(home, *arguments, "--output", str(tmp_path)) == 2
    assert "imagestats-lw / real-chesapeake-patches / linear: fusion lw" in capsys.readouterr().err
    assert [record.run.fusion for record in RecordStore(tmp_path)] == ["gw"]


def test_all_modules_and_views_by_principal_components_are_a_second_row_of_one_table(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "croma_tiny,croma_tiny-pca"
    arguments = (*DEMO, "--encoder", rows, "--probe", "linear", "--device", "cpu", "--output", str(tmp_path), *SHORT)
    assert run(home, *arguments) == 0
    plain, reduced = sorted(RecordStore(tmp_path), key=lambda record: record.run.fusion)
    assert reduced.run.fuser == {"kind": "pca", "components": 1024}
    kept = reduced.score.n_train - 1
    assert f"{kept} principal components instead of 1024: there are no more in train" in reduced.flags
    # One weight a component and an intercept, a class.
    assert reduced.cost.trained_parameters % (kept + 1) == 0 < reduced.cost.trained_parameters
    assert reduced.predictions_sha256 != plain.predictions_sha256
    assert len(tables([plain, reduced])) == 1
    capsys.readouterr()
    masks = ("--demo", "--dataset", "real-neontree-crops", "--protocol", "smoke", "--dry-run")
    assert run(home, *masks, "--encoder", "croma_tiny-pca", "--output", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "impossible" in said
    assert "fusion pca averages over the image" in said


def test_the_demo_runs_masks_too(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "--demo", "--dry-run", "--output", str(tmp_path)) == 0
    assert "satdifuser:tiny-gw (satdifuser_tiny) / real-neontree-crops / upernet: would run" in capsys.readouterr().out
    arguments = ("--demo", "--encoder", "imagestats", "--dataset", "real-neontree-crops", "--protocol", "demo")
    assert run(home, *arguments, "protocol.epochs=2", "--device", "cpu", "--output", str(tmp_path)) == 0
    (record,) = RecordStore(tmp_path)
    assert {"miou_truth", "miou_labelled", "iou_1", "pixel_accuracy", "ece"} <= record.score.metrics.keys()
    pixels = 8 * 128 * 128
    assert np.sum(record.score.confusion) == pixels
    assert np.sum(np.array(record.score.calibration)[:, 0]) == pixels
    assert record.score.n_groups == 4


def test_a_multi_label_dataset_runs_end_to_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_dataset(root, "m-bigearthnet", n=(24, 8, 8), seed=1)
    arguments = (
        "--encoder",
        "imagestats",
        "--dataset",
        "m-bigearthnet",
        "--bands",
        "authors",
        "--data-root",
        str(root),
    )
    assert run(tmp_path, *arguments, "--output", str(tmp_path / "results"), *SHORT) == 0
    (record,) = RecordStore(tmp_path / "results")
    assert record.score.headline == "f1_micro"
    assert "map_micro" in record.score.metrics
    assert len(record.input_card["channels"]) == 12


def test_learnable_content_is_learnt_and_noise_stays_at_chance(tmp_path: Path) -> None:
    accuracy = {}
    for signal in (0.0, 1.0):
        root = tmp_path / str(signal)
        write_dataset(root, "m-eurosat", n=(100, 40, 150), seed=3, signal=signal)
        arguments = ("--encoder", "imagestats", "--dataset", "m-eurosat", "--data-root", str(root))
        assert run(tmp_path, *arguments, "--output", str(root / "results"), *SHORT) == 0
        (record,) = RecordStore(root / "results")
        accuracy[signal] = record.score.metrics["accuracy"]
    assert accuracy[1.0] > 0.6
    assert accuracy[0.0] < 0.22


def test_a_label_fraction_is_a_run_of_its_own(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_dataset(root, "m-eurosat", n=(40, 10, 10), seed=0)
    arguments = ("--encoder", "imagestats", "--dataset", "m-eurosat", "--data-root", str(root))
    arguments += ("--output", str(tmp_path))
    assert run(tmp_path, *arguments, *SHORT) == 0
    assert run(tmp_path, *arguments, "--partition", "0.10x_train", *SHORT) == 0
    sizes = {record.run.partition: record.score.n_train for record in RecordStore(tmp_path)}
    assert sizes == {"default": 40, "0.10x_train": 4}
