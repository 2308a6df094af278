"""CROMA behind the encoder interface: what is read, from which file, at which sizes."""

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

import encoders
from encoders import assembly
from encoders.croma import CROMA
from encoders.croma_model import HEADS, PARTS, SIZES, Modality, Network, alibi
from encoders.errors import UserError
from tests.manifests import tensors

MODALITIES: tuple[Modality, ...] = ("optical", "sar", "joint")
SMALL = {"width": 32, "depth": 2}


def build(modality: Modality = "optical", precision: str = "float32", size: int = 32, **options: Any) -> CROMA:
    """CROMA with drawn weights."""
    name = f"croma_base_{modality}"
    card = encoders.card(name)
    card = replace(
        card,
        weights=encoders.card("croma_tiny").weights,
        options=card.options | {"architecture": SMALL} | options,
    )
    built = encoders.build(card, precision=precision, image_size=size)
    assert isinstance(built, CROMA)
    return built


def pixels(count: int, channels: int, side: int = 32) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def released() -> dict[str, dict[str, Tensor]]:
    """What a released file holds, small: five state dictionaries."""
    file: dict[str, dict[str, Tensor]] = {}
    for modality in MODALITIES:
        for name, tensor in build(modality, seed=len(file)).network.state_dict().items():
            part, _, rest = name.partition(".")
            file.setdefault(part, {})[rest] = tensor
    assert set(file) == set(PARTS)
    return file


def load(content: Mapping[str, Any], folder: Path, modality: Modality = "optical", **options: Any) -> CROMA:
    """CROMA from a file of that content, put where the card of the base size looks for its own."""
    (folder / "croma").mkdir(exist_ok=True)
    torch.save(dict(content), folder / "croma" / "CROMA_base.pt")
    card = encoders.card(f"croma_base_{modality}")
    card = replace(card, options=card.options | {"architecture": SMALL} | options)
    built = encoders.build(card, weights_dir=folder, image_size=32)
    assert isinstance(built, CROMA)
    return built


@pytest.mark.parametrize("modality", MODALITIES)
def test_same_image_same_features_in_any_batch(modality: Modality) -> None:
    encoder = build(modality)
    images = pixels(5, encoder.channels)
    whole, alone = encoder(images), encoder(images[3:4])
    torch.testing.assert_close(whole.maps[0][3:4], alone.maps[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole.embedding[3:4], alone.embedding, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "prefix", "layers", "width"),
    [
        ("croma_base_optical", "s2_encoder.transformer", (3, 5, 7, 11), 768),
        ("croma_base_sar", "s1_encoder.transformer", (2, 3, 4, 5), 768),
        ("croma_base_joint", "joint_encoder", (2, 3, 4, 5), 768),
        ("croma_large_optical", "s2_encoder.transformer", (7, 11, 15, 23), 1024),
        ("croma_large_sar", "s1_encoder.transformer", (3, 5, 7, 11), 1024),
        ("croma_large_joint", "joint_encoder", (3, 5, 7, 11), 1024),
    ],
)
def test_every_card_fits_the_released_file_and_its_count(
    name: str, prefix: str, layers: tuple[int, ...], width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = encoders.card(name)
    size = str(card.options["architecture"])
    path = tmp_path / next(iter(card.weights.urls))
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr(assembly, "load_tensors", lambda _: tensors(f"croma_{size}"))
    encoder = encoders.build(name, weights_dir=tmp_path)
    assert encoder.levels[0].stride == 8
    assert encoder.levels[0].modules == tuple((f"{prefix}.layers.{i}", width) for i in layers)
    assert encoder.embedding_dim == width
    assert card.parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert path.name.partition("-")[2].startswith(card.weights.sha256[f"croma/{path.name}"])


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_released_file_gives_the_features_of_its_weights(modality: Modality, tmp_path: Path) -> None:
    file = released()
    encoder = load(file, tmp_path, modality)
    for name, tensor in encoder.network.state_dict().items():
        part, _, rest = name.partition(".")
        assert torch.equal(tensor, file[part][rest])
    features = encoder(pixels(2, encoder.channels))
    depth = 2 if modality == "optical" else 1
    assert features.maps[0].shape == (2, 1, 32 * depth, 4, 4)
    assert features.embedding.shape == (2, 32)


def test_only_the_parts_of_a_modality_are_built() -> None:
    built = {modality: set(dict(Network(SIZES["tiny"], modality).named_children())) for modality in MODALITIES}
    assert built["optical"] == {"s2_encoder", "s2_GAP_FFN"}
    assert built["sar"] == {"s1_encoder", "s1_GAP_FFN"}
    assert built["joint"] == {"s1_encoder", "s2_encoder", "joint_encoder"}


def test_what_is_wrong_with_a_file_is_named(tmp_path: Path) -> None:
    missing = released()
    del missing["s2_encoder"]["linear_input.bias"]
    with pytest.raises(UserError, match=r"missing: s2_encoder\.linear_input\.bias"):
        load(missing, tmp_path)
    with pytest.raises(UserError, match=r"unexpected: s2_encoder\.cls_token"):
        load({**released(), "s2_encoder": {**released()["s2_encoder"], "cls_token": torch.zeros(1)}}, tmp_path)
    with pytest.raises(UserError, match=r"unexpected: s3_encoder\.weight"):
        load({**released(), "s3_encoder": {"weight": torch.zeros(1)}}, tmp_path)
    with pytest.raises(UserError, match=r"linear_input\.weight is \(32, 768\) float32, not \(48, 768\)"):
        load(released(), tmp_path, architecture={"width": 48, "depth": 2})
    with pytest.raises(UserError, match="s1_encoder"):
        load({part: file for part, file in released().items() if part != "s1_encoder"}, tmp_path, "joint")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "cls"}, "no cls token; choose authors or mean"),
        ({"pooling": "meen"}, "'pooling' is 'meen'; did you mean mean"),
        ({"layers": [2]}, r"'layers' is \[2\]; name some of 0 to 1"),
        ({"layers": []}, "name some of 0 to 1"),
        ({"layers": [1, 0]}, "ascending"),
        ({"layers": [-1, 0]}, "it must be at least 0"),
        ({"architecture": {"width": 40, "depth": 2}}, "multiple of 16"),
        ({"architecture": {"width": 32, "depth": 3}}, "even"),
        ({"layer": [1]}, "unknown key 'layer'; did you mean layers"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        build(**options)
    assert "\n" not in str(error.value)


def test_sizes_channels_and_precisions_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="multiple of 8 pixels, not 30 x 30; resize"):
        build(size=30)
    with pytest.raises(UserError, match="square"):
        build()(torch.rand(1, 12, 32, 40))
    with pytest.raises(UserError, match="joint looks at 14 channels, not at 12; set inputs to croma_joint"):
        encoders.build(replace(encoders.card("croma_tiny"), options={"modality": "joint"}))
    with pytest.raises(UserError, match="precision is 'float16'"):
        build(precision="float16")


def test_mean_is_the_mean_token_and_authors_passes_it_on(tmp_path: Path) -> None:
    file = released()
    images = pixels(2, 12)
    mean, authors = load(file, tmp_path, pooling="mean"), load(file, tmp_path)
    tokens = mean.network(images, mean.bias)
    assert torch.equal(mean(images).embedding, tokens.mean(1))
    assert torch.equal(authors(images).embedding, authors.network.s2_GAP_FFN(tokens.mean(1)))


def test_drawn_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = build(seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(7)
    images = pixels(1, 12)
    assert torch.equal(one(images).embedding, build(seed=3)(images).embedding)
    assert not torch.equal(one(images).embedding, build(seed=4)(images).embedding)


def test_bfloat16_holds_the_weights_and_gives_float32() -> None:
    exact, rounded = build(), build(precision="bfloat16")
    assert {parameter.dtype for parameter in rounded.parameters()} == {torch.bfloat16} == {rounded.bias.dtype}
    images = pixels(2, 12)
    one, two = exact(images), rounded(images)
    assert (two.maps[0].dtype, two.embedding.dtype) == (torch.float32, torch.float32)
    error = (one.maps[0] - two.maps[0]).norm() / one.maps[0].norm()
    assert 0 < error < 0.03


def test_the_bias_falls_with_distance_and_head() -> None:
    bias = alibi(3)
    assert bias.shape == (1, HEADS, 9, 9)
    # From the corner to the cell two to the right, and to the opposite corner.
    assert bias[0, 1, 0, 2].item() == pytest.approx(-0.5 * 2)
    assert bias[0, 3, 0, 8].item() == pytest.approx(-0.25 * 8**0.5)
    assert torch.equal(bias, bias.transpose(2, 3))


class Calls(TorchFunctionMode):
    """Counts what torch is asked for."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_the_bias_of_a_large_grid_takes_as_many_operations_as_that_of_a_small_one() -> None:
    counts = []
    for side in (2, 32):
        with Calls() as calls:
            alibi(side, torch.device("meta"))
        counts.append(calls.count)
    assert 0 < counts[0] == counts[1]


def test_the_bias_is_no_weight_and_moves_with_the_encoder() -> None:
    encoder = build()
    assert "bias" not in encoder.state_dict()
    kept = encoder.bias
    encoder(pixels(1, 12))
    assert encoder.bias is kept
    encoder(pixels(1, 12, 40))
    assert encoder.bias.shape[-1] == 25
    assert encoder.to("meta").bias.device.type == "meta"


def torchgeos_module() -> Any:
    """torchgeo's croma.py alone: the whole of torchgeo takes long to import."""
    found = importlib.util.find_spec("torchgeo")
    if found is None or not found.submodule_search_locations:
        pytest.skip("cross-check: torchgeo is not installed (extra torchgeo)")
    path = Path(found.submodule_search_locations[0]) / "models" / "croma.py"
    spec = importlib.util.spec_from_file_location("torchgeos_croma", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_torchgeos_croma_says_the_same_block_by_block() -> None:
    theirs = torchgeos_module()
    torch.manual_seed(0)
    model = theirs.CROMA(encoder_dim=48, encoder_depth=4, num_heads=HEADS, image_size=64).eval()
    torch.testing.assert_close(model.attn_bias, alibi(8))  # both take roots, whose last bit is the processor's
    blocks: dict[str, Tensor] = {}

    def watch(trunk: str, layers: Any, norm: torch.nn.Module) -> None:
        # A block's output is what the next one, or the norm, is given.
        followers = [*(layer[0] for layer in list(layers)[1:]), norm]
        for number, follower in enumerate(followers):
            name = f"{trunk}.layers.{number}"
            follower.register_forward_pre_hook(lambda _, given, name=name: blocks.update({name: given[0]}))

    for trunk in ("s1_encoder.transformer", "s2_encoder.transformer", "joint_encoder"):
        transformer = model.get_submodule(trunk)
        watch(trunk, transformer.layers, transformer.norm_out)
    optical, radar = pixels(2, 12, 64), pixels(2, 2, 64)
    with torch.no_grad():
        said = model(x_sar=radar, x_optical=optical)
    images = {"optical": optical, "sar": radar, "joint": torch.cat((optical, radar), 1)}
    for modality in MODALITIES:
        sizes = {"width": 48, "depth": 4}
        layers = tuple(range(4 if modality == "optical" else 2))
        encoder = build(modality, architecture=sizes, layers=layers, size=64)
        own = encoder.network.state_dict()
        encoder.network.load_state_dict({name: model.state_dict()[name] for name in own})
        features = encoder(images[modality])
        for (name, width), part in zip(encoder.levels[0].modules, features.maps[0][:, 0].split(48, dim=1), strict=True):
            assert width == 48
            torch.testing.assert_close(part.flatten(2).transpose(1, 2), blocks[name], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(features.embedding, said[f"{modality}_GAP"], rtol=1e-5, atol=1e-5)
        tokens = encoder.network(images[modality], encoder.bias)
        torch.testing.assert_close(tokens, said[f"{modality}_encodings"], rtol=1e-5, atol=1e-5)


def test_a_tiny_croma_runs_on_radar_and_optical_images() -> None:
    for name, channels in (("croma_tiny", 12), ("croma_tiny_joint", 14)):
        features = encoders.build(name)(pixels(1, channels, 120))
        assert features.maps[0].shape[-2:] == (15, 15)
        assert features.embedding.shape == (1, 64)


def test_radar_alone_is_scaled_as_beside_optical_images() -> None:
    alone, joint = encoders.input_spec("croma_sar"), encoders.input_spec("croma_joint")
    assert alone.bands["sentinel2"] == joint.bands["sentinel2"][-2:] == ("VV", "VH")
    assert alone.rules == tuple(rule for rule in joint.rules if rule.unit == "power")
    assert (alone.value_range, alone.image_size, alone.authors) == (joint.value_range, joint.image_size, joint.authors)
