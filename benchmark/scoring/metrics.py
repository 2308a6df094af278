"""Metrics under names that say which of the field's variants they are, each defined once, here.

Classification takes scores, segmentation a confusion matrix. Counts are torchmetrics'; what is averaged over what
is written out, because there the field's variants differ. Everywhere 0/0 is 0: no metric is ever NaN.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from benchmark.scoring import counts
from benchmark.scoring.calibration import classification_calibration, expected_calibration_error
from benchmark.scoring.counts import OF_PIXELS, THRESHOLD, Array, check_scores, class_counts, from_counts, iou, ratio
from encoders.errors import UserError

OF_A_SPLIT = tuple(name for name in OF_PIXELS if name != "miou_per_image")
"""Metrics of pixels that need no more than the confusion of a whole split."""


def classification_metrics(scores: Array, labels: Array, multilabel: bool) -> dict[str, float]:
    """Metrics of a classifier.

    Single label, the prediction being the class of the highest score (the lowest class where several tie):

    - `accuracy` (micro): correct / N. Micro F1 is the same number.
    - `accuracy_balanced`: mean recall over the classes present in the truth.
    - `f1_macro`: mean of 2 TP / (2 TP + FP + FN) over the classes present in truth or prediction.
    - `ece`: calibration (`benchmark.scoring.calibration`) of the highest score.

    Multi-label, a label being predicted where its probability exceeds 0.5:

    - `f1_micro`: 2 TP / (2 TP + FP + FN), counts summed over images and labels.
    - `f1_macro`: mean of each label's F1 over the labels present in truth or prediction.
    - `map_micro`: average precision, sum_n (R_n - R_n-1) P_n, of all N x K decisions ranked together.
    - `map_macro`: mean of each label's average precision over the labels present in the truth.
    - `ece`: calibration of the probabilities of all N x K labels.

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
    check_scores(scores, labels, multilabel)
    found = _multilabel_metrics(scores, labels) if multilabel else _single_label_metrics(scores, labels)
    return found | {"ece": expected_calibration_error(classification_calibration(scores, labels, multilabel))}


def classification_confusion(scores: Array, labels: Array, multilabel: bool) -> Array:
    """Images by [truth, prediction]: (K, K) int64, or (K, 2, 2), one table a label, for multi-label."""
    import torch
    from torchmetrics.functional.classification import multiclass_confusion_matrix, multilabel_confusion_matrix

    # Whoever calls has checked the arrays (`check_scores`); torchmetrics' own checks take longer than its counting.
    truth, classes = torch.tensor(labels, dtype=torch.int64), scores.shape[1]
    if multilabel:
        chosen = torch.from_numpy((scores > THRESHOLD).astype(np.int64))
        table = multilabel_confusion_matrix(chosen, truth, classes, validate_args=False)
    else:
        table = multiclass_confusion_matrix(
            torch.from_numpy(scores.argmax(axis=1)), truth, classes, validate_args=False
        )
    return np.asarray(table.numpy(), np.int64)


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

    `ece` is added by who has the pixels' scores (`benchmark.scoring.calibration`).

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
    every, labelled = class_counts(confusion, None), class_counts(confusion, no_data)
    metrics = {name: float(from_counts(name, labelled if name == "miou_labelled" else every)) for name in OF_A_SPLIT}
    defined = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
    return metrics | {f"iou_{k}": float(iou) for k, iou in enumerate(per_class_iou(confusion)) if defined[k]}


def asked_for(
    names: Iterable[str], known: Mapping[str, float], predicted: Array, labels: Array | None, no_data: int | None = None
) -> dict[str, float]:
    """What a protocol reports beside the metrics that every record holds; arguments as `counts.group_counts`.

    - `f1_of_macro_means`: harmonic mean of macro precision and macro recall, each the mean over all K classes, 0 where
      undefined (SatDiFuser).
    - `miou_per_image`: mean IoU over the pairs of an image and a class in its truth or prediction (torchmetrics'
      `segmentation.MeanIoU` from 1.7 on; geobreeze).

    Args:
        names: of metrics; those of another task, and those known, are left out.
        known: metrics by name.
    """
    kind = "pixels" if labels is None else "labels" if labels.ndim == 2 else "label"
    wanted = [name for name in dict.fromkeys(names) if name not in known and counts.kind_of(name) == kind]
    return {name: counts.headline(name, predicted, labels, no_data) for name in wanted}


def per_class_iou(confusion: Array) -> Array:
    """IoU of each class, (K,) float64, from a (K, K) confusion [truth, prediction]; 0 where undefined."""
    return iou(class_counts(confusion, None))


def _single_label_metrics(scores: Array, labels: Array) -> dict[str, float]:
    confusion = classification_confusion(scores, labels, multilabel=False)
    hits, truths, predictions = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = ratio(2 * hits, truths + predictions)
    return {
        "accuracy": float(ratio(hits.sum(), confusion.sum())),
        "accuracy_balanced": float(ratio(hits, truths)[truths > 0].mean()),
        "f1_macro": float(f1[truths + predictions > 0].mean()),
    }


def _multilabel_metrics(scores: Array, labels: Array) -> dict[str, float]:
    confusion = classification_confusion(scores, labels, multilabel=True)
    hits, size = confusion[:, 1, 1], confusion[:, 1].sum(axis=1) + confusion[:, :, 1].sum(axis=1)
    f1 = ratio(2 * hits, size)
    return {
        "f1_micro": float(ratio(2 * hits.sum(), size.sum())),
        "f1_macro": float(f1[size > 0].mean()) if size.any() else 0.0,
        **_average_precisions(scores, labels),
    }


def _average_precisions(scores: Array, labels: Array) -> dict[str, float]:
    import torch
    from torchmetrics.functional.classification import binary_average_precision

    present = np.flatnonzero(labels.any(axis=0))
    if not len(present):
        return {"map_micro": 0.0, "map_macro": 0.0}

    def precision(columns: Array) -> float:
        ranked = torch.tensor(scores[:, columns].ravel(), dtype=torch.float32)
        truth = torch.tensor(labels[:, columns].ravel(), dtype=torch.int64)
        return float(binary_average_precision(ranked, truth, validate_args=False))

    every = np.arange(scores.shape[1])
    return {
        "map_micro": precision(every),
        "map_macro": float(np.mean([precision(present[n : n + 1]) for n in range(len(present))])),
    }
