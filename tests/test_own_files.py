"""One's own dataset: mistakes in its file, its paths and its tables are one sentence that names what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.data import datasets
from benchmark.data.own import patterns
from encoders.errors import UserError
from tests import own_data
from tests.own_data import PLAIN, RGB, colours, described, opened, picture, refused, write

FOLDERS = {"images": "{split}/{label}/{name}.png"}
TABLE = {"images": "*/*/{name}.png", "table": "t.csv"}
MASKS = {"images": "{split}/{label}/{name}.png", "masks": "masks/{name}.png"}
TORCHGEO = {"reader": "torchgeo:EuroSAT100"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "m-eurosat"}, "'name' is m-eurosat, which means another dataset"),
        ({"name": "eurosat"}, "'name' is eurosat, which means another dataset"),
        ({"name": "all"}, "'name' is all, which means another dataset"),
        ({"name": "a b"}, "'name' is 'a b'; begin with a letter"),
        ({"task": "detection"}, "'task' is 'detection'; "),
        ({"task": None}, "'task' is missing; add it"),
        ({"clas_names": ["a"]}, "unknown key 'clas_names'; did you mean class_names"),
        ({"splits": {"train": 1}}, "'splits' is not a key of datasets of your own; write it under 'files'"),
        ({"benchmark": "classification_v1.0"}, "'benchmark' is not a key of datasets of your own; GEO-Bench's"),
        ({"num_classes": 3}, "'class_names' are 2, 'num_classes' is 3; make them agree"),
        ({"class_names": ["a"]}, "'num_classes' is 1; give 2 to 1000"),
        ({"class_names": ["a", "a"]}, "'class_names' hold 'a' twice"),
        ({"image_size": 0}, "'image_size.0' is 0; it must be at least 1"),
        ({"image_size": [8, 999_999]}, "'image_size.1' is 999999; it must be at most 16384"),
        ({"bands": [*RGB, RGB[0]]}, "'bands' have the name 'red' twice"),
        ({"bands": [{"band": "red", "unit": "bite"}]}, "'bands.0.unit' is 'bite'; did you mean byte or unit?"),
        ({"bands": [{"band": "red"}]}, "'bands' have no band with a unit"),
        ({"bands": [{"band": "x", "unit": "byte", "grid": [2, 2]}]}, "x has a grid or a stored_as"),
        ({"sensor": "sentinel2", "bands": [{"band": "B04", "unit": "dn"}]}, "'product_level' is missing; add L1C or L2A"),
        ({"metric": "f1_micro"}, "'metric' is f1_micro; for this task choose from: accuracy"),
        ({"no_data": 0}, "'no_data' is for masks"),
        ({"ranges": [{"band": "nir", "statistic": "min"}]}, "'ranges' or 'correlations' name the band 'nir'"),
        ({"groups": {"by": "name", "pattern": "x"}}, "pattern 'x' needs one pair of brackets"),
        ({"groups": {"by": "files"}}, "'groups' and `{group}` in 'files.images' go together"),
        ({"files": {}}, "'files.images' is missing; say where images lie"),
        ({"files": {"images": "{split}/{label}.png"}}, "'files.images' has no `{name}`"),
        ({"files": {"images": "{splt}/{name}.png"}}, "'files.images' has `{splt}`; did you mean split?"),
        ({"files": {"images": "../{name}.png"}}, "'files.images' is '../{name}.png'; write a path below 'files.root'"),
        ({"files": {"images": "/x/{name}.png"}}, "write a path below 'files.root'"),
        ({"files": {"images": "{name.png"}}, "write words as `{name}`, folders with `/`"),
        ({"files": {"images": "{split}/{name}.png"}}, "nothing says what an image shows; write `{label}`"),
        ({"files": MASKS}, "'files.masks' is for segmentation; leave it out"),
        ({"files": {**FOLDERS, "mask_values": [1]}}, "'files.mask_values' are [1]; give 2 different ones"),
        ({"files": {**FOLDERS, "columns": {"name": "id"}}}, "'files.columns' names columns, but there is no 'files.table'"),
        ({"files": {**TABLE, "columns": {"nam": "id"}}}, "'files.columns' names a column for 'nam'; did you mean name?"),
        ({"files": {**FOLDERS, "arguments": {"a": 1}}}, "'files.arguments' are for torchgeo's datasets"),
        ({"files": {**FOLDERS, "reader": "tiles"}}, "'files.reader' is 'tiles'; write images, or torchgeo:"),
        ({"files": {**FOLDERS, "splits": {"train": 0.5, "valid": 0.2, "test": 0.2}}}, "add up to 0.9; make that 1"),
        ({"files": {**FOLDERS, "splits": {"val": 0.5}}}, "'files.splits' has 'val'; did you mean valid?"),
        ({"files": {**FOLDERS, "splits": {"valid": 1.5}}}, "'files.splits.valid' is 1.5; "),
        ({"files": {**FOLDERS, "splits": {"test": 0.5}}}, "'files.splits' is neither shares of train, valid and test"),
        ({"files": {**FOLDERS, "splits": {"valid": {"split": "val"}}}}, "'files.splits' hold arguments, which torchgeo's"),
        ({"files": {**TORCHGEO, "images": "x"}}, "'files.images' is for images; torchgeo's datasets know"),
        ({"files": {**TORCHGEO, "arguments": {"download": True}}}, "the arguments hold 'download'; nothing is downloaded"),
        ({"files": {**TORCHGEO, "arguments": {"root": "x"}}}, "the arguments hold 'root'; give it as 'files.root'"),
        ({"files": {"reader": "torchgeo:os.system"}}, "'files.reader' is 'torchgeo:os.system'; write torchgeo: and"),
        ({"files": {**TORCHGEO, "splits": {"train": {"a": 1}, "valid": {"a": 1}}}}, "give two splits the same arguments"),
        ({"title": "${oc.env:HOME}"}, "holds '${', which Hydra would resolve"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_before_any_image_is_looked_for(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        datasets.dataset(str(described(tmp_path, **changes)))
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 0


SEGMENTATION = {**PLAIN, "task": "segmentation", "files": {"images": "{split}/{name}.png"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "'files.masks' is missing; say where masks lie"),
        ({"files": MASKS}, "'files.images' has `{label}`, but a label here is no single class"),
        ({"files": {"images": "*/{name}.png", "masks": "{split}/{name}.png"}}, "'files.masks' has `{split}`, which"),
        ({"files": {"images": "{split}/{name}.png", "masks": "*/{name}.png"}}, "'files.masks' has a `*`"),
        ({"multilabel": True}, "'multilabel' is for classification"),
        ({"num_classes": 300, "class_names": None}, "'num_classes' is 300; give 2 to 256"),
    ],
)
def test_a_mistake_about_masks_is_told_too(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        datasets.dataset(str(described(tmp_path, SEGMENTATION, **changes)))
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "", "&a [*a]"])
def test_a_file_that_is_no_description_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=r"x.yaml: (holds no keys with values|cannot be read as YAML)"):
        datasets.dataset(str(tmp_path / "x.yaml"))


def test_nothing_that_fits_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path)
    message = refused(described(tmp_path, files={"images": "{split}/{label}/{name}.PNG"}))
    assert "no file fits '{split}/{label}/{name}.PNG' (test/crop/s10.png is there, for example)" in message
    assert "there is no folder" in refused(described(tmp_path, files={**FOLDERS, "root": "elsewhere"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: picture(root / "test/town/s00.png", colours(1)), "are both called 's00', by which samples are told"),
        (lambda root: (root / "train/crop").rename(root / "train/crops"), "label 'crops' is no class of mine; did you mean crop?"),
        (lambda root: (root / "valid").rename(root / "holdout"), "the files name no valid; `splits: {valid: 0.2}`"),
        (lambda root: [path.unlink() for path in (root / "valid").rglob("*.png")], "the files name no valid; `splits: {valid: 0.2}`"),
        (lambda root: [path.unlink() for path in (root / "test").rglob("*.png")], "the files name no test; add them"),
        (lambda root: (root / "train/crop/s00.png").rename(root / "train/crop/a\nb.png"), "holds characters that cannot be printed"),
        (lambda root: (root / "train/crop/s00.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing"), "s00.png: damaged"),
        (lambda root: (root / "train/crop/s00.png").write_bytes((root / "train/crop/s02.png").read_bytes()[:120]), "s00.png: damaged"),
        (lambda root: picture(root / "train/crop/s02.png", colours(1, 9)), "s02.png: has 9 x 9 pixels, 'image_size' is 8 x 8"),
        (lambda root: picture(root / "train/crop/s02.png", colours(1)[..., 0]), "s02.png: has 1 channels, 'bands' have 3"),
        (lambda root: picture(root / "train/crop/s02.png", np.dstack([colours(1), colours(2)[..., :1]])), "s02.png: has 4 channels"),
    ],
)  # fmt: skip
def test_images_that_are_wrong_are_named(change: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    change(write(tmp_path))
    assert message in refused(described(tmp_path, files=FOLDERS))
    assert not list((tmp_path / "ingest").glob("*/train/manifest.json"))


ROWS = "".join(f"s{n:02},{('crop', 'town')[n % 2]},{('train', 'valid', 'test')[n % 3]}\n" for n in range(9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: is empty"),
        ("id,label,split\n" + ROWS, "t.csv: has no column 'name'"),
        ("name,split\n" + ROWS.replace("crop,", "").replace("town,", ""), "t.csv: has no column 'label'; add it"),
        ("name,label,label\n" + ROWS, "t.csv: has the column 'label' twice"),
        ("name,label,split\n" + ROWS + "s00,crop,train\n", "t.csv, line 11: names 's00' again, as line 2 does"),
        ("name,label,split\n" + ROWS + "s10,crop\n", "t.csv, line 11: has 2 values, there are 3 columns"),
        ("name,label,split\n" + ROWS + "s99,crop,train\n", "t.csv, line 11: 's99' has no image (1 such rows)"),
        ("name,label,split\n" + ROWS + "s10,corp,train\n", "t.csv, line 11: its label 'corp' is no class of mine; did you mean crop?"),
        ("name,label,split\n" + ROWS + "s10,2,train\n", "t.csv, line 11: its label '2' is no class of mine"),
        ("name,label,split\n" + ROWS + "s10,crop,tets\n", "t.csv, line 11: its split is 'tets'; did you mean test?"),
        ("name,label,split,group\n", "a column 'group' and `groups: {by: files, ...}` go together"),
        ("name,label\n" + ROWS.replace(",train", "").replace(",valid", "").replace(",test", ""), "nothing says which split"),
        (b"\xff\xfe\x00", "t.csv: is no CSV file in UTF-8"),
        ('name,label,split\ns00,"crop\n', "t.csv: is no CSV file in UTF-8"),
    ],
)  # fmt: skip
def test_a_table_that_is_wrong_is_named_by_its_line(text: str | bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused(described(tmp_path, files=TABLE))


def test_a_table_and_a_path_that_both_speak_and_a_table_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path)
    both = described(tmp_path, files={**FOLDERS, "table": "t.csv"})
    assert "t.csv: cannot be read (No such file or directory)" in refused(both)
    (tmp_path / "t.csv").write_text("name,label\ns00,crop\n")
    assert "'files.images' and the table both say the label" in refused(both)


def test_columns_of_zeros_and_ones_are_labels_and_nothing_else_is(tmp_path: Path) -> None:
    write(tmp_path)
    files = {**TABLE, "images": "{split}/*/{name}.png"}
    path = described(tmp_path, multilabel=True, files=files)
    rows = [f"s{number:02},{number % 2},1" for number in range(14)]
    (tmp_path / "t.csv").write_text("\n".join(["name,crop,town", *rows]))
    np.testing.assert_array_equal(opened(path).splits["test"].labels, [[0, 1], [1, 1], [0, 1], [1, 1]])
    (tmp_path / "t.csv").write_text("\n".join(["name,crop,town", "s00,yes,1", *rows[1:]]))
    assert "line 2: column 'crop' holds 'yes'; write 0 or 1" in refused(path)


def test_class_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    for number, label in enumerate("1010"):
        picture(tmp_path / ("train", "train", "val", "test")[number] / label / f"n{number}.png", colours(number))
    found = opened(described(tmp_path, class_names=["1", "0"], files=FOLDERS))
    assert found.splits["train"].labels.tolist() == [0, 1]
    picture(tmp_path / "train" / "2" / "x.png", colours(9))
    assert "its label '2' is no class" in refused(described(tmp_path, class_names=["1", "0"], files=FOLDERS))


def test_words_mean_the_same_wherever_they_stand_in_a_path(tmp_path: Path) -> None:
    for path in ("a/x_a_1.png", "a/x_b_1.png", "b/x_b_2.png", "b/deep/x_b_3.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = patterns.find(tmp_path, patterns.parse("{group}/x_{group}_{name}.png", "key"), [])
    assert [said for _, said in found] == [{"group": "a", "name": "1"}, {"group": "b", "name": "2"}]
    train = patterns.find(tmp_path, patterns.parse("{split}/{name}.png", "key"), [])
    assert list(train) == []
    (tmp_path / "loop").symlink_to(tmp_path)
    loops = list(patterns.find(tmp_path, patterns.parse("{group}/*/{name}.png", "key"), []))
    assert [path.name for path, _ in loops] == ["x_b_3.png", "x_a_1.png", "x_b_1.png", "x_b_2.png"]


def test_the_page_says_every_key_there_is() -> None:
    from dataclasses import fields

    from benchmark.data.dataset import Files, StoredBand

    page = own_data.PAGE.read_text()
    keys = {field.name for field in (*fields(Files), *fields(StoredBand))} - {"grid", "stored_as"}
    assert {key for key in keys if key not in page} == set()
