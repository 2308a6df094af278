"""The synthetic root: what geobench wrote is read alike by geobench and by us, and holds what it promises."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.data import datasets, geobench, ingest, synthetic
from benchmark.data.synthetic_content import make, spots
from encoders.errors import UserError

SIZES = (4, 2, 2)
TWELVE = datasets.select("all")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.write_root(folder, sizes=SIZES)
    return folder


@pytest.mark.parametrize("name", TWELVE)
def test_geobench_and_we_read_the_same(root: Path, tmp_path: Path, name: str) -> None:
    import geobench as package

    dataset = datasets.dataset(name)
    folder = root / dataset.folder
    task = package.load_task_specs(folder)
    assert [info.name for info in task.bands_info] == [band.name for band in dataset.bands]
    # Ingest's proofs (ranges refuse, correlations warn) hold.
    opened = ingest.open_dataset(dataset, root, tmp_path)
    assert not [warning for warning in opened.warnings if "correlation" in warning]
    assert sorted(geobench.partitions(folder)) == sorted(["default", *(f"{f}x_train" for f in synthetic.FRACTIONS)])
    for split, count in zip(geobench.SPLITS, SIZES, strict=True):
        theirs = task.get_dataset(split=split, band_names=[band.name for band in dataset.bands])
        ours = opened.splits[split]
        assert len(theirs) == len(ours.samples) == count
        for row in range(count):
            sample = theirs[row]
            assert sample.sample_name == ours.samples[row]
            by_name = {band.band_info.name: band.data for band in sample.bands}
            for channel, band in enumerate(ours.bands):
                assert by_name[band.name].dtype == ours.images.dtype
                np.testing.assert_array_equal(by_name[band.name], ours.images[row, channel])
            label = sample.label.data if dataset.task == "segmentation" else sample.label
            np.testing.assert_array_equal(label, ours.labels[row])
            task.label_type.assert_valid(sample.label)


def test_places_stay_in_their_split(root: Path, tmp_path: Path) -> None:
    for name in ("m-forestnet", "m-SA-crop-type", "m-cashew-plant"):
        opened = ingest.open_dataset(datasets.dataset(name), root, tmp_path)
        assert len(np.unique(opened.splits["train"].groups)) < SIZES[0]
        assert not [warning for warning in opened.warnings if "are in train too" in warning]


@pytest.mark.parametrize("name", TWELVE)
def test_labels_show_in_the_pixels_as_far_as_the_signal_goes(name: str) -> None:
    """The share of a band's variance that the label explains, over the bands an encoder may be given."""
    dataset = datasets.dataset(name)
    if dataset.multilabel:
        pytest.skip("a label shows in a mixture only")
    few = [spot for split in spots(dataset, (24, 12, 12)) for spot in split]
    few = few if dataset.task == "classification" else few[:6]
    for signal, low, high in ((1.0, 0.3, 1.0), (0.0, -1.0, 0.2)):
        made = [make(dataset, spot, 0, signal) for spot in few]
        best = max(explained(made, band.name) for band in dataset.main_bands if band.unit is not None)
        assert low <= best <= high


def explained(made: list[tuple[dict[str, np.ndarray], int | np.ndarray]], band: str) -> float:
    if isinstance(made[0][1], int):
        values = np.array([bands[band].mean() for bands, _ in made])
        labels = np.array([label for _, label in made])
    else:
        # Cells of the texture are independent, not pixels.
        values = np.concatenate([bands[band][4::8, 4::8].ravel() for bands, _ in made]).astype(float)
        labels = np.concatenate([np.asarray(label)[4::8, 4::8].ravel() for _, label in made])
    classes = np.unique(labels)
    within = sum(np.square(values[labels == one] - values[labels == one].mean()).sum() for one in classes)
    # As adjusted R^2: chance explains (classes - 1) of (n - 1) degrees of freedom.
    n = len(values)
    return 1 - (within / (n - len(classes))) / (np.square(values - values.mean()).sum() / (n - 1))


def test_the_same_call_writes_the_same_content() -> None:
    dataset = datasets.dataset("m-so2sat")
    spot = spots(dataset, (3, 1, 1))[0][2]
    (first, label), (again, same), (other, _) = (make(dataset, spot, seed, 1.0) for seed in (0, 0, 1))
    assert label == same
    for band in first:
        np.testing.assert_array_equal(first[band], again[band])
        assert (first[band] != other[band]).any()


def test_user_errors_name_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "geobench", None)
        with pytest.raises(UserError, match=r"needs Python 3\.12"):
            synthetic.write_root(tmp_path)
    pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    with pytest.raises(UserError, match="at least one sample"):
        synthetic.write_root(tmp_path, sizes=(3, 0, 1))
    synthetic.write_root(tmp_path, ["m-so2sat"], (1, 1, 1))
    with pytest.raises(UserError, match="exists; choose another folder"):
        synthetic.write_root(tmp_path, ["m-so2sat"], (1, 1, 1))
    with pytest.raises(UserError, match="did you mean m-eurosat"):
        synthetic.write_root(tmp_path, ["m-eurosad"])
