"""Fusers for any encoder's levels and views, by name: none, mean, concat, gw, lw, moe.

`build_fuser` is the way in. Fusers without parameters stand here, the learned ones in `weighted` and `moe`.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from decoders.fuser import Fuser
from decoders.fusion_options import Components, Experts, GlobalWeights, LocalWeights, parse
from decoders.moe import MixtureOfExperts
from decoders.weighted import GlobalWeighted, LocalWeighted
from encoders.base import Level
from encoders.errors import UserError

__all__ = ["Fuser", "build_fuser"]


class NoFusion(Fuser):
    """`none`: each module of the last view is a map of its own, levels finest first, modules in order."""

    additive = False

    def __init__(self, levels: Sequence[Level], views: Sequence[str]) -> None:
        super().__init__(levels, views)
        self.strides = tuple(level.stride for level in levels for _ in level.modules)
        self.widths = tuple(channels for level in levels for _, channels in level.modules)

    def _fuse(self, maps: list[Tensor]) -> list[Tensor]:
        fused: list[Tensor] = []
        for level, level_map in zip(self.levels, maps, strict=True):
            fused += level_map[:, -1].split([channels for _, channels in level.modules], dim=1)
        return fused


class Mean(Fuser):
    """`mean`: a level's modules side by side, averaged over the views. Modules differ in width and meaning,
    so they are never averaged."""

    additive = False

    def __init__(self, levels: Sequence[Level], views: Sequence[str]) -> None:
        super().__init__(levels, views)
        self.strides = tuple(level.stride for level in levels)
        self.widths = tuple(level.channels for level in levels)

    def _fuse(self, maps: list[Tensor]) -> list[Tensor]:
        return [level_map.mean(1) for level_map in maps]


class Concat(Fuser):
    """`concat`: a level's modules and views side by side, view by view. With one view the same as `mean`."""

    additive = False

    def __init__(self, levels: Sequence[Level], views: Sequence[str]) -> None:
        super().__init__(levels, views)
        self.strides = tuple(level.stride for level in levels)
        self.widths = tuple(len(views) * level.channels for level in levels)

    def _fuse(self, maps: list[Tensor]) -> list[Tensor]:
        return [level_map.flatten(1, 2) for level_map in maps]


PLAIN: dict[str, type[NoFusion] | type[Mean] | type[Concat]] = {
    "none": NoFusion,
    "mean": Mean,
    "concat": Concat,
}


def build_fuser(
    name: str, levels: Sequence[Level], views: Sequence[str], options: Mapping[str, object] | None = None
) -> Fuser:
    """The fuser `name` for an encoder's levels and views.

    Initial weights come from torch's global generator: seed it, inside `torch.random.fork_rng`, beforehand.

    Args:
        options: see `decoders.fusion_options`; None for the defaults.

    Raises:
        UserError: no such fuser or option, a value that cannot be, or a fuser with nothing to fuse.
    """
    parsed = parse(name, options or {})
    if isinstance(parsed, Components):
        raise UserError(f"fusion {name} fuses no maps, it is for linear probes; choose another for a trained decoder")
    if isinstance(parsed, GlobalWeights):
        return GlobalWeighted(levels, views, parsed)
    if isinstance(parsed, LocalWeights):
        return LocalWeighted(levels, views, parsed)
    if isinstance(parsed, Experts):
        return MixtureOfExperts(levels, views, parsed)
    return PLAIN[name](levels, views)
