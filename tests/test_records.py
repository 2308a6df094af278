"""Records: what is written is what is read, and whatever stops the process, never half of one."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.atomic import _host, remove_litter, write_atomically
from benchmark.record_store import RecordStore
from benchmark.records import SCHEMA
from benchmark.scoring import statistics
from encoders.errors import UserError
from tests.record_factory import PREDICTIONS, PROVENANCE, RUN, make_record

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path):
    return RecordStore(tmp_path)


def put(field, value):
    """A change of one field of a record's plain data, by its path."""

    def change(plain):
        *parents, last = field.split(".")
        for parent in parents:
            plain = plain[parent]
        plain[last] = value

    return change


def _edit(path, change):
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))


def test_what_is_written_is_what_is_read(store):
    record = make_record(encoder_options={"é": [1, 2.5, None], "n": {"a": True}}, flags=("50 % “x”",))
    assert not store.has(record.key)
    store.write(record, PREDICTIONS)
    assert store.has(record.key)
    assert store.read(record.key) == record
    assert store.predictions_path(record.key).read_bytes() == PREDICTIONS


def test_same_record_same_bytes(tmp_path):
    paths = [RecordStore(tmp_path / name).write(make_record(), PREDICTIONS) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_all_records_are_read_in_the_order_of_their_keys(store):
    records = [make_record(encoder=name) for name in "cab"]
    for record in records:
        store.write(record, PREDICTIONS)
    assert list(store) == sorted(records, key=lambda record: record.key)


def test_an_empty_folder_holds_no_records(tmp_path):
    assert list(RecordStore(tmp_path / "nowhere")) == []


def test_every_field_of_a_run_moves_its_key():
    plain = json.loads(json.dumps(RUN.__dict__))
    for name, value in plain.items():
        other = {"rgb": "authors", "corrected": "stored"}.get(value) if isinstance(value, str) else None
        changed = other or {str: "other", int: 99, list: ("other",), dict: {"other": "x"}}[type(value)]
        assert replace(RUN, **{name: changed}).key != RUN.key, name


def test_key_is_the_same_in_every_process():
    code = "from tests.record_factory import RUN; print(RUN.key)"
    keys = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("0", "1")
    }  # fmt: skip
    assert keys == {RUN.key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda plain: plain["run"].update(encoder="dofa"),
            "its key is not that of its run, so it was edited",
        ),
        (lambda plain: plain.update(key="0" * 16), "its key is not that of its run, so it was edited"),
        (lambda plain: plain["score"].update(metrik=1), "unknown key 'score.metrik'; did you mean metrics"),
        (lambda plain: plain["score"].pop("headline"), "'score.headline' is missing"),
        (lambda plain: plain["cost"].update(encode_seconds="fast"), "'cost.encode_seconds' is 'fast'"),
        (lambda plain: plain["provenance"].update(config=[1]), "'provenance.config' is"),
        (
            lambda plain: plain["score"].update(group_counts={"shape": [1, 1, 1], "whole": "x"}),
            "'score.group_counts' is",
        ),
        (lambda plain: plain["score"].update(group_counts=[["x"]]), "'score.group_counts.0.0' is 'x'"),
        (lambda plain: plain.update(role="modle"), "'role' is 'modle'; did you mean model"),
        (lambda plain: plain.update(schema=SCHEMA + 1), f"schema {SCHEMA + 1}, this version reads {SCHEMA}"),
        (
            lambda plain: plain.update(schema=SCHEMA + 1, new_field=1),
            f"schema {SCHEMA + 1}, this version reads",
        ),
    ],
)
def test_an_edited_record_is_refused_with_its_name_and_field(store, change, message):
    record = make_record()
    path = store.write(record, PREDICTIONS)
    _edit(path, change)
    for read in (store.read, store.read_light):
        with pytest.raises(UserError) as caught:
            read(record.key)
        assert message in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


NUMBERS = np.array([0.25, 0.5, 0.75], np.float32)
PROTOCOL = {"protocol": {"test_bootstraps": 3}}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("score.metrics.accuracy", 1.7, "'score.metrics.accuracy' is 1.7; it must be at most 1"),
        ("score.metrics.accuracy", -0.1, "'score.metrics.accuracy' is -0.1; it must be at least 0"),
        ("score.metrics", {"f1_macro": 0.5}, "'score.headline' is 'accuracy', which is not among score.metrics"),
        ("score.validation", 7, "'score.validation' is 7"),
        ("score.interval.low", 0.93, "'score.interval' begins at 0.93, above its end 0.92"),
        ("score.interval.high", 1.2, "'score.interval.high' is 1.2"),
        ("score.group_counts", [], "'score.group_counts' holds no counts"),
        ("score.group_counts", [[[], []]], "'score.group_counts' holds no counts"),
        ("score.group_counts", {"shape": [0, 2, 2], "whole": ""}, "0 numbers are not of shape [0, 2, 2]"),
        ("score.group_counts", {"shape": [10**9, 0, 2], "whole": ""}, "0 numbers are not of shape [1000000000, 0, 2]"),
        ("score.group_counts", [[[1.0], [1.0, 2.0]]], "lists of unequal lengths"),
        ("score.group_counts", {"shape": [1, 1, 2], "whole": "1 2"}, "'score.n_groups' is 2"),
        ("score.group_counts", [[[1.0, 2.0]]], "'score.n_groups' is 2"),
        ("score.confusion", [], "'score.confusion' has 0 rows and is not 2 x 2"),
        ("score.confusion", [[]], "'score.confusion"),
        ("score.confusion", [[1]], "'score.confusion' has 1 rows and is not 2 x 2"),
        ("score.confusion", [[1, 2], [3]], "'score.confusion' has 2 rows and is not 2 x 2"),
        ("score.confusion", [[[1, 2], [3, 4]]] * 2, "'score.confusion' has 2 rows and is not 2 x 2"),
        ("score.confusion", [[100, 0], [0, -100]], "'score.confusion.1.1' is -100"),
        ("score.confusion", [[100, 0], [0, 2**70]], f"'score.confusion.1.1' is {2**70}"),
        ("score.calibration", [], "'score.calibration' is []"),
        ("score.calibration", [[1.0, 1.0]] * 15, "'score.calibration.0' is [1.0, 1.0]"),
        ("score.resamples", "nothing of the kind", "'score.resamples' is no base64 of float32 numbers"),
        ("score.resamples", statistics.pack(NUMBERS)[:-4], "'score.resamples' is no base64 of float32 numbers"),
        ("score.resamples", statistics.pack(NUMBERS[:2]), "'score.resamples' holds 2 numbers instead of 3"),
        ("score.resamples", "", "'score.resamples' holds 0 numbers instead of 3"),
        ("score.resamples", statistics.pack(NUMBERS * np.nan), "'score.resamples' holds a number that isn't between"),
        ("score.resamples", statistics.pack(NUMBERS * 100), "'score.resamples' holds a number that isn't between"),
        ("score.n_groups", 0, "'score.n_groups' is 0"),
        ("score.n_test", -3, "'score.n_test' is -3"),
        ("rows", {}, "'rows' is {}"),
        ("cost.encode_seconds", -5, "'cost.encode_seconds' is -5"),
        ("cost.trained_parameters", -5, "'cost.trained_parameters' is -5"),
    ],
)
def test_what_no_run_can_give_is_refused_with_its_name_and_field(store, field, value, message):
    facts = {"metric": "accuracy", "num_classes": 2, "multilabel": False}
    record = make_record(provenance=replace(PROVENANCE, config=PROTOCOL), dataset_facts=facts)
    record = replace(record, score=replace(record.score, resamples=statistics.pack(NUMBERS)))
    path = store.write(record, PREDICTIONS)
    assert store.read_light(record.key) == store.read(record.key).light() == record.light()
    _edit(path, put(field, value))
    for read in (store.read, store.read_light):
        with pytest.raises(UserError) as caught:
            read(record.key)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)
        assert str(caught.value).endswith("; delete it and run the same command again")
        assert "\n" not in str(caught.value)
    assert not store.has(record.key)


def test_several_labels_have_a_table_each(store):
    facts = {"metric": "f1_micro", "num_classes": 3, "multilabel": True}
    record = make_record(metric="f1_micro", dataset_facts=facts)
    tables = [[[5, 1], [1, 5]]] * 3
    store.write(replace(record, score=replace(record.score, confusion=tables)), PREDICTIONS)
    assert store.read_light(record.key).score.confusion == tables
    _edit(store.path(record.key), put("score.confusion", tables[:2]))
    with pytest.raises(UserError, match="has 2 rows and is not 3 tables of 2 x 2"):
        store.read_light(record.key)


def test_a_metric_that_single_precision_rounds_past_one_is_whole(store):
    """As torchmetrics gives the average precision of a perfect ranking."""
    store.write(make_record(1.0000001192092896), PREDICTIONS)
    (key,) = store.keys()
    assert store.read_light(key).score.metrics["accuracy"] > 1


def test_one_group_has_nothing_to_resample(store):
    record = make_record(provenance=replace(PROVENANCE, config=PROTOCOL))
    score = replace(record.score, n_groups=1, group_counts=[[[90.0, 100.0]]])
    path = store.write(replace(record, score=score), PREDICTIONS)
    assert store.read_light(record.key).score.resamples == ""
    _edit(path, put("score.resamples", statistics.pack(NUMBERS)))
    with pytest.raises(UserError, match=r"'score\.resamples' holds 3 numbers instead of 0"):
        store.read_light(record.key)


def test_a_record_read_without_its_bulk_is_the_record_without_its_bulk(store):
    made = make_record(input_card={"channels": []}, provenance=replace(PROVENANCE, config={"dataset": {"name": "x"}}))
    store.write(made, PREDICTIONS)
    assert store.read_light(made.key) == made.light() == store.read(made.key).light()
    assert made.light() != made


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_damaged_record_is_refused_in_one_sentence(store, damage):
    record = make_record()
    path = store.write(record, PREDICTIONS)
    path.write_bytes(damage or path.read_bytes()[:100])
    for read in (store.read, store.read_light):
        with pytest.raises(UserError) as caught:
            list(map(read, store.keys()))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_record_that_is_not_there_is_a_sentence(store):
    with pytest.raises(UserError, match="cannot be read"):
        store.read("0" * 16)


def test_a_record_vouches_for_its_predictions(store):
    record = make_record()
    with pytest.raises(ValueError, match="predictions_sha256"):
        store.write(record, b"others")
    assert not store.has(record.key)
    store.write(record, PREDICTIONS)
    store.predictions_path(record.key).unlink()
    assert not store.has(record.key)


def test_a_number_that_is_not_finite_is_never_written(store):
    with pytest.raises(ValueError, match="JSON compliant"):
        store.write(make_record(float("nan")), PREDICTIONS)
    assert list(store) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from benchmark.record_store import RecordStore
from tests.record_factory import PREDICTIONS, make_record

calls = 0
def dies(name, function):
    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapped
os.fsync = dies("fsync", os.fsync)
Path.replace = dies("replace", Path.replace)
RecordStore(Path(sys.argv[1])).write(make_record(0.5), PREDICTIONS)
"""


@pytest.mark.parametrize("there_before", [False, True])
@pytest.mark.parametrize("call", range(1, 7))
def test_a_process_killed_while_writing_leaves_the_old_record_or_the_new_or_none(store, call, there_before):
    old, new = make_record(0.9), make_record(0.5)
    if there_before:
        store.write(old, PREDICTIONS)
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.folder), str(call)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert list(store) in ([[old], [new]] if there_before else [[], [new]])
    for folder in ("records", "predictions"):
        remove_litter(store.folder / folder)
    assert not [path for path in store.folder.rglob("*") if path.name.endswith(".tmp")]


def test_whoever_writes_a_record_waits_for_who_is_at_it(store):
    store.write(make_record(0.9), PREDICTIONS)
    with store.alone():
        key = make_record(0.9).key
        waiting = [
            threading.Thread(target=store.write, args=(make_record(0.5), PREDICTIONS)),
            threading.Thread(target=store.ask, args=(key, {"family": "A family"}, "", ())),
        ]
        for thread in waiting:
            thread.start()
            thread.join(0.2)
        assert all(thread.is_alive() for thread in waiting)
        assert list(store) == [make_record(0.9)]
    for thread in waiting:
        thread.join(30)
    assert next(iter(store)).score == make_record(0.5).score


def test_litter_of_a_running_process_and_files_of_others_are_left_alone(tmp_path):
    running, gone = tmp_path / f".a.json.{_host()}.{os.getpid()}.tmp", tmp_path / f".a.json.{_host()}.999999999.tmp"
    others = tmp_path / "notes.tmp"
    for path in (running, gone, others):
        path.write_text("")
    remove_litter(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([running, others])


def test_litter_is_looked_for_as_deep_as_asked_for(tmp_path):
    paths = [tmp_path / name / f".a.json.{_host()}.999999999.tmp" for name in ("", "b", "b/c")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    remove_litter(tmp_path, below=1)
    assert [path.exists() for path in paths] == [False, False, True]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "file", b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("file", b"old")]
