"""Threads beside the one that computes: order, bounds, errors, and their end."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from benchmark.background import Behind, read_ahead


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(("read-ahead", "behind"))]


@pytest.mark.parametrize("ahead", [1, 3])
def test_reading_keeps_the_order_and_is_no_further_ahead_than_asked(ahead: int) -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            asked.append(item)
            yield item

    for seen, item in enumerate(read_ahead(lambda one: -one, items(), ahead)):
        assert item == -seen
        assert len(asked) <= seen + 1 + ahead
    assert asked == list(range(10))
    assert not threads()


def test_reading_happens_in_another_thread_while_the_first_works() -> None:
    here, entered = threading.get_ident(), threading.Event()

    def read(item: int) -> int:
        if item == 1:
            entered.set()
        return threading.get_ident()

    with closing(read_ahead(read, range(3))) as found:
        assert next(found) != here
        assert entered.wait(30), "the second item is read before it is asked for"


def test_an_error_of_reading_comes_at_its_items_turn_and_ends_the_thread() -> None:
    def read(item: int) -> int:
        return 10 // (2 - item)

    found = read_ahead(read, range(5))
    assert [next(found), next(found)] == [5, 10]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert not threads()


def test_who_leaves_early_waits_for_what_is_in_work_and_nothing_more() -> None:
    done: list[int] = []

    def leave() -> None:
        with closing(read_ahead(done.append, range(100), ahead=5)) as found:
            next(found)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert not threads()
    assert len(done) <= 6


def test_what_is_put_away_is_done_in_order_and_all_of_it() -> None:
    done: list[int] = []
    with Behind() as behind:
        for item in range(20):
            behind.do(lambda item=item: done.append(item))  # type: ignore[misc]
    assert done == list(range(20))
    assert not threads()


def test_at_most_one_thing_waits_while_another_is_in_work() -> None:
    go, begun = threading.Event(), threading.Semaphore(0)
    given: list[int] = []

    def hold() -> None:
        begun.release()
        go.wait(30)

    def give(behind: Behind) -> None:
        for item in range(3):
            behind.do(hold)
            given.append(item)

    with Behind() as behind:
        giver = threading.Thread(target=give, args=(behind,))
        giver.start()
        assert begun.acquire(timeout=30)
        giver.join(0.3)
        assert given == [0, 1], "the third is given only when the first is done"
        go.set()
        giver.join(30)
    assert given == [0, 1, 2]


def test_nothing_is_done_after_what_failed_and_the_error_comes_back() -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError("disk full")

    def put_away() -> None:
        with Behind() as behind:
            behind.do(fail)
            behind.do(lambda: done.append("vouched for"))

    with pytest.raises(OSError, match="disk full"):
        put_away()
    assert not done
    assert not threads()


def test_what_was_given_is_done_when_the_block_is_interrupted() -> None:
    done: list[str] = []

    def put_away() -> None:
        with Behind() as behind:
            behind.do(lambda: done.append("written"))
            behind.do(lambda: done.append("vouched for"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_away()
    assert done == ["written", "vouched for"]
    assert not threads()
