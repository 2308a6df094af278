"""Satlas equals the authors' code: every stage and pooled vector of the recordings, one image and several."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import encoders
from encoders.bands import Band
from encoders.satlas import Satlas
from encoders.spec import Weights
from tests.parity.recorded import Recording, folder


def build(recording: Recording, **options: Any) -> Satlas:
    config = recording.config
    sizes = {"width": config["embed_dim"], "depths": config["depths"], "heads": config["num_heads"]}
    card = encoders.card("satlas_s2_swinb_mi_ms")
    card = replace(
        card,
        options=card.options | {"architecture": sizes, "images": config["images"]} | options,
        weights=Weights(files=("weights.safetensors",)),
    )
    bands = [Band(f"band {number}") for number in range(config["in_channels"])]
    images = int(card.options["images"])
    built = encoders.build(card, bands=bands * images, weights_dir=folder(recording.name))
    assert isinstance(built, Satlas)
    return built


@pytest.mark.parametrize("name", ["satlas_swin_si", "satlas_swin_mi"])
def test_satlas_equals_the_authors_code(name: str) -> None:
    recording = Recording(name)
    authors, mean, single = build(recording), build(recording, pooling="mean"), build(recording, images=1)
    for size in recording.config["sizes"]:
        at = f"s{size[0]}x{size[1]}"
        images = recording.inputs[f"{at}/x"]
        features = authors(images)
        for stage, feature_map in enumerate(features.maps):
            recording.compare(f"{at}/stage_{stage}_map", feature_map[:, 0])
        recording.compare(f"{at}/gap_last", mean(images).embedding)
        if recording.config["images"] == 1:
            recording.compare(f"{at}/pooled_norm_gap", features.embedding)
            continue
        for number, image in enumerate(images.split(recording.config["in_channels"], dim=1)):
            recording.compare(f"{at}/image{number}_stage_3_map", single(image).maps[3][:, 0])
    recording.done()


def test_a_multi_image_model_given_one_image_is_its_backbone_given_that_image_thrice() -> None:
    recording = Recording("satlas_swin_mi")
    image = recording.inputs["s96x96/x"][:, :3]
    one, three = build(recording, images=1)(image), build(recording)(image.repeat(1, 3, 1, 1))
    for single, several in zip((*one.maps, one.embedding), (*three.maps, three.embedding), strict=True):
        torch.testing.assert_close(single, several)
