"""Results that came from somebody else: records and predictions that are damaged, edited or made to harm."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmark.record_store import RecordStore
from tests.bad_inputs.case import Case, Ended, Place, Spoil
from tests.hostile_pickles import CANARY, HOSTILE
from tests.record_factory import PREDICTIONS, make_record

Plain = dict[str, Any]
RECORD = make_record()
NAME = f"{RECORD.key}.json"
COMMANDS = {
    "report": ("report", "{output}"),
    "rerun": ("rerun", "{output}/records/" + NAME, "--output", "{output}"),
}


def written(place: Place) -> RecordStore:
    store = RecordStore(place.output)
    store.write(RECORD, PREDICTIONS)
    return store


def content(change: Callable[[bytes], bytes]) -> Spoil:
    """Spoil the bytes of a record."""

    def spoil(place: Place) -> None:
        path = written(place).path(RECORD.key)
        path.write_bytes(change(path.read_bytes()))

    return spoil


def edited(change: Callable[[Plain], object]) -> Spoil:
    """Spoil a record as an editor would."""

    def edit(data: bytes) -> bytes:
        plain = json.loads(data)
        change(plain)
        return json.dumps(plain).encode()

    return content(edit)


def put(path: str, value: object) -> Spoil:
    def change(plain: Plain) -> None:
        *parents, last = path.split(".")
        inner = plain
        for parent in parents:
            inner = inner[parent]
        inner[last] = value

    return edited(change)


def text(old: bytes, new: bytes) -> Spoil:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    return content(change)


def another_result(place: Place) -> None:
    written(place)
    other = RecordStore(place.folder / "other")
    other.write(make_record(0.5), PREDICTIONS)


def renamed(place: Place) -> None:
    path = written(place).path(RECORD.key)
    path.rename(path.with_name("0123456789abcdef.json"))


def in_place_of(make: Callable[[Any], object]) -> Spoil:
    def spoil(place: Place) -> None:
        path = written(place).path(RECORD.key)
        path.unlink()
        make(path)

    return spoil


RECORDS: dict[str, tuple[Spoil, str]] = {
    "is empty": (content(lambda data: b""), NAME),
    "is cut": (content(lambda data: data[:500]), NAME),
    "lacks its last bracket": (content(lambda data: data.rstrip()[:-1]), NAME),
    "is a list": (content(lambda data: b"[" + data + b"]"), NAME),
    "is null": (content(lambda data: b"null"), NAME),
    "is no text": (content(lambda data: bytes(range(128, 256))), NAME),
    "is YAML": (content(lambda data: b"key: x\n"), NAME),
    "is a pickle": (content(lambda data: HOSTILE["os.system"]), NAME),
    "is nested without end": (content(lambda data: b"[" * 100_000), NAME),
    "is UTF-16": (content(lambda data: data.decode().encode("utf-16")), NAME),
    "a bit flipped": (content(lambda data: bytes([data[0] ^ 0x10]) + data[1:]), NAME),
    "has a word too many": (content(lambda data: data + b"x"), NAME),
    "holds NaN": (text(b'"accuracy": 0.9', b'"accuracy": NaN'), NAME),
    "holds infinity": (text(b'"accuracy": 0.9', b'"accuracy": Infinity'), NAME),
    "holds 1e999": (text(b'"accuracy": 0.9', b'"accuracy": 1e999'), NAME),
    "holds NaN where anything may stand": (text(b'"encoder_options": {}', b'"encoder_options": {"a": NaN}'), NAME),
    "holds 1e999 where anything may stand": (text(b'"encoder_options": {}', b'"encoder_options": {"a": 1e999}'), NAME),
    "an older schema": (put("schema", 1), "schema 1"),
    "a newer schema": (put("schema", 10**6), "schema 1000000"),
    "no schema that is one": (put("schema", "three"), NAME),
    "another key": (put("key", "0" * 16), NAME),
    "a key that leads elsewhere": (put("key", "../../x"), NAME),
    "another encoder": (put("run.encoder", "rcf"), NAME),
    "another seed": (put("run.seed", 3), NAME),
    "a seed in words": (put("run.seed", "first"), "run.seed"),
    "no run": (edited(lambda plain: plain.pop("run")), "run"),
    "no score": (edited(lambda plain: plain.pop("score")), "score"),
    "no cost": (edited(lambda plain: plain.pop("cost")), "cost"),
    "an unknown key": (put("note", "x"), "note"),
    "metrics in words": (put("score.metrics", {"accuracy": "high"}), "score.metrics"),
    "metrics as a list": (put("score.metrics", [0.9]), "score.metrics"),
    "an interval without an end": (put("score.interval", {"low": 0.1, "method": "x"}), "score.interval"),
    "counts of another shape": (put("score.group_counts", {"shape": [1, 2, 3], "whole": "1 2"}), "group_counts"),
    "counts in words": (put("score.group_counts", {"shape": [1, 1, 1], "whole": "many"}), "group_counts"),
    "counts without end": (put("score.group_counts", {"shape": [10**9, 10**9, 2], "whole": "1"}), "group_counts"),
    "a negative shape": (put("score.group_counts", {"shape": [-1, -1, 1], "whole": "1"}), "group_counts"),
    "a confusion in words": (put("score.confusion", [["a"]]), "score.confusion"),
    "a confusion of too few classes": (put("score.confusion", [[1]]), "score.confusion"),
    "no calibration": (put("score.calibration", []), "score.calibration"),
    "resamples in words": (put("score.resamples", "many"), "score.resamples"),
    "no rows": (put("rows", {}), "rows"),
    "time that runs backwards": (put("cost.encode_seconds", -5), "cost.encode_seconds"),
    "a role there isn't": (put("role", "modell"), "role"),
    "a task there isn't": (put("task", "clasification"), "task"),
    "a title that is none": (put("title", 3), "title"),
    "under another name": (renamed, "0123456789abcdef"),
    "is a folder": (in_place_of(lambda path: path.mkdir()), NAME),
    "links to itself": (in_place_of(lambda path: path.symlink_to(path)), NAME),
    "links to nowhere": (in_place_of(lambda path: path.symlink_to("none")), NAME),
}  # fmt: skip
CONFIGS: dict[str, tuple[Spoil, str]] = {
    "no configuration": (content(lambda data: data), "provenance.config"),
    "a configuration of another kind": (put("provenance.config", {"card": 3}), "provenance.config"),
}


def cases() -> Iterator[Case]:
    for name, (spoil, part) in RECORDS.items():
        yield Case(f"report: {name}", COMMANDS["report"], (part,), spoil)
    # What an experiment's record holds is read alike; one of each kind is enough.
    for name in ("is cut", "is null", "holds NaN", "an older schema", "another seed", "is a folder"):
        spoil, part = RECORDS[name]
        yield Case(f"rerun: {name}", COMMANDS["rerun"], (part,), spoil)
    for name, (spoil, part) in CONFIGS.items():
        yield Case(f"rerun: {name}", COMMANDS["rerun"], (part,), spoil)
    both = ("report", "{output}", "{folder}/other", "--output", "{folder}/merged")
    yield Case("report: one run with two results", both, (NAME, "rerun"), another_result)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_record_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended], place: Place) -> None:
    refuses(case)
    assert not (place.work / CANARY).exists()


@pytest.mark.parametrize("name", [name for name in RECORDS if not name.startswith("links")])
def test_verify_names_every_damaged_record_and_goes_on(
    name: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its problems stand in a table, for there may be many: none of them ends it."""
    import evaluate

    spoil, _ = RECORDS[name]
    spoil(place)
    assert evaluate.main(["verify", str(place.output)]) == evaluate.USER_ERROR
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    assert "1 records checked" in said.out
    assert "problem" in said.out


def test_a_title_that_steers_the_terminal_is_shown_as_text(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    import evaluate

    hostile = "CROMA \x1b[2J\x1b]0;owned\x07\u202e"
    RecordStore(place.output).write(
        make_record(title=hostile, flags=(f"flag {hostile}",), licence=hostile), PREDICTIONS
    )
    assert evaluate.main(["report", str(place.output)]) == 0
    said = capsys.readouterr()
    assert "CROMA" in said.out
    assert not set(said.out + said.err) & {"\x1b", "\x07", "\u202e"}
    assert list(place.tmp.iterdir()) == []
