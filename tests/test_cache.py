"""`cache list|clear|verify`: what is there, gone, or damaged."""

import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from benchmark.commands import cache
from benchmark.features import arrays
from benchmark.features.arrays import About, FeatureArrays, features_key
from benchmark.features.claims import Claims
from encoders.errors import UserError


def fill(root: Path, encoder: str, dataset: str, shards: int = 2) -> Path:
    """A feature folder of 70 rows, of which so many shards are done."""
    identity: dict[str, object] = {"encoder": encoder, "dataset": dataset}
    about = About(encoder, dataset, "train", "embedding", 1, 70, (("embedding.npy", "<f2", (70, 3)),), identity)
    folder = root / features_key(identity)
    folder.mkdir(parents=True)
    arrays.create(folder, about)
    stored: FeatureArrays = arrays.open_arrays(folder, about)
    for shard in range(shards):
        rows = stored.rows(shard)
        stored.write("embedding", rows.start, np.ones((rows.stop - rows.start, 3)))
        stored.finish(shard, 0.5)
    return folder


def claim(folder: Path, pipe: Connection) -> None:
    with Claims(folder):
        pipe.send("claimed")
        time.sleep(60)


def test_list_says_what_is_there_and_how_far_it_came(tmp_path: Path) -> None:
    fill(tmp_path, "rcf", "m-eurosat")
    half = fill(tmp_path, "imagestats", "m-so2sat", shards=1)
    (tmp_path / ("0" * 16)).mkdir()
    (tmp_path / "notes").mkdir()
    rows = [one.row() for one in cache.entries(tmp_path)]
    assert [row[:5] for row in rows] == [
        ["?"] * 5,
        ["imagestats", "m-so2sat", "train", "embedding", "1"],
        ["rcf", "m-eurosat", "train", "embedding", "1"],
    ]
    assert [row[6] for row in rows] == ["unreadable", "1/2 shards", "complete"]
    assert rows[1][7] == half.name
    assert [one.complete for one in cache.entries(tmp_path)] == [False, False, True]
    assert cache.entries(tmp_path / "nowhere") == []


def test_clear_takes_what_was_asked_for_and_nothing_else(tmp_path: Path) -> None:
    kept = fill(tmp_path, "rcf", "m-so2sat")
    gone = fill(tmp_path, "rcf", "m-eurosat")
    (tmp_path / "notes").mkdir()
    assert [one.folder for one in cache.clear(tmp_path, "rcf", "m-eurosat")] == [gone]
    assert kept.is_dir()
    assert not gone.exists()
    with pytest.raises(UserError, match="no features of encoder 'rfc'"):
        cache.clear(tmp_path, "rfc")
    with FileLock(kept / "lock"), pytest.raises(UserError, match="in use by another process"):
        cache.clear(tmp_path)
    ours, theirs = multiprocessing.Pipe()
    filling = multiprocessing.get_context("fork").Process(target=claim, args=(kept, theirs))
    filling.start()
    theirs.close()
    ours.recv()
    with pytest.raises(UserError, match="in use by another process"):
        cache.clear(tmp_path)
    filling.kill()
    filling.join()
    assert [one.folder for one in cache.clear(tmp_path)] == [kept]
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_verify_names_what_is_damaged(tmp_path: Path) -> None:
    folder = fill(tmp_path, "rcf", "m-eurosat", shards=1)
    assert cache.verify(tmp_path) == []
    array = np.lib.format.open_memmap(folder / "embedding.npy", mode="r+")
    array[65] = np.nan
    array.flush()
    assert cache.verify(tmp_path) == [], "rows of a shard that is not done are nobody's"
    array[3] = np.inf
    array.flush()
    assert "embedding.npy: NaN or infinite values in shard 0" in cache.verify(tmp_path)[0]
    np.save(folder / "embedding.npy", np.zeros((70, 4), np.float16))
    assert "holds float16 (70, 4), float16 (70, 3) is expected" in cache.verify(tmp_path)[0]
    (folder / "embedding.npy").write_bytes(b"short")
    assert "damaged feature files" in cache.verify(tmp_path)[0]
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"identity": {"encoder": "other"}}))
    assert "features of another run" in cache.verify(tmp_path)[0]
    (folder / "about.json").write_text("{")
    assert "does not say what it holds" in cache.verify(tmp_path)[0]
