"""kNN votes as defined, k chosen on validation."""

import numpy as np
import pytest

from decoders.knn import KNNProbe
from encoders.errors import UserError

K_GRID = (1, 3, 5, 10, 20, 50, 100, 200)
NAMES = ("a", "b", "c")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(120, 7)).astype(np.float32), np.arange(120) % 3
QUERIES = RNG.normal(size=(30, 7)).astype(np.float32)
TARGETS = RNG.integers(0, 2, (120, 3)).astype(np.uint8)


def _accuracy(scores, labels):
    return float((scores.argmax(axis=1) == labels).mean())


def _brute_force(x, votes, queries, k):
    cosine = (queries @ x.T) / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(x, axis=1)
    return np.stack([votes[np.argsort(-row)[:k]].mean(axis=0) for row in cosine])


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_scores_are_the_share_of_the_nearest_by_cosine(k):
    fitted = KNNProbe(NAMES, grid=[k], multilabel=False).fit(X, Y, QUERIES, Y[:30], _accuracy)
    np.testing.assert_allclose(fitted.predict_scores(QUERIES), _brute_force(X, np.eye(3)[Y], QUERIES, k), atol=1e-6)
    assert fitted.predict_scores(QUERIES).dtype == np.float32
    assert fitted.trained_parameters == 0


def test_multi_label_scores_are_the_share_having_each_label():
    fitted = KNNProbe(NAMES, multilabel=True, grid=[5]).fit(X, TARGETS, QUERIES, TARGETS[:30], lambda s, y: 0.0)
    np.testing.assert_allclose(fitted.predict_scores(QUERIES), _brute_force(X, TARGETS, QUERIES, 5), atol=1e-6)


def test_length_of_an_embedding_does_not_matter():
    first = KNNProbe(NAMES, grid=[3], multilabel=False).fit(X, Y, QUERIES, Y[:30], _accuracy).predict_scores(QUERIES)
    lengths = RNG.uniform(0.1, 9, (120, 1)).astype(np.float32)
    second = (
        KNNProbe(NAMES, grid=[3], multilabel=False)
        .fit(X * lengths, Y, QUERIES, Y[:30], _accuracy)
        .predict_scores(4 * QUERIES)
    )
    np.testing.assert_array_equal(first, second)


def test_only_k_up_to_the_train_size_are_tried_and_ties_go_to_the_smallest():
    tried = []
    fitted = KNNProbe(NAMES, multilabel=False, grid=K_GRID).fit(
        X, Y, QUERIES, Y[:30], lambda scores, _: tried.append(scores) or 0.5
    )
    assert len(tried) == len([k for k in K_GRID if k <= 120]) == 7
    assert fitted.chosen == {"k": 1.0}
    assert fitted.flags == ()


def test_validation_chooses_k():
    calls = []

    def fourth_wins(scores, labels):
        calls.append(scores)
        return float(len(calls) == 4)

    fitted = KNNProbe(NAMES, multilabel=False, grid=K_GRID).fit(X, Y, QUERIES, Y[:30], fourth_wins)
    assert fitted.chosen == {"k": 10.0}
    np.testing.assert_array_equal(fitted.predict_scores(QUERIES), calls[3])


def test_a_choice_on_the_upper_edge_is_flagged():
    fitted = KNNProbe(NAMES, grid=(1, 50), multilabel=False).fit(
        X, Y, QUERIES, Y[:30], lambda scores, _: -float(scores.max())
    )
    assert fitted.flags == ("validation chose k = 50, the largest tried",)


def test_a_train_split_smaller_than_every_k_votes_as_a_whole():
    fitted = KNNProbe(NAMES, grid=(50,), multilabel=False).fit(X[:4], Y[:4], QUERIES, Y[:30], _accuracy)
    assert fitted.chosen == {"k": 4.0}


def test_an_embedding_of_zeros_gets_a_vote():
    fitted = KNNProbe(NAMES, grid=(3,), multilabel=False).fit(X, Y, QUERIES, Y[:30], _accuracy)
    np.testing.assert_allclose(fitted.predict_scores(np.zeros((1, 7), np.float32)).sum(), 1, atol=1e-6)


def test_replicate_votes_with_the_rows_drawn():
    rows = RNG.integers(0, 120, 120)
    scores = KNNProbe(NAMES, multilabel=False, grid=K_GRID).fit_replicate(X, Y, rows, {"k": 1.0})(X[rows])
    np.testing.assert_array_equal(scores.argmax(axis=1), Y[rows])


def test_one_class_is_a_sentence():
    with pytest.raises(UserError, match=r"holds only class 1 \(b\)"):
        KNNProbe(NAMES, multilabel=False, grid=K_GRID).fit(X, np.ones(120, int), QUERIES, Y[:30], _accuracy)
