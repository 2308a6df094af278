"""The k-nearest-neighbour probe: no training at all, the votes of the most similar train images."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from decoders.probe import Array, FittedProbe, Metric, Scorer, check_train_labels


class KNNProbe:
    """Unweighted vote of the k nearest train images, by cosine or Euclidean distance, embeddings taken as they are.

    k is picked on validation, the smallest where several tie. Scores are the share of the neighbours that are
    of a class (single label) or have a label (multi-label); a tied vote goes to the lowest class, as argmax
    takes it. Which of several equally distant images counts is scikit-learn's choice, the same every time.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        multilabel: bool,
        grid: Sequence[int],
        distance: Literal["cosine", "euclidean"] = "cosine",
    ) -> None:
        self.distance = distance
        self.class_names = tuple(class_names)
        self.multilabel = multilabel
        self.grid = tuple(sorted(grid))

    def fit(self, x: Array, y: Array, val_x: Array, val_y: Array, metric: Metric) -> FittedProbe:
        """Index train, choose k on validation; see `Probe.fit`."""
        check_train_labels(y, self.class_names, self.multilabel)
        candidates = [k for k in self.grid if k <= len(x)] or [len(x)]
        index = _index(x, self.distance)
        votes = self._votes(y)
        neighbours = _neighbours(index, val_x, candidates[-1])
        values = [float(metric(_share(votes, neighbours, k), val_y)) for k in candidates]
        best = int(np.argmax(values))
        k = candidates[best]
        flags = (f"validation chose k = {k}, the largest tried",) if k == self.grid[-1] and len(x) > k else ()
        return FittedProbe(
            scorer=lambda queries: _share(votes, _neighbours(index, queries, k), k),
            chosen={"k": float(k)},
            validation=values[best],
            trained_parameters=0,
            flags=flags,
        )

    def fit_replicate(self, x: Array, y: Array, rows: Array, chosen: dict[str, float]) -> Scorer:
        """Vote with a bootstrap of train: an image drawn n times votes n times; see `Probe.fit_replicate`."""
        k = int(chosen["k"])
        index, votes = _index(x[rows], self.distance), self._votes(y[rows])
        return lambda queries: _share(votes, _neighbours(index, queries, k), k)

    def _votes(self, y: Array) -> Array:
        """(N, K) float32: one-hot of single labels, multi-hot as given."""
        if self.multilabel:
            return y.astype(np.float32)
        one_hot: Array = np.eye(len(self.class_names), dtype=np.float32)[y]
        return one_hot


def _index(x: Array, distance: str) -> Any:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(algorithm="brute", metric=distance).fit(np.asarray(x, dtype=np.float64))


def _neighbours(index: Any, queries: Array, k: int) -> Array:
    """(N, k) train rows, nearest first."""
    rows: Array = index.kneighbors(np.asarray(queries, dtype=np.float64), n_neighbors=k, return_distance=False)
    return rows


def _share(votes: Array, neighbours: Array, k: int) -> Array:
    share: Array = votes[neighbours[:, :k]].mean(axis=1)
    return share.astype(np.float32)
