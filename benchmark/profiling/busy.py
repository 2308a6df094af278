"""What a device does while a part of a run goes on: how much of the time it computes, and what takes longest."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmark.profiling.timing import Times, synchronise, timed


def busy_shares(parts: Mapping[str, Callable[[], object]], times: Times, device: str) -> dict[str, float]:
    """By part, the share of the time in which the device computed: CPU time of all threads, or kernels on a GPU."""
    if device == "cpu":
        return {name: times.cpu_share(name) for name in parts}
    shares = {}
    for name, do in parts.items():
        with _profiler(device) as profiler:
            took = timed(do, device)
        kernels = sum(one.self_device_time_total for one in profiler.key_averages())
        shares[name] = kernels / 1e6 / took.seconds
    return shares


def top_operations(parts: Mapping[str, Callable[[], object]], most: int, device: str) -> str:
    """The profiler's tables of the operations that take longest in themselves, one a part."""
    by = "self_cpu_time_total" if device == "cpu" else "self_device_time_total"
    found = []
    for name, do in parts.items():
        with _profiler(device) as profiler:
            do()
            synchronise(device)
        table = profiler.key_averages().table(sort_by=by, row_limit=most, max_name_column_width=60)
        found.append(f"{name}, the {most} operations that take longest in themselves:\n{table}")
    return "\n".join(found)


def _profiler(device: str) -> Any:
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    return torch.profiler.profile(activities=activities)
