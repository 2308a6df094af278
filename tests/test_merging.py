"""Folders of several machines as one: each run once, disagreement named, and a whole report that compiles."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import evaluate
from benchmark.record_store import RecordStore
from encoders.errors import UserError
from reports.merging import merge
from reports.tables import tables
from tests import made_up
from tests.latex import compiled
from tests.record_factory import COST, PREDICTIONS, make_record


def put(folder: Path, *records) -> Path:
    for record in records:
        RecordStore(folder).write(record, PREDICTIONS)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert made_up.write(folder, ("satdifuser", "satlas"), extras=False) == 2 * 6 * (1 + 5 + 5 + 5)
    return folder


def test_folders_are_one_and_copies_count_once(tmp_path):
    shared = make_record(encoder="a")
    copy = replace(shared, rows={"family": "Family"}, cost=replace(COST, encode_seconds=99.0))
    folders = [
        put(tmp_path / "x", shared, make_record(encoder="b")),
        put(tmp_path / "y", copy, make_record(encoder="c")),
    ]
    merged = merge(folders)
    assert sorted(record.run.encoder for record in merged.records) == ["a", "b", "c"]
    (joined,) = (record for record in merged.records if record.run.encoder == "a")
    assert joined.rows == shared.rows | {"family": "Family"}
    assert merged.folders[shared.key] == folders[0]
    assert RecordStore(merged.folders[shared.key]).read(shared.key) == shared
    assert {row.encoder for row in tables(merged.records)[0].rows} == {"a", "b", "c", "family"}


@pytest.mark.parametrize("other", [{"value": 0.8}, {"predictions_sha256": "00"}])
def test_two_results_of_one_run_are_an_error_that_names_both(tmp_path, other):
    first, second = make_record(), make_record(**other)
    paths = [RecordStore(put(tmp_path / "x", first)).path(first.key), tmp_path / "y" / "records" / f"{first.key}.json"]
    if second.predictions_sha256 == first.predictions_sha256:
        put(tmp_path / "y", second)
    else:
        put(tmp_path / "y", first)
        paths[1].write_text(paths[1].read_text().replace(first.predictions_sha256, "00"))
    with pytest.raises(UserError, match="are the same run with different results") as caught:
        merge([tmp_path / "x", tmp_path / "y"])
    assert all(str(path) in str(caught.value) for path in paths)
    assert "\n" not in str(caught.value)


def test_a_version_that_measures_more_of_the_same_predictions_does_not_disagree(tmp_path):
    old, new = make_record(), make_record()
    new.score.metrics["kappa"] = 0.7
    for first, second in ((old, new), (new, old)):
        folders = [put(tmp_path / str(id(first)) / name, one) for name, one in (("x", first), ("y", second))]
        assert len(merge(folders).records) == 1


def test_a_folder_named_twice_is_read_once(tmp_path):
    folder = put(tmp_path / "x", make_record())
    assert len(merge([folder, tmp_path / "x" / ".." / "x"]).records) == 1


def test_what_takes_memory_and_is_seldom_shown_is_left_in_the_files(tmp_path):
    (record,) = merge([put(tmp_path, make_record(input_card={"a": 1}))]).records
    assert (record.score.group_counts, record.score.calibration, record.input_card) == ([], [], {})
    assert record.score.metrics == make_record().score.metrics


def test_report_takes_folders_and_says_where_the_tables_are(tmp_path, capsys):
    put(tmp_path / "x", make_record(0.9, encoder="a"))
    put(tmp_path / "y", make_record(0.8, encoder="b"))
    assert evaluate.main(["report", str(tmp_path / "x"), str(tmp_path / "y"), "--output", str(tmp_path / "both")]) == 0
    printed = capsys.readouterr().out
    assert f"Look at {tmp_path}/both/index.html" in printed
    assert set(pd.read_csv(tmp_path / "both" / "leaderboard.csv")["encoder"]) == {"a", "b"}
    assert evaluate.main(["report", str(tmp_path / "y")]) == 0
    assert list(pd.read_csv(tmp_path / "y" / "leaderboard.csv")["encoder"]) == ["b"]
    assert evaluate.main(["report", "--output", str(tmp_path / "x")]) == 0
    assert list(pd.read_csv(tmp_path / "x" / "leaderboard.csv")["encoder"]) == ["a"]


def test_the_reason_an_error_record_gives_stands_in_the_table(made, tmp_path):
    merged = merge([Path(shutil.copytree(made, tmp_path / "with errors"))])
    assert merged.absences == []
    folder = tmp_path / "with errors"
    made_up.write(folder, ("satlas_s2_swinb_si_ms",), extras=False)
    merged = merge([folder])
    assert {one.kind for one in merged.absences} == {"impossible"}
    reasons = {
        missing.why
        for table in tables(merged.records, merged.absences)
        for row in table.rows
        for missing in row.missing.values()
    }
    assert any("nine Sentinel-2 bands" in why for why in reasons)


def test_made_up_records_say_so_wherever_they_are_shown(made):
    merged = merge([made])
    assert all(made_up.FLAG in record.flags for record in merged.records)
    assert all("made up" in row.title for table in tables(merged.records) for row in table.rows)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_twelve_datasets_fit_a_two_column_page_in_plain_pdflatex(made, tmp_path):
    assert evaluate.main(["report", str(made), "--output", str(tmp_path)]) == 0
    log = compiled(tmp_path)
    assert not re.search("Overfull|Too many unprocessed floats|Float too large", log)
    text = (tmp_path / "leaderboard.tex").read_text()
    for name in ("LP", "FUSED", "Segmentation", "fusers within each encoder", "what it costs on"):
        assert name in text
