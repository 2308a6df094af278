"""Our encoders and fusers inside PANGAEA, on a stand-in of its interface: what they are fed, give and train."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

import configs
import encoders
from benchmark.data import datasets, input_transform, inputs
from benchmark.data.moments import BandStatistics
from benchmark.interop import pangaea_inputs
from benchmark.interop.pangaea_inputs import Choices, Inputs, Told
from decoders.decoder import pooled_decoder
from encoders.errors import UserError
from tests.pangaea_checkout import STAND_IN, checkout

ROOT = Path(__file__).parent.parent
S2 = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
NO_CIRRUS = tuple(name for name in S2 if name != "B10")
COLOURS = ("B4", "B3", "B2")
BANDS = {
    "mBigEarthNet": NO_CIRRUS,
    "mBrickKiln": S2,
    "mEuroSat": S2,
    "mForestnet": ("B2", "B3", "B4", "B8", "B11", "B12"),
    "mPv4ger": COLOURS,
    "mSo2Sat": ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"),
    "mCashew-Plant": NO_CIRRUS,
    "mChesapeake": ("B2", "B3", "B4", "B8"),
    "mNeonTree": COLOURS,
    "mNzCattle": COLOURS,
    "mPv4GerSeg": COLOURS,
    "mSACropType": NO_CIRRUS,
}
"""PANGAEA's `dataset_name` -> its bands, in the order its loaders hand them on (configs/dataset/ at f20f3d3)."""
STORED = {"B8A": "08A", **{f"B{number}": f"{number:02d}" for number in range(1, 13)}}
"""Its bands -> the beginning of the stored names that its loaders read them by."""
COLOUR_NAMES = {"B4": "red", "B3": "green", "B2": "blue", "B8": "nearinfrared"}
RANGES = {"dn": 8000, "reflectance": 0.8, "byte": 255, "dn8": 255, "unit": 1}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    with checkout(STAND_IN, monkeypatch):
        monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path / "home"))
        yield tmp_path


def pixels(name: str, count: int = 2, side: int = 32, seed: int = 0) -> np.ndarray:
    """Made-up native images (count, bands, side, side) of a dataset, in the units of its bands."""
    rng = np.random.default_rng(seed)
    bands = datasets.dataset(name).main_bands
    drawn = [rng.uniform(0, RANGES.get(band.unit or "dn", 1), (count, side, side)) for band in bands]
    return np.stack(drawn, axis=1).astype(np.float32)


def handed(name: str, native: np.ndarray) -> tuple[Tensor, Told]:
    """Native images as PANGAEA hands them on, (count, bands, side, side), and its dataset's config."""
    mean = tuple(100.0 + 7 * number for number in range(len(BANDS[name])))
    std = tuple(30.0 + 3 * number for number in range(len(BANDS[name])))
    stored = [band.name.lower().replace(" ", "") for band in datasets.dataset(name).main_bands]

    def position(band: str) -> int:
        landsat = {"B8": "05", "B11": "06", "B12": "07"} if name == "mForestnet" else {}
        begins = (landsat.get(band, STORED[band]) + "-").lower()
        if any(one.startswith("0") for one in stored):
            found = [n for n, one in enumerate(stored) if f"{one}-".startswith(begins)]
            return found[-1]  # m-so2sat has radar bands of the same numbers, first
        return next(n for n, one in enumerate(stored) if one == COLOUR_NAMES[band])

    taken = torch.from_numpy(native[:, [position(band) for band in BANDS[name]]])
    scaled = (taken - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    return scaled, Told(name, {"optical": BANDS[name]}, {"optical": mean}, {"optical": std})


def exact(name: str, native: np.ndarray) -> dict[str, BandStatistics]:
    bands = datasets.dataset(name).main_bands
    of = {band.band: native[:, number] for number, band in enumerate(bands)}
    return {
        band: BandStatistics(float(one.mean()), float(one.std()), float(one.min()), float(one.max()), -12.0, 4.0)
        for band, one in of.items()
    }


@pytest.mark.parametrize(
    "profile", ["satdifuser", "croma_optical", "dofa", "satmae_group", "satlas_s2_ms", "satlas_aerial"]
)
@pytest.mark.parametrize("name", BANDS)
def test_an_encoder_sees_in_pangaea_what_it_sees_here(name: str, profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All twelve: channels by what they are, fills, value rules, resizing; PANGAEA's own scaling leaves no trace."""
    dataset, spec, native = datasets.dataset(name), encoders.input_spec(profile), pixels(name)
    statistics = exact(name, native)
    monkeypatch.setattr(pangaea_inputs.ingest, "train_statistics", lambda *_: statistics)
    images, told = handed(name, native)
    try:
        # PANGAEA's m-so2sat hands no radar on.
        plan = inputs.plan(dataset, spec)
    except UserError as refused:
        with pytest.raises(UserError, match=re.escape(str(refused))):
            Inputs(spec, told, told.bands, 48, Choices())
        return
    ours = input_transform.resize(input_transform.InputTransform(plan, statistics).scaled(native), 48)
    theirs = Inputs(spec, told, told.bands, 48, Choices())({"optical": images})
    # One 255th where a rule rounds down to 8 bits: PANGAEA's numbers lost digits on their way.
    tolerance = 1 / 255 + 1e-3 if profile == "satmae_group" else 1e-3
    assert theirs.shape == ours.shape
    assert (theirs - ours).abs().max() < tolerance
    assert (theirs - ours).abs().mean() < 1e-4


@pytest.mark.parametrize("name", BANDS)
def test_values_pangaea_are_its_own_numbers_under_its_own_names(name: str) -> None:
    images, told = handed(name, pixels(name))
    fed = Inputs(encoders.input_spec("croma_optical"), told, told.bands, 32, Choices(values="pangaea"))
    wanted = [re.sub("^B0", "B", channel.wanted.name) for channel in fed.plan.channels]
    assert wanted == list(NO_CIRRUS)
    seen = fed({"optical": images})
    for number, band in enumerate(wanted):
        expected = images[:, BANDS[name].index(band)] if band in BANDS[name] else torch.zeros_like(images[:, 0])
        assert torch.equal(seen[:, number], expected)


def test_channels_that_pangaea_filtered_and_padded_are_told_apart() -> None:
    images, told = handed("mEuroSat", pixels("mEuroSat"))
    names = ("B4", "B3", "B2", "VV")
    padded = torch.cat([images[:, [3, 2, 1]], torch.zeros_like(images[:, :1])], dim=1)
    spec = encoders.input_spec("satdifuser")
    one = Inputs(spec, told, {"optical": names}, 32, Choices())({"optical": padded})
    assert torch.allclose(one, Inputs(spec, told, told.bands, 32, Choices())({"optical": images}))
    with pytest.raises(UserError, match="has none of the bands"):
        Inputs(spec, told, {"optical": ("VV",)}, 32, Choices())


def test_the_wrong_setting_of_normalised_is_found_out() -> None:
    native = pixels("mEuroSat")
    images, told = handed("mEuroSat", native)
    spec = encoders.input_spec("satdifuser")
    with pytest.raises(UserError, match=r"unit 'dn' goes from -1 .*was not undone: .*or set encoder\.normalised=True"):
        Inputs(spec, told, told.bands, 32, Choices(normalised=False))({"optical": images})
    raw = torch.from_numpy(native) * 8
    with pytest.raises(UserError, match=r"was undone: .* without|set encoder\.normalised=False"):
        Inputs(spec, told, told.bands, 32, Choices())({"optical": raw})
    fed = Inputs(spec, told, told.bands, 32, Choices(normalised=False))({"optical": torch.from_numpy(native)})
    assert torch.allclose(fed, Inputs(spec, told, told.bands, 32, Choices())({"optical": images}), atol=1e-5)


def test_a_dataset_that_is_not_geobenchs_needs_a_unit_and_has_its_configs_statistics() -> None:
    told = Told("MADOS", {"optical": ("B2", "B3", "B4", "B8")}, {"optical": (0.05,) * 4}, {"optical": (0.04,) * 4})
    images = torch.randn(2, 4, 16, 16)
    with pytest.raises(UserError, match=r"MADOS is none of GEO-Bench's.*set encoder\.unit"):
        Inputs(encoders.input_spec("satdifuser"), told, told.bands, 16, Choices())
    colours = Inputs(encoders.input_spec("satdifuser"), told, told.bands, 16, Choices(unit="reflectance"))
    expected = ((images * 0.04 + 0.05) * 10000 / 4095).clamp(0, 1)[:, [2, 1, 0]]
    assert torch.allclose(colours({"optical": images}), expected, atol=1e-5)
    croma = Inputs(encoders.input_spec("croma_optical"), told, told.bands, 16, Choices(unit="reflectance"))
    blue = [channel.wanted.name for channel in croma.plan.channels].index("B02")
    assert torch.allclose(croma({"optical": images})[:, blue], (images[:, 0] / 4 + 0.5).clamp(0, 1), atol=1e-5)


def test_radar_in_decibels_passes_the_rule_that_begins_with_intensities() -> None:
    told = Told("radar", {"sar": ("VV", "VH")}, {"sar": (-11.0, -18.0)}, {"sar": (4.0, 5.0)})
    images = torch.randn(2, 2, 16, 16)
    fed = Inputs(encoders.input_spec("croma_sar"), told, told.bands, 16, Choices())({"sar": images})
    assert torch.allclose(fed, (images / 4 + 0.5).clamp(0, 1), atol=1e-4)


def encoder(name: str = "croma_tiny", size: int = 64, dataset: str = "mEuroSat", **given: Any) -> Any:
    from benchmark.interop.pangaea import FrozenEncoder

    _, told = handed(dataset, pixels(dataset))
    described = {"name": told.name, "bands": told.bands, "mean": told.mean, "std": told.std}
    return FrozenEncoder(
        name=name, input_bands=told.bands, input_size=size, dataset=described, **({"values": "pangaea"} | given)
    )


def batch(dataset: str = "mEuroSat", side: int = 64) -> dict[str, Tensor]:
    images, _ = handed(dataset, pixels(dataset, side=side))
    return {"optical": images}


def test_an_encoder_declares_itself_as_pangaeas_decoders_read_it() -> None:
    from pangaea.encoders.base import Encoder

    croma = encoder()
    assert isinstance(croma, Encoder)
    assert (croma.input_size, croma.multi_temporal, croma.multi_temporal_output) == (64, False, False)
    assert croma.input_bands == {"optical": list(S2)}
    assert (croma.pyramid_output, len(croma.output_dim), croma.output_layers) == (False, 4, [0, 1, 2, 3])
    maps = croma(batch())
    assert [one.shape[1] for one in maps] == croma.output_dim
    assert {one.shape[-1] for one in maps} == {8}
    satlas = encoder("satlas_tiny_ms")
    assert satlas.pyramid_output
    assert [one.shape[-1] for one in satlas(batch())] == [16, 8, 4, 2]


def test_its_maps_are_those_of_the_encoder_built_here_in_either_shape() -> None:
    croma = encoder()
    images = batch()
    fed = croma.inputs(images)
    maps = croma.frozen(fed).maps[0][:, 0]
    assert torch.equal(torch.cat(croma(images), dim=1), maps)
    assert torch.equal(torch.cat(croma({"optical": images["optical"][:, :, None]}), dim=1), maps)
    with pytest.raises(UserError, match="images of 2 dates"):
        croma({"optical": torch.zeros(1, 13, 2, 64, 64)})


def test_a_diffusion_model_gives_a_map_a_level_averaged_over_its_timesteps() -> None:
    satdifuser = encoder("satdifuser_tiny", values="authors")
    images = batch()
    features = satdifuser.features(images)
    maps = satdifuser(images)
    assert satdifuser.pyramid_output
    assert len(maps) == len(features.maps) == 4
    assert all(torch.equal(mine, whole.mean(1)) for mine, whole in zip(maps, features.maps, strict=True))
    # So PANGAEA's linear probe reads what this project's does: the embedding.
    assert torch.allclose(torch.cat([one.mean((2, 3)) for one in maps], dim=1), features.embedding, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "stands"),
    [
        ("croma:tiny", "croma_tiny"),
        ("dofa:tiny", "dofa_tiny"),
        ("satlas:tiny", "satlas_tiny_ms"),
        ("imagestats", "imagestats"),
    ],
)
def test_families_and_floors_are_named_as_everywhere(name: str, stands: str) -> None:
    built = encoder(name)
    assert built.frozen.card.name == stands
    assert all(one.shape[1] == width for one, width in zip(built(batch()), built.output_dim, strict=True))


def test_loading_weights_says_what_is_fed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        encoder("satdifuser_tiny", values="authors").load_encoder_weights(logging.getLogger())
    told = caplog.text
    assert "red@0.665 <- B04 [04 - Red] dn | divide by=4095.0 | clip low=0.0 high=1.0" in told
    assert "random weights, a check of the machinery" in told


REFUSED = {
    "finetune": ({"finetune": True}, "are frozen; leave finetune=false"),
    "address": ({"download_url": "https://weights.example"}, "downloads nothing"),
    "name": ({"name": "croma_tinny"}, "no encoder 'croma_tinny'; did you mean croma_tiny"),
    "option": ({"values": "author"}, "'values' is 'author'; did you mean authors"),
    "unknown option": ({"value": "authors"}, "unknown key 'value'; did you mean values"),
    "layers": ({"name": "satdifuser_tiny", "output_layers": [1]}, "has no option 'layers'"),
    "fusion": ({"fusion": "gw"}, "fusion is gw, which is trained; choose a decoder"),
    "weights": ({"name": "croma_base_optical"}, "weight files are missing: croma"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_one_sentence(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoder(**({"name": "croma_tiny"} | given))


def decoder(frozen: Any, fusion: str = "gw", task: str = "classification", **given: Any) -> nn.Module:
    from benchmark.interop.pangaea_decoders import fused_decoder

    targets = {
        "classification": {"_target_": "pangaea.decoders.linearclassifier.LinearClassifier"},
        "segmentation": {"_target_": "pangaea.decoders.upernet.SegUPerNet", "channels": 8},
    }
    options = {"projection_dim": 16, "num_norm_groups": 4} if fusion in ("gw", "lw", "lw-fixed", "moe") else {}
    return fused_decoder(
        encoder=frozen, num_classes=5, finetune=False, fusion=fusion, task=task, decoder=targets[task],
        **({"options": options} | given),
    )  # fmt: skip


@pytest.mark.parametrize("fusion", ["gw", "lw", "lw-fixed", "mean", "concat"])
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_training_a_decoder_trains_the_fuser_and_not_the_encoder(fusion: str, task: str) -> None:
    made: Any = decoder(encoder("satdifuser_tiny"), fusion, task)
    before = {name: one.clone() for name, one in made.encoder.encoder.state_dict().items()}
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.01)
    made.train()
    images = {"optical": batch()["optical"][:, :, None]}
    logits = made(images, output_shape=(20, 20))
    assert logits.shape == ((2, 5) if task == "classification" else (2, 5, 20, 20))
    logits.square().sum().backward()
    trained = {name for name, one in made.named_parameters() if one.grad is not None}
    assert trained == {name for name, one in made.named_parameters() if not name.startswith("encoder.encoder.")}
    optimizer.step()
    assert all(torch.equal(one, before[name]) for name, one in made.encoder.encoder.state_dict().items())
    assert not made.encoder.encoder.frozen.training


def test_its_linear_decoder_behind_gw_is_satdifusers_classifier() -> None:
    made: Any = decoder(encoder("satdifuser_tiny"))
    images = batch()
    ours = pooled_decoder(made.encoder.fuser, 5)
    ours.head.decoder_head["2"].load_state_dict(made.linear_head[-1].state_dict())
    expected = ours(made.encoder.encoder.features(images).maps)
    assert torch.allclose(made({"optical": images["optical"][:, :, None]}), expected, atol=1e-5)
    assert made.encoder.output_dim == [16]
    assert decoder(encoder("satdifuser_tiny"), added=False).encoder.output_dim == [16] * 4  # type: ignore[union-attr]


def test_a_decoder_is_restored_from_its_checkpoint() -> None:
    one: Any = decoder(encoder("satdifuser_tiny"), task="segmentation")
    other: Any = decoder(encoder("satdifuser_tiny"), task="segmentation")
    images = {"optical": batch()["optical"][:, :, None]}
    assert not torch.equal(one(images, output_shape=(8, 8)), other(images, output_shape=(8, 8)))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(images, output_shape=(8, 8)), other(images, output_shape=(8, 8)))


def test_experts_that_get_no_image_do_not_stop_its_parallel_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = {"projection_dim": 32, "num_norm_groups": 2, "warmup_steps": 0, "num_experts": 4, "top_k": 1}
    made = decoder(encoder("satdifuser_tiny"), "moe", options=options)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        parallel = nn.parallel.DistributedDataParallel(made)
        images = {"optical": batch()["optical"][:1, :, None]}
        for _ in range(3):
            made.zero_grad()
            parallel(images).square().sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    grads = [one.grad for name, one in made.named_parameters() if ".experts." in name]
    assert any(one is None for one in grads)
    assert any(one is not None for one in grads)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="experts train in one process"):
        decoder(encoder("satdifuser_tiny"), "moe", options=options)


def test_what_no_decoder_of_pangaea_can_hold_is_refused() -> None:
    from pangaea.encoders.small import Pyramid

    with pytest.raises(
        UserError, match="a fuser needs an encoder of this project, not Pyramid; choose encoder=satdifuser"
    ):
        decoder(Pyramid({"optical": ["B4"]}, 32, [4, 8]))
    frozen = encoder("satdifuser_tiny")
    with pytest.raises(UserError, match=r"decoder\.fusion is 'gww'; did you mean gw"):
        decoder(frozen, "gww")
    with pytest.raises(UserError, match="has no place for the balance of experts; choose moe"):
        decoder(frozen, "moe-balanced")
    with pytest.raises(UserError, match=r"decoder\.added: maps .* channels wide cannot be added"):
        decoder(frozen, "mean", added=True)


DATASET = {
    "dataset_name": "mEuroSat",
    "num_classes": 10,
    "bands": {"optical": list(S2)},
    "data_mean": {"optical": [1000.0] * 13},
    "data_std": {"optical": [100.0] * 13},
}


def composed(folder: Path, *overrides: str) -> Any:
    """A config as PANGAEA's `run.py` composes it, with this project's folder on the search path."""
    (folder / "dataset").mkdir(parents=True, exist_ok=True)
    (folder / "dataset" / "meurosat.yaml").write_text(str(DATASET))
    (folder / "train.yaml").write_text(
        "defaults: [dataset: meurosat, encoder: null, decoder: null, _self_]\nfinetune: false\n"
    )
    search = f"hydra.searchpath=[file://{configs.ROOT / 'pangaea'}]"
    with initialize_config_dir(str(folder), version_base=None):
        return compose("train", overrides=[search, *overrides])


def test_the_shipped_configs_make_encoder_and_decoders(tmp_path: Path) -> None:
    small = ["+decoder.options={projection_dim: 16, num_norm_groups: 4}", "encoder.values=pangaea"]
    cfg = composed(tmp_path / "c", "encoder=satdifuser_tiny", "decoder=cls_fused_linear", *small)
    frozen = instantiate(cfg.encoder)
    images = {"optical": batch()["optical"][:, :, None]}
    assert instantiate(cfg.decoder, encoder=frozen)(images).shape == (2, 10)
    cfg = composed(tmp_path / "c", "encoder=satdifuser_tiny", "decoder=seg_fused_upernet", *small)
    assert instantiate(cfg.decoder, encoder=frozen)(images, output_shape=(9, 9)).shape == (2, 10, 9, 9)
    any_name = ["encoder=satdifuser_bench", "encoder.name=dofa_tiny", "encoder.input_size=64", "encoder.values=pangaea"]
    dofa = instantiate(composed(tmp_path / "c", *any_name, "decoder=cls_fused_linear").encoder)
    assert (dofa.frozen.card.name, dofa.input_bands) == ("dofa_tiny", {"optical": list(S2)})
