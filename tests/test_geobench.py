"""The reader of GEO-Bench's files: real ones, ones written in its layout, and damaged ones."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmark.data import datasets, geobench
from encoders.errors import UserError
from tests import writing

REAL = ("m-eurosat", "m-brick-kiln", "m-chesapeake", "m-SA-crop-type")


def folder_of(root: Path, name: str) -> Path:
    return root / datasets.dataset(name).folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("written")
    for name in datasets.select("all"):
        writing.write_dataset(root, name, (2, 1, 1))
    return root


@pytest.fixture
def eurosat(tmp_path: Path, geobench_real: Path) -> Path:
    """A copy of the real m-eurosat that may be damaged."""
    return Path(shutil.copytree(folder_of(geobench_real, "m-eurosat"), tmp_path / "m-eurosat"))


def read_with_geobench(folder: Path, sample: str) -> tuple[dict[str, np.ndarray], int | np.ndarray]:
    package = pytest.importorskip("geobench.dataset", reason="geobench needs Python 3.12")
    found = package.load_sample_hdf5(folder / f"{sample}.hdf5")
    label = (
        found.label.data if hasattr(found.label, "data") and not isinstance(found.label, np.ndarray) else found.label
    )
    return {band.band_info.name: band.data for band in found.bands if band.band_info.name != "label"}, label


def assert_agrees_with_geobench(folder: Path) -> None:
    for names in geobench.read_partition(folder).values():
        for name in names:
            theirs, label = read_with_geobench(folder, name)
            ours = geobench.read_sample(geobench.sample_path(folder, name))
            assert list(ours.bands) == list(theirs)
            for band, pixels in theirs.items():
                assert ours.bands[band].dtype == pixels.dtype
                np.testing.assert_array_equal(ours.bands[band], pixels.squeeze(), strict=True)
            np.testing.assert_array_equal(np.asarray(ours.label), np.asarray(label))


@pytest.mark.parametrize("name", REAL)
def test_real_files_read_as_geobench_reads_them(geobench_real: Path, name: str) -> None:
    assert_agrees_with_geobench(folder_of(geobench_real, name))


def test_every_written_dataset_reads_as_geobench_reads_it(written: Path) -> None:
    for name in datasets.select("all"):
        assert_agrees_with_geobench(folder_of(written, name))


def test_files_that_geobench_writes_read_as_geobench_reads_them(tmp_path: Path) -> None:
    package = pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    from affine import Affine
    from rasterio.crs import CRS

    rng = np.random.default_rng(0)
    bands = [
        package.dataset.Band(
            rng.random((8, 8), np.float32),
            info,
            10,
            date=writing.DATE,
            transform=Affine(10, 0, 3, 0, -10, 5),
            crs=CRS.from_epsg(32618),
            meta_info={"cloud": 0.5},
        )
        for info in package.dataset.sentinel2_13_bands[:4]
    ]
    hot = np.array([0, 1, 1, 0])
    package.dataset.Sample(bands, hot, "a_1.5").write(tmp_path)
    theirs, label = read_with_geobench(tmp_path, "a_1.5")
    ours = geobench.read_sample(tmp_path / "a_1.5.hdf5")
    assert list(ours.bands) == list(theirs)
    assert all(np.array_equal(ours.bands[band], theirs[band]) for band in theirs)
    np.testing.assert_array_equal(ours.label, label)


def test_geobench_opens_what_the_writing_helper_writes(written: Path) -> None:
    package = pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    task = package.load_task_specs(folder_of(written, "m-so2sat"))
    opened = task.get_dataset(split="train", partition_name="0.50x_train", band_names=["04 - Red", "03 - Green"])
    pixels, _ = opened[0].pack_to_3d(["04 - Red", "03 - Green"])
    assert pixels.shape == (32, 32, 2)
    assert len(opened) == 1
    assert opened.band_stats["label"].max >= 0


def test_only_the_bands_asked_for_come_in_the_order_asked_for(geobench_real: Path) -> None:
    path = geobench.sample_path(folder_of(geobench_real, "m-eurosat"), "id_0000")
    sample = geobench.read_sample(path, ["04 - Red", "02 - Blue"], with_label=False)
    assert list(sample.bands) == ["04 - Red", "02 - Blue"]
    assert sample.label is None


@pytest.mark.parametrize("name", ["m-forestnet", "m-cashew-plant", "m-nz-cattle"])
def test_dated_keys_are_found_by_the_name_before_the_date(written: Path, name: str) -> None:
    folder = folder_of(written, name)
    sample = geobench.sample_path(folder, geobench.read_partition(folder)["train"][0])
    with h5py.File(sample) as file:
        assert all(re.search(r"_2017-01-01$", key) for key in file if not key.startswith("label"))
    bands = [band.name for band in datasets.dataset(name).bands]
    assert list(geobench.read_sample(sample, bands).bands) == bands


def test_single_channel_cubes_are_squeezed_and_spectral_cubes_kept(written: Path) -> None:
    folder = folder_of(written, "m-NeonTree")
    sample = geobench.sample_path(folder, geobench.read_partition(folder)["train"][0])
    bands = geobench.read_sample(sample).bands
    assert bands["Canopy Height Model"].shape == (40, 40)
    assert bands["Neon"].shape == (40, 40, 369)


def test_task_specs_say_names_classes_and_bands(geobench_real: Path) -> None:
    specs = geobench.read_task_specs(folder_of(geobench_real, "m-brick-kiln"))
    assert specs.class_names == ("not brick kiln", "brick kiln")
    assert (specs.n_classes, len(specs.bands), specs.label) == (2, 13, "Classification")


def test_task_specs_that_are_absent_say_nothing(tmp_path: Path) -> None:
    assert geobench.read_task_specs(tmp_path) == geobench.TaskSpecs(tmp_path.name)


def test_old_files_without_bands_order_give_all_their_bands(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.hdf5", "w") as file:
        file["Red"] = np.ones((4, 4), "u1")
        file.attrs["pickle"] = str(writing.dumps({"label": 1}))
    assert list(geobench.read_sample(tmp_path / "old.hdf5").bands) == ["Red"]


# --- partitions


def damage_partition(folder: Path, change: Callable[[dict[str, list[object]]], object]) -> None:
    path = folder / "default_partition.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("valid"), "must hold the splits"),
        (lambda c: c.update(train={}), "split train is not a list"),
        (lambda c: c.update(test=[]), "split test is not a list"),
        (lambda c: c["train"].append(7), "'7', which is no sample name"),
        (lambda c: c["train"].append("../../secret"), "which is no sample name"),
        (lambda c: c["train"].append("a/b"), "which is no sample name"),
        (lambda c: c["train"].append("id_0000"), "names id_0000 twice"),
        (lambda c: c["test"].append("id_0000"), "id_0000 is in train and in test"),
        (
            lambda c: c["train"].extend(["x", "y"]),
            "2 of 5 files of split train are missing, the first is x.hdf5",
        ),
    ],
)
def test_a_bad_partition_is_one_sentence(
    eurosat: Path, change: Callable[[dict[str, list[object]]], object], says: str
) -> None:
    damage_partition(eurosat, change)
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        geobench.read_partition(eurosat)
    assert "\n" not in str(caught.value)
    assert "m-eurosat" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_a_partition_that_is_not_json_is_one_sentence(eurosat: Path, text: str) -> None:
    (eurosat / "default_partition.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"default_partition.json: .*download"):
        geobench.read_partition(eurosat)


def test_an_unknown_partition_names_those_there_are(eurosat: Path) -> None:
    with pytest.raises(UserError, match=r"no partition '0.1x_train'; did you mean .*1.00x_train"):
        geobench.read_partition(eurosat, "0.1x_train")


# --- damaged samples


def rewrite(path: Path, band: str, pixels: np.ndarray) -> None:
    with h5py.File(path, "r+") as file:
        del file[band]
        file[band] = pixels


def relabel(path: Path, label: object, **other: object) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["pickle"] = str(writing.dumps({**({} if label is None else {"label": label}), **other}))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60_000])


def with_nan(path: Path) -> None:
    pixels = np.ones((64, 64), "f4")
    pixels[3, 4], pixels[5, 6] = np.nan, np.inf
    rewrite(path, "04 - Red", pixels)


def without_band(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["04 - Red"]


def without_attribute(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["pickle"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, "cannot be read as HDF5"),
        (lambda p: p.write_bytes(b""), "cannot be read as HDF5"),
        (lambda p: p.write_bytes(b"PK" + bytes(999)), "cannot be read as HDF5"),
        (lambda p: p.unlink(), "no such file"),
        (without_band, "band '04 - Red' is missing"),
        (without_attribute, "attribute 'pickle' is missing"),
        (with_nan, "'04 - Red' holds 2 pixels that are NaN or infinite"),
        (lambda p: rewrite(p, "04 - Red", np.array([[b"ab"] * 8] * 8)), "not a plain number"),
        (lambda p: rewrite(p, "04 - Red", np.ones((64, 64), "c8")), "not a plain number"),
        (lambda p: rewrite(p, "04 - Red", np.ones((64, 64), bool)), "not a plain number"),
        (lambda p: rewrite(p, "04 - Red", np.ones(64)), "not that of an image"),
        (lambda p: rewrite(p, "04 - Red", np.ones((0, 64))), "not that of an image"),
        (lambda p: relabel(p, None), "field 'label' is missing"),
        (lambda p: relabel(p, "forest"), "field 'label' is neither"),
        (lambda p: relabel(p, np.array([0, 2, 1])), "field 'label' is neither"),
        (lambda p: relabel(p, 1, bands_order="Red"), "field 'bands_order' is not a list"),
    ],
)
def test_a_damaged_sample_is_one_sentence_that_names_file_and_field(
    eurosat: Path, damage: Callable[[Path], object], says: str
) -> None:
    path = eurosat / "id_0000.hdf5"
    damage(path)
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        geobench.read_sample(path)
    assert "id_0000.hdf5" in str(caught.value)
    assert "download" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_band_at_two_dates_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "two.hdf5", "w") as file:
        file["Red_2017-01-01"] = file["Red_2018-01-01"] = np.ones((4, 4))
        file.attrs["pickle"] = str(writing.dumps({"label": 1}))
    with pytest.raises(UserError, match="band 'Red' is there at 2 dates"):
        geobench.read_sample(tmp_path / "two.hdf5", ["Red"])


def test_a_mask_of_fractions_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "mask.hdf5", "w") as file:
        file["Red"] = np.ones((4, 4))
        file["label"] = np.ones((4, 4)) / 2
        file.attrs["pickle"] = str(writing.dumps({}))
    with pytest.raises(UserError, match="'label' is no integer mask but float64"):
        geobench.read_sample(tmp_path / "mask.hdf5")
