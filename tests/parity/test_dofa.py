"""DOFA against what the authors' code put out (recordings/encoders/README.md), through the released layout."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import encoders
from encoders.bands import Band
from encoders.dofa import DOFA
from encoders.spec import EncoderCard, Weights
from tests.parity.recorded import Recording

Build = Callable[..., DOFA]


def card_for(recording: Recording, folder: Path, generation: str, **options: object) -> EncoderCard:
    """A card of the recorded sizes, its weights written as a released file."""
    save_file(recording.weights, folder / "w.safetensors")
    config = recording.config
    sizes = {name: config[key] for name, key in (("dim", "embed_dim"), ("depth", "depth"), ("heads", "num_heads"))}
    architecture = sizes | {"patch": config["patch_size"], "image": config["native"]}
    return replace(
        encoders.card(f"dofa_{generation}_base"),
        weights=Weights(files=("w.safetensors",)),
        options={
            "generation": generation,
            "architecture": architecture,
            "layers": list(range(config["depth"])),
            **options,
        },
    )


def build(card: EncoderCard, folder: Path, waves: list[float], size: int, **options: Any) -> DOFA:
    bands = [Band(f"band{number}", None, wave) for number, wave in enumerate(waves)]
    card = replace(card, options=card.options | options)
    built = encoders.build(card, bands=bands, image_size=size, weights_dir=folder)
    assert isinstance(built, DOFA)
    return built


def block_maps(encoder: DOFA, images: Tensor) -> tuple[Tensor, ...]:
    return encoder(images).maps[0][:, 0].chunk(len(encoder.taps), dim=1)


@torch.no_grad()
def test_v1_gives_every_recorded_tensor(tmp_path: Path) -> None:
    recording = Recording("dofa_v1")
    card = card_for(recording, tmp_path, "v1", kernel_layout="new")
    for name, waves in recording.config["bands_um"].items():
        for size in recording.config["sizes"]:
            images, key = recording.inputs[f"s{size}/{name}"], f"s{size}/{name}"
            encoder = build(card, tmp_path, waves, size)
            if f"{key}/tokens_in" in recording.expected:
                recording.compare(f"{key}/tokens_in", encoder.tokens(images))
            for number, block_map in enumerate(block_maps(encoder, images)):
                recording.compare(f"{key}/block_{number:02}_map", block_map)
            recording.compare(f"{key}/pooled_fcnorm", encoder(images).embedding)
    waves = recording.config["bands_um"]["s2"]
    for rule, short in (("bicubic", "bicubic_ac0"), ("bicubic_aligned", "bicubic_ac1"), ("bilinear", "bilinear_ac0")):
        encoder = build(card, tmp_path, waves, 96, position=rule)
        recording.compare(f"s96/pos_embed_{short}", encoder.position(6, 6))
        if rule != "bicubic":
            recording.compare(f"s96/s2/pooled_fcnorm_{short}", encoder(recording.inputs["s96/s2"]).embedding)
    recording.done()


@torch.no_grad()
def test_v1_read_in_the_old_layout_is_another_network(tmp_path: Path) -> None:
    recording = Recording("dofa_v1")
    card = card_for(recording, tmp_path, "v1", kernel_layout="old")
    encoder = build(card, tmp_path, recording.config["bands_um"]["s2"], 64)
    with pytest.raises(AssertionError, match="tokens_in: off by"):
        recording.compare("s64/s2/tokens_in", encoder.tokens(recording.inputs["s64/s2"]))


def test_v1_radar_is_told_the_number_it_was_trained_with(tmp_path: Path) -> None:
    recording = Recording("dofa_v1")
    card = card_for(recording, tmp_path, "v1", kernel_layout="new")
    encoder = encoders.build(card, bands=[Band("VV"), Band("VH")], image_size=64, weights_dir=tmp_path)
    recording.compare("s64/s1/pooled_fcnorm", encoder(recording.inputs["s64/s1"]).embedding)


@torch.no_grad()
def test_v2_gives_every_recorded_tensor(tmp_path: Path) -> None:
    recording = Recording("dofa_v2")
    images, waves = recording.inputs["s224/x"], recording.config["waves_um"]
    encoder = build(card_for(recording, tmp_path, "v2"), tmp_path, waves, 224)
    for number, block_map in enumerate(block_maps(encoder, images)):
        recording.compare(f"s224/block_{number:02}_map", block_map)
    normed = recording.expected["s224/tokens_norm"]
    last = encoder.trunk.blocks[-1]
    seen: list[Tensor] = []
    handle = last.register_forward_hook(lambda *args: seen.append(args[2]))
    embedding = encoder(images).embedding
    handle.remove()
    recording.compare("s224/tokens_norm", encoder.trunk.norm(seen[0]))
    torch.testing.assert_close(embedding, normed[:, 1:].mean(1), rtol=0, atol=1e-5)
    by_class = build(card_for(recording, tmp_path, "v2"), tmp_path, waves, 224, pooling="cls")
    torch.testing.assert_close(by_class(images).embedding, normed[:, 0], rtol=0, atol=1e-5)
    recording.done()
