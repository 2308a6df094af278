"""Between the host's memory and a GPU's: copies that neither side waits for.

A copy runs beside the GPU's computing only from and to pinned host memory, and home only on a stream of its own. On the
CPU there is nothing to do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def pinned(values: Tensor, device: torch.device) -> Tensor:
    """Host values as they are best sent to the device: a pinned copy for a GPU, themselves for the CPU."""
    return values.pin_memory() if device.type == "cuda" else values


def send(values: Tensor, device: torch.device) -> Tensor:
    """Values on the device; from pinned memory without waiting."""
    return values.to(device, non_blocking=True)


class Arriving:
    """Tensors on their way to the host."""

    def __init__(self, tensors: Sequence[Tensor], done: "torch.cuda.Event | None" = None) -> None:
        self._tensors, self._done = tuple(tensors), done

    def wait(self) -> tuple[Tensor, ...]:
        """The tensors in host memory, once they are there."""
        if self._done is not None:
            self._done.synchronize()
        return self._tensors


class Homeward:
    """Brings a device's tensors to the host while it goes on computing."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def start(self, tensors: Sequence[Tensor]) -> Arriving:
        """Copies of tensors, begun once what computes them is done; of tensors on the CPU, themselves."""
        if self._stream is None:
            return Arriving(tensors)
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            copies = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in tensors]
            for copy, one in zip(copies, tensors, strict=True):
                copy.copy_(one, non_blocking=True)
                # Its memory is not given to others before it was copied.
                one.record_stream(self._stream)
            done = torch.cuda.Event()
            done.record(self._stream)
        return Arriving(copies, done)
