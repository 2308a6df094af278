"""Probes on the embedding: fit on train, choose on validation, score test once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.ingest import OpenDataset
from benchmark.features.store import SplitFeatures
from benchmark.protocol import Protocol
from benchmark.scoring import counts
from benchmark.scoring.measured import Fitted, Measured, classification

if TYPE_CHECKING:
    from decoders.probe import Probe


def fit_and_score(
    name: str,
    fuser: Mapping[str, object],
    data: OpenDataset,
    protocol: Protocol,
    features: Mapping[str, SplitFeatures],
) -> Measured:
    """Measure a probe.

    Args:
        name: `linear` or `knn`.
        fuser: `Run.fuser`, of kind `none`, for the embedding, or `pca`.
        features: of every split, with embeddings, or means for `pca`; of train, flipped copies count as images of
            their own.

    Raises:
        UserError: the train split cannot train a probe.
    """
    x, notes = _inputs(fuser, features)
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
    known = Fitted(fitted.validation, fitted.chosen, fitted.trained_parameters, (*fitted.flags, *notes))
    return classification(data, protocol, rng, known, scores)


def _inputs(
    fuser: Mapping[str, object], features: Mapping[str, SplitFeatures]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """What the probe reads of each split, (rows, D) float32, and what a reader of the number must know of it."""
    if fuser["kind"] == "none":
        return {split: np.asarray(one.embedding, dtype=np.float32) for split, one in features.items()}, ()
    from decoders.reduction import fit_pca

    wide = {split: np.asarray(one.pooled).reshape(len(one), -1) for split, one in features.items()}
    wanted = int(fuser["components"])  # type: ignore[call-overload]
    # One reduction for the fit and its refits: it sees no labels, and is part of the features.
    reduce, kept = fit_pca(wide["train"], wanted)
    few = () if kept == wanted else (f"{kept} principal components instead of {wanted}: there are no more in train",)
    return {split: reduce(one) for split, one in wide.items()}, few


def _make(name: str, data: OpenDataset, protocol: Protocol) -> "Probe":
    from decoders.knn import KNNProbe
    from decoders.linear import LinearProbe

    if name == "linear":
        return LinearProbe(
            data.class_names,
            data.dataset.multilabel,
            protocol.linear_c.numbers(),
            standardised=protocol.standardised,
            refit=protocol.refit_on_validation,
        )
    return KNNProbe(data.class_names, data.dataset.multilabel, protocol.knn_k, protocol.knn_distance)
