"""Models of timm behind the interface: their own features, scaling and weights files; no network."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import configs
import encoders
import evaluate
from benchmark.request import configuration
from encoders import scaling
from encoders.errors import UserError, validate
from encoders.spec import InputSpec
from encoders.stages import Stages
from tests.library_models import card, images

timm = pytest.importorskip("timm", reason="timm is not installed (extra `timm`)")
NET = "timm:resnet18.a1_in1k"
pytestmark = pytest.mark.usefixtures("global_generator_left_alone")
VIT = "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k"


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "mobilenetv3_small_050.lamb_in1k"])
def test_features_are_those_of_timm(name: str) -> None:
    encoder = encoders.build(card(f"timm:{name}"))
    with torch.random.fork_rng():
        torch.manual_seed(42)
        reference = timm.create_model(name, num_classes=0).eval()
        torch.manual_seed(42)
        stages = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
    stages.load_state_dict(reference.state_dict(), strict=False)
    batch = images(3, 96)
    features = encoder(batch)
    with torch.no_grad():
        assert torch.equal(features.embedding, reference(batch))
        for given, expected in zip(features.maps, stages.eval()(batch), strict=True):
            assert torch.equal(given[:, 0], expected)
    assert [level.stride for level in encoder.levels] == [4, 8, 16, 32]
    assert encoder.embedding_dim == features.embedding.shape[1]


def test_blocks_of_a_transformer_are_one_level_and_its_embedding_is_what_its_classifier_gets() -> None:
    encoder = encoders.build(card(VIT))
    (level,) = encoder.levels
    assert (level.stride, [name for name, _ in level.modules]) == (
        16,
        ["blocks.3", "blocks.5", "blocks.7", "blocks.11"],
    )
    batch = images(3, 224)
    features = encoder(batch)
    network: Any = encoder.network
    with torch.no_grad():
        tokens = network.blocks[:4](network.norm_pre(network._pos_embed(network.patch_embed(batch))))[:, 1:]
        assert torch.equal(features.embedding, network(batch))
    assert torch.allclose(features.maps[0][:, 0, :192], tokens.transpose(1, 2).unflatten(2, (14, 14)), atol=1e-5)


def test_layers_seed_and_precision_are_the_users() -> None:
    encoder = encoders.build(card(NET, layers=[1, 3], seed=7), precision="bfloat16")
    assert [level.stride for level in encoder.levels] == [4, 16]
    assert next(encoder.parameters()).dtype == torch.bfloat16
    features = encoder(images(3, 64))
    assert features.maps[0].dtype == features.embedding.dtype == torch.float32
    full = encoders.build(card(NET, layers=[1, 3], seed=7))
    assert torch.allclose(features.embedding, full(images(3, 64)).embedding, rtol=0.1, atol=0.05)
    other = encoders.build(card(NET, layers=[1, 3], seed=8))
    assert not torch.allclose(other(images(3, 64)).embedding, full(images(3, 64)).embedding, atol=0.05)


def test_same_image_same_features_in_any_batch() -> None:
    encoder = encoders.build(card(NET))
    batch = images(3, 64)
    assert torch.allclose(encoder(batch).embedding[:1], encoder(batch[:1]).embedding, rtol=1e-5, atol=1e-6)


def test_a_model_of_built_in_size_takes_other_whole_patches() -> None:
    encoder = encoders.build(replace(card(VIT), image_size=64))
    assert encoder(images(3, 64)).maps[0].shape == (2, 1, 768, 4, 4)
    with pytest.raises(
        UserError, match=r"does not take images of 224 x 224 pixels .*; set encoder\.image_size to a size"
    ):
        encoder(images(3, 224))
    with pytest.raises(
        UserError, match=r"images of 70 pixels are not whole patches of 16; set encoder\.image_size to 64"
    ):
        encoders.build(card(VIT), image_size=70)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_released_file_is_read_without_its_classifier(suffix: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        released = timm.create_model("resnet18.a1_in1k").eval()
    path = tmp_path / "timm" / f"resnet18.a1_in1k{suffix}"
    path.parent.mkdir()
    state = released.state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    encoder = encoders.build(card(NET, random=False), weights_dir=tmp_path)
    batch = images(3, 64)
    with torch.no_grad():
        expected = released.forward_head(released.forward_features(batch), pre_logits=True)
    assert torch.equal(encoder(batch).embedding, expected)

    del state["layer1.0.conv1.weight"]
    state["surplus.weight"] = torch.zeros(1)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    with pytest.raises(UserError, match=r"missing: layer1\.0\.conv1\.weight; unexpected: surplus\.weight"):
        encoders.build(card(NET, random=False), weights_dir=tmp_path)


def test_a_missing_file_names_the_librarys_own_address(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"timm/resnet18\.a1_in1k\.safetensors or .*huggingface\.co/timm/resnet18\.a1_in1k"
    ):
        encoders.build(card(NET, random=False), weights_dir=tmp_path)


def test_a_name_without_tag_is_the_librarys_default_and_is_recorded_whole() -> None:
    assert encoders.card("timm:resnet18") == encoders.card(NET)
    assert encoders.card(NET).licence == "apache-2.0"
    assert encoders.card(NET).paper == "arXiv 2110.00476"


def test_pictures_are_made_by_the_rules_of_satmae_then_scaled_with_the_models_constants() -> None:
    ours = encoders.inputs_of(encoders.card(NET))
    profile = validate(InputSpec, yaml.safe_load((configs.ROOT / "inputs" / "satmae_rgb.yaml").read_text()), "profile")
    assert ours.bands == profile.bands
    for mine, theirs in zip(ours.rules[:4], profile.rules[:4], strict=True):
        assert (mine.unit, mine.note) == (theirs.unit, theirs.note)
        assert mine.steps[:-1] == theirs.steps[:-1]
        assert mine.steps[-1].mean | {"TCI_G": 0.456, "green": 0.456} == mine.steps[-1].mean
        assert mine.steps[-1].std["TCI_B"] == mine.steps[-1].std["blue"] == 0.225


def test_the_control_of_timm_is_fed_the_values_that_timms_own_name_is() -> None:
    control = encoders.card("dinov2_vitb14")
    ours, theirs = (
        encoders.inputs_of(control),
        encoders.inputs_of(encoders.card(f"timm:{control.options['architecture']}")),
    )
    assert ours.bands == theirs.bands
    pixels = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3000
    for one, other in zip(ours.rules, theirs.rules, strict=True):
        assert (one.unit, one.only, one.note) == (other.unit, other.only, other.note)
        for band in ("TCI_R", "TCI_G", "TCI_B", "red", "green", "blue"):
            for level in ("L1C", "L2A"):
                mine, its = (
                    scaling.apply(pixels, rule.steps, wanted=band, level=level, statistics=None)
                    for rule in (one, other)
                )
                assert torch.allclose(mine, its)


@pytest.mark.parametrize(
    ("name", "segmentation"), [(NET, "256_or_512"), (VIT, 224), ("timm:vit_small_patch14_dinov2.lvd142m", 518)]
)
def test_a_model_of_built_in_size_is_fed_that_size(name: str, segmentation: object) -> None:
    assert encoders.inputs_of(encoders.card(name)).segmentation_size == segmentation


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnt18", "timm has no model 'resnt18'; did you mean resnet18"),
        ("timm:resnet18.a1_in1", r"timm has no model 'resnet18.a1_in1'; did you mean resnet18\.a1_in1k"),
        ("timm:", "timm has no model ''; the library's list_models"),
    ],
)
def test_an_unknown_name_names_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoders.card(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": [9]}, "'layers' is \\[9\\]; name some of 0 to 4"),
        ({"layer": [1]}, "unknown key 'layer'; did you mean layers"),
        ({"arguments": {"no_such": 1}}, "the library cannot make it .*no_such.*; correct options.arguments"),
    ],
)
def test_a_wrong_option_is_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoders.build(card(NET, **options))


def test_a_library_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(UserError, match=r"need the library timm, .*satdifuser-bench\[timm\]"):
        encoders.card(NET)


def test_drawn_weights_run_from_the_command_line_and_are_never_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path))
    command = [
        "--encoder",
        NET,
        "--dataset",
        "real-chesapeake-patches",
        "--protocol",
        "smoke",
        "--output",
        str(tmp_path / "r"),
    ]
    overrides = ["encoder.weights.random=true", "encoder.image_size=32", "encoder.options.layers=[1,2]"]
    assert evaluate.main([*command, *overrides]) == 0
    (record,) = (tmp_path / "r" / "records").iterdir()
    text = record.read_text()
    assert '"ranked": false' in text
    assert "random weights" in text


def hooked(monkeypatch: pytest.MonkeyPatch, network: type) -> None:
    """Makes timm's network one that hands out no maps of its own."""
    monkeypatch.delattr(network, "forward_intermediates")


@pytest.mark.parametrize(("name", "side"), [(NET, 64), (VIT, 224), ("timm:swin_tiny_patch4_window7_224.ms_in1k", 224)])
def test_blocks_read_by_hooks_are_those_the_library_hands_out(
    name: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = images(3, side)
    told = encoders.build(card(name), image_size=side)
    expected = told(batch)
    hooked(monkeypatch, type(told.network))
    read = encoders.build(card(name), image_size=side)
    features = read(batch)
    assert [level.stride for level in read.levels] == [level.stride for level in told.levels]
    assert [level.channels for level in read.levels] == [level.channels for level in told.levels]
    assert torch.equal(features.embedding, expected.embedding)
    for one, other in zip(features.maps, expected.maps, strict=True):
        assert torch.equal(one, other)


class Odd(torch.nn.Module):
    """Blocks that give `shape` for any image."""

    def __init__(self, blocks: str, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        setattr(self, blocks, torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()]))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        value = torch.zeros(self.shape)
        for block in next(self.children()):
            value = block(value)
        return value


def test_a_model_without_blocks_or_maps_is_one_sentence() -> None:
    with pytest.raises(UserError, match="x: the library gives no feature maps of this model, and it has no blocks"):
        Stages(Odd("parts", (1, 4, 4, 4)), "x")
    odd = Stages(Odd("blocks", (1, 40, 8)), "x")
    assert odd.read(torch.zeros(1, 3, 64, 64), [0])[0][0].shape == (1, 8, 6, 6)
    for shape, size in (((1, 66 - 17, 8), (64, 32)), ((1, 35, 8, 2), (64, 64)), ((1, 1043, 8), (64, 64))):
        with pytest.raises(
            UserError, match=r"x: blocks\.1 gives .* which is no square map; write an encoder of your own"
        ):
            Stages(Odd("blocks", shape), "x").read(torch.zeros(1, 3, *size), [1])


def test_a_released_file_in_its_authors_layout_becomes_timms_own(tmp_path: Path) -> None:
    arguments = {"embed_dim": 48, "depth": 4, "num_heads": 3, "img_size": 28}
    name = "timm:vit_giant_patch14_reg4_dinov2.lvd142m"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        released = timm.create_model(name.removeprefix("timm:"), num_classes=0, **arguments).eval()
    # The authors' file: a mask token, registers of another name, positions with the class token's, gates as w12 and w3.
    state = {
        key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): one
        for key, one in released.state_dict().items()
    }
    position, first = state["pos_embed"], torch.randn(1, 1, 48, generator=torch.Generator().manual_seed(2))
    state["pos_embed"] = torch.cat((first, position), dim=1)
    state["cls_token"] = state["cls_token"] - first
    state["register_tokens"] = state.pop("reg_token")
    state["mask_token"] = torch.zeros(1, 48)
    (tmp_path / "timm").mkdir()
    torch.save(state, tmp_path / "timm" / f"{name.removeprefix('timm:')}.pth")
    passport = card(name, random=False, arguments=arguments)
    encoder = encoders.build(passport, image_size=28, weights_dir=tmp_path)
    own = encoder.network.state_dict()  # type: ignore[union-attr]
    for key, expected in released.state_dict().items():
        assert torch.allclose(own.pop(key), expected, atol=1e-6)
    assert not own

    state["blocks.0.mlp.w13.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "timm" / f"{name.removeprefix('timm:')}.pth")
    with pytest.raises(UserError, match=r"unexpected: blocks\.0\.mlp\.w13\.weight"):
        encoders.build(passport, image_size=28, weights_dir=tmp_path)


def test_layer_scales_of_deit3_are_converted(tmp_path: Path) -> None:
    arguments = {"embed_dim": 48, "depth": 1, "num_heads": 3}
    passport = card("timm:deit3_small_patch16_224.fb_in1k", random=False, arguments=arguments)
    with torch.random.fork_rng():
        released = timm.create_model("deit3_small_patch16_224.fb_in1k", **arguments).state_dict()
    released["blocks.0.ls2.gamma"] = torch.arange(48.0)
    theirs = {re.sub(r"ls(\d)\.gamma", r"gamma_\1", name): one for name, one in released.items()}
    (tmp_path / "timm").mkdir()
    torch.save(theirs, tmp_path / "timm" / "deit3_small_patch16_224.fb_in1k.pth")
    encoder = encoders.build(passport, image_size=224, weights_dir=tmp_path)
    assert torch.equal(encoder.get_parameter("network.blocks.0.ls2.gamma"), torch.arange(48.0))


def test_another_models_file_is_refused_by_its_tensors_names(tmp_path: Path) -> None:
    (tmp_path / "timm").mkdir()
    torch.save({"pos_embed": torch.zeros(3)}, tmp_path / "timm" / f"{VIT.removeprefix('timm:')}.pth")
    with pytest.raises(UserError, match=r"not the weights of this model \(missing: "):
        encoders.build(card(VIT, random=False), weights_dir=tmp_path)


def test_two_names_of_one_librarys_model_are_named_once() -> None:
    with pytest.raises(
        UserError, match=r"timm:resnet18 and timm:resnet18\.a1_in1k are one encoder on every dataset asked"
    ):
        configuration.compose(
            rows=["timm:resnet18", NET],
            dataset_choice="m-eurosat",
            probe=None,
            protocol="smoke",
            settings={},
            overrides=[],
        )
