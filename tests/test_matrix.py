"""The matrix of datasets and encoders: the page is what a run does, and holds every cell."""

from pathlib import Path

import pytest

import encoders
from benchmark.commands import catalogue
from benchmark.data import datasets, inputs, matrix

PAGE = Path(__file__).parent.parent / "docs" / "matrix.md"


def test_the_page_is_what_the_configs_give() -> None:
    remedy = "run: python -m benchmark.data.matrix > docs/matrix.md"
    assert matrix.page() == PAGE.read_text(encoding="utf-8"), remedy


def test_every_encoder_stands_in_one_profile() -> None:
    listed = [name for profile in matrix.profiles() for name in profile.encoders]
    assert sorted(listed) == encoders.names()


def test_cells_are_those_of_a_run() -> None:
    profiles = {profile.name: profile for profile in matrix.profiles()}
    kiln, so2sat = datasets.dataset("m-brick-kiln"), datasets.dataset("m-so2sat")
    joint = profiles["croma_joint"].fed(so2sat, "authors")
    assert isinstance(joint, inputs.InputPlan)
    assert [channel.wanted.name for channel in joint.filled] == ["B01", "B09"]
    assert matrix.count(joint) == "12+2"
    group = profiles["satmae_group"].fed(kiln, "rgb")
    assert isinstance(group, inputs.InputPlan)
    assert matrix.count(group) == "† 3+7*"
    assert profiles["croma_joint"].fed(kiln, "authors") == "it has no VV or VH"
    assert str(profiles["satlas_s2_ms"].fed(kiln, "rgb")).startswith("Satlas Sentinel-2 multispectral wants band B06")


@pytest.mark.parametrize("name", ["m-so2sat", "m-chesapeake"])
def test_the_list_on_a_dataset_has_a_line_a_profile_and_says_a_sentence_once(name: str) -> None:
    header, rows = catalogue.list_encoders(name)
    assert len(rows) == len(matrix.profiles())
    assert all(len(row) in (3, 4) for row in rows)
    assert name in header[2]
    cells = {row[0]: row[2:] for row in rows}
    assert cells["SatDiFuser RGB"] == (["3*"] if name == "m-so2sat" else ["3"])
    if name == "m-so2sat":
        assert cells["SatMAE group"] == ["† 3+7*", "10*"]
        assert cells["CROMA optical"][1] == "10+2, B01 filled by mean, B09 filled by mean"
    told = [cell for row in rows for cell in row[2:] if len(cell) > 40]
    assert len(set(told)) == len(told)
