"""Clocks for a machine that others use too: what is compared is timed in turns, in one process, many times."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

STATUS = Path("/proc/self/status")
MATRIX = {"cpu": 2048, "cuda": 8192}
"""Side of the square matrices whose product gives a device's rate."""


def synchronise(device: str) -> None:
    """Wait until a device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Timed:
    """What one call took.

    Attributes:
        cpu_seconds: of all threads of the process.
    """

    seconds: float
    cpu_seconds: float


def timed(do: Callable[[], object], device: str) -> Timed:
    """Time a call, with all that it gives the device to do; one that gives a float has measured its seconds itself."""
    synchronise(device)
    before, start = os.times(), time.perf_counter()
    own = do()
    synchronise(device)
    seconds, after = time.perf_counter() - start, os.times()
    seconds = own if isinstance(own, float) else seconds
    return Timed(seconds, after.user + after.system - before.user - before.system)


@dataclass(frozen=True)
class Times:
    """What several parts took, round by round.

    Attributes:
        rounds: by part, one entry a round; all parts were timed in each.
    """

    rounds: Mapping[str, list[Timed]]

    def best(self, part: str) -> float:
        """Seconds of the fastest round: on a busy machine the cleanest number."""
        return min(one.seconds for one in self.rounds[part])

    def median(self, part: str) -> float:
        """Seconds of the middle round."""
        return median(one.seconds for one in self.rounds[part])

    def cpu_seconds(self, part: str) -> float:
        """CPU time of the round that took least of it: nearly the same however many share the machine."""
        return min(one.cpu_seconds for one in self.rounds[part])

    def series(self, part: str) -> list[float]:
        """Seconds of every round."""
        return [one.seconds for one in self.rounds[part]]

    def cpu_share(self, part: str) -> float:
        """CPU time in relation to what the threads could have had, of the fastest round."""
        fastest = min(self.rounds[part], key=lambda one: one.seconds)
        return fastest.cpu_seconds / (fastest.seconds * torch.get_num_threads())


def in_turns(parts: Mapping[str, Callable[[], object]], rounds: int, device: str) -> Times:
    """Time the parts one after another, `rounds` times, after a first time that does not count."""
    for do in parts.values():
        do()
    found: dict[str, list[Timed]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, do in parts.items():
            found[name].append(timed(do, device))
    return Times(found)


def matrix_product(device: str, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """A product of square matrices on the device, to be timed, and its operations."""
    side = MATRIX[device]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return lambda: left @ right, 2 * side**3


def private_bytes() -> int:
    """Memory of this process that is no file (RssAnon); 0 where the system doesn't say."""
    if not STATUS.exists():
        return 0
    lines = [line.split() for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:")]
    return int(lines[0][1]) * 1024 if lines else 0
