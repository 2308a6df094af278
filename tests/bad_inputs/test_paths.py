"""Paths: with spaces, in any alphabet, with `..` and through links they work; what is no folder or leads nowhere is one line."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import evaluate
from tests.bad_inputs.case import Case, Ended, Place, Spoil, floor, snapshot

DATASET = "m-eurosat"
FOLDERS = ("--data-root", "--ingest-dir", "--features-dir", "--weights", "--output")
RUN = floor("{root}")
CROMA = ("--encoder", "croma_base_optical", "--bands", "authors", *RUN[2:8])
LONG = "x" * 300


def a_file(place: Place) -> None:
    (place.folder / "file").write_text("mine")


def a_loop(place: Place) -> None:
    (place.folder / "file").symlink_to(place.folder / "file")


def nowhere(place: Place) -> None:
    (place.folder / "file").symlink_to(place.folder / "none" / "deeper")


BASES = {option: CROMA if option == "--weights" else RUN for option in FOLDERS}
SPOILT: dict[str, Spoil] = {"a file": a_file, "links to itself": a_loop}


def cases() -> Iterator[Case]:
    for option, base in BASES.items():
        for name, spoil in SPOILT.items():
            yield Case(f"{option}: {name}", (*base, f"{option}={{folder}}/file"), ("file",), spoil, (DATASET,))
            yield Case(
                f"{option}: below {name}", (*base, f"{option}={{folder}}/file/deeper"), ("file",), spoil, (DATASET,)
            )
        yield Case(f"{option}: too long a name", (*base, f"{option}={{folder}}/{LONG}"), ("xxx",), None, (DATASET,))
        yield Case(f"{option}: a zero byte", (*base, f"{option}={{folder}}/a\0b"), ("a",), None, (DATASET,))
        yield Case(f"{option}: below /dev/null", (*base, f"{option}=/dev/null/x"), ("/dev/null",), None, (DATASET,))
        yield Case(f"{option}: below /proc", (*base, f"{option}=/proc/none"), ("/proc",), None, (DATASET,))
        yield Case(
            f"{option}: nobody's home",
            (*base, f"{option}=~nobody_of_that_name/x"),
            ("~nobody_of_that_name",),
            None,
            (DATASET,),
        )
    for command in ("report", "verify"):
        for name, spoil in {**SPOILT, "links to nowhere": nowhere}.items():
            if command == "report":
                yield Case(f"{command}: {name}", (command, "{folder}/file"), ("file",), spoil)
    yield Case("data: one level too high", (*RUN, "--data-root={folder}"), ("--data-root", "{root}"), None, (DATASET,))
    yield Case(
        "data: one level too low",
        (*RUN, "--data-root={root}/classification_v1.0"),
        ("--data-root={root}",),
        None,
        (DATASET,),
    )
    yield Case(
        "data: the dataset's folder",
        (*RUN, f"--data-root={{root}}/classification_v1.0/{DATASET}"),
        ("--data-root={root}",),
        None,
        (DATASET,),
    )
    yield Case(
        "rerun: a folder",
        ("rerun", "{output}/records/x.json", "--output", "{output}"),
        ("x.json",),
        lambda place: (place.output / "records/x.json").mkdir(parents=True),
    )


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_path_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(case)


GOOD = {
    "spaces": "a folder of mine",
    "Unicode": "Übung 数据 ñandú",
    "a name that looks like an option": "-x",
    "brackets and stars": "[a]*?{b}",
    "quotes": 'it\'s "mine"',
    "percent and hash": "100%#1",
    "a line's end": "a\nb",
}


@pytest.mark.parametrize("name", GOOD)
def test_any_name_of_a_folder_works(
    name: str, place: Place, written: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place.folder / GOOD[name]
    source = written(DATASET)
    shutil.copytree(source, folder / "root" / source.parent.name / DATASET)
    options = [f"{option}={folder / option.strip('-')}" for option in FOLDERS if option != "--data-root"]
    assert evaluate.main(["fetch", "dataset", DATASET, "--ingest", f"--data-root={folder / 'root'}", *options]) == 0
    assert str(folder / "ingest-dir") in capsys.readouterr().out
    assert {path.name for path in (folder / "ingest-dir").iterdir()}


@pytest.mark.parametrize("how", ["..", "link", "relative"])
def test_the_same_folder_by_another_path_is_read_no_second_time(
    how: str, place: Place, written: Callable[[str], Path], reads: list[str]
) -> None:
    source = written(DATASET)
    shutil.copytree(source, place.root / source.parent.name / DATASET)
    arguments = ["fetch", "dataset", DATASET, "--ingest"]
    assert evaluate.main([*arguments, "--data-root", str(place.root)]) == 0
    before, count = snapshot(place.home), len(reads)
    (place.folder / "link").symlink_to(place.root)
    other = {"..": str(place.home / ".." / "root"), "link": str(place.folder / "link"), "relative": "../root"}[how]
    assert evaluate.main([*arguments, "--data-root", other]) == 0
    assert (len(reads), snapshot(place.home)) == (count, before)


def test_links_to_samples_are_followed(place: Place, written: Callable[[str], Path]) -> None:
    source = written(DATASET)
    folder = place.root / source.parent.name / DATASET
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    assert evaluate.main(["fetch", "dataset", DATASET, "--ingest", "--data-root", str(place.root)]) == 0
    assert (folder / "default_partition.json").is_symlink()
