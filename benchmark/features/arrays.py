"""Arrays of features on disk, filled shard by shard, so that nothing finished is ever computed again.

A folder holds one array a file, `seconds.npy` and `about.json`. Rows are written in shards of `SHARD`; the seconds
a shard took are written after its rows are on disk: whatever stops the process, a shard with seconds vouches for
its rows. `about.json` comes last at creation and says what the files must look like.

Several processes may fill a folder at once, also from several machines (who does which shard: `features.claims`).
So rows are written as files are, never through a memory map: that writes whole pages, and a page may hold rows of two
shards.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


def stored_identity(identity: dict[str, object], tier: str, variants: int) -> dict[str, object]:
    """What determines the arrays of a tier, from what determines the features."""
    if tier == "embedding":
        return identity | ({"variants": variants} if variants > 1 else {})
    # Stems are float32 whatever features are rounded to.
    kept = {key: value for key, value in identity.items() if not (tier == "stem" and key == "dtype")}
    return kept | {"tier": tier, "variants": variants}


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
    """An opened folder: arrays by file name without suffix, to be read."""

    folder: Path
    about: About
    arrays: dict[str, np.memmap]

    def seconds(self) -> np.ndarray:
        """The seconds each shard took (0: not done), as they stand on disk now."""
        return np.asarray(np.load(self.folder / SECONDS, allow_pickle=False), np.float64)

    def todo(self) -> list[int]:
        """Shards that are not done."""
        return np.flatnonzero(self.seconds() == 0).tolist()

    def rows(self, shard: int) -> slice:
        """The rows of a shard."""
        return slice(shard * SHARD, min((shard + 1) * SHARD, self.about.rows))

    def write(self, name: str, row: int, values: np.ndarray) -> None:
        """Write rows of an array, from `row` on.

        Raises:
            ValueError: they have another shape than the array's.
        """
        array = self.arrays[name]
        if values.shape[1:] != array.shape[1:]:
            raise ValueError(f"{name}: rows of shape {values.shape[1:]}, {array.shape[1:]} are kept")
        _write(self.folder / f"{name}.npy", array, row, values)

    def finish(self, shard: int, seconds: float) -> None:
        """Put a shard's rows on disk, then vouch for them."""
        for name in self.arrays:
            _sync(self.folder / f"{name}.npy")
        path = self.folder / SECONDS
        _write(path, _open(path), shard, np.array([max(seconds, 1e-9)]))
        _sync(path)


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


def open_arrays(folder: Path, about: About) -> FeatureArrays:
    """Open the files of a folder.

    Raises:
        UserError: a file is missing, damaged or of another shape.
    """
    damaged = list(damages(folder, about))
    if damaged:
        raise UserError(f"{damaged[0]}; delete the folder {folder} and run again")
    return FeatureArrays(folder, about, {Path(file).stem: _open(folder / file) for file, _, _ in about.arrays})


def _open(path: Path) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="r")


def _write(path: Path, array: np.memmap, row: int, values: np.ndarray) -> None:
    # For writing alone: an NFS client that may read fills the rest of a page from its cache and writes that too.
    with os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
        file.seek(array.offset + row * array.strides[0])
        file.write(np.ascontiguousarray(values, array.dtype).data.cast("B"))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damages(folder: Path, about: About) -> Iterator[str]:
    """What is wrong with the files of a folder, a clause a file, without reading their content."""
    for file, dtype, shape in (*about.arrays, (SECONDS, "<f8", (about.shards,))):
        if Path(file).name != file:
            yield f"{folder / ABOUT}: names a file in another folder"
            continue
        try:
            array = _open(folder / file)
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
