"""The page of a record: complete, and true of what a run leaves on disk."""

import dataclasses
import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import evaluate
from benchmark.record_store import RecordStore
from benchmark.records import Record
from docs.generate import record
from docs.generate.record import FOLDER, PREDICTIONS
from tests.documented import ROOT

PAGE = ROOT / "docs" / "record.md"


def _within(kind: Any) -> set[type[Any]]:
    """The dataclasses that a type is made of, those of their fields included."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return {kind}.union(*(_within(hints[one.name]) for one in dataclasses.fields(kind)))
    return set[type[Any]]().union(*(_within(one) for one in get_args(kind)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on both bundled samples leaves, and on a dataset that isn't there."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(folder / "home"))
        patch.delenv("GEO_BENCH_DIR", raising=False)
        names = "real-chesapeake-patches,real-neontree-crops,m-eurosat"
        asked = ("--encoder", "imagestats", "--dataset", names, "--protocol", "smoke", "--device", "cpu")
        assert evaluate.main([*asked, "--output", str(folder / "results")]) != 0
    return folder / "results"


def test_the_page_is_what_its_module_makes() -> None:
    assert record.record_page() == PAGE.read_text(encoding="utf-8"), f"run: {record.COMMAND}"


def test_every_field_of_every_dataclass_in_a_record_is_described() -> None:
    assert _within(Record) <= set(record.PARTS.values())
    for cls in record.PARTS.values():
        told = [name for names, text in record.entries(cls) for name in names if text.strip()]
        assert sorted(told) == sorted(one.name for one in dataclasses.fields(cls)), cls.__name__
        rows = record.fields(cls)
        assert all(any(f"`{name}`" in names for names, _, _ in rows) for name in told)


def test_a_field_without_a_description_is_refused_by_name() -> None:
    grown = dataclasses.make_dataclass("Grown", [("old", int), ("new", int)])
    grown.__doc__ = "One.\n\n    Attributes:\n        old: of old.\n    "
    with pytest.raises(KeyError, match="Grown: its docstring doesn't describe new"):
        record.fields(grown)


def test_a_records_file_holds_the_fields_of_the_page(folder: Path) -> None:
    for path in (folder / "records").iterdir():
        plain = json.loads(path.read_text())
        for where, cls in record.PARTS.items():
            names = [] if cls is Record else where.removesuffix(", each").split(".")
            found = [plain]
            for name in names:
                found = [one[name] for one in found]
                found = [each for one in found for each in one] if found and isinstance(found[0], list) else found
            assert all(set(one) == {field.name for field in dataclasses.fields(cls)} for one in found), where
            assert found or names[0] == "experiments"


def test_predictions_hold_the_arrays_of_the_page(folder: Path) -> None:
    seen = set()
    for one in RecordStore(folder):
        with np.load(RecordStore(folder).predictions_path(one.key)) as held:
            assert set(held) == PREDICTIONS[one.task].keys() | PREDICTIONS["both"].keys()
        seen.add(one.task)
    assert seen == {"classification", "segmentation"}


def test_a_results_folder_holds_what_the_page_says_and_nothing_else(folder: Path) -> None:
    patterns = [
        path.replace("TITLE-DIGITS", "*").replace("DATASET-DIGITS", "*").replace("KEY", "*") + "*" * path.endswith("/")
        for paths in FOLDER
        for path in paths.split(", ")
    ]
    held = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in held if not any(fnmatch(path, one) for one in patterns)] == []
    for made in ("records/*.json", "predictions/*.npz", "errors/*.json", "pictures/*.npz", "index.html"):
        assert any(fnmatch(path, made) for path in held), made
