"""What an earlier report left and a new one does not make again is removed, once all is written, and nothing else."""

from pathlib import Path

import pytest

import evaluate
from benchmark.record_store import RecordStore
from benchmark.records import Record
from reports import page, rebuild
from tests.record_factory import PREDICTIONS, make_record

KEPT = ("notes.md", "reproduction_mine.csv", "leaderboard_old.csv", "figures/mine.png", "figures/mine.pdf")


def only(folder: Path, *records: Record) -> None:
    """Make these all records of a folder."""
    store = RecordStore(folder)
    for there in list(store):
        store.path(there.key).unlink()
    for record in records:
        store.write(record, PREDICTIONS)


def names(folder: Path) -> set[str]:
    found = (
        path for path in folder.rglob("*") if path.is_file() and path.parent.name not in ("records", "predictions")
    )
    return {str(path.relative_to(folder)) for path in found} - {".lock"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report of two datasets, beside a paper, with files of somebody's among its own."""
    only(tmp_path, *(make_record(dataset=dataset, encoder=name) for dataset in ("m-eurosat", "own") for name in "ab"))
    assert evaluate.main(["report", str(tmp_path), "--reproduce", "satdifuser"]) == 0
    for name in KEPT:
        (tmp_path / name).write_text("somebody's")
    return tmp_path


def test_files_that_a_report_does_not_make_again_are_removed_and_nothing_of_anybody_elses(folder: Path) -> None:
    before = names(folder)
    assert {"geobench_results.csv", "reproduction_satdifuser.tex", "figures/index.md"} <= before
    assert any("m-eurosat" in name for name in before)
    only(folder, *(make_record(dataset="own", encoder=name) for name in "ab"))
    assert evaluate.main(["report", str(folder)]) == 0
    after = names(folder)
    assert set(KEPT) <= after
    gone = before - after
    assert {"geobench_results.csv", *(f"reproduction_satdifuser.{kind}" for kind in ("csv", "md", "tex"))} <= gone
    assert not any("m-eurosat" in name for name in after)
    listed = (folder / "figures" / "index.md").read_text()
    drawn = {Path(name).stem for name in after if name.startswith("figures/")} - {"mine", "index"}
    assert all(f"- `{name}`: " in listed for name in drawn)


def test_the_same_report_again_removes_nothing(folder: Path) -> None:
    before = names(folder)
    assert evaluate.main(["report", str(folder), "--reproduce", "satdifuser"]) == 0
    assert names(folder) == before


def test_a_report_that_fails_half_way_removes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(folder)
    only(folder, make_record(dataset="own"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "index.html")

    monkeypatch.setattr(page, "write", full)
    assert evaluate.main(["report", str(folder)]) == 2
    assert before <= names(folder)


def test_the_tables_after_a_sweep_leave_figures_and_the_papers_cells(folder: Path) -> None:
    before = names(folder)
    only(folder, make_record(dataset="own"))
    rebuild.rebuild([folder], folder, draws=False)
    assert before - names(folder) == {"geobench_results.csv"}


def test_an_index_of_figures_leads_nowhere_else(folder: Path) -> None:
    outside = folder / "index.png"
    outside.write_text("somebody's")
    with (folder / "figures" / "index.md").open("a") as index:
        index.write("- `../index`: a name that leads elsewhere\n")
    assert evaluate.main(["report", str(folder)]) == 0
    assert outside.exists()
