"""Folders of several machines as one: each run once, disagreement named, and a whole report that compiles."""

import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluate
from benchmark.record_store import RecordStore
from benchmark.scoring import statistics
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
    assert RecordStore(merged.folders[shared.key]).read(shared.key).cost == joined.cost
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


def scored(record, **changes):
    return replace(record, score=replace(record.score, **changes))


def dated(record, created):
    return replace(record, provenance=replace(record.provenance, created=created))


MEASURED = {
    "the interval": (lambda one: scored(one, interval=replace(one.score.interval, low=0.2)), "score.interval.low"),
    "the resamples": (lambda one: scored(one, resamples=statistics.pack(np.ones(3))), "score.resamples"),
    "the validation": (lambda one: scored(one, validation=0.3), "score.validation"),
    "the choice": (lambda one: scored(one, chosen={"C": 10.0}), "score.chosen.C 0.1 and 10.0"),
    "the confusion": (lambda one: scored(one, confusion=[[99, 1], [0, 100]]), "score.confusion"),
    "the test images": (lambda one: scored(one, n_test=201), "score.n_test"),
    "another metric": (lambda one: scored(one, metrics=one.score.metrics | {"f1_macro": 0.1}), "f1_macro 0."),
    "the calibration": (lambda one: scored(one, calibration=[[0.0, 0.0, 0.0]] * 14 + [[200, 181, 180]]), "score.calib"),
    "the groups' counts": (lambda one: scored(one, group_counts=[[[91, 100], [89, 100]]]), "score.group_counts"),
    "the refits": (lambda one: scored(one, group_counts=one.score.group_counts * 2), "score.group_counts"),
}
TOLD = {
    "title": lambda one: replace(one, title="Better CROMA"),
    "role": lambda one: replace(one, role="control"),
    "licence": lambda one: replace(one, licence="CC-BY-NC-4.0"),
    "pretraining_overlap": lambda one: replace(one, pretraining_overlap=("m-eurosat",)),
    "ranked": lambda one: replace(one, ranked=False),
    "flags": lambda one: replace(one, flags=("leaks",)),
    "score.interval.method": lambda one: scored(one, interval=replace(one.score.interval, method="by hand")),
    "score.chosen": lambda one: scored(one, chosen=one.score.chosen | {"best_epoch": 3.0}),
}


@pytest.mark.parametrize(("change", "told"), MEASURED.values(), ids=MEASURED)
@pytest.mark.parametrize("created", ["2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"])
def test_whatever_was_measured_otherwise_is_an_error_that_names_both(tmp_path, change, told, created):
    first = make_record()
    folders = [put(tmp_path / "x", first), put(tmp_path / "y", dated(change(first), created))]
    for order in (folders, folders[::-1]):
        with pytest.raises(UserError, match="are the same run with different results") as caught:
            merge(order)
        assert told in str(caught.value)
        assert all(str(RecordStore(folder).path(first.key)) in str(caught.value) for folder in folders)


def test_other_rounding_of_the_same_predictions_is_no_other_result(tmp_path):
    first = scored(make_record(), resamples=statistics.pack(np.array([0.5, 0.6])))
    again = scored(
        first,
        resamples=statistics.pack(np.array([0.5, 0.6 + 1e-7])),
        interval=replace(first.score.interval, low=first.score.interval.low + 1e-12),
        metrics={name: value + 1e-12 for name, value in first.score.metrics.items()},
        validation=first.score.validation + 1e-12,
        calibration=[[count, total * (1 + 1e-8), right] for count, total, right in first.score.calibration],
    )
    folders = [put(tmp_path / "x", first), put(tmp_path / "y", again)]
    merged = merge(folders)
    assert len(merged.records) == 1
    assert merge(folders[::-1]) == merged
    later = put(tmp_path / "z", dated(again, "2026-02"))
    assert merge([later, folders[0]]).records == [dated(again, "2026-02").light()]


def test_of_equal_copies_the_one_with_predictions_and_pictures_beside_it_is_read(tmp_path):
    record = make_record(fusion="gw", fuser={"kind": "gw"})
    folders = [tmp_path / name for name in "pqrst"]
    for folder in folders:
        put(folder, record)
    for lacking in (folders[0], folders[-1]):
        RecordStore(lacking).predictions_path(record.key).unlink()
    pictures = folders[2] / "pictures"
    pictures.mkdir()
    found = []
    for name in (f"{record.key}.npz", "m-eurosat-3333.npz"):
        (pictures / name).touch()
        found += [merge(order).folders[record.key].name for order in itertools.permutations(folders)]
    assert set(found) == {"r"}
    shutil.rmtree(pictures)
    assert {merge(order).folders[record.key].name for order in itertools.permutations(folders)} == {"s"}


@pytest.mark.parametrize("change", TOLD.values(), ids=TOLD)
def test_of_two_versions_words_the_newest_are_told_whatever_the_order(tmp_path, change):
    old, new = make_record(), dated(change(make_record()), "2026-02-01T00:00:00+00:00")
    folders = [put(tmp_path / "x", old), put(tmp_path / "y", new)]
    for order in (folders, folders[::-1]):
        merged = merge(order)
        assert merged.records == [new.light()]
        assert merged.folders == {new.key: tmp_path / "y"}


@pytest.mark.parametrize(("field", "change"), TOLD.items(), ids=TOLD)
def test_a_copy_that_was_edited_is_an_error_that_names_both(tmp_path, field, change):
    first = make_record()
    folders = [put(tmp_path / "x", first), put(tmp_path / "y", change(first))]
    for order in (folders, folders[::-1]):
        with pytest.raises(UserError, match="are copies of one record and differ in") as caught:
            merge(order)
        assert f"differ in {field}, so one was edited" in str(caught.value)
        assert all(str(RecordStore(folder).path(first.key)) in str(caught.value) for folder in folders)


def test_three_copies_are_one_in_any_order(tmp_path):
    first = make_record()
    copies = [
        replace(first, rows={"a": "A", "c": "from x"}, cost=replace(COST, encode_seconds=1.0)),
        replace(first, rows={"b": "B", "c": "from y"}, cost=replace(COST, encode_seconds=9.0)),
        dated(scored(first, metrics=first.score.metrics | {"kappa": 0.7}), "2025-12-01T00:00:00+00:00"),
    ]
    # Two lie there twice, which only their place tells apart.
    folders = [put(tmp_path / name, copy) for name, copy in zip("vwxyz", [*copies, *copies[:2]], strict=True)]
    merged = [merge(order) for order in itertools.permutations(folders)]
    assert all((one.records, one.folders) == (merged[0].records, merged[0].folders) for one in merged)
    (record,) = merged[0].records
    assert record.rows.keys() == {"a", "b", "c", "croma"}
    assert record.score.metrics["kappa"] == 0.7


def test_only_copies_that_differ_are_read_in_full(tmp_path, monkeypatch):
    shared, differing = make_record(encoder="a"), make_record(encoder="b")
    folders = [
        put(tmp_path / "x", shared, differing, make_record(encoder="c")),
        put(tmp_path / "y", shared, replace(differing, cost=replace(COST, encode_seconds=9.0))),
    ]
    read, whole = [], RecordStore.read
    monkeypatch.setattr(RecordStore, "read", lambda store, key: read.append(key) or whole(store, key))
    assert len(merge(folders).records) == 3
    assert read == [differing.key] * 2


def test_of_two_reasons_the_last_is_told_whatever_the_order(tmp_path):
    folders = [tmp_path / "x", tmp_path / "y"]
    for folder, why in zip(folders, ("broke", "cannot be fed"), strict=True):
        made_up.write(folder, ("satlas_s2_swinb_si_ms",), extras=False)
        for path in (folder / "errors").glob("*.json"):
            plain = json.loads(path.read_text())
            plain.update(message=why, created=f"2026-0{1 + folders.index(folder)}-01T00:00:00+00:00")
            path.write_text(json.dumps(plain))
    for order in (folders, folders[::-1]):
        last = {one.cell: one.why for one in merge(order).absences}
        assert set(last.values()) == {"cannot be fed"}


@pytest.mark.parametrize("beside", [True, False])
def test_a_mistyped_folder_is_named_and_nothing_is_written(tmp_path, capsys, beside):
    folders = [str(put(tmp_path / "x", make_record()))] if beside else []
    output = tmp_path / "merged"
    assert evaluate.main(["report", *folders, str(tmp_path / "nope"), "--output", str(output)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/nope: holds no records, there is no such folder; ")
    assert said.count("\n") == 1
    assert not output.exists()


def test_a_folder_without_records_is_named_with_the_command_that_makes_some(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    put(tmp_path / "x", make_record())
    for folders in (["empty"], ["x", "empty"]):
        paths = [str(tmp_path / name) for name in folders]
        assert evaluate.main(["report", *paths, "--output", str(tmp_path / "merged")]) == 2
        said = capsys.readouterr().err
        assert f"{tmp_path}/empty: holds no records yet; make some: uv run evaluate.py --demo --output" in said


def test_where_every_cell_failed_there_is_nothing_to_report_alone_and_a_reason_beside_others(tmp_path, made):
    made_up.write(tmp_path, ("satlas_s2_swinb_si_ms",), extras=False)
    for path in (tmp_path / "records").glob("*.json"):
        path.unlink()
    with pytest.raises(UserError, match="holds no records yet"):
        merge([tmp_path])
    assert merge([tmp_path, made]).absences


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
