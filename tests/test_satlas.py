"""Satlas behind the encoder interface: what is read, from which layout of file, for one image and several."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import encoders
from encoders import assembly
from encoders.bands import Band
from encoders.errors import UserError
from encoders.satlas import MOST_IMAGES, Satlas
from tests.manifests import index, tensors

CARD = encoders.card("satlas_tiny")
MANIFESTS = sorted(name for name in index() if name.startswith("satlas_"))
SMALL = {"width": 16, "depths": [1, 1, 1, 1], "heads": [1, 2, 4, 8]}


def bands(count: int) -> list[Band]:
    return [Band(f"band {number}") for number in range(count)]


def build(
    architecture: str = "tiny", given: list[Band] | None = None, precision: str = "float32", **options: Any
) -> Satlas:
    """Satlas with drawn weights."""
    card = replace(CARD, options=CARD.options | {"architecture": architecture} | options)
    built = encoders.build(card, bands=given, precision=precision)
    assert isinstance(built, Satlas)
    return built


@pytest.fixture(scope="module")
def tiny() -> Satlas:
    return build()


def pixels(count: int, channels: int = 3, height: int = 64, width: int = 64) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def close(actual: Tensor, expected: Tensor) -> None:
    """Equal to 1e-5 of the largest value."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def load(content: Mapping[str, Tensor], folder: Path, count: int = 3, **options: Any) -> Satlas:
    """Satlas from a file of that content, put where the card of the released single-image Swin-B looks for its own."""
    (folder / "satlas").mkdir(exist_ok=True)
    torch.save(dict(content), folder / "satlas" / "sentinel2_swinb_si_rgb.pth")
    card = encoders.card("satlas_s2_swinb_si_rgb")
    card = replace(card, options=card.options | {"architecture": SMALL} | options)
    built = encoders.build(card, bands=bands(count), weights_dir=folder)
    assert isinstance(built, Satlas)
    return built


def card_name(manifest: str) -> str:
    """The card of a released file; Sentinel-1's have none, so they go through another's."""
    name = manifest.removesuffix("_torchgeo").lower().replace("sentinel2", "s2")
    return name.replace("sentinel1", "s2") + "_rgb" if "sentinel1" in name else name


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_every_released_file_fits(manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = encoders.card(card_name(manifest))
    (files,) = card.weights.files
    copy, original = files.split(" | ")
    path = tmp_path / (copy if manifest.endswith("_torchgeo") else original)
    path.parent.mkdir()
    path.touch()
    content = tensors(manifest)
    if not manifest.endswith("_torchgeo"):
        # Known to be there, not listed (README.md of the manifests).
        content |= {f"{name}.weight": torch.empty(1) for name in ("intermediates.1.layers.0.0", "heads.0.layers.0.0")}
    monkeypatch.setattr(assembly, "load_tensors", lambda _: content)
    channels = next(tensor.shape[1] for tensor in content.values() if tensor.ndim == 4)
    encoder = encoders.build(card, bands=bands(channels), weights_dir=tmp_path)
    assert encoder.channels == channels
    assert [level.stride for level in encoder.levels] == [4, 8, 16, 32]
    assert all(len(level.modules) == 1 for level in encoder.levels)
    if "Sentinel1" not in manifest:
        assert card.parameters == sum(parameter.numel() for parameter in encoder.parameters())


@pytest.mark.parametrize(
    "manifest", [name for name in MANIFESTS if "Sentinel1" not in name and not name.endswith("_torchgeo")]
)
def test_every_card_names_the_published_files_and_digests(manifest: str) -> None:
    card, published = encoders.card(card_name(manifest)), index()[manifest]
    address = published["torchgeo_file"]
    copy, original = f"satlas/{address.rpartition('/')[2]}", f"satlas/{published['file']}"
    assert card.weights.files == (f"{copy} | {original}",)
    assert card.weights.urls == {copy: address.replace("https://hf.co/", "https://huggingface.co/")}
    assert card.weights.sha256[copy] == published["torchgeo_sha256_prefix"]
    if published["sha256"]:
        assert card.weights.sha256[original] == published["sha256"]


@pytest.mark.parametrize(
    ("architecture", "widths"),
    [
        ("swin_b", (128, 256, 512, 1024)),
        ("swin_t", (96, 192, 384, 768)),
        ("resnet50", (256, 512, 1024, 2048)),
        ("resnet152", (256, 512, 1024, 2048)),
    ],
)
def test_widths_are_those_of_the_networks(architecture: str, widths: tuple[int, ...]) -> None:
    with torch.device("meta"):
        encoder = build(architecture)
    assert tuple(level.channels for level in encoder.levels) == widths
    assert encoder.embedding_dim == widths[-1]


@pytest.mark.parametrize("architecture", ["tiny", "resnet_tiny"])
def test_same_image_same_features_in_any_batch(architecture: str) -> None:
    encoder, images = build(architecture), pixels(5)
    whole, alone = encoder(images), encoder(images[3:4])
    for one, two in zip((*whole.maps, whole.embedding), (*alone.maps, alone.embedding), strict=True):
        close(one[3:4], two)


@pytest.mark.parametrize("architecture", ["tiny", "resnet_tiny"])
def test_the_authors_vector_is_what_torchvision_gives_its_classifier(architecture: str) -> None:
    encoder, images = build(architecture), pixels(2)
    features, mean = encoder(images), build(architecture, pooling="mean")(images)
    torch.testing.assert_close(features.embedding, encoder.network(images))
    torch.testing.assert_close(mean.embedding, mean.maps[3].mean((1, 3, 4)))


@pytest.mark.parametrize("architecture", ["tiny", "resnet_tiny"])
def test_several_images_are_folded_image_by_image_into_the_largest_value(architecture: str) -> None:
    triple, single = build(architecture, bands(2) * 3, images=3), build(architecture, bands(2))
    images = pixels(2, 6)
    features = triple(images)
    alone = [single(image) for image in images.split(2, dim=1)]
    for level, feature_map in enumerate(features.maps):
        largest = torch.stack([one.maps[level] for one in alone]).amax(0)
        close(feature_map, largest)
    assert (triple.channels, single.channels) == (6, 2)


def test_any_size_of_image_is_taken_from_a_patch_on(tiny: Satlas) -> None:
    sides = [level_map.shape[-2:] for level_map in tiny(pixels(1, 3, 64, 100)).maps]
    assert sides == [(16, 25), (8, 13), (4, 7), (2, 4)]
    with pytest.raises(UserError, match="3 x 64 pixels are smaller than a patch of 4"):
        tiny(pixels(1, 3, 3, 64))


def test_chosen_stages_are_read_and_the_embedding_stays(tiny: Satlas) -> None:
    some, images = build(layers=[0, 2]), pixels(2)
    assert [(level.stride, level.modules) for level in some.levels] == [
        (4, (("features.1", 16),)),
        (16, (("features.5", 64),)),
    ]
    features, whole = some(images), tiny(images)
    assert torch.equal(features.maps[1], whole.maps[2])
    assert torch.equal(features.embedding, whole.embedding)


@pytest.mark.parametrize("prefix", ["", "backbone.backbone.", "backbone.backbone.backbone."])
def test_a_released_layout_gives_the_features_of_its_weights(prefix: str, tiny: Satlas, tmp_path: Path) -> None:
    content = {prefix + name: tensor for name, tensor in tiny.network.state_dict().items()}
    content |= {
        prefix + "head.weight": torch.zeros(1000, 128),
        "intermediates.0.fpn.inner_blocks.0.0.weight": torch.zeros(1),
    }
    encoder, images = load(content, tmp_path), pixels(2)
    assert torch.equal(encoder(images).embedding, tiny(images).embedding)


@pytest.mark.parametrize("prefix", ["", "backbone.resnet.", "backbone.backbone.resnet."])
def test_a_released_resnet_gives_the_features_of_its_weights(prefix: str, tmp_path: Path) -> None:
    drawn = build("resnet_tiny")
    content = {prefix + name: tensor for name, tensor in drawn.network.state_dict().items()}
    content[prefix + "fc.weight"] = torch.zeros(1000, 512)
    encoder, images = load(content, tmp_path, architecture="resnet_tiny"), pixels(2)
    assert torch.equal(encoder(images).embedding, drawn(images).embedding)


def test_what_is_wrong_with_a_file_is_named(tiny: Satlas, tmp_path: Path) -> None:
    content = {f"backbone.backbone.{name}": tensor for name, tensor in tiny.network.state_dict().items()}
    bias, table = "backbone.backbone.norm.bias", "backbone.backbone.features.1.0.attn.relative_coords_table"
    with pytest.raises(UserError, match=r"missing: norm\.bias"):
        load({name: tensor for name, tensor in content.items() if name != bias}, tmp_path)
    with pytest.raises(UserError, match=r"unexpected: something\.weight"):
        load(content | {"something.weight": torch.zeros(1)}, tmp_path)
    with pytest.raises(UserError, match=r"holds norm\.bias twice, once as norm\.bias"):
        load(content | {"norm.bias": torch.zeros(128)}, tmp_path)
    with pytest.raises(UserError, match=r"relative_coords_table is \(1, 7, 7, 2\)"):
        load(content | {table: torch.zeros(1, 7, 7, 2)}, tmp_path)
    with pytest.raises(UserError, match="looks at 3 bands, not at 9; choose the encoder"):
        load(content, tmp_path, count=9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 0}, "'images' is 0; it must be at least 1"),
        ({"images": MOST_IMAGES + 1}, "images is 9; give 1 to 8"),
        (
            {"images": 3},
            r"are those of one image \(TCI_R, TCI_G, TCI_B\); a sample of the benchmark has one, so leave images at 1",
        ),
        ({"images": 4}, "or call encoders.build with the bands 4 times, image after image"),
        ({"pooling": "cls"}, "no cls token; choose authors or mean"),
        ({"layers": [4]}, "name some of 0 to 3"),
        ({"architecture": "swin_s"}, "did you mean|choose from"),
        ({"image": 2}, "unknown key 'image'; did you mean images"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        build(**options)
    assert "\n" not in str(error.value)


def test_drawn_weights_depend_on_the_seed_alone(tiny: Satlas) -> None:
    images = pixels(1)
    torch.rand(7)
    assert torch.equal(tiny(images).embedding, build()(images).embedding)
    assert not torch.equal(tiny(images).embedding, build(seed=4)(images).embedding)


@pytest.mark.parametrize("architecture", ["tiny", "resnet_tiny"])
def test_bfloat16_holds_the_weights_and_gives_float32(architecture: str) -> None:
    exact, rounded = build(architecture), build(architecture, precision="bfloat16")
    assert {parameter.dtype for parameter in rounded.parameters()} == {torch.bfloat16}
    one, two = exact(pixels(2)), rounded(pixels(2))
    assert {tensor.dtype for tensor in (*two.maps, two.embedding)} == {torch.float32}
    error = (one.maps[3] - two.maps[3]).norm() / one.maps[3].norm()
    assert 0 < error < 0.05


@pytest.mark.parametrize("name", ["satlas_tiny", "satlas_tiny_ms", "satlas_tiny_aerial", "satlas_resnet_tiny"])
def test_each_tiny_card_runs_at_its_own_size(name: str) -> None:
    encoder = encoders.build(name)
    side = encoder.inputs.side(256)
    features = encoder(pixels(1, encoder.channels, side, side))
    assert [side // level_map.shape[-1] for level_map in features.maps] == [4, 8, 16, 32]
