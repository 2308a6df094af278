"""Ingest: what lies on disk afterwards, and what happens when it goes wrong half-way."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmark.data import datasets, geobench, ingest, moments
from encoders.errors import UserError
from tests import writing

EUROSAT = datasets.dataset("m-eurosat")
SIZES = (12, 4, 5)
ROOT = Path(ingest.__file__).parents[2]


def folder_of(root: Path) -> Path:
    return root / EUROSAT.folder


# --- what lies there afterwards


@pytest.mark.parametrize("name", ["m-eurosat", "m-brick-kiln", "m-bigearthnet", "m-SA-crop-type", "m-nz-cattle"])
def test_arrays_equal_what_the_reader_reads(tmp_path: Path, name: str) -> None:
    dataset = datasets.dataset(name)
    folder = writing.write_dataset(tmp_path, name, (3, 1, 2))
    opened = ingest.open_dataset(dataset, tmp_path, tmp_path / "ingest")
    for split, names in geobench.read_partition(folder).items():
        found = opened.splits[split]
        assert found.samples == names
        assert isinstance(found.images, np.memmap)
        for row, sample in enumerate(names):
            read = geobench.read_sample(geobench.sample_path(folder, sample))
            for channel, band in enumerate(found.bands):
                np.testing.assert_array_equal(found.images[row, channel], read.bands[band.name], strict=True)
            np.testing.assert_array_equal(found.labels[row], read.label)


def test_labels_have_the_dtype_of_their_task(tmp_path: Path) -> None:
    for name, dtype in (("m-so2sat", np.int64), ("m-bigearthnet", np.uint8), ("m-SA-crop-type", np.uint8)):
        writing.write_dataset(tmp_path, name, (1, 1, 1))
        split = ingest.open_dataset(datasets.dataset(name), tmp_path, tmp_path / "ingest").splits["train"]
        assert split.labels.dtype == dtype
        assert split.groups.dtype == np.int32


def test_bands_of_another_grid_get_their_own_array(tmp_path: Path) -> None:
    folder = writing.write_dataset(tmp_path, "m-NeonTree", (2, 1, 1))
    split = ingest.open_dataset(datasets.dataset("m-NeonTree"), tmp_path, tmp_path / "ingest").splits["train"]
    assert split.images.shape == (2, 3, 400, 400)
    ((heights, bands),) = split.other_grids
    assert [band.band for band in bands] == ["CHM"]
    sample = geobench.read_sample(geobench.sample_path(folder, split.samples[1]))
    np.testing.assert_array_equal(heights[1, 0], sample.bands["Canopy Height Model"])


def test_statistics_are_exact(geobench_copy: Path, tmp_path: Path) -> None:
    opened = ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    images = np.asarray(opened.splits["train"].images, np.float64)
    for channel, band in enumerate(opened.splits["train"].bands):
        found = opened.statistics[band.band]
        pixels = images[:, channel]
        np.testing.assert_allclose([found.mean, found.std], [pixels.mean(), pixels.std()], rtol=1e-12)
        assert (found.min, found.max) == (pixels.min(), pixels.max())
        assert found.decibel_mean is None


def test_radar_statistics_are_exact_in_decibels_too(tmp_path: Path) -> None:
    from encoders.scaling import POWER_FLOOR

    writing.write_dataset(tmp_path, "m-so2sat", (9, 1, 1))
    opened = ingest.open_dataset(datasets.dataset("m-so2sat"), tmp_path, tmp_path / "ingest")
    split = opened.splits["train"]
    channel = [band.band for band in split.bands].index("VV")
    decibels = 10 * np.log10(np.maximum(np.asarray(split.images[:, channel], np.float64), POWER_FLOOR))
    found = opened.statistics["VV"]
    np.testing.assert_allclose([found.decibel_mean, found.decibel_std], [decibels.mean(), decibels.std()], rtol=1e-12)


def test_moments_merge_exactly_far_from_zero() -> None:
    pixels = np.random.default_rng(0).normal(1e6, 1.0, (50, 8, 8))
    merged = moments.merge(np.stack([moments.of_image(image, False) for image in pixels]), 64)
    np.testing.assert_allclose([merged.mean, merged.std], [pixels.mean(), pixels.std()], rtol=1e-9)


def test_the_second_opening_reads_no_sample(geobench_copy: Path, tmp_path: Path, reads: list[str]) -> None:
    ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    reads.clear()
    ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    assert reads == []


def test_manifest_counts_classes_and_blank_images(geobench_copy: Path, tmp_path: Path) -> None:
    path = geobench.sample_path(folder_of(geobench_copy), "id_0003")
    with h5py.File(path, "r+") as file:
        for key in file:
            file[key][...] = 7
    opened = ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    folder = ingest.ingest_folder(EUROSAT, folder_of(geobench_copy), tmp_path / "ingest")
    manifest = json.loads((folder / "train" / "manifest.json").read_text())
    assert manifest["class_counts"] == [2, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert manifest["blank_images"] == 1
    assert any("1 images are constant in every band" in warning for warning in opened.warnings)


# --- fingerprints


def fingerprints(root: Path, ingest_dir: Path, partition: str = "default") -> dict[str, str]:
    opened = ingest.open_dataset(EUROSAT, root, ingest_dir, partition)
    return {name: split.fingerprint for name, split in opened.splits.items()}


def test_fingerprints_depend_on_content_alone(geobench_copy: Path, geobench_written: Path, tmp_path: Path) -> None:
    for path in folder_of(geobench_copy).iterdir():
        os.utime(path, (1, 1))
    assert fingerprints(geobench_copy, tmp_path / "a") == fingerprints(geobench_written, tmp_path / "b")


def test_one_changed_pixel_changes_the_fingerprint_of_its_split_only(
    geobench_copy: Path, geobench_written: Path, tmp_path: Path
) -> None:
    before = fingerprints(geobench_copy, tmp_path / "ingest")
    with h5py.File(geobench.sample_path(folder_of(geobench_copy), "id_0013"), "r+") as file:
        file["04 - Red"][0, 0] += 1
    after = fingerprints(geobench_copy, tmp_path / "ingest")
    assert (after["train"], after["test"]) == (before["train"], before["test"])
    assert after["valid"] != before["valid"]


def test_fingerprints_are_known_without_reading_once_ingested(
    geobench_copy: Path, tmp_path: Path, reads: list[str]
) -> None:
    ask = (EUROSAT, geobench_copy, tmp_path / "ingest")
    assert ingest.fingerprints_if_ingested(*ask) is None
    opened = fingerprints(geobench_copy, tmp_path / "ingest")
    reads.clear()
    assert ingest.fingerprints_if_ingested(*ask) == opened
    assert ingest.fingerprints_if_ingested(*ask, "0.50x_train") == fingerprints(
        geobench_copy, tmp_path / "ingest", "0.50x_train"
    )
    assert reads == []
    os.utime(geobench.sample_path(folder_of(geobench_copy), "id_0000"), (1, 1))
    assert ingest.fingerprints_if_ingested(*ask) is None
    assert ingest.fingerprints_if_ingested(EUROSAT, tmp_path / "nowhere", tmp_path / "ingest") is None


# --- partitions


def test_a_partition_is_rows_of_the_default_ingest(geobench_copy: Path, tmp_path: Path, reads: list[str]) -> None:
    whole = ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest")
    reads.clear()
    half = ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest", "0.50x_train")
    assert reads == []
    train = half.splits["train"]
    chosen = geobench.read_partition(folder_of(geobench_copy), "0.50x_train")["train"]
    assert train.samples == chosen
    assert [whole.splits["train"].samples[row] for row in train.rows] == list(chosen)
    np.testing.assert_array_equal(np.asarray(train.images), whole.splits["train"].images[train.rows])
    np.testing.assert_array_equal(train.images[1:3], whole.splits["train"].images[train.rows[1:3]])
    np.testing.assert_array_equal(train.labels, whole.splits["train"].labels[train.rows])
    assert train.fingerprint != whole.splits["train"].fingerprint == train.default_fingerprint
    assert half.splits["test"].fingerprint == whole.splits["test"].fingerprint
    pixels = np.asarray(train.images, np.float64)[:, 0]
    np.testing.assert_allclose(half.statistics["B01"].std, pixels.std(), rtol=1e-12)


def test_equal_content_in_equal_order_has_equal_fingerprints(geobench_copy: Path, tmp_path: Path) -> None:
    shutil.copy(folder_of(geobench_copy) / "default_partition.json", folder_of(geobench_copy) / "copy_partition.json")
    assert fingerprints(geobench_copy, tmp_path / "i", "copy") == fingerprints(geobench_copy, tmp_path / "i")
    assert fingerprints(geobench_copy, tmp_path / "i", "1.00x_train") != fingerprints(geobench_copy, tmp_path / "i")


def test_a_partition_that_moves_samples_between_splits_is_refused(geobench_copy: Path, tmp_path: Path) -> None:
    splits = json.loads((folder_of(geobench_copy) / "default_partition.json").read_text())
    splits["train"].append(splits["test"].pop())
    (folder_of(geobench_copy) / "mixed_partition.json").write_text(json.dumps(splits))
    with pytest.raises(UserError, match="partition 'mixed': id_0020 of its split train is not in that split"):
        ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "ingest", "mixed")


# --- groups


def test_groups_by_name_and_by_mask(tmp_path: Path) -> None:
    crops = datasets.dataset("m-SA-crop-type")
    folder = writing.write_dataset(tmp_path, "m-SA-crop-type", (3, 1, 1))
    for old, new in (("0001_0", "0000_1"), ("0004_0", "0002_3")):
        stem = "ref_south_africa_crops_competition_v1_train_labels_"
        (folder / f"{stem}{old}.hdf5").rename(folder / f"{stem}{new}.hdf5")
        for path in folder.glob("*_partition.json"):
            path.write_text(path.read_text().replace(stem + old, stem + new))
    opened = ingest.open_dataset(crops, tmp_path, tmp_path / "ingest")
    assert opened.splits["train"].groups.tolist() == [0, 0, 1]
    assert any("1 of 1 test groups" in warning for warning in opened.warnings)


def test_samples_with_the_same_mask_are_one_group(tmp_path: Path) -> None:
    cashew = datasets.dataset("m-cashew-plant")
    folder = writing.write_dataset(tmp_path, "m-cashew-plant", (3, 1, 1))
    with h5py.File(folder / "sample_0.hdf5") as first, h5py.File(folder / "sample_2.hdf5", "r+") as third:
        third["label"][...] = first["label"][...]
    opened = ingest.open_dataset(cashew, tmp_path, tmp_path / "ingest")
    assert opened.splits["train"].groups.tolist() == [0, 1, 0]


# --- where data is looked for


@pytest.mark.parametrize("data_root", [None, Path("nowhere")])
def test_absent_data_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path, data_root: Path | None) -> None:
    with pytest.raises(UserError) as caught:
        ingest.open_dataset(EUROSAT, data_root, tmp_path)
    for words in ("m-eurosat", "--data-root", "$GEO_BENCH_DIR", "recursix/geo-bench-1.0", "--demo"):
        assert words in str(caught.value)
    assert data_root is None or "nowhere/classification_v1.0/m-eurosat" in str(caught.value)


def test_an_ingest_folder_that_cannot_be_made_is_one_sentence(geobench_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="--ingest-dir"):
        ingest.open_dataset(EUROSAT, geobench_copy, tmp_path / "taken" / "below")


def test_the_bundled_sample_needs_no_data_root(tmp_path: Path) -> None:
    opened = ingest.open_dataset(datasets.dataset("demo"), None, tmp_path)
    assert [len(split.samples) for split in opened.splits.values()] == [109, 34, 51]
    assert sorted(set(opened.splits["train"].labels.tolist())) == [0, 1, 2, 3]
    assert len(set(opened.splits["test"].groups.tolist())) == 4


def test_ingest_does_not_import_torch(geobench_copy: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmark.data import datasets, ingest; "
        "ingest.open_dataset(datasets.dataset('m-eurosat'), Path(sys.argv[1]), Path(sys.argv[2])); "
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(geobench_copy), str(tmp_path / "ingest")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
