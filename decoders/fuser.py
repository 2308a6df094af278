"""The fuser interface: an encoder's modules and views -> the maps a head is trained on.

`forward` checks shapes and casts to float32, so that features may be stored in half precision; a fuser
writes `_fuse` alone and says the strides and widths of its maps.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from encoders.base import Level


class Fuser(nn.Module, ABC):
    """A fuser for the given levels and views.

    Attributes:
        levels: the grids of the encoder's maps, finest first.
        views: how often the encoder looked at the image, in its order (SatDiFuser: descending save index).
        strides: input pixels a cell of each fused map spans, finest first.
        widths: channels of each fused map.
        additive: True where all maps lie in one learned space, so that a head may add them.
    """

    additive: ClassVar[bool]
    strides: tuple[int, ...]
    widths: tuple[int, ...]

    def __init__(self, levels: Sequence[Level], views: Sequence[str]) -> None:
        super().__init__()
        if not levels or not views:
            raise ValueError("a fuser needs at least one level and one view")
        self.levels = tuple(levels)
        self.views = tuple(views)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Fuse.

        Args:
            maps: one tensor a level, finest first, each (B, views, channels, H_l, W_l), any floating dtype.

        Returns:
            (B, width, H_l, W_l) float32 each, as `strides` and `widths` say.

        Raises:
            ValueError: shapes differ from the declared levels and views.
        """
        return self._fuse(self.checked(maps))

    def checked(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps in float32; raises as `forward`."""
        expected = [(len(self.views), level.channels) for level in self.levels]
        given = [tuple(level_map.shape[1:3]) for level_map in maps]
        if given != expected or any(level_map.ndim != 5 for level_map in maps):
            raise ValueError(f"the fuser was built for (views, channels) {expected} a level but got {given}")
        return [level_map.float() for level_map in maps]

    def auxiliary_loss(self) -> Tensor | None:
        """What the latest training call adds to the loss, handed over once; None where there is nothing."""
        return None

    @abstractmethod
    def _fuse(self, maps: list[Tensor]) -> list[Tensor]:
        """Fused maps; shapes as `forward` says."""
