"""A DiffusionSat folder as released is read whole, offline, running nothing in it, or named as wrong."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

import encoders
from encoders.checkpoints import find, missing_files, weights_sha256
from encoders.diffusionsat import METADATA_KEYS, OLD_VAE_NAMES, SCHEDULER, draw, load
from encoders.errors import UserError
from encoders.satdifuser import SatDiFuser
from encoders.satdifuser_options import TINY, Architecture

CARD = encoders.card("satdifuser")
UNET, VAE, TEXT = (
    "checkpoint-150000/unet/diffusion_pytorch_model",
    "vae/diffusion_pytorch_model",
    "text_encoder/model",
)
VOCABULARY = ["!", "a</w>", "a", "s", "at</w>", "t", "t</w>", "<|startoftext|>", "<|endoftext|>"]


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def config_of(model: Any, **more: object) -> dict[str, object]:
    kept = {key: value for key, value in dict(model.config).items() if not key.startswith("_")}
    return {"_class_name": type(model).__name__, "_diffusers_version": "0.17.0", **kept, **more}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with a tiny DiffusionSat in it, written as the 2023 libraries wrote it."""
    weights = tmp_path_factory.mktemp("weights")
    root = weights / "satdifuser" / "resolution256"
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**config_small_unet())
    write(root / "checkpoint-150000/unet/config.json", config_of(unet, use_metadata=True, num_metadata=7))
    extra = {name: torch.randn(4) for name in sorted(METADATA_KEYS)}
    save_file(unet.state_dict() | extra, root / f"{UNET}.safetensors")

    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
    )
    write(root / "vae/config.json", config_of(vae))
    save_file(old_names(vae.state_dict()), root / f"{VAE}.safetensors")

    text = CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        hidden_act="gelu",
        bos_token_id=7,
        eos_token_id=8,
        pad_token_id=0,
    )
    model = CLIPTextModel(text)
    write(root / "text_encoder/config.json", text.to_dict())
    named = {"text_model." + name.removeprefix("text_model."): value for name, value in model.state_dict().items()}
    save_file(named | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, root / f"{TEXT}.safetensors")

    write(root / "tokenizer/vocab.json", {token: number for number, token in enumerate(VOCABULARY)})
    (root / "tokenizer/merges.txt").write_text("#version: 0.2\na t</w>\n")
    # As in Stable Diffusion 2.1, the two files disagree about the padding; the map is right.
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    write(
        root / "tokenizer/tokenizer_config.json",
        special | {"model_max_length": 77, "pad_token": "<|endoftext|>"},
    )
    write(root / "tokenizer/special_tokens_map.json", special | {"pad_token": "!"})
    write(
        root / "scheduler/scheduler_config.json",
        {"_class_name": "DDIMScheduler", "skip_prk_steps": True} | SCHEDULER,
    )
    return weights


def config_small_unet() -> dict[str, Any]:
    return {
        "block_out_channels": (16, 16, 32, 32),
        "layers_per_block": 2,
        "cross_attention_dim": 16,
        "attention_head_dim": (1, 1, 2, 2),
        "norm_num_groups": 4,
        "use_linear_projection": True,
    }


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        old = [name.replace(f".{new}.", f".{old}.") for old, new in OLD_VAE_NAMES.items() if f".{new}." in name]
        renamed[old[0] if old else name] = tensor
    assert any(".query." in name for name in renamed)
    return renamed


def build(weights: Path, **options: object) -> SatDiFuser:
    card = replace(CARD, options=CARD.options | {"prompt": "a at"} | options)
    built = encoders.build(card, image_size=256, weights_dir=weights)
    assert isinstance(built, SatDiFuser)
    return built


@pytest.fixture
def copy(released: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "copy"))


def root(weights: Path) -> Path:
    return weights / "satdifuser" / "resolution256"


def declared(weights: Path) -> list[Path]:
    return list(find(CARD, weights, 256).values())


def as_bin(folder: Path, stem: str, name: str | None = None) -> None:
    tensors = load_file(folder / f"{stem}.safetensors")
    torch.save(tensors, (folder / stem).with_name(f"{name or Path(stem).name}.bin"))
    (folder / f"{stem}.safetensors").unlink()


def edit(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_released_folder_is_read_offline_in_both_formats(
    released: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("opened a socket"))
    for stem, name in ((UNET, None), (VAE, None), (TEXT, "pytorch_model")):
        as_bin(root(copy), stem, name)
    state = torch.random.get_rng_state()
    first, second = build(released), build(copy)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any("metadata" in name for name, _ in first.named_parameters())
    assert not any(parameter.is_meta or parameter.requires_grad for parameter in first.parameters())
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))
    images = torch.rand(1, 3, 64, 64)
    # Where weights lie in memory, which is the file's to say, some processors add up in another order.
    for one, two in zip(first(images).maps, second(images).maps, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_weights_are_those_of_the_file(released: Path) -> None:
    encoder = build(released)
    stored = load_file(root(released) / f"{UNET}.safetensors")
    state = encoder.unet.state_dict()
    assert set(stored) == set(state) | METADATA_KEYS
    assert all(torch.equal(state[name], stored[name]) for name in state)
    vae = encoder.vae.state_dict()
    stored = load_file(root(released) / f"{VAE}.safetensors")
    assert torch.equal(
        vae["encoder.mid_block.attentions.0.to_q.weight"],
        stored["encoder.mid_block.attentions.0.query.weight"],
    )
    assert not any(name.startswith("decoder") for name in vae)


def test_prompt_is_the_last_hidden_state_padded_as_the_special_tokens_say(released: Path) -> None:
    folder = root(released) / "text_encoder"
    model = CLIPTextModel(CLIPTextConfig.from_dict(json.loads((folder / "config.json").read_text()))).eval()
    prefix = "text_model." if next(iter(model.state_dict())).startswith("text_model.") else ""
    stored = load_file(root(released) / f"{TEXT}.safetensors")
    model.load_state_dict({name: stored["text_model." + name.removeprefix(prefix)] for name in model.state_dict()})
    parts = load(root(released), declared(released), "checkpoint-150000/unet", "A AT", guided=True)
    for embedding, tokens in ((parts.prompt, [7, 1, 4, 8]), (parts.negative, [7, 8])):
        ids = torch.tensor([tokens + [0] * (77 - len(tokens))])
        with torch.no_grad():
            assert embedding is not None
            assert torch.equal(embedding, model(input_ids=ids).last_hidden_state)
    assert load(root(released), declared(released), "checkpoint-150000/unet", "A AT", guided=False).negative is None


def test_guidance_brings_the_negative_prompt(released: Path) -> None:
    encoder = build(released, guidance=2.0)
    assert encoder.negative is not None
    assert not torch.equal(encoder.stem(torch.rand(1, 3, 64, 64)), build(released).stem(torch.rand(1, 3, 64, 64)))


@pytest.mark.parametrize(
    ("stem", "change", "message"),
    [
        (UNET, lambda t: t.update(surprise=torch.zeros(1)), "unexpected: surprise"),
        (
            UNET,
            lambda t: t.update({"metadata_embedding.7.linear_1.weight": torch.zeros(1)}),
            "unexpected: metadata_emb",
        ),
        (UNET, lambda t: t.pop("conv_in.weight"), "missing: conv_in.weight"),
        (
            UNET,
            lambda t: t.update({"conv_in.bias": torch.zeros(3)}),
            r"conv_in.bias is \(3,\) float32, not \(16,\)",
        ),
        (
            VAE,
            lambda t: t.pop("encoder.mid_block.attentions.0.query.bias"),
            r"missing: encoder\..*to_q\.bias",
        ),
        (TEXT, lambda t: t.pop("text_model.final_layer_norm.weight"), "missing: .*final_layer_norm.weight"),
    ],
)
def test_weights_of_another_model_are_named(copy: Path, stem: str, change: Any, message: str) -> None:
    edit(root(copy) / f"{stem}.safetensors", change)
    with pytest.raises(UserError, match=rf"{Path(stem).name}\.safetensors: .*{message}"):
        build(copy)


@pytest.mark.parametrize("stem", [UNET, VAE, TEXT])
def test_truncated_weights_are_named(copy: Path, stem: str) -> None:
    path = root(copy) / f"{stem}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=str(path)):
        build(copy)


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("stem", [UNET, VAE, TEXT])
def test_hostile_weights_execute_nothing(copy: Path, tmp_path: Path, stem: str) -> None:
    as_bin(root(copy), stem, "pytorch_model" if stem == TEXT else None)
    (path,) = (root(copy) / stem).parent.glob("*.bin")
    torch.save({"conv_in.weight": Hostile(tmp_path / "executed")}, path)
    with pytest.raises(UserError, match=r"\.bin: refused"):
        build(copy)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint-150000/unet/config.json",
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
    ],
)
def test_damaged_config_is_named(copy: Path, path: str) -> None:
    file = root(copy) / path
    content = json.loads(file.read_text())
    file.write_text("{")
    with pytest.raises(UserError, match=str(file)):
        build(copy)
    for key in ("block_out_channels", "beta_schedule", "num_hidden_layers"):
        content = {**content, key: "nonsense"} if key in content else content
    write(file, content)
    with pytest.raises(UserError, match=str(file)):
        build(copy)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "tokenizer_config.json"])
def test_damaged_tokenizer_is_named(copy: Path, name: str) -> None:
    (root(copy) / "tokenizer" / name).write_bytes(b"\xff{")
    with pytest.raises(UserError, match=r"tokenizer.* cannot be read"):
        build(copy)


def test_missing_files_are_listed_with_zenodo_and_demo(released: Path, copy: Path) -> None:
    assert missing_files(CARD, released, 256) == []
    digests = weights_sha256(CARD, released, 256)
    assert len(digests) == 11
    assert all(len(digest) == 64 for digest in digests.values())
    (root(copy) / "vae/config.json").unlink()
    with pytest.raises(UserError, match=r"1 of its .* satdifuser/resolution256/vae/config\.json; .*13756199.*--demo"):
        build(copy)
    with pytest.raises(UserError, match=r"10 of its .*resolution512/scheduler.*13751498"):
        encoders.build(CARD, image_size=512, weights_dir=released)
    with pytest.raises(UserError, match="256 and 512 pixels, not 224"):
        encoders.build(CARD, image_size=224, weights_dir=released)


def test_drawn_weights_are_the_same_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = draw(TINY, 42)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    second, other = draw(TINY, 42), draw(TINY, 43)
    for name, tensor in first.unet.state_dict().items():
        assert torch.equal(tensor, second.unet.state_dict()[name])
    assert torch.equal(first.prompt, second.prompt)
    assert not torch.equal(first.prompt, other.prompt)
    assert not torch.equal(first.unet.conv_in.weight, other.unet.conv_in.weight)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"options\.architecture: sizes do not fit"):
        draw(Architecture(unet=(10, 10, 10, 10)), 0)


def test_a_file_that_the_key_does_not_hash_is_not_read(released: Path, copy: Path) -> None:
    before = weights_sha256(CARD, copy, 256)
    expected = build(copy).prompt
    altered = load_file(root(copy) / f"{TEXT}.safetensors")
    save_file(
        {name: tensor + 1 for name, tensor in altered.items()}, root(copy) / "text_encoder/pytorch_model.safetensors"
    )
    tokenizer = {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"!": 0}, "unk_token": "!"}}
    write(root(copy) / "tokenizer/tokenizer.json", tokenizer)
    assert weights_sha256(CARD, copy, 256) == before
    assert torch.equal(build(copy).prompt, expected)
