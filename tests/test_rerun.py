"""`rerun`: a record's configuration alone gives the record again; what moved is named, and nothing is overwritten."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evaluate
from benchmark.commands.rerun import rerun
from benchmark.grid.cells import rebuild
from benchmark.places import Places, places
from benchmark.record_store import RecordStore
from benchmark.records import Record
from encoders import card
from encoders.errors import UserError

Plain = dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of a probe and, two seeds of it, of a trained decoder; not to be changed."""
    home = tmp_path_factory.mktemp("home")
    short = ("protocol.linear_c.values=2", "dataset.groups.by=sample")
    cells = {
        "probe": ("--dataset", "real-chesapeake-patches", "--device", "auto", *short),
        "trained": ("--dataset", "real-neontree-crops", "--protocol", "smoke", "--seeds", "2", "protocol.epochs=1"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(home))
        for name, options in cells.items():
            assert evaluate.main(["--encoder", "imagestats", *options, "--output", str(home / name)]) == 0
    return home


@pytest.fixture
def at(home: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(home))
    return places(output=str(home / "probe"))


@pytest.fixture
def copied(home: Path, tmp_path: Path) -> RecordStore:
    """A copy of the probe's results that may be changed."""
    return RecordStore(Path(shutil.copytree(home / "probe", tmp_path / "copied")))


def record_of(store: RecordStore) -> Record:
    return next(iter(store))


def edit(store: RecordStore, change: Callable[[Plain], object]) -> str:
    (path,) = (store.folder / "records").glob("*.json")
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    return str(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("name", "number"), [("probe", 0), ("trained", 1)])
def test_a_record_gives_itself_again_and_nothing_is_written_beside_it(
    home: Path, at: Places, name: str, number: int
) -> None:
    before = contents(home / name)
    record = sorted(RecordStore(home / name), key=lambda one: one.run.seed)[number]
    found = rerun(str(RecordStore(home / name).path(record.key)), at)
    assert (found.same, found.run, found.result, found.environment) == (True, [], [], [])
    assert "the same run, metrics and predictions" in found.summary
    assert contents(home / name) == before


def test_a_key_is_looked_for_in_the_output_folder(home: Path, at: Places, capsys: pytest.CaptureFixture[str]) -> None:
    key = record_of(RecordStore(at.output)).key
    assert evaluate.main(["rerun", key, "--output", str(at.output), "--device", "cpu"]) == 0
    assert "the same run, metrics and predictions" in capsys.readouterr().out
    assert evaluate.main(["rerun", "0" * 16, "--output", str(at.output)]) == 2
    assert "no such record" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["nowhere/records/0000.json", "0000"])
def test_a_record_that_is_not_there_is_asked_for(at: Places, given: str) -> None:
    with pytest.raises(UserError, match=r"0000\.json: no such record; give its file, or the key") as refused:
        rerun(given, at)
    assert "delete" not in str(refused.value)


def test_other_numbers_are_named_with_how_far_they_are_off_and_what_the_environment_was(
    copied: RecordStore, at: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(plain: Plain) -> None:
        plain["score"]["metrics"]["accuracy"] -= 0.25
        plain["score"]["confusion"][0][0] += 7
        plain["provenance"]["packages"]["torch"] = "1.0"
        plain["provenance"]["threads"] = 99

    path = edit(copied, change)
    found = rerun(path, at)
    assert [row[0] for row in found.result] == ["score.confusion", "score.metrics.accuracy"]
    assert [row[-1] for row in found.result] == ["1 of 16 values, by up to 7", "+0.25"]
    assert {row[0]: row[1] for row in found.environment} == {"packages.torch": '"1.0"', "threads": "99"}
    before = contents(copied.folder)
    assert evaluate.main(["rerun", path]) == 2
    assert "+0.25" in capsys.readouterr().out
    assert contents(copied.folder) == before


def test_other_predictions_are_compared_array_by_array(copied: RecordStore, at: Places) -> None:
    from hashlib import sha256
    from io import BytesIO

    record = record_of(copied)
    beside = copied.predictions_path(record.key)
    with np.load(beside) as stored:
        arrays = dict(stored)
    arrays["scores"][:2, 0] += 0.5
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    beside.write_bytes(buffer.getvalue())
    path = edit(copied, lambda plain: plain.update(predictions_sha256=sha256(buffer.getvalue()).hexdigest()))
    ((name, _, _, off),) = rerun(path, at).result
    assert (name, off) == ("predictions.scores", "2 of 204 values, by up to 0.5")
    beside.unlink()
    ((name, *_, off),) = rerun(path, at).result
    assert (name, off) == ("predictions", "sha256; the file is gone")


def test_arrays_packed_otherwise_are_the_same_predictions(copied: RecordStore, at: Places) -> None:
    from hashlib import sha256
    from io import BytesIO

    beside = copied.predictions_path(record_of(copied).key)
    buffer = BytesIO()
    with np.load(beside) as stored:
        np.savez(buffer, **dict(stored))  # type: ignore[arg-type]
    beside.write_bytes(buffer.getvalue())
    path = edit(copied, lambda plain: plain.update(predictions_sha256=sha256(buffer.getvalue()).hexdigest()))
    assert rerun(path, at).same


def test_another_run_is_not_evaluated_and_its_fields_are_named(
    copied: RecordStore, at: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from benchmark import evaluation
    from benchmark.grid import cells

    card = cells.card
    monkeypatch.setattr(cells, "card", lambda name: replace(card(name), version=8))
    monkeypatch.setattr(evaluation, "evaluate", None)
    path = edit(
        copied, lambda plain: plain["provenance"]["config"]["settings"].update(partition="stratified_0.50_draw1")
    )
    found = rerun(path, at)
    assert [row[0] for row in found.run] == ["run.data.train", "run.encoder_version", "run.partition"]
    assert found.run[1][1:3] == ["1", "8"]
    assert found.run[2] == ["run.partition", '"default"', '"stratified_0.50_draw1"', ""]
    assert evaluate.main(["rerun", path]) == 2
    assert "another run now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["settings"].update(sidees=1), "provenance.config: unknown key 'settings.sidees'"),
        (lambda c: c["settings"].pop("bands"), "'settings.bands' is missing"),
        (lambda c: c.update(command="rm"), "unknown key 'command'"),
        (lambda c: c["dataset"].update(name="../elsewhere"), "'../elsewhere' names no dataset"),
        (lambda c: c["dataset"].update(benchmark=".."), "names no dataset"),
        (lambda c: c["card"].update(adapter="os:system"), "unknown adapter 'os:system'"),
        (lambda c: c["card"].update(inputs="../../secrets"), "no input profile '../../secrets'"),
        (lambda c: c["protocol"].update(optimizer="lion"), "'protocol.optimizer' is 'lion'"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_in_one_sentence(
    home: Path, at: Places, change: Callable[[Plain], object], message: str
) -> None:
    from benchmark.grid.identity import resolve
    from encoders import build

    config = json.loads(json.dumps(record_of(RecordStore(home / "probe")).provenance.config))
    change(config)
    with pytest.raises(UserError) as caught:
        build(resolve(rebuild(config, "a.json: provenance.config"), at).cell.card)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_code_of_ones_own_runs_from_the_file_that_is_named_never_from_where_a_record_says(
    at: Places, tmp_path: Path
) -> None:
    trap = "raise SystemExit('run')\n"
    code = "from encoders.baselines import ImageStats\n\n\nclass Mine(ImageStats):\n    pass\n"
    made, elsewhere = tmp_path / "made", tmp_path / "elsewhere"
    for folder in (made, elsewhere):
        folder.mkdir()
        (folder / "mine.py").write_text(code)
        plain = asdict(card("imagestats")) | {"name": "mine", "_target_": "mine:Mine"}
        (folder / "mine.yaml").write_text(json.dumps({k: v for k, v in plain.items() if k not in ("adapter", "home")}))
    short = ("--probe", "knn", "--dataset", "real-chesapeake-patches", "--output", str(made))
    assert evaluate.main(["--encoder", str(made / "mine.yaml"), "--allow-code", *short]) == 0
    (path,) = (made / "records").iterdir()
    (made / "mine.py").write_text(trap)
    with pytest.raises(UserError, match="mine is an encoder of someone's own; give its file with --encoder FILE"):
        rerun(str(path), at)
    with pytest.raises(UserError, match="its encoder is mine, not imagestats"):
        rerun(str(path), at, encoder="imagestats")
    with pytest.raises(UserError, match=r"this would run .*mine\.py, .* add --allow-code"):
        rerun(str(path), at, encoder=str(elsewhere / "mine.yaml"))
    assert evaluate.main(["rerun", str(path), "--allow-code", "--encoder", str(elsewhere / "mine.yaml")]) == 0
    found = rerun(str(path), at, encoder=str(made / "mine.yaml"), allow_code=True)
    assert [row[0] for row in found.run] == ["run.weights.code:mine.py"]


def test_a_record_of_a_gpu_says_so_and_can_be_run_elsewhere(copied: RecordStore, at: Places) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    path = edit(copied, lambda plain: plain["provenance"]["config"]["settings"].update(device="cuda"))
    with pytest.raises(UserError, match="no CUDA device"):
        rerun(path, at)
    assert rerun(path, at, device="cpu").same
    with pytest.raises(UserError, match="'device' is 'tpu'"):
        rerun(path, at, device="tpu")
