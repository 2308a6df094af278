"""Calibration: whether what is said with confidence 0.8 is right four times in five.

Kept as counts a bin, which add up over batches, images and records: the pixels of a split never have to be held.
"""

import numpy as np
import torch
from torch import Tensor

from benchmark.records import CALIBRATION_BINS
from benchmark.scoring.counts import Array, ratio


def calibration_counts(confidence: Tensor, correct: Tensor) -> Tensor:
    """Counts of each bin: how many, the sum of their confidences, how many are correct.

    Args:
        confidence: any shape, in [0, 1].
        correct: the same shape, bool.

    Returns:
        (CALIBRATION_BINS, 3) float64 on the same device.
    """
    said, right = confidence.flatten(), correct.flatten()
    edges = torch.linspace(0, 1, CALIBRATION_BINS + 1, dtype=said.dtype, device=said.device)
    bins = (torch.bucketize(said, edges, right=True) - 1).clamp(max=CALIBRATION_BINS - 1)
    columns = (torch.ones_like(said), said, right)
    # bincount sums float weights in an undefined order on a GPU; in double that stays below what is printed.
    return torch.stack([torch.bincount(bins, one.double(), minlength=CALIBRATION_BINS) for one in columns], dim=1)


def classification_calibration(scores: Array, labels: Array, multilabel: bool) -> Array:
    """(CALIBRATION_BINS, 3) counts of the highest score of each image; of every label's probability for multi-label."""
    given, truth = torch.tensor(scores), torch.tensor(labels)
    if multilabel:
        return calibration_counts(given, truth > 0).numpy()
    predicted = torch.from_numpy(np.asarray(scores).argmax(axis=1))
    return calibration_counts(given.amax(dim=1), predicted == truth).numpy()


def expected_calibration_error(counts: Array) -> float:
    """Expected calibration error in [0, 1], sum_b n_b/N |correct_b/n_b - confidence_b/n_b|.

    Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015; the L1 form.

    Args:
        counts: (CALIBRATION_BINS, 3) of `calibration_counts`, summed over whatever is asked about.
    """
    return float(ratio(np.abs(counts[:, 2] - counts[:, 1]).sum(), counts[:, 0].sum()))
