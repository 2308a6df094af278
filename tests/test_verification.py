"""`verify`: whole results pass, each kind of damage is found in its file, and none hides another."""

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evaluate
from benchmark.commands import verification
from benchmark.commands.verification import Problem, verify
from benchmark.record_store import REMEDY, RecordStore
from benchmark.records import Record
from benchmark.scoring.packed import unpack
from encoders.errors import to_json
from reports.comparable import apart

CELLS = {
    "classification": ("--dataset", "real-chesapeake-patches", "protocol.linear_c.values=2"),
    "segmentation": ("--dataset", "real-neontree-crops", "--protocol", "smoke", "protocol.epochs=1"),
}
Plain = dict[str, Any]
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real results of both tasks, a folder each; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(folder / "home"))
        for task, options in CELLS.items():
            arguments = ["--encoder", "imagestats", "--device", "cpu", *options, "--output", str(folder / task)]
            assert evaluate.main(arguments) == 0
    return folder


@pytest.fixture
def results(made: Path, tmp_path: Path, task: str) -> RecordStore:
    return RecordStore(Path(shutil.copytree(made / task, tmp_path / "results")))


def record_of(store: RecordStore) -> Record:
    (record,) = store
    return record


def edit(store: RecordStore, change: Callable[[Plain], object]) -> None:
    """Change the record's JSON, as an editor would who has unpacked it."""
    (path,) = (store.folder / "records").glob("*.json")
    plain = json.loads(path.read_text())
    if isinstance(counts := plain["score"]["group_counts"], dict):
        plain["score"]["group_counts"] = unpack(counts)
    change(plain)
    path.write_text(json.dumps(plain))


def repredict(store: RecordStore, change: Callable[[Arrays], object]) -> None:
    """Change the predictions and the sha256 that vouches for them."""
    record = record_of(store)
    path = store.predictions_path(record.key)
    with np.load(path) as stored:
        arrays = dict(stored)
    change(arrays)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    put(store, buffer.getvalue())


def put(store: RecordStore, content: bytes) -> None:
    record = record_of(store)
    store.predictions_path(record.key).write_bytes(content)
    edit(store, lambda plain: plain.update(predictions_sha256=hashlib.sha256(content).hexdigest()))


def problems(store: RecordStore) -> list[Problem]:
    return verify([store.folder]).problems


@pytest.mark.parametrize("task", list(CELLS))
def test_what_a_run_wrote_is_whole(results: RecordStore) -> None:
    verified = verify([results.folder])
    assert verified.problems == []
    assert verified.summary == "1 records checked: no problem."
    assert [record.key for record in verified.records] == [record_of(results).key]


def _one_group(plain: Plain) -> None:
    """All groups as one, of which nothing can be resampled."""
    score = plain["score"]
    summed = [[[sum(counts) for counts in zip(*fit, strict=True)]] for fit in score["group_counts"]]
    score.update(group_counts=summed, n_groups=1, resamples="")


EDITS: dict[str, tuple[str, Callable[[Plain], object], str]] = {
    "no field": ("classification", lambda p: p["score"].pop("headline"), "'score.headline' is missing"),
    "unknown field": ("classification", lambda p: p.update(note="x"), "unknown key 'note'"),
    "schema": ("classification", lambda p: p.update(schema=1), "record schema 1"),
    "key": ("classification", lambda p: p["run"].update(seed=3), "its key is not that of its run"),
    "protocol": (
        "classification",
        lambda p: p["provenance"]["config"]["protocol"].update(bootstrap_seed=5),
        "provenance.config.protocol: its hash is not run.protocol_hash",
    ),
    "no protocol": (
        "classification",
        lambda p: p["provenance"]["config"].pop("protocol"),
        "provenance.config.protocol",
    ),
    "samples without end": (
        "classification",
        lambda p: (_one_group(p), p["provenance"]["config"]["protocol"].update(test_bootstraps=10**12)),
        "test_bootstraps would have 1000000000000 numbers drawn",
    ),
    "train without end": (
        "classification",
        lambda p: p["score"].update(n_train=10**12),
        "n_train would have 1000000000000 numbers drawn",
    ),
    "metric": ("classification", lambda p: p["score"]["metrics"].update(accuracy=0.99), "score.metrics.accuracy: 0.99"),
    "other metric": ("classification", lambda p: p["score"]["metrics"].update(f1_macro=0.0), "score.metrics.f1_macro"),
    "metric too many": ("classification", lambda p: p["score"]["metrics"].update(wow=1.0), "holds wow; edited"),
    "headline too few": (
        "segmentation",
        lambda p: p["score"]["metrics"].pop("miou_truth"),
        "'score.headline' is 'miou_truth', which is not among score.metrics",
    ),
    "metric out of range": (
        "classification",
        lambda p: p["score"]["metrics"].update(accuracy=1.5),
        "'score.metrics.accuracy' is 1.5; it must be at most 1",
    ),
    "validation": ("classification", lambda p: p["score"].update(validation=-0.1), "'score.validation' is -0.1"),
    "headline": ("classification", lambda p: p["score"].update(headline="f1_macro"), "score.headline: 'f1_macro'"),
    "headline lost": (
        "classification",
        lambda p: p["score"]["metrics"].pop("accuracy"),
        "'score.headline' is 'accuracy', which is not among score.metrics",
    ),
    "confusion": ("classification", lambda p: p["score"]["confusion"][0].__setitem__(0, 999), "score.confusion:"),
    "confusion of pixels": (
        "segmentation",
        lambda p: p["score"]["confusion"].pop(),
        "'score.confusion' has 1 rows and is not 2 x 2",
    ),
    "calibration": (
        "classification",
        lambda p: p["score"]["calibration"][-1].__setitem__(1, 0.5),
        "score.calibration: its predictions give others",
    ),
    "calibration of pixels": (
        "segmentation",
        lambda p: p["score"]["calibration"][-1].__setitem__(2, 1e6),
        "score.calibration",
    ),
    "ragged calibration": (
        "segmentation",
        lambda p: p["score"]["calibration"][0].pop(),
        "'score.calibration.0'",
    ),
    "ece": ("segmentation", lambda p: p["score"]["metrics"].update(ece=0.9), "score.metrics.ece: 0.9"),
    "group counts": (
        "classification",
        lambda p: p["score"]["group_counts"][0][0].__setitem__(0, 0.0),
        "score.group_counts[0]",
    ),
    "group counts of pixels": (
        "segmentation",
        lambda p: p["score"]["group_counts"][0][0].__setitem__(0, 1.0),
        "score.group_counts[0]",
    ),
    "a refit's counts": (
        "classification",
        lambda p: [group.__setitem__(0, 0.0) for group in p["score"]["group_counts"][2]],
        "score.interval.low",
    ),
    "resamples": (
        "segmentation",
        lambda p: p["score"].update(
            resamples=p["score"]["resamples"][16:48] + p["score"]["resamples"][:16] + p["score"]["resamples"][48:]
        ),
        "score.resamples: its group counts give others",
    ),
    "resamples of another form": (
        "classification",
        lambda p: p["score"].update(resamples="[0.5, 0.5]"),
        "'score.resamples' is no base64",
    ),
    "a refit lost": ("classification", lambda p: p["score"]["group_counts"].pop(), "where 6 fits of 4 groups"),
    "groups": ("classification", lambda p: p["score"].update(n_groups=51), "'score.n_groups' is 51"),
    "test size": ("classification", lambda p: p["score"].update(n_test=50), "score.n_test: 50"),
    "interval": (
        "segmentation",
        lambda p: p["score"]["interval"].update(high=p["score"]["interval"]["high"] - 1e-6),
        "score.interval.high",
    ),
    "interval's method": (
        "segmentation",
        lambda p: p["score"]["interval"].update(method="by hand"),
        "score.interval.method",
    ),
    "cost": ("classification", lambda p: p["cost"].update(encode_seconds=-1.0), "'cost.encode_seconds' is -1.0"),
}


@pytest.mark.parametrize(("task", "change", "message"), EDITS.values(), ids=EDITS)
def test_an_edited_record_is_found_out(results: RecordStore, change: Callable[[Plain], object], message: str) -> None:
    edit(results, change)
    found = problems(results)
    assert any(message in problem.what for problem in found), [problem.what for problem in found]
    assert {problem.file.parent.name for problem in found} == {"records"}
    assert all(problem.remedy and "\n" not in problem.what for problem in found)


@pytest.mark.parametrize("task", list(CELLS))
def test_a_record_of_a_version_that_measured_less_is_whole(results: RecordStore) -> None:
    edit(results, lambda plain: plain["score"]["metrics"].pop("ece"))
    assert not problems(results)


@pytest.mark.parametrize("task", ["classification"])
def test_no_confusion_is_made_of_more_classes_than_the_recorded_one_has(results: RecordStore) -> None:
    """Facts that name 100,000 classes, under the key of a run that has them."""
    record = record_of(results)
    run = replace(record.run, dataset_facts={**record.run.dataset_facts, "num_classes": 10**5})
    edit(results, lambda plain: plain.update(key=run.key, run=json.loads(to_json(run))))
    for path in (results.path(record.key), results.predictions_path(record.key)):
        path.rename(path.with_stem(run.key))
    (problem,) = problems(results)
    assert problem.file == results.path(run.key)
    assert "'score.confusion' has 4 rows and is not 100000 x 100000" in problem.what
    assert problem.remedy == REMEDY


def _set(name: str, index: Any, value: object) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].__setitem__(index, value)


def _cast(name: str, dtype: Any) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: arrays[name].astype(dtype)})


def _cut(name: str) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: arrays[name][:-1]})


PREDICTED: dict[str, tuple[str, Callable[[Arrays], object], str]] = {
    "array lost": ("classification", lambda a: a.pop("groups"), "holds labels, samples, scores instead of"),
    "array too many": ("segmentation", lambda a: a.update(scores=np.zeros(3)), "predictions: holds"),
    "dtype": ("classification", _cast("scores", np.int64), "predictions.scores: cannot be int64"),
    "mask dtype": ("segmentation", _cast("masks", np.float32), "predictions.masks: cannot be float32"),
    "rank": ("classification", lambda a: a.update(labels=a["labels"][:, None]), "predictions.labels: cannot be"),
    "not finite": ("classification", _set("scores", (0, 0), np.nan), "a score is NaN or infinite"),
    "label out of range": ("classification", _set("labels", 0, 77), "predictions.labels: values from"),
    "mask out of range": ("segmentation", _set("masks", (0, 0, 0), 9), "predictions.masks: values from"),
    "negative confusion": ("segmentation", _set("confusions", (0, 0, 0), -1), "predictions.confusions: values from -1"),
    "groups too few": ("classification", _cut("groups"), "predictions.groups: 50 entries for 51 samples"),
    "samples too few": ("segmentation", _cut("samples"), "entries for"),
    "sample twice": ("classification", lambda a: _set("samples", 0, a["samples"][1])(a), "a sample is named twice"),
    "classes": (
        "classification",
        lambda a: a.update(scores=np.repeat(a["scores"], 2, axis=1)),
        "does not fit",
    ),
    "masks moved": ("segmentation", lambda a: a.update(masks=1 - a["masks"]), "predictions.masks:"),
}


@pytest.mark.parametrize(("task", "change", "message"), PREDICTED.values(), ids=PREDICTED)
def test_predictions_that_cannot_be_are_found_out(
    results: RecordStore, change: Callable[[Arrays], object], message: str
) -> None:
    repredict(results, change)
    found = problems(results)
    assert any(message in problem.what for problem in found), [problem.what for problem in found]
    assert found[0].file == results.predictions_path(record_of(results).key)


@pytest.mark.parametrize("task", list(CELLS))
def test_predictions_of_another_fit_give_other_numbers(results: RecordStore) -> None:
    def other(arrays: Arrays) -> None:
        for name in {"scores", "labels", "confusions", "masks"} & arrays.keys():
            arrays[name] = np.roll(arrays[name], 3, axis=0) if name != "labels" else arrays[name]

    repredict(results, other)
    assert {"score.group_counts[0]"} <= {problem.what.split(":")[0] for problem in problems(results)}


def _objects(store: RecordStore) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, scores=np.array([print], dtype=object))
    put(store, buffer.getvalue())


def _zeros(size: int) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, scores=np.zeros(size, np.uint8))
    return buffer.getvalue()


DAMAGES: dict[str, tuple[Callable[[RecordStore, Record], object], str]] = {
    "gone": (lambda s, r: s.predictions_path(r.key).unlink(), "cannot be read (No such file"),
    "truncated": (
        lambda s, r: s.predictions_path(r.key).write_bytes(s.predictions_path(r.key).read_bytes()[:100]),
        "another sha256",
    ),
    "no zip": (lambda s, r: put(s, b"nothing of the kind"), "no .npz file of plain arrays"),
    "a bare array": (lambda s, r: put(s, b"\x93NUMPY\x01\x00"), "no .npz file of plain arrays"),
    "empty": (lambda s, r: put(s, b""), "no .npz file of plain arrays"),
    "pickled objects": (lambda s, r: _objects(s), "no .npz file of plain arrays"),
    "gigabytes": (lambda s, r: put(s, _zeros(100_000_000)), "unpacks to 100 MB, where what its record counts"),
    "orphan": (
        lambda s, r: s.predictions_path("0" * 16).write_bytes(b""),
        "predictions without a record",
    ),
    "truncated record": (lambda s, r: s.path(r.key).write_bytes(s.path(r.key).read_bytes()[:50]), "not valid JSON"),
    "renamed record": (lambda s, r: s.path(r.key).rename(s.path("0" * 16)), "its key is not that of its run"),
}


@pytest.mark.parametrize("task", ["classification"])
@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named_and_never_stops_the_others(
    results: RecordStore, made: Path, damage: Callable[[RecordStore, Record], object], message: str
) -> None:
    record = record_of(results)
    damage(results, record)
    for part in ("records", "predictions"):
        shutil.copytree(made / "segmentation" / part, results.folder / part, dirs_exist_ok=True)
    edited = record_of(RecordStore(made / "segmentation")).key
    path = results.path(edited)
    path.write_text(path.read_text().replace('"headline": "miou_truth"', '"headline": "accuracy"'))
    found = problems(results)
    assert any(message in problem.what for problem in found), [problem.what for problem in found]
    assert any(problem.file == path for problem in found)


def test_a_file_nobody_thought_of_is_a_problem_and_not_the_end(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("made up")

    monkeypatch.setattr(verification, "faults", broken)
    verified = verify([made / "classification", made / "segmentation"])
    assert [problem.what for problem in verified.problems] == ["cannot be checked (ZeroDivisionError: made up)"] * 2


@pytest.mark.parametrize("task", ["classification"])
def test_one_run_with_two_results_names_both_files(results: RecordStore, made: Path, tmp_path: Path) -> None:
    edit(results, lambda plain: plain["score"]["metrics"].update(accuracy=0.5))
    first = RecordStore(made / "classification")
    whole = record_of(first)
    conflict = verify([first.folder, results.folder, first.folder]).problems[-1]
    assert conflict.file == results.path(whole.key)
    assert str(first.path(whole.key)) in conflict.what
    assert "accuracy 0.5, there 0." in conflict.what


@pytest.mark.parametrize("task", ["classification"])
def test_the_same_record_in_two_folders_is_no_problem_whatever_it_cost(results: RecordStore, made: Path) -> None:
    edit(results, lambda plain: plain["cost"].update(encode_seconds=123.0))
    verified = verify([made / "classification", results.folder])
    assert verified.problems == []
    assert verified.checked == 2


class Elsewhere:
    """A pool whose work passes through pickle as to another process, without the seconds one takes to start."""

    def __init__(self, workers: int, *_: object) -> None:
        assert workers == 2

    def __enter__(self) -> "Elsewhere":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[..., object], items: list[Path], chunksize: int) -> list[object]:
        sent = [pickle.loads(pickle.dumps((function, item))) for item in items]
        return [pickle.loads(pickle.dumps(one(item))) for one, item in sent]


@pytest.mark.parametrize("task", ["classification"])
def test_several_processes_find_the_same(results: RecordStore, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(results, lambda plain: plain["score"].update(n_test=50))
    folders = [made / "classification", made / "segmentation", results.folder]
    alone = verify(folders)
    monkeypatch.setattr(verification, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(verification, "ProcessPoolExecutor", Elsewhere)
    monkeypatch.setattr(verification.os, "cpu_count", lambda: 2)
    assert verify(folders) == alone
    assert len(alone.problems) == 2


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    (problem,) = verify([tmp_path / "nowhere"]).problems
    assert problem.file == tmp_path / "nowhere"
    assert "holds no records" in problem.what


@pytest.mark.parametrize("task", ["classification"])
def test_what_shares_no_table_is_listed_with_the_settings_that_differ(results: RecordStore) -> None:
    record = record_of(results)
    assert apart([record]) == ([], [])
    other = replace(record, run=replace(record.run, partition="0.10x_train", protocol_hash="f" * 12))
    header, rows = apart([record, other, replace(other, run=replace(other.run, encoder="rcf"))])
    assert header == ["set", "records", "protocol hash", "partition", "columns of one dataset"]
    assert sorted(row[1:4] for row in rows) == [
        ["1", record.run.protocol_hash, "default"],
        ["2", "f" * 12, "0.10x_train"],
    ]


@pytest.mark.parametrize("task", ["classification"])
def test_other_data_and_other_metrics_of_one_dataset_do_not_compare(results: RecordStore) -> None:
    record = record_of(results)
    run = replace(record.run, data={**record.run.data, "test": "0" * 64})
    header, rows = apart([record, replace(record, key=run.key, run=run)])
    ((_, number, columns),) = rows
    assert (header[-1], number) == ("columns of one dataset", "2")
    assert columns.count("real-chesapeake-patches (data ") == 2


def test_the_command_prints_files_and_remedies_and_ends_with_2(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["verify", str(made / "classification"), str(made / "segmentation")]) == 0
    printed = capsys.readouterr().out
    assert "These sets of records share no table" in printed
    assert "2 records checked: no problem." in printed
    store = RecordStore(Path(shutil.copytree(made / "classification", tmp_path / "bad")))
    store.predictions_path(record_of(store).key).unlink()
    assert evaluate.main(["verify", str(store.folder)]) == 2
    printed = capsys.readouterr().out
    assert "run the command" in printed
    assert "1 records checked: 1 problems in 1 files." in printed


def test_multi_label_and_trained_classifiers_are_recomputed_too(made: Path, tmp_path: Path) -> None:
    from benchmark.scoring import calibration, counts, metrics, statistics

    record = record_of(RecordStore(made / "classification"))
    rng = np.random.default_rng(0)
    scores, labels = rng.random((40, 3)).astype(np.float32), rng.integers(0, 2, (40, 3)).astype(np.uint8)
    groups = np.arange(40, dtype=np.int32) // 4
    grouped = counts.group_counts("f1_micro", scores, labels, groups)[None]
    facts = {**record.run.dataset_facts, "metric": "f1_micro", "multilabel": True, "num_classes": 3}
    run = replace(record.run, dataset_facts=facts, fuser={"kind": "gw"}, fusion="gw", seed=2)
    protocol: Plain = record.provenance.config["protocol"]  # type: ignore[assignment]
    draws = statistics.draw(1, 10, protocol["test_bootstraps"], np.random.default_rng(protocol["bootstrap_seed"]))
    resampled = statistics.resample(grouped, "f1_micro", draws)
    buffer = io.BytesIO()
    np.savez(buffer, scores=scores, labels=labels, groups=groups, samples=np.arange(40).astype(str))
    score = replace(
        record.score,
        headline="f1_micro",
        metrics=metrics.classification_metrics(scores, labels, True),
        interval=statistics.interval_of(grouped, "f1_micro", resampled, 0.95),
        resamples=statistics.pack(resampled),
        group_counts=grouped.tolist(),
        confusion=metrics.classification_confusion(scores, labels, True).tolist(),
        calibration=calibration.classification_calibration(scores, labels, True).tolist(),
        n_groups=10,
        n_test=40,
    )
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    whole = replace(record, key=run.key, run=run, score=score, predictions_sha256=digest)
    store = RecordStore(tmp_path)
    store.write(whole, buffer.getvalue())
    assert problems(store) == []
    store.path(run.key).write_bytes(to_json(replace(whole, score=replace(score, confusion=[[1, 2], [3, 4]]))))
    assert [problem.what.split(":")[0] for problem in problems(store)] == [
        "'score.confusion' has 2 rows and is not 3 tables of 2 x 2, as run.dataset_facts has it"
    ]
