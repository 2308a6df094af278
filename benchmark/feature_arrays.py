"""Arrays of features on disk, filled shard by shard, so that nothing finished is ever computed again.

A folder holds one array a file, `seconds.npy` and `about.json`. Rows are written in shards of `SHARD`; the seconds
a shard took are written after its rows are on disk: whatever stops the process, a shard with seconds vouches for
its rows. `about.json` comes last at creation and says what the files must look like.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.atomic import write_atomically
from encoders.errors import UserError, strict, to_json, validate_json

SHARD = 64
SCHEMA = 2
"""Raised when the layout changes meaning; older folders are then filled again."""

ABOUT, SECONDS = "about.json", "seconds.npy"


@strict
@dataclass(frozen=True)
class About:
    """What a feature folder holds.

    Attributes:
        rows: images times variants.
        arrays: (file name, dtype, shape).
        identity: everything that determines the features.
    """

    encoder: str
    dataset: str
    split: str
    tier: str
    variants: int
    rows: int
    arrays: tuple[tuple[str, str, tuple[int, ...]], ...]
    identity: dict[str, object]
    schema: int = SCHEMA

    @property
    def shards(self) -> int:
        """Number of shards, the last of which may be short."""
        return -(-self.rows // SHARD)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for _, dtype, shape in self.arrays)


def features_key(identity: dict[str, object]) -> str:
    """16 hexadecimal digits over what determines a split's features."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def read_about(folder: Path) -> About | None:
    """What a folder says of itself; None where it says nothing, or an older program wrote it."""
    try:
        text = (folder / ABOUT).read_bytes()
        if json.loads(text).get("schema") != SCHEMA:
            return None
    except (OSError, ValueError, AttributeError):
        return None
    return validate_json(About, text, f"{folder / ABOUT} (delete the folder and run again)")


@dataclass(frozen=True)
class FeatureArrays:
    """An opened folder: arrays by file name without suffix, and the seconds each shard took (0: not done)."""

    folder: Path
    about: About
    arrays: dict[str, np.memmap]
    seconds: np.memmap

    def todo(self) -> list[int]:
        """Shards that are not done."""
        return [shard for shard in range(len(self.seconds)) if self.seconds[shard] == 0]

    def rows(self, shard: int) -> slice:
        """The rows of a shard."""
        return slice(shard * SHARD, min((shard + 1) * SHARD, self.about.rows))

    def finish(self, shard: int, seconds: float) -> None:
        """Put a shard's rows on disk, then vouch for them."""
        for array in self.arrays.values():
            array.flush()
        self.seconds[shard] = max(seconds, 1e-9)
        self.seconds.flush()

    def read_only(self) -> "FeatureArrays":
        """The same arrays, which cannot be written."""
        return open_arrays(self.folder, self.about, mode="r")


def create(folder: Path, about: About) -> None:
    """Reserve the files of a folder that has none yet, or those of an older program; caller holds the lock.

    Raises:
        UserError: no room.
    """
    free = shutil.disk_usage(folder).free
    if about.bytes > free:
        raise _no_room(folder, about, free)
    (folder / ABOUT).unlink(missing_ok=True)
    arrays = (*about.arrays, (SECONDS, "<f8", (about.shards,)))
    try:
        for file, dtype, shape in arrays:
            np.lib.format.open_memmap(folder / file, mode="w+", dtype=np.dtype(dtype), shape=shape).flush()
            # Reserved now: a disk that fills up later would end the process without a word (SIGBUS).
            if hasattr(os, "posix_fallocate"):
                with (folder / file).open("r+b") as opened:
                    os.posix_fallocate(opened.fileno(), 0, (folder / file).stat().st_size)
        write_atomically(folder / ABOUT, to_json(about))
    except OSError as error:
        for file, *_ in arrays:
            (folder / file).unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_room(folder, about, free) from None


def open_arrays(folder: Path, about: About, mode: Literal["r", "r+"] = "r+") -> FeatureArrays:
    """Open the files of a folder.

    Raises:
        UserError: a file is missing, damaged or of another shape.
    """
    damaged = list(damages(folder, about))
    if damaged:
        raise UserError(f"{damaged[0]}; delete the folder {folder} and run again")
    found = {Path(file).stem: _open(folder / file, mode) for file, _, _ in about.arrays}
    return FeatureArrays(folder, about, found, _open(folder / SECONDS, mode))


def _open(path: Path, mode: Literal["r", "r+"]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode=mode)


def damages(folder: Path, about: About) -> Iterator[str]:
    """What is wrong with the files of a folder, a clause a file, without reading their content."""
    for file, dtype, shape in (*about.arrays, (SECONDS, "<f8", (about.shards,))):
        try:
            array = np.load(folder / file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            yield f"{folder / file}: damaged feature files ({error})"
            continue
        if array.shape != tuple(shape) or array.dtype != np.dtype(dtype):
            yield f"{folder / file}: holds {array.dtype} {array.shape}, {np.dtype(dtype)} {tuple(shape)} is expected"


def _no_room(folder: Path, about: About, free: int) -> UserError:
    return UserError(
        f"features need {about.bytes / 1e9:.2f} GB in {folder}, {free / 1e9:.2f} GB are free; "
        "make room or point --features-dir elsewhere"
    )
