"""CROMA equals the authors' code: every block, encoding and pooled vector of the recordings."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import encoders
from encoders.croma import CROMA
from encoders.croma_model import Modality, alibi
from encoders.spec import Weights
from encoders.taps import Taps
from tests.parity.recorded import Recording, folder

OFFICIAL = {"optical": "optical", "sar": "SAR", "joint": "joint"}
"""What the authors' code calls the results of a modality."""


def build(recording: Recording, modality: Modality, side: int) -> CROMA:
    config = recording.config
    options: dict[str, Any] = {
        "architecture": {"width": config["dim"], "depth": config["depth"]},
        "modality": modality,
        "layers": range(config["depth"] if modality == "optical" else config["depth"] // 2),
    }
    options["layers"] = list(options["layers"])
    card = replace(
        encoders.card(f"croma_base_{modality}"),
        options=options,
        weights=Weights(files=("weights.safetensors",)),
    )
    built = encoders.build(card, image_size=side, weights_dir=folder(recording.name))
    assert isinstance(built, CROMA)
    return built


def test_croma_equals_the_authors_code() -> None:
    recording = Recording("croma")
    modalities: tuple[Modality, ...] = ("optical", "sar", "joint")
    for side in recording.config["sizes"]:
        recording.compare(f"s{side}/alibi_head0_row0", alibi(side // 8)[0, 0, 0])
        both = [recording.inputs[f"s{side}/{name}"] for name in ("optical", "sar")]
        images = {"optical": both[0], "sar": both[1], "joint": torch.cat(both, dim=1)}
        for modality in modalities:
            encoder = build(recording, modality, side)
            norm = f"{encoder.network.trunk}.norm_out"
            with Taps(encoder.network, [norm]) as seen:
                features = encoder(images[modality])
            tokens = features.maps[0][:, 0].flatten(2).transpose(1, 2)
            for block, part in enumerate(tokens.split(recording.config["dim"], dim=2)):
                recording.compare(f"s{side}/{modality}_block_{block:02d}", part)
            recording.compare(f"s{side}/{OFFICIAL[modality]}_encodings", seen[norm])
            recording.compare(f"s{side}/{OFFICIAL[modality]}_GAP", features.embedding)
    recording.done()


@pytest.mark.parametrize("modality", ["optical", "sar", "joint"])
def test_the_grid_follows_the_image_not_the_size_it_was_built_for(modality: Modality) -> None:
    recording = Recording("croma")
    small, large = sorted(recording.config["sizes"])
    encoder = build(recording, modality, small)
    fed = {"optical": ["optical"], "sar": ["sar"], "joint": ["optical", "sar"]}[modality]
    images = torch.cat([recording.inputs[f"s{large}/{name}"] for name in fed], dim=1)
    recording.compare(f"s{large}/{OFFICIAL[modality]}_GAP", encoder(images).embedding)
