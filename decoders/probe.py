"""What every probe on embeddings gives back, and the checks they share.

A probe is fitted on the train split, chooses its one hyper-parameter on the validation split by a metric that
is passed in, and is then done with both, unless a protocol has it fitted once more on the two together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from encoders.errors import UserError

Array = npt.NDArray[Any]

Scorer = Callable[[Array], Array]
"""Embeddings (N, D) -> (N, K) float32 probabilities."""

Metric = Callable[[Array, Array], float]
"""Scores (N, K) and labels -> the headline metric, higher being better."""


@dataclass(frozen=True)
class FittedProbe:
    """A fitted probe.

    Attributes:
        scorer: embeddings (N, D) -> (N, K) float32 in [0, 1].
        chosen: what validation chose, by name (`C`, `k`).
        validation: the metric on the validation split at that choice.
        trained_parameters: number of fitted coefficients and intercepts.
        flags: what a reader of the number must know, a sentence each.
    """

    scorer: Scorer
    chosen: dict[str, float]
    validation: float
    trained_parameters: int
    flags: tuple[str, ...]

    def predict_scores(self, x: Array) -> Array:
        """Probabilities (N, K) float32 of embeddings (N, D); 0 for a class the train split lacks."""
        return self.scorer(x)


class Probe(Protocol):
    """A probe on embeddings."""

    def fit(self, x: Array, y: Array, val_x: Array, val_y: Array, metric: Metric) -> FittedProbe:
        """Fit on train, choose on validation.

        Args:
            x, val_x: (N, D) floating point embeddings.
            y, val_y: (N,) int in [0, K), or (N, K) of 0 and 1 for multi-label.

        Raises:
            UserError: the train split cannot train a probe.
        """

    def fit_replicate(self, x: Array, y: Array, rows: Array, chosen: dict[str, float]) -> Scorer:
        """Fit once more, with what validation chose, on a bootstrap: `rows` (N,) of train, with repeats."""


def check_train_labels(y: Array, class_names: Sequence[str], multilabel: bool) -> None:
    """Check that the train labels leave something to learn.

    Raises:
        UserError: one class alone, or (multi-label) the same labels in every image.
        ValueError: labels outside [0, K), or not K wide.
    """
    remedy = "take a larger label fraction"
    if not len(y):
        raise UserError(f"the train split is empty; {remedy}")
    if multilabel:
        if y.ndim != 2 or y.shape[1] != len(class_names):
            raise ValueError(f"multi-label targets {y.shape} for {len(class_names)} classes")
        if (y == y[0]).all():
            raise UserError(f"the train split holds the same labels in every image; {remedy}")
        return
    if y.ndim != 1 or y.min() < 0 or y.max() >= len(class_names):
        raise ValueError(f"labels must be (N,) in [0, {len(class_names)})")
    held = np.unique(y)
    if len(held) == 1:
        raise UserError(
            f"the train split holds only class {held[0]} ({class_names[held[0]]}); a probe needs two or more: {remedy}"
        )
