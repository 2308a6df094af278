"""Calibration is torchmetrics', from counts that add up."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from benchmark.records import CALIBRATION_BINS as BINS
from benchmark.scoring.calibration import (
    calibration_counts,
    classification_calibration,
    expected_calibration_error,
)
from benchmark.scoring.metrics import classification_metrics

RNG = np.random.default_rng(0)


def softmax(n: int, k: int) -> np.ndarray:
    return torch.from_numpy(RNG.standard_normal((n, k)) * 2).softmax(1).float().numpy()


def test_the_error_of_a_classifier_is_torchmetrics() -> None:
    scores, labels = softmax(300, 5), RNG.integers(0, 5, 300)
    expected = multiclass_calibration_error(torch.from_numpy(scores), torch.from_numpy(labels), 5, BINS)
    assert classification_metrics(scores, labels, multilabel=False)["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_the_error_of_multi_label_probabilities_is_torchmetrics() -> None:
    scores, labels = RNG.random((200, 3), np.float32), RNG.integers(0, 2, (200, 3))
    expected = binary_calibration_error(torch.from_numpy(scores).flatten(), torch.from_numpy(labels).flatten(), BINS)
    assert classification_metrics(scores, labels, multilabel=True)["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_confidences_on_the_edges_of_bins_are_counted_once() -> None:
    edges = torch.linspace(0, 1, BINS + 1)
    counts = calibration_counts(edges, torch.ones_like(edges, dtype=torch.bool))
    assert counts[:, 0].tolist() == [1] * (BINS - 1) + [2]
    assert counts[:, 1].sum() == pytest.approx(edges.sum().item())


def test_counts_add_up_over_batches_and_an_empty_one_adds_nothing() -> None:
    scores, labels = softmax(40, 3), RNG.integers(0, 3, 40)
    whole = classification_calibration(scores, labels, multilabel=False)
    parts = [classification_calibration(scores[s], labels[s], multilabel=False) for s in (slice(15), slice(15, 40))]
    np.testing.assert_allclose(sum(parts), whole)
    empty = calibration_counts(torch.zeros(0), torch.zeros(0, dtype=torch.bool)).numpy()
    assert empty.shape == (BINS, 3)
    assert expected_calibration_error(whole + empty) == expected_calibration_error(whole)
    assert expected_calibration_error(empty) == 0


def test_who_is_sure_and_right_has_no_error_and_who_is_sure_and_wrong_has_all() -> None:
    sure = torch.ones(10)
    assert expected_calibration_error(calibration_counts(sure, sure > 0).numpy()) == 0
    assert expected_calibration_error(calibration_counts(sure, sure < 0).numpy()) == 1
