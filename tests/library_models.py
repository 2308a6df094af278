"""Models of timm and torchgeo that tests build, with drawn weights unless they say otherwise, and what they are fed."""

from dataclasses import replace
from typing import Any

import torch

import encoders
from encoders.spec import EncoderCard


def card(name: str, random: bool = True, **options: Any) -> EncoderCard:
    passport = encoders.card(name)
    weights = replace(passport.weights, random=random)
    return replace(passport, weights=weights, options=passport.options | options)


def images(channels: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(seed))
