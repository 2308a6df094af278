"""Whether a record agrees with itself and with its predictions: all that can be computed again without the data.

Scores and labels, or each image's confusions and masks, give metrics, confusion, calibration and group counts; group
counts and the protocol's seed give the interval. Everything is recomputed by the code that computed it first.
"""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.protocol import hash_of
from benchmark.records import Record
from benchmark.scoring import calibration, counts, metrics, statistics
from benchmark.scoring.counts import Array
from encoders.errors import UserError, validate

TOLERANCE = 1e-6
"""Of recomputed fractions and, relatively, of summed confidences: float32 sums of another library version."""
INTERVAL_TOLERANCE = 1e-9
DRAWS_KEPT = 96
"""Records of one dataset and seed share theirs; 12 datasets, half of them with five seeds and a probe, have 96. Of
2,000 samples of 1,000 groups each, 2 MB apiece."""
MOST_DRAWN = 10**8
"""Numbers at a time, 0.8 GB; `frozen` has two million drawn for 1,000 groups."""
SAMPLE_NAME = 256
"""Characters; GEO-Bench's longest have some 60."""
FLOOR_BYTES = 64 << 20
"""What predictions may always take in memory, so that a record whose counts are wrong is told which."""

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Facts:
    """`Run.dataset_facts`, as far as it enters a score."""

    metric: str
    multilabel: bool
    num_classes: int
    no_data: int | None


@dataclass(frozen=True)
class Rules:
    """What of a record's protocol (`provenance.config.protocol`) its score can be recomputed from."""

    bootstrap_seed: int
    test_bootstraps: int
    train_bootstraps: int
    interval_level: float
    no_data: Literal["class", "ignored"]
    reported: tuple[str, ...] = ()


def faults(record: Record, predictions: Arrays) -> Iterator[str]:
    """What does not fit in a record and its predictions, a clause each; nothing where all does.

    Args:
        record: as it is read: its fields fit one another (`benchmark.record_fit`).
        predictions: the arrays of its .npz file (`benchmark.scoring.measured`).
    """
    try:
        facts = validate(Facts, record.run.dataset_facts, "run.dataset_facts")
        protocol = record.provenance.config.get("protocol")
        rules = validate(Rules, protocol, "provenance.config.protocol")
    except UserError as error:
        yield str(error)
        return
    assert isinstance(protocol, dict)
    if hash_of(protocol) != record.run.protocol_hash:
        yield "provenance.config.protocol: its hash is not run.protocol_hash"
    yield from _score_faults(record, facts)
    # A confusion made anew has as many classes as these facts, and so has the recorded one: no reader takes another.
    malformed = list(_array_faults(record.task, facts, predictions))
    yield from malformed
    if not malformed:
        yield from _size_faults(record, predictions)
        difference = _classification if record.task == "classification" else _segmentation
        yield from difference(record, facts, rules, predictions)
    yield from _interval_faults(record, rules)


def most_bytes(record: Record) -> float:
    """What a record's predictions may take in memory, by its own counts: twice what would be written, or 64 MiB."""
    score, confusion = record.score, np.asarray(record.score.confusion, np.float64)
    classes = len(confusion)
    image = 16 * classes if record.task == "classification" else 8 * classes**2  # scores and labels, or confusions
    pixels = float(confusion.sum()) if record.task == "segmentation" else 0.0
    return max(FLOOR_BYTES, 2 * (score.n_test * (image + 8 + 4 * SAMPLE_NAME) + pixels))


def _score_faults(record: Record, facts: Facts) -> Iterator[str]:
    if record.score.headline != facts.metric:
        yield f"score.headline: '{record.score.headline}' is not the dataset's metric, {facts.metric}"


def _array_faults(task: str, facts: Facts, predictions: Arrays) -> Iterator[str]:
    """Names, dtypes, shapes and ranges of the predictions."""
    held = ("scores", "labels") if task == "classification" else ("masks", "confusions")
    expected = {*held, "groups", "samples"}
    if set(predictions) != expected:
        yield f"predictions: holds {', '.join(sorted(predictions))} instead of {', '.join(sorted(expected))}"
        return
    classes, truth = facts.num_classes, 2 if facts.multilabel else 1
    ranks = {"scores": 2, "labels": truth, "masks": 3, "confusions": 3, "groups": 1, "samples": 1}
    kinds = {"scores": "f", "labels": "iu", "masks": "u", "confusions": "iu", "groups": "iu", "samples": "U"}
    for name, array in predictions.items():
        if array.ndim != ranks[name] or array.dtype.kind not in kinds[name]:
            yield f"predictions.{name}: cannot be {array.dtype} {array.shape}"
            return
        if len(array) != len(predictions["samples"]) or not array.size:
            yield f"predictions.{name}: {len(array)} entries for {len(predictions['samples'])} samples"
            return
    widths = {"scores": (classes,), "confusions": (classes, classes)} | (
        {"labels": (classes,)} if facts.multilabel else {}
    )
    for name in widths.keys() & predictions.keys():
        if predictions[name].shape[1:] != widths[name]:
            yield f"predictions.{name}: {predictions[name].shape} does not fit {classes} classes"
    for name in held:
        yield from _range_faults(name, predictions[name], facts)
    if len(np.unique(predictions["samples"])) < len(predictions["samples"]):
        yield "predictions.samples: a sample is named twice"


def _range_faults(name: str, array: Array, facts: Facts) -> Iterator[str]:
    if name == "scores" and not np.isfinite(array).all():
        yield "predictions.scores: a score is NaN or infinite"
        return
    if name == "scores" and not facts.multilabel:
        return
    highest = {"labels": 1 if facts.multilabel else facts.num_classes - 1, "masks": facts.num_classes - 1, "scores": 1}
    low, high = array.min(), array.max()
    if low < 0 or high > highest.get(name, math.inf):
        yield f"predictions.{name}: values from {low} to {high}, where {highest.get(name, 'more')} is the highest"


def _size_faults(record: Record, predictions: Arrays) -> Iterator[str]:
    score = record.score
    sizes = {"n_test": len(predictions["samples"]), "n_groups": len(np.unique(predictions["groups"]))}
    for name, found in sizes.items():
        if getattr(score, name) != found:
            yield f"score.{name}: {getattr(score, name)}, its predictions hold {found}"


def _classification(record: Record, facts: Facts, rules: Rules, predictions: Arrays) -> Iterator[str]:
    scores, labels = predictions["scores"], predictions["labels"]
    found = metrics.classification_metrics(scores, labels, facts.multilabel)
    found |= metrics.asked_for((*rules.reported, facts.metric), found, scores, labels)
    yield from _metric_faults(record, rules, found)
    confusion = metrics.classification_confusion(scores, labels, facts.multilabel)
    bins = calibration.classification_calibration(scores, labels, facts.multilabel)
    grouped = counts.group_counts(facts.metric, scores, labels, predictions["groups"])
    yield from _compared("confusion", record.score.confusion, confusion)
    yield from _compared("calibration", record.score.calibration, bins)
    yield from _compared("group_counts[0]", record.score.group_counts[:1], grouped[None])


def _segmentation(record: Record, facts: Facts, rules: Rules, predictions: Arrays) -> Iterator[str]:
    confusions, whole = predictions["confusions"], predictions["confusions"].sum(axis=0)
    shown = [np.bincount(mask.ravel(), minlength=facts.num_classes) for mask in predictions["masks"]]
    off = int((np.stack(shown) != confusions.sum(axis=1)).any(axis=1).sum())
    if off:
        yield f"predictions.masks: {off} of {len(shown)} show other numbers of pixels by class than the confusions"
    bins = np.asarray(record.score.calibration, np.float64)
    ece = calibration.expected_calibration_error(bins)
    found = metrics.segmentation_metrics(whole, facts.no_data)
    found |= metrics.asked_for((*rules.reported, facts.metric), found, confusions, None, facts.no_data)
    yield from _metric_faults(record, rules, found | {"ece": ece})
    yield from _compared("confusion", record.score.confusion, whole)
    scored = whole.copy()
    if rules.no_data == "ignored" and facts.no_data is not None:
        scored[facts.no_data] = 0
    # Confidences are gone with the logits; how many pixels there are and how many are right is not.
    yield from _compared("calibration", bins[:, [0, 2]].sum(axis=0), np.array([scored.sum(), np.trace(scored)]))
    grouped = counts.group_counts(facts.metric, confusions, None, predictions["groups"], facts.no_data)
    yield from _compared("group_counts[0]", record.score.group_counts[:1], grouped[None])


def _metric_faults(record: Record, rules: Rules, found: Mapping[str, float]) -> Iterator[str]:
    stored = record.score.metrics
    # Any other may have come with a later version.
    if lacking := sorted({*rules.reported, record.score.headline} & found.keys() - stored.keys()):
        yield f"score.metrics: lacks {', '.join(lacking)}"
    if surplus := sorted(stored.keys() - found.keys()):
        yield f"score.metrics: holds {', '.join(surplus)}; edited, or made by a version that measures more"
    for name in sorted(stored.keys() & found.keys()):
        if not math.isclose(stored[name], found[name], rel_tol=0, abs_tol=TOLERANCE):
            yield f"score.metrics.{name}: {stored[name]:.6g}, its predictions give {found[name]:.6g}"


def _compared(name: str, stored: object, found: Array) -> Iterator[str]:
    array = np.asarray(stored, np.float64)
    if array.shape != found.shape:
        yield f"score.{name}: of shape {array.shape}, its predictions give {found.shape}"
    elif not (np.array_equal(array, found) or np.allclose(array, found, rtol=TOLERANCE, atol=TOLERANCE)):
        yield f"score.{name}: its predictions give others, by up to {np.abs(array - found).max():.6g}"


def _interval_faults(record: Record, rules: Rules) -> Iterator[str]:
    score, run = record.score, record.run
    fits = np.asarray(score.group_counts, np.float64)
    # A probe's refits are on bootstraps of train, drawn before its test groups; a trained decoder has none.
    refits = rules.train_bootstraps if run.probe == "linear" and not record.is_trained else 0
    if len(fits) != 1 + refits:
        expected = f"{1 + refits} fits of {score.n_groups} groups"
        yield f"score.group_counts: of shape {fits.shape}, where {expected} are expected"
        return
    for name, drawn in (("n_train", score.n_train), ("test_bootstraps", rules.test_bootstraps * fits.shape[1])):
        if drawn > MOST_DRAWN:
            yield f"score.interval: cannot be made again, {name} would have {drawn} numbers drawn"
            return
    packed = _draws(rules.bootstrap_seed, refits, score.n_train, fits.shape[1], rules.test_bootstraps)
    draws = statistics.Draws({fit: weights.astype(np.float64) for fit, weights in packed.items()})
    resampled = statistics.resample(fits, score.headline, draws)
    stored = statistics.unpack(score.resamples)
    if stored.shape != resampled.shape or not np.allclose(stored, resampled, rtol=0, atol=TOLERANCE):
        yield "score.resamples: its group counts give others"
    found = statistics.interval_of(fits, score.headline, resampled, rules.interval_level)
    for name in ("low", "high"):
        end, again = getattr(score.interval, name), getattr(found, name)
        if not math.isclose(end, again, rel_tol=0, abs_tol=INTERVAL_TOLERANCE):
            yield f"score.interval.{name}: {end:.6g}, its group counts give {again:.6g}"
    if score.interval.method != found.method:
        yield f"score.interval.method: it was made otherwise than it says ('{found.method}')"


@functools.lru_cache(maxsize=DRAWS_KEPT)
def _draws(seed: int, refits: int, n_train: int, groups: int, samples: int) -> dict[int, Array]:
    """The draws of an interval by refit, after those of its refits' train rows (`training.probing`), packed."""
    rng = np.random.default_rng(seed)
    for _ in range(refits):
        rng.integers(0, n_train, n_train)
    drawn = statistics.draw(1 + refits, groups, samples, rng).samples
    return {fit: weights.astype(np.min_scalar_type(int(weights.max(initial=0)))) for fit, weights in drawn.items()}
