"""Stands where PANGAEA's UPerNet does: maps of the declared widths and order in, logits of the size asked for out."""

import torch
from torch import nn
from torch.nn import functional as F

from pangaea.decoders.base import Decoder


class SegUPerNet(Decoder):
    def __init__(self, encoder, num_classes, finetune, channels):
        super().__init__(encoder, num_classes, finetune)
        self.model_name = "UPerNet"
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in encoder.output_dim)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, img, output_shape=None):
        maps = self.maps(img)
        sides = [one.shape[-1] for one in maps]
        assert self.encoder.pyramid_output == (len(set(sides)) > 1)
        assert sides == sorted(sides, reverse=True)
        narrow = [conv(one) for conv, one in zip(self.lateral, maps, strict=True)]
        joined = torch.stack([F.interpolate(one, size=narrow[0].shape[-2:], mode="bilinear") for one in narrow]).sum(0)
        return F.interpolate(self.conv_seg(joined), size=output_shape, mode="bilinear")
