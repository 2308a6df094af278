"""The catalogue: every file is valid, facts are the sources', and real bands are what it says they are."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

import configs
from benchmark.data import datasets, ingest, proofs
from benchmark.data.dataset import Dataset
from benchmark.data.moments import BandStatistics
from encoders.bands import KNOWN
from encoders.errors import UserError
from tests import writing

TWELVE = (
    *("m-bigearthnet", "m-brick-kiln", "m-eurosat", "m-forestnet", "m-pv4ger", "m-so2sat"),
    *("m-cashew-plant", "m-chesapeake", "m-NeonTree", "m-nz-cattle", "m-pv4ger-seg", "m-SA-crop-type"),
)
REAL = ("m-eurosat", "m-brick-kiln", "m-chesapeake", "m-SA-crop-type")

EXTREMES = {
    # Train minima and maxima of the release (torchgeo-bench), of the bands nearest to a bound.
    ("m-bigearthnet", "B02"): (0.0, 20545.0),
    ("m-bigearthnet", "B01"): (1.0, 18268.0),
    ("m-brick-kiln", "B01"): (9.6923, 2823.22),
    ("m-brick-kiln", "TCI_B"): (6.0, 255.0),
    ("m-eurosat", "B08"): (0.0, 28002.0),
    ("m-eurosat", "B09"): (41.0, 3761.0),
    ("m-eurosat", "B10"): (1.0, 90.0),
    ("m-forestnet", "L8_B5"): (0.0, 250.0),
    ("m-pv4ger", "red"): (1.0, 254.0),
    ("m-so2sat", "VH"): (0.0, 10867.4),
    ("m-so2sat", "VV"): (0.0005, 9950.03),
    ("m-so2sat", "B06"): (0.0001, 2.8002),
}


def test_the_catalogue_holds_the_twelve_and_the_bundled_samples() -> None:
    assert tuple(datasets.names()) == (*TWELVE[:6], "real-chesapeake-patches", *TWELVE[6:], "real-neontree-crops")
    assert tuple(datasets.select("all")) == TWELVE
    assert tuple(datasets.select("segmentation")) == TWELVE[6:]


@pytest.mark.parametrize("name", datasets.names())
def test_every_file_is_valid_consistent_and_says_how_it_is_used(name: str) -> None:
    dataset = datasets.dataset(name)
    path = configs.ROOT / "dataset" / f"{name}.yaml"
    first = path.read_text().splitlines()[0]
    assert first.startswith("# uv run evaluate.py --encoder ")
    assert f" --dataset {name}" in first
    assert dataset.name == name
    assert dataset.benchmark == f"{dataset.task}_v1.0"
    assert dataset.class_names is None or len(dataset.class_names) == len(set(dataset.class_names))
    assert dataset.class_names is None or len(dataset.class_names) == dataset.num_classes
    for attribute in ("name", "band"):
        values = [getattr(band, attribute) for band in dataset.bands]
        assert len(values) == len(set(values))
    for check in proofs.range_checks(dataset):
        assert check.band in {band.band for band in dataset.bands}
    assert {name for check in dataset.correlations for name in check.bands} <= {b.band for b in dataset.main_bands}
    assert (dataset.task == "segmentation") == dataset.metric.startswith("miou")


@pytest.mark.parametrize("name", TWELVE)
def test_wavelengths_are_the_bands_own(name: str) -> None:
    for band in datasets.dataset(name).bands:
        known = KNOWN.get(band.band)
        if known is not None and (name, band.band) != ("m-chesapeake", "nir"):
            assert band.wavelength_um == known.wavelength_um
        assert band.unit is not None or band.wavelength_um is None


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("m-eurosat", "B01 B02 B03 B04 B05 B06 B07 B08 B09 B10 B11 B12 B8A"),
        ("m-brick-kiln", "B01 B02 B03 B04 B05 B07 B8A B08 B11 B12 TCI_R TCI_G TCI_B"),
    ],
)
def test_misnamed_bands_have_their_true_order_and_keep_their_stored_claim(name: str, order: str) -> None:
    dataset = datasets.dataset(name)
    assert [band.band for band in dataset.bands] == order.split()
    claimed = " ".join(band.identity("stored").name for band in dataset.bands)
    assert claimed == "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12"


def test_facts_are_those_of_the_sources() -> None:
    read = {name: datasets.dataset(name) for name in TWELVE}
    assert [read[name].num_classes for name in TWELVE] == [43, 2, 10, 12, 2, 17, 7, 7, 2, 2, 2, 10]
    assert [read[name].image_size[0] for name in TWELVE] == [
        120,
        64,
        64,
        332,
        320,
        32,
        256,
        256,
        400,
        500,
        320,
        256,
    ]
    assert read["m-brick-kiln"].splits == {"train": 15063, "valid": 999, "test": 999}
    assert read["m-chesapeake"].splits == {"train": 3000, "valid": None, "test": None}
    assert read["m-so2sat"].normalizer == pytest.approx((0.4493, 0.6095), abs=1e-4)
    assert read["m-bigearthnet"].class_names is None
    assert read["m-bigearthnet"].metric == "f1_micro"
    chesapeake, eurosat = read["m-chesapeake"].class_names, read["m-eurosat"].class_names
    assert chesapeake is not None
    assert chesapeake[:2] == ("no-data", "water")
    assert eurosat is not None
    assert list(eurosat) == sorted(eurosat)
    assert {name for name in TWELVE if read[name].no_data == 0} == {
        "m-SA-crop-type",
        "m-cashew-plant",
        "m-chesapeake",
    }
    assert {name for name in TWELVE if read[name].leak} == {"m-cashew-plant"}
    assert {band.gsd_m for band in read["m-cashew-plant"].bands} == {10}


def test_units_are_those_of_the_sources() -> None:
    units = {
        name: {band.unit for band in datasets.dataset(name).bands if band.band not in ("CLOUD", "CHM", "NEON")}
        for name in TWELVE
    }
    assert units["m-bigearthnet"] == units["m-eurosat"] == units["m-cashew-plant"] == {"dn"}
    assert units["m-brick-kiln"] == {"dn", "byte"}
    assert units["m-so2sat"] == {"reflectance", "power", None}
    assert units["m-SA-crop-type"] == {"dn8"}
    assert units["m-chesapeake"] == {"unit"}
    byte = ("m-forestnet", "m-pv4ger", "m-pv4ger-seg", "m-nz-cattle", "m-NeonTree")
    assert all(units[name] == {"byte"} for name in byte)


def test_no_file_names_a_place_of_this_machine() -> None:
    for path in (configs.ROOT / "dataset").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())
        assert "/home" not in path.read_text()


# --- proofs


@pytest.mark.parametrize("name", REAL)
def test_the_bands_of_real_files_are_what_the_catalogue_says(geobench_real: Path, tmp_path: Path, name: str) -> None:
    opened = ingest.open_dataset(datasets.dataset(name), geobench_real, tmp_path)
    assert not [warning for warning in opened.warnings if "correlation" in warning and "train" in warning]


def test_real_chesapeake_labels_are_one_off_from_the_published_list(geobench_real: Path, tmp_path: Path) -> None:
    """Water is 1: its vegetation index is far below zero, that of trees above."""
    dataset = datasets.dataset("m-chesapeake")
    train = ingest.open_dataset(dataset, geobench_real, tmp_path).splits["train"]
    channel = {band.band: np.asarray(train.images[:, index]) for index, band in enumerate(train.bands)}
    index = (channel["nir"] - channel["red"]) / (channel["nir"] + channel["red"] + 1e-6)
    assert dataset.class_names is not None
    water, trees = (dataset.class_names.index(name) for name in ("water", "tree canopy"))
    assert index[train.labels == water].mean() < -0.3 < 0.1 < index[train.labels == trees].mean()
    assert not (train.labels == 0).any()


def test_real_eurosat_statistics_are_known_by_what_bands_really_are(geobench_real: Path, tmp_path: Path) -> None:
    statistics = ingest.open_dataset(datasets.dataset("m-eurosat"), geobench_real, tmp_path).statistics
    assert statistics["B10"].mean < 20
    assert statistics["B8A"].mean > statistics["B08"].mean


@pytest.mark.parametrize("other", ["08A - Vegetation Red Edge", "10 - SWIR - Cirrus", "12 - SWIR"])
def test_cirrus_in_another_channel_is_refused(geobench_real: Path, tmp_path: Path, other: str) -> None:
    root = tmp_path / "root"
    folder = Path(
        shutil.copytree(geobench_real / "classification_v1.0" / "m-eurosat", root / "classification_v1.0" / "m-eurosat")
    )
    for path in folder.glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            cirrus = file["09 - Water vapour"][()]
            file["09 - Water vapour"][...] = file[other][()]
            file[other][...] = cirrus
    with pytest.raises(UserError, match=r"split train: band B10 \(stored as '09 - Water vapour'\) has mean") as caught:
        ingest.open_dataset(datasets.dataset("m-eurosat"), root, tmp_path / "ingest")
    assert "download it again" in str(caught.value)


def test_true_colour_and_measured_bands_swapped_are_refused(tmp_path: Path) -> None:
    folder = writing.write_dataset(tmp_path, "m-brick-kiln", (2, 1, 1))
    for path in folder.glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            red = file["04 - Red"][()]
            file["04 - Red"][...] = file["10 - SWIR - Cirrus"][()]
            file["10 - SWIR - Cirrus"][...] = red
    with pytest.raises(UserError, match=r"band TCI_R .* has max"):
        ingest.open_dataset(datasets.dataset("m-brick-kiln"), tmp_path, tmp_path / "ingest")


@pytest.mark.parametrize(
    ("name", "factor"),
    [("m-so2sat", 10000), ("m-chesapeake", 255), ("m-bigearthnet", 0.0001), ("m-SA-crop-type", 39)],
)
def test_data_in_another_unit_is_refused(tmp_path: Path, name: str, factor: float) -> None:
    dataset = datasets.dataset(name)
    folder = writing.write_dataset(tmp_path, name, (1, 1, 1))
    for path in folder.glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            for band in dataset.bands:
                file[band.name][...] = (file[band.name][()] * factor).astype(file[band.name].dtype)
    with pytest.raises(UserError, match=f"{name}, split train: band"):
        ingest.open_dataset(dataset, tmp_path, tmp_path / "ingest")


@pytest.mark.parametrize(("name", "band"), EXTREMES)
def test_the_published_extremes_pass(name: str, band: str) -> None:
    low, high = EXTREMES[name, band]
    dataset = datasets.dataset(name)
    typical = {
        "dn": (0, 9000),
        "reflectance": (0.01, 0.9),
        "byte": (0, 255),
        "dn8": (0, 255),
        "unit": (0, 1),
        "power": (0, 9),
    }
    statistics = {}
    for described in dataset.bands:
        least, most = (low, high) if described.band == band else typical[described.unit or "unit"]
        mean = 12.3 if described.band == "B10" else (least + most) / 2
        statistics[described.band] = BandStatistics(mean, 1.0, least, most)
    if name == "m-eurosat" and band != "B10":
        statistics["B10"] = BandStatistics(12.3, 4.8, 1.0, 90.0)
    assert all(evidence.passed for evidence in proofs.prove_ranges(dataset, "train", statistics))


def test_uncorrelated_bands_are_a_warning_not_a_refusal(tmp_path: Path) -> None:
    folder = writing.write_dataset(tmp_path, "m-eurosat", (2, 1, 1))
    rng = np.random.default_rng(0)
    for path in folder.glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            file["12 - SWIR"][...] = rng.integers(1000, 5000, (64, 64))
    opened = ingest.open_dataset(datasets.dataset("m-eurosat"), tmp_path, tmp_path / "ingest")
    assert any("correlation of B8A and B08 at least 0.9, found 0.0" in warning for warning in opened.warnings)


def test_a_check_of_the_yaml_replaces_the_units_own() -> None:
    dataset: Dataset = datasets.dataset("m-eurosat")
    checks = [check for check in proofs.range_checks(dataset) if check.band == "B10"]
    assert sorted((check.statistic, check.low, check.high) for check in checks) == [
        ("max", 0, 4000),
        ("mean", 0, 100),
        ("min", -1000, None),
    ]
