"""What `evaluate.py cache list|clear|verify` does: look at stored features, delete them, check them.

A feature folder is called by 16 hexadecimal digits; nothing else in the features folder is ever touched.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from benchmark.features import arrays, claims
from benchmark.features.arrays import SECONDS, About
from encoders.errors import UserError, nearest

_KEY = re.compile(r"[0-9a-f]{16}")
HEADER = ["encoder", "dataset", "split", "tier", "variants", "MB", "done", "key"]


@dataclass(frozen=True)
class Cached:
    """One feature folder.

    Attributes:
        about: what it says of itself; None if it is damaged, unfinished at creation, or of an older program.
        bytes: on disk.
        done, shards: how far its extraction came.
    """

    folder: Path
    about: About | None
    bytes: int
    done: int
    shards: int

    @property
    def complete(self) -> bool:
        """Whether all features are there."""
        return self.about is not None and self.done == self.shards

    def row(self) -> list[str]:
        """A line under `HEADER`."""
        about, size = self.about, f"{self.bytes / 1e6:,.1f}"
        if about is None:
            return ["?", "?", "?", "?", "?", size, "unreadable", self.folder.name]
        done = "complete" if self.complete else f"{self.done}/{self.shards} shards"
        return [
            *(about.encoder, about.dataset, about.split, about.tier, str(about.variants)),
            *(size, done, self.folder.name),
        ]


def entries(features_dir: Path) -> list[Cached]:
    """All feature folders, sorted by encoder, dataset, split and tier."""
    if not features_dir.is_dir():
        return []
    found = [_look(path) for path in features_dir.iterdir() if path.is_dir() and _KEY.fullmatch(path.name)]
    return sorted(found, key=Cached.row)


def clear(features_dir: Path, encoder: str | None = None, dataset: str | None = None) -> list[Cached]:
    """Delete feature folders: all, or those of an encoder, a dataset, or both.

    Returns:
        What was deleted.

    Raises:
        UserError: nothing of that name is there, or a process is filling a folder (the others are deleted).
    """
    known = entries(features_dir)
    for wanted, field in ((encoder, "encoder"), (dataset, "dataset")):
        names = {str(getattr(one.about, field)) for one in known if one.about}
        if wanted is not None and wanted not in names:
            held = nearest(wanted, names) if names else "there are none at all, so leave it out"
            raise UserError(f"no features of {field} '{wanted}' in {features_dir}; {held}")
    chosen = [one for one in known if _fits(one, encoder, dataset)]
    deleted, busy = [], []
    for one in chosen:
        try:
            with FileLock(one.folder / "lock", timeout=0):
                if claims.in_use(one.folder):
                    busy.append(one)
                    continue
                # What says that features are there goes first: a process killed here leaves none that look whole.
                (one.folder / arrays.ABOUT).unlink(missing_ok=True)
                shutil.rmtree(one.folder)
            deleted.append(one)
        except Timeout:
            busy.append(one)
    if busy:
        raise UserError(
            f"{busy[0].folder}: in use by another process ({len(busy)} such); clear again when it has ended"
        )
    return deleted


def verify(features_dir: Path) -> list[str]:
    """What is damaged, a sentence each; empty where all is well. Reads every finished value."""
    return [f"{problem}; delete the folder" for one in entries(features_dir) for problem in _problems(one)]


def _fits(one: Cached, encoder: str | None, dataset: str | None) -> bool:
    if one.about is None:
        return encoder is None and dataset is None
    return encoder in (None, one.about.encoder) and dataset in (None, one.about.dataset)


def _look(folder: Path) -> Cached:
    try:
        about = arrays.read_about(folder)
    except UserError:
        about = None
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    done = int((_seconds(folder) > 0).sum()) if about else 0
    return Cached(folder, about, size, done, about.shards if about else 0)


def _seconds(folder: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(folder / SECONDS, allow_pickle=False), np.float64)
    except (OSError, ValueError, EOFError):
        return np.zeros(0)


def _problems(one: Cached) -> Iterator[str]:
    if one.about is None:
        yield f"{one.folder}: does not say what it holds"
        return
    if arrays.features_key(one.about.identity) != one.folder.name:
        yield f"{one.folder}: holds features of another run than its name says"
    damaged = list(arrays.damages(one.folder, one.about))
    yield from damaged
    if damaged:
        return
    stored = arrays.open_arrays(one.folder, one.about)
    seconds = stored.seconds()
    if not (np.isfinite(seconds) & (seconds >= 0)).all():
        yield f"{one.folder / SECONDS}: holds times that cannot be"
        return
    for name, array in stored.arrays.items():
        bad = [s for s in np.flatnonzero(seconds > 0) if not np.isfinite(array[stored.rows(int(s))]).all()]
        if bad:
            yield f"{one.folder / name}.npy: NaN or infinite values in shard {bad[0]} ({len(bad)} such)"
