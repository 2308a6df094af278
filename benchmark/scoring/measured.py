"""What measuring a test split gives, whoever predicted it: a Score with its interval, and the predictions' bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmark.data.ingest import OpenDataset
from benchmark.protocol import Protocol
from benchmark.records import Score
from benchmark.scoring import calibration, counts, metrics, npz, statistics


@dataclass(frozen=True)
class Fitted:
    """What is known of a fit before test is looked at.

    Attributes:
        validation: the headline metric on validation; `chosen`: what was chosen by it.
        flags: what a reader of the number must know of the fit, a sentence each.
    """

    validation: float
    chosen: dict[str, float]
    trained_parameters: int
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """A fit, its score, and the bytes of an .npz file with what the score was computed from.

    Attributes:
        pictures: what its fuser looked at (`benchmark.pictures.interpretation`), no part of the record.
    """

    fitted: Fitted
    score: Score
    predictions: bytes
    pictures: dict[str, np.ndarray] = field(default_factory=dict)


def classification(
    data: OpenDataset, protocol: Protocol, rng: np.random.Generator, fitted: Fitted, scores: Sequence[np.ndarray]
) -> Measured:
    """Measure a classifier.

    Args:
        scores: (N, K) float32 on the test split of the reported fit, then of refits on bootstraps of train.
    """
    dataset, test = data.dataset, data.splits["test"]
    reported, multilabel = scores[0], dataset.multilabel
    found = metrics.classification_metrics(reported, test.labels, multilabel)
    score = _score(
        data,
        protocol,
        rng,
        fitted,
        found=found | metrics.asked_for((*protocol.reported, dataset.metric), found, reported, test.labels),
        group_counts=[counts.group_counts(dataset.metric, one, test.labels, test.groups) for one in scores],
        confusion=metrics.classification_confusion(reported, test.labels, multilabel),
        bins=calibration.classification_calibration(reported, test.labels, multilabel),
    )
    return Measured(fitted, score, _npz(data, scores=reported, labels=test.labels))


def segmentation(
    data: OpenDataset,
    protocol: Protocol,
    rng: np.random.Generator,
    fitted: Fitted,
    confusions: np.ndarray,
    masks: np.ndarray,
    bins: np.ndarray,
) -> Measured:
    """Measure a segmentation.

    Args:
        confusions: (N, K, K) int64 of the test split; masks: (N, H, W) uint8 predicted classes.
        bins: counts of `benchmark.scoring.calibration`.
    """
    dataset, test = data.dataset, data.splits["test"]
    whole = confusions.sum(axis=0)
    found = metrics.segmentation_metrics(whole, dataset.no_data)
    found |= metrics.asked_for((*protocol.reported, dataset.metric), found, confusions, None, dataset.no_data)
    score = _score(
        data,
        protocol,
        rng,
        fitted,
        found=found | {"ece": calibration.expected_calibration_error(bins)},
        group_counts=[counts.group_counts(dataset.metric, confusions, None, test.groups, dataset.no_data)],
        confusion=whole,
        bins=bins,
    )
    return Measured(fitted, score, _npz(data, masks=masks, confusions=confusions))


def _score(
    data: OpenDataset,
    protocol: Protocol,
    rng: np.random.Generator,
    fitted: Fitted,
    *,
    found: dict[str, float],
    group_counts: Sequence[np.ndarray],
    confusion: np.ndarray,
    bins: np.ndarray,
) -> Score:
    dataset, test = data.dataset, data.splits["test"]
    fits = np.stack(group_counts)
    draws = statistics.draw(len(fits), fits.shape[1], protocol.test_bootstraps, rng)
    resampled = statistics.resample(fits, dataset.metric, draws)
    return Score(
        headline=dataset.metric,
        metrics=found,
        validation=fitted.validation,
        chosen=fitted.chosen,
        interval=statistics.interval_of(fits, dataset.metric, resampled, protocol.interval_level),
        resamples=statistics.pack(resampled),
        group_counts=fits.tolist(),
        confusion=confusion.tolist(),
        calibration=bins.tolist(),
        n_groups=len(np.unique(test.groups)),
        n_train=len(data.splits["train"].samples),
        n_test=len(test.samples),
    )


def _npz(data: OpenDataset, **arrays: np.ndarray) -> bytes:
    """The arrays with test's groups and sample names as an .npz file, the same bytes for the same arrays."""
    test = data.splits["test"]
    return npz.pack({**arrays, "groups": test.groups, "samples": np.array(test.samples)})
