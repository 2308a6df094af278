"""What a trained fuser looks at: SatDiFuser's own pictures, as plain arrays beside a record (`pictures/<key>.npz`).

They are gathered while the test split is predicted for its score: no image is read a second time, and nothing can be
chosen by what is seen here. They are no part of a record.
"""

from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from benchmark.scoring.counts import Array
from decoders.decoder import Decoder
from decoders.fuser import Fuser
from decoders.moe import MixtureOfExperts
from decoders.weighted import GlobalWeighted, LocalWeighted


class Watched:
    """Context manager: what a decoder's fuser does while it predicts images 0, 1, ... in this order.

    Args:
        decoder: in use inside the block.
        shown: the images of which `lw`'s gates are kept as maps.
    """

    def __init__(self, decoder: Decoder, shown: Sequence[int]) -> None:
        self._fuser, self._shown = decoder.fuser, set(shown)
        self._handles: list[RemovableHandle] = []
        self._images: dict[int, int] = defaultdict(int)
        self._sums: dict[int, Tensor] = {}
        self._picked: dict[int, Tensor] = {}
        self._kept: dict[int, list[Tensor]] = defaultdict(list)

    def __enter__(self) -> "Watched":
        if isinstance(self._fuser, LocalWeighted):
            for number, module in enumerate(self._fuser.gate_modules):
                self._handles.append(module.register_forward_hook(self._gates(number)))
        elif isinstance(self._fuser, MixtureOfExperts):
            for number, module in enumerate(self._fuser.scale_moes):
                self._handles.append(module.register_forward_hook(self._experts(number)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def arrays(self) -> dict[str, Array]:
        """What was seen; empty for a fuser that learns no weights.

        All hold `kind`, `views` (V,), `modules` (M,) names, finest level first, `level` (M,) of each, `strides` (L,).

        Returns:
            gw: `weights` (V, M) float32, the softmax as the fuser uses it; they sum to 1 over all.
            lw: `weights` (V, M) float32, gates averaged over pixels and images; they sum to 1 in each level.
                `shown` (S,) images and `gates<level>` (S, V, modules of the level, H, W) float16 of these.
            moe: by level, view and expert, `picked` (L, V, E) int64, in how many images the gate had it among
                the best k, and `probability` (L, V, E) float32, its mean softmax; `images` (), `top_k` ().
        """
        fuser = self._fuser
        if isinstance(fuser, GlobalWeighted):
            weights = fuser.gate().detach().cpu().numpy().reshape(len(fuser.views), -1)
            return _about("gw", fuser) | {"weights": weights.astype(np.float32)}
        if isinstance(fuser, LocalWeighted) and self._sums:
            means = [self._mean(number).reshape(len(fuser.views), -1) for number in range(len(fuser.levels))]
            shown = np.array(sorted(index for index in self._shown if index < self._images[0]), np.int64)
            kept = {f"gates{number}": self._maps(number, len(fuser.views)) for number in sorted(self._kept)}
            return _about("lw", fuser) | {"weights": np.concatenate(means, axis=1), "shown": shown, **kept}
        if isinstance(fuser, MixtureOfExperts) and self._sums:
            levels = range(len(fuser.levels))
            return _about("moe", fuser) | {
                "picked": np.stack([self._picked[number].cpu().numpy() for number in levels]),
                "probability": np.stack([self._mean(number) for number in levels]),
                "images": np.array(self._images[0]),
                "top_k": np.array(fuser.options.top_k),
            }
        return {}

    def _gates(self, number: int) -> Any:
        def see(module: object, inputs: object, gates: Tensor) -> None:
            first = self._images[number]
            self._kept[number] += [gates[at].half().cpu() for at in range(len(gates)) if first + at in self._shown]
            self._add(number, gates.mean((2, 3)))

        return see

    def _experts(self, number: int) -> Any:
        def see(module: object, inputs: Any, output: object) -> None:
            routing = inputs[1]
            picked = torch.zeros_like(routing.probabilities).scatter(-1, routing.top_index, 1).sum(0).long()
            self._picked[number] = self._picked[number] + picked if number in self._picked else picked
            self._add(number, routing.probabilities)

        return see

    def _add(self, number: int, values: Tensor) -> None:
        """Sum (B, ...) over the images of a batch; stays on the device until asked."""
        summed = values.double().sum(0)
        self._sums[number] = self._sums[number] + summed if number in self._sums else summed
        self._images[number] += len(values)

    def _mean(self, number: int) -> Array:
        mean: Array = (self._sums[number] / self._images[number]).float().cpu().numpy()
        return mean

    def _maps(self, number: int, views: int) -> Array:
        stacked = torch.stack(self._kept[number])
        maps: Array = stacked.unflatten(1, (views, -1)).numpy()
        return maps


def _about(kind: str, fuser: Fuser) -> dict[str, Array]:
    modules = [(name, number) for number, level in enumerate(fuser.levels) for name, _ in level.modules]
    return {
        "kind": np.array(kind),
        "views": np.array(fuser.views),
        "modules": np.array([name for name, _ in modules]),
        "level": np.array([number for _, number in modules], np.int64),
        "strides": np.array([level.stride for level in fuser.levels], np.int64),
    }
