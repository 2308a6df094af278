"""Counts in a record's file: packed small, read as they were, and anything else refused in one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.record_store import RecordStore, read_record
from benchmark.records import Record
from benchmark.scoring.packed import pack, unpack
from encoders.errors import UserError
from tests.record_factory import PREDICTIONS, make_record

COUNTS = [[[1.0, 1.0], [0.0, 65536.0], [3.0, -2.0]], [[0.0, 1.0], [7.0, 8.0], [9.0, 2.0**52]]]


def stored(folder: Path, counts: list[list[list[float]]]) -> tuple[Record, Path]:
    made = make_record()
    made = replace(made, score=replace(made.score, group_counts=counts, n_groups=len(counts[0])))
    return made, RecordStore(folder).write(made, PREDICTIONS)


def test_whole_numbers_are_one_line_and_come_back_as_they_were(tmp_path: Path) -> None:
    made, path = stored(tmp_path, COUNTS)
    plain = json.loads(path.read_text())["score"]["group_counts"]
    assert plain == {"shape": [2, 3, 2], "whole": f"1 1 0 65536 3 -2 0 1 7 8 9 {2**52}"}
    assert read_record(path) == made
    assert unpack(plain) == COUNTS
    assert all(type(number) is float for fit in read_record(path).score.group_counts for row in fit for number in row)


@pytest.mark.parametrize("counts", [[[[1.0], [1.0, 2.0]]], []])
def test_what_has_no_shape_stays_a_list(counts: list[list[list[float]]]) -> None:
    assert pack(counts) == counts


@pytest.mark.parametrize("counts", [[[[0.5, 1.0]]], [[[1e300]]]])
def test_anything_else_stays_a_list(tmp_path: Path, counts: list[list[list[float]]]) -> None:
    made, path = stored(tmp_path, counts)
    assert json.loads(path.read_text())["score"]["group_counts"] == counts
    assert read_record(path) == made


def test_a_record_with_lists_is_the_same_record(tmp_path: Path) -> None:
    made, path = stored(tmp_path, COUNTS)
    plain = json.loads(path.read_text())
    plain["score"]["group_counts"] = COUNTS
    path.write_text(json.dumps(plain))
    assert read_record(path) == made


WRONG = [
    {"shape": [2, 3, 2], "whole": "1 2 3"},
    {"shape": [1, 1, 3], "whole": "1 2 x"},
    {"shape": [1, 1, 3], "whole": "1 2 3 x"},
    {"shape": [1, 1, 1], "whole": "1.5"},
    {"shape": [1, 1, 1], "whole": "nan"},
    {"shape": [-1, -1, 1], "whole": "1"},
    {"shape": [1, 1, 10**12], "whole": "1"},
    {"shape": [3], "whole": "1 2 3"},
    {"shape": "3", "whole": "1 2 3"},
    {"shape": [1, 1, 1], "whole": [1]},
    {"whole": "1"},
    {},
    "1 2 3",
]


@pytest.mark.parametrize("wrong", WRONG, ids=map(str, WRONG))
def test_what_does_not_fit_is_named(tmp_path: Path, wrong: object) -> None:
    _, path = stored(tmp_path, COUNTS)
    plain = json.loads(path.read_text())
    plain["score"]["group_counts"] = wrong
    path.write_text(json.dumps(plain))
    with pytest.raises(UserError, match=r"'score\.group_counts' is") as refused:
        read_record(path)
    assert "\n" not in str(refused.value)


def test_what_cannot_be_a_number_is_never_packed() -> None:
    assert pack([[[float("nan")]]]) != {"shape": [1, 1, 1], "whole": "0"}
    assert isinstance(pack([[[float("inf")]]]), list)
