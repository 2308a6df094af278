"""Models of torchgeo behind the interface: the bands, scaling and files of their weights; no network."""

from pathlib import Path

import pytest
import torch

import encoders
from benchmark.data import datasets, inputs
from encoders.errors import UserError
from tests.library_models import card, images

models = pytest.importorskip("torchgeo.models", reason="torchgeo is not installed (extra `torchgeo`)")
pytestmark = pytest.mark.usefixtures("global_generator_left_alone")


def test_torchgeos_weights_say_bands_scale_and_file() -> None:
    passport = card("torchgeo:resnet18:SENTINEL2_ALL_MOCO", random=False)
    file = "torchgeo/resnet18_sentinel2_all_moco-59bfdff9.pth"
    assert passport.weights.files == (file,)
    assert passport.weights.sha256 == {file: "59bfdff9"}
    assert passport.weights.urls[file].endswith("resnet18_sentinel2_all_moco-59bfdff9.pth")
    # m-eurosat has all thirteen bands; torchgeo divides digital numbers by 10,000.
    plan = inputs.plan(datasets.dataset("m-eurosat"), encoders.inputs_of(passport), missing_bands=("zero_raw",))
    assert {channel.describe().partition("| ")[2] for channel in plan.channels} == {"divide by=10000.0"}
    assert [channel.wanted.name for channel in plan.channels][:9] == [*(f"B0{i}" for i in range(1, 9)), "B8A"]


@pytest.mark.parametrize(
    ("name", "dataset", "rule"),
    [
        # SeCo's scale of 8-bit pictures, then ImageNet's (torchgeo resnet.py).
        ("resnet18:SENTINEL2_RGB_SECO", "m-eurosat", "true_colour white=3558.0 | zscore(fixed) mean=3.0 std=85.0 | divide by=0.00392"),
        ("resnet18:SENTINEL2_RGB_MOCO", "m-eurosat", "divide by=10000.0"),
        ("resnet50:FMOW_RGB_GASSL", "m-pv4ger", "divide by=255.0 | zscore(fixed) mean=0.485 std=0.229"),
        ("vit_small_patch14_dinov2:SENTINEL1_GRD_SOFTCON", "m-so2sat", "decibel | zscore(fixed) mean=-12.59 std=5.26"),
        ("resnet50:SENTINEL2_ALL_SOFTCON", "m-bigearthnet", "zscore(fixed) mean=1612.9 std=791.0"),
    ],
)  # fmt: skip
def test_torchgeos_normalisations_become_value_rules(name: str, dataset: str, rule: str) -> None:
    passport = card(f"torchgeo:{name}")
    plan = inputs.plan(datasets.dataset(dataset), encoders.inputs_of(passport))
    first = next(channel for channel in plan.channels if channel.stored or channel.filled)
    assert rule in first.describe()


def test_torchgeos_model_looks_at_the_bands_of_its_weights() -> None:
    encoder = encoders.build(card("torchgeo:vit_small_patch16_224:SENTINEL1_GRD_MAE"), image_size=32)
    assert encoder.channels == 2
    assert encoder(images(2, 32)).maps[0].shape == (2, 1, 4 * 384, 2, 2)
    with pytest.raises(UserError, match="the model looks at 2 bands, not at 1"):
        encoders.build(card("torchgeo:vit_small_patch16_224:SENTINEL1_GRD_MAE"), bands=encoder.inputs.usual_bands()[:1])


def test_torchgeos_file_may_lack_the_last_norm_and_hold_a_classifier(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        released = models.vit_small_patch16_224(in_chans=2).eval()
    kept = {name: tensor for name, tensor in released.state_dict().items() if not name.startswith("norm.")}
    assert any(name.startswith("head.") for name in kept)
    (tmp_path / "torchgeo").mkdir()
    torch.save(kept, tmp_path / "torchgeo" / "B2_vits16_mae_ep99_enc.pth")
    passport = card("torchgeo:vit_small_patch16_224:SENTINEL1_GRD_MAE", random=False)
    encoder = encoders.build(passport, weights_dir=tmp_path)
    batch = images(2, 224)
    with torch.no_grad():
        expected = released.forward_head(released.forward_features(batch), pre_logits=True)
    assert torch.equal(encoder(batch).embedding, expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19:X", "torchgeo has no model 'resnet19'; did you mean resnet18"),
        (
            "resnet18:SENTINEL2_RGB_MOC",
            "torchgeo:resnet18: no weights 'SENTINEL2_RGB_MOC'; did you mean SENTINEL2_RGB_MOCO",
        ),
        ("resnet18", "torchgeo:resnet18: no weights ''; choose from"),
        ("dofa_small_patch16_224:X", "torchgeo publishes no weights of 'dofa_small_patch16_224'"),
        ("resnet18:LANDSAT_TM_TOA_MOCO", "no dataset of the benchmark holds its bands"),
        ("satclip:SATCLIP_VIT16_L40", "torchgeo does not say how its images are scaled"),
        ("swin_b:CITYSCAPES_SEMSEG", "torchgeo makes its network, of windows of 12, only while it downloads"),
        ("unet:SENTINEL2_2CLASS_FTW", "wants images of several dates, a sample has one"),
        ("croma_base:CROMA_VIT", "is built in; choose croma_base_joint or croma_base_optical or croma_base_sar"),
    ],
)
def test_a_model_of_torchgeo_that_cannot_be_had_is_one_sentence(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoders.card(f"torchgeo:{name}")


def test_what_torchgeo_and_we_hold_is_run_by_ours() -> None:
    assert encoders.card("torchgeo:dofa_base_patch16_224:DOFA_MAE") == encoders.card("dofa_v1_base")
    assert encoders.card("torchgeo:swin_v2_t:SENTINEL2_SI_RGB_SATLAS") == encoders.card("satlas_s2_swint_si_rgb")


def test_torchvisions_networks_in_torchgeo_are_read_by_hooks_at_the_end_of_each_stage(tmp_path: Path) -> None:
    passport = card("torchgeo:swin_t:CITYSCAPES_SEMSEG", random=False)
    with torch.random.fork_rng():
        released = models.swin_t().eval()
    kept = {name: one for name, one in released.state_dict().items() if not name.startswith(("head.", "norm."))}
    (tmp_path / "torchgeo").mkdir()
    torch.save(
        {"state_dict": kept, "feat_norms_state_dict": {"norm0.weight": torch.ones(96)}},
        tmp_path / passport.weights.files[0],
    )
    encoder = encoders.build(passport, image_size=64, weights_dir=tmp_path)
    assert [(level.stride, level.channels) for level in encoder.levels] == [(4, 96), (8, 192), (16, 384), (32, 768)]
    batch = images(3, 64)
    features = encoder(batch)
    released.head = torch.nn.Identity()
    with torch.no_grad():
        assert torch.equal(features.maps[1][:, 0], released.features[:4](batch).permute(0, 3, 1, 2))
        assert torch.equal(features.embedding, released(batch))
    # Its constants are of images of 0..1.
    plan = inputs.plan(datasets.dataset("m-pv4ger"), encoders.inputs_of(passport))
    assert "divide by=255.0 | zscore(fixed) mean=0.485 std=0.229" in plan.channels[0].describe()


def test_torchgeos_own_networks_are_read_by_hooks_too() -> None:
    passport = card("torchgeo:tilenet:NAIP_ALL_TILE2VEC")
    plan = inputs.plan(datasets.dataset("m-chesapeake"), encoders.inputs_of(passport))
    assert [channel.wanted.name for channel in plan.channels] == ["red", "green", "blue", "nir"]
    encoder = encoders.build(passport, image_size=64)
    assert [level.stride for level in encoder.levels] == [2, 4, 8, 16]
    assert encoder(images(4, 64)).embedding.shape == (2, 512)
