"""Floors: their numbers against numpy and the published definition."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import encoders
from encoders.bands import KNOWN
from encoders.baselines import cells
from encoders.errors import UserError

FLOORS = [name for name in encoders.built_in() if encoders.card(name).role == "floor"]
BANDS = tuple(KNOWN[name] for name in ("red", "green", "blue", "nir"))


def test_image_statistics_equal_numpys() -> None:
    images = torch.rand(3, 2, 20, 28)
    features = encoders.build("imagestats", bands=BANDS[:2])(images)
    for image in range(3):
        for channel in range(2):
            pixels = images[image, channel].numpy()
            expected = [pixels.mean(), pixels.std(), pixels.min(), pixels.max()]
            expected += list(np.percentile(pixels, (5, 25, 50, 75, 95)))
            given = features.embedding[image, 9 * channel : 9 * channel + 9].numpy()
            np.testing.assert_allclose(given, expected, atol=1e-6)


def test_maps_of_image_statistics_are_statistics_of_each_cell() -> None:
    images = torch.rand(1, 1, 32, 32)
    features = encoders.build("imagestats", bands=BANDS[:1])(images)
    assert [tuple(level.shape) for level in features.maps] == [(1, 1, 9, side, side) for side in (8, 4, 2, 1)]
    assert features.maps[0][0, 0, 0, 2, 3] == pytest.approx(float(images[0, 0, 8:12, 12:16].mean()))
    assert features.maps[1][0, 0, 3, 1, 0] == pytest.approx(float(images[0, 0, 8:16, 0:8].max()))


def test_cells_complete_a_rest_by_repeating_the_edge() -> None:
    images = torch.arange(25.0).reshape(1, 1, 5, 5)
    assert cells(images, 4).shape == (1, 1, 2, 2, 16)
    assert (cells(images, 4)[0, 0, 1, 1] == 24).all()


def test_random_convolutional_features_follow_torchgeos_definition() -> None:
    images = torch.randn(4, 3, 16, 16)
    generator = torch.Generator().manual_seed(42)
    weight = torch.randn(256, 3, 3, 3, generator=generator)
    response = F.conv2d(images, weight, torch.full((256,), -1.0))
    expected = torch.cat((response.relu().mean((2, 3)), (-response).relu().mean((2, 3))), dim=1)
    given = encoders.build("rcf")(images).embedding
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FLOORS)
def test_same_image_same_features_in_any_batch(name: str) -> None:
    encoder = encoders.build(name, bands=BANDS)
    images = torch.rand(5, 4, 24, 24)
    together = encoder(images)
    for index in range(5):
        alone = encoder(images[index : index + 1])
        torch.testing.assert_close(alone.embedding[0], together.embedding[index], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(alone.maps[2][0], together.maps[2][index], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(2, 5, 8, 8), r"must be \(batch, 3, height, width\)"),
        (torch.rand(2, 3, 8, 8).double(), "must be float32"),
        (torch.full((2, 3, 8, 8), float("nan")), "NaN or infinite"),
    ],
)
def test_a_sealed_encoder_refuses_what_it_cannot_read(images: torch.Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoders.build("imagestats")(images)


def test_an_encoder_stays_frozen_and_in_eval_mode() -> None:
    encoder = encoders.build("rcf").train()
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_an_unknown_option_names_the_nearest() -> None:
    import dataclasses

    card = dataclasses.replace(encoders.card("rcf"), options={"feature": 8})
    with pytest.raises(UserError, match="unknown key 'feature'; did you mean features"):
        encoders.build(card)
    with pytest.raises(UserError, match=r"options\.features is 7; it must be even"):
        encoders.build(dataclasses.replace(card, options={"features": 7}))
    with pytest.raises(UserError, match="did you mean rcf"):
        encoders.build("rfc")


def test_random_convolutional_features_equal_torchgeos() -> None:
    models = pytest.importorskip("torchgeo.models", reason="torchgeo is not installed (extra `torchgeo`)")
    images = torch.randn(3, 3, 20, 20)
    theirs = models.RCF(in_channels=3, features=512, kernel_size=3, bias=-1.0, seed=42)(images)
    torch.testing.assert_close(encoders.build("rcf")(images).embedding, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FLOORS)
def test_an_embedding_alone_is_that_of_the_features(name: str) -> None:
    encoder = encoders.build(name, bands=BANDS)
    stem = encoder.stem(torch.rand(2, encoder.channels, 40, 33, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(encoder.embed(stem), encoder.body(stem).embedding)
