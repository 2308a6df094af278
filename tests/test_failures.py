"""Error records: every failed cell leaves one, success removes it, and the end of a sweep says how to try again."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

import encoders
import evaluate
from benchmark.grid import failures
from benchmark.grid.cells import Cell, cells, rebuild
from benchmark.grid.executors import inline
from benchmark.grid.failures import Failure, path_of, retry_command
from benchmark.grid.work import CellResult
from benchmark.request import asked
from benchmark.request.commandline import parse
from benchmark.request.configuration import Request
from encoders import baselines
from encoders.errors import UserError, validate_json

GRID = ("--encoder", "imagestats,rcf", "--dataset", "real-chesapeake-patches", "--probe", "knn", "--device", "cpu")


@pytest.fixture(autouse=True, scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One home for all: features of what has succeeded once are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def broken(error: Exception):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def sweep_failing(output: Path, error: Exception, *more: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines.ImageStats, "from_card", broken(error))
        return evaluate.main([*GRID, *more, "--output", str(output)])


def kept(output: Path) -> list[Failure]:
    return [validate_json(Failure, path.read_bytes(), path.name) for path in sorted((output / "errors").glob("*"))]


@pytest.mark.parametrize(
    ("error", "is_bug"), [(UserError("no such thing; get it"), False), (ZeroDivisionError("made up"), True)]
)
def test_a_failed_cell_leaves_what_it_was_and_why_until_it_succeeds(
    tmp_path: Path, error: Exception, is_bug: bool
) -> None:
    assert sweep_failing(tmp_path, error) == 2
    (failure,) = kept(tmp_path)
    assert (failure.title, failure.type) == ("imagestats / real-chesapeake-patches / knn", type(error).__name__)
    assert failure.message == str(error)
    assert failure.traceback.startswith("Traceback") == is_bug
    assert bool(failure.traceback) == is_bug
    assert failure.created.endswith("+00:00")
    assert rebuild(failure.config, "x").title == failure.title
    assert evaluate.main([*GRID, "--output", str(tmp_path)]) == 0
    assert kept(tmp_path) == []


def test_a_cell_of_the_same_title_keeps_its_own_error(tmp_path: Path) -> None:
    assert sweep_failing(tmp_path, UserError("one; mend")) == 2
    assert sweep_failing(tmp_path, UserError("other; mend"), "protocol.knn_k=[3]") == 2
    assert sorted(failure.message for failure in kept(tmp_path)) == ["one; mend", "other; mend"]
    assert evaluate.main([*GRID, "protocol.knn_k=[3]", "batch_size=8", "--output", str(tmp_path)]) == 0
    assert [failure.message for failure in kept(tmp_path)] == ["one; mend"]


def test_a_record_that_was_brought_from_elsewhere_ends_the_error_too(tmp_path: Path) -> None:
    assert sweep_failing(tmp_path, UserError("one; mend")) == 2
    assert evaluate.main([*GRID, "--output", str(tmp_path / "elsewhere")]) == 0
    for part in ("records", "predictions"):
        for path in (tmp_path / "elsewhere" / part).iterdir():
            path.rename(tmp_path / part / path.name)
    assert evaluate.main([*GRID, "--output", str(tmp_path)]) == 0
    assert kept(tmp_path) == []


def test_an_error_record_that_cannot_be_written_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(failures, "write_atomically", broken(OSError(28, "No space left on device")))
    assert sweep_failing(tmp_path, UserError("no such thing; get it")) == 2
    assert "error: imagestats / real-chesapeake-patches / knn: no such thing; get it" in capsys.readouterr().err
    assert kept(tmp_path) == []


def test_the_printed_command_runs_the_failed_cells_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep_failing(tmp_path, UserError("no such thing; get it"), "protocol.knn_k=[3, 5]", "--bands", "rgb") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "alone again" in line]
    words = shlex.split(line.split("again: ")[1])
    assert words[:3] == ["uv", "run", "evaluate.py"]
    ran: list[Cell] = []
    monkeypatch.setattr(
        inline, "work", lambda group, _: ran.extend(group) or [CellResult(one, "done") for one in group]
    )
    evaluate.main(words[3:])
    assert [path_of(cell, tmp_path) for cell in ran] == list((tmp_path / "errors").iterdir())


def options_of(*arguments: str) -> dict[str, object]:
    return vars(parse(arguments)[1])


def request_of(*arguments: str) -> Request:
    _, options = parse(arguments)
    return asked.compose(options, options.encoder, options.dataset, "smoke")


def test_rows_with_fusers_are_named_again_once_each() -> None:
    asked = ("--encoder", "imagestats,rcf-mean", "--fusion", "none,gw", "--dataset", "segmentation", "--seeds", "2")
    request = request_of(*asked)
    failed = [
        cell
        for cell in cells(request)
        if cell.dataset.name in ("m-chesapeake", "m-cashew-plant") and cell.fusion.name != "mean"
    ]
    command = retry_command(options_of(*asked), request.rows, failed)
    words = shlex.split(command)[3:]
    again = cells(request_of(*words))
    assert sorted(cell.title for cell in again) == sorted(cell.title for cell in failed)
    assert "--seeds=2" in words


def test_the_demo_is_the_same_command_again() -> None:
    request = request_of("--encoder", "rcf", "--dataset", "real-neontree-crops")
    command = retry_command(options_of("--demo", "--output", "a b"), request.rows, cells(request))
    assert command == "uv run evaluate.py '--output=a b' --demo"


def test_families_and_files_are_named_as_they_were_asked_for(tmp_path: Path) -> None:
    plain = asdict(encoders.card("imagestats")) | {"name": "mine", "_target_": "mine:Mine"}
    own = tmp_path / "file.yaml"
    own.write_text(json.dumps({key: value for key, value in plain.items() if key not in ("adapter", "home")}))
    given = f"croma:tiny,imagestats,{own}-gw,{own}"
    asked = ("--encoder", given, "--dataset", "real-chesapeake-patches", "--allow-code")
    request = request_of(*asked)
    failed = [cell for cell in cells(request) if cell.card.name != "imagestats"]
    assert [cell.row for cell in failed] == ["croma:tiny", "mine", "mine"]
    words = shlex.split(retry_command(options_of(*asked), request.rows, failed))[3:]
    assert f"--encoder=croma:tiny,{own}-gw,{own}" in words
    assert cells(request_of(*words)) == failed


def test_a_family_with_fusers_and_seeds_is_named_again_and_nothing_else() -> None:
    given = ("--encoder", "croma:tiny,satlas:tiny-lw-fixed,rcf", "--fusion", "gw,moe", "--dataset", "classification",
             "--seeds", "3", "--partition", "0.10x_train", "--bands", "authors", "protocol.epochs=2")  # fmt: skip
    request = request_of(*given)
    failed = [cell for cell in cells(request) if cell.row != "rcf" and cell.dataset.name in ("m-so2sat", "m-pv4ger")]
    assert len({(cell.row, cell.fusion.name, cell.card.name) for cell in failed}) > 3  # other checkpoints, same rows
    words = shlex.split(retry_command(options_of(*given), request.rows, failed))[3:]
    again = cells(request_of(*words))
    assert again == failed
    assert {cell.seeds for cell in again} == {range(3)}


def test_an_error_record_is_plain_json(tmp_path: Path) -> None:
    assert sweep_failing(tmp_path, ZeroDivisionError("é")) == 2
    (path,) = (tmp_path / "errors").iterdir()
    assert path.name.startswith("imagestats-real-chesapeake-patches-knn-")
    assert json.loads(path.read_text())["message"] == "é"
