"""Copies of one run's record in several results folders: they agree, or the error names two that don't.

A run that was measured twice gives the same predictions and what follows from them; its title, flags and standing are
the words of the version that made the record, of which the newest tell. Two files of one moment are one record that was
copied: where they differ, one was edited, and else the one with predictions and pictures beside it stands for all.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.pictures import files
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.scoring import statistics
from benchmark.scoring.counts import Array
from encoders.errors import UserError

TOLERANCE = 1e-6
"""Of fractions made of the same predictions and, relatively, of summed confidences: sums of another library version."""
MEASURED = ("confusion", "n_groups", "n_train", "n_test")
"""Of a score, whole numbers; the rest is compared in ways of its own."""
TOLD = ("title", "role", "licence", "pretraining_overlap", "task", "ranked", "flags")
"""Of a record, what its version says of the number."""


@dataclass(frozen=True)
class Copy:
    """A record, in full unless its copies are the same to the byte, and the results folder it was read from."""

    record: Record
    folder: Path

    @property
    def path(self) -> Path:
        """Its file."""
        return RecordStore(self.folder).path(self.record.key)

    @property
    def beside(self) -> int:
        """How many of the files that figures and the page look for beside a record are there."""
        run = self.record.run
        looked_for = (
            RecordStore(self.folder).predictions_path(self.record.key),
            files.examples_path(self.folder, run.dataset, run.data.get("test", "")),
            files.fuser_path(self.folder, self.record.key),
        )
        return sum(path.is_file() for path in looked_for)


def agreed(copies: Sequence[Copy]) -> Copy:
    """Copies of one run as one: the newest, with the rows, experiments and metrics of all. Their order changes nothing.

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


def _age(copy: Copy) -> tuple[str, int, str, str]:
    """Orders copies by when they were made; those of one moment by what lies beside them, what they say, and where."""
    return copy.record.provenance.created, copy.beside, repr(copy.record), os.path.realpath(copy.path)


def _check_agreement(*copies: Copy) -> None:
    one, other = sorted(copies, key=lambda copy: str(copy.folder))
    if one.record == other.record:
        return
    paths = f"{one.path} and {other.path}"
    if measured := next(_differences(one.record, other.record), ""):
        raise UserError(
            f"{paths} are the same run with different results ({measured}); see with `rerun` which comes out again, "
            "and delete the other"
        )
    told = [name for name in TOLD if getattr(one.record, name) != getattr(other.record, name)]
    told += ["score.interval.method"] if one.record.score.interval.method != other.record.score.interval.method else []
    told += ["score.chosen"] if one.record.score.chosen != other.record.score.chosen else []
    if told and one.record.provenance.created == other.record.provenance.created:
        raise UserError(
            f"{paths} are copies of one record and differ in {told[0]}, so one was edited; see with `verify` which, "
            "and delete it"
        )


def _differences(one: Record, other: Record) -> Iterator[str]:
    here, there = one.score, other.score
    # Versions may measure more and less of the same predictions.
    for name in sorted(here.metrics.keys() & there.metrics.keys(), key=lambda name: (name != here.headline, name)):
        yield from _apart(name, here.metrics[name], there.metrics[name])
    for name in sorted(here.chosen.keys() & there.chosen.keys()):
        if here.chosen[name] != there.chosen[name]:
            yield f"score.chosen.{name} {here.chosen[name]} and {there.chosen[name]}"
    if one.predictions_sha256 != other.predictions_sha256:
        yield "its predictions"
    yield from _apart("score.validation", here.validation, there.validation)
    for name in MEASURED:
        if getattr(here, name) != getattr(there, name):
            yield f"score.{name}"
    if not _close(np.asarray(here.calibration), np.asarray(there.calibration), relative=TOLERANCE):
        yield "score.calibration"
    if not _close(np.asarray(here.group_counts), np.asarray(there.group_counts)):
        yield "score.group_counts"
    for end in ("low", "high"):
        yield from _apart(f"score.interval.{end}", getattr(here.interval, end), getattr(there.interval, end))
    if not _close(statistics.unpack(here.resamples), statistics.unpack(there.resamples)):
        yield "score.resamples"


def _apart(name: str, here: float, there: float) -> Iterator[str]:
    if not math.isclose(here, there, rel_tol=0, abs_tol=TOLERANCE):
        yield f"{name} {here} and {there}"


def _close(here: Array, there: Array, relative: float = 0) -> bool:
    return here.shape == there.shape and np.allclose(here, there, rtol=relative, atol=TOLERANCE)
