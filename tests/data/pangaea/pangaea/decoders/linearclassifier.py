"""PANGAEA's linear probe: all maps at the largest grid, side by side, averaged, one linear layer."""

import torch
from torch import nn
from torch.nn import functional as F

from pangaea.decoders.base import Decoder


class LinearClassifier(Decoder):
    def __init__(self, encoder, num_classes, finetune):
        super().__init__(encoder, num_classes, finetune)
        self.model_name = "LinearClassifier"
        self.linear_head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(sum(encoder.output_dim), num_classes)
        )

    def forward(self, img, output_shape=None):
        maps = self.maps(img)
        size = max(one.shape[-1] for one in maps)
        wide = [F.interpolate(one, size=(size, size), mode="bilinear", align_corners=False) for one in maps]
        return self.linear_head(torch.cat(wide, dim=1))
