"""SatDiFuser behind the encoder interface: what is read, at which steps, whatever the batch."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

import encoders
from encoders.bands import KNOWN
from encoders.diffusionsat import SCHEDULER, Parts
from encoders.errors import UserError
from encoders.satdifuser import SCALING, SatDiFuser
from encoders.satdifuser_options import FULL, parse

CARD = encoders.card("satdifuser_tiny")


def build(precision: str = "float32", **options: object) -> SatDiFuser:
    card = replace(CARD, options=CARD.options | options)
    built = encoders.build(card, precision=precision)
    assert isinstance(built, SatDiFuser)
    return built


@pytest.fixture(scope="module")
def tiny() -> SatDiFuser:
    return build()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def relative(one: Tensor, two: Tensor) -> float:
    return float((one - two).norm() / two.norm())


def count_calls(encoder: SatDiFuser) -> list[tuple[int, list[float]]]:
    calls: list[tuple[int, list[float]]] = []
    encoder.unet.register_forward_pre_hook(
        lambda _, inputs: calls.append((len(inputs[0]), inputs[1].unique().tolist()))
    )
    return calls


@pytest.fixture(scope="module")
def full() -> SatDiFuser:
    """Stable Diffusion 2.1's own sizes, without memory for the weights."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=FULL.unet,
            layers_per_block=2,
            cross_attention_dim=FULL.context,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
            norm_num_groups=32,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            block_out_channels=FULL.vae,
            layers_per_block=2,
            latent_channels=4,
        )
    parts = Parts(unet, vae, DDIMScheduler(**SCHEDULER), torch.zeros(1, 77, 1024))
    card = encoders.card("satdifuser")
    return SatDiFuser(card, encoders.input_spec("satdifuser"), parts, parse(card.options, "card"))


def test_stable_diffusion_21_has_the_official_modules_and_widths(full: SatDiFuser) -> None:
    assert [level.stride for level in full.levels] == [8, 16, 32, 64]
    assert [level.channels for level in full.levels] == [1920, 3840, 7680, 3840]
    assert sum(len(level.modules) for level in full.levels) == 21
    assert full.embedding_dim == 17280
    assert full.views == ("t=21", "t=61", "t=161")
    for level, block in zip(full.levels[:3], (3, 2, 1), strict=True):
        kinds = [(name.split(".")[1], name.rpartition(".")[2]) for name, _ in level.modules]
        assert kinds == [(str(block), "attn1")] * 3 + [(str(block), "conv2")] * 3
    assert [name for name, _ in full.levels[3].modules] == [f"up_blocks.0.resnets.{i}.conv2" for i in range(3)]
    assert full.levels[0].modules[0] == ("up_blocks.3.attentions.0.transformer_blocks.0.attn1", 320)


def test_stable_diffusion_21_is_counted_as_the_card_says(full: SatDiFuser) -> None:
    assert full.vae is not None
    assert len(full.unet.state_dict()) == 686
    unet = sum(parameter.numel() for parameter in full.unet.parameters())
    used = [*full.vae.encoder.parameters(), *full.vae.quant_conv.parameters()]
    assert unet == 865_910_724
    assert encoders.card("satdifuser").parameters == unet + sum(parameter.numel() for parameter in used)


def test_drawn_full_size_has_the_layout_of_the_released_one(full: SatDiFuser) -> None:
    from unittest.mock import patch

    from encoders.diffusionsat import draw

    with torch.device("meta"), patch("torch.manual_seed"):
        drawn = draw(FULL, 0)
    assert {n: p.shape for n, p in drawn.unet.named_parameters()} == {
        n: p.shape for n, p in full.unet.named_parameters()
    }
    assert drawn.prompt.shape == (1, 77, 1024)


def test_it_is_frozen_in_eval_mode_and_without_gradients(tiny: SatDiFuser, images: Tensor) -> None:
    tiny.train()
    assert not any(module.training for module in tiny.modules())
    assert not any(parameter.requires_grad for parameter in tiny.parameters())
    features = tiny(images[:1])
    assert not any(tensor.requires_grad for tensor in (*features.maps, features.embedding, tiny.stem(images[:1])))


def test_shapes_are_those_of_the_contract(tiny: SatDiFuser, images: Tensor) -> None:
    stem = tiny.stem(images)
    assert (stem.shape, stem.dtype) == ((5, 3, 4, 8, 8), torch.float32)
    features = tiny.body(stem)
    sides = [8, 4, 2, 1]
    assert [m.shape for m in features.maps] == [
        (5, 3, level.channels, side, side) for level, side in zip(tiny.levels, sides, strict=True)
    ]
    assert all(m.dtype == torch.float32 for m in features.maps)
    pooled = [m.mean((-2, -1)).mean(1) for m in features.maps]
    torch.testing.assert_close(features.embedding, torch.cat(pooled, dim=1))


def test_same_image_same_features_in_any_batch(tiny: SatDiFuser, images: Tensor) -> None:
    together = tiny(images)
    for order in ([2], [4, 2], [2, 2, 2, 0]):
        alone = tiny(images[order])
        row = order.index(2)
        for one, two in zip(alone.maps, together.maps, strict=True):
            assert relative(one[row], two[2]) < 1e-5
        assert relative(alone.embedding[row], together.embedding[2]) < 1e-5


def test_two_builds_give_equal_features(tiny: SatDiFuser, images: Tensor) -> None:
    torch.manual_seed(123)
    for one, two in zip(build()(images[:2]).maps, tiny(images[:2]).maps, strict=True):
        assert torch.equal(one, two)


def test_images_become_posterior_means_times_the_official_constant(tiny: SatDiFuser, images: Tensor) -> None:
    moments = tiny.vae.quant_conv(tiny.vae.encoder(2 * images[:2] - 1))
    torch.testing.assert_close(tiny.encode(images[:2]), 0.18215 * moments[:, :4])
    assert SCALING == 0.18215


def test_unet_is_called_only_for_what_the_saved_steps_need(images: Tensor) -> None:
    encoder = build()
    calls = count_calls(encoder)
    stem = encoder.stem(images[:2])
    assert calls == [(2, [float(t)]) for t in (-1, 1, 21, 41, 61, 81, 101, 121, 141)]
    calls.clear()
    encoder.body(stem)
    assert calls == [(6, [21.0, 61.0, 161.0])]
    image_only = build(save_indices=[49])
    calls = count_calls(image_only)
    assert torch.equal(image_only.stem(images[:2])[:, 0], image_only.encode(images[:2]))
    assert calls == []


def test_body_stops_after_the_last_module_read(tiny: SatDiFuser, images: Tensor) -> None:
    ran: list[str] = []
    handles = [
        tiny.unet.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
        for name in ("up_blocks.3.attentions.2.transformer_blocks.0.attn1", "conv_out")
    ]
    stem = tiny.stem(images[:1])
    ran.clear()
    tiny.body(stem)
    for handle in handles:
        handle.remove()
    assert ran == ["up_blocks.3.attentions.2.transformer_blocks.0.attn1"]
    assert not any(module._forward_hooks for module in tiny.unet.modules())


@pytest.mark.parametrize("size", [(64, 96), (128, 64), (72, 120)])
def test_non_square_images_keep_rows_and_columns(tiny: SatDiFuser, size: tuple[int, int]) -> None:
    wide = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    features = tiny(wide)
    for level, level_map in zip(tiny.levels, features.maps, strict=True):
        assert level_map.shape[-2:] == tuple(-(-side // level.stride) for side in size)
    # Token 1 of a row-major sequence lies right of token 0.
    name = "up_blocks.3.attentions.0.transformer_blocks.0.attn1"
    kept: list[Tensor] = []
    handle = tiny.unet.get_submodule(name).register_forward_hook(lambda *args: kept.append(args[2]))
    again = tiny(wide)
    handle.remove()
    channels = tiny.levels[0].modules[0][1]
    # The last call is the body's, over images and steps.
    torch.testing.assert_close(again.maps[0][1, 2, :channels, 0, 1], kept[-1][1 * 3 + 2, 1])
    torch.testing.assert_close(again.maps[0][1, 2, :channels, 1, 0], kept[-1][1 * 3 + 2, size[1] // 8])


@pytest.mark.parametrize(
    ("options", "views"),
    [
        ({"save_indices": [40, 47]}, ("t=21", "t=161")),
        ({"save_indices": None}, ("t=21", "t=61", "t=161")),
        ({"save_indices": None, "save_timesteps": [161, -1]}, ("t=-1", "t=161")),
        ({"save_indices": [8, 7, 6], "num_steps": 10}, ("t=1", "t=101", "t=201")),
        ({"save_indices": [40], "mode": "generation"}, ("t=181",)),
    ],
)
def test_views_are_the_saved_model_timesteps(options: dict[str, Any], views: tuple[str, ...]) -> None:
    assert build(**options).views == views


def test_modules_can_be_chosen_by_kind_and_block(images: Tensor) -> None:
    encoder = build(modules={"attn2": [1], "conv2": [1, 3]})
    assert [(level.stride, [name.rpartition(".")[2] for name, _ in level.modules]) for level in encoder.levels] == [
        (8, ["conv2"] * 3),
        (32, ["conv2"] * 3 + ["attn2"] * 3),
    ]
    assert [m.shape[-1] for m in encoder(images[:1]).maps] == [8, 2]


def test_generation_adds_the_same_noise_to_an_image_in_any_batch(images: Tensor) -> None:
    encoder = build(mode="generation", save_indices=[40])
    calls = count_calls(encoder)
    stem = encoder.stem(images)
    assert stem.shape == (5, 1, 4, 8, 8)
    assert calls == []
    torch.testing.assert_close(stem[3:4], encoder.stem(images[3:4]), rtol=0, atol=1e-6)
    assert torch.equal(stem, encoder.stem(images))
    latents = encoder.encode(images)
    abar = encoder.abar[181]
    noise = (stem[:, 0] - abar.sqrt() * latents) / (1 - abar).sqrt()
    torch.testing.assert_close(noise[0], noise[4], rtol=0, atol=1e-5)
    assert not torch.allclose(stem, build(mode="generation", save_indices=[40], seed=1).stem(images))


def test_guidance_and_prediction_change_the_walk_but_not_its_first_point(tiny: SatDiFuser, images: Tensor) -> None:
    plain = tiny.trajectory(tiny.encode(images[:2]))
    for options in ({"guidance": 3.0}, {"prediction": "scheduler"}):
        other = build(**options)
        path = other.trajectory(other.encode(images[:2]))
        assert list(path) == list(plain) == [-1, *range(1, 162, 20)]
        assert torch.equal(path[-1], plain[-1])
        assert not torch.allclose(path[161], plain[161], atol=1e-4)
    unguided = build(guidance=1.0)
    torch.testing.assert_close(unguided.trajectory(unguided.encode(images[:2]))[161], plain[161], rtol=0, atol=1e-5)


def test_bfloat16_holds_the_unet_only_and_gives_float32(tiny: SatDiFuser, images: Tensor) -> None:
    half = build(precision="bfloat16")
    assert {p.dtype for p in half.unet.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in half.vae.parameters()} == {torch.float32}
    stem = half.stem(images[:2])
    features = half.body(stem)
    assert {stem.dtype, features.embedding.dtype, *(m.dtype for m in features.maps)} == {torch.float32}
    assert relative(stem, tiny.stem(images[:2])) < 0.02
    for one, two in zip(features.maps, tiny.body(stem).maps, strict=True):
        assert relative(one, two) < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_indexes": [1]}, r"unknown key 'save_indexes'; did you mean save_indices"),
        ({"save_timesteps": [21]}, "both given; set one of them to null"),
        ({"save_indices": None, "save_timesteps": [1, 100, 200]}, "100 is not a step .* nearest: 81 and 101"),
        ({"save_indices": [50]}, "nearest: 48 and 49"),
        ({"save_indices": []}, "save_indices is empty"),
        ({"num_steps": 0}, "'num_steps' is 0; it must be at least 1"),
        ({"mode": "generation"}, r"generation looks at an image once but 3 .* save_indices: \[40\]"),
        ({"mode": "generation", "save_indices": [40], "guidance": 2.0}, "guidance acts on inversion only"),
        ({"mode": "inverse"}, "'mode' is 'inverse'; did you mean inversion"),
        ({"guidance": -1}, "'guidance' is -1; it must be at least 0"),
        ({"seed": -1}, "'seed' is -1"),
        ({"modules": {"attn1": [0]}}, "up block 0 has no attn1; remove 0 from attn1"),
        ({"modules": {"conv2": [4]}}, "no up block 4; choose from: 0, 1, 2, 3"),
        ({"modules": {"conv2": []}}, "names no up block"),
        ({"modules": {"attn3": [1]}}, "attn3"),
        ({"architecture": "huge"}, "architecture"),
        ({"architecture": {"unit": [16, 16, 16, 16]}}, "architecture"),
    ],
)
def test_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        build(**options)
    assert "\n" not in str(error.value)


def test_architecture_can_be_spelled_out(images: Tensor) -> None:
    encoder = build(architecture={"unet": [16, 16, 16, 16], "layers": 1})
    assert encoder(images[:1]).embedding.shape == (1, encoder.embedding_dim)
    # One residual block a resolution going down means two coming up.
    assert [len(level.modules) for level in encoder.levels] == [4, 4, 4, 2]


def test_inputs_that_cannot_be_are_refused(tiny: SatDiFuser, images: Tensor) -> None:
    with pytest.raises(UserError, match="multiples of 8"):
        tiny(torch.rand(1, 3, 60, 64))
    with pytest.raises(UserError, match="latents of 2 steps where 3 are saved"):
        tiny.body(torch.zeros(1, 2, 4, 8, 8))
    with pytest.raises(UserError, match="not at 9 channels"):
        encoders.build(CARD, bands=list(KNOWN.values())[:9])
    with pytest.raises(UserError, match="precision is 'bfloat61'; did you mean bfloat16"):
        build(precision="bfloat61")
    card = encoders.card("satdifuser")
    with pytest.raises(UserError, match="'architecture' is for drawn weights"):
        encoders.build(replace(card, options=card.options | {"architecture": "tiny"}))
    parts = Parts(tiny.unet, None, DDIMScheduler(**SCHEDULER), torch.zeros(1, 8, 17))
    with pytest.raises(UserError, match="17 wide where the UNet wants 16"):
        SatDiFuser(CARD, tiny.inputs, parts, tiny.options)
