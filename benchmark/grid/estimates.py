"""What a plan will take: bytes of features, seconds of encoding and training. Nothing is guessed.

Bytes are shapes times images. Seconds are images times rates that were measured (`benchmark.grid.rates`); where nothing
alike was measured they are unknown, and a total says how much of it is known.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.features import arrays
from benchmark.features.shapes import shapes
from benchmark.features.tiers import Tier
from benchmark.grid.cells import rows_kept
from benchmark.grid.identity import feature_identity
from benchmark.grid.planning import Planned, Planner
from benchmark.grid.rates import Rates, tier_of
from benchmark.provenance import cpu_name
from benchmark.request.executor_options import Options
from encoders.errors import UserError


@dataclass(frozen=True)
class Estimate:
    """What a cell that has not run will take; None where it is unknown.

    Attributes:
        tier: what of its features is kept.
        bytes: of features that are not on disk yet; 0 where another cell before it brings them.
        encode_seconds: alike.
    """

    tier: Tier | None = None
    bytes: int | None = None
    encode_seconds: float | None = None
    train_seconds: float | None = None

    @property
    def seconds(self) -> float | None:
        """Encoding and training together."""
        if self.encode_seconds is None or self.train_seconds is None:
            return None
        return self.encode_seconds + self.train_seconds


class Estimator:
    """Estimates cells in the order they run in: what one leaves behind, the next finds."""

    def __init__(self, planner: Planner, rates: Rates) -> None:
        self._planner, self._rates = planner, rates
        self._brought: set[tuple[object, ...]] = set()

    def estimate(self, planned: Planned) -> Estimate:
        """What a planned cell will take."""
        cell, fed = planned.cell, planned.fed
        sizes = self._planner.sizes(cell) if fed else None
        if fed is None or sizes is None:
            return Estimate()
        rows = rows_kept(cell, fed, sizes)
        tier = tier_of(cell, fed.side, len(fed.channels), sum(rows.values()))
        if tier is None:
            return Estimate()
        train = self._rates.train_seconds(cell, fed.side, tier, sizes["train"])
        if self._is_brought(planned, tier):
            return Estimate(tier, 0, 0.0, train)
        copies = {split: rows[split] // max(1, count) for split, count in sizes.items()}
        done = {split: self._done(planned, tier, split, copies[split]) for split in sizes if rows[split]}
        known = shapes(cell.card, fed.side, len(fed.channels))
        row_bytes = known.row_bytes(tier, cell.protocol.feature_dtype) if known else 0 if tier == "none" else None
        missing = sum(rows[split] for split, images in done.items() if images is None)
        left = sum(max(0, rows[split] - (images or 0)) for split, images in done.items())
        return Estimate(
            tier,
            # Files are reserved whole when an extraction begins.
            None if row_bytes is None else row_bytes * missing,
            self._rates.encode_seconds(cell, fed.side, tier, left),
            train,
        )

    def _is_brought(self, planned: Planned, tier: Tier) -> bool:
        """Whether a cell before this one brings its features."""
        cell, number = planned.cell, self._planner.number
        key = (number(cell.card), number(cell.dataset), number(cell.settings), number(cell.protocol), tier)
        seen = key in self._brought
        self._brought.add(key)
        return seen

    def _done(self, planned: Planned, tier: Tier, split: str, variants: int) -> int | None:
        """Rows of a split that are encoded; None where there is no folder for them yet."""
        assert planned.fed is not None
        runs = self._planner.runs(planned.cell, planned.fed)
        if tier == "none" or not runs:
            return None
        dtype = planned.cell.protocol.feature_dtype
        identity = arrays.stored_identity(feature_identity(runs[0], planned.fed, dtype, split), tier, variants)
        folder = self._planner.places.features_dir / arrays.features_key(identity)
        return encoded_rows(folder)


def encoded_rows(folder: Path) -> int | None:
    """Rows of a feature folder that are there; None where it is no such folder."""
    try:
        about = arrays.read_about(folder)
        seconds = np.load(folder / arrays.SECONDS, allow_pickle=False)
    except (OSError, ValueError, EOFError, UserError):
        return None
    if about is None:
        return None
    return min(about.rows, int((np.asarray(seconds) > 0).sum()) * arrays.SHARD)


def device_of(executor: Options, wanted: str) -> str | None:
    """The device cells will run on, as records name it; None where only their own machine knows,
    empty where there is none.

    Args:
        wanted: the setting `device`.
    """
    if wanted == "cpu":
        return cpu_name()
    if executor.kind in ("slurm", "ray"):
        return None
    gpu = next(_gpus(), None)
    return gpu or ("" if wanted == "cuda" else cpu_name())


def _gpus() -> Iterator[str]:
    """Names of the NVIDIA GPUs of this machine, asked without a framework."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return
    yield from found.stdout.splitlines()
