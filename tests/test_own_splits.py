"""Splits that are drawn for one's own dataset: every class in each, groups together, the same everywhere."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.data.own import shares
from tests.own_data import described, opened, refused, write

THREE = {"train": 0.6, "valid": 0.2, "test": 0.2}
FOLDERS = {"images": "{split}/{label}/{name}.png"}


def names(count: int) -> list[str]:
    return [f"n{number:04}" for number in range(count)]


def test_drawn_splits_have_equal_shares_of_every_class_and_are_the_same_everywhere() -> None:
    labels = np.repeat([0, 1, 2, 3], [50, 30, 15, 5])
    hot = np.arange(4) == labels[:, None]
    drawn = shares.draw(names(100), names(100), hot, THREE, "seed")
    table = np.array(
        [
            [sum(drawn[n] == split and one == k for n, one in zip(names(100), labels, strict=True)) for k in range(4)]
            for split in THREE
        ]
    )
    np.testing.assert_array_equal(table, [[30, 18, 9, 3], [10, 6, 3, 1], [10, 6, 3, 1]])
    assert drawn == shares.draw(names(100), names(100), hot, THREE, "seed")
    order = np.random.default_rng(0).permutation(100)
    shuffled = shares.draw([names(100)[i] for i in order], [names(100)[i] for i in order], hot[order], THREE, "seed")
    assert shuffled == drawn
    assert shares.draw(names(100), names(100), hot, THREE, "another") != drawn


def test_drawn_splits_keep_groups_together_and_classes_apart() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{number // 5}" for number in range(200)]
    labels = rng.integers(0, 3, 40)[np.arange(200) // 5]
    drawn = shares.draw(names(200), groups, np.arange(3) == labels[:, None], THREE, "seed")
    by_group: dict[str, set[str]] = {}
    for name, group in zip(names(200), groups, strict=True):
        by_group.setdefault(group, set()).add(drawn[name])
    assert all(len(where) == 1 for where in by_group.values())
    sizes = [sum(where == split for where in drawn.values()) for split in THREE]
    assert sizes == pytest.approx([120, 40, 40], abs=10)
    for split in THREE:
        assert {int(one) for n, one in zip(names(200), labels, strict=True) if drawn[n] == split} == {0, 1, 2}


def test_a_class_of_three_images_is_in_every_split_and_one_of_none_is_no_class() -> None:
    hot = np.zeros((23, 3), bool)
    hot[:20, 0] = hot[20:, 1] = True
    drawn = shares.draw(names(23), names(23), hot, THREE, "seed")
    assert {drawn[name] for name in names(23)[20:]} == set(THREE)
    unlabelled = shares.draw(names(23), names(23), np.zeros((23, 3), bool), THREE, "seed")
    assert [list(unlabelled.values()).count(split) for split in THREE] == [14, 5, 4]


def test_valid_alone_is_drawn_from_train_and_test_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, (20, 0, 6))
    path = described(tmp_path, files={**FOLDERS, "splits": {"valid": 0.25}})
    found = opened(path).splits
    assert [len(found[split].samples) for split in THREE] == [15, 5, 6]
    assert set(found["test"].samples) == {f"s{number}" for number in range(20, 26)}
    assert np.bincount(found["valid"].labels).min() == 2
    again = opened(described(tmp_path, files={**FOLDERS, "splits": {"valid": 0.25}, "draw": 1})).splits
    assert again["valid"].samples != found["valid"].samples


def test_shares_that_are_not_needed_or_too_small_are_told(tmp_path: Path) -> None:
    write(tmp_path)
    assert "the files name all three splits" in refused(
        described(tmp_path, files={**FOLDERS, "splits": {"valid": 0.2}})
    )
    one_flight = {
        "groups": {"by": "name", "pattern": "^(s)"},
        "files": {"images": "*/{label}/{name}.png", "splits": THREE},
    }
    assert "14 samples in 1 groups are too few: none is left for valid" in refused(described(tmp_path, **one_flight))
