"""Decoder = fuser + head: an encoder's maps -> logits. The one kind of module that is trained by gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from decoders.fuser import Fuser
from decoders.heads import FCN, LinearSegmentation, PooledClassifier
from decoders.layer_heads import SEGMENTATION_HEADS, CoarseToFine
from decoders.neck import Neck
from decoders.upernet import UPerNet

Size = tuple[int, int]


class Decoder(nn.Module):
    """A fuser and what makes logits of its maps.

    Attributes:
        fuser: of an encoder's levels and views.
        neck: rescales fused maps into UPerNet's pyramid; None for heads that take them as they are.
        head: called with the maps, and for segmentation the labels' size.
        auxiliary: a head beside, whose answer is for training alone, and the weight of its loss.
    """

    def __init__(
        self,
        fuser: Fuser,
        head: nn.Module,
        neck: Neck | None = None,
        auxiliary: tuple[nn.Module, float] | None = None,
    ) -> None:
        super().__init__()
        self.fuser = fuser
        self.neck = neck
        self.head = head
        self.auxiliary: nn.Module | None = auxiliary[0] if auxiliary else None
        self._auxiliary_weight = auxiliary[1] if auxiliary else 0.0
        self._beside: list[tuple[float, Tensor]] = []

    def forward(self, maps: Sequence[Tensor], size: Size | None = None) -> Tensor:
        """Logits.

        Args:
            maps: one tensor a level, finest first, each (B, views, channels, H_l, W_l), any floating dtype.
            size: the labels' native (height, width) for segmentation; None for classification.

        Returns:
            (B, classes) or (B, classes, *size) float32.
        """
        fused = self.fuser(maps)
        if self.neck is not None:
            fused = self.neck(fused)
        if self.training and self.auxiliary is not None:
            self._beside = [(self._auxiliary_weight, self.auxiliary(fused, size))]
        logits: Tensor = self.head(fused) if size is None else self.head(fused, size)
        return logits

    def auxiliary_logits(self) -> list[tuple[float, Tensor]]:
        """What the latest training call predicted beside, with the weight of its loss, handed over once."""
        beside, self._beside = self._beside, []
        return beside

    def auxiliary_loss(self) -> Tensor | None:
        """What the fuser's latest training call adds to the loss, handed over once; None for nothing."""
        return self.fuser.auxiliary_loss()


def pooled_decoder(fuser: Fuser, num_classes: int) -> Decoder:
    """A classifier on pooled maps: added where the fuser's maps lie in one space, concatenated elsewhere."""
    return Decoder(fuser, PooledClassifier(fuser.widths, num_classes, add=fuser.additive))


def upernet_decoder(
    fuser: Fuser,
    num_classes: int,
    *,
    channels: int,
    dropout: float,
    generator: torch.Generator,
    auxiliary: tuple[int, float] | None = None,
) -> Decoder:
    """UPerNet behind the neck; dropout is drawn from `generator`.

    Args:
        auxiliary: width of an FCN head on the neck's third scale, or its last, and the weight of its loss.
    """
    neck = Neck(fuser.strides, fuser.widths)
    head = UPerNet(neck.widths, num_classes, channels=channels, dropout=dropout, generator=generator)
    if auxiliary is None:
        return Decoder(fuser, head, neck)
    width, weight = auxiliary
    beside = FCN(neck.widths, num_classes, channels=width, dropout=dropout, generator=generator)
    return Decoder(fuser, head, neck, (beside, weight))


def layers_decoder(fuser: Fuser, num_classes: int, head: str, channels: int) -> Decoder:
    """A head of `decoders.layer_heads` on the fuser's maps.

    Raises:
        UserError: the head takes another number of maps.
    """
    return Decoder(fuser, CoarseToFine(SEGMENTATION_HEADS[head], fuser.widths, num_classes, channels))


def linear_decoder(fuser: Fuser, num_classes: int) -> Decoder:
    """A 1x1 convolution on the finest fused map, for segmentation."""
    return Decoder(fuser, LinearSegmentation(fuser.strides, fuser.widths, num_classes))
