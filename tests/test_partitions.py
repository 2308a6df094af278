"""Our own partitions: stratified draws, and m-cashew-plant's chips cut so that splits share no pixels."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.data import datasets, ingest, partitions, spatial
from benchmark.data.synthetic_content import make, spots
from encoders.errors import UserError
from tests import writing

EUROSAT = datasets.dataset("m-eurosat")


class FakeManifest:
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names


class Labelled:
    """Enough of an ingested split to draw from."""

    def __init__(self, name: str, labels: np.ndarray, groups: np.ndarray | None = None) -> None:
        self.dataset = datasets.dataset(name)
        self.manifest = FakeManifest(tuple(f"id_{i:04}" for i in range(len(labels))))
        self._arrays = {"labels.npy": labels, "groups.npy": groups}

    def array(self, name: str) -> Any:
        return self._arrays[name]


def drawn(stored: Labelled, count: int, seed: str = "stratified_0.10_draw0", **options: bool) -> np.ndarray:
    return partitions.stratified(stored, count, seed, **options)  # type: ignore[arg-type]


def test_classes_keep_their_shares_and_each_has_one() -> None:
    labels = np.repeat(np.arange(5), [500, 300, 150, 49, 1])
    rows = drawn(Labelled("m-eurosat", labels), 100)
    assert (np.diff(rows) > 0).all()
    assert np.bincount(labels[rows]).tolist() == [49, 30, 15, 5, 1]
    assert np.bincount(labels[drawn(Labelled("m-eurosat", labels), 2)]).tolist() == [1] * 5
    assert np.bincount(labels[drawn(Labelled("m-eurosat", labels), 2, at_least_one=False)]).tolist() == [1, 1]
    assert len(drawn(Labelled("m-eurosat", labels), 1000)) == 1000


def test_draws_differ_and_depend_on_names_not_on_their_order() -> None:
    labels = np.arange(200) % 4
    stored = Labelled("m-eurosat", labels)
    draws = [set(drawn(stored, 20, f"stratified_0.10_draw{d}").tolist()) for d in range(5)]
    assert len({frozenset(draw) for draw in draws}) == 5
    assert max(len(a & b) for i, a in enumerate(draws) for b in draws[:i]) < 10
    order = np.random.default_rng(0).permutation(200)
    shuffled = Labelled("m-eurosat", labels[order])
    shuffled.manifest = FakeManifest(tuple(stored.manifest.names[i] for i in order))
    assert {shuffled.manifest.names[r] for r in drawn(shuffled, 20)} == {
        stored.manifest.names[r] for r in drawn(stored, 20)
    }


def test_rare_labels_keep_their_share() -> None:
    rng = np.random.default_rng(0)
    hot = (rng.random((2000, 43)) < np.geomspace(0.002, 0.6, 43)).astype(np.uint8)
    rows = drawn(Labelled("m-bigearthnet", hot), 200)
    assert len(rows) == 200
    got, wanted = hot[rows].sum(0), hot.sum(0) / 10
    assert (got[hot.sum(0) > 0] >= 1).all()
    assert np.abs(got - wanted).max() <= np.maximum(2, 0.25 * wanted).max()
    alone = rng.choice(2000, 200, replace=False)
    assert np.abs(got - wanted).sum() < np.abs(hot[alone].sum(0) - wanted).sum()


def test_masks_are_drawn_by_group() -> None:
    groups = np.arange(100) // 5
    rows = drawn(Labelled("m-SA-crop-type", np.zeros((100, 1, 1)), groups), 23)
    assert len(rows) == 23
    assert sorted(np.unique(groups[rows], return_counts=True)[1].tolist()) == [3, 5, 5, 5, 5]


def test_a_draw_is_opened_like_any_partition(geobench_written: Path, tmp_path: Path, reads: list[str]) -> None:
    whole = ingest.open_dataset(EUROSAT, geobench_written, tmp_path)
    reads.clear()
    ask = (EUROSAT, geobench_written, tmp_path, "stratified_0.20_draw1")
    found = ingest.open_dataset(*ask)
    train, valid, test = (found.splits[name] for name in ("train", "valid", "test"))
    assert reads == []
    # 12 images of 10 classes: one of each; valid has only four.
    assert sorted(train.labels.tolist()) == list(range(10))
    assert set(train.samples) < set(whole.splits["train"].samples)
    assert valid.samples == whole.splits["valid"].samples
    assert test.fingerprint == whole.splits["test"].fingerprint
    assert ingest.fingerprints_if_ingested(*ask) == {name: one.fingerprint for name, one in found.splits.items()}
    assert train.fingerprint != whole.splits["train"].fingerprint


def test_valid_is_cut_to_the_size_of_train() -> None:
    labels = np.arange(40) % 4
    stored = {name: Labelled("m-eurosat", labels) for name in ("train", "valid", "test")}
    partition = partitions.find(EUROSAT, Path(), "stratified_0.10_draw0")
    picks = partitions.picks(partition, stored, Path())  # type: ignore[arg-type]
    assert picks is not None
    sizes = {name: None if rows is None else len(rows) for name, (_, rows) in picks.items()}
    assert sizes == {"train": 4, "valid": 4, "test": None}


def test_unknown_partitions_are_refused(geobench_written: Path, tmp_path: Path) -> None:
    for name, told in (
        ("stratified_0.10_draw5", "did you mean stratified_0.10_draw"),
        ("spatial", "it is for m-cashew-plant"),
        ("0.1x_train", "has no partition '0.1x_train'; did you mean 0.10x_train"),
    ):
        with pytest.raises(UserError, match=told):
            ingest.open_dataset(EUROSAT, geobench_written, tmp_path, name)


# --- spatial


def raster_chips(
    offsets: list[tuple[int, int]], dates: int = 2, side: int = 32
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Chips cut at offsets (down, right) from one raster a date: images (N, 2, side, side), mask numbers, places."""
    rng = np.random.default_rng(0)
    size = np.max(offsets, axis=0) + side
    rasters = rng.normal(size=(dates, 2, *size)).astype("f4")
    cut = [(d, y, x) for y, x in offsets for d in range(dates)]
    images = np.stack([rasters[d, :, y : y + side, x : x + side] for d, y, x in cut])
    masks = np.array([offsets.index((y, x)) for _, y, x in cut])
    order = rng.permutation(len(cut))
    return images[order], masks[order], [cut[i][1:] for i in order]


def shares_pixels(first: tuple[int, int], second: tuple[int, int], side: int) -> bool:
    return all(abs(a - b) < side for a, b in zip(first, second, strict=True))


def assert_apart(rows: dict[str, np.ndarray], places: list[tuple[int, int]], side: int) -> None:
    splits = list(rows.values())
    for number, mine in enumerate(splits):
        assert len(mine)
        for theirs in splits[:number]:
            assert not [1 for a in mine for b in theirs if shares_pixels(places[a], places[b], side)]


def test_chips_of_one_raster_are_cut_apart() -> None:
    # As m-cashew-plant: a stride of half a chip, and last rows and columns that end at the raster's edge.
    offsets = [(y, x) for y in (*range(0, 112, 16), 116) for x in (0, 16, 28)]
    images, masks, places = raster_chips(offsets)
    found = spatial.overlaps(images, (0, 1))
    for row, others in found.items():
        for other, (down, right) in others.items():
            assert (places[other][0] - places[row][0], places[other][1] - places[row][1]) == (down, right)
    rows = spatial.split("m-cashew-plant", images, masks, (0, 1))
    assert_apart(rows, places, 32)
    assert len(rows["train"]) > max(len(rows["valid"]), len(rows["test"]))
    dates_together = [{masks[row] for row in found} for found in rows.values()]
    assert not dates_together[0] & dates_together[1]
    assert not dates_together[0] & dates_together[2]


def test_separate_areas_are_kept_whole_where_that_does() -> None:
    offsets = [(500 * area + step, 0) for area in range(5) for step in (0, 16)]
    images, masks, places = raster_chips(offsets, dates=1)
    rows = spatial.split("m-cashew-plant", images, masks, (0, 1))
    assert_apart(rows, places, 32)
    assert {name: len(found) for name, found in rows.items()} == {"train": 6, "valid": 2, "test": 2}


def test_equal_masks_at_two_places_do_not_mislead() -> None:
    images, masks, places = raster_chips([(y, x) for y in range(0, 129, 16) for x in (0, 16)])
    masks[masks == 17] = 0
    assert_apart(spatial.split("m-cashew-plant", images, masks, (0, 1)), places, 32)


def test_chips_that_cannot_be_cut_are_refused() -> None:
    images, masks, _ = raster_chips([(0, 0), (16, 0), (0, 16), (16, 16)])
    with pytest.raises(UserError, match=r"all share pixels .* use partition=default"):
        spatial.split("m-cashew-plant", images, masks, (0, 1))
    images, masks, _ = raster_chips([(0, 0), (64, 0), (128, 0)])
    with pytest.raises(UserError, match="no two chips share pixels"):
        spatial.split("m-cashew-plant", images, masks, (0, 1))


def test_cashew_opens_spatially_from_files(tmp_path: Path, reads: list[str]) -> None:
    """Synthetic chips, written with the tests' own writer, so that this runs without geobench too."""
    cashew = dataclasses.replace(
        datasets.dataset("m-cashew-plant"), splits={"train": None, "valid": None, "test": None}
    )
    folder = tmp_path / cashew.folder
    folder.mkdir(parents=True)
    names: dict[str, list[str]] = {}
    for split, some in zip(("train", "valid", "test"), spots(cashew, (24, 12, 12)), strict=True):
        names[split] = [spot.name(cashew) for spot in some]
        for spot in some:
            bands, label = make(cashew, spot, 0, 1.0)
            writing.write_sample(folder / f"{spot.name(cashew)}.hdf5", cashew, bands, label)
    writing.write_partitions(folder, names, np.random.default_rng(0))
    (folder / "task_specs.pkl").write_bytes(writing.task_specs(cashew))
    ask = (cashew, tmp_path, tmp_path / "ingest", "spatial")
    opened = ingest.open_dataset(*ask)
    masks = {name: {one.tobytes() for one in np.asarray(split.labels)} for name, split in opened.splits.items()}
    assert not masks["train"] & masks["test"]
    assert any("are left out, as they overlap two splits" in warning for warning in opened.warnings)
    assert not any("are in train too" in warning for warning in opened.warnings)
    default = ingest.open_dataset(*ask[:3])
    everyone = {sample: split for split in default.splits.values() for sample in split.samples}
    for split in opened.splits.values():
        for row, sample in enumerate(split.samples):
            home = everyone[sample]
            at = home.samples.index(sample)
            np.testing.assert_array_equal(split.images[row], home.images[at])
            np.testing.assert_array_equal(split.labels[row], home.labels[at])
        quarters = {
            image[:2, y : y + 128, x : x + 128].tobytes() for image in split.images for y in (0, 128) for x in (0, 128)
        }
        for other in opened.splits.values():
            if other is not split:
                theirs = [
                    i[:2, y : y + 128, x : x + 128].tobytes() for i in other.images for y in (0, 128) for x in (0, 128)
                ]
                assert not quarters & set(theirs)
    pixels = np.concatenate([np.asarray(opened.splits["train"].images[i : i + 1])[:, 1] for i in range(4)])
    assert pixels.shape == (4, 256, 256)
    assert ingest.fingerprints_if_ingested(*ask) == {n: s.fingerprint for n, s in opened.splits.items()}
