"""Parity of encoders on another device: `SATDIFUSER_BENCH_PARITY_DEVICE=cuda pytest tests/parity`.

Tests stay as they are: whatever they call of an encoder runs on the device, and what comes back lies on the CPU. Fusers
and training are compared on the CPU whatever is asked for, as their weights and gradients are.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch

from encoders.base import Encoder
from encoders.placing import exact_float32, placed
from encoders.satdifuser import SatDiFuser

DEVICE = os.environ.get("SATDIFUSER_BENCH_PARITY_DEVICE")
CALLED = {
    Encoder: ("stem", "body", "forward"),
    SatDiFuser: ("encode", "predict", "trajectory", "noised", "step_by_step"),
}


@pytest.fixture(autouse=DEVICE is not None)
def _on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DEVICE is not None
    exact_float32()
    for owner, names in CALLED.items():
        for name in names:
            monkeypatch.setattr(owner, name, _there_and_back(getattr(owner, name), DEVICE))


def _there_and_back(method: Callable[..., Any], device: str) -> Callable[..., Any]:
    """The method on a device, for callers on the CPU; calls within a call stay there."""

    @functools.wraps(method)
    def call(self: Encoder, *args: Any, **options: Any) -> Any:
        if vars(self).get("_is_there"):
            return method(self, *args, **options)
        vars(placed(self, device))["_is_there"] = True
        try:
            return _moved(method(self, *_moved(args, device), **_moved(options, device)), "cpu")
        finally:
            vars(self.to("cpu"))["_is_there"] = False

    return call


def _moved(value: Any, device: str) -> Any:
    """Tensors of a value, wherever they lie in it, on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        return type(value)(_moved(one, device) for one in value)
    if isinstance(value, dict):
        return {key: _moved(one, device) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _moved(getattr(value, one.name), device) for one in fields(value)})
    return value
