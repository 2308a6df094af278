"""Where a GEO-Bench root is, if it isn't where it was said to be: a level too high or too low, or named otherwise."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.data import datasets
from encoders.errors import nearest

MOST_FOLDERS = 200
"""Looked into, of a root that is none: it may be a home folder."""


def benchmarks() -> set[str]:
    """The folders a root holds."""
    return {datasets.dataset(name).benchmark for name in datasets.select("all")}


def is_root(folder: Path) -> bool:
    """Whether a folder holds a dataset of one of GEO-Bench's benchmarks; a download that failed leaves none."""
    return any(_folders(folder / name) for name in benchmarks())


def nearby(given: Path) -> Path | None:
    """The root that somebody meant who gave one of its folders, or a folder that holds it; None where there is none."""
    if is_root(given):
        return None
    here = given.absolute()
    above = (folder for folder in list(here.parents)[:3] if here.is_dir() and folder != Path(here.anchor))
    return next((folder for folder in (*above, *_below(given)) if is_root(folder)), None)


def strangers(root: Path) -> Iterator[tuple[Path, str]]:
    """Folders beside the datasets that are called by no dataset's name, and which name is near."""
    known = {datasets.dataset(name).folder.rpartition("/")[2]: name for name in datasets.select("all")}
    for benchmark in sorted(benchmarks()):
        for path in _folders(root / benchmark):
            if path.name not in known and "did you mean" in (said := nearest(path.name, known)):
                yield path, said


def _below(folder: Path) -> Iterator[Path]:
    for inner in _folders(folder):
        yield inner
        yield from _folders(inner)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))[
            :MOST_FOLDERS
        ]
    except OSError:
        return []
