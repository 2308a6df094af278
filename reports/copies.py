"""Copies of one run's record in several results folders: they agree, or the error names two that don't.

A run that was measured twice gives the same predictions and what follows from them; its title, flags and standing are
the words of the version that made the record, of which the newest tell. Two files of one moment are one record that was
copied: where they differ, one was edited.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.scoring import statistics
from encoders.errors import UserError

TOLERANCE = 1e-6
"""Of what is resampled from the same predictions: sums of another library version."""
MEASURED = ("validation", "confusion", "n_groups", "n_train", "n_test")
"""Of a score; the rest is compared in ways of its own."""
TOLD = ("title", "role", "licence", "pretraining_overlap", "task", "ranked", "flags")
"""Of a record, what its version says of the number."""


@dataclass(frozen=True)
class Copy:
    """A record and the results folder it was read from."""

    record: Record
    folder: Path

    @property
    def path(self) -> Path:
        """Its file."""
        return RecordStore(self.folder).path(self.record.key)


def agreed(copies: Sequence[Copy]) -> Copy:
    """Copies of one run as one: the newest, with the rows, experiments and metrics of all.

    Raises:
        UserError: two differ in what was measured, or are of one moment and differ in what is told of it.
    """
    *others, newest = sorted(copies, key=_age)
    record = newest.record
    for other in reversed(others):
        _check_agreement(newest, other)
        record = record.also(other.record.rows, other.record.variant, other.record.experiments)
        metrics = other.record.score.metrics | record.score.metrics
        record = replace(record, score=replace(record.score, metrics=metrics))
    return Copy(record, newest.folder)


def _age(copy: Copy) -> tuple[str, str]:
    """Orders copies by when they were made; those of one moment by what may differ between them."""
    record = copy.record
    rest = (record.cost, record.provenance, record.rows, record.variant, record.experiments)
    return record.provenance.created, repr(rest)


def _check_agreement(*copies: Copy) -> None:
    one, other = sorted(copies, key=lambda copy: str(copy.path))
    paths = f"{one.path} and {other.path}"
    if measured := next(_differences(one.record, other.record), ""):
        raise UserError(
            f"{paths} are the same run with different results ({measured}); see with `rerun` which comes out again, "
            "and delete the other"
        )
    told = [name for name in TOLD if getattr(one.record, name) != getattr(other.record, name)]
    told += ["score.interval.method"] if one.record.score.interval.method != other.record.score.interval.method else []
    if told and one.record.provenance.created == other.record.provenance.created:
        raise UserError(
            f"{paths} are copies of one record and differ in {told[0]}, so one was edited; see with `verify` which, "
            "and delete it"
        )


def _differences(one: Record, other: Record) -> Iterator[str]:
    here, there = one.score, other.score
    # Versions may measure more and less of the same predictions.
    for name in sorted(here.metrics.keys() & there.metrics.keys(), key=lambda name: (name != here.headline, name)):
        if here.metrics[name] != there.metrics[name]:
            yield f"{name} {here.metrics[name]} and {there.metrics[name]}"
    for name in sorted(here.chosen.keys() & there.chosen.keys()):
        if here.chosen[name] != there.chosen[name]:
            yield f"score.chosen.{name} {here.chosen[name]} and {there.chosen[name]}"
    if one.predictions_sha256 != other.predictions_sha256:
        yield "its predictions"
    for name in MEASURED:
        if getattr(here, name) != getattr(there, name):
            yield f"score.{name}"
    for end in ("low", "high"):
        values = getattr(here.interval, end), getattr(there.interval, end)
        if not math.isclose(*values, rel_tol=0, abs_tol=TOLERANCE):
            yield f"score.interval.{end} {values[0]} and {values[1]}"
    if here.resamples != there.resamples:
        drawn, again = statistics.unpack(here.resamples), statistics.unpack(there.resamples)
        if drawn.shape != again.shape or not np.allclose(drawn, again, rtol=0, atol=TOLERANCE):
            yield "score.resamples"
