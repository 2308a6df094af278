"""What a newcomer does wrong, and `doctor` finds: each with a sentence and what mends it."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import warnings
from collections import namedtuple
from pathlib import Path

import pytest

import evaluate
from benchmark.commands import doctor
from benchmark.commands.doctor import Finding, examine
from benchmark.places import places

ROOT = Path(__file__).parents[1]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GEO_BENCH_DIR", raising=False)
    monkeypatch.setattr(doctor.socket, "create_connection", unreachable)
    return tmp_path / "home"


def unreachable(*_: object, **__: object) -> None:
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


def found(area: str, **given: str) -> list[Finding]:
    return [one for one in examine(places(**given)) if one.area == area]


def missing(area: str, **given: str) -> list[str]:
    return [one.text for one in found(area, **given) if one.state == "missing"]


def test_no_root_says_how_to_name_one_and_what_brings_it() -> None:
    (text,) = missing("dataset")
    assert "set $GEO_BENCH_DIR or give --data-root" in text
    assert "`evaluate.py fetch dataset" in text


def test_a_root_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    (text,) = missing("dataset", data_root=str(tmp_path / "none"))
    assert f"there is no folder {tmp_path / 'none'}" in text


@pytest.mark.parametrize("level", ["above", "two above", "benchmark", "dataset"])
def test_a_root_on_the_wrong_level_is_named(level: str, geobench_copy: Path, tmp_path: Path) -> None:
    deep = tmp_path / "data" / "deep" / "root"
    shutil.copytree(geobench_copy, deep)
    benchmark = deep / "classification_v1.0"
    given = {
        "above": deep.parent,
        "two above": deep.parents[1],
        "benchmark": benchmark,
        "dataset": benchmark / "m-eurosat",
    }
    (text,) = missing("dataset", data_root=str(given[level]))
    assert f"--data-root={deep}" in text


def test_what_a_failed_download_leaves_is_no_root(geobench_copy: Path, tmp_path: Path) -> None:
    left = tmp_path / "left" / "classification_v1.0"
    left.mkdir(parents=True)
    (left / ".m-so2sat.lock").touch()
    root = shutil.copytree(geobench_copy, left.parent / "root")
    (text,) = missing("dataset", data_root=str(left.parent))
    assert f"--data-root={root}" in text


def test_half_a_download_and_half_a_folder_are_told_from_what_is_whole(geobench_copy: Path) -> None:
    folder = geobench_copy / "classification_v1.0"
    (folder / "m-so2sat.zip.part").write_bytes(bytes(3000))
    texts = {one.text.split(":")[0]: one for one in found("dataset", data_root=str(geobench_copy))}
    assert texts["m-eurosat"].state == "ok"
    assert "half a download" in texts["m-so2sat"].text
    assert "`evaluate.py fetch dataset m-so2sat" in texts["m-so2sat"].text
    (folder / "m-eurosat" / "id_0003.hdf5").unlink()
    (text,) = [one for one in missing("dataset", data_root=str(geobench_copy)) if "id_0003" in one]
    assert "files of split train are missing" in text
    assert "`evaluate.py fetch dataset m-eurosat" in text


def test_a_folder_called_nearly_as_a_dataset_is_named(geobench_copy: Path) -> None:
    (geobench_copy / "segmentation_v1.0" / "m-cashew-plantation").mkdir(parents=True)
    notes = [one.text for one in found("dataset", data_root=str(geobench_copy)) if one.state == "note"]
    assert len(notes) == 1
    assert "did you mean m-cashew-plant?" in notes[0]


def test_a_variable_called_nearly_as_ours_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOBENCH_DIR", "/data")
    (text,) = missing("variable")
    assert 'did you mean GEO_BENCH_DIR? `export GEO_BENCH_DIR="$GEOBENCH_DIR"`' in text
    monkeypatch.setenv("GEO_BENCH_DIR", "/data")
    assert missing("variable") == []


def test_a_disk_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 10**8))
    texts = missing("folder")
    assert len(texts) == 2
    assert all("0.1 GB are free; make room" in text for text in texts)


def test_a_file_in_a_folders_place_is_told(home: Path) -> None:
    home.write_text("")
    texts = missing("folder")
    assert len(texts) == 2
    assert all("change its rights, or set $SATDIFUSER_BENCH_HOME" in text for text in texts)


def test_a_driver_that_is_too_old_is_no_missing_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def old() -> bool:
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).", stacklevel=2
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", old)
    (text,) = missing("device")
    assert "the GPU's driver is too old" in text
    assert "update it, or run with --device cpu" in text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (one,) = found("device")
    assert (one.state, "everything runs on the CPU" in one.text) == ("note", True)


OLD = [
    path
    for version in ("3.6", "3.8", "3.9", "3.10")
    for path in Path.home().glob(f".pyenv/versions/{version}*/bin/python")
]


@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parts[-3])
def test_an_old_python_is_one_line_and_a_command(python: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(python), str(ROOT / "evaluate.py"), "--demo"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == evaluate.USER_ERROR
    assert line.startswith("error: Python 3.11 or newer is needed, this is 3.")
    assert "pip install uv && uv run evaluate.py" in line


def test_a_package_that_is_not_installed_is_one_line_and_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "evaluate.py"), "--demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == evaluate.USER_ERROR
    assert line.startswith("error: the package ")
    assert "uv run evaluate.py" in line


def test_offline_is_one_line_that_keeps_what_came(tmp_path: Path) -> None:
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    code = (
        "import sys, evaluate\n"
        "from benchmark.fetching import download, bring\n"
        "download.PATIENT = bring.PATIENT = download.Patience(attempts=1)\n"
        "bring.carry_out.__kwdefaults__['patience'] = bring.PATIENT\n"
        "sys.exit(evaluate.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fetch", "dataset", "m-eurosat", "--data-root", str(tmp_path / "root")],
        cwd=ROOT, env={**os.environ, **proxy}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert done.returncode == evaluate.USER_ERROR
    assert "cannot be reached" in line
    assert "run the same command to go on when the connection is back" in line
    assert "Traceback" not in done.stderr


def test_offline_is_a_note_that_says_what_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (one,) = found("internet")
    assert one.state == "note"
    assert "huggingface.co cannot be reached (Network is unreachable)" in one.text
    assert "fetch on another machine" in one.text
    asked = []

    def reachable(at: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(at)
        return socket.socket()

    monkeypatch.setattr(doctor.socket, "create_connection", reachable)
    assert [one.state for one in found("internet")] == ["ok"]
    monkeypatch.setenv("https_proxy", "http://proxy.example:8080")
    (one,) = found("internet")
    assert "through proxy.example" in one.text
    assert asked == [("huggingface.co", 443), ("proxy.example", 8080)]


@pytest.mark.parametrize("level", ["above", "below", "two below"])
def test_weights_on_the_wrong_level_are_named(level: str, tmp_path: Path) -> None:
    right = tmp_path / "a" / "b"
    (right / "croma").mkdir(parents=True)
    (right / "croma" / "CROMA_base.pt").write_bytes(b"")
    given = {"above": right.parent, "below": right / "croma", "two below": right / "croma" / "deeper"}[level]
    (text,) = [one for one in missing("weights", weights=str(given)) if "--weights=" in one]
    assert f"give --weights={right}" in text
    assert not any("--weights=" in one for one in missing("weights", weights=str(right)))


def test_what_is_found_is_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["doctor"]) == 0
    assert "GEO_BENCH_DIR" in capsys.readouterr().out
