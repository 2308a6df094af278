"""What a decoder is trained for and what it predicts, against brute force."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.protocol import Protocol
from benchmark.training.bank import Member, initialised
from benchmark.training.feeding import Feed
from benchmark.training.loop import train
from benchmark.training.prediction import confusions, predict, predict_all
from encoders.errors import UserError
from tests.decoder_factory import MASKS, MEAN, MULTI, SINGLE, UPERNET, linear, run, smoke_protocol, split


@pytest.fixture
def smoke() -> Protocol:
    return smoke_protocol()


def test_ignored_pixels_teach_nothing() -> None:
    task = dataclasses.replace(MASKS, ignored=0)
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.tensor(np.random.default_rng(0).integers(0, 3, (2, 4, 4)))
    (gradient,) = torch.autograd.grad(task.loss(logits, labels), logits)
    assert (gradient.abs().sum(1) > 0).equal(labels != 0)
    kept = logits.movedim(1, -1)[labels != 0]
    torch.testing.assert_close(task.loss(logits, labels), nn.functional.cross_entropy(kept, labels[labels != 0]))
    assert task.loss(logits, torch.zeros_like(labels)) == 0
    (gradient,) = torch.autograd.grad(MASKS.loss(logits, labels), logits)
    assert (gradient.abs().sum(1) > 0).all()


def test_predictions_have_their_shapes_and_dtypes_and_count_every_pixel(smoke: Protocol) -> None:
    features = split(MASKS, 10, 3)
    (trained,) = run([Member("m", 0, 1e-2, UPERNET)], MASKS, smoke)
    assert trained.decoder is not None
    found = predict(trained.decoder, MASKS, features, batch_size=4)
    assert found.scores is None
    assert found.masks is not None
    assert found.confusions is not None
    assert (found.masks.shape, found.masks.dtype) == ((10, 8, 8), np.uint8)
    assert (found.confusions.shape, found.confusions.dtype) == ((10, 3, 3), np.int64)
    for mask, truth, confusion in zip(found.masks, features.truth, found.confusions, strict=True):
        brute = [[int(((truth == t) & (mask == p)).sum()) for p in range(3)] for t in range(3)]
        assert confusion.tolist() == brute

    features = split(MULTI, 10, 3)
    (trained,) = run([Member("m", 0, 1e-2, MEAN)], MULTI, smoke)
    assert trained.decoder is not None
    scores = predict(trained.decoder, MULTI, features, batch_size=4).scores
    assert scores is not None
    assert (scores.shape, scores.dtype) == ((10, 3), np.float32)
    assert 0 <= scores.min() <= scores.max() <= 1


def test_masks_that_are_not_square_are_predicted_at_their_size(smoke: Protocol) -> None:
    features = split(MASKS, 9, 1)
    features.truth = np.concatenate([features.truth, features.truth], axis=1)
    (trained,) = train([Member("m", 0, 1e-2, linear)], MASKS, features, features, protocol=smoke)
    assert trained.decoder is not None
    assert predict(trained.decoder, MASKS, features, batch_size=4).masks.shape == (9, 16, 8)  # type: ignore[union-attr]


def test_confusions_of_each_image_stand_apart() -> None:
    truth, predicted = torch.tensor([[[0, 1]], [[2, 2]]], dtype=torch.uint8), torch.tensor([[[0, 0]], [[2, 1]]])
    assert confusions(predicted, truth, 3).tolist() == [
        [[1, 0, 0], [1, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 1, 1]],
    ]


def test_a_decoder_whose_predictions_are_not_finite_is_not_scored(smoke: Protocol) -> None:
    decoder = initialised(Member("m", 0, 1e-3, MEAN), "cpu")
    nn.init.constant_(decoder.head.decoder_head["2"].bias, torch.nan)  # type: ignore[index, union-attr]
    features = split(SINGLE, 4, 1)
    with pytest.raises(UserError, match="NaN or infinite; try smaller learning rates"):
        predict(decoder, SINGLE, features, batch_size=4)
    assert predict_all([decoder], SINGLE, Feed(features, "cpu"), batch_size=4) == [None]
