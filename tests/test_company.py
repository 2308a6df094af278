"""Rows encoded in any order on the CPU keep the bits of the extraction's own batches, whatever these depend on."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from encoders.base import Features
from encoders.baselines import ImageStats
from tests.test_features import make_split, opened

ROWS = 70  # a shard of four batches of 16 and a batch of 6


def leaning_on(what: Callable[[Tensor], Tensor | float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the floor's features depend on who is computed together; the list of how many are."""
    original, given = ImageStats._body, []

    def leaning(self: ImageStats, stem: Tensor) -> Features:
        given.append(len(stem))
        found = original(self, stem)
        return dataclasses.replace(found, maps=tuple(one + what(stem) for one in found.maps))

    monkeypatch.setattr(ImageStats, "_body", leaning)
    return given


@pytest.mark.parametrize(
    ("what", "company"),
    [
        (lambda stem: 0.0, "any"),
        (lambda stem: 0.5 * len(stem), "as many"),
        (lambda stem: stem.mean(), "own"),
        (lambda stem: torch.arange(len(stem)).view(-1, 1, 1, 1, 1), "own"),  # on the place in the batch
    ],
)
def test_a_tier_that_encodes_gives_the_bits_of_the_stored_maps(
    what: Callable[[Tensor], Tensor | float], company: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = make_split(ROWS)
    leaning_on(what, monkeypatch)
    stored, encoding = (opened(tmp_path, split, "imagestats", tier) for tier in ("maps", "stem"))
    order = np.random.default_rng(0).permutation(ROWS)
    for rows in (order[:16], order[16:20], np.array([69, 3, 3, 65]), np.arange(32, 48), np.arange(64, 70)):
        for one, other in zip(stored.read(rows), encoding.read(rows), strict=True):
            assert torch.equal(one, other)
    assert encoding._gather.company == company


@pytest.mark.parametrize(("leans", "most"), [(False, ROWS), (True, 5 * ROWS)])
def test_an_epoch_in_any_order_encodes_each_image_once_where_company_does_not_matter(
    leans: bool, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = leaning_on(lambda stem: stem.mean() if leans else 0.0, monkeypatch)
    found = opened(tmp_path, make_split(ROWS), "imagestats", "stem")
    order = np.random.default_rng(0).permutation(ROWS)
    found.read(order[:16])  # finds out
    given.clear()
    for start in range(0, ROWS, 16):
        found.read(order[start : start + 16])
    assert ROWS <= sum(given) <= most
    assert leans == (sum(given) > 3 * ROWS)


def test_whole_batches_of_the_extraction_need_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = leaning_on(lambda stem: 0.0, monkeypatch)
    found = opened(tmp_path, make_split(ROWS), "imagestats", "stem")
    given.clear()
    for start in (0, 16, 32, 48, 64):
        found.read(np.arange(start, min(start + 16, ROWS)))
    assert given == [16, 16, 16, 16, 6]
    assert found._gather.company is None


def test_a_split_of_one_image_is_encoded_alone(tmp_path: Path) -> None:
    found = opened(tmp_path, make_split(1), "imagestats", "stem")
    assert found.read(np.array([0, 0]))[0].shape[0] == 2
