"""Small tasks, features in memory and decoders on them, for the tests of the decoder bank."""

import dataclasses
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.protocol import Protocol
from benchmark.training.bank import Member, Trained
from benchmark.training.loop import train
from benchmark.training.prediction import Task, headline
from decoders.decoder import Decoder, linear_decoder, pooled_decoder, upernet_decoder
from decoders.fusion import build_fuser
from encoders.base import Level
from tests.test_protocol import protocol as load_protocol

LEVELS = (Level(4, (("a", 4), ("b", 4))), Level(8, (("c", 6),)))
VIEWS = ("t1", "t2")
SIDES = (4, 2)
SMALL: dict[str, object] = {"projection_dim": 16, "num_norm_groups": 2}
FEW: dict[str, object] = SMALL | {"num_experts": 3, "top_k": 2}
BATCH = 8

SINGLE = Task("single_label", 3, headline("single_label", "accuracy"))
MULTI = Task("multi_label", 3, headline("multi_label", "f1_micro"))
MASKS = Task("segmentation", 3, headline("segmentation", "miou_truth"))


class Features:
    """Stored features in memory, half precision, with their labels; counts its reads."""

    variants = 1

    def __init__(self, maps: tuple[Tensor, ...], truth: np.ndarray) -> None:
        self.maps, self.truth = tuple(level.half() for level in maps), truth
        self.reads: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.maps[0])

    def labels(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.truth[rows]
        return found

    def read(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        self.reads.append(rows)
        return tuple(level[torch.from_numpy(rows)] for level in self.maps)


def split(task: Task, images: int, seed: int, signal: float = 1.5, side: int = 8) -> Features:
    """Noise, and a direction for each class that is the same in every split, `signal` strong."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    directions = [fixed.standard_normal((task.num_classes, level.channels)) for level in LEVELS]
    labels: np.ndarray
    if task.kind == "segmentation":
        # Left and right halves of an image differ in class, on cells that both levels resolve.
        halves = rng.integers(0, task.num_classes, (images, 2))
        labels = np.repeat(halves, side // 2, axis=1)[:, None].repeat(side, axis=1).astype(np.uint8)
    elif task.kind == "multi_label":
        labels = rng.integers(0, 2, (images, task.num_classes)).astype(np.uint8)
    else:
        labels = rng.integers(0, task.num_classes, images)
    maps = []
    for level, grid, direction in zip(LEVELS, SIDES, directions, strict=True):
        shape = (images, len(VIEWS), level.channels, grid, grid)
        if task.kind == "segmentation":
            where = direction[halves].transpose(0, 2, 1).repeat(grid // 2, axis=2)[:, None, :, None, :]
        elif task.kind == "multi_label":
            where = (labels @ direction)[:, None, :, None, None]
        else:
            where = direction[labels][:, None, :, None, None]
        maps.append(torch.from_numpy(rng.standard_normal(shape) + signal * where))
    return Features(tuple(maps), labels)


def pooled(name: str, options: dict[str, object] | None, _: torch.Generator) -> Decoder:
    return pooled_decoder(build_fuser(name, LEVELS, VIEWS, options), 3)


def upernet(name: str, options: dict[str, object] | None, generator: torch.Generator) -> Decoder:
    fuser = build_fuser(name, LEVELS, VIEWS, options)
    return upernet_decoder(fuser, 3, channels=8, dropout=0.2, generator=generator)


def linear(_: torch.Generator) -> Decoder:
    return linear_decoder(build_fuser("mean", LEVELS, VIEWS), 3)


GW = functools.partial(pooled, "gw", SMALL)
MEAN = functools.partial(pooled, "mean", None)
MOE = functools.partial(pooled, "moe", FEW | {"warmup_steps": 20, "balance": "load", "counter": "official"})
UPERNET = functools.partial(upernet, "gw", SMALL)
UPERNET_MOE = functools.partial(upernet, "moe", FEW | {"warmup_steps": 0})


@functools.cache
def smoke_protocol() -> Protocol:
    """`smoke` with small batches."""
    return dataclasses.replace(load_protocol("smoke"), decoder_batch=BATCH)


def run(
    bank: list[Member], task: Task, protocol: Protocol, images: int = 29, signal: float = 1.5, **changed: Any
) -> list[Trained]:
    """The bank trained on `split`s of the task."""
    train_split, val_split = split(task, images, 1, signal), split(task, 24, 2, signal)
    return train(bank, task, train_split, val_split, protocol=dataclasses.replace(protocol, **changed))


def weights(trained: Trained) -> dict[str, Tensor]:
    """Its state dict."""
    assert trained.decoder is not None
    return trained.decoder.state_dict()


def same(one: Trained, other: Trained) -> bool:
    """Whether two members hold the same bits."""
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
