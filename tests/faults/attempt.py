"""Commands to be stopped: each attempt is a fork of one process that has imported everything, so it starts at once.

A fork tells through a pipe which stage of a run it enters and leaves. What it told before it died says where it was.
"""

import functools
import importlib
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
PRELOADED = "tests.faults.everything"
FORKS.set_forkserver_preload([PRELOADED])

STAGES = {
    "ingest": ("benchmark.data.manifest:_ingest",),
    "extraction": (
        "benchmark.features.arrays:create",
        "benchmark.features.extraction:Extraction._encode",
        "benchmark.features.arrays:FeatureArrays.finish",
    ),
    "training": ("benchmark.training.decoding:train_and_score", "benchmark.training.probing:fit_and_score"),
    "record": ("benchmark.evaluation:_write", "benchmark.record_store:write_atomically"),
    "report": ("reports.leaderboard:write", "reports.leaderboard:write_atomically"),
}
"""Along the way of the data: the functions that do the work."""

Hook = Callable[[], None]


@dataclass(frozen=True)
class Event:
    """A place of a stage was entered, or left, at a time of the monotonic clock."""

    stage: str
    place: str
    entered: bool
    time: float


class Attempt:
    """A command in a process of its own.

    Attributes:
        entered: how often each place was, as far as events were read.
        seconds: the longest that was spent in each place.

    Args:
        home: of ingested data and features (`SATDIFUSER_BENCH_HOME`).
        log: of what it says; beside `home` by default.
        hooks: called in the process whenever a place is entered; by place, which need not be of a stage.
    """

    def __init__(
        self, arguments: Sequence[str], home: Path, hooks: Mapping[str, Hook] | None = None, log: Path | None = None
    ) -> None:
        self.home = home
        self._log = log or home.with_name(f"{home.name}.log")
        self._events, theirs = FORKS.Pipe(duplex=False)
        self._inside: list[Event] = []
        self.entered: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}
        self.process = FORKS.Process(target=_run, args=(list(arguments), home, self._log, theirs, hooks or {}))
        self.process.start()
        theirs.close()

    def next(self, seconds: float = 120) -> Event | None:
        """The next event; None once the process has ended."""
        if not self._events.poll(seconds):
            self.process.kill()
            raise TimeoutError(f"nothing happened for {seconds} s; {self.said}")
        try:
            event: Event = self._events.recv()
        except EOFError:
            return None
        if event.entered:
            self._inside.append(event)
            self.entered[event.place] += 1
        else:
            # Threads of the process are in places of their own at the same time.
            begun = next(one for one in reversed(self._inside) if one.place == event.place)
            self._inside.remove(begun)
            spent = event.time - begun.time
            self.seconds[event.place] = max(spent, self.seconds.get(event.place, 0.0))
        return event

    def reach(self, place: str, count: int = 1) -> None:
        """Wait until a place (or stage) is entered for the n-th time."""
        while (event := self.next()) is not None:
            if event.entered and place in (event.stage, event.place):
                count -= 1
                if not count:
                    return
        raise AssertionError(f"{place} was not reached; {self.said}")

    def end(self, seconds: float = 120) -> int:
        """Wait for the end of the process; its exit code, negative for a signal."""
        while self.next(seconds) is not None:
            pass
        self.process.join(seconds)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def workers(self, count: int) -> list[int]:
        """Wait until it has so many worker processes; their ids."""
        for _ in range(2000):
            assert self.process.pid is not None
            found = [pid for pid in children(self.process.pid) if "spawn_main" in command_line(pid)]
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"it has not started {count} processes; {self.said}")

    def kill(self) -> str:
        """SIGKILL; the stage it fell in, `between` where in none, `ended` where it came too late."""
        self.process.kill()
        code = self.end()
        if code == 0:
            return "ended"
        assert code == -9, self.said
        return self._inside[-1].stage if self._inside else "between"

    @property
    def said(self) -> str:
        """What it wrote to its streams, this time."""
        return self._log.read_text()


def children(pid: int) -> list[int]:
    """Ids of the processes that a process has started and that are running."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def descendants(pid: int) -> list[int]:
    """Of its children, theirs, and so on."""
    found = children(pid)
    return found + [one for child in found for one in descendants(child)]


def command_line(pid: int) -> str:
    """What a process says it runs; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def _run(arguments: list[str], home: Path, log: Path, events: Connection, hooks: Mapping[str, Hook]) -> None:
    assert PRELOADED in sys.modules, f"{PRELOADED} cannot be imported, which the fork server keeps to itself"
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ["SATDIFUSER_BENCH_HOME"] = str(home)
    for place, hook in hooks.items():
        _wrap(place, lambda entered, hook=hook: hook() if entered else None)
    one_at_a_time = threading.Lock()

    def tell(stage: str, place: str, entered: bool) -> None:
        with one_at_a_time:
            events.send(Event(stage, place, entered, time.monotonic()))

    for stage, places in STAGES.items():
        for place in places:
            _wrap(place, functools.partial(tell, stage, place))
    import evaluate

    sys.exit(evaluate.main(arguments))


def _wrap(place: str, told: Callable[[bool], None]) -> None:
    """From now on, tell when a function is entered (True) and left (False)."""
    module, _, path = place.partition(":")
    *parents, name = path.split(".")
    owner = functools.reduce(getattr, parents, importlib.import_module(module))
    original = getattr(owner, name)

    @functools.wraps(original)
    def telling(*arguments: object, **options: object) -> object:
        told(True)
        try:
            return original(*arguments, **options)
        finally:
            told(False)

    setattr(owner, name, telling)
