"""DiffusionSat's checkpoint folder (arXiv 2312.03606) -> the four parts that SatDiFuser looks through.

The folder is a Stable Diffusion 2.1 pipeline (scheduler, text_encoder, tokenizer, vae) with the trained UNet
in `checkpoint-150000/unet`. The UNet was trained with seven metadata embeddings, which SatDiFuser leaves out:
without them it is the stock UNet2DConditionModel, name by name. Only local files are read. The text encoder
speaks once and is released. `draw` makes the same parts with weights from a seed.
"""

import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from encoders.checkpoints import fit, load_tensors, read_json
from encoders.errors import UserError
from encoders.satdifuser_options import Architecture

METADATA_KEYS = frozenset(
    f"metadata_embedding.{number}.linear_{layer}.{kind}"
    for number in range(7)
    for layer in (1, 2)
    for kind in ("weight", "bias")
)
METADATA_CONFIG = ("use_metadata", "num_metadata")

OLD_VAE_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Attention projections as diffusers named them when Stable Diffusion 2.1 was released -> as it does now."""

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "v_prediction",
}
"""Stable Diffusion 2.1's noise schedule."""


@dataclass(frozen=True)
class Parts:
    """What SatDiFuser is made of.

    Attributes:
        unet: diffusers UNet2DConditionModel.
        vae: diffusers AutoencoderKL (its decoder may be gone); None where latents are given, not images.
        scheduler: diffusers DDIMScheduler.
        prompt: (1, L, D) float32, the prompt's embedding.
        negative: that of ""; None where there is no guidance.
    """

    unet: Any
    vae: Any | None
    scheduler: Any
    prompt: Tensor
    negative: Tensor | None = None


def load(folder: Path, files: Collection[Path], unet_subfolder: str, prompt: str, guided: bool) -> Parts:
    """The parts from a released folder.

    Args:
        folder: `.../resolution256` or `.../resolution512`.
        files: those of its files that a run's key holds the digests of; no other is read.
        guided: whether the negative prompt is wanted too.

    Raises:
        UserError: a file is damaged or is not this model's; names it.
    """
    unet = _on_meta(UNet2DConditionModel.from_config, folder / unet_subfolder / "config.json", METADATA_CONFIG)
    weights = _weights(files, folder / unet_subfolder)
    fit(unet, load_tensors(weights), weights, drop=METADATA_KEYS)

    vae = _on_meta(AutoencoderKL.from_config, folder / "vae" / "config.json")
    weights = _weights(files, folder / "vae")
    fit(vae, {_modern(name): tensor for name, tensor in load_tensors(weights).items()}, weights)
    # Images are encoded only; the decoder would take 200 MB for nothing.
    del vae.decoder, vae.post_quant_conv

    scheduler = _built(DDIMScheduler.from_config, folder / "scheduler" / "scheduler_config.json", ("skip_prk_steps",))
    texts = [prompt, ""] if guided else [prompt]
    embedded = _embed(folder, files, texts)
    for model in (unet, vae):
        # Past the `to` of diffusers, which warns of a mistake nobody made.
        nn.Module.to(model, torch.float32)
    return Parts(unet, vae, scheduler, embedded[0], embedded[1] if guided else None)


def draw(sizes: Architecture, seed: int) -> Parts:
    """The parts with weights drawn from a seed: the same on every run, whatever was drawn before.

    Raises:
        UserError: sizes that do not fit together.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            unet = UNet2DConditionModel(
                block_out_channels=sizes.unet,
                layers_per_block=sizes.layers,
                cross_attention_dim=sizes.context,
                # diffusers' name for the number of heads.
                attention_head_dim=tuple(channels // sizes.head for channels in sizes.unet),
                norm_num_groups=sizes.groups,
                use_linear_projection=True,
            )
            vae = AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * len(sizes.vae),
                # The decoder goes at once: one block of it is the least that can be built.
                up_block_types=("UpDecoderBlock2D",),
                block_out_channels=sizes.vae,
                layers_per_block=sizes.layers,
                latent_channels=4,
                norm_num_groups=sizes.groups,
            )
        except (ValueError, ZeroDivisionError, RuntimeError) as error:
            raise UserError(f"options.architecture: sizes do not fit together ({error}); try `tiny`") from None
        del vae.decoder, vae.post_quant_conv
        prompt = torch.randn(1, sizes.tokens, sizes.context)
        negative = torch.randn(1, sizes.tokens, sizes.context)
    return Parts(unet, vae, DDIMScheduler(**SCHEDULER), prompt, negative)


def _embed(folder: Path, files: Collection[Path], texts: list[str]) -> list[Tensor]:
    """(1, L, D) float32 a text: last hidden state after the final layer norm; padded to L tokens, no mask."""
    from transformers import CLIPTextConfig, CLIPTextModel

    weights = _weights(files, folder / "text_encoder")
    # Parameters are drawn before they are replaced: the caller's random stream must not notice.
    with torch.random.fork_rng(devices=[]):
        model = _built(
            lambda config: CLIPTextModel(CLIPTextConfig.from_dict(config)),
            folder / "text_encoder" / "config.json",
        )
    # transformers 4 puts a prefix before every name, 5 does not; older files hold the constant position ids.
    prefix = "text_model." if next(iter(model.state_dict())).startswith("text_model.") else ""
    state = {prefix + name.removeprefix("text_model."): tensor for name, tensor in load_tensors(weights).items()}
    fit(model, state, weights, drop={prefix + "embeddings.position_ids"})
    model.float().eval()
    try:
        tokenizer = _tokenizer(folder / "tokenizer", files)
        length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
        tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    except Exception as error:  # a damaged vocabulary can raise nearly anything
        raise UserError(f"{folder / 'tokenizer'}: cannot be read ({error}); download it again") from None
    with torch.no_grad():
        return [model(input_ids=ids[None])[0].clone() for ids in tokens.input_ids]


def _weights(files: Collection[Path], folder: Path) -> Path:
    for path in files:
        if path.parent == folder and path.suffix in (".safetensors", ".bin"):
            return path
    raise UserError(f"{folder}: holds no .safetensors or .bin file that its card names; download it again")


def _tokenizer(folder: Path, files: Collection[Path]) -> Any:
    """The tokenizer of the declared files: from a folder of their own, as an undeclared one would be read too."""
    from transformers import CLIPTokenizer

    with tempfile.TemporaryDirectory() as copy:
        for path in files:
            if path.parent == folder:
                shutil.copy(path, copy)
        return CLIPTokenizer.from_pretrained(copy, local_files_only=True)


def _built(build: Callable[[dict[str, Any]], Any], path: Path, drop: tuple[str, ...] = ()) -> Any:
    config = {key: value for key, value in read_json(path).items() if key not in drop and not key.startswith("_")}
    try:
        return build(config)
    except Exception as error:  # a config is a stranger's: any constructor inside may refuse it
        raise UserError(f"{path}: no model can be built from it ({error}); download it again") from None


def _on_meta(build: Callable[[dict[str, Any]], Any], path: Path, drop: tuple[str, ...] = ()) -> Any:
    # No memory is filled with drawn numbers that the file then replaces.
    with torch.device("meta"):
        return _built(build, path, drop)


def _modern(name: str) -> str:
    for old, new in OLD_VAE_NAMES.items():
        for kind in ("weight", "bias"):
            if ".attentions." in name and name.endswith(f".{old}.{kind}"):
                return name.removesuffix(f"{old}.{kind}") + f"{new}.{kind}"
    return name
