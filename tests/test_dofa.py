"""DOFA behind the encoder interface: any bands, released files as they are, kernels read the right way."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torch import Tensor

import encoders
from encoders import dofa
from encoders.bands import KNOWN, Band
from encoders.checkpoints import fit
from encoders.dofa import DOFA, LAYOUTS, SIZES, Generation, kernel_layout, skeleton, surplus
from encoders.errors import UserError
from encoders.spec import EncoderCard, Weights
from tests import manifests

CARDS = {"v1": encoders.card("dofa_tiny"), "v2": encoders.card("dofa_v2_tiny")}
RGB = [KNOWN[name] for name in ("B04", "B03", "B02")]
GENERATIONS: tuple[Generation, ...] = ("v1", "v2")
UNNAMED = Path("/weights/dofa/w.pth")


def build(
    generation: Generation = "v1", *, bands: list[Band] = RGB, precision: str = "float32", **options: object
) -> DOFA:
    card = CARDS[generation]
    card = replace(card, options=card.options | options)
    built = encoders.build(card, bands=bands, precision=precision)
    assert isinstance(built, DOFA)
    return built


def pictures(count: int = 3, *size: int) -> Tensor:
    return torch.randn(count, 3, *(size or (224, 224)), generator=torch.Generator().manual_seed(0))


def relative(one: Tensor, two: Tensor) -> float:
    return float((one - two).norm() / two.norm())


@pytest.fixture(scope="module")
def tiny() -> dict[str, DOFA]:
    return {generation: build(generation) for generation in GENERATIONS}


@pytest.mark.parametrize(("generation", "side"), [("v1", 14), ("v2", 16)])
def test_shapes_are_those_of_the_contract(tiny: dict[str, DOFA], generation: str, side: int) -> None:
    encoder = tiny[generation]
    features = encoder(pictures())
    [level] = encoder.levels
    assert level.stride == 224 // side
    assert level.modules == tuple((f"blocks.{number}", 64) for number in range(4))
    assert features.maps[0].shape == (3, 1, 4 * 64, side, side)
    assert features.embedding.shape == (3, 64)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("generation", GENERATIONS)
def test_same_image_same_features_in_any_batch(tiny: dict[str, DOFA], generation: str) -> None:
    images = pictures()
    together = tiny[generation](images)
    alone = tiny[generation](images[[1]])
    assert relative(alone.maps[0][0], together.maps[0][1]) < 1e-5
    assert relative(alone.embedding[0], together.embedding[1]) < 1e-5


def test_drawn_weights_are_the_seeds_and_leave_the_global_generator_alone(tiny: dict[str, DOFA]) -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    again, other = build(), build(seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    images = pictures(1)
    assert torch.equal(again(images).embedding, tiny["v1"](images).embedding)
    assert not torch.allclose(other(images).embedding, again(images).embedding, atol=1e-3)


def test_generator_is_not_held_and_any_bands_go_in() -> None:
    for count in (1, 2, 9):
        encoder = build(bands=list(KNOWN.values())[1 : 1 + count])
        assert encoder.channels == count
        assert not any("generator" in name for name, _ in encoder.named_parameters())
        assert encoder(torch.zeros(1, count, 32, 32)).maps[0].shape[-2:] == (2, 2)


def test_a_band_is_what_its_wavelength_says() -> None:
    images = pictures(1, 32, 32)
    straight, turned = build(), build(bands=RGB[::-1])
    torch.testing.assert_close(straight(images).maps, turned(images.flip(1)).maps, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(straight(images).maps[0], turned(images).maps[0], atol=1e-3)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_all_it_computes_with_moves_with_it(generation: Generation) -> None:
    # Tensors of two devices cannot be added: one that stayed behind would fail.
    moved = build(generation).to("meta")
    assert moved._body(pictures(2).to("meta")).maps[0].device.type == "meta"
    if generation == "v1":
        assert moved._body(pictures(2, 64, 96).to("meta")).embedding.device.type == "meta"


@pytest.mark.parametrize(("generation", "told"), [("v1", 3.75), ("v2", 5.405)])
def test_radar_is_told_its_generations_number_unless_one_is_given(generation: Generation, told: float) -> None:
    radar = [KNOWN["VV"], KNOWN["VH"]]
    kernels = [
        build(generation, bands=bands, radar_um=number).trunk.get_parameter("patch_embed.weight")
        for bands, number in ((radar, None), ([Band("a", None, told), Band("b", None, told)], None), (radar, 1.0))
    ]
    assert torch.equal(kernels[0], kernels[1])
    assert not torch.allclose(kernels[0], kernels[2])


def test_a_band_without_wavelength_is_refused() -> None:
    with pytest.raises(UserError, match="band TCI_R has no wavelength to tell; give one under wavelengths_um"):
        build(bands=[KNOWN["TCI_R"]])


def test_other_sizes_resize_positions_by_the_rule_chosen(tiny: dict[str, DOFA]) -> None:
    images = pictures(2, 64, 96)
    features = tiny["v1"](images)
    assert features.maps[0].shape[-2:] == (4, 6)
    for position in ("bicubic_aligned", "bilinear"):
        assert relative(build(position=position)(images).embedding, features.embedding) > 1e-4


def test_sizes_that_cannot_be_are_refused(tiny: dict[str, DOFA]) -> None:
    with pytest.raises(UserError, match="multiples of 16, not 64 x 70"):
        tiny["v1"](pictures(1, 64, 70))
    with pytest.raises(UserError, match="v2 takes images of 224 x 224 pixels, not 210 x 224"):
        tiny["v2"](pictures(1, 210, 224))
    with pytest.raises(UserError, match="v2 takes images of 224 x 224 pixels, not 256 x 256"):
        encoders.build(CARDS["v2"], bands=RGB, image_size=256)


def test_v2_is_fed_224_pixels_whatever_the_task() -> None:
    spec = encoders.inputs_of(CARDS["v2"])
    assert {spec.side(native, task) for native in (64, 500) for task in ("classification", "segmentation")} == {224}


def test_embeddings_are_what_pooling_says(tiny: dict[str, DOFA]) -> None:
    images = pictures(2)
    for generation in GENERATIONS:
        last = tiny[generation](images).maps[0][:, 0, -64:].flatten(2)
        mean = build(generation, pooling="mean")(images).embedding
        torch.testing.assert_close(mean, last.mean(2))
        authors = tiny[generation](images).embedding
        centred = mean if generation == "v1" else last.transpose(1, 2)
        # v1: a norm of the mean. v2: the mean of the normed tokens; its norm is drawn as the identity.
        normed = torch.nn.functional.layer_norm(centred, (64,), eps=1e-6)
        torch.testing.assert_close(authors, normed if generation == "v1" else normed.mean(1))
        by_class = build(generation, pooling="cls")(images).embedding
        assert not torch.allclose(by_class, mean, atol=1e-2)


def test_bfloat16_holds_the_blocks_only_and_gives_float32(tiny: dict[str, DOFA]) -> None:
    half = build(precision="bfloat16")
    assert {p.dtype for p in half.trunk.blocks.parameters()} == {torch.bfloat16}
    assert half.trunk.get_parameter("patch_embed.weight").dtype == torch.float32
    images = pictures(2)
    features = half(images)
    assert {features.maps[0].dtype, features.embedding.dtype} == {torch.float32}
    assert 0 < relative(features.maps[0], tiny["v1"](images).maps[0]) < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "huge"}, r"options\.architecture is 'huge'; choose from: base, large, tiny"),
        ({"architecture": {"dim": 32, "depth": 1, "heads": 4, "patch": 16}}, "image' is missing; add it"),
        ({"architecture": {"dim": 30, "depth": 1, "heads": 4, "patch": 16, "image": 32}}, "multiple of heads"),
        ({"generation": "v2", "kernel_layout": "new"}, "are v1's; remove them"),
        ({"generation": "v2", "position": "bilinear"}, "are v1's; remove them"),
        ({"radar_um": 0}, "'radar_um' is 0; it must be more than 0"),
        ({"position": "nearest"}, "'position' is 'nearest'"),
        ({"kernel_layout": "oldest"}, "did you mean old"),
        ({"layer": [1]}, "unknown key 'layer'; did you mean layers"),
        ({"layers": [4]}, "name some of 0 to 3"),
    ],
)
def test_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        encoders.build(replace(CARDS["v1"], options=CARDS["v1"].options | options), bands=RGB)
    assert "\n" not in str(error.value)


# Released files


@pytest.fixture
def released(tmp_path: Path) -> Callable[..., EncoderCard]:
    """Writes a drawn tiny network as a released file; the card that reads it."""

    def write(generation: Generation, *, official: bool = True, **changed: Tensor | None) -> EncoderCard:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(42)
            state: dict[str, Tensor | None] = dict(skeleton(SIZES[generation]["tiny"], generation).whole.state_dict())
        if official:
            state |= {"norm.weight": torch.ones(64), "norm.bias": torch.ones(64)}
        if official and generation == "v1":
            state |= {"mask_token": torch.zeros(1, 1, 32), "projector.weight": torch.zeros(64, 64)}
        state |= {name.replace("__", "."): tensor for name, tensor in changed.items()}
        torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "w.pth")
        return replace(CARDS[generation], weights=Weights(files=("missing.pth | w.pth",)))

    return write


def load(card: EncoderCard, folder: Path, **options: object) -> DOFA:
    card = replace(card, options=card.options | options)
    built = encoders.build(card, bands=RGB, weights_dir=folder)
    assert isinstance(built, DOFA)
    return built


@pytest.mark.parametrize(("generation", "official"), [("v1", True), ("v1", False), ("v2", True)])
def test_released_layouts_load(
    tiny: dict[str, DOFA], released: Callable[..., EncoderCard], tmp_path: Path, generation: Generation, official: bool
) -> None:
    card = released(generation, official=official)
    layout = "new" if generation == "v1" else None
    images = pictures(1)
    assert torch.equal(load(card, tmp_path, kernel_layout=layout)(images).embedding, tiny[generation](images).embedding)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blocks__1__attn__qkv__bias": None}, "missing: blocks.1.attn.qkv.bias"),
        ({"blocks__4__norm1__bias": torch.zeros(64)}, "unexpected: blocks.4.norm1.bias"),
        (
            {"pos_embed": torch.zeros(1, 10, 64)},
            r"of another shape or type: pos_embed is \(1, 10, 64\) float32, not \(1, 197, 64\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    released: Callable[..., EncoderCard], tmp_path: Path, changed: dict[str, Tensor | None], message: str
) -> None:
    with pytest.raises(UserError, match=rf"w\.pth: not the weights of this model \({message}"):
        load(released("v1", **changed), tmp_path, kernel_layout="new")


def test_names_of_v2_are_told_as_the_file_has_them(released: Callable[..., EncoderCard], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing: model\.norm\.weight"):
        load(released("v2", model__norm__weight=None), tmp_path)


def test_digest_says_how_kernels_lie(
    released: Callable[..., EncoderCard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, images = released("v1"), pictures(1)
    with pytest.raises(UserError, match=r"w\.pth: unknown release .* set options.kernel_layout to new or old"):
        load(card, tmp_path)
    by_option = {layout: load(card, tmp_path, kernel_layout=layout)(images).embedding for layout in ("new", "old")}
    assert relative(by_option["new"], by_option["old"]) > 0.01
    digest = sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    for layout in ("new", "old"):
        monkeypatch.setitem(dofa.LAYOUTS, digest[:8], layout)
        assert torch.equal(load(card, tmp_path)(images).embedding, by_option[layout])
    with pytest.raises(UserError, match="the old way by its sha256; remove"):
        load(card, tmp_path, kernel_layout="new")


@pytest.mark.parametrize(
    ("digest", "layout"),
    [
        ("4720985e42b918ac0307009eb06121a3435d9bbce6fd95446f84824a538165b1", "new"),
        ("ea9910bc026268ca36c30b76fd1169aeaca9ea51af5eaff840a20f150ea03d49", "new"),
        ("a0275954" + "0" * 56, "new"),
        ("0ff904d3" + "0" * 56, "new"),
        ("7cc0f413" + "0" * 56, "old"),
        ("fbd47fa9" + "0" * 56, "old"),
    ],
)
def test_known_releases(digest: str, layout: str) -> None:
    assert kernel_layout(UNNAMED, digest, None) == layout


def test_epoch_120_is_of_no_known_vintage() -> None:
    digest = "9f1ee25b4cdca4f7e1baa097612ff6f441ff5353f43f1d71f79f0a3d642a9ed4"
    with pytest.raises(UserError, match="unknown release"):
        kernel_layout(UNNAMED, digest, None)
    assert kernel_layout(UNNAMED, digest, "old") == "old"


@pytest.mark.parametrize("size", ["base", "large"])
def test_every_published_file_fits_and_is_counted_as_the_card_says(size: str) -> None:
    for generation in GENERATIONS:
        card = encoders.card(f"dofa_{generation}_{size}")
        copies = ("_official", "_torchgeo") if generation == "v1" else ("",)
        with torch.device("meta"):
            network = skeleton(SIZES[generation][size], generation)
        assert card.parameters == sum(parameter.numel() for parameter in network.whole.parameters())
        assert card.options["architecture"] == size
        for copy in copies:
            name = f"dofa_{generation}_{size}{copy}"
            state = manifests.tensors(name)
            fit(network.whole, state, name, drop=surplus(state, generation))
            published = manifests.index()[name]
            [path] = [path for path in card.weights.urls if path.endswith("/" + published["file"])]
            if generation == "v1":
                digest = card.weights.sha256[path]
                assert digest.startswith(published.get("sha256", published.get("sha256_prefix")))
                assert LAYOUTS[digest] == "new"


def test_torchgeo_gives_the_same(tmp_path: Path) -> None:
    torchgeo = pytest.importorskip("torchgeo.models", reason="torchgeo is not installed")
    model = torchgeo.DOFA(img_size=64, patch_size=16, embed_dim=64, depth=3, num_heads=4, num_classes=0).eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    torch.nn.init.ones_(model.fc_norm.weight)
    torch.nn.init.zeros_(model.fc_norm.bias)
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("fc_norm")}
    torch.save(state, tmp_path / "w.pth")
    sizes = {"dim": 64, "depth": 3, "heads": 4, "patch": 16, "image": 64}
    card = replace(CARDS["v1"], weights=Weights(files=("w.pth",)))
    encoder = load(card, tmp_path, architecture=sizes, kernel_layout="new")
    images = pictures(2, 64, 64)
    with torch.no_grad():
        expected = model.forward_features(images, [band.wavelength_um for band in RGB])
    assert relative(encoder(images).embedding, expected) < 1e-5
