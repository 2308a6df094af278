"""SatDiFuser (arXiv 2503.07890): a frozen satellite diffusion model as a feature extractor.

An image becomes a VAE latent; DDIM inversion walks it a few steps towards noise (the stem, run once an image
and kept); at the saved steps the UNet looks at the noisy latent, and what its decoder's self-attentions and
residual blocks put out are the features (the body, one UNet call for all saved steps together).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from encoders import diffusion
from encoders.assembly import dtype_of
from encoders.base import Encoder, EncoderCard, Features, InputSpec, Level, Setup
from encoders.checkpoints import find
from encoders.diffusionsat import Parts, draw, load
from encoders.errors import UserError, nearest
from encoders.satdifuser_options import Options, parse
from encoders.taps import Taps

SCALING = 0.18215
"""Latents are the VAE's mean times this: a constant of the official code, whatever the VAE's config says."""

VAE_FACTOR = 8
"""Input pixels a latent spans in Stable Diffusion, for an encoder that is given latents."""

SIZES = (256, 512)


class SatDiFuser(Encoder):
    """SatDiFuser on a stock diffusers UNet.

    Attributes:
        saved: save index -> model timestep of the views, in their order (t ascending).
        prediction: how the UNet's output is read.
    """

    channels = 3
    convolutional = True
    abar: Tensor
    times: Tensor
    prompt: Tensor
    negative: Tensor | None

    def __init__(self, card: EncoderCard, inputs: InputSpec, parts: Parts, options: Options) -> None:
        """Put ready parts behind the interface; `from_card` makes them.

        Raises:
            UserError: a save step, a module or a prompt width that the parts do not have.
        """
        super().__init__()
        self.card, self.inputs, self.options = card, inputs, options
        self.unet, self.vae = parts.unet, parts.vae
        width = self.unet.config.cross_attention_dim
        if parts.prompt.shape[-1] != width:
            raise UserError(
                f"{card.name}: the prompt embedding is {parts.prompt.shape[-1]} wide where the UNet wants "
                f"{width}; text encoder and UNet are of different releases"
            )
        if options.guidance is not None and parts.negative is None:
            raise UserError(f"{card.name}: guidance needs the negative prompt's embedding; give it in the parts")

        grid = diffusion.ascending_grid(parts.scheduler, options.num_steps)
        trained = int(parts.scheduler.config.num_train_timesteps)
        table = diffusion.model_timesteps(grid, options.mode, trained)
        self.saved = diffusion.choose(table, options.save_indices, options.save_timesteps)
        self._moves = diffusion.walk(table, max(self.saved.values()))
        named = parts.scheduler.config.prediction_type
        self.prediction: diffusion.Prediction = "epsilon" if options.prediction == "epsilon" else named
        if self.prediction not in ("epsilon", "v_prediction"):
            raise UserError(f"{card.name}: cannot read a '{named}' prediction; set prediction: epsilon")

        self.views = tuple(f"t={t}" for t in self.saved.values())
        self.levels, self._depths = _levels(self.unet, options, _factor(self.vae))
        self.embedding_dim = sum(level.channels for level in self.levels)
        self.register_buffer("abar", diffusion.alphas_cumprod(parts.scheduler), persistent=False)
        self.register_buffer("times", torch.tensor([float(t) for t in self.saved.values()]), persistent=False)
        self.register_buffer("prompt", parts.prompt.float(), persistent=False)
        self.register_buffer("negative", parts.negative, persistent=False)

    @classmethod
    def from_card(cls, setup: Setup) -> "SatDiFuser":
        """The encoder a card describes: released weights from `weights_dir`, or drawn ones.

        Raises:
            UserError: an option, size or precision that cannot be, or weights that are missing or damaged.
        """
        card, bands, image_size = setup.card, setup.bands, setup.image_size
        options = parse(card.options, f"{card.name}: options")
        if len(bands) != cls.channels:
            raise UserError(f"{card.name}: looks at red, green and blue, not at {len(bands)} channels; use bands=rgb")
        dtype = dtype_of(card, setup.precision)
        if card.weights.random:
            parts = draw(options.sizes, options.seed)
        else:
            if options.architecture is not None:
                raise UserError(f"{card.name}: 'architecture' is for drawn weights; remove it, or use satdifuser_tiny")
            if image_size not in SIZES:
                raise UserError(
                    f"{card.name}: released for images of 256 and 512 pixels, not {image_size}; resize them"
                )
            files = find(card, setup.weights_dir, image_size)
            parts = load(
                _root(card, files), files.values(), options.unet_subfolder, options.prompt, options.guidance is not None
            )
        # Past the `to` of diffusers, which warns of a mistake nobody made.
        nn.Module.to(parts.unet, dtype)
        return cls(card, setup.inputs, parts, options)

    @property
    def steps(self) -> list[int]:
        """Model timesteps that the official code calls the UNet at, one after another."""
        return [diffusion.CLEAN, *(following for _, following in self._moves)]

    @property
    def _names(self) -> list[str]:
        """The tapped modules."""
        return [name for level in self.levels for name, _ in level.modules]

    def encode(self, images: Tensor) -> Tensor:
        """Latents of images: (B, 3, H, W) in [0, 1] -> (B, 4, H/8, W/8) float32.

        The official code samples the posterior anew each time; its mean is what makes features repeatable.
        """
        factor = _factor(self.vae)
        if self.vae is None:
            raise UserError(f"{self.card.name}: was built without a VAE; give latents to `trajectory`")
        if any(side % factor for side in images.shape[-2:]):
            height, width = images.shape[-2:]
            raise UserError(
                f"{self.card.name}: image sides must be multiples of {factor}, not {height} x {width}; resize them"
            )
        mean: Tensor = self.vae.encode(2 * images - 1).latent_dist.mean
        return SCALING * mean

    def predict(self, x: Tensor, t: int) -> Tensor:
        """The UNet's (guided) output for latents x (B, 4, h, w) at model timestep t: same shape, float32."""
        scale = self.options.guidance
        if scale is None or self.negative is None:
            return self._unet(x, x.new_full((len(x),), t), self.prompt)
        both = torch.cat([self.prompt.expand(len(x), -1, -1), self.negative.expand(len(x), -1, -1)])
        conditional, unconditional = self._unet(x.repeat(2, 1, 1, 1), x.new_full((2 * len(x),), t), both).chunk(2)
        return diffusion.guide(conditional, unconditional, scale)

    @torch.no_grad()
    def trajectory(self, latents: Tensor) -> dict[int, Tensor]:
        """DDIM inversion of latents (B, 4, h, w): model timestep -> x_t, from t = -1 to the last saved step.

        The UNet is called for the moves only: what it says at the last step moves nothing.
        """
        path = {diffusion.CLEAN: latents}
        for t, following in self._moves:
            x = path[t]
            path[following] = diffusion.invert(
                x,
                self.predict(x, t),
                diffusion.signal(self.abar, t),
                diffusion.signal(self.abar, following),
                self.prediction,
            )
        return path

    @torch.no_grad()
    def noised(self, latents: Tensor, noise: Tensor | None = None) -> Tensor:
        """Generation's x_t of latents (B, 4, h, w).

        Args:
            noise: like the latents; default one (4, h, w) tensor from the seed, the same for every image in
                any batch. The official code draws from a stream: an image's features change by the epoch.
        """
        if noise is None:
            generator = torch.Generator().manual_seed(self.options.seed)
            noise = torch.randn(latents.shape[1:], generator=generator).to(latents)
        (t,) = self.saved.values()
        return diffusion.add_noise(latents, noise, diffusion.signal(self.abar, t))

    def _stem(self, images: Tensor) -> Tensor:
        latents = self.encode(images)
        if self.options.mode == "generation":
            return self.noised(latents)[:, None]
        path = self.trajectory(latents)
        return torch.stack([path[t] for t in self.saved.values()], dim=1)

    def _body(self, stem: Tensor) -> Features:
        batch, views, _, height, width = stem.shape
        if views != len(self.views):
            raise UserError(
                f"{self.card.name}: latents of {views} steps where {len(self.views)} are saved; make them anew"
            )
        with Taps(self.unet, self._names, stop=True) as seen:
            self._unet(stem.flatten(0, 1), self.times.repeat(batch), self.prompt)
        maps = [joined.unflatten(0, (batch, views)) for joined in self._levels_of(seen, (height, width))]
        embedding = torch.cat([level_map.mean((1, 3, 4)) for level_map in maps], dim=1)
        return Features(tuple(maps), embedding)

    @torch.no_grad()
    def step_by_step(self, latents: Tensor) -> tuple[Tensor, ...]:
        """The maps of latents (B, 4, h, w) as the official code makes them: a whole call of the UNet for every step.

        What `body` of the stem gives in one call for all saved steps, to rounding error; for comparison.
        """
        x, views = latents, []
        for t, following in zip(self.steps, [*self.steps[1:], None], strict=True):
            with Taps(self.unet, self._names) as seen:
                output = self.predict(x, t)
            if t in self.saved.values():
                # With guidance, the first half of the call is that with the prompt.
                conditional = {name: one[: len(x)] for name, one in seen.items()}
                views.append(self._levels_of(conditional, (x.shape[2], x.shape[3])))
            if following is not None:
                signals = (diffusion.signal(self.abar, t), diffusion.signal(self.abar, following))
                x = diffusion.invert(x, output, *signals, self.prediction)
        return tuple(torch.stack(level, dim=1) for level in zip(*views, strict=True))

    def _levels_of(self, seen: Mapping[str, Tensor], latents: tuple[int, int]) -> list[Tensor]:
        """Outputs of the tapped modules side by side, a map (B, C, h, w) float32 a level."""
        height, width = latents
        # A stride-2 convolution rounds up.
        grids = [(-(-height // depth), -(-width // depth)) for depth in self._depths]
        return [
            torch.cat([_as_map(seen[name], grid) for name, _ in level.modules], dim=1).float()
            for level, grid in zip(self.levels, grids, strict=True)
        ]

    def _unet(self, x: Tensor, t: Tensor, prompt: Tensor) -> Tensor:
        # Timesteps stay float32: the sinusoid is computed from them, and bfloat16 counts to 256 only.
        dtype = self.unet.dtype
        context = prompt.to(dtype).expand(len(x), -1, -1)
        output: Tensor = self.unet(x.to(dtype), t.float(), encoder_hidden_states=context).sample
        return output.float()


def _root(card: EncoderCard, files: Mapping[str, Path]) -> Path:
    """The checkpoint folder: what holds `scheduler/` of the card's files."""
    for path in files.values():
        if path.name == "scheduler_config.json":
            return path.parent.parent
    raise UserError(f"configs/encoder/{card.name}.yaml: weights.files names no scheduler/scheduler_config.json; add it")


def _factor(vae: Any) -> int:
    return VAE_FACTOR if vae is None else int(2 ** (len(vae.config.block_out_channels) - 1))


def _as_map(output: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, C, h, w) as it is; a token sequence (B, h*w, C) as a map, row by row."""
    return output if output.ndim == 4 else output.transpose(1, 2).unflatten(2, grid)


def _levels(unet: Any, options: Options, factor: int) -> tuple[tuple[Level, ...], tuple[int, ...]]:
    """Levels, finest first (inside: all attn1, then conv2, attn2), and the latents a cell of each spans."""
    depth, depths = 1, {}
    for number in reversed(range(len(unet.up_blocks))):
        if number < len(unet.up_blocks) - 1 and unet.up_blocks[number].upsamplers is not None:
            depth *= 2
        depths[number] = depth
    modules: dict[int, list[tuple[str, int]]] = {}
    for number in sorted(depths):
        for kind in ("attn1", "conv2", "attn2"):
            if number in options.modules.get(kind, ()):
                modules.setdefault(depths[number], []).extend(_tapped(unet, number, kind))
    unknown = sorted({number for numbers in options.modules.values() for number in numbers} - set(depths))
    if unknown:
        raise UserError(f"options.modules: no up block {unknown[0]}; {nearest(str(unknown[0]), map(str, depths))}")
    found = sorted(modules.items())
    return tuple(Level(factor * d, tuple(names)) for d, names in found), tuple(d for d, _ in found)


def _tapped(unet: Any, number: int, kind: str) -> Iterable[tuple[str, int]]:
    """(name, channels) of an up block's modules of a kind, in the network's order."""
    prefix = f"up_blocks.{number}."
    found = [
        (name, int(module.out_channels if kind == "conv2" else module.to_out[0].out_features))
        for name, module in unet.named_modules()
        if name.startswith(prefix) and name.rpartition(".")[2] == kind
    ]
    if not found:
        raise UserError(f"options.modules: up block {number} has no {kind}; remove {number} from {kind}")
    return found
