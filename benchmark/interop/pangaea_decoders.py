"""PANGAEA's decoders behind our trained fusers: where SatDiFuser's fuser stands when PANGAEA trains.

`fused_decoder` makes any decoder of PANGAEA's from its config (`configs/pangaea/decoder/`); it takes frozen encoder and
fuser together for one encoder, and its optimiser trains the fuser with it.
"""

import os
from collections.abc import Mapping
from logging import Logger
from typing import Any, Literal

import torch
from hydra.utils import instantiate
from pangaea.encoders.base import Encoder as PangaeaEncoder
from torch import Tensor, nn

from benchmark.interop.pangaea import FrozenEncoder, is_pyramid
from benchmark.request.rows import fusion_names, load_fusion, options_for
from decoders.fuser import Fuser
from decoders.fusion import build_fuser
from decoders.fusion_options import Experts, parse
from decoders.layers import resize
from encoders.errors import UserError, nearest

Task = Literal["classification", "segmentation"]


class FusedEncoder(PangaeaEncoder):
    """A frozen encoder and the trained fuser behind it, which PANGAEA's decoders take for one encoder.

    Attributes:
        encoder: the frozen one.
        fuser: what is trained of it.
    """

    def __init__(self, encoder: FrozenEncoder, fuser: Fuser, added: bool) -> None:
        """
        Args:
            added: hand on one map, the sum of all, each brought to the finest grid: the official SatDiFuser's way to
                its linear layer.

        Raises:
            UserError: maps that cannot be added.
        """
        if added and len(set(fuser.widths)) > 1:
            raise UserError(f"decoder.added: maps {list(fuser.widths)} channels wide cannot be added; set it to false")
        widths = fuser.widths[:1] if added else fuser.widths
        super().__init__(
            model_name=encoder.model_name,
            input_bands=encoder.input_bands,
            input_size=encoder.input_size,
            embed_dim=sum(widths),
            output_layers=list(range(len(widths))),
            output_dim=list(widths),
            multi_temporal=False,
            multi_temporal_output=False,
            pyramid_output=not added and is_pyramid(fuser),
            encoder_weights=encoder.encoder_weights,
            download_url="",
        )
        self.encoder, self.fuser, self.added = encoder, fuser, added

    def load_encoder_weights(self, logger: Logger) -> None:
        """As the frozen encoder's."""
        self.encoder.load_encoder_weights(logger)

    def forward(self, x: Mapping[str, Tensor]) -> list[Tensor]:
        """The fused maps, (B, output_dim, H, W) each; gradients reach the fuser."""
        maps: list[Tensor] = self.fuser(self.encoder.features(x).maps)
        if not self.added:
            return maps
        finest = maps[0].shape[-2:]
        return [torch.stack([resize(one, finest) for one in maps]).sum(0)]


def fused_decoder(
    encoder: FrozenEncoder,
    num_classes: int,
    finetune: bool,
    fusion: str,
    task: Task,
    decoder: Mapping[str, Any],
    added: bool | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """One of PANGAEA's decoders, on maps that a fuser of ours makes and PANGAEA trains.

    Args:
        fusion: a file of `configs/fusion/`: gw, lw, moe, ...
        task: which of a fuser's options that depend on it are meant.
        decoder: the config of PANGAEA's decoder, without encoder, classes and `finetune`.
        added: see `FusedEncoder`; None: for classification, where the fuser's maps lie in one space.
        options: changed options of the fuser.

    Raises:
        UserError: a fuser that PANGAEA cannot train, or options that cannot be.
    """
    if finetune:
        raise UserError("this project's encoders are frozen; leave finetune=false")
    if not isinstance(encoder, FrozenEncoder):
        raise UserError(
            f"a fuser needs an encoder of this project, not {type(encoder).__name__}; choose encoder=satdifuser"
        )
    if fusion not in fusion_names():
        raise UserError(f"decoder.fusion is '{fusion}'; {nearest(fusion, fusion_names())}")
    described = load_fusion(fusion)
    given = options_for(described, task) | dict(options or {})
    experts = parse(described.kind, given)
    if isinstance(experts, Experts):
        _check_experts(fusion, experts)
    fuser = build_fuser(described.kind, encoder.frozen.levels, encoder.frozen.views, given)
    adds = task == "classification" and fuser.additive if added is None else added
    # `finetune` lets gradients pass PANGAEA's decoder to what it takes for the encoder; the frozen one keeps them out.
    behind = FusedEncoder(encoder, fuser, adds)
    made: nn.Module = instantiate(decoder, encoder=behind, num_classes=num_classes, finetune=True)
    if isinstance(experts, Experts):
        # `DistributedDataParallel` would wait for the gradients of experts that no image of a batch is sent to.
        left_out = [name for name, one in made.named_parameters() if one.requires_grad and ".experts." in name]
        nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(made, left_out)
    return made


def _check_experts(fusion: str, options: Experts) -> None:
    if options.balance != "none":
        raise UserError(f"decoder.fusion={fusion}: PANGAEA's loss has no place for the balance of experts; choose moe")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(f"decoder.fusion={fusion}: experts train in one process; give torchrun --nproc_per_node=1")
