"""Experiments: several grids that answer one question together, one YAML each in `configs/experiment/`.

A grid's rows on its datasets are run at every combination of points of the axes it crosses; a point is a name for a few
overrides. Read and checked here, without Hydra; `benchmark.request.asked` composes what they ask for.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import configs
from benchmark.data.inputs import Track
from benchmark.membership import AxisPoint
from encoders import yaml_files
from encoders.elsewhere import SUFFIXES
from encoders.errors import UserError, nearest, strict, validate

FOLDER = configs.ROOT / "experiment"
COLUMNS = ("datasets", "fusers")
"""What a table has for columns, where that is none of the axes."""


@strict
@dataclass(frozen=True)
class Point:
    """A point of an axis.

    Attributes:
        overrides: what it changes, `key=value` as on the command line; none for rows as they are.
        draws: overrides of which each is a run of its own; a table shows their mean.
        value: where the point lies, on an axis of numbers.
    """

    overrides: tuple[str, ...] = ()
    draws: tuple[str, ...] = ()
    value: float | None = None


@strict
@dataclass(frozen=True)
class Grid:
    """Rows on datasets, at the points of axes.

    Attributes:
        rows, fusions: as --encoder and --fusion take them.
        datasets: as --dataset takes them.
        axes: by name, the labels of the points that are run; all are crossed.
    """

    rows: tuple[str, ...]
    datasets: tuple[str, ...]
    fusions: tuple[str, ...] = ("none",)
    bands: Track = "rgb"
    protocol: str = "frozen"
    probe: str | None = None
    overrides: tuple[str, ...] = ()
    axes: dict[str, tuple[str, ...] | Literal["all"]] = field(default_factory=dict)


@strict
@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        question: what it answers, in a sentence.
        h200_hours: GPU-hours on one H200, as `--dry-run --on h200` counts them with nothing on disk.
        reading: how to read its table.
        columns: of its table: `datasets`, `fusers` or an axis.
        axes: points by label, by the name of the axis.
    """

    title: str
    question: str
    reading: str
    grids: tuple[Grid, ...]
    h200_hours: float | None = None
    columns: str = "datasets"
    axes: dict[str, dict[str, Point]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.grids or any(not grid.rows or not grid.datasets or not grid.fusions for grid in self.grids):
            raise UserError("an experiment needs a grid, and a grid rows, datasets and fusions")
        if self.columns not in (*COLUMNS, *self.axes):
            raise UserError(f"'columns' is {self.columns}; {nearest(self.columns, (*COLUMNS, *self.axes))}")
        for override in self._overrides():
            if "=" not in override.lstrip("+") or override.startswith(("~", "=")):
                raise UserError(f"override '{override}' is no key=value; write what a point sets, such as bands=rgb")
            # Lines of shell for a cluster, or a server that is told: whoever runs it says that.
            if override.lstrip("+").startswith(("executor", "tracker")):
                raise UserError(f"override '{override}' says how it is run, not what; give it on the command line")
        for grid in self.grids:
            self._check_axes(grid)

    def _overrides(self) -> Iterator[str]:
        for grid in self.grids:
            yield from grid.overrides
        for points in self.axes.values():
            for point in points.values():
                yield from (*point.overrides, *point.draws)

    def _check_axes(self, grid: Grid) -> None:
        taken: dict[str, str] = {}
        for axis, labels in grid.axes.items():
            if axis not in self.axes:
                raise UserError(f"no axis '{axis}'; {nearest(axis, self.axes)}")
            for label in () if labels == "all" else labels:
                if label not in self.axes[axis]:
                    raise UserError(f"axis '{axis}' has no point '{label}'; {nearest(label, self.axes[axis])}")
            for key in self.keys(axis):
                if taken.setdefault(key, axis) != axis:
                    raise UserError(f"axes '{taken[key]}' and '{axis}' of one grid both set {key}; let one set it")

    def keys(self, axis: str) -> list[str]:
        """The keys that points of an axis set."""
        overrides = [one for point in self.axes[axis].values() for one in (*point.overrides, *point.draws)]
        return list(dict.fromkeys(override.partition("=")[0].lstrip("+") for override in overrides))

    def combinations(self, grid: Grid) -> Iterator["Combination"]:
        """The points of a grid's axes, crossed; one combination of none where it has no axis."""
        crossed = []
        for axis, labels in grid.axes.items():
            known = self.axes[axis]
            chosen = list(known) if labels == "all" else labels
            places = {label: place for place, label in enumerate(known)}
            crossed.append([(AxisPoint(axis, one, places[one], known[one].value), known[one]) for one in chosen])
        for combination in itertools.product(*crossed):
            draws: list[list[tuple[str, ...]]] = [[(one,) for one in at.draws] or [()] for _, at in combination]
            for drawn in itertools.product(*draws):
                yield Combination(
                    tuple(at for at, _ in combination),
                    tuple((*point.overrides, *own) for (_, point), own in zip(combination, drawn, strict=True)),
                    tuple(one for own in drawn for one in own),
                )


@dataclass(frozen=True)
class Combination:
    """One point of each axis of a grid.

    Attributes:
        by_axis: overrides of each point, its draw among them.
        drawn: the draws among the overrides.
    """

    points: tuple[AxisPoint, ...]
    by_axis: tuple[tuple[str, ...], ...]
    drawn: tuple[str, ...]

    @property
    def overrides(self) -> tuple[str, ...]:
        """All of them, in the order of the axes."""
        return tuple(itertools.chain.from_iterable(self.by_axis))

    @property
    def title(self) -> str:
        """The combination in a few words."""
        return ", ".join([*(point.label for point in self.points), *(one.partition("=")[2] for one in self.drawn)])

    @property
    def variant(self) -> str:
        """What it changes about the row itself, encoder or fuser, in a few words; empty where that is nothing."""
        changes = (
            point.label
            for point, overrides in zip(self.points, self.by_axis, strict=True)
            if any(override.lstrip("+").startswith(("encoder.", "fusion.")) for override in overrides)
        )
        return ", ".join(changes)


def names() -> list[str]:
    """The experiments there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Experiment:
    """An experiment.

    Args:
        name: of `names()`, or the path of a YAML file of one's own.

    Raises:
        UserError: there is none, or its file names what can't be.
    """
    own = name.endswith(SUFFIXES)
    if not own and name not in names():
        raise UserError(f"no experiment '{name}'; {nearest(name, names())}")
    path = Path(name) if own else FOLDER / f"{name}.yaml"
    where = name if own else f"configs/experiment/{path.name}"
    plain = _read(path, where)
    try:
        return validate(Experiment, plain, where)
    except UserError as error:
        # What an experiment finds wrong with itself doesn't know its file.
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


def _read(path: Path, where: str) -> Mapping[str, object]:
    plain = yaml_files.read(path, "give a file like those in configs/experiment/", where)
    if not isinstance(plain, dict):
        raise UserError(f"{where}: holds no keys; give a file like those in configs/experiment/")
    return plain
