"""Published numbers beside a table: each of a protocol of its own, with its source, of our metric, and never ranked."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from benchmark.records import Record
from reports import latex, leaderboard, literature, markdown, spreadsheets
from reports.beside import FILE, Beside, _file, beside, published_numbers
from reports.other_sheets import of_published
from reports.table import Table
from reports.tables import tables
from tests.record_factory import make_record

OURS: dict[str, Any] = {"encoder": "croma_large_optical", "rows": {"croma": "CROMA"}, "title": "CROMA large"}


def table(*records: Record) -> Table:
    (found,) = tables(records)
    return found


def found(*records: Record) -> Beside:
    one = beside(table(*records))
    assert one is not None
    return one


def test_every_protocol_has_numbers_and_every_model_is_in_a_source() -> None:
    every = {path.name: literature.read(path) for path in literature.FOLDER.glob("*.csv")}
    for protocol in _file().columns:
        numbers = [one for one in every[protocol.file] if re.search(protocol.note, one.protocol_note)]
        assert {one.metric for one in numbers} >= set(protocol.metrics), protocol.name
    variants = {one.variant for numbers in every.values() for one in numbers}
    assert {variant for model in _file().models for variant in model.variants} <= variants
    assert FILE.read_text().startswith("# uv run evaluate.py report\n")


def test_our_row_stands_beside_the_published_model_it_is_of() -> None:
    one = found(make_record(0.9, **OURS), make_record(0.8, encoder="mine"))
    assert [line.title for line in one.lines["m-eurosat"]] == ["CROMA", "DINOv3 ViT-L (SAT-493M)"]
    ours, *others = one.lines["m-eurosat"]
    assert ours.row is not None
    assert ours.row.encoder == "croma"
    assert all(other.row is None for other in others)
    values = {protocol.name: number for protocol, number in zip(one.protocols, ours.published, strict=True)}
    number = values["torchgeo-bench, linear"]
    assert number is not None
    assert (number.variant, number.fraction) == ("tgeo_croma_large", 0.901)
    assert values["DINOv3 card"] is None


def test_a_table_of_ones_own_encoder_has_company_too() -> None:
    one = found(make_record(0.9, encoder="mine"))
    assert [line.row for line in one.lines["m-eurosat"]] == [None] * len(one.lines["m-eurosat"])


@pytest.mark.parametrize(
    ("changes", "protocols"),
    [
        ({"bands": "authors"}, ["torchgeo-bench, linear", "OlmoEarth, kNN"]),
        ({"bands": "authors", "probe": "knn"}, ["torchgeo-bench, kNN", "OlmoEarth, kNN"]),
        (
            {"encoder": "satdifuser", "rows": {"satdifuser": "S"}, "fusion": "gw", "fuser": {"kind": "gw"}},
            ["SatDiFuser paper"],
        ),
        ({"metric": "f1_micro", "dataset": "m-bigearthnet", "bands": "authors"}, ["OlmoEarth, kNN"]),
        (
            {
                "task": "segmentation",
                "metric": "miou_truth",
                "dataset": "m-SA-crop-type",
                "probe": "upernet",
                "bands": "authors",
            },
            ["SatDiFuser paper", "OlmoEarth, linear", "GEO-Bench, fine-tuned"],
        ),
    ],
)
def test_protocols_stand_beside_the_tables_they_are_of_and_numbers_of_another_metric_do_not(
    changes: dict[str, Any], protocols: list[str]
) -> None:
    assert [protocol.name for protocol in found(make_record(0.9, **{**OURS, **changes})).protocols] == protocols


@pytest.mark.parametrize(
    "changes", [{"partition": "spatial"}, {"partition": "0.10x_train"}, {"dataset": "mine"}, {"metric": "f1_macro"}]
)
def test_nothing_stands_beside_another_split_dataset_or_metric(changes: dict[str, Any]) -> None:
    assert beside(table(make_record(0.9, **{**OURS, **changes}))) is None


def test_each_column_has_its_protocol_and_source_and_doubted_numbers_say_so() -> None:
    one = found(make_record(0.9, **OURS))
    (sheet,) = of_published([one])
    heads = {ink.text: ink.notes for ink in sheet.head if ink.notes}
    assert heads.keys() == {protocol.name for protocol in one.protocols}
    notes = dict(sheet.notes)
    assert all("https://" in notes[mark] for mark in heads.values())
    assert "refitted on train and validation" in notes[heads["torchgeo-bench, linear"]]
    ((_, lines),) = sheet.body
    published = {ink.text: notes[ink.notes] for line in lines for ink in line[2:] if ink.notes}
    assert "zero-filled bands" in published["90.1"]
    assert all("zero-filled" not in notes[mark] for mark in heads.values())


def test_published_numbers_bear_no_mark_of_a_ranking_and_change_none() -> None:
    records = [make_record(0.5, **OURS), make_record(0.4, encoder="dofa")]
    one = table(*records)
    (sheet,) = of_published([found(*records)])
    assert all(ink.style == "" for _, lines in sheet.body for line in lines for ink in line)
    # All published numbers are higher than both.
    assert all(number.published.fraction > 0.5 for number in published_numbers(one))
    assert [row.cells["m-eurosat"].mark for row in one.rows] == ["best", "second"]


def test_every_file_shows_them(tmp_path: Path) -> None:
    records = [make_record(0.9, **OURS)]
    leaderboard.write(records, tmp_path)
    (line,) = csv.DictReader((tmp_path / "leaderboard_wide.csv").open())
    assert line["m-eurosat: published, torchgeo-bench, linear"] == "0.901"
    lines = list(csv.DictReader((tmp_path / "leaderboard_published.csv").open()))
    (ours,) = [line for line in lines if line["variant"] == "tgeo_croma_large"]
    assert (ours["encoder"], ours["ours"], ours["published"]) == ("croma", "0.9", "0.901")
    assert ours["url"].startswith("https://")
    assert {line["ours"] for line in lines if line is not ours} == {""}
    sheets = leaderboard.sheets(tables(records))
    for text in (markdown.document(sheets), latex.document(sheets)):
        assert "LP beside published numbers" in text
        assert "never ranked" in text
    assert spreadsheets.published([table(make_record(dataset="mine"))]) == []
