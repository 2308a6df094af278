"""The linear probe is the logistic regression it claims to be, at every size, and says what it did."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from decoders import linear
from decoders.linear import LinearProbe
from encoders.errors import UserError

# The grid of configs/protocol/frozen.yaml.
C_GRID = tuple(float(c) for c in np.geomspace(1e-6, 1e4, 21))
NAMES = ("AnnualCrop", "Forest", "River", "SeaLake")


def _accuracy(scores, labels):
    return float((scores.argmax(axis=1) == labels).mean())


def _f1(scores, labels):
    predicted = scores > 0.5
    return float(2 * (predicted & (labels > 0)).sum() / max(predicted.sum() + labels.sum(), 1))


def _data(n, d, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = np.random.default_rng(9).normal(size=(classes, d))
    x = (3 + 2 * (0.4 * centres[labels] + rng.normal(size=(n, d)))).astype(np.float32)
    return x, labels


def _multi_hot(labels, classes=4):
    return np.stack([labels == k for k in range(classes - 1)] + [labels % 2 == 0], axis=1).astype(np.uint8)


def _direct(x, y, queries, c, weights=None):
    scaler = StandardScaler().fit(x, sample_weight=weights)
    model = LogisticRegression(C=c, max_iter=10_000, tol=1e-8)
    model.fit(scaler.transform(x.astype(np.float64)), y, sample_weight=weights)
    return model.predict_proba(scaler.transform(queries.astype(np.float64)))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("n", "d"), [(120, 10), (40, 300)])
def test_probabilities_are_those_of_the_direct_fit_whether_wide_or_long(n, d, classes):
    (x, y), (val_x, val_y) = _data(n, d, classes), _data(50, d, classes, seed=1)
    for c in (0.001, 1.0):
        fitted = LinearProbe(NAMES[:classes], grid=[c], multilabel=False).fit(x, y, val_x, val_y, _accuracy)
        np.testing.assert_allclose(fitted.predict_scores(val_x), _direct(x, y, val_x, c), atol=1e-4)


@pytest.mark.parametrize("d", [10, 200])
def test_multi_label_is_one_binary_problem_a_class(d):
    (x, y), (val_x, val_y) = _data(60, d), _data(30, d, seed=1)
    targets, val_targets = _multi_hot(y), _multi_hot(val_y)
    fitted = LinearProbe(NAMES, multilabel=True, grid=[0.1]).fit(x, targets, val_x, val_targets, _f1)
    for label in range(4):
        expected = _direct(x, targets[:, label], val_x, 0.1)[:, 1]
        np.testing.assert_allclose(fitted.predict_scores(val_x)[:, label], expected, atol=1e-4)


def test_warm_started_path_ends_where_a_cold_start_ends():
    (x, y), (val_x, val_y) = _data(150, 6), _data(50, 6, seed=1)
    probe = LinearProbe(NAMES, grid=C_GRID[:13], multilabel=False)
    fitted = probe.fit(x, y, val_x, val_y, lambda scores, labels: float(scores.max()))
    assert fitted.chosen == {"C": 1.0}
    np.testing.assert_allclose(fitted.predict_scores(val_x), _direct(x, y, val_x, 1.0), atol=2e-4)


@pytest.mark.parametrize("d", [8, 200])
def test_replicate_is_the_direct_fit_on_the_repeated_rows(d):
    (x, y), (val_x, _) = _data(60, d), _data(30, d, seed=1)
    rows = np.random.default_rng(3).integers(0, 60, 60)
    scores = LinearProbe(NAMES, multilabel=False, grid=C_GRID).fit_replicate(x, y, rows, {"C": 0.1})(val_x)
    np.testing.assert_allclose(scores, _direct(x[rows], y[rows], val_x, 0.1), atol=1e-4)


def test_validation_chooses_c_and_ties_go_to_the_smallest():
    (x, y), (val_x, val_y) = _data(80, 5), _data(40, 5, seed=1)
    calls = []

    def third_and_fifth_win(scores, labels):
        assert scores.dtype == np.float32
        assert scores.shape == (40, 4)
        calls.append(0)
        return 1.0 if len(calls) in (3, 5) else 0.5

    fitted = LinearProbe(NAMES, multilabel=False, grid=C_GRID).fit(x, y, val_x, val_y, third_and_fifth_win)
    assert len(calls) == len(C_GRID) == 21
    assert fitted.chosen == {"C": C_GRID[2]}
    assert fitted.validation == 1.0
    assert fitted.flags == ()


@pytest.mark.parametrize(("sign", "end"), [(1, "high"), (-1, "low")])
def test_a_choice_on_the_edge_of_the_grid_is_flagged(sign, end):
    (x, y), (val_x, val_y) = _data(80, 5), _data(40, 5, seed=1)
    grid = (0.001, 0.01, 0.1)
    fitted = LinearProbe(NAMES, grid=grid, multilabel=False).fit(x, y, val_x, val_y, lambda s, _: sign * float(s.max()))
    assert fitted.flags == (
        f"validation chose C = {max(grid) if sign > 0 else min(grid):g}, the {end} edge of its grid",
    )


def test_fit_that_does_not_converge_is_flagged_and_prints_nothing(recwarn):
    (x, y), (val_x, val_y) = _data(80, 30), _data(40, 30, seed=1)
    fitted = LinearProbe(NAMES, grid=(1.0, 10.0, 100.0), max_iter=2, multilabel=False).fit(
        x, y, val_x, val_y, _accuracy
    )
    assert "did not converge within 2 iterations at 3 of 3 values of C, the chosen one among them" in fitted.flags[-1]
    assert not recwarn.list


def test_same_data_same_bytes():
    (x, y), (val_x, val_y) = _data(50, 80), _data(40, 80, seed=1)
    scores = [
        LinearProbe(NAMES, multilabel=False, grid=C_GRID).fit(x, y, val_x, val_y, _accuracy).predict_scores(val_x)
        for _ in range(2)
    ]
    assert scores[0].tobytes() == scores[1].tobytes()


def test_nothing_is_fitted_on_validation():
    (x, y), (val_x, val_y) = _data(60, 8), _data(40, 8, seed=1)
    probe = LinearProbe(NAMES, grid=[0.1], multilabel=False)
    first = probe.fit(x, y, val_x, val_y, _accuracy).predict_scores(val_x)
    second = probe.fit(x, y, val_x + 100, val_y, _accuracy).predict_scores(val_x)
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("held", [[0, 2], [0, 1, 3]])
def test_a_class_absent_from_train_scores_zero(held):
    x, y = _data(60, 5)
    kept = np.isin(y, held)
    fitted = LinearProbe(NAMES, multilabel=False, grid=C_GRID).fit(x[kept], y[kept], x, y, _accuracy)
    scores = fitted.predict_scores(x)
    assert scores.shape == (60, 4)
    assert scores[:, [k for k in range(4) if k not in held]].max() == 0
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_labels_that_never_vary_score_zero_or_one():
    x, y = _data(40, 5)
    targets = _multi_hot(y)
    targets[:, 1], targets[:, 2] = 0, 1
    scores = LinearProbe(NAMES, multilabel=True, grid=C_GRID).fit(x, targets, x, targets, _f1).predict_scores(x)
    assert scores[:, 1].max() == 0
    assert scores[:, 2].min() == 1


@pytest.mark.parametrize(
    ("targets", "multilabel", "message"),
    [
        (
            np.zeros(20, int),
            False,
            r"holds only class 0 \(AnnualCrop\); a probe needs two or more: take a larger",
        ),
        (np.ones((20, 4), int), True, "same labels in every image"),
    ],
)
def test_a_train_split_without_a_choice_is_a_sentence(targets, multilabel, message):
    x, _ = _data(20, 5)
    with pytest.raises(UserError, match=message):
        LinearProbe(NAMES, multilabel, grid=C_GRID).fit(x, targets, x, targets, _accuracy)


def test_an_empty_train_split_is_a_sentence():
    x, y = _data(20, 5)
    with pytest.raises(UserError, match="train split is empty"):
        LinearProbe(NAMES, multilabel=False, grid=C_GRID).fit(x[:0], y[:0], x, y, _accuracy)


def test_a_bootstrap_that_caught_one_class_predicts_it():
    x, y = _data(20, 5)
    scores = LinearProbe(NAMES, multilabel=False, grid=C_GRID).fit_replicate(x, y, np.full(20, 2), {"C": 1.0})(x)
    assert scores.tolist() == [[0, 0, 1, 0]] * 20


def test_a_feature_that_never_varies_changes_nothing():
    (x, y), (val_x, val_y) = _data(60, 8), _data(40, 8, seed=1)
    with_constant = [np.concatenate([part, np.full((len(part), 1), 7, np.float32)], axis=1) for part in (x, val_x)]
    probe = LinearProbe(NAMES, grid=[0.1], multilabel=False)
    plain = probe.fit(x, y, val_x, val_y, _accuracy).predict_scores(val_x)
    constant = probe.fit(with_constant[0], y, with_constant[1], val_y, _accuracy).predict_scores(with_constant[1])
    np.testing.assert_allclose(plain, constant, atol=1e-5)


@pytest.mark.parametrize(("classes", "rows"), [(4, 4), (2, 1)])
def test_trained_parameters_are_coefficients_and_intercepts(classes, rows):
    x, y = _data(20, 90, classes)
    fitted = LinearProbe(NAMES[:classes], grid=[0.1], multilabel=False).fit(x, y, x, y, _accuracy)
    assert fitted.trained_parameters == rows * 91


def test_importing_the_probes_loads_no_scikit_learn():
    code = "import sys, decoders.linear, decoders.knn; print('sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False", linear.__file__
