"""Run the frozen part once an image, keep the result, go on where a killed extraction stopped.

A split's features lie in one memory-mapped array, filled in shards of `SHARD` images. Beside it lie the seconds
each shard took, written after its rows are on disk: whatever stops the process, a shard with seconds vouches for
its rows. A batch never crosses a shard, so a resumed extraction meets the same batches as an undisturbed one.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from benchmark import progress
from benchmark.atomic import write_atomically
from benchmark.ingest import Split
from benchmark.inputs import InputTransform
from encoders.base import Encoder
from encoders.errors import UserError

SHARD = 64


@dataclass(frozen=True)
class Extracted:
    """The embeddings of a split.

    Attributes:
        embedding: (N, D), the protocol's feature dtype, memory-mapped.
        seconds: spent reading, scaling and encoding all its images, whenever that was.
    """

    embedding: np.ndarray
    seconds: float


def features_key(identity: dict[str, object]) -> str:
    """16 hexadecimal digits over what determines a split's features."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class FeatureStore:
    """Features on disk: `<folder>/<key>/{embedding.npy, seconds.npy, about.json}`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def embeddings(
        self,
        encoder: Encoder,
        transform: InputTransform,
        split: Split,
        *,
        identity: dict[str, object],
        dtype: str,
        batch_size: int,
    ) -> Extracted:
        """The embeddings of a split, encoding only what isn't there yet.

        Args:
            identity: everything that determines the features; their key, and kept beside them.
            dtype: `float16` or `float32`.
            batch_size: images encoded at once, cut at shards.

        Raises:
            UserError: no space, or a feature too large for `dtype`.
        """
        folder = self.folder / features_key(identity)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            shape = (len(split.samples), encoder.embedding_dim)
            array, seconds = self._open(folder, shape, np.dtype(dtype), identity)
            todo = [shard for shard in range(len(seconds)) if seconds[shard] == 0]
            title = f"{encoder.card.name} on {split.dataset.name}/{split.name}"
            for shard in progress.track(todo, title, total=len(seconds), done=len(seconds) - len(todo)):
                start = time.monotonic()
                rows = slice(shard * SHARD, min((shard + 1) * SHARD, shape[0]))
                array[rows] = self._encode(encoder, transform, split, rows, np.dtype(dtype), batch_size)
                array.flush()
                seconds[shard] = max(time.monotonic() - start, 1e-9)
                seconds.flush()
            spent = float(seconds.sum())
        return Extracted(np.load(folder / "embedding.npy", mmap_mode="r"), spent)

    def _open(
        self, folder: Path, shape: tuple[int, int], dtype: np.dtype, identity: dict[str, object]
    ) -> tuple[np.memmap, np.memmap]:
        path, times = folder / "embedding.npy", folder / "seconds.npy"
        shards = -(-shape[0] // SHARD)
        if not (folder / "about.json").is_file():
            needed = int(np.prod(shape)) * dtype.itemsize
            free = shutil.disk_usage(folder).free
            if needed > free:
                raise UserError(
                    f"features need {needed / 1e9:.2f} GB in {folder}, {free / 1e9:.2f} GB are free; "
                    "make room or point --features-dir elsewhere"
                )
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
            np.lib.format.open_memmap(times, mode="w+", dtype=np.float64, shape=(shards,)).flush()
            write_atomically(folder / "about.json", json.dumps(identity, sort_keys=True, indent=1).encode())
        try:
            array = np.lib.format.open_memmap(path, mode="r+")
            seconds = np.lib.format.open_memmap(times, mode="r+")
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: damaged feature files ({error}); delete the folder and run again") from None
        if array.shape != shape or array.dtype != dtype or seconds.shape != (shards,):
            raise UserError(f"{folder}: feature files of another shape; delete the folder and run again")
        return array, seconds

    def _encode(
        self,
        encoder: Encoder,
        transform: InputTransform,
        split: Split,
        rows: slice,
        dtype: np.dtype,
        batch_size: int,
    ) -> np.ndarray:
        parts = [
            encoder(transform(np.asarray(split.images[batch])).to(encoder.device)).embedding.float().cpu().numpy()
            for batch in _batches(rows, batch_size)
        ]
        with np.errstate(over="ignore"):
            rounded = np.concatenate(parts).astype(dtype)
        if not np.isfinite(rounded).all():
            raise UserError(
                f"{encoder.card.name}: a feature of {split.dataset.name}/{split.name} is too large for {dtype}; "
                "use protocol.feature_dtype=float32"
            )
        return rounded


def _batches(rows: slice, size: int) -> Iterator[slice]:
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))
