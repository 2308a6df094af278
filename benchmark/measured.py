"""What measuring a test split gives, whoever predicted it."""

import io
from dataclasses import dataclass

import numpy as np

from benchmark import metrics, statistics
from benchmark.ingest import OpenDataset
from benchmark.protocol import Protocol
from benchmark.records import Score


@dataclass(frozen=True)
class Measured:
    """A score, and what it was computed from.

    Attributes:
        predictions: the bytes of an .npz file.
        flags: what a reader of the number must know of the fit, a sentence each.
    """

    score: Score
    predictions: bytes
    trained_parameters: int
    flags: tuple[str, ...]


def scored(
    data: OpenDataset,
    protocol: Protocol,
    rng: np.random.Generator,
    *,
    metrics_by_name: dict[str, float],
    counts: np.ndarray,
    validation: float,
    chosen: dict[str, float],
) -> Score:
    """A Score with its interval.

    Args:
        counts: (fits, test groups, M) additive counts of the headline metric, the reported fit first.
        validation, chosen: the headline metric on validation, and what was chosen by it.
    """
    dataset, test = data.dataset, data.splits["test"]
    interval = statistics.bootstrap_interval(
        counts, dataset.metric, rng, samples=protocol.test_bootstraps, level=protocol.interval_level
    )
    return Score(
        headline=dataset.metric,
        metrics=metrics_by_name,
        validation=validation,
        chosen=chosen,
        interval=interval,
        group_counts=counts.tolist(),
        n_groups=len(np.unique(test.groups)),
        n_train=len(data.splits["train"].samples),
        n_test=len(test.samples),
    )


def npz(**arrays: np.ndarray) -> bytes:
    """The arrays as a compressed .npz file, the same bytes for the same arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def classification_predictions(data: OpenDataset, scores: np.ndarray) -> bytes:
    """Scores (N, K) float32 of the test split, with labels, groups and sample names."""
    test = data.splits["test"]
    return npz(scores=scores, labels=test.labels, groups=test.groups, samples=np.array(test.samples))


def headline_of(data: OpenDataset, scores: np.ndarray, labels: np.ndarray) -> float:
    """The dataset's headline metric of classification scores."""
    found = metrics.classification_metrics(scores, labels, data.dataset.multilabel)
    return found[data.dataset.metric]
