"""Probes on the embedding: fit on train, choose on validation, score test once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmark import metrics
from benchmark.ingest import OpenDataset
from benchmark.measured import Measured, classification_predictions, headline_of, scored
from benchmark.protocol import Protocol

if TYPE_CHECKING:
    from decoders.probe import Probe


def fit_and_score(name: str, data: OpenDataset, protocol: Protocol, embeddings: Mapping[str, np.ndarray]) -> Measured:
    """Measure a probe.

    Args:
        name: `linear` or `knn`.
        embeddings: (N, D) by split.

    Raises:
        UserError: the train split cannot train a probe.
    """
    x = {split: np.asarray(embedding, dtype=np.float32) for split, embedding in embeddings.items()}
    y = {split: found.labels for split, found in data.splits.items()}
    rng = np.random.default_rng(protocol.bootstrap_seed)
    probe = _make(name, data, protocol)
    fitted = probe.fit(x["train"], y["train"], x["valid"], y["valid"], lambda s, labels: headline_of(data, s, labels))
    # kNN's answer on a bootstrap is its answer on fewer images: its interval is over test groups alone.
    refits = protocol.train_bootstraps if name == "linear" else 0
    resampled = [rng.integers(0, len(x["train"]), len(x["train"])) for _ in range(refits)]
    replicates = [probe.fit_replicate(x["train"], y["train"], rows, fitted.chosen) for rows in resampled]
    scores = fitted.predict_scores(x["test"])
    groups = data.splits["test"].groups
    counts = [
        metrics.group_counts(data.dataset.metric, one, y["test"], groups)
        for one in (scores, *(replicate(x["test"]) for replicate in replicates))
    ]
    score = scored(
        data,
        protocol,
        rng,
        metrics_by_name=metrics.classification_metrics(scores, y["test"], data.dataset.multilabel),
        counts=np.stack(counts),
        validation=fitted.validation,
        chosen=fitted.chosen,
    )
    return Measured(score, classification_predictions(data, scores), fitted.trained_parameters, fitted.flags)


def _make(name: str, data: OpenDataset, protocol: Protocol) -> "Probe":
    from decoders.knn import KNNProbe
    from decoders.linear import LinearProbe

    if name == "linear":
        return LinearProbe(data.class_names, data.dataset.multilabel, protocol.linear_c.numbers())
    return KNNProbe(data.class_names, data.dataset.multilabel, protocol.knn_k)
