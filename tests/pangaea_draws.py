"""PANGAEA's run.py with this project's random draws in place of its own: `tests/pangaea_draws.py FILE pangaea/run.py ...`.

FILE holds the initial weights of one of our decoders and how it draws (`tests.pangaea_comparison` writes it). Replaced are
initial weights, order of images, crops and dropped channels; what is computed from them is PANGAEA's. So two trainings
that compute the same go the same way, step by step, and any other difference shows.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data.distributed import DistributedSampler

from benchmark.features.views import Fresh
from benchmark.interop import pangaea_on_cpu
from benchmark.training.loop import data_order
from decoders.layers import ChannelDropout

THEIRS = {"fuser.": "encoder.fuser.", "head.decoder_head.": "linear_head.", "neck.rescale.1.": "neck.ops.1.0."} | {
    "neck.rescale.": "neck.ops.",
    "head.": "",
}
"""Beginnings of our parameters' names -> PANGAEA's, the first that fits."""


def renamed(name: str) -> str:
    """PANGAEA's name of a parameter of ours."""
    ours = next(start for start in THEIRS if name.startswith(start))
    return THEIRS[ours] + name.removeprefix(ours)


def replace_draws(drawn: dict[str, Any]) -> None:
    """Let what PANGAEA builds from now on draw as `drawn` says."""
    from pangaea.datasets.base import GeoFMDataset
    from pangaea.engine import data_preprocessor

    state = {renamed(name): value for name, value in drawn["state"].items()}
    generator = torch.Generator().manual_seed(drawn["dropout_seed"])
    now = {"epoch": 0, "image": 0}
    wrap, read = nn.parallel.DistributedDataParallel.__init__, GeoFMDataset.__getitem__

    def wrapped(self: Any, module: nn.Module, *arguments: Any, **named: Any) -> None:
        missing, unexpected = module.load_state_dict(state, strict=False)
        trained = [name for name, one in module.named_parameters() if one.requires_grad and name in missing]
        if unexpected or trained:
            raise ValueError(f"not the same decoder: {unexpected} beside {trained}")
        wrap(self, module, *arguments, **named)

    def order(self: Any) -> Iterator[int]:
        now["epoch"] = self.epoch
        return iter(data_order(drawn["order_seed"], self.epoch, len(self.dataset)).tolist())

    def reading(self: Any, number: int) -> Any:
        now["image"] = number
        return read(self, number)

    def corner(self: Any, data: Any) -> tuple[int, int, int, int]:
        height, width = next(iter(data["image"].values())).shape[-2:]
        (side, _), epochs = self.size, drawn["epochs"]
        fresh = Fresh(epochs, (), 1.0, side, drawn["order_seed"])
        pixels = np.arange(height * width).reshape(1, height, width)
        first = fresh.masks(pixels, np.array([now["image"] * epochs + now["epoch"]]))[0, 0, 0]
        return (*divmod(int(first), width), side, side)

    nn.parallel.DistributedDataParallel.__init__ = wrapped  # type: ignore[assignment]
    nn.Dropout2d = lambda p: ChannelDropout(p, generator)  # type: ignore[assignment,misc]
    DistributedSampler.__iter__ = order  # type: ignore[assignment]
    GeoFMDataset.__getitem__ = reading
    data_preprocessor.RandomCrop.get_params = corner


if __name__ == "__main__":
    replace_draws(torch.load(sys.argv[1]))
    pangaea_on_cpu.main(sys.argv[2:])
