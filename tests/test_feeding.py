"""Features on their way to the decoders: the same batches however they are read, and whether kept or not."""

import threading
from contextlib import closing

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.features.frozen_part import Batch
from benchmark.training.feeding import Feed, Room
from encoders.finite import Doubts
from tests.decoder_factory import SINGLE, Features, split

ROWS = 29
ORDER = np.random.default_rng(0).permutation(ROWS)
PLAIN = split(SINGLE, ROWS, 1)


class Steps:
    """The factory's features, read in two steps; knows what was fetched, by whom, and made into maps."""

    variants = 1

    def __init__(self, together: int | None = None) -> None:
        self.together = together
        self.fetched: list[np.ndarray] = []
        self.made: list[int] = []
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return ROWS

    def labels(self, rows: np.ndarray) -> np.ndarray:
        return PLAIN.labels(rows)

    def read(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        return self.maps(self.fetch(rows))

    def fetch(self, rows: np.ndarray) -> Batch:
        self.fetched.append(rows)
        self.threads.add(threading.current_thread().name)
        return Batch(rows, PLAIN.read(rows))

    def maps(self, batch: Batch) -> tuple[Tensor, ...]:
        assert batch.values is not None
        self.made.append(len(batch))
        return batch.values


class Fixed(Room):
    """So many bytes, wherever they are."""

    def __init__(self, size: float) -> None:
        super().__init__("cpu")
        self._size = size

    def bytes(self) -> int:
        return int(self._size)


def batches(feed: Feed, size: int = 8, order: np.ndarray = ORDER) -> list[tuple[tuple[Tensor, ...], Tensor]]:
    with closing(feed.batches(order, size)) as found:
        return list(found)


def check(found: list[tuple[tuple[Tensor, ...], Tensor]], size: int = 8, order: np.ndarray = ORDER) -> None:
    """These are the rows in their order, so many at a time."""
    assert [len(labels) for _, labels in found] == [size] * (ROWS // size) + [ROWS % size] * (ROWS % size > 0)
    for level, stored in enumerate(PLAIN.maps):
        together = torch.cat([maps[level] for maps, _ in found])
        assert together.dtype == torch.float32
        assert torch.equal(together, stored[torch.from_numpy(order)].float())
    assert torch.cat([labels for _, labels in found]).numpy().tolist() == PLAIN.truth[order].tolist()


@pytest.mark.parametrize("source", [PLAIN, Steps(), Steps(together=3), Steps(together=16), Steps(together=100)])
def test_batches_are_the_same_however_many_rows_are_read_at_once(source: Features | Steps) -> None:
    check(batches(Feed(source, "cpu")))
    if isinstance(source, Steps):
        assert {len(rows) for rows in source.fetched[:-1]} <= {source.together or 8}
        assert source.made == [len(rows) for rows in source.fetched]


def test_who_reads_is_a_thread_beside_and_it_ends() -> None:
    source = Steps()
    with closing(Feed(source, "cpu").batches(ORDER, 8)) as found:
        next(found)
    assert all(name.startswith("read-ahead") for name in source.threads)
    assert not any(one.name.startswith("read-ahead") for one in threading.enumerate())


@pytest.mark.parametrize("together", [None, 5])
def test_rows_that_fit_are_read_once_and_stay_what_they_are(together: int | None) -> None:
    source = Steps(together)
    feed = Feed(source, "cpu", Fixed(1e9))
    for epoch in range(4):
        order = np.random.default_rng(epoch).permutation(ROWS)
        check(batches(feed, order=order), order=order)
    assert feed.keeps
    # The first batch comes by before it is known what training needs.
    first = len(source.fetched[0])
    assert sum(map(len, source.fetched)) < 2 * ROWS + first * ROWS
    epochs = len(source.fetched)
    batches(feed)
    assert len(source.fetched) == epochs, "nothing is read when all is there"


def test_rows_that_do_not_fit_are_read_every_time_and_splits_share_the_room() -> None:
    size = ROWS * (sum(level[0].nbytes for level in PLAIN.maps) + PLAIN.truth[:1].nbytes)
    room = Fixed(1.5 * size / 0.9)
    first, second = (Feed(Steps(), "cpu", room) for _ in range(2))
    for feed in (first, second, first, second):
        check(batches(feed))
    assert (first.keeps, second.keeps) == (True, False)
    assert Feed(Steps(), "cpu", Fixed(0)).keeps is None
    assert Room("cpu").bytes() == 0


def test_an_error_of_reading_reaches_who_trains() -> None:
    class Broken(Steps):
        def fetch(self, rows: np.ndarray) -> Batch:
            if len(self.fetched) == 2:
                raise OSError("the disk is gone")
            return super().fetch(rows)

    with pytest.raises(OSError, match="the disk is gone"):
        batches(Feed(Broken(), "cpu"))


def test_a_question_that_was_put_is_answered_at_the_end_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[bool] = []
    monkeypatch.setattr(Doubts, "settle", lambda self: settled.append(bool(self)))

    class Doubtful(Steps):
        def maps(self, batch: Batch) -> tuple[Tensor, ...]:
            from encoders import finite

            kept = finite._KEPT.get()
            assert kept is not None
            kept.ask(torch.tensor(True), "no")
            return super().maps(batch)

    batches(Feed(Doubtful(), "cpu"))
    assert settled == [True]
