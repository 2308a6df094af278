"""Published numbers: every shipped file is read whole, and whatever is wrong in one is named with its line."""

from pathlib import Path

import pytest

from benchmark.data import datasets
from encoders.errors import UserError
from reports import literature
from reports.literature import COLUMNS, read, read_all

ROW = "paper,table 1,CROMA,base,m-eurosat,classification,accuracy(%),86.5,,frozen,https://example.org/paper"


def written(folder: Path, *rows: str, header: str = ",".join(COLUMNS)) -> Path:
    path = folder / "paper.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_every_shipped_number_is_of_a_dataset_we_have_and_has_a_source() -> None:
    found = read_all()
    assert len(found) == 1304 + 252 + 272 + 49 + 24
    assert {one.dataset for one in found} <= set(datasets.select("all"))
    assert all(one.url.startswith("https://") for one in found)


def test_the_files_lie_in_the_package_so_that_they_ship_with_it() -> None:
    assert literature.FOLDER.parent == Path(literature.__file__).parent
    assert len(list(literature.FOLDER.glob("*.csv"))) == 5


def test_percent_becomes_a_fraction_and_a_fraction_stays(tmp_path: Path) -> None:
    other = ROW.replace("accuracy(%),86.5,", "accuracy,0.865,0.01")
    first, second = read(written(tmp_path, ROW, other))
    assert first.fraction == second.fraction == 0.865
    assert (first.std, second.std) == (None, 0.01)


WRONG = {
    "no number": (ROW.replace("86.5", "n/a"), "line 2: 'value' is 'n/a'"),
    "not finite": (ROW.replace("86.5", "nan"), "line 2: 'value' is 'nan'; it must be a finite number"),
    "percent as fraction": (ROW.replace("(%)", ""), "line 2: .*value 86.5 of 'accuracy' is not in range"),
    "task": (ROW.replace("classification", "detection"), "line 2: 'task' is 'detection'"),
    "no source": (ROW.replace("https://example.org/paper", ""), "line 2: .*url is empty"),
    "comma": (ROW + ",more", "line 2: 12 values for 11 columns"),
    "quotes": (ROW.replace("table 1", '"table" 1'), "cannot be read as a CSV file"),
}


@pytest.mark.parametrize(("row", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_named_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        read(written(tmp_path, row))
    assert "paper.csv" in str(refused.value)


def test_other_columns_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its columns are a, b instead of source, table"):
        read(written(tmp_path, header="a,b"))
    with pytest.raises(UserError, match="cannot be read as a CSV file"):
        read(tmp_path / "nowhere.csv")
