"""What can be chosen about SatDiFuser, checked without a deep-learning framework (a run's key needs it)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from encoders.bounds import Few, FewFrom0, NotNegative, Seed, Timestep, Width
from encoders.errors import UserError, strict, validate

Kind = Literal["attn1", "conv2", "attn2"]
OFFICIAL_SAVE_INDICES = (47, 45, 40)
WHAT = ("prompt", "prediction", "seed", "unet_subfolder")
"""Options that change what is computed, and neither how much of it nor a shape."""
STEPS = ("num_steps", "save_indices", "save_timesteps", "mode", "guidance")
"""Options that change how much is computed, and of shapes the number of views alone."""


@strict
@dataclass(frozen=True)
class Architecture:
    """Sizes of a model whose weights are drawn, in Stable Diffusion 2.1's layout. Defaults: tiny.

    Attributes:
        unet: channels of the UNet's four resolutions, multiples of `groups` and of `head`.
        vae: channels of the VAE's four resolutions.
        head: channels of an attention head.
        groups: groups of every group norm.
        context: width of the prompt embedding; tokens: its length.
        layers: residual blocks a resolution.
    """

    unet: tuple[Width, Width, Width, Width] = (16, 32, 64, 64)
    vae: tuple[Width, Width, Width, Width] = (8, 8, 16, 16)
    head: Width = 16
    groups: Width = 4
    context: Width = 16
    tokens: Width = 8
    layers: Few = 2


TINY = Architecture()
FULL = Architecture((320, 640, 1280, 1280), (128, 256, 512, 512), head=64, groups=32, context=1024, tokens=77)
"""Stable Diffusion 2.1's own sizes: for timing, and for counting what cannot be downloaded."""


@strict
@dataclass(frozen=True)
class Options:
    """Options of the adapter, `options` of a card.

    Attributes:
        num_steps: inference steps n; the inversion walks a grid of 1000 // n timesteps a step.
        save_indices: official save indices k (k = n-1 is the image itself), or
        save_timesteps: model timesteps t; exactly one of both.
        modules: up blocks whose modules are read, by kind: attn1 self-attention, conv2 second convolution of
            a residual block, attn2 cross-attention.
        prompt: what the text encoder is told; immaterial for drawn weights.
        guidance: scale of classifier-free guidance during inversion; None switches it off.
        mode: `inversion` (deterministic), or `generation` (noise is added at once; one save step).
        prediction: how the UNet's output is read: `epsilon` (the official code, whatever the network was
            trained on) or `scheduler` (what the scheduler's config names).
        seed: of generation's noise and of drawn weights.
        unet_subfolder: where in the checkpoint folder the UNet lies.
        architecture: sizes where weights are drawn: `tiny`, `full` or one's own.
    """

    num_steps: Few = 50
    save_indices: tuple[FewFrom0, ...] | None = None
    save_timesteps: tuple[Timestep, ...] | None = None
    modules: dict[Kind, tuple[FewFrom0, ...]] = field(
        default_factory=lambda: {"attn1": (1, 2, 3), "conv2": (0, 1, 2, 3)}
    )
    prompt: str = "A satellite image"
    guidance: NotNegative | None = None
    mode: Literal["inversion", "generation"] = "inversion"
    prediction: Literal["epsilon", "scheduler"] = "epsilon"
    seed: Seed = 42
    unet_subfolder: str = "checkpoint-150000/unet"
    architecture: Literal["tiny", "full"] | Architecture | None = None

    @property
    def views(self) -> int:
        """How often it looks at an image: once a saved step."""
        return len(self.save_indices or self.save_timesteps or OFFICIAL_SAVE_INDICES)

    @property
    def sizes(self) -> Architecture:
        """The architecture spelled out; tiny where none is named."""
        if isinstance(self.architecture, Architecture):
            return self.architecture
        return FULL if self.architecture == "full" else TINY


def parse(options: Mapping[str, object], where: str) -> Options:
    """Options from a card's plain data; the official save indices where no step is named.

    Raises:
        UserError: an unknown key or a value that cannot be; names `where`, the key and the remedy.
    """
    parsed = validate(Options, dict(options), where)
    if parsed.save_indices is not None and parsed.save_timesteps is not None:
        raise UserError(f"{where}: save_indices and save_timesteps are both given; set one of them to null")
    if parsed.save_indices is None and parsed.save_timesteps is None:
        parsed = replace(parsed, save_indices=OFFICIAL_SAVE_INDICES)
    steps = parsed.save_indices or parsed.save_timesteps or ()
    if parsed.mode == "generation" and len(steps) != 1:
        raise UserError(
            f"{where}: generation looks at an image once but {len(steps)} save steps are given; name one, "
            "such as save_indices: [40]"
        )
    if parsed.guidance is not None and parsed.mode == "generation":
        raise UserError(f"{where}: guidance acts on inversion only; set guidance to null")
    if not any(parsed.modules.values()):
        raise UserError(f"{where}: 'modules' names no up block; add some, such as conv2: [0, 1, 2, 3]")
    return parsed
