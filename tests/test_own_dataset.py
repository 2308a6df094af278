"""Datasets of one's own from end to end: the documented examples as they stand, their identity, and every command."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import evaluate
from benchmark.data import datasets, ingest
from benchmark.grid.failures import retry_command
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.request import configuration
from encoders.errors import UserError
from reports.tables import tables
from tests import own_data
from tests.own_data import colours, described, opened, picture, write

LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run a command in the home; its exit code and all it said."""
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(home))
    monkeypatch.delenv("GEO_BENCH_DIR", raising=False)

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = evaluate.main(list(arguments))
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def records(folder: Path) -> list[Record]:
    return list(RecordStore(folder))


# --- the page


def test_the_pages_images_make_a_record_that_can_be_repeated_from_the_users_file_alone(
    tmp_path: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_data.write_page(tmp_path, monkeypatch)
    assert "my_fields: train/valid/test 36/12/12 images" in run("doctor", "--dataset", "my_fields.yaml")[1]
    assert run("--encoder", "imagestats", "--dataset", "my_fields.yaml", "--protocol", "smoke")[0] == 0
    (floor,) = records(tmp_path / "results")
    assert floor.score.n_test == 12
    # The colours of its classes tell them apart.
    assert floor.score.metrics["accuracy"] > 0.9
    assert floor.run.dataset_facts["benchmark"] == "own"

    monkeypatch.chdir(tmp_path.parent)
    key = str(tmp_path / "results" / "records" / f"{floor.key}.json")
    assert run("rerun", key, "--dataset", str(tmp_path / "my_fields.yaml"))[0] == 0
    code, refused = run("rerun", key)
    assert (code, "give its file with --dataset FILE" in refused) == (2, True)
    other = described(tmp_path, name="other")
    assert "its dataset is my_fields, not other" in run("rerun", key, "--dataset", str(other))[1]
    assert run("verify", str(tmp_path / "results"))[0] == 0


def test_the_pages_table_gives_labels_splits_and_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_data.write_page(tmp_path, monkeypatch)
    found = opened(tmp_path / "by_table.yaml")
    assert {name: split.samples for name, split in found.splits.items()} == {
        "train": ("c01", "c02"),
        "valid": ("t01",),
        "test": ("w01", "w02"),
    }
    np.testing.assert_array_equal(found.splits["train"].labels, [[1, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(found.splits["test"].labels, [[0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(found.splits["train"].groups, [0, 0])
    assert "by_table: 55 images have no row in labels.csv and are left out" in found.warnings


def test_the_pages_masks_have_their_unlabelled_pixels_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_data.write_page(tmp_path, monkeypatch)
    shutil.rmtree(tmp_path / "images")
    for number, split in enumerate(("train", "val", "test")):
        picture(tmp_path / f"images/{split}/x{number}.png", colours(number, 32))
        mask = np.full((32, 32), 255, np.uint8)
        mask[:8], mask[8:20] = 0, 1
        picture(tmp_path / f"masks/{split}/x{number}.png", mask)
    found = opened(tmp_path / "masks.yaml")
    assert found.class_names == ("ground", "building", "no data")
    assert (found.dataset.num_classes, found.dataset.no_data, found.dataset.metric) == (3, 2, "miou_labelled")
    np.testing.assert_array_equal(np.bincount(found.splits["valid"].labels[0].ravel()), [256, 384, 384])


# --- content


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_arrays_hold_what_the_files_hold(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, suffix=suffix)
    found = opened(described(tmp_path, files={"images": f"{{split}}/{{label}}/{{name}}{suffix}"}))
    assert found.splits["test"].samples == ("s10", "s11", "s12", "s13")
    np.testing.assert_array_equal(found.splits["test"].labels, [0, 1, 0, 1])
    for row, number in enumerate(range(10, 14)):
        np.testing.assert_array_equal(found.splits["test"].images[row], np.moveaxis(colours(number), 2, 0))
    pixels = np.stack([colours(number)[..., 0] for number in range(6)]).astype(np.float64)
    assert found.statistics["red"].mean == pytest.approx(pixels.mean(), rel=1e-12)


def test_bands_in_files_of_their_own_are_one_image(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "train", "val", "test")):
        pixels = colours(number).astype(np.uint16) * 40
        for channel, band in enumerate(("B04", "B8A", "B08")):
            picture(tmp_path / split / f"p{number}" / f"p{number}_{band}.tif", pixels[..., channel])
    (tmp_path / "t.csv").write_text("name,label\np0,crop\np1,town\np2,crop\np3,1\n")
    bands = [{"band": "B8A", "unit": "dn"}, {"band": "B08", "ingest": False}, {"band": "B04", "unit": "dn"}]
    path = described(
        tmp_path, bands=bands, sensor="sentinel2", product_level="L2A",
        files={"images": "{split}/{name}/{name}_{band}.tif", "table": "t.csv"},
    )  # fmt: skip
    split = opened(path).splits["test"]
    assert [band.band for band in split.bands] == ["B8A", "B04"]
    np.testing.assert_array_equal(split.images[0], np.moveaxis(colours(3)[..., [1, 0]].astype(np.uint16) * 40, 2, 0))
    assert split.labels.tolist() == [1]


def test_equal_content_elsewhere_is_the_same_run_and_a_changed_file_is_not(tmp_path: Path) -> None:
    write(tmp_path / "a")
    first = opened(described(tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "b", ignore=shutil.ignore_patterns("ingest"))
    second = opened(tmp_path / "b" / "mine.yaml")
    prints = [{name: split.fingerprint for name, split in one.splits.items()} for one in (first, second)]
    assert prints[0] == prints[1]

    picture(tmp_path / "b" / "train" / "crop" / "s00.png", colours(77))
    changed = opened(tmp_path / "b" / "mine.yaml")
    assert changed.splits["train"].fingerprint != prints[0]["train"]
    assert changed.splits["test"].fingerprint == prints[0]["test"]


def test_labels_and_groups_are_content_too(tmp_path: Path) -> None:
    write(tmp_path)
    path = described(
        tmp_path, groups={"by": "files", "reason": "flights"}, files={"images": "*/*/{name}.png", "table": "t.csv"}
    )
    prints = []
    for label, group in (("crop", "a"), ("town", "a"), ("crop", "b")):
        rows = [
            f"s{n:02},{label if n == 0 else ('crop', 'town')[n % 2]},{('train', 'valid', 'test')[n % 3]},{group if n == 0 else n}"
            for n in range(9)
        ]
        (tmp_path / "t.csv").write_text("\n".join(["name,label,split,group", *rows]))
        prints.append(opened(path).splits["train"].fingerprint)
    assert len(set(prints)) == 3


def test_an_image_of_test_that_is_in_train_and_a_shared_group_are_said(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.copy(tmp_path / "train/crop/s00.png", tmp_path / "test/crop/again.png")
    picture(tmp_path / "train/crop/blank.png", np.full((8, 8, 3), 9, np.uint8))
    picture(tmp_path / "test/crop/blank_too.png", np.full((8, 8, 3), 9, np.uint8))
    found = opened(described(tmp_path, groups={"by": "name", "pattern": "^s(.)", "reason": "one flight"}))
    assert "mine: 1 test images are in train too, pixel for pixel" in found.warnings
    assert not any("test groups" in warning for warning in found.warnings)
    (tmp_path / "test/crop/again.png").rename(tmp_path / "test/crop/s09x.png")
    assert any("1 of" in warning and "one flight" in warning for warning in opened(tmp_path / "mine.yaml").warnings)


def test_pixels_without_data_are_what_the_file_says(tmp_path: Path) -> None:
    write(tmp_path, suffix=".tif")
    files = {"images": "{split}/{label}/{name}.tif", "pixels_without_data": 0.0}
    bands = [{"band": band, "unit": "unit"} for band in ("red", "green", "blue")]
    for number, old in enumerate(sorted(tmp_path.rglob("*.tif"))):
        pixels = colours(number).astype(np.float32) / 255
        pixels[0, 0, 0], pixels[1, 1, 2] = np.nan, -9999
        own_data.tiff(old, pixels, nodata=-9999)
    found = opened(described(tmp_path, files=files, bands=bands))
    assert (found.statistics["red"].min, found.statistics["blue"].min) == (0, 0)
    with pytest.raises(UserError, match=r"s00.tif: 2 pixels are without data .*pixels_without_data: 0"):
        opened(described(tmp_path, bands=bands, files={"images": files["images"]}, name="refused"))


# --- where datasets are named


def test_overrides_reach_a_dataset_of_ones_own_and_the_command_that_tries_again_names_its_file(tmp_path: Path) -> None:
    write(tmp_path)
    path = described(tmp_path)
    request = configuration.compose(
        rows=["imagestats", "croma:tiny"],
        dataset_choice=f"{path},m-eurosat",
        probe=None,
        protocol="smoke",
        settings={},
        overrides=["dataset.title=Another title"],
    )
    assert [one.name for one in request.datasets] == ["mine", "m-eurosat"]
    assert {one.title for one in request.datasets} == {"Another title"}
    assert request.datasets[0].files == datasets.dataset(str(path)).files

    from benchmark.grid.cells import cells

    command = retry_command(
        {"encoder": "imagestats", "dataset": "x", "overrides": []}, request.rows, cells(request)[:1]
    )
    assert f"--dataset={path}" in command


def test_every_list_shows_a_dataset_of_ones_own(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    path = str(described(write(tmp_path)))
    assert "mine" in run("list", "datasets", "--dataset", path)[1]
    assert "bands on mine" in run("list", "encoders", "--dataset", path)[1]
    assert "mine is yours" in run("fetch", "dataset", path, "--dry-run", "--data-root", str(tmp_path))[1]
    code, said = run("profile", path)
    assert (code, "which geobench can't read" in said) == (2, True)
    code, said = run("doctor", "--dataset", f"{path},{tmp_path / 'none.yaml'}")
    assert code == 0
    assert "6/4/4 images" in said
    assert "cannot be read as YAML" in said


@LONG
def test_worker_processes_give_the_records_of_one_process(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    path = str(described(write(tmp_path)))
    common = ("--encoder", "imagestats", "--dataset", path, "--protocol", "smoke", "executor.threads=1")
    assert run(*common, "--output", str(tmp_path / "one"))[0] == 0
    assert run(*common, "--output", str(tmp_path / "two"), "--executor", "local", "executor.workers=1")[0] == 0
    first, second = records(tmp_path / "one"), records(tmp_path / "two")
    assert [(one.run, one.score, one.predictions_sha256) for one in first] == [
        (one.run, one.score, one.predictions_sha256) for one in second
    ]
    assert "there before" in run(*common, "--output", str(tmp_path / "one"))[1]
    assert "1 done" in run(*common, "--output", str(tmp_path / "one"), "--dry-run")[1]


def test_planning_a_dataset_of_ones_own_opens_no_image(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    path = described(write(tmp_path))
    for image in tmp_path.rglob("*.png"):
        image.write_bytes(b"no image")
    code, said = run("--encoder", "imagestats", "--dataset", str(path), "--dry-run", "--output", str(tmp_path / "r"))
    assert (code, "would run" in said) == (0, True)
    code, said = run("--encoder", "imagestats", "--dataset", str(path), "--output", str(tmp_path / "r"))
    assert code == 2
    assert "s00.png: damaged" in said


def test_own_datasets_stand_in_tables_of_their_own(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    path = str(described(write(tmp_path)))
    arguments = ("--encoder", "imagestats", "--protocol", "smoke", "--output", str(tmp_path / "r"))
    assert run(*arguments, "--dataset", f"{path},real-chesapeake-patches")[0] == 0
    found = tables(records(tmp_path / "r"))
    assert sorted(table.columns for table in found) == [("mine",), ("real-chesapeake-patches",)]
    (own,) = [table for table in found if table.columns == ("mine",)]
    assert "datasets of one's own" in own.title


def test_a_draw_of_labels_is_a_partition_as_ever(tmp_path: Path) -> None:
    found = opened(described(write(tmp_path, (20, 4, 4))), "stratified_0.20_draw1")
    assert np.bincount(found.splits["train"].labels).tolist() == [2, 2]
    with pytest.raises(UserError, match=r"mine has no partition '0.10x_train'; it has default"):
        opened(tmp_path / "mine.yaml", "0.10x_train")


def test_a_record_cannot_say_where_to_read(tmp_path: Path) -> None:
    from benchmark.grid import cells

    request = configuration.compose(
        rows=["imagestats"],
        dataset_choice=str(described(write(tmp_path))),
        probe=None,
        protocol="smoke",
        settings={},
        overrides=[],
    )
    from dataclasses import asdict

    config = json.loads(json.dumps(asdict(cells.cells(request)[0])))
    config["dataset"]["file"] = ""
    config["dataset"]["files"]["reader"] = "torchgeo:EuroSAT100"
    with pytest.raises(UserError, match="mine is a dataset of someone's own; give its file"):
        cells.rebuild(config, "record")
    config["dataset"]["files"], config["dataset"]["file"] = None, str(tmp_path / "x.yaml")
    with pytest.raises(UserError, match="mine is a dataset of someone's own; give its file"):
        cells.rebuild(config, "record")
    given = datasets.dataset(str(tmp_path / "mine.yaml"))
    assert cells.rebuild(config, "record", own_dataset=given).dataset.files == given.files


def test_a_catalogue_name_says_nothing_of_own_files() -> None:
    for name in datasets.names():
        one = datasets.dataset(name)
        assert (one.files, one.file, one.given) == (None, "", name)
    assert ingest.ingest_folder(datasets.dataset("m-eurosat"), Path("/d"), Path("/i")) == Path("/i/m-eurosat-4823e769")


def test_the_pages_other_files_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_data.write_page(tmp_path, monkeypatch)
    names = sorted(path.name for path in tmp_path.glob("*.yaml"))
    assert names == ["by_table.yaml", "eurosat100.yaml", "masks.yaml", "my_fields.yaml"]
    for name in names:
        described_ = datasets.dataset(str(tmp_path / name))
        assert described_.name == yaml.safe_load((tmp_path / name).read_text())["name"]
