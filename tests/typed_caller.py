"""What a caller of the library writes, for mypy alone: types reach it, and a wrong argument is refused."""

from pathlib import Path
from typing import assert_type

import torch

from benchmark import evaluate
from encoders import build


def called() -> None:
    """Never run: mypy reads it."""
    features = build("croma_tiny")(torch.rand(1, 12, 32, 32))
    assert_type(features.embedding, torch.Tensor)
    records = evaluate("imagestats", [Path("a.yaml")], output="r")
    assert_type(records[0].score.interval.low, float)
    evaluate("imagestats", "m-eurosat", bands="all")  # type: ignore[arg-type]
