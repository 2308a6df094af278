"""The part that a run has in an experiment: which row asked for it, and where it lies on the axes."""

from dataclasses import dataclass

from encoders.errors import strict


@strict
@dataclass(frozen=True)
class AxisPoint:
    """Where a run lies on one axis of an experiment.

    Attributes:
        axis, label: names of the axis and of the point on it.
        place: of the point on its axis, from 0, for the order of a table.
        value: where that is a number.
    """

    axis: str
    label: str
    place: int
    value: float | None = None


@strict
@dataclass(frozen=True)
class Membership:
    """The part a run has in an experiment (`configs/experiment/`); never part of its identity.

    Attributes:
        experiment, title, columns: its name and title, and what its table has for columns: `datasets`, `fusers` or one
            of its axes.
        row: which of the record's rows was asked for.
        points: one an axis, in their order.
        shared: what tells the experiment's tables apart, as it is before a point changes it: protocol and its hash,
            bands, band names, partition.
    """

    experiment: str
    title: str
    columns: str
    row: str
    points: tuple[AxisPoint, ...]
    shared: dict[str, str]
