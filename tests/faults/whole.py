"""What must be so after a fault: the small grid the faults are tried on, and what its folders may and must hold."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from benchmark.record_store import RecordStore
from benchmark.records import Record

ROWS, DATASETS = "imagestats,imagestats-gw", "m-eurosat,real-neontree-crops"
"""Two rows, plain and fused, on a classification (linear probe; trained decoder) and a segmentation (a bank of two)."""

REPORTS = ("leaderboard.csv", "leaderboard_wide.csv", "leaderboard_tests.csv", "leaderboard.md", "leaderboard.tex")
COSTS = b"what it costs"
"""The tables that begin with it are the last, and hold times."""
FOLDERS = {"records": ".json", "predictions": ".npz"}
"""Folders of an output, and how their files end."""


def command(root: Path, output: Path, *more: str, rows: str = ROWS, datasets: str = DATASETS) -> list[str]:
    """The grid, or a part of it, as a command; decoders are narrow and trained for two epochs."""
    return [
        "--data-root", str(root),
        "--encoder", rows, "--dataset", datasets, "--protocol", "smoke", "--device", "cpu", "--output", str(output),
        "protocol.epochs=2", "protocol.upernet_channels=16", "protocol.fuser_width=16", "executor.threads=1", *more,
    ]  # fmt: skip


@dataclass(frozen=True)
class Results:
    """What an output holds that must be the same however it came about: runs, scores, predictions, reports."""

    cells: dict[str, tuple[object, ...]]
    reports: dict[str, bytes]


def results(output: Path) -> Results:
    """Read an output; every record in it must be whole."""
    store = RecordStore(output)
    cells = {one.key: (one.run, one.score, _predictions(store, one)) for one in store}
    # The tidy table also holds what a run cost.
    reports = {name: (output / name).read_bytes().split(COSTS)[0] for name in REPORTS[1:] if (output / name).exists()}
    return Results(cells, reports)


def _predictions(store: RecordStore, record: Record) -> bytes:
    assert store.has(record.key), f"the predictions of {record.key} are not those it was made with"
    return store.predictions_path(record.key).read_bytes()


def check_finished(output: Path, home: Path, expected: Results) -> None:
    """The records and reports of an undisturbed run, none lost, none twice, and nothing else."""
    found = results(output)
    assert found.cells.keys() == expected.cells.keys()
    assert found.cells == expected.cells
    assert found.reports == expected.reports
    assert len(_rows(output / REPORTS[0])) == len(expected.cells)
    for folder, ending in FOLDERS.items():
        names = {path.name for path in (output / folder).iterdir()}
        assert names == {key + ending for key in expected.cells}
    assert not list((output / "errors").glob("*"))
    assert not litter(home) + litter(output)


def check_interrupted(output: Path, expected: Results) -> None:
    """Whatever is there is whole: records those of an undisturbed run, reports of all their lines."""
    found = results(output)
    assert all(expected.cells[key] == cell for key, cell in found.cells.items())
    for name, content in found.reports.items():
        assert content == expected.reports[name]
    if (output / REPORTS[0]).exists():
        _rows(output / REPORTS[0])


def litter(folder: Path) -> list[Path]:
    """What a finished command has no use for: temporary files, partial arrays, journals."""
    endings = (".tmp", ".partial", "journal")
    return [path for path in folder.rglob("*") if path.name.endswith(endings)]


def _rows(path: Path) -> list[list[str]]:
    """The rows of a CSV file, each as long as its header."""
    text = path.read_text()
    assert text.endswith("\n"), f"{path} is cut off"
    header, *rows = csv.reader(io.StringIO(text))
    assert all(len(row) == len(header) for row in rows), f"{path} is cut off"
    return rows
