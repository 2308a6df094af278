"""A paper's cells beside our records: every cell is there once, ours is of a suitable protocol, which is named."""

import csv
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import evaluate
from benchmark.record_store import RecordStore
from benchmark.records import Record
from encoders.errors import UserError
from reports import literature
from reports.merging import Absence, Merged, merge
from reports.paper_cells import Line, lines, load
from reports.reproduction import write
from reports.table import NOT_RANKED
from reports.tables import FEWER_SEEDS
from tests import made_up
from tests.latex import compiled
from tests.record_factory import PREDICTIONS, PROVENANCE, make_record
from tests.test_experiments import cells_of

GW = {"encoder": "satdifuser", "fusion": "gw", "fuser": {"kind": "gw"}, "title": "SatDiFuser"}


def record(value: float = 0.96, **changes: Any) -> Record:
    return make_record(value, **{**GW, **changes})


def found(*records: Record, absences: Sequence[Absence] = ()) -> dict[tuple[str, str], list[Line]]:
    paper = load("satdifuser")
    cells: dict[tuple[str, str], list[Line]] = {}
    merged = Merged([*records], {}, [*absences])
    for line in lines(paper, literature.read(literature.FOLDER / paper.file), merged):
        cells.setdefault((line.published.dataset, line.published.variant), []).append(line)
    return cells


def test_every_cell_of_the_paper_stands_once_and_says_why_nothing_stands_beside_it() -> None:
    cells = found()
    published = literature.read(literature.FOLDER / "satdifuser_paper.csv")
    assert cells.keys() == {(one.dataset, one.variant) for one in published}
    assert all(len(one) == 1 for one in cells.values())
    assert cells["m-eurosat", "SatDiFuser-GW"][0].state == "not run"
    assert cells["m-nz-cattle", "unspecified variant"][0].state == "no row of ours"


def test_the_difference_is_counted_in_half_widths_of_our_interval_over_seeds() -> None:
    (line,) = found(record(0.95, seed=0), record(0.97, seed=1))["m-eurosat", "SatDiFuser-GW"]
    assert line.ours is not None
    assert line.ours.seeds == 2
    assert line.difference == pytest.approx(0.96 - 0.977)
    assert line.half_widths == pytest.approx((0.96 - 0.977) / 0.02)
    assert line.match is not None
    assert (line.match.title, line.protocol, line.state) == ("satdifuser-gw", "frozen (012345)", "")


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
    shown = {variant: beside["m-eurosat", variant] for variant in (*single.values(), "simple concat")}
    assert {variant: [line.ours and line.ours.value for line in rows] for variant, rows in shown.items()} == {
        "single t=1 self-attn": [0.91], "single t=100 resnet": [0.92], "simple concat": [0.93]
    }  # fmt: skip
    match = shown["single t=1 self-attn"][0].match
    assert match is not None
    assert match.title == "satdifuser-concat [t = 1, self-attention]"


OTHERS: dict[str, dict[str, Any]] = {
    "a protocol for trying out": {"protocol": "smoke"},
    "a label fraction": {"partition": "0.10x_train"},
    "more than red, green and blue": {
        "bands": "authors",
        "inputs": ("red@0.665 <- B04 dn", "green@0.56 <- B03 dn", "nir@0.842 <- B08 dn"),
    },
    "the names as stored": {"band_names": "stored"},
    "another fuser": {"fusion": "gw-mine"},
    "another encoder": {"encoder": "satdifuser_tiny"},
    "random weights": {"weights": {"random": "0"}},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_what_is_not_the_papers_row_does_not_stand_beside_it(changes: dict[str, Any]) -> None:
    (line,) = found(record(**changes))["m-eurosat", "SatDiFuser-GW"]
    assert (line.state, line.ours) == ("not run", None)


def test_a_run_that_lacks_seeds_is_marked() -> None:
    told = replace(PROVENANCE, config={"protocol": {"seeds": 3}})
    seeds = [record(0.95, seed=seed, provenance=told) for seed in range(3)]
    for run, is_whole in ((seeds, True), (seeds[:2], False)):
        (line,) = found(*run)["m-eurosat", "SatDiFuser-GW"]
        assert line.is_ranked is is_whole
        assert line.flags == (() if is_whole else (FEWER_SEEDS,))


COLOUR = {"inputs": ("red@0.665 <- B04 dn", "green@0.56 <- B03 dn", "blue@0.49 <- B02 dn")}


def test_a_row_of_colour_alone_is_the_papers_in_either_track_and_counts_once() -> None:
    """As README asks for it: `--bands authors` feeds an encoder that sees colour alone the same three channels."""
    authors = [record(0.94 + seed / 50, seed=seed, bands="authors", **COLOUR) for seed in (0, 1)]
    (line,) = found(*authors)["m-eurosat", "SatDiFuser-GW"]
    assert line.ours is not None
    assert (line.ours.value, line.ours.seeds, line.bands) == (pytest.approx(0.95), 2, "authors")
    (line,) = found(*authors, record(0.9, **COLOUR))["m-eurosat", "SatDiFuser-GW"]
    assert line.ours is not None
    assert (line.ours.seeds, line.bands) == (2, "authors"), "a track that isn't whole yet displaces none"
    rgb = [record(0.9, seed=seed, **COLOUR) for seed in (0, 1)]
    for several in ([*authors, *rgb], [*rgb, *authors]):
        (line,) = found(*several)["m-eurosat", "SatDiFuser-GW"]
        assert line.ours is not None
        assert (line.ours.value, line.ours.seeds, line.bands) == (pytest.approx(0.9), 2, "rgb")


@pytest.mark.parametrize("bands", ["rgb", "authors"])
def test_a_row_with_its_authors_bands_is_of_that_track_alone(bands: str) -> None:
    (line,) = found(
        record(fusion="none", encoder="dofa", dataset="m-nz-cattle", bands=bands, metric="miou_absent_zero")
    )["m-nz-cattle", "DOFA"]
    assert line.state == ("" if bands == "authors" else "not run")


def absence(**changes: str) -> Absence:
    cell = {"row": "satdifuser", "fusion": "gw", "dataset": "m-eurosat", "probe": "linear", "hash": "0123"}
    cell |= {"bands": "authors", "band_names": "corrected", "partition": "default", **changes}
    return Absence(tuple(cell.values()), "failed", "CUDA ran out of memory", "frozen")


def test_the_reason_that_was_recorded_stands_where_there_is_no_record() -> None:
    cell = "m-eurosat", "SatDiFuser-GW"
    (line,) = found(absences=[absence()])[cell]
    assert (line.state, line.why, line.protocol) == ("failed", "CUDA ran out of memory", "frozen")
    (line,) = found(record(), absences=[absence()])[cell]
    assert (line.state, line.why) == ("", "")
    for other in ({"row": "dofa"}, {"fusion": "lw"}, {"dataset": "m-so2sat"}, {"partition": "0.10x_train"}):
        assert found(absences=[absence(**other)])[cell][0].state == "not run"
    assert found(absences=[replace(absence(), protocol="smoke")])[cell][0].state == "not run"
    near = replace(absence(), kind="impossible", why="no red", protocol="satdifuser_paper")
    assert found(absences=[absence(), near])[cell][0].state == "impossible"


def test_a_record_that_lacks_the_papers_metric_is_marked_and_ends_nothing(tmp_path: Path) -> None:
    made = make_record(
        0.5, metric="miou_truth", dataset="m-nz-cattle", encoder="dofa", bands="authors", task="segmentation"
    )
    merged = Merged([made], {made.key: tmp_path}, [])
    paths = write(merged, "satdifuser", tmp_path)
    (row,) = [row for row in csv.DictReader(paths[0].open()) if row["protocol"]]
    assert (row["dataset"], row["row"], row["state"], row["ours"]) == ("m-nz-cattle", "dofa", "not measured", "")
    assert "of a version that did not measure this metric; run it again" in paths[1].read_text()


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
    assert line.match is not None
    assert line.match.title == "croma"


def test_three_files_say_the_same_and_name_where_the_papers_numbers_are_from(tmp_path: Path) -> None:
    paths = write(Merged([record(ranked=False, flags=("leaks",))], {}, [absence(fusion="lw")]), "satdifuser", tmp_path)
    assert [path.name for path in paths] == [f"reproduction_satdifuser.{suffix}" for suffix in ("csv", "md", "tex")]
    table, text, tex = (path.read_text() for path in paths)
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 47
    (ours,) = [row for row in rows if row["ours"]]
    assert (ours["row"], ours["paper"], ours["ours"], ours["state"]) == ("satdifuser-gw", "0.977", "0.96", "")
    assert (ours["ranked"], ours["flags"], ours["bands"]) == ("False", "leaks", "rgb")
    assert {row["state"] for row in rows} == {"", "not run", "failed", "no row of ours"}
    assert [row["why"] for row in rows if row["state"] == "failed"] == ["CUDA ran out of memory"]
    assert "96.0<sup>†,a</sup> [94.0, 98.0] |         -1.7 |          -0.8 |" in text
    assert r"96.0\leaderboardscripts{$\dagger$,a}{$\pm$2.0} & $-$1.7 & $-$0.8 \\" in tex
    assert r"failed\textsuperscript{b}" in tex
    for shown in (text, tex):
        assert "TRANSCRIBED from a third-party paper note" in shown
        assert "never ranked with ours" in shown
        assert NOT_RANKED in shown
        assert "leaks." in shown
        assert "CUDA ran out of memory." in shown
        assert "segmentation, mIoU, absent as 0" in shown
        assert "miou" not in shown
    assert r"\input{reproduction_satdifuser}" in tex
    assert tex.count("frozen (012345)") == 1


def test_a_flag_of_all_records_is_told_once(tmp_path: Path) -> None:
    records = [record(flags=("leaks", "odd")), record(fusion="lw", fuser={"kind": "lw"}, flags=("leaks",))]
    _, text, _ = (path.read_text() for path in write(Merged(records, {}, []), "satdifuser", tmp_path))
    assert text.count("leaks") == 1
    assert "Throughout: leaks." in text
    assert "96.0<sup>a</sup> [94.0, 98.0]" in text
    assert "96.0 [94.0, 98.0]" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_the_papers_tables_fit_a_two_column_page_in_plain_pdflatex(tmp_path: Path) -> None:
    made_up.write(tmp_path, ("satdifuser", "croma"))
    assert evaluate.main(["report", str(tmp_path), "--reproduce", "satdifuser"]) == 0
    log = compiled(tmp_path, "reproduction_satdifuser")
    assert not re.search("Overfull|Too many unprocessed floats|Float too large", log)
    rows = list(csv.DictReader((tmp_path / "reproduction_satdifuser.csv").open()))
    beside = {row["variant"] for row in rows if row["ours"]}
    assert beside == {"CROMA", "SatDiFuser-GW", "SatDiFuser-LW", "SatDiFuser-MoE", "simple concat"}


def test_an_interval_without_width_counts_nothing() -> None:
    (line,) = found(make_record(0.9, half_width=0.0, **GW))["m-eurosat", "SatDiFuser-GW"]
    assert line.ours is not None
    assert line.half_widths is None


def test_the_command_writes_beside_the_leaderboard_and_refuses_a_paper_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RecordStore(tmp_path).write(record(), PREDICTIONS)
    assert evaluate.main(["report", "--output", str(tmp_path), "--reproduce", "satdifuser"]) == 0
    assert str(tmp_path / "reproduction_satdifuser.md") in capsys.readouterr().out
    assert (tmp_path / "leaderboard.csv").exists()
    (tmp_path / "leaderboard.csv").unlink()
    assert evaluate.main(["report", "--output", str(tmp_path), "--reproduce", "satdifusor"]) == 2
    assert "no paper 'satdifusor'; did you mean satdifuser?" in capsys.readouterr().err
    assert not (tmp_path / "leaderboard.csv").exists()
    with pytest.raises(UserError, match="no paper ''"):
        load("")
