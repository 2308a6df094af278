"""Hours of a plan on a named device, counted (`benchmark.grid.counted`): how many, of what, and what was left out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmark.flops.devices import Device
from benchmark.grid.counted import Counting, Stage, Taken
from benchmark.grid.planning import Planned, Planner

Name = TypeVar("Name", bound=str)
SHOWN = 3
"""Rows that are named as taking most."""
NOT_COUNTED = "Not counted: probes, which are fitted on the CPU, reading, and whatever keeps a device waiting."


@dataclass(frozen=True)
class Prediction:
    """What a plan will take on a device.

    Attributes:
        cells: of the plan, in its order, with what they take; None where nothing is to be done or can be counted.
        uncounted: how many could not be counted.
        guessed: datasets the size of whose splits was taken to be as large as any.
    """

    device: Device
    cells: tuple[tuple[Planned, Taken | None], ...]
    uncounted: int
    guessed: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Of all cells together."""
        return sum(self.stages().values())

    def stages(self) -> dict[Stage, float]:
        """Hours by stage, the longest first."""
        found: dict[Stage, float] = defaultdict(float)
        for _, taken in self.cells:
            for stage, seconds in taken.stages.items() if taken else ():
                found[stage] += seconds / 3600
        return _sorted(found)

    def rows(self) -> dict[str, float]:
        """Hours by row and dataset, over all points of an experiment, the longest first."""
        found: dict[str, float] = defaultdict(float)
        for planned, taken in self.cells:
            found[planned.cell.plain_title] += taken.seconds / 3600 if taken else 0
        return _sorted(found)

    def lines(self) -> list[str]:
        """It in sentences."""
        counted = sum(taken is not None for _, taken in self.cells)
        if not counted:
            return [f"On one {self.device.title}: nothing that could be counted is left to do."]
        percent = f"{100 * self.device.utilisation:g} % of peak (assumed, not measured)"
        stages = (f"{stage} {told(hours)}" for stage, hours in self.stages().items() if hours)
        most = (f"{title} {told(hours)}" for title, hours in list(self.rows().items())[:SHOWN])
        lines = [
            f"On one {self.device.title}, counted at {percent}: {told(self.hours)} GPU-hours for {counted} cells: "
            f"{', '.join(stages)}.",
            f"Most of it: {'; '.join(most)}.",
            f"{NOT_COUNTED} Rates: {self.device.source}.",
        ]
        if self.uncounted:
            lines.append(f"{self.uncounted} cells could not be counted: they are impossible, or no built-in encoder's.")
        if self.guessed:
            lines.append(
                f"Sizes of splits of {', '.join(self.guessed)} are not published: counted as GEO-Bench's largest, "
                "1,000, or as train where that is smaller."
            )
        return lines


def predict(plan: Sequence[Sequence[Planned]], planner: Planner, device: Device) -> Prediction:
    """What the groups of a plan will take, in their order, but for what is done."""
    counting, uncounted = Counting(planner, device), 0
    cells: list[tuple[Planned, Taken | None]] = []
    for group in plan:
        left = [one for one in group if one.fed is not None and one.state in ("runs", "waits")]
        taken = dict(zip(map(id, left), counting.group(left) if left else [], strict=True))
        uncounted += sum(one is None for one in taken.values())
        cells += [(one, taken.get(id(one))) for one in group]
    return Prediction(device, tuple(cells), uncounted, tuple(sorted(counting.guessed)))


def told(hours: float) -> str:
    """Hours with two digits."""
    return f"{float(f'{hours:.2g}'):g}"


def _sorted(found: Mapping[Name, float]) -> dict[Name, float]:
    return dict(sorted(found.items(), key=lambda one: -one[1]))
