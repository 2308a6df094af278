"""`evaluate.py rerun`: one cell evaluated again from its record alone, and what came out beside what was recorded.

The record's configuration passes through the dataclasses every request does; nothing in it is executed. An encoder's
code or a dataset's images that are one's own are taken from the files the user names. Results go to a folder that is
gone afterwards. Features are the stored ones where there are any: another --features-dir has the encoder run again.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.data import datasets
from benchmark.grid.cells import rebuild
from benchmark.grid.identity import Resolved, resolve
from benchmark.places import Places
from benchmark.record_store import RecordStore, read_record
from benchmark.records import Record, Run
from benchmark.request import code
from benchmark.scoring import npz
from benchmark.scoring.consistency import most_bytes
from encoders import card
from encoders.errors import UserError, validate

HEADER = ["field", "recorded", "now", "difference"]
Rows = list[list[str]]


@dataclass(frozen=True)
class Rerun:
    """What running a record's cell again gave; rows are under `HEADER`.

    Attributes:
        run: fields of its run that are others now, so that it is another run and was not evaluated.
        result: what differs in scores and predictions.
        environment: packages, device, threads, commit that differ.
    """

    title: str
    run: Rows
    result: Rows
    environment: Rows

    @property
    def same(self) -> bool:
        """Whether run, metrics and predictions are those of the record."""
        return not self.run and not self.result

    @property
    def summary(self) -> str:
        """The last line."""
        if self.run:
            return f"{self.title}: this is another run now, by the fields above; nothing was evaluated."
        if self.result:
            return f"{self.title}: not the same; by how much, and what differs in the environment, stands above."
        return f"{self.title}: the same run, metrics and predictions."


def rerun(
    given: str,
    places: Places,
    device: str | None = None,
    encoder: str | None = None,
    dataset: str | None = None,
    allow_code: bool = False,
) -> Rerun:
    """Evaluate a record's cell again and compare.

    Args:
        given: a record file in the `records` folder of some results, or the key of one in `places.output`.
        device: instead of the recorded setting.
        encoder, dataset: YAML file of the record's, where that is one of the user's own (`grid.cells.rebuild`).
        allow_code: whether code may run that such a file names (`benchmark.request.code`).

    Raises:
        UserError: no such record, it or its configuration is damaged, the cell can't be evaluated here, or
            code isn't allowed to run.
    """
    path = Path(given) if given.endswith(".json") else RecordStore(places.output).path(given)
    if not path.exists():
        raise UserError(f"{path}: no such record; give its file, or the key of one in the folder that --output names")
    record = read_record(path)
    cell = rebuild(
        record.provenance.config,
        f"{path}: provenance.config",
        own=card(encoder) if encoder else None,
        own_dataset=datasets.dataset(dataset) if dataset else None,
    )
    code.check([cell.card], [cell.dataset], allow_code)
    if device is not None:
        settings = validate(type(cell.settings), {**asdict(cell.settings), "device": device}, "options")
        cell = replace(cell, settings=settings)
    resolved = resolve(cell, places)
    run = next((one for one in resolved.runs if one.seed == record.run.seed), resolved.runs[0])
    moved = list(_run_rows(record.run, run))
    if moved:
        return Rerun(cell.title, moved, [], [])
    with tempfile.TemporaryDirectory(prefix="rerun-") as folder:
        again, predictions = _evaluated(resolved, run.key, replace(places, output=Path(folder)))
    recorded = _predictions(path.parent.parent, record)
    result = [*_score_rows(record, again), *_prediction_rows(record, again, recorded, predictions)]
    return Rerun(cell.title, [], result, list(_environment_rows(record, again)))


def _evaluated(resolved: Resolved, key: str, places: Places) -> tuple[Record, bytes]:
    from benchmark.evaluation import evaluate

    (error,) = evaluate([resolved], places)
    if error is not None:
        raise error
    store = RecordStore(places.output)
    return store.read(key), store.predictions_path(key).read_bytes()


def _predictions(folder: Path, record: Record) -> bytes | None:
    """The recorded predictions; None where they are gone or others, which `verify` says."""
    try:
        content = RecordStore(folder).predictions_path(record.key).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == record.predictions_sha256 else None


def _run_rows(recorded: Run, now: Run) -> Iterator[list[str]]:
    there, here = dict(_leaves("run", asdict(recorded))), dict(_leaves("run", asdict(now)))
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            yield [name, there.get(name, "-"), here.get(name, "-"), ""]


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Dotted names and canonical texts of what a plain value holds."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    else:
        yield name, json.dumps(value, sort_keys=True)


def _score_rows(recorded: Record, now: Record) -> Iterator[list[str]]:
    there, here = asdict(recorded.score), asdict(now.score)
    for name in ("group_counts", "confusion", "calibration"):
        first, second = np.array(there.pop(name), np.float64), np.array(here.pop(name), np.float64)
        if not np.array_equal(first, second):
            yield [f"score.{name}", str(first.shape), str(second.shape), _largest(first, second)]
    first_leaves, second_leaves = dict(_leaves("score", there)), dict(_leaves("score", here))
    for name in sorted(first_leaves.keys() | second_leaves.keys()):
        before, after = first_leaves.get(name, "-"), second_leaves.get(name, "-")
        if before != after:
            yield [name, before, after, _difference(before, after)]


def _prediction_rows(recorded: Record, now: Record, there: bytes | None, here: bytes) -> Iterator[list[str]]:
    if recorded.predictions_sha256 == now.predictions_sha256:
        return
    if there is None:
        yield ["predictions", recorded.predictions_sha256[:16], now.predictions_sha256[:16], "sha256; the file is gone"]
        return
    try:
        first, second = (npz.read(packed, most_bytes(recorded)) for packed in (there, here))
    except ValueError as error:
        raise UserError(f"record {recorded.key}: its predictions are {error}; see `verify`") from None
    for name in sorted(first.keys() | second.keys()):
        one, other = (arrays.get(name, np.zeros(0)) for arrays in (first, second))
        if not np.array_equal(one, other):
            yield [f"predictions.{name}", str(one.shape), str(other.shape), _largest(one, other)]


def _environment_rows(recorded: Record, now: Record) -> Iterator[list[str]]:
    names = ("packages", "python", "device", "threads", "git_commit", "git_dirty", "host")
    there, here = (
        dict(_leaves("environment", {name: getattr(one.provenance, name) for name in names})) for one in (recorded, now)
    )
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            yield [name.removeprefix("environment."), there.get(name, "-"), here.get(name, "-"), ""]


def _difference(before: str, after: str) -> str:
    try:
        return f"{float(after) - float(before):+.3g}"
    except ValueError:
        return ""


def _largest(first: np.ndarray, second: np.ndarray) -> str:
    if first.shape != second.shape:
        return "another shape"
    changed = f"{int((first != second).sum())} of {first.size} values"
    if first.dtype.kind not in "iuf":
        return changed
    return f"{changed}, by up to {np.abs(first.astype(np.float64) - second.astype(np.float64)).max():.3g}"
