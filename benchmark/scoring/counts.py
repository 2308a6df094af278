"""Headline metrics as functions of counts that add up over images, so that a bootstrap sums counts and never touches
predictions again. What each name means stands in `scoring.metrics`. Everywhere 0/0 is 0: no metric is ever NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.errors import UserError, nearest

Array = npt.NDArray[Any]

THRESHOLD = 0.5
"""A label is predicted where its probability is above (not at) this, as in PANGAEA and SatDiFuser."""


def headline(name: str, predicted: Array, labels: Array | None, no_data: int | None = None) -> float:
    """The headline metric `name` of a whole split; arguments as for `group_counts`."""
    groups = np.zeros(len(predicted), np.int64)
    return float(from_counts(name, group_counts(name, predicted, labels, groups, no_data).sum(axis=0)))


def group_counts(
    headline: str, predicted: Array, labels: Array | None, groups: Array, no_data: int | None = None
) -> Array:
    """The additive counts of a headline metric, summed within each test group.

    `accuracy`: (correct, n). `f1_micro`: (TP, FP, FN). Segmentation: for K classes the 3 K numbers
    (intersection of each class, truth pixels of each, predicted pixels of each), enough for every mIoU here.

    Args:
        predicted: scores (N, K) as in `scoring.metrics.classification_metrics`, or confusions (N, K, K), one an
            image.
        labels: as there; None for segmentation.
        groups: (N,) group of each image, any sortable values.
        no_data: see `benchmark.scoring.metrics.segmentation_metrics`; used by `miou_labelled` alone.

    Returns:
        (G, M) float64, groups in the order of `np.unique(groups)`.

    Raises:
        UserError: a metric that is not additive.
    """
    _check_headline(headline)
    predicted = np.asarray(predicted)
    if headline in ("accuracy", "f1_micro"):
        if labels is None:
            raise ValueError(f"{headline} needs labels")
        labels = np.asarray(labels)
        check_scores(predicted, labels, headline == "f1_micro")
        counts = _correct(predicted, labels) if headline == "accuracy" else _hits(predicted, labels)
    else:
        counts = class_counts(predicted, no_data if headline == "miou_labelled" else None)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    summed = np.zeros((len(names), counts.shape[1]))
    np.add.at(summed, index, counts)
    return summed


def from_counts(headline: str, counts: Array, present: Array | None = None) -> Array:
    """A headline metric from its additive counts (`group_counts`), vectorised over leading axes.

    Args:
        counts: (..., M), summed over the groups that are scored.
        present: (K,) bool, the classes `miou_truth` and `miou_labelled` average over. A bootstrap passes
            `truth_classes` of the full test split, so that the set stays fixed; a class that a resample
            happens to lack then counts 0. Default: the classes any of `counts` has in its truth.

    Returns:
        (...) float64 in [0, 1].

    Raises:
        UserError: a metric that is not additive.
    """
    _check_headline(headline)
    counts = np.asarray(counts, dtype=np.float64)
    if headline in ("miou_truth", "miou_labelled"):
        if present is None:
            present = truth_classes(headline, counts)
        assert present is not None
        return ratio((iou(counts) * present).sum(axis=-1), present.sum())
    return _FROM_COUNTS[headline](counts)


def truth_classes(headline: str, counts: Array) -> Array | None:
    """The classes (K,) bool with truth anywhere in counts (..., M); None for a metric without such a set."""
    if headline not in ("miou_truth", "miou_labelled"):
        return None
    truth = _by_class(np.asarray(counts))[..., 1, :]
    return np.asarray(truth.reshape(-1, truth.shape[-1]).any(axis=0))


def _correct(scores: Array, labels: Array) -> Array:
    correct = scores.argmax(axis=1) == labels
    return np.stack([correct, np.ones_like(correct)], axis=1).astype(np.float64)


def _hits(scores: Array, labels: Array) -> Array:
    predicted, truth = scores > THRESHOLD, labels.astype(bool)
    cells = (predicted & truth, predicted & ~truth, ~predicted & truth)
    return np.stack([cell.sum(axis=1) for cell in cells], axis=1).astype(np.float64)


def class_counts(confusion: Array, no_data: int | None) -> Array:
    """(..., 3 K) float64 from (..., K, K): intersection, truth, prediction of each class."""
    confusion = np.array(confusion, dtype=np.float64)
    if no_data is not None:
        confusion[..., no_data, :] = 0
    diagonal = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.concatenate([diagonal, confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-1)


def _by_class(counts: Array) -> Array:
    return counts.reshape(*counts.shape[:-1], 3, counts.shape[-1] // 3)


def _union(counts: Array) -> Array:
    by_class = _by_class(counts)
    union: Array = by_class[..., 1, :] + by_class[..., 2, :] - by_class[..., 0, :]
    return union


def iou(counts: Array) -> Array:
    """IoU of each class (..., K) from `class_counts`; 0 where undefined."""
    return ratio(_by_class(counts)[..., 0, :], _union(counts))


def _absent_excluded(counts: Array) -> Array:
    return ratio(iou(counts).sum(axis=-1), (_union(counts) > 0).sum(axis=-1))


def _pixel_accuracy(counts: Array) -> Array:
    summed = _by_class(counts).sum(axis=-1)
    return ratio(summed[..., 0], summed[..., 1])


_FROM_COUNTS: dict[str, Callable[[Array], Array]] = {
    "accuracy": lambda counts: ratio(counts[..., 0], counts[..., 1]),
    "f1_micro": lambda counts: ratio(2 * counts[..., 0], counts.sum(axis=-1) + counts[..., 0]),
    "miou_absent_zero": lambda counts: iou(counts).mean(axis=-1),
    "miou_absent_excluded": _absent_excluded,
    "pixel_accuracy": _pixel_accuracy,
}

HEADLINES = ("miou_truth", "miou_labelled", *_FROM_COUNTS)
"""The metrics that can head a table: those with an additive view, so that they get an interval."""


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Array:
    """part / whole, 0 where the whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    zeros = np.zeros(np.broadcast_shapes(part.shape, whole.shape))
    ratio: Array = np.divide(part, whole, out=zeros, where=whole != 0)
    return ratio


def _check_headline(headline: str) -> None:
    if headline not in HEADLINES:
        raise UserError(f"'{headline}' cannot be a headline metric; {nearest(headline, HEADLINES)}")


def check_scores(scores: Array, labels: Array, multilabel: bool) -> None:
    """Check a classifier's scores.

    Raises:
        UserError: there is no sample to score.
        ValueError: shapes that do not fit, or scores that are not finite (multi-label: not in [0, 1]).
    """
    expected = scores.shape if multilabel else scores.shape[:1]
    if scores.ndim != 2 or labels.shape != expected:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} do not fit (multilabel={multilabel})")
    if not len(scores):
        raise UserError("there is no sample to score; check that the split holds images")
    if not np.isfinite(scores).all():
        raise ValueError("a score is NaN or infinite")
    if multilabel and (scores.min() < 0 or scores.max() > 1):
        raise ValueError("multi-label scores must be probabilities in [0, 1]")
