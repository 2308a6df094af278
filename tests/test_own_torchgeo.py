"""Datasets of torchgeo's: their splits and pixels, without a download; every way in which they can't be one, said."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmark.data import datasets, ingest
from encoders.errors import UserError
from tests import own_data
from tests.own_data import described, opened, picture, tiff

pytest.importorskip("torchgeo", reason="needs the torchgeo extra")


def pixels(number: int) -> np.ndarray:
    """The 13 bands of image `number`, (64, 64, 13) uint16."""
    return np.random.default_rng(number).integers(300, 4000, (64, 64, 13), np.uint16)


@pytest.fixture(scope="module")
def eurosat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's YAML file and EuroSAT100's layout, an image a class and split; not to be changed."""
    home = tmp_path_factory.mktemp("eurosat")
    (text,) = [text for _, text in own_data.BLOCKS if text.startswith("# eurosat100.yaml")]
    (home / "eurosat100.yaml").write_text(text)
    classes = yaml.safe_load(text)["class_names"]
    tif = home / "eurosat100/ds/images/remote_sensing/otherDatasets/sentinel_2/tif"
    for number, split in enumerate(("train", "val", "test")):
        for label, name in enumerate(classes):
            tiff(tif / name / f"{name}_{number}.tif", pixels(10 * number + label))
        listed = [f"{name}_{number}.jpg" for name in classes]
        (home / f"eurosat100/eurosat-100-{split}.txt").write_text("\n".join(listed))
    return home


def edited(home: Path, tmp_path: Path, **files: Any) -> Path:
    plain = yaml.safe_load((home / "eurosat100.yaml").read_text())
    plain["files"] |= {"root": str(home / "eurosat100")} | files
    return described(tmp_path, plain)


def test_the_pages_file_reads_a_split_for_each_set_of_arguments(eurosat: Path, tmp_path: Path) -> None:
    found = ingest.open_dataset(datasets.dataset(str(eurosat / "eurosat100.yaml")), None, tmp_path)
    assert [len(split.samples) for split in found.splits.values()] == [10, 10, 10]
    test = found.splits["test"]
    assert test.samples[:2] == ("test-000000", "test-000001")
    # EuroSAT's files hold B04, B03 and B02 in their channels 3, 2 and 1.
    np.testing.assert_array_equal(test.images[5], np.moveaxis(pixels(25)[..., [3, 2, 1]], 2, 0))
    assert found.class_names[int(test.labels[5])] == "Pasture"


def test_an_index_is_kept_so_that_planning_needs_no_framework(eurosat: Path, tmp_path: Path) -> None:
    dataset = datasets.dataset(str(eurosat / "eurosat100.yaml"))
    assert ingest.sizes_if_known(dataset, None, tmp_path) is None
    assert ingest.fingerprints_if_ingested(dataset, None, tmp_path) is None
    found = ingest.open_dataset(dataset, None, tmp_path)
    code = (
        "import sys; from pathlib import Path; from benchmark.data import datasets, ingest; "
        f"one = datasets.dataset({str(eurosat / 'eurosat100.yaml')!r}); "
        f"print(ingest.fingerprints_if_ingested(one, None, Path({str(tmp_path)!r}))); "
        "sys.exit('torch' in sys.modules or 'torchgeo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=own_data.PAGE.parent.parent, capture_output=True, text=True, check=True
    )
    assert str({name: split.fingerprint for name, split in found.splits.items()}) in done.stdout


def test_splits_are_drawn_where_torchgeo_has_none(eurosat: Path, tmp_path: Path) -> None:
    path = edited(eurosat, tmp_path, splits={"train": {"split": "train"}, "test": {"split": "test"}, "valid": 0.2})
    found = opened(path)
    assert [len(found.splits[name].samples) for name in ("train", "valid", "test")] == [8, 2, 10]
    assert all(name.startswith("train-") for name in found.splits["valid"].samples)
    whole = edited(eurosat, tmp_path, arguments={"split": "train", "bands": ["B04", "B03", "B02"]}, splits={"train": 0.4, "valid": 0.3, "test": 0.3})  # fmt: skip
    names = [name for split in opened(whole).splits.values() for name in split.samples]
    assert sorted(names) == [f"all-{number:06}" for number in range(10)]


def test_masks_of_torchgeo_are_masks(tmp_path: Path) -> None:
    root = tmp_path / "landcover"
    (root / "output").mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        name = f"M-33-7-A-d-2-3_{number}"
        (root / f"{split}.txt").write_text(name + "\n")
        picture(root / "output" / f"{name}.jpg", own_data.colours(number, 512))
        picture(root / "output" / f"{name}_m.png", np.full((512, 512), number + 1, np.uint8))
    path = described(
        tmp_path,
        task="segmentation",
        class_names=["background", "building", "woodland", "water", "road"],
        image_size=512,
        files={
            "reader": "torchgeo:LandCoverAI100",
            "root": "landcover",
            "splits": {"train": {"split": "train"}, "valid": {"split": "val"}, "test": {"split": "test"}},
        },
    )
    found = opened(path)
    assert [int(split.labels.max()) for split in found.splits.values()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"root": "."}, "torchgeo's EuroSAT100 is not in {root}; put it there, or have `torchgeo.datasets.EuroSAT100(root="),
        ({"reader": "torchgeo:EuroSat100"}, "torchgeo's EuroSat100 is no NonGeoDataset of torchgeo"),
        ({"reader": "torchgeo:RasterDataset"}, "torchgeo's RasterDataset is no NonGeoDataset of torchgeo"),
        ({"arguments": {"band": ["B04"]}}, "says TypeError: "),
        ({"arguments": {"bands": ["B4"]}}, "says ValueError: 'B4' is an invalid band name.; correct 'files'"),
        ({"arguments": {"bands": ["B04"]}}, "sample 0 of train: its image is (1, 64, 64), 'bands' and 'image_size' say (3, 64, 64)"),
        ({"splits": {"train": {"split": "train"}}}, "the files name no valid or test; add them"),
        ({"splits": {}}, "nothing says which split an image is of"),
    ],
)  # fmt: skip
def test_what_torchgeo_cannot_be_is_one_sentence(
    files: dict[str, Any], message: str, eurosat: Path, tmp_path: Path
) -> None:
    path = edited(eurosat, tmp_path, **files)
    with pytest.raises(UserError) as caught:
        opened(path)
    assert message.replace("{root}", str(tmp_path)) in str(caught.value)


def test_a_task_that_a_dataset_is_not_for_and_a_sample_that_is_damaged_are_told(eurosat: Path, tmp_path: Path) -> None:
    plain = yaml.safe_load((eurosat / "eurosat100.yaml").read_text())
    plain["files"]["root"] = str(eurosat / "eurosat100")
    with pytest.raises(UserError, match=r"has no 'mask', only image, label; is the 'task' the right one\?"):
        opened(described(tmp_path, plain | {"task": "segmentation"}))

    shutil.copytree(eurosat / "eurosat100", tmp_path / "copy")
    damaged = next((tmp_path / "copy").rglob("AnnualCrop_0.tif"))
    damaged.write_bytes(damaged.read_bytes()[:300])
    plain["files"]["root"] = "copy"
    with pytest.raises(UserError, match="sample 0 of train: torchgeo cannot read it, and says RasterioIOError"):
        opened(described(tmp_path, plain | {"name": "damaged"}))
