"""SatMAE against what the authors' code put out (recordings/encoders/README.md), through the released layout."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import encoders
from encoders.satmae import SatMAE
from encoders.spec import Weights
from encoders.taps import Taps
from tests.parity.recorded import Recording

CARDS = {"satmae_rgb": "satmae_rgb_vitl", "satmae_group": "satmae_group_vitb"}


def released(recording: Recording, folder: Path) -> None:
    """The recorded weights as the authors save theirs: a training state."""
    model = {name.removeprefix("model/"): tensor for name, tensor in recording.weights.items()}
    state = {"model": model, "optimizer": {"state": {}}, "epoch": 3, "args": argparse.Namespace(lr=1.0)}
    torch.save(state, folder / "w.pth")


def build(recording: Recording, folder: Path, size: int, pooling: str, position: str) -> SatMAE:
    config = recording.config
    sizes = {name: config[key] for name, key in (("dim", "embed_dim"), ("depth", "depth"), ("heads", "num_heads"))}
    sizes |= {"patch": config["patch_size"], "image": config["native"], "channel": config["channel_embed"] or 0}
    options = {"architecture": sizes, "layers": list(range(config["depth"])), "pooling": pooling, "position": position}
    card = replace(encoders.card(CARDS[recording.name]), weights=Weights(files=("w.pth",)), options=options)
    built = encoders.build(card, image_size=size, weights_dir=folder)
    assert isinstance(built, SatMAE)
    return built


@torch.no_grad()
@pytest.mark.parametrize("name", CARDS)
def test_every_recorded_tensor_comes_out(name: str, tmp_path: Path) -> None:
    recording = Recording(name)
    released(recording, tmp_path)
    native, other = recording.config["sizes"]
    assert native == recording.config["native"]
    rules = {f"s{native}": "sincos", f"s{other}/fresh_sincos": "sincos", f"s{other}/bicubic_ac0": "bicubic"}
    for prefix, position in rules.items():
        size = native if prefix == f"s{native}" else other
        images = recording.inputs[f"s{size}/x"]
        encoder = build(recording, tmp_path, size, "authors", position)
        grid = size // encoder.sizes.patch
        recording.compare(f"{prefix}/pos_embed", encoder.position(grid, grid))
        recording.compare(f"{prefix}/tokens_in", encoder.tokens(images))
        names = [f"blocks.{number}" for number in encoder.taps]
        with Taps(encoder.model, names) as seen:
            features = encoder(images)
        depth = len(names)
        for number, block in enumerate(names):
            key = f"{prefix}/block_{number:02}"
            recording.compare(key, seen[block])
            # A map is the mean over groups, which is one group's tokens where there are none.
            groups = len(recording.config["channel_groups"] or [()])
            expected = recording.expected[key][:, 1:].unflatten(1, (groups, grid, grid)).mean(1).permute(0, 3, 1, 2)
            torch.testing.assert_close(features.maps[0][:, 0].chunk(depth, 1)[number], expected, rtol=1e-5, atol=2e-5)
        recording.compare(f"{prefix}/tokens_norm", encoder.model.norm(seen[names[-1]]))
        recording.compare(f"{prefix}/pooled_gap_fcnorm", features.embedding)
        by_class = build(recording, tmp_path, size, "cls", position)
        recording.compare(f"{prefix}/cls_norm", by_class(images).embedding)
    recording.done()
