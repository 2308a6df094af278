"""The feature store: a tier never changes a number, nothing finished is computed twice."""

import dataclasses
import functools
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import encoders
from benchmark.data import datasets, ingest, input_transform, inputs
from benchmark.data.dataset import Dataset
from benchmark.data.ingest import Split
from benchmark.features.arrays import SHARD
from benchmark.features.extraction import Extraction
from benchmark.features.store import FeatureStore, SplitFeatures, features_key
from benchmark.features.tiers import Shapes, Tier, choose_tier, measure
from encoders.base import Encoder
from encoders.errors import UserError

N, SIDE = 70, 32


@pytest.fixture(scope="module")
def split() -> Split:
    """70 images of a made-up segmentation set: one whole shard and a rest."""
    return make_split(N)


def make_split(count: int) -> Split:
    dataset: Dataset = dataclasses.replace(datasets.dataset("m-nz-cattle"), image_size=(SIDE, SIDE))
    rng = np.random.default_rng(0)
    return Split(
        dataset=dataset,
        name="train",
        samples=tuple(f"s{i}" for i in range(count)),
        images=rng.integers(0, 256, (count, 3, SIDE, SIDE), np.uint8),
        bands=dataset.main_bands,
        labels=rng.integers(0, 2, (count, SIDE, SIDE)).astype(np.uint8),
        groups=np.arange(count, dtype=np.int32),
        fingerprint="f",
        rows=np.arange(count),
        default_fingerprint="f",
    )


def opened(folder: Path, split: Split, name: str, tier: Tier, **options: Any) -> SplitFeatures:
    encoder, transform = parts(split, name)
    given: dict[str, Any] = {"dtype": "float16", "batch_size": 16, "identity": {"encoder": name}} | options
    return FeatureStore(folder).open(encoder, transform, split, tier=tier, **given)


def parts(split: Split, name: str) -> tuple[Encoder, input_transform.InputTransform]:
    spec = encoders.input_spec(encoders.card(name).inputs)
    plan = inputs.plan(split.dataset, spec, track="rgb", band_names="corrected", missing_bands=("error",))
    plan = dataclasses.replace(plan, side=SIDE)
    return built(name), input_transform.InputTransform(plan, moments(split))


@functools.cache
def built(name: str) -> Encoder:
    return encoders.build(name, image_size=SIDE)


def moments(split: Split) -> dict[str, ingest.BandStatistics]:
    from benchmark.data import moments as of

    pixels = np.asarray(split.images)
    return {
        band.band: of.merge(np.stack([of.of_image(one[i], False) for one in pixels]), SIDE * SIDE)
        for i, band in enumerate(split.bands)
    }


@pytest.mark.parametrize("name", ["satdifuser_tiny", "imagestats"])
@pytest.mark.parametrize("variants", [1, 2])
def test_a_tier_never_changes_a_number(tmp_path: Path, name: str, variants: int) -> None:
    # The tiny diffusion model takes half a second for what the floor does in no time.
    split = make_split(N if name == "imagestats" else 10 // variants)
    by_tier = {
        tier: opened(tmp_path, split, name, tier, variants=variants, batch_size=4)
        for tier in ("maps", "stem", "none", "pooled")
    }
    rows = np.array([len(by_tier["maps"]) - 1, 3, 6, 3, 0])
    maps = {tier: found.read(rows) for tier, found in by_tier.items()}
    for level, stored in enumerate(maps["maps"]):
        assert stored.dtype == torch.float32
        assert torch.equal(stored, maps["stem"][level])
        assert torch.equal(stored, maps["none"][level])
        assert torch.equal(stored.mean((3, 4), keepdim=True), maps["pooled"][level])
    embedding = by_tier["maps"].embedding
    assert embedding is not None
    np.testing.assert_array_equal(embedding, by_tier["pooled"].embedding)
    assert by_tier["none"].bytes == 0 < by_tier["stem"].bytes
    if variants == 1:
        encoder, transform = parts(split, name)
        alone = FeatureStore(tmp_path).open(
            encoder, transform, split, identity={"encoder": name}, dtype="float16", batch_size=4, tier="embedding"
        )
        assert alone.embedding is not None
        np.testing.assert_array_equal(alone.embedding, embedding)
        whole = encoder(transform(np.asarray(split.images[:4])))
        np.testing.assert_array_equal(embedding[:4], whole.embedding.half().numpy())
        assert torch.equal(maps["maps"][0][1], whole.maps[0][3].half().float())


def test_variants_show_flipped_images_with_their_labels(tmp_path: Path) -> None:
    few = make_split(2)
    found = opened(tmp_path, few, "imagestats", "maps", variants=4)
    assert len(found) == 8
    (level, *_) = found.read(np.arange(8))
    images = torch.from_numpy(np.asarray(found.labels(np.arange(8))))
    for image in (0, 1):
        first = 4 * image
        for variant, axes in ((1, (-1,)), (2, (-2,)), (3, (-2, -1))):
            assert torch.allclose(level[first + variant], level[first].flip(axes), rtol=2e-3)
            assert torch.equal(images[first + variant], images[first].flip(axes))
        assert (images[first].numpy() == few.labels[image]).all()


def test_nothing_finished_is_computed_again(tmp_path: Path, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = Extraction._encode, []

    def dying(self: Extraction, shard: int, *arguments: Any) -> None:
        calls.append(shard)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(self, shard, *arguments)

    monkeypatch.setattr(Extraction, "_encode", dying)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, split, "imagestats", "maps")
    found = opened(tmp_path, split, "imagestats", "maps")
    again = opened(tmp_path, split, "imagestats", "maps")
    assert calls == [0, 1, 1]
    assert found.seconds == again.seconds > 0
    undisturbed = opened(tmp_path / "other", split, "imagestats", "maps")
    for ours, theirs in zip(found.read(np.arange(N)), undisturbed.read(np.arange(N)), strict=True):
        assert torch.equal(ours, theirs)


def encode_in_process(folder: Path, split: Split, log: Path, dies_in: int | None, assists: bool) -> None:
    """Open the features, noting each shard that is begun; killed at the end of one, before it counts as done."""
    original = Extraction._encode

    def noted(self: Extraction, shard: int, *arguments: Any) -> None:
        with log.open("a") as file:
            file.write(f"{os.getpid()} {shard}\n")
        time.sleep(0.1)
        original(self, shard, *arguments)
        if shard == dies_in and len(begun(log)[shard]) == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    Extraction._encode = noted  # type: ignore[method-assign]
    encoder, transform = parts(split, "imagestats")
    FeatureStore(folder, assists).open(
        encoder, transform, split, identity={"encoder": "imagestats"}, dtype="float16", batch_size=16, tier="maps"
    )


def begun(log: Path) -> dict[int, list[str]]:
    """By shard, the processes that began it."""
    found: dict[int, list[str]] = {}
    for line in log.read_text().splitlines():
        process, shard = line.split()
        found.setdefault(int(shard), []).append(process)
    return found


def start_encoding(folder: Path, split: Split, log: Path, dies_in: int | None = None, assists: bool = False) -> Any:
    process = multiprocessing.get_context("fork").Process(
        target=encode_in_process, args=(folder, split, log, dies_in, assists)
    )
    process.start()
    return process


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.npy") if path.name != "seconds.npy"}


@pytest.mark.parametrize("dies_in", [None, 1])
def test_processes_share_an_extraction_and_one_that_is_killed_loses_no_more_than_its_shard(
    tmp_path: Path, dies_in: int | None
) -> None:
    split = make_split(6 * SHARD + 3)
    folder, log = tmp_path / "shared", tmp_path / "log"
    processes = [
        start_encoding(folder, split, log, dies_in),
        start_encoding(folder, split, log, dies_in),
        start_encoding(folder, split, log, dies_in, assists=True),
    ]
    for process in processes:
        process.join(60)
    codes = sorted(process.exitcode for process in processes)
    assert codes == ([0, 0, 0] if dies_in is None else [-signal.SIGKILL, 0, 0])
    found = begun(log)
    assert {shard: len(by) for shard, by in sorted(found.items())} == {
        shard: 1 + (shard == dies_in) for shard in range(7)
    }
    assert len({one for by in found.values() for one in by}) == 3
    opened(tmp_path / "alone", split, "imagestats", "maps")
    assert content(folder) == content(tmp_path / "alone")
    assert sorted(path.name for path in next(folder.iterdir()).iterdir()) == sorted(
        [*content(folder), "seconds.npy", "about.json", "lock", "claims"]
    )


def test_who_assists_leaves_what_others_are_at(tmp_path: Path, split: Split) -> None:
    folder, log = tmp_path / "shared", tmp_path / "log"
    stopped = start_encoding(folder, split, log)
    while not log.exists():
        time.sleep(0.01)
    os.kill(stopped.pid, signal.SIGSTOP)
    assisting = start_encoding(folder, split, log, assists=True)
    assisting.join(60)
    assert assisting.exitcode == 0
    (stored,) = folder.glob("*/seconds.npy")
    assert (np.load(stored) > 0).tolist() == [False, True]
    os.kill(stopped.pid, signal.SIGCONT)
    stopped.join(60)
    assert stopped.exitcode == 0
    assert {shard: len(by) for shard, by in begun(log).items()} == {0: 1, 1: 1}


def test_a_folder_of_an_older_program_is_filled_again(tmp_path: Path, split: Split) -> None:
    folder = tmp_path / features_key({"encoder": "imagestats"})
    folder.mkdir()
    (folder / "about.json").write_text('{"encoder": "imagestats"}')
    (folder / "embedding.npy").write_text("old")
    found = opened(tmp_path, split, "imagestats", "embedding")
    assert found.embedding is not None
    assert np.abs(found.embedding).sum() > 0
    with pytest.raises(UserError, match="'embedding' holds no maps"):
        found.read(np.arange(2))


def test_user_errors_name_the_remedy(tmp_path: Path, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no feature tier 'map'; did you mean maps"):
        opened(tmp_path, split, "imagestats", "map")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="variants is 3; choose from 1, 2, 4"):
        opened(tmp_path, split, "imagestats", "maps", variants=3)
    opened(tmp_path, split, "imagestats", "embedding")
    path = next(tmp_path.rglob("embedding.npy"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"damaged feature files .* delete the folder"):
        opened(tmp_path, split, "imagestats", "embedding")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(UserError, match="make room or point --features-dir elsewhere"):
        opened(tmp_path / "full", split, "imagestats", "maps")


@pytest.mark.parametrize("tier", ["embedding", "maps"])
def test_features_too_large_for_half_precision_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: Tier
) -> None:
    from encoders.baselines import ImageStats

    monkeypatch.setattr(ImageStats, "_embed", lambda self, stem: torch.full((len(stem), 27), 1e6))
    with pytest.raises(UserError, match=r"too large for float16; use protocol\.feature_dtype=float32"):
        opened(tmp_path, make_split(2), "imagestats", tier)


def test_the_tier_is_chosen_by_bytes() -> None:
    # SatDiFuser at 256 pixels with SD 2.1's channels: the numbers of the architecture page.
    grids = ((3, 1600, 32, 32), (3, 5120, 16, 16), (3, 8960, 8, 8), (3, 3840, 4, 4))
    shapes = Shapes((3, 256, 256), (3, 4, 32, 32), grids, 17280)
    assert shapes.stem_bytes() == 49152 < shapes.image_bytes() == 786432
    counts = {"train": 1000, "valid": 100, "test": 100}
    need = 1200 * shapes.row_bytes("maps", "float16")
    huge = 10**12
    assert choose_tier(shapes, counts, need, huge) == "maps"
    assert choose_tier(shapes, counts, need - 1, huge) == "stem"
    assert choose_tier(shapes, counts, need, huge, dtype="float32") == "stem"
    assert choose_tier(shapes, counts, 1200 * 49152 - 1, huge) == "none"
    assert choose_tier(dataclasses.replace(shapes, stem=(3, 256, 256)), counts, need - 1, huge) == "none"
    assert choose_tier(shapes, counts, 0, 0, "pooled") == "pooled"
    assert choose_tier(shapes, counts, 0, huge, "maps") == "maps"
    with pytest.raises(UserError, match="raise it"):
        choose_tier(shapes, counts, need, 10**6)
    with pytest.raises(UserError, match="no feature tier 'stems'; did you mean stem"):
        choose_tier(shapes, counts, need, huge, "stems")  # type: ignore[arg-type]


def test_bytes_are_known_from_one_image(tmp_path: Path, split: Split) -> None:
    encoder, transform = parts(split, "imagestats")
    shapes = measure(encoder, transform, split)
    found = opened(tmp_path, split, "imagestats", "maps")
    assert shapes.flops == 0  # means and deviations: no product of matrices
    convolved = measure(*parts(split, "rcf"), split)
    # 256 filters of 3 x 3 x 3 at 30 x 30 places, a multiplication and an addition each.
    assert convolved.flops == 2 * 256 * 27 * 30 * 30
    assert found.bytes == len(split.samples) * shapes.row_bytes("maps", "float16")
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    assert found.bytes <= size <= found.bytes + 6 * 256 + 64
