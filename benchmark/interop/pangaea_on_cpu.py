"""PANGAEA's scripts on a machine without a GPU: `torchrun -m benchmark.interop.pangaea_on_cpu pangaea/run.py ...`.

PANGAEA f20f3d3 asks for CUDA by name in four places: its device, its process group (NCCL), the device of its
`DistributedDataParallel` and the batch norm that is synchronised over processes, which PyTorch has for GPUs alone. In
this process these four become the CPU, gloo, no device, and plain batch norm; the script itself runs as it is.
"""

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from encoders.errors import UserError


class _Meta(type):
    """Makes `isinstance(x, torch.device)` mean what it did."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _DEVICE)


_DEVICE = torch.device


class CpuDevice(metaclass=_Meta):
    """`torch.device` that gives the CPU where CUDA is asked for."""

    def __new__(cls, *where: Any, **named: Any) -> Any:
        device = _DEVICE(*where, **named)
        return _DEVICE("cpu") if device.type == "cuda" else device


def main(arguments: Sequence[str]) -> None:
    """Run a script of PANGAEA's.

    Args:
        arguments: the script's path, then its own arguments.

    Raises:
        UserError: no script, several processes, or a machine that has a GPU.
    """
    if not arguments or not Path(arguments[0]).is_file():
        raise UserError(
            f"'{' '.join(arguments[:1])}' is no script; give PANGAEA's, such as pangaea/run.py, then its options"
        )
    if torch.cuda.is_available():
        raise UserError("this machine has a GPU that PyTorch can use; start PANGAEA's script itself")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("batch norm is not synchronised over CPU processes; give torchrun --nproc_per_node=1")
    _without_cuda()
    sys.argv = list(arguments)
    # As Python does for a script. PANGAEA has a folder `encoders` there: this project's is imported by now.
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")


def _without_cuda() -> None:
    torch.device = CpuDevice  # type: ignore[misc]
    torch.cuda.set_device = lambda device: None
    nn.SyncBatchNorm = nn.BatchNorm2d  # type: ignore[assignment,misc]
    distributed.init_process_group = _on_gloo(distributed.init_process_group)
    nn.parallel.DistributedDataParallel = _without_devices(nn.parallel.DistributedDataParallel)  # type: ignore[misc]


def _on_gloo(init: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **named: init(*arguments, **(named | {"backend": "gloo"}))


def _without_devices(parallel: Any) -> Any:
    class OnCpu(parallel):
        """`DistributedDataParallel` that is given no device."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **(named | {"device_ids": None, "output_device": None}))

    return OnCpu


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
