"""Probes on the embedding: fit on train, choose on validation, score test once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmark import counts
from benchmark.features import SplitFeatures
from benchmark.ingest import OpenDataset
from benchmark.measured import Fitted, Measured, classification
from benchmark.protocol import Protocol

if TYPE_CHECKING:
    from decoders.probe import Probe


def fit_and_score(name: str, data: OpenDataset, protocol: Protocol, features: Mapping[str, SplitFeatures]) -> Measured:
    """Measure a probe.

    Args:
        name: `linear` or `knn`.
        features: of every split, with embeddings; of train, flipped copies count as images of their own.

    Raises:
        UserError: the train split cannot train a probe.
    """
    x = {split: np.asarray(one.embedding, dtype=np.float32) for split, one in features.items()}
    y = {split: one.labels(np.arange(len(one))) for split, one in features.items()}
    rng = np.random.default_rng(protocol.bootstrap_seed)
    probe = _make(name, data, protocol)
    fitted = probe.fit(
        x["train"],
        y["train"],
        x["valid"],
        y["valid"],
        lambda s, labels: counts.headline(data.dataset.metric, s, labels),
    )
    # kNN's answer on a bootstrap is its answer on fewer images: its interval is over test groups alone.
    refits = protocol.train_bootstraps if name == "linear" else 0
    copies = features["train"].variants
    drawn = [rng.integers(0, len(x["train"]) // copies, len(x["train"]) // copies) for _ in range(refits)]
    # An image is drawn with all its copies: they are no observations of their own.
    resampled = [(images[:, None] * copies + np.arange(copies)).ravel() for images in drawn]
    replicates = [probe.fit_replicate(x["train"], y["train"], rows, fitted.chosen) for rows in resampled]
    scores = [fitted.predict_scores(x["test"]), *(replicate(x["test"]) for replicate in replicates)]
    known = Fitted(fitted.validation, fitted.chosen, fitted.trained_parameters, fitted.flags)
    return classification(data, protocol, rng, known, scores)


def _make(name: str, data: OpenDataset, protocol: Protocol) -> "Probe":
    from decoders.knn import KNNProbe
    from decoders.linear import LinearProbe

    if name == "linear":
        return LinearProbe(data.class_names, data.dataset.multilabel, protocol.linear_c.numbers())
    return KNNProbe(data.class_names, data.dataset.multilabel, protocol.knn_k)
