"""Where memory runs out, less is done at once and the result stays what it is."""

import multiprocessing
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark import memory
from benchmark.features.tiers import Tier
from benchmark.memory import Portions
from encoders.base import Features
from encoders.baselines import ImageStats
from encoders.errors import UserError
from tests.test_features import make_split, opened

IMAGES = 70


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has"), "CUDA out of memory"),
        (MemoryError(), "MemoryError"),
        (
            RuntimeError("[fail at 1] err == 0. DefaultCPUAllocator: can't allocate memory: you tried. Error 12"),
            "DefaultCPUAllocator: can't allocate memory: you tried",
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `x`"), None),
        (RuntimeError("shapes differ"), ""),
        (ValueError("out of memory"), ""),
    ],
)
def test_an_error_of_memory_is_told_from_others(error: Exception, expected: str | None) -> None:
    assert memory.ran_out(error) == (expected != "")
    assert expected in ("", None, memory.sentence(error))


def limit(most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the floor run out of memory above so many images; the list of how many it is given."""
    original, given = ImageStats._body, []

    def limited(self: ImageStats, stem: Tensor) -> Features:
        given.append(len(stem))
        if len(stem) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return original(self, stem)

    monkeypatch.setattr(ImageStats, "_body", limited)
    return given


@pytest.mark.parametrize("tier", ["maps", "stem"])
def test_batches_are_halved_and_the_features_stay(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    split, rows = make_split(IMAGES), np.array([69, 3, 20, 3])
    whole = opened(tmp_path / "whole", split, "imagestats", tier, dtype="float32").read(rows)
    given = limit(3, monkeypatch)
    halved = opened(tmp_path / "halved", split, "imagestats", tier, dtype="float32").read(rows)
    encoded = given[given.index(2) :]
    assert [one for one in given if one > 3] == [16, 8, 4], "too much is tried once"
    assert max(encoded) == 2
    for one, other in zip(whole, halved, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)
    said = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    ends = "memory does not hold 16 at once; going on with 2"
    assert said == [f"images for imagestats on m-nz-cattle/train: {ends}"]


def test_one_image_that_is_too_large_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = limit(0, monkeypatch)
    with pytest.raises(UserError, match=r"does not hold a single one \(CUDA out of memory\); free some memory"):
        opened(tmp_path, make_split(20), "imagestats", "pooled")
    assert given == [16, 8, 4, 2, 1]


def extract_hungrily(folder: Path, room: int | None) -> None:
    """Extract with a floor that takes 16 MiB an image, in an address space that has so many bytes of room left."""
    original = ImageStats._body

    def hungry(self: ImageStats, stem: Tensor) -> Features:
        eaten = torch.ones(len(stem), 2**22)
        return original(self, stem * eaten[:, :1, None, None])

    ImageStats._body = hungry  # type: ignore[method-assign]
    if room is not None:
        sys.stderr = (folder / "said").open("w")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, -1))
    opened(folder, make_split(IMAGES), "imagestats", "pooled", dtype="float32")
    sys.stderr.flush()


@pytest.mark.skipif(sys.platform != "linux", reason="limits its address space as Linux does")
def test_a_process_that_really_runs_out_of_memory_extracts_the_same_features(tmp_path: Path) -> None:
    for name, room in (("whole", None), ("limited", 100 * 2**20)):
        (tmp_path / name).mkdir()
        process = multiprocessing.get_context("fork").Process(target=extract_hungrily, args=(tmp_path / name, room))
        process.start()
        process.join(60)
        assert process.exitcode == 0
    assert "memory does not hold 16 at once; going on with" in (tmp_path / "limited" / "said").read_text()
    whole, limited = (np.load(next((tmp_path / name).glob("*/embedding.npy"))) for name in ("whole", "limited"))
    np.testing.assert_allclose(limited, whole, rtol=1e-5)
    (seconds,) = (tmp_path / "limited").glob("*/seconds.npy")
    assert (np.load(seconds) > 0).all()


def test_what_is_too_much_at_once_is_done_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    def do(items: list[int]) -> int:
        if len(items) > 3:
            raise MemoryError
        return sum(items)

    portions = Portions()
    assert list(portions.of(list(range(10)), do, "numbers")) == [
        ([0, 1, 2], 3),
        ([3, 4, 5], 12),
        ([6, 7, 8], 21),
        ([9], 9),
    ]
    assert list(portions.of([1, 2], do, "numbers")) == [([1, 2], 3)]
    assert capsys.readouterr().err == "numbers: memory does not hold 10 at once; going on with 3\n"
    with pytest.raises(ZeroDivisionError):
        list(portions.of([1], lambda _: 1 / 0, "numbers"))
