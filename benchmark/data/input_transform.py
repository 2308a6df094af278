"""A plan of inputs carried out: native pixels to the tensor an encoder wants."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.data.inputs import Channel, InputPlan, needs_statistics
from encoders.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from benchmark.data.moments import BandStatistics
    from encoders.scaling import Moments


class InputTransform:
    """A plan, carried out: native pixels to the tensor the encoder wants."""

    def __init__(self, plan: InputPlan, statistics: Mapping[str, "BandStatistics"]) -> None:
        """
        Args:
            plan: what goes where.
            statistics: exact train statistics by what a band really is.
        """
        self.plan = plan
        self.statistics = statistics

    def __call__(self, native: "np.ndarray | Tensor") -> "Tensor":
        """
        Args:
            native: (B, C, H, W) as ingested, any numeric dtype; a tensor may be on any device.

        Returns:
            (B, channels, side, side) float32, on the device of `native`.
        """
        return self.resized(self.scaled(native))

    def resized(self, scaled: "Tensor") -> "Tensor":
        """Scaled channels (B, channels, H, W), or parts of them, at the side fed."""
        return resize(scaled, self.plan.side, self.plan.antialias)

    def scaled(self, native: "np.ndarray | Tensor", *, clip: bool = True) -> "Tensor":
        """The channels at native size, (B, channels, H, W) float32; `clip=False` leaves out every clipping."""
        import torch

        from encoders import scaling

        if not isinstance(native, torch.Tensor):
            # Torch knows no read-only arrays, as a memory map's rows are.
            native = torch.from_numpy(native if native.flags.writeable else native.copy())
        shape = (native.shape[0], len(self.plan.channels), *native.shape[2:])
        out = torch.empty(shape, dtype=torch.float32, device=native.device)
        for position, channel in enumerate(self.plan.channels):
            if channel.index is None:
                constant = float(channel.constant or 0.0)
                out[:, position] = constant
                if channel.filled != "zero_raw":
                    continue
                pixels = out[:, position]
            else:
                pixels = native[:, channel.index].float()
            out[:, position] = scaling.apply(
                pixels,
                channel.rule.steps,
                wanted=channel.statistics_name,
                level=channel.level,
                statistics=self._moments(channel),
                clip=clip,
            )
        return out

    def _moments(self, channel: Channel) -> "Moments | None":
        from encoders import scaling

        if channel.stored is None or not needs_statistics(channel.rule.steps):
            return None
        found = self.statistics[channel.stored.band]
        if any(step.op == "decibel" for step in channel.rule.steps):
            if found.decibel_mean is None or found.decibel_std is None:
                raise UserError(f"{channel.stored.name} of {self.plan.dataset.name} has no statistics in decibels")
            return scaling.Moments(found.decibel_mean, found.decibel_std)
        return scaling.Moments(found.mean, found.std)


def resize(images: "Tensor", side: int, antialias: bool = True) -> "Tensor":
    """Bilinear, with antialiasing as torchvision's Resize on tensors; untouched where the size is right."""
    from torch.nn.functional import interpolate

    if tuple(images.shape[-2:]) == (side, side):
        return images
    return interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=antialias)
