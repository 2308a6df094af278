"""Each metric is what its name says: against scikit-learn, or counted by hand."""

import numpy as np
import pytest
from sklearn import metrics as reference

from benchmark.scoring import counts
from benchmark.scoring.counts import AP_BINS, HEADLINES, from_counts, group_counts, kind_of, truth_classes
from benchmark.scoring.metrics import (
    asked_for,
    classification_confusion,
    classification_metrics,
    per_class_iou,
    segmentation_metrics,
)
from benchmark.training.prediction import confusions
from encoders.errors import UserError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def drawn_anew():
    """A test draws the same numbers whichever were run before it."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def _scores(n, k, rng=RNG):
    # Few distinct values, so that ties occur.
    return (rng.integers(0, 11, (n, k)) / 10).astype(np.float32)


@pytest.mark.parametrize("absent_from_truth", [False, True])
def test_single_label_metrics_are_scikit_learns(absent_from_truth):
    scores = _scores(200, 6)
    labels = RNG.integers(0, 4 if absent_from_truth else 6, 200)
    found = classification_metrics(scores, labels, multilabel=False)
    predicted = scores.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert found["f1_macro"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    recalls = reference.recall_score(labels, predicted, labels=np.unique(labels), average="macro")
    assert found["accuracy_balanced"] == pytest.approx(recalls)


def test_multi_label_metrics_are_scikit_learns_where_every_label_occurs():
    scores, labels = _scores(300, 5), RNG.integers(0, 2, (300, 5)).astype(np.uint8)
    found = classification_metrics(scores, labels, multilabel=True)
    predicted = scores > 0.5
    for average in ("micro", "macro"):
        assert found[f"f1_{average}"] == pytest.approx(reference.f1_score(labels, predicted, average=average))
        precision = reference.average_precision_score(labels, scores, average=average)
        assert found[f"map_{average}"] == pytest.approx(precision)


@pytest.mark.parametrize("multilabel", [False, True])
def test_the_confusion_is_scikit_learns(multilabel):
    scores = _scores(80, 4)
    labels = RNG.integers(0, 2, (80, 4)) if multilabel else RNG.integers(0, 3, 80)
    found = classification_confusion(scores, labels, multilabel)
    if multilabel:
        expected = reference.multilabel_confusion_matrix(labels, scores > 0.5)
    else:
        expected = reference.confusion_matrix(labels, scores.argmax(axis=1), labels=range(4))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("present", [1, 2])
def test_labels_absent_from_truth_are_left_out_of_macro_average_precision(present):
    scores, labels = _scores(50, 4), np.zeros((50, 4), np.uint8)
    labels[:20, :present] = 1
    expected = reference.average_precision_score(labels[:, :present], scores[:, :present], average="macro")
    found = classification_metrics(scores, labels, multilabel=True)
    assert found["map_macro"] == pytest.approx(expected)


def test_average_precision_is_the_mean_precision_at_each_hit():
    scores = np.array([[0.9, 0.2], [0.8, 0.7], [0.3, 0.6], [0.1, 0.1]], np.float32)
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.uint8)
    found = classification_metrics(scores, labels, multilabel=True)
    assert found["map_macro"] == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert found["map_micro"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_a_label_neither_true_nor_predicted_is_left_out_of_macro_f1():
    scores = np.array([[0.9, 0.1], [0.2, 0.3]], np.float32)
    labels = np.array([[1, 0], [0, 0]], np.uint8)
    assert classification_metrics(scores, labels, multilabel=True)["f1_macro"] == 1


def test_a_probability_of_one_half_predicts_nothing():
    found = classification_metrics(np.full((2, 2), 0.5, np.float32), np.ones((2, 2), np.uint8), multilabel=True)
    assert found["f1_micro"] == 0


def test_tied_scores_go_to_the_lowest_class():
    assert classification_metrics(np.ones((1, 3), np.float32), np.array([0]), multilabel=False)["accuracy"] == 1


def test_no_metric_is_nan_where_nothing_is_true_or_predicted():
    found = classification_metrics(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.uint8), multilabel=True)
    assert found == {"f1_micro": 0, "f1_macro": 0, "map_micro": 0, "map_macro": 0, "ece": 0}


@pytest.mark.parametrize("multilabel", [False, True])
def test_an_empty_split_is_a_sentence(multilabel):
    labels = np.zeros((0, 3) if multilabel else 0, np.int64)
    with pytest.raises(UserError, match="no sample to score"):
        classification_metrics(np.zeros((0, 3), np.float32), labels, multilabel)
    with pytest.raises(UserError, match="no pixel to score"):
        segmentation_metrics(np.zeros((3, 3), np.int64), None)


@pytest.mark.parametrize(
    ("scores", "labels", "multilabel"),
    [
        (np.full((1, 2), np.nan), np.array([0]), False),
        (np.full((1, 2), 1.5), np.ones((1, 2)), True),
        (np.ones((2, 2)), np.array([0]), False),
        (np.ones(2), np.array([0, 1]), False),
    ],
)
def test_scores_that_are_no_scores_are_refused(scores, labels, multilabel):
    with pytest.raises(ValueError, match="score"):
        classification_metrics(scores, labels, multilabel)


# Truth: class 0 (4 pixels), 1 (3), none of 2 and 3; class 2 predicted once, class 3 never.
CONFUSION = np.array([[3, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
IOU_0, IOU_1 = 3 / 4, 2 / 4


def test_mean_ious_differ_in_what_they_do_with_absent_classes():
    found = segmentation_metrics(CONFUSION, no_data=None)
    assert found["miou_truth"] == pytest.approx((IOU_0 + IOU_1) / 2)
    assert found["miou_absent_zero"] == pytest.approx((IOU_0 + IOU_1) / 4)
    assert found["miou_absent_excluded"] == pytest.approx((IOU_0 + IOU_1) / 3)
    assert found["miou_labelled"] == found["miou_truth"]
    assert found["pixel_accuracy"] == pytest.approx(5 / 7)
    assert {name: value for name, value in found.items() if name.startswith("iou_")} == {
        "iou_0": IOU_0, "iou_1": IOU_1, "iou_2": 0
    }  # fmt: skip
    assert per_class_iou(CONFUSION).tolist() == [IOU_0, IOU_1, 0, 0]


def test_no_data_pixels_are_left_out_of_truth_and_of_the_mean():
    # Class 1: two pixels right, one predicted as 2; the pixel of no-data truth predicted as 1 costs nothing.
    assert segmentation_metrics(CONFUSION, no_data=0)["miou_labelled"] == pytest.approx(2 / 3)
    assert segmentation_metrics(CONFUSION, no_data=0)["miou_truth"] == pytest.approx((IOU_0 + IOU_1) / 2)


def test_mean_ious_are_those_of_torchmetrics_and_scikit_learn_on_images():
    from torch import from_numpy
    from torchmetrics.functional.classification import multiclass_jaccard_index

    truth, predicted = RNG.integers(0, 3, 500), RNG.integers(0, 4, 500)
    confusion = reference.confusion_matrix(truth, predicted, labels=range(5))
    found = segmentation_metrics(confusion, no_data=0)
    assert found["miou_truth"] == pytest.approx(
        reference.jaccard_score(truth, predicted, labels=[0, 1, 2], average="macro")
    )
    both = (from_numpy(predicted), from_numpy(truth))
    assert found["miou_absent_excluded"] == pytest.approx(float(multiclass_jaccard_index(*both, 5)))
    labelled = multiclass_jaccard_index(*both, 5, ignore_index=0, average="none").numpy()[[1, 2]]
    assert found["miou_labelled"] == pytest.approx(labelled.mean())


@pytest.mark.parametrize("headline", sorted(HEADLINES))
def test_counts_of_all_groups_give_the_metric_itself(headline):
    groups = RNG.choice(["b", "a", "c"], 60)
    if kind_of(headline) != "pixels":
        multilabel = kind_of(headline) == "labels"
        predicted, labels = _scores(60, 4), RNG.integers(0, 2, (60, 4)) if multilabel else RNG.integers(0, 4, 60)
        found = classification_metrics(predicted, labels, multilabel)
    else:
        predicted, labels = RNG.integers(0, 9, (60, 4, 4)), None
        predicted[:, 2] = 0
        found = segmentation_metrics(predicted.sum(axis=0), no_data=1)
    expected = (found | asked_for([headline], found, predicted, labels))[headline]
    grouped = group_counts(headline, predicted, labels, groups, no_data=1)
    assert grouped.shape[0] == 3
    assert grouped.dtype == np.float64
    bound = 1 / AP_BINS if headline == "map_micro" else 1e-9
    assert float(from_counts(headline, grouped.sum(axis=0))) == pytest.approx(expected, abs=bound)
    if headline == "map_micro":
        return  # the scores that tell decisions apart are those of the whole split
    one = groups == "a"
    first = group_counts(headline, predicted[one], None if labels is None else labels[one], groups[one], no_data=1)
    np.testing.assert_array_equal(grouped[:1], first)


def test_f1_of_macro_means_is_the_harmonic_mean_of_macro_precision_and_recall():
    scores, labels = _scores(200, 6), RNG.integers(0, 5, 200)
    predicted, every = scores.argmax(axis=1), {"labels": range(6), "average": "macro", "zero_division": 0}
    precision, recall = (f(labels, predicted, **every) for f in (reference.precision_score, reference.recall_score))
    found = counts.headline("f1_of_macro_means", scores, labels)
    assert found == pytest.approx(2 * precision * recall / (precision + recall))
    # Neither of the other two.
    assert found != pytest.approx(reference.f1_score(labels, predicted, average="macro"), abs=1e-4)


def test_miou_per_image_is_torchmetrics_mean_iou_of_masks():
    from torch import from_numpy

    pytest.importorskip("torchmetrics", minversion="1.7")
    from torchmetrics.segmentation import MeanIoU

    truth, predicted = (from_numpy(RNG.integers(0, k, (9, 12, 12))) for k in (3, 5))
    truth[:, :6] = truth[:, :1, :1]  # so that images hold different classes
    reference_metric = MeanIoU(num_classes=5, input_format="index")
    reference_metric.update(predicted, truth)
    found = asked_for(["miou_per_image"], {}, confusions(predicted, truth, 5).numpy(), None)
    assert found["miou_per_image"] == pytest.approx(float(reference_metric.compute()))


@pytest.mark.parametrize("labels_of", [0.05, 0.5])
def test_average_precision_of_counts_is_exact_and_of_few_bins_near(labels_of):
    scores = RNG.random((400, 8)).astype(np.float32)
    labels = (RNG.random((400, 8)) < labels_of * (0.2 + scores)).astype(np.uint8)
    exact = reference.average_precision_score(labels, scores, average="micro")
    assert counts.headline("map_micro", scores, labels) == pytest.approx(exact, abs=1e-9)
    grouped = group_counts("map_micro", scores, labels, np.arange(400) // 4)
    binned = float(from_counts("map_micro", grouped.sum(axis=0)))
    assert grouped.shape[1] <= 2 * AP_BINS
    assert binned == pytest.approx(exact, abs=1 / AP_BINS)
    # A bootstrap sums groups: as if its images had been scored.
    drawn = RNG.integers(0, 100, 100)
    images = (drawn[:, None] * 4 + np.arange(4)).ravel()
    again = reference.average_precision_score(labels[images], scores[images], average="micro")
    assert float(from_counts("map_micro", grouped[drawn].sum(axis=0))) == pytest.approx(again, abs=1 / AP_BINS)


def test_what_a_protocol_reports_is_of_its_task_and_never_twice():
    scores, labels = _scores(30, 3), RNG.integers(0, 3, 30)
    names = ["f1_of_macro_means", "accuracy", "miou_per_image", "map_micro"]
    assert set(asked_for(names, {"accuracy": 1.0}, scores, labels)) == {"f1_of_macro_means"}
    assert set(asked_for(names, {}, RNG.integers(0, 9, (5, 3, 3)), None)) == {"miou_per_image"}


def test_a_resample_that_lacks_a_class_keeps_it_in_the_mean():
    confusions = np.array([[[5, 0], [0, 0]], [[0, 0], [0, 5]]])
    counts = group_counts("miou_truth", confusions, None, np.array([0, 1]))
    present = truth_classes("miou_truth", counts)
    assert present is not None
    assert present.tolist() == [True, True]
    assert float(from_counts("miou_truth", counts[0], present)) == 0.5
    assert from_counts("miou_truth", np.stack([counts[0], counts.sum(axis=0)]), present).tolist() == [0.5, 1]


def test_a_metric_that_is_not_additive_cannot_head_a_table():
    with pytest.raises(UserError, match="'map_macro' cannot be a headline metric; did you mean map_micro or f1_macro"):
        from_counts("map_macro", np.ones(2))
