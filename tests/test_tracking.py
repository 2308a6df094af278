"""Trackers are told of every epoch and record, and change nothing; a missing extra is one sentence."""

import json
import math
import sys
import types
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.request import tracker_options
from benchmark.request.configuration import choices, compose
from benchmark.request.tracker_options import NO_TRACKER, Options, parse
from benchmark.training import loop
from benchmark.training.bank import Epoch, Member
from benchmark.training.tracking import tracking
from encoders.errors import UserError
from tests.decoder_factory import GW, MEAN, SINGLE, run, same, smoke_protocol, split
from tests.record_factory import make_record

RECORD = make_record(0.75)
RECORD = replace(RECORD, run=replace(RECORD.run, dataset_facts={"metric": "accuracy"}))
MEMBER = Member("none", 0, 1e-3, MEAN)


def options(name: str, **changed: object) -> Options:
    import yaml

    import configs

    return parse(yaml.safe_load((configs.ROOT / "tracker" / f"{name}.yaml").read_text()) | changed)


def tell(chosen: Options, output: Path) -> None:
    with tracking(chosen, output) as tracker:
        tracker.epoch(RECORD.run, Epoch(MEMBER, 1, 1.5, 0.25, 1e-3))
        tracker.epoch(RECORD.run, Epoch(MEMBER, 2, 1.0, 0.5, 5e-4))
        tracker.score(replace(RECORD, key=RECORD.run.key))


def test_tensorboard_files_hold_every_epoch_and_the_record_with_its_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell(options("tensorboard"), tmp_path)
    found = {}
    for path in tmp_path.rglob("events.out.*"):
        read = EventAccumulator(str(path))
        read.Reload()
        found[path.parent.name] = read
    assert set(found) == {"lr0.001", "record"}
    assert [(one.step, one.value) for one in found["lr0.001"].Scalars("train/loss")] == [(1, 1.5), (2, 1.0)]
    assert [one.value for one in found["lr0.001"].Scalars("validation/accuracy")] == [0.25, 0.5]
    assert found["lr0.001"].Scalars("train/learning_rate")[1].value == pytest.approx(5e-4)
    assert found["record"].Scalars("test/accuracy")[0].value == 0.75
    (text,) = found["record"].Tensors("config/text_summary")
    assert json.loads(text.tensor_proto.string_val[0])["key"] == RECORD.run.key


class FakeRun:
    def __init__(self, **given: Any) -> None:
        self.given, self.logged, self.finished = given, [], False  # type: ignore[var-annotated]

    def log(self, values: Mapping[str, float], step: int) -> None:
        assert not self.finished
        self.logged.append((step, dict(values)))

    def finish(self) -> None:
        self.finished = True


def test_wandb_gets_a_run_a_decoder_and_one_a_record_and_its_mode_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[FakeRun] = []
    fake = types.ModuleType("wandb")
    fake.init = lambda **given: runs.append(FakeRun(**given)) or runs[-1]  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(tracker_options, "find_spec", lambda name: name)
    tell(options("wandb", project="mine"), tmp_path)
    trained, record = runs
    assert [step for step, _ in trained.logged] == [1, 2]
    assert trained.logged[1][1] == {"train/loss": 1.0, "train/learning_rate": 5e-4, "validation/accuracy": 0.5}
    assert record.logged[0][1]["test/accuracy"] == 0.75
    for one in runs:
        assert one.finished
        assert one.given["project"] == "mine"
        assert one.given["group"] == one.given["config"]["key"] == RECORD.run.key
        assert "mode" not in one.given  # $WANDB_MODE alone says whether anything is sent
    assert trained.given["name"] != record.given["name"]


def test_without_a_tracker_nothing_is_written_or_imported(tmp_path: Path) -> None:
    before = set(sys.modules)
    tell(NO_TRACKER, tmp_path)
    assert not list(tmp_path.iterdir())
    assert not {name for name in set(sys.modules) - before if name.startswith(("wandb", "tensorboard"))}


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_extra_is_one_sentence_that_names_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_options, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"uv sync --extra {name}"):
        options(name)
    with pytest.raises(UserError, match="did you mean tensorboard"):
        parse({"kind": "tensorbord"})


def test_the_tracker_is_a_choice_of_its_own_that_no_run_knows() -> None:
    assert choices("tracker") == ["none", "tensorboard", "wandb"]

    def composed(*overrides: str) -> Any:
        return compose(
            rows=["imagestats"], dataset_choice="real-chesapeake-patches", probe=None, protocol="smoke", settings={},
            overrides=overrides,
        )  # fmt: skip

    plain = composed()
    assert plain.tracker == options("none")
    pytest.importorskip("tensorboard")
    asked = composed("tracker=tensorboard", "tracker.folder=elsewhere")
    assert asked.tracker.folder == "elsewhere"
    assert (asked.settings, asked.protocol, asked.rows) == (plain.settings, plain.protocol, plain.rows)
    with pytest.raises(UserError, match="tensorboard"):
        composed("tracker=tensorbord")


def test_epochs_are_reported_as_they_end_and_change_no_decoder() -> None:
    protocol = replace(smoke_protocol(), learning_rates=(1e-3,), seeds=1)
    told: list[Epoch] = []
    bank = loop.members({"gw": GW, "mean": MEAN}, protocol)
    watched = loop.train(
        bank, SINGLE, split(SINGLE, 29, 1), split(SINGLE, 24, 2), protocol=protocol, report=told.append
    )
    alone = run(bank, SINGLE, protocol)
    assert all(same(one, other) for one, other in zip(watched, alone, strict=True))
    assert [(one.member.name, one.number) for one in told] == [(n, e) for e in (1, 2, 3) for n in ("gw", "mean")]
    for trained in watched:
        mine = [one for one in told if one.member is trained.member]
        assert tuple(one.validation for one in mine) == trained.outcome.history
        assert mine[-1].loss < mine[0].loss


def test_a_diverged_decoder_is_reported_without_validation() -> None:
    protocol = replace(smoke_protocol(), learning_rates=(1e30,), seeds=1)
    told: list[Epoch] = []
    bank = loop.members({"mean": MEAN}, protocol)
    loop.train(bank, SINGLE, split(SINGLE, 29, 1), split(SINGLE, 24, 2), protocol=protocol, report=told.append)
    assert told[-1].validation is None
    assert not math.isfinite(told[-1].loss) or told[-1].loss > 1e6
