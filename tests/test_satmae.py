"""SatMAE behind the encoder interface: RGB and groups, pre-trained and fine-tuned files."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import encoders
from encoders.bands import KNOWN
from encoders.checkpoints import fit
from encoders.errors import UserError
from encoders.satmae import GROUPS, SIZES, SatMAE, ViT, surplus
from encoders.spec import EncoderCard, Weights
from tests import manifests

CARDS = {"rgb": encoders.card("satmae_tiny"), "group": encoders.card("satmae_group_tiny")}
SHAPES = {"rgb": (3, 224, 224), "group": (10, 96, 96)}
KINDS = tuple(CARDS)


def build(kind: str, precision: str = "float32", **options: object) -> SatMAE:
    card = replace(CARDS[kind], options=CARDS[kind].options | options)
    built = encoders.build(card, precision=precision)
    assert isinstance(built, SatMAE)
    return built


def pictures(kind: str, count: int = 3, size: tuple[int, int] | None = None) -> Tensor:
    channels, *native = SHAPES[kind]
    return torch.rand(count, channels, *(size or native), generator=torch.Generator().manual_seed(0))


def relative(one: Tensor, two: Tensor) -> float:
    return float((one - two).norm() / two.norm())


@pytest.fixture(scope="module")
def tiny() -> dict[str, SatMAE]:
    return {kind: build(kind) for kind in KINDS}


@pytest.mark.parametrize(("kind", "stride", "side"), [("rgb", 16, 14), ("group", 8, 12)])
def test_shapes_are_those_of_the_contract(tiny: dict[str, SatMAE], kind: str, stride: int, side: int) -> None:
    features = tiny[kind](pictures(kind))
    [level] = tiny[kind].levels
    assert (level.stride, level.channels) == (stride, 4 * 64)
    assert features.maps[0].shape == (3, 1, 4 * 64, side, side)
    assert features.embedding.shape == (3, 64)
    assert not any(parameter.requires_grad for parameter in tiny[kind].parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_same_image_same_features_in_any_batch(tiny: dict[str, SatMAE], kind: str) -> None:
    images = pictures(kind)
    together, alone = tiny[kind](images), tiny[kind](images[[1]])
    assert relative(alone.maps[0][0], together.maps[0][1]) < 1e-5
    assert relative(alone.embedding[0], together.embedding[1]) < 1e-5


def test_drawn_weights_are_the_seeds_and_leave_the_global_generator_alone(tiny: dict[str, SatMAE]) -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    again, other = build("rgb"), build("rgb", seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    images = pictures("rgb", 1)
    assert torch.equal(again(images).embedding, tiny["rgb"](images).embedding)
    assert not torch.allclose(other(images).embedding, again(images).embedding, atol=1e-3)


def test_groups_are_the_bands_of_equal_resolution() -> None:
    names = [band.name for band in encoders.input_spec("satmae_group").usual_bands()]
    assert [[names[channel] for channel in group] for group in GROUPS] == [
        ["B02", "B03", "B04", "B08"],
        ["B05", "B06", "B07", "B8A"],
        ["B11", "B12"],
    ]


def test_a_channel_reaches_its_groups_tokens_only(tiny: dict[str, SatMAE]) -> None:
    images = pictures("group", 1)
    changed = images.clone()
    changed[:, 3] += 1
    encoder = tiny["group"]
    moved = (encoder.tokens(changed) - encoder.tokens(images)).abs().amax(2)[0] > 1e-6
    assert not moved[: 1 + 144].any()
    assert moved[1 + 144 : 1 + 288].all()
    assert not moved[1 + 288 :].any()


def test_maps_are_means_over_groups_row_by_row(tiny: dict[str, SatMAE]) -> None:
    encoder, images = tiny["group"], pictures("group", 1, (64, 96))
    seen: list[Tensor] = []
    handle = encoder.model.blocks[-1].register_forward_hook(lambda *args: seen.append(args[2]))
    last = encoder(images).maps[0][0, 0, -64:]
    handle.remove()
    assert last.shape == (64, 8, 12)
    places = seen[0][0, 1:].view(3, 8 * 12, 64).mean(0)
    torch.testing.assert_close(last[:, 1, 2], places[12 + 2])


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_what_pooling_says(tiny: dict[str, SatMAE], kind: str) -> None:
    images = pictures(kind, 2)
    last = tiny[kind](images).maps[0][:, 0, -64:].flatten(2)
    mean = build(kind, pooling="mean")(images).embedding
    torch.testing.assert_close(mean, last.mean(2))
    torch.testing.assert_close(
        tiny[kind](images).embedding, torch.nn.functional.layer_norm(mean, (64,), eps=1e-6), rtol=1e-4, atol=1e-4
    )
    assert not torch.allclose(build(kind, pooling="cls")(images).embedding, tiny[kind](images).embedding, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_other_sizes_take_a_fresh_table_or_a_resized_one(tiny: dict[str, SatMAE], kind: str) -> None:
    resized = build(kind, position="bicubic")
    native, other = pictures(kind, 1), pictures(kind, 1, (64, 96))
    assert torch.equal(resized(native).embedding, tiny[kind](native).embedding)
    assert resized(other).maps[0].shape[-2:] == (64 // tiny[kind].sizes.patch, 96 // tiny[kind].sizes.patch)
    assert relative(resized(other).maps[0], tiny[kind](other).maps[0]) > 0.01


def test_bfloat16_holds_the_blocks_only_and_gives_float32(tiny: dict[str, SatMAE]) -> None:
    half, images = build("group", "bfloat16"), pictures("group", 2)
    assert {p.dtype for p in half.model.blocks.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in half.model.patch_embed.parameters()} == {torch.float32}
    features = half(images)
    assert {features.maps[0].dtype, features.embedding.dtype} == {torch.float32}
    assert 0 < relative(features.maps[0], tiny["group"](images).maps[0]) < 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", ["sincos", "bicubic"])
def test_all_it_computes_with_moves_with_it(kind: str, position: str) -> None:
    # Tensors of two devices cannot be added: one that stayed behind would fail.
    moved = build(kind, position=position).to("meta")
    assert moved._body(pictures(kind, 2, (64, 96)).to("meta")).maps[0].device.type == "meta"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "rgb_huge"}, "architecture is 'rgb_huge'; did you mean rgb_large"),
        ({"position": "bilinear"}, "'position' is 'bilinear'"),
        ({"finetuned": True, "pooling": "cls"}, "fine-tuned files have no norm .* choose authors or mean"),
        ({"layers": [4]}, "name some of 0 to 3"),
        ({"archtecture": "rgb_tiny"}, "unknown key 'archtecture'; did you mean architecture"),
    ],
)
def test_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        build("rgb", **options)
    assert "\n" not in str(error.value)


def test_inputs_that_cannot_be_are_refused(tiny: dict[str, SatMAE]) -> None:
    with pytest.raises(UserError, match="multiples of 8, not 96 x 100"):
        tiny["group"](pictures("group", 1, (96, 100)))
    with pytest.raises(UserError, match="given 9 channels where it looks at ten Sentinel-2 bands; use satmae_group"):
        encoders.build(CARDS["group"], bands=list(KNOWN.values())[:9])
    with pytest.raises(UserError, match="given 10 channels where it looks at red, green and blue"):
        encoders.build(CARDS["rgb"], bands=list(KNOWN.values())[:10])


# Released files


Write = Callable[..., EncoderCard]


@pytest.fixture
def released(tmp_path: Path) -> Write:
    """Writes a drawn tiny network as the authors save theirs; the card that reads it."""

    def write(kind: str, *, finetuned: bool = False, flat: bool = False, **changed: Tensor | None) -> EncoderCard:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(42)
            state: dict[str, Tensor | None] = dict(ViT(SIZES[f"{kind}_tiny"], finetuned=finetuned).state_dict())
        more = ("head.weight",) if finetuned else ("mask_token", "decoder_pos_embed", "decoder_blocks.0.norm1.bias")
        state |= {name: torch.zeros(3) for name in more}
        state |= {name.replace("__", "."): tensor for name, tensor in changed.items()}
        model = {name: tensor for name, tensor in state.items() if tensor is not None}
        args = argparse.Namespace(lr=1e-3, model="mae", train_path="/data")
        whole = {
            "model": model,
            "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{}]},
            "epoch": 199,
            "args": args,
        }
        if flat:
            save_file(model, tmp_path / "w.safetensors")
        else:
            torch.save(whole, tmp_path / "w.pth")
        return replace(
            CARDS[kind],
            weights=Weights(files=("w.pth | w.safetensors",)),
            options=CARDS[kind].options | {"finetuned": finetuned},
        )

    return write


def load(card: EncoderCard, folder: Path, **options: object) -> SatMAE:
    built = encoders.build(replace(card, options=card.options | options), weights_dir=folder)
    assert isinstance(built, SatMAE)
    return built


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flat", [False, True])
def test_pretrained_layouts_load(
    tiny: dict[str, SatMAE], released: Write, tmp_path: Path, kind: str, flat: bool
) -> None:
    encoder, images = load(released(kind, flat=flat), tmp_path), pictures(kind, 1)
    assert torch.equal(encoder(images).embedding, tiny[kind](images).embedding)


@pytest.mark.parametrize("kind", KINDS)
def test_finetuned_files_use_their_own_fc_norm(
    tiny: dict[str, SatMAE], released: Write, tmp_path: Path, kind: str
) -> None:
    card = released(kind, finetuned=True, fc_norm__weight=torch.full((64,), 3.0), fc_norm__bias=torch.ones(64))
    images = pictures(kind, 1)
    features, plain = load(card, tmp_path)(images), tiny[kind](images)
    torch.testing.assert_close(features.maps, plain.maps)
    torch.testing.assert_close(features.embedding, 3 * plain.embedding + 1, rtol=1e-4, atol=1e-4)


def test_finetuned_groups_tell_the_class_token_a_channel(
    tiny: dict[str, SatMAE], released: Write, tmp_path: Path
) -> None:
    encoder = load(released("group", finetuned=True, channel_cls_embed=torch.ones(1, 1, 16)), tmp_path)
    images = pictures("group", 1)
    added = encoder.tokens(images) - tiny["group"].tokens(images)
    torch.testing.assert_close(added[0, 0], torch.cat((torch.zeros(48), torch.ones(16))))
    assert added[0, 1:].abs().max() == 0


@pytest.mark.parametrize(
    ("finetuned", "changed", "message"),
    [
        (False, {"blocks__1__attn__qkv__bias": None}, "missing: blocks.1.attn.qkv.bias"),
        (False, {"blocks__4__norm1__bias": torch.zeros(64)}, "unexpected: blocks.4.norm1.bias"),
        (False, {"channel_embed": torch.zeros(1, 2, 16)}, r"of another shape or type: channel_embed is \(1, 2, 16\)"),
        (True, {"fc_norm__weight": None}, "missing: fc_norm.weight"),
        (True, {"channel_cls_embed": None}, "missing: channel_cls_embed"),
    ],
)
def test_what_does_not_fit_is_named(
    released: Write, tmp_path: Path, finetuned: bool, changed: dict[str, Tensor | None], message: str
) -> None:
    with pytest.raises(UserError, match=rf"w\.pth: not the weights of this model \({message}"):
        load(released("group", finetuned=finetuned, **changed), tmp_path)


def test_a_pretrained_file_is_not_taken_for_a_finetuned_one(released: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing: fc_norm\.weight, fc_norm\.bias; unexpected: norm\.weight"):
        load(released("rgb"), tmp_path, finetuned=True)


MANIFESTS = {
    "satmae_rgb_vitl": "satmae_fmow_rgb_vitl_pretrain",
    "satmae_rgb_vitl_finetuned": "satmae_fmow_rgb_vitl_finetune",
    "satmae_group_vitb": "satmae_fmow_sentinel_group_vitb_pretrain",
    "satmae_group_vitb_finetuned": "satmae_fmow_sentinel_group_vitb_finetune",
    "satmae_group_vitl": "satmae_fmow_sentinel_group_vitl_pretrain",
    "satmae_group_vitl_finetuned": "satmae_fmow_sentinel_group_vitl_finetune",
}


@pytest.mark.parametrize(("name", "manifest"), MANIFESTS.items())
def test_every_published_file_fits_and_is_counted_as_the_card_says(name: str, manifest: str) -> None:
    card = encoders.card(name)
    finetuned = card.options["finetuned"]
    with torch.device("meta"):
        model = ViT(SIZES[str(card.options["architecture"])], finetuned=bool(finetuned))
    assert card.parameters == sum(parameter.numel() for parameter in model.parameters())
    state = {name.removeprefix("model/"): tensor for name, tensor in manifests.tensors(manifest).items()}
    fit(model, state, manifest, drop=surplus(state))
    published = manifests.index()[manifest]
    assert published["urls"][0] in card.weights.urls.values()
    assert published["file"] == Path(card.weights.files[0].split(" | ")[0]).name


def test_timm_gives_the_same_with_rgb_weights(tiny: dict[str, SatMAE]) -> None:
    transformers = pytest.importorskip("timm.models.vision_transformer", reason="timm is not installed")
    model = transformers.VisionTransformer(
        img_size=224,
        patch_size=16,
        embed_dim=64,
        depth=4,
        num_heads=4,
        num_classes=0,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    ).eval()
    model.load_state_dict(tiny["rgb"].model.state_dict(), strict=True)
    images = pictures("rgb", 2)
    with torch.no_grad():
        normed, maps = model.forward_intermediates(images, norm=False)
    ours = tiny["rgb"](images).maps[0][:, 0].chunk(4, dim=1)
    for one, two in zip(ours, maps, strict=True):
        assert relative(one, two) < 1e-5
    assert relative(build("rgb", pooling="cls")(images).embedding, normed[:, 0]) < 1e-5
