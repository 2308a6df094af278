"""Metrics under names that say which of the field's variants they are, each defined once, here.

Classification takes scores, segmentation a confusion matrix. The additive view (`group_counts`,
`from_counts`) writes a headline metric as a function of counts that add up over images, so that a bootstrap
sums counts and never touches predictions again. Everywhere 0/0 is 0: no metric is ever NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.errors import UserError, nearest

Array = npt.NDArray[Any]

THRESHOLD = 0.5
"""A label is predicted where its probability is above (not at) this, as in PANGAEA and SatDiFuser."""


def classification_metrics(scores: Array, labels: Array, multilabel: bool) -> dict[str, float]:
    """Metrics of a classifier.

    Single label, the prediction being the class of the highest score (the lowest class where several tie):

    - `accuracy` (micro): correct / N.
    - `accuracy_balanced`: mean recall over the classes present in the truth.
    - `f1_macro`: mean of 2 TP / (2 TP + FP + FN) over the classes present in truth or prediction.

    Multi-label, a label being predicted where its probability exceeds 0.5:

    - `f1_micro`: 2 TP / (2 TP + FP + FN), counts summed over images and labels.
    - `f1_macro`: mean of each label's F1 over the labels present in truth or prediction.
    - `map_micro`: average precision, sum_n (R_n - R_n-1) P_n, of all N x K decisions ranked together.
    - `map_macro`: mean of each label's average precision over the labels present in the truth.

    Args:
        scores: (N, K) float, finite; probabilities in [0, 1] for multi-label.
        labels: (N,) int in [0, K), or (N, K) of 0 and 1 for multi-label.

    Returns:
        Fractions in [0, 1] by name.

    Raises:
        UserError: there is no sample to score.
        ValueError: shapes that do not fit, or scores that are not finite (multi-label: not in [0, 1]).
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    _check(scores, labels, multilabel)
    return _multilabel_metrics(scores, labels) if multilabel else _single_label_metrics(scores, labels)


def segmentation_metrics(confusion: Array, no_data: int | None) -> dict[str, float]:
    """Metrics of a segmentation, from all pixels of a split.

    With IoU_k = C_kk / (sum_j C_kj + sum_i C_ik - C_kk):

    - `miou_truth`: mean IoU over the classes present in the truth of the whole test split. Ours.
    - `miou_absent_zero`: mean over all K classes, one absent from truth and prediction counting 0 (PANGAEA,
      SatDiFuser).
    - `miou_absent_excluded`: mean over the classes present in truth or prediction, so that one stray pixel of
      an absent class costs a whole class (GEO-Bench with torchmetrics >= 1.0).
    - `miou_labelled`: `miou_truth` over labelled pixels only: those whose truth is `no_data` are dropped, and
      that class with them. Equal to `miou_truth` where there is no such value.
    - `pixel_accuracy`: correct pixels / pixels.
    - `iou_<k>`: IoU of class k, for the classes present in truth or prediction.

    Args:
        confusion: (K, K) int, pixels by [truth, prediction].
        no_data: the class that means unlabelled; None if there is none.

    Returns:
        Fractions in [0, 1] by name.

    Raises:
        UserError: there is no pixel to score.
        ValueError: the matrix is not square.
    """
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"a confusion matrix is square, got {confusion.shape}")
    if not confusion.any():
        raise UserError("there is no pixel to score; check that the split holds images")
    metrics = {
        name: float(from_counts(name, _class_counts(confusion, no_data if name == "miou_labelled" else None)))
        for name in HEADLINES
        if name not in ("accuracy", "f1_micro")
    }
    defined = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
    return metrics | {f"iou_{k}": float(iou) for k, iou in enumerate(per_class_iou(confusion)) if defined[k]}


def per_class_iou(confusion: Array) -> Array:
    """IoU of each class, (K,) float64, from a (K, K) confusion [truth, prediction]; 0 where undefined."""
    return _iou(_class_counts(confusion, None))


def group_counts(
    headline: str, predicted: Array, labels: Array | None, groups: Array, no_data: int | None = None
) -> Array:
    """The additive counts of a headline metric, summed within each test group.

    `accuracy`: (correct, n). `f1_micro`: (TP, FP, FN). Segmentation: for K classes the 3 K numbers
    (intersection of each class, truth pixels of each, predicted pixels of each), enough for every mIoU here.

    Args:
        predicted: scores (N, K) as in `classification_metrics`, or confusions (N, K, K), one an image.
        labels: as in `classification_metrics`; None for segmentation.
        groups: (N,) group of each image, any sortable values.
        no_data: see `segmentation_metrics`; used by `miou_labelled` alone.

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
        _check(predicted, labels, headline == "f1_micro")
        counts = _correct(predicted, labels) if headline == "accuracy" else _hits(predicted, labels)
    else:
        counts = _class_counts(predicted, no_data if headline == "miou_labelled" else None)
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
        return _ratio((_iou(counts) * present).sum(axis=-1), present.sum())
    return _FROM_COUNTS[headline](counts)


def truth_classes(headline: str, counts: Array) -> Array | None:
    """The classes (K,) bool with truth anywhere in counts (..., M); None for a metric without such a set."""
    if headline not in ("miou_truth", "miou_labelled"):
        return None
    truth = _by_class(np.asarray(counts))[..., 1, :]
    return np.asarray(truth.reshape(-1, truth.shape[-1]).any(axis=0))


def _single_label_metrics(scores: Array, labels: Array) -> dict[str, float]:
    # Not torchmetrics: its import loads transformers and torchvision and takes longer than all the work here.
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(labels, scores.argmax(axis=1), labels=np.arange(scores.shape[1]))
    hits, truths, predictions = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = _ratio(2 * hits, truths + predictions)
    return {
        "accuracy": float(_ratio(hits.sum(), confusion.sum())),
        "accuracy_balanced": float(_ratio(hits, truths)[truths > 0].mean()),
        "f1_macro": float(f1[truths + predictions > 0].mean()),
    }


def _multilabel_metrics(scores: Array, labels: Array) -> dict[str, float]:
    from sklearn.metrics import average_precision_score

    predicted, truth = scores > THRESHOLD, labels.astype(bool)
    hits, size = (predicted & truth).sum(axis=0), predicted.sum(axis=0) + truth.sum(axis=0)
    f1 = _ratio(2 * hits, size)
    present = truth.any(axis=0)
    precision = [average_precision_score(truth[:, k], scores[:, k]) for k in np.flatnonzero(present)]
    return {
        "f1_micro": float(_ratio(2 * hits.sum(), size.sum())),
        "f1_macro": float(f1[size > 0].mean()) if size.any() else 0.0,
        "map_micro": float(average_precision_score(truth.ravel(), scores.ravel())) if precision else 0.0,
        "map_macro": float(np.mean(precision)) if precision else 0.0,
    }


def _correct(scores: Array, labels: Array) -> Array:
    correct = scores.argmax(axis=1) == labels
    return np.stack([correct, np.ones_like(correct)], axis=1).astype(np.float64)


def _hits(scores: Array, labels: Array) -> Array:
    predicted, truth = scores > THRESHOLD, labels.astype(bool)
    cells = (predicted & truth, predicted & ~truth, ~predicted & truth)
    return np.stack([cell.sum(axis=1) for cell in cells], axis=1).astype(np.float64)


def _class_counts(confusion: Array, no_data: int | None) -> Array:
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


def _iou(counts: Array) -> Array:
    return _ratio(_by_class(counts)[..., 0, :], _union(counts))


def _absent_excluded(counts: Array) -> Array:
    return _ratio(_iou(counts).sum(axis=-1), (_union(counts) > 0).sum(axis=-1))


def _pixel_accuracy(counts: Array) -> Array:
    summed = _by_class(counts).sum(axis=-1)
    return _ratio(summed[..., 0], summed[..., 1])


_FROM_COUNTS: dict[str, Callable[[Array], Array]] = {
    "accuracy": lambda counts: _ratio(counts[..., 0], counts[..., 1]),
    "f1_micro": lambda counts: _ratio(2 * counts[..., 0], counts.sum(axis=-1) + counts[..., 0]),
    "miou_absent_zero": lambda counts: _iou(counts).mean(axis=-1),
    "miou_absent_excluded": _absent_excluded,
    "pixel_accuracy": _pixel_accuracy,
}

HEADLINES = ("miou_truth", "miou_labelled", *_FROM_COUNTS)
"""The metrics that can head a table: those with an additive view, so that they get an interval."""


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Array:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    zeros = np.zeros(np.broadcast_shapes(part.shape, whole.shape))
    ratio: Array = np.divide(part, whole, out=zeros, where=whole != 0)
    return ratio


def _check_headline(headline: str) -> None:
    if headline not in HEADLINES:
        raise UserError(f"'{headline}' cannot be a headline metric; {nearest(headline, HEADLINES)}")


def _check(scores: Array, labels: Array, multilabel: bool) -> None:
    expected = scores.shape if multilabel else scores.shape[:1]
    if scores.ndim != 2 or labels.shape != expected:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} do not fit (multilabel={multilabel})")
    if not len(scores):
        raise UserError("there is no sample to score; check that the split holds images")
    if not np.isfinite(scores).all():
        raise ValueError("a score is NaN or infinite")
    if multilabel and (scores.min() < 0 or scores.max() > 1):
        raise ValueError("multi-label scores must be probabilities in [0, 1]")
