"""Headline metrics as functions of counts that add up over images, so that a bootstrap sums counts and never touches
predictions again. What each name means stands in `scoring.metrics`. Everywhere 0/0 is 0: no metric is ever NaN.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from encoders.errors import UserError, nearest

Array = npt.NDArray[Any]

THRESHOLD = 0.5
"""A label is predicted where its probability is above (not at) this, as in PANGAEA and SatDiFuser."""


AP_BINS = 256
"""Of the counts that an average precision is resampled from: it is then within 1/256 of that of all scores."""
BY_CLASS = ("f1_macro", "f1_of_macro_means")
"""Metrics of a single label that are made of hits, truths and predictions by class."""


def headline(name: str, predicted: Array, labels: Array | None, no_data: int | None = None) -> float:
    """The headline metric `name` of a whole split; arguments as for `group_counts`."""
    groups = np.zeros(len(predicted), np.int64)
    found = group_counts(name, predicted, labels, groups, no_data, ap_bins=None)
    return float(from_counts(name, found.sum(axis=0)))


def group_counts(
    headline: str,
    predicted: Array,
    labels: Array | None,
    groups: Array,
    no_data: int | None = None,
    ap_bins: int | None = AP_BINS,
) -> Array:
    """The additive counts of a headline metric, summed within each test group.

    `accuracy`: (correct, n). `f1_micro`: (TP, FP, FN). `f1_macro` and `f1_of_macro_means`: for K classes the 3 K
    numbers (hits of each class, images that are of it, images predicted as it). `map_micro`: positive, then negative
    decisions by falling score. Segmentation: the 3 K numbers of pixels instead of images, enough for every mIoU of a
    whole split; `miou_per_image`: (sum of the IoUs of an image's classes, how many these are).

    Args:
        predicted: scores (N, K) as in `scoring.metrics.classification_metrics`, or confusions (N, K, K), one an
            image.
        labels: as there; None for segmentation.
        groups: (N,) group of each image, any sortable values.
        no_data: see `benchmark.scoring.metrics.segmentation_metrics`; used by `miou_labelled` alone.
        ap_bins: at most so many scores tell decisions apart for `map_micro`; None for all.

    Returns:
        (G, M) float64, groups in the order of `np.unique(groups)`.

    Raises:
        UserError: a metric that is not additive.
    """
    _check_headline(headline)
    predicted = np.asarray(predicted)
    if headline not in OF_PIXELS:
        if labels is None:
            raise ValueError(f"{headline} needs labels")
        labels = np.asarray(labels)
        check_scores(predicted, labels, headline in MULTI_LABEL)
        counts = _of_labels(headline, predicted, labels, ap_bins)
    elif headline == "miou_per_image":
        counts = _image_ious(predicted)
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


def _of_labels(headline: str, scores: Array, labels: Array, ap_bins: int | None) -> Array:
    if headline in BY_CLASS:
        return _by_predicted_class(scores, labels)
    if headline == "map_micro":
        return _decisions(scores, labels.astype(bool), ap_bins)
    return _correct(scores, labels) if headline == "accuracy" else _hits(scores, labels)


def _by_predicted_class(scores: Array, labels: Array) -> Array:
    """(N, 3 K) float64: hit, truth and prediction of each image by class."""
    classes = scores.shape[1]
    truth, predicted = np.eye(classes)[labels], np.eye(classes)[scores.argmax(axis=1)]
    return np.concatenate([truth * predicted, truth, predicted], axis=1)


def _decisions(scores: Array, truth: Array, bins: int | None) -> Array:
    """(N, 2 B) float64: each image's positive, then negative decisions, from the highest score down to the lowest of a
    positive; what is below counts in no precision."""
    thresholds = np.sort(scores[truth])[::-1]
    if bins is not None and len(np.unique(thresholds)) > bins:
        # Evenly many positives between two of them, the lowest included.
        thresholds = thresholds[np.ceil(np.linspace(0, len(thresholds), bins + 1)[1:]).astype(int) - 1]
    thresholds = np.unique(thresholds)[::-1]
    place = np.searchsorted(-thresholds, -scores, side="left")
    images = np.repeat(np.arange(len(scores)), scores.shape[1])
    width = len(thresholds) + 1
    counted = [
        np.bincount((images * width + place.ravel())[kind.ravel()], minlength=len(scores) * width)
        for kind in (truth, ~truth)
    ]
    return np.concatenate([one.reshape(len(scores), width)[:, :-1] for one in counted], axis=1).astype(np.float64)


def _image_ious(confusions: Array) -> Array:
    """(N, 2) float64: the sum of each image's IoUs over the classes in its truth or prediction, and how many."""
    by_class = class_counts(confusions, None)
    return np.stack([iou(by_class).sum(axis=-1), (_union(by_class) > 0).sum(axis=-1)], axis=1)


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


def _f1_macro(counts: Array) -> Array:
    hits, truth, predicted = np.moveaxis(_by_class(counts), -2, 0)
    size = truth + predicted
    return ratio(ratio(2 * hits, size).sum(axis=-1), (size > 0).sum(axis=-1))


def _f1_of_macro_means(counts: Array) -> Array:
    hits, truth, predicted = np.moveaxis(_by_class(counts), -2, 0)
    precision, recall = ratio(hits, predicted).mean(axis=-1), ratio(hits, truth).mean(axis=-1)
    return ratio(2 * precision * recall, precision + recall)


def _average_precision(counts: Array) -> Array:
    positive, negative = np.split(counts, 2, axis=-1)
    found, false = positive.cumsum(axis=-1), negative.cumsum(axis=-1)
    return ratio((positive * ratio(found, found + false)).sum(axis=-1), positive.sum(axis=-1))


def _pixel_accuracy(counts: Array) -> Array:
    summed = _by_class(counts).sum(axis=-1)
    return ratio(summed[..., 0], summed[..., 1])


_FROM_COUNTS: dict[str, Callable[[Array], Array]] = {
    "accuracy": lambda counts: ratio(counts[..., 0], counts[..., 1]),
    "f1_micro": lambda counts: ratio(2 * counts[..., 0], counts.sum(axis=-1) + counts[..., 0]),
    "f1_macro": _f1_macro,
    "f1_of_macro_means": _f1_of_macro_means,
    "map_micro": _average_precision,
    "miou_per_image": lambda counts: ratio(counts[..., 0], counts[..., 1]),
    "miou_absent_zero": lambda counts: iou(counts).mean(axis=-1),
    "miou_absent_excluded": _absent_excluded,
    "pixel_accuracy": _pixel_accuracy,
}

SingleLabel = Literal["accuracy", "f1_macro", "f1_of_macro_means"]
MultiLabel = Literal["f1_micro", "map_micro"]
OfPixels = Literal[
    "miou_truth", "miou_labelled", "miou_absent_zero", "miou_absent_excluded", "miou_per_image", "pixel_accuracy"
]
Headline = Literal[SingleLabel, MultiLabel, OfPixels]
"""The metrics that can head a table: those with an additive view, so that they get an interval."""
SINGLE_LABEL, MULTI_LABEL, OF_PIXELS = map(get_args, (SingleLabel, MultiLabel, OfPixels))
HEADLINES: tuple[str, ...] = (*SINGLE_LABEL, *MULTI_LABEL, *OF_PIXELS)


def kind_of(name: str) -> Literal["label", "labels", "pixels"]:
    """What a metric is of: one label an image, several, or pixels.

    Raises:
        UserError: a metric that is not additive.
    """
    _check_headline(name)
    if name in MULTI_LABEL:
        return "labels"
    return "label" if name in SINGLE_LABEL else "pixels"


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
