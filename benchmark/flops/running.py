"""Operations of what really runs, on any device: a multiplication and an addition counted as two."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

Done = TypeVar("Done")

ON_CPU: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda query, key, value, *_, **__: sdpa_flop_count(
        query, key, value
    )
}
"""Releases of PyTorch that lack this operator count attention on GPUs alone."""


def counted(do: Callable[[], Done]) -> tuple[Done, int]:
    """What `do` gives, and how many operations it took, those of a backward pass in it included."""
    with FlopCounterMode(display=False, custom_mapping=ON_CPU) as counter:
        done = do()
    return done, counter.get_total_flops()
