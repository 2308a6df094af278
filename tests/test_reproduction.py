"""A paper's cells beside our records: every cell is there once, ours is of a suitable protocol, which is named."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import evaluate
from benchmark.record_store import RecordStore
from benchmark.records import Record
from encoders.errors import UserError
from reports import literature, reproduction
from reports.merging import Merged, merge
from reports.reproduction import NO_ROW, NOT_RUN, Line, lines, load, write
from tests.record_factory import PREDICTIONS, make_record
from tests.test_experiments import cells_of

GW = {"encoder": "satdifuser", "fusion": "gw", "fuser": {"kind": "gw"}, "title": "SatDiFuser"}


def record(value: float = 0.96, **changes: Any) -> Record:
    return make_record(value, **{**GW, **changes})


def found(*records: Record) -> dict[tuple[str, str], list[Line]]:
    paper = load("satdifuser")
    cells: dict[tuple[str, str], list[Line]] = {}
    for line in lines(paper, literature.read(literature.FOLDER / paper.file), Merged([*records], {}, [])):
        cells.setdefault((line.published.dataset, line.published.variant), []).append(line)
    return cells


def test_every_cell_of_the_paper_stands_once_and_says_why_nothing_stands_beside_it() -> None:
    cells = found()
    published = literature.read(literature.FOLDER / "satdifuser_paper.csv")
    assert cells.keys() == {(one.dataset, one.variant) for one in published}
    assert all(len(one) == 1 for one in cells.values())
    assert cells["m-eurosat", "SatDiFuser-GW"][0].shown()[5] == NOT_RUN
    assert cells["m-nz-cattle", "unspecified variant"][0].shown()[2] == NO_ROW


def test_the_difference_is_counted_in_half_widths_of_our_interval_over_seeds() -> None:
    (line,) = found(record(0.95, seed=0), record(0.97, seed=1))["m-eurosat", "SatDiFuser-GW"]
    assert line.ours is not None
    assert line.ours.seeds == 2
    assert line.difference == pytest.approx(0.96 - 0.977)
    assert line.half_widths == pytest.approx((0.96 - 0.977) / 0.02)
    cell = ["m-eurosat", "SatDiFuser-GW", "satdifuser-gw", "frozen (012345)"]
    assert line.shown() == [*cell, "97.7", "96.0 [94.0, 98.0]", "-1.7", "-0.8"]


def test_protocols_never_share_a_line_and_the_nearest_to_the_paper_comes_first() -> None:
    hashes = {"protocol_hash": "aaaaaaaaaaaa"}
    several = found(record(), record(0.9, protocol="satdifuser_paper"), record(0.8, **hashes))
    first, *others = [line.protocol for line in several["m-eurosat", "SatDiFuser-GW"]]
    assert first == "satdifuser_paper (012345)"
    assert sorted(others) == ["frozen (012345)", "frozen (aaaaaa)"]
    other_options = found(record(), record(0.9, encoder_options={"prompt": "x"}))["m-eurosat", "SatDiFuser-GW"]
    assert len({line.protocol for line in other_options}) == 2


def test_single_timesteps_of_the_ablation_stand_beside_the_papers_and_beside_nothing_else() -> None:
    """The records that the experiment makes, with the options that it gives them."""
    cells = {cell.told: cell for cell in cells_of("fusion_ablation") if cell.dataset.name == "m-eurosat"}
    single = {"t = 1, self-attention": "single t=1 self-attn", "t = 101, ResNet": "single t=100 resnet"}
    made = {
        told: record(value, fusion="concat", encoder_options=json.loads(json.dumps(cells[told].card.options)))
        for told, value in zip((*single, "t = 1, 101, 201, both"), (0.91, 0.92, 0.93), strict=True)
    }
    beside = found(*made.values())
    shown = {
        variant: [line.shown() for line in beside["m-eurosat", variant]]
        for variant in (*single.values(), "simple concat")
    }
    assert {variant: [row[5][:4] for row in rows] for variant, rows in shown.items()} == {
        "single t=1 self-attn": ["91.0"], "single t=100 resnet": ["92.0"], "simple concat": ["93.0"]
    }  # fmt: skip
    assert shown["single t=1 self-attn"][0][2] == "satdifuser-concat [t = 1, self-attention]"


OTHERS: dict[str, dict[str, Any]] = {
    "a protocol for trying out": {"protocol": "smoke"},
    "a label fraction": {"partition": "0.10x_train"},
    "the other track": {"bands": "authors"},
    "the names as stored": {"band_names": "stored"},
    "another fuser": {"fusion": "gw-mine"},
    "another encoder": {"encoder": "satdifuser_tiny"},
    "random weights": {"weights": {"random": "0"}},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_what_is_not_the_papers_row_does_not_stand_beside_it(changes: dict[str, Any]) -> None:
    (line,) = found(record(**changes))["m-eurosat", "SatDiFuser-GW"]
    assert line.shown()[5] == NOT_RUN


def test_a_family_stands_beside_the_model_it_is_of_and_masks_by_the_papers_own_mean(tmp_path: Path) -> None:
    made = make_record(0.5, metric="miou_truth", dataset="m-nz-cattle", encoder="croma_large_optical", bands="authors")
    score = replace(
        made.score,
        metrics={"miou_truth": 0.9, "miou_absent_zero": 0.6},
        group_counts=[[[10.0, 5.0, 20.0, 5.0, 10.0, 5.0], [5.0, 5.0, 20.0, 10.0, 5.0, 5.0]]],
    )
    made = replace(made, rows={"croma": "CROMA"}, score=score, task="segmentation")
    RecordStore(tmp_path).write(made, PREDICTIONS)
    paper = load("satdifuser")
    every = lines(paper, literature.read(literature.FOLDER / paper.file), merge([tmp_path]))
    (line,) = [one for one in every if (one.published.dataset, one.published.variant) == ("m-nz-cattle", "CROMA")]
    assert line.ours is not None
    assert line.ours.value == 0.6
    assert line.ours.low < 0.6 < line.ours.high
    assert line.shown()[:3] == ["m-nz-cattle", "CROMA", "croma"]


def test_three_files_say_the_same_and_name_where_the_papers_numbers_are_from(tmp_path: Path) -> None:
    paths = write(Merged([record()], {}, []), "satdifuser", tmp_path)
    assert [path.name for path in paths] == [f"reproduction_satdifuser.{suffix}" for suffix in ("csv", "md", "tex")]
    table, text, tex = (path.read_text() for path in paths)
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 47
    (ours,) = [row for row in rows if row["ours"]]
    assert (ours["row"], ours["paper"], ours["ours"], ours["state"]) == ("satdifuser-gw", "0.977", "0.96", "")
    assert {row["state"] for row in rows} == {"", NOT_RUN, NO_ROW}
    for shown in (text, tex):
        assert "96.0 [94.0, 98.0]" in shown
        assert "TRANSCRIBED from a third-party paper note" in shown
        assert "never ranked with ours" in shown
    assert tex.count(r" \\") == 47 + 2
    assert tex.count("{") - tex.count("}") == 0


def test_an_interval_without_width_counts_nothing() -> None:
    (line,) = found(make_record(0.9, half_width=0.0, **GW))["m-eurosat", "SatDiFuser-GW"]
    assert line.half_widths is None
    assert line.shown()[-1] == ""


def test_the_command_writes_beside_the_leaderboard_and_refuses_a_paper_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RecordStore(tmp_path).write(record(), PREDICTIONS)
    assert evaluate.main(["report", "--output", str(tmp_path), "--reproduce", "satdifuser"]) == 0
    assert str(tmp_path / "reproduction_satdifuser.md") in capsys.readouterr().out
    assert (tmp_path / "leaderboard.csv").exists()
    assert evaluate.main(["report", "--output", str(tmp_path), "--reproduce", "satdifusor"]) == 2
    assert "no paper 'satdifusor'; did you mean satdifuser?" in capsys.readouterr().err
    with pytest.raises(UserError, match="no paper ''"):
        reproduction.load("")
