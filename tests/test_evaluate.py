"""The command line, as a user types it: in-process through `main`, and as processes where imports matter."""

import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

import evaluate
from benchmark.record_store import RecordStore
from tests.commands import DEMO, SHORT, no_network, process, refused, run
from tests.latex import compiled


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, run once, in a home of its own and without a network."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(home))
        patch.setattr(socket.socket, "connect", no_network)
        assert evaluate.main([*DEMO, "--output", str(home / "results"), "--device", "cpu"]) == 0
    return home


MODULES_AFTER = "import sys, evaluate; code = evaluate.main(sys.argv[1:]); print('torch' in sys.modules, code)"


DEMO_ROWS = ["croma:tiny", "dofa:tiny", "imagestats", "rcf", "satdifuser:tiny", "satlas:tiny", "satmae:tiny"]


def test_the_demo_evaluates_every_family_and_the_floors_on_real_images(demo: Path) -> None:
    records = {row: record for record in RecordStore(demo / "results") for row in record.rows}
    assert sorted(records) == DEMO_ROWS
    assert records["satlas:tiny"].run.encoder == "satlas_tiny_aerial"
    for record in records.values():
        assert record.score.n_test == 51
        assert record.score.n_groups > 1
        assert 0 <= record.score.interval.low <= record.score.metrics["accuracy"] <= record.score.interval.high <= 1
    # The majority class alone gives 0.51.
    assert records["imagestats"].score.metrics["accuracy"] > 0.75
    assert records["satdifuser:tiny"].score.metrics["accuracy"] > 0.51


def test_random_weights_are_marked_and_never_ranked(demo: Path) -> None:
    tiny = next(record for record in RecordStore(demo / "results") if record.run.encoder == "satdifuser_tiny")
    assert not tiny.ranked
    assert any("random weights" in flag for flag in tiny.flags)
    assert tiny.run.weights == {"random": "42"}


def test_predictions_give_the_metrics_of_their_record(demo: Path) -> None:
    store = RecordStore(demo / "results")
    for record in store:
        predictions = np.load(store.predictions_path(record.key), allow_pickle=False)
        assert predictions["scores"].dtype == np.float32
        accuracy = (predictions["scores"].argmax(1) == predictions["labels"]).mean()
        assert record.score.metrics["accuracy"] == pytest.approx(accuracy)


def test_leaderboards_are_written_as_csv_and_latex(demo: Path) -> None:
    tidy = (demo / "results" / "leaderboard.csv").read_text()
    assert "imagestats" in tidy or "Image statistics" in tidy
    assert r"\toprule" in (demo / "results" / "leaderboard.tex").read_text()
    if shutil.which("pdflatex"):
        assert "Overfull" not in compiled(demo / "results")
    assert (demo / "results" / "leaderboard_wide.csv").is_file()


def test_the_same_command_again_skips_everything_and_imports_no_framework(demo: Path) -> None:
    before = {path: path.read_bytes() for path in (demo / "results" / "records").iterdir()}
    arguments = (*DEMO, "--output", str(demo / "results"), "--device", "cpu")
    done = process(demo, MODULES_AFTER, *arguments)
    assert done.stdout.splitlines()[-1] == "False 0", done.stderr
    assert f"{len(DEMO_ROWS)} were there before" in done.stderr
    assert {path: path.read_bytes() for path in (demo / "results" / "records").iterdir()} == before


@pytest.mark.parametrize("what", ["encoders", "families", "datasets", "probes", "protocols"])
def test_lists_import_no_framework(demo: Path, what: str) -> None:
    assert process(demo, MODULES_AFTER, "list", what).stdout.splitlines()[-1] == "False 0"


def test_a_second_run_elsewhere_gives_the_same_records(demo: Path, tmp_path: Path) -> None:
    assert run(tmp_path, *DEMO, "--encoder", "imagestats,rcf", "--output", str(tmp_path), "--device", "cpu") == 0
    first, second = RecordStore(demo / "results"), RecordStore(tmp_path)
    for record in second:
        other = first.read(record.key)
        assert (record.run, record.score, record.predictions_sha256) == (
            other.run,
            other.score,
            other.predictions_sha256,
        )


def test_knn_is_a_probe_of_its_own(demo: Path) -> None:
    arguments = (*DEMO, "--encoder", "imagestats", "--probe", "knn", "--output", str(demo / "knn"))
    assert run(demo, *arguments) == 0
    (record,) = RecordStore(demo / "knn")
    assert record.run.probe == "knn"
    assert set(record.score.chosen) == {"k"}


def test_without_weights_satdifuser_says_what_is_missing_and_where_it_comes_from(
    demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = refused(
        demo,
        capsys,
        "--encoder",
        "satdifuser",
        "--dataset",
        "real-chesapeake-patches",
        "--output",
        str(tmp_path),
    )
    for part in ("resolution256", "13756199", "checkpoint-150000/unet", "--demo"):
        assert part in line
    assert [path.parent.name for path in tmp_path.rglob("*") if path.is_file()] == ["errors"]


def test_one_class_eurosat_ends_in_one_line(
    demo: Path, capsys: pytest.CaptureFixture[str], geobench_real: Path
) -> None:
    line = refused(
        demo, capsys, "--encoder", "imagestats", "--dataset", "m-eurosat", "--data-root", str(geobench_real),
        "--output", str(demo / "one-class"),
    )  # fmt: skip
    assert "only class 0 (AnnualCrop)" in line


def test_every_dataset_of_the_real_files_can_be_previewed(
    demo: Path, capsys: pytest.CaptureFixture[str], geobench_real: Path
) -> None:
    from PIL import Image

    for dataset in ("m-eurosat", "m-brick-kiln", "m-chesapeake", "m-SA-crop-type"):
        arguments = (
            "preview",
            "satdifuser",
            dataset,
            "--data-root",
            str(geobench_real),
            "--output",
            str(demo / "seen"),
        )
        assert run(demo, *arguments) == 0
        picture = np.asarray(
            Image.open(demo / "seen" / "preview" / f"satdifuser-satdifuser-{dataset}-rgb-corrected.png")
        )
        assert picture.shape[0] == 256
        assert picture.std() > 5
    assert "The picture the model sees" in capsys.readouterr().out


def test_a_dry_run_says_what_would_run_and_writes_nothing(
    demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = (
        "--encoder",
        "satdifuser,imagestats",
        "--dataset",
        "all",
        "--dry-run",
        "--output",
        str(tmp_path / "no"),
    )
    assert run(demo, *arguments) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " / m-" in line]
    assert len(lines) == 24
    assert all("waits for data" in line for line in lines)
    assert run(demo, *DEMO, "--encoder", "satdifuser,imagestats", "--dry-run", "--output", str(demo / "results")) == 0
    waiting, done, *_ = capsys.readouterr().out.splitlines()
    assert "waits for weights" in waiting
    assert "done; 3 bands" in done
    assert not (tmp_path / "no").exists()


def test_the_doctor_names_what_is_missing_and_what_brings_it(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(demo, "doctor") == 0
    said = capsys.readouterr().out
    for part in ("torch", "GEO_BENCH_DIR", "geobench-download", "13756199", "13751498"):
        assert part in said
    assert "satdifuser at 512 px" in said
    assert "croma_base_optical at" not in said
    assert said.count("missing") <= 10


def test_the_doctor_tells_weights_that_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dofa").mkdir()
    (tmp_path / "dofa" / "dofav2_vit_base_e150.pth").write_bytes(b"x")
    assert run(tmp_path, "doctor", "--weights", str(tmp_path)) == 0
    (line,) = [
        line.split() for line in capsys.readouterr().out.splitlines() if line.split()[1:2] == ["ok"] and "dofa" in line
    ]
    assert line[0] == "weights"
    assert line[-1] == "dofa_v2_base"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--encoder", "nope", "--dataset", "m-eurosat"), "no encoder 'nope'"),
        (("--encoder", "imagestats", "--dataset", "m-eurosat"), "--data-root"),
        (("--encoder", "imagestats", "--dataset", "m-eurosat", "--data-root", "/nowhere"), "/nowhere"),
        (("--encoder", "imagestats"), "--dataset NAME"),
        (("--encoder", "imagestats,imagestats", "--dataset", "m-eurosat"), "once"),
        ((*DEMO, "--bands", "infrared"), "'infrared'"),
        ((*DEMO, "--fusion", "gv"), "'gv'"),
        ((*DEMO, "--seeds", "x"), "no whole number from 1 to"),
        ((*DEMO, "--nonsense"), "--nonsense"),
        ((*DEMO, "--encoder", "rcf", "--partition", "0.03x_train"), "0.03x_train"),
        ((*DEMO, "batch_sise=3"), "did you mean batch_size"),
        ((*DEMO, "--encoder", "imagestats", "--probe", "upernet"), "does not fit"),
        ((*DEMO, "--encoder", "imagestats", "--probe", "knn", "--fusion", "gw"), "choose --fusion none"),
        (("report", "--output", "/nowhere"), "no records"),
        (("list", "planets"), "invalid choice"),
        (("lst",), "no command 'lst'"),
        ((*DEMO, "--encoder", "rcf", "encoder.options.kernel_size=0"), "'kernel_size' is 0"),
        ((*DEMO, "--encoder", "rcf", "encoder.options.kernel_size=99"), "smaller than kernel_size"),
        ((*DEMO, "--encoder", "imagestats", "precision=bfloat16"), "leave precision at float32"),
        ((*DEMO, "--output", "/dev/null"), "/dev/null"),
        ((*DEMO, "--output", "/dev/null/deeper"), "cannot be written"),
        ((*DEMO, "--output", ""), "--output is empty"),
        (("preview", "imagestats", "m-eurosatt"), "did you mean m-eurosat"),
    ],
)
def test_a_wrong_command_line_is_one_line_of_error(
    demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], part: str
) -> None:
    output = () if "--output" in arguments or arguments[0] in ("list", "lst") else ("--output", str(tmp_path))
    assert part in refused(demo, capsys, *arguments, *output)
    assert not list(RecordStore(tmp_path))


def test_cuda_where_there_is_none_is_one_line(demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    line = refused(demo, capsys, *DEMO, "--encoder", "imagestats", "--device", "cuda", "--output", str(tmp_path))
    assert "no CUDA device" in line


def test_a_read_only_output_is_one_line(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import benchmark.record_store

    def refuse(path: Path, content: bytes) -> Path:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(benchmark.record_store, "write_atomically", refuse)
    line = refused(demo, capsys, *DEMO, "--encoder", "imagestats", "--output", str(tmp_path))
    assert "cannot be written" in line


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        line = refused(demo, capsys, *DEMO, "--encoder", "imagestats", "--output", str(tmp_path))
    assert "disk is full" in line
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
    assert run(demo, *DEMO, "--encoder", "imagestats", "--output", str(tmp_path)) == 0


def test_a_damaged_record_is_named(demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(demo, *DEMO, "--encoder", "imagestats", "--output", str(tmp_path)) == 0
    (path,) = (tmp_path / "records").glob("*.json")
    text = json.loads(path.read_text())
    text["score"]["metrics"] = "fine"
    path.write_text(json.dumps(text))
    capsys.readouterr()
    line = refused(demo, capsys, "report", "--output", str(tmp_path))
    assert path.name in line
    assert "score.metrics" in line


@pytest.mark.parametrize("damage", ["record", "predictions"])
def test_a_damaged_result_is_made_anew_by_the_same_command(demo: Path, tmp_path: Path, damage: str) -> None:
    arguments = (*DEMO, "--encoder", "imagestats", "--output", str(tmp_path), *SHORT)
    assert run(demo, *arguments) == 0
    store = RecordStore(tmp_path)
    (record,) = store
    path = store.path(record.key) if damage == "record" else store.predictions_path(record.key)
    path.write_bytes(path.read_bytes()[:100])
    assert run(demo, *arguments) == 0
    (again,) = RecordStore(tmp_path)
    assert (again.run, again.score, again.predictions_sha256) == (record.run, record.score, record.predictions_sha256)


def test_a_bug_in_one_cell_never_stops_the_others(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import encoders.baselines

    def broken(*_: object) -> None:
        raise ZeroDivisionError("made up")

    monkeypatch.setattr(encoders.baselines.ImageStats, "_body", broken)
    line = refused(tmp_path, capsys, *DEMO, "--encoder", "imagestats,rcf", "--output", str(tmp_path), *SHORT)
    assert "ZeroDivisionError (made up)" in line
    assert [record.run.encoder for record in RecordStore(tmp_path)] == ["rcf"]
    (kept,) = (tmp_path / "errors").iterdir()
    assert "Traceback" in kept.read_text()


def test_what_enters_a_number_enters_the_key(demo: Path, tmp_path: Path) -> None:
    arguments = (*DEMO, "--encoder", "imagestats", "--output", str(tmp_path), *SHORT)
    assert run(demo, *arguments) == 0
    assert run(demo, *arguments, "dataset.groups.by=sample") == 0
    assert sorted(record.score.n_groups for record in RecordStore(tmp_path)) == [4, 51]


def test_truncated_features_are_named_and_never_read_as_zeros(
    demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = (*DEMO, "--encoder", "imagestats", "--probe", "knn")
    assert run(tmp_path, *arguments, "--output", str(tmp_path / "first")) == 0
    for path in (tmp_path / "features").rglob("embedding.npy"):
        path.write_bytes(path.read_bytes()[:300])
    line = refused(tmp_path, capsys, *arguments, "--output", str(tmp_path / "second"))
    assert "embedding.npy: damaged feature files" in line
