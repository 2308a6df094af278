"""Worker processes on this machine, one a GPU. A worker that dies takes down no more than its group of cells.

A worker without a group encodes images for those that have one: processes that open the same features share the work.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from benchmark import children, progress
from benchmark.grid.cells import title
from benchmark.grid.executors import Group
from benchmark.grid.executors.threads import use_threads
from benchmark.grid.work import CellResult, DiedError, assist, failed, work
from benchmark.places import Places
from benchmark.request.executor_options import Local

CORES_A_WORKER = 4
SECONDS_TO_END = 1.0


@dataclass
class Worker:
    """A process, the pipe to it, its GPU, and the number of the group it is busy with.

    Attributes:
        assists: another worker runs the group.
        assisted: groups it need not assist again.
    """

    process: SpawnProcess
    pipe: Connection
    gpu: str | None
    group: int | None = None
    assists: bool = False
    assisted: set[int] = field(default_factory=set)

    @property
    def running(self) -> int | None:
        """The group whose results it will give."""
        return None if self.assists else self.group


class LocalExecutor:
    """See `benchmark.grid.executors.Executor`."""

    def __init__(self, options: Local) -> None:
        gpus = _gpus()
        workers = options.workers or len(gpus) or max(1, children.cores() // CORES_A_WORKER)
        self.options = options
        self.threads = options.threads or max(1, children.cores() // workers)
        # More workers than GPUs share them.
        self.gpus: list[str | None] = [gpus[number % len(gpus)] if gpus else None for number in range(workers)]

    def run(self, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        """The results of each group, as it ends."""
        waiting = list(reversed(range(len(groups))))
        tried = dict.fromkeys(waiting, 0)
        workers = [self._start(gpu) for gpu in self.gpus]
        try:
            while waiting or any(worker.running is not None for worker in workers):
                for worker in workers:
                    if worker.group is None and waiting:
                        worker.group, worker.assists = waiting.pop(), False
                        tried[worker.group] += 1
                        progress.begin(title(groups[worker.group]))
                        _send(worker, groups, places)
                for worker in workers:
                    number = _to_assist(worker, workers)
                    if number is not None:
                        worker.group, worker.assists = number, True
                        worker.assisted.add(number)
                        _send(worker, groups, places)
                ready = wait([worker.pipe for worker in workers if worker.group is not None])
                for place, worker in enumerate(workers):
                    number = worker.running
                    if worker.group is None or worker.pipe not in ready:
                        continue
                    try:
                        results = _receive(worker, groups)
                    except (EOFError, OSError):  # it died, perhaps in the middle of a message
                        worker.group = None
                        worker.process.join()
                        workers[place] = self._start(worker.gpu)
                        workers[place].assisted = worker.assisted
                        if number is None:
                            continue
                        if tried[number] <= self.options.retries:
                            waiting.append(number)
                            continue
                        died = _died(worker.process, tried[number])
                        results = [failed(cell, died, places) for cell in groups[number]]
                    if number is not None and worker.group is None:
                        yield results
        finally:
            _end(workers)

    def _start(self, gpu: str | None) -> Worker:
        process, pipe = children.start(_serve, gpu, self.threads, progress.is_heard())
        return Worker(process, pipe, gpu)


def _to_assist(worker: Worker, workers: Sequence[Worker]) -> int | None:
    """Of the groups that are run, the one with the fewest workers that an idle worker has not assisted yet."""
    busy = [other.group for other in workers]
    running = {other.running for other in workers} - worker.assisted - {None}
    return min(running, key=busy.count, default=None) if worker.group is None else None


def _send(worker: Worker, groups: Sequence[Group], places: Places) -> None:
    assert worker.group is not None
    # Where it died while idle, its pipe has ended: that is seen where results are waited for.
    with contextlib.suppress(OSError):
        worker.pipe.send((assist if worker.assists else work, groups[worker.group], places))


def _receive(worker: Worker, groups: Sequence[Group]) -> list[CellResult]:
    """What a worker that is done has to give; of one that is at work, a step is passed on."""
    assert worker.group is not None
    received = worker.pipe.recv()
    if isinstance(received, progress.Step):
        progress.tell(replace(received, group=title(groups[worker.group])))
        return []
    worker.group = None
    return received or []


def _serve(pipe: Connection, gpu: str | None, threads: int, is_heard: bool) -> None:
    """A worker's life: groups in, steps (where somebody hears them) and results out, until the pipe closes."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    use_threads(threads)
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        signal.signal(signal.SIGTERM, _stop)
        while True:
            do, group, places = pipe.recv()
            with progress.heard_by(pipe.send if is_heard else None):
                results = do(group, places)
            pipe.send(results)


def _stop(*_: object) -> None:
    """End a worker as Ctrl-C does, which leaves nothing half-written; once."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # one that is pending may not be set to be ignored
    raise KeyboardInterrupt


def _end(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
        if worker.group is not None:
            worker.process.terminate()
    deadline = time.monotonic() + SECONDS_TO_END
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _died(process: SpawnProcess, times: int) -> DiedError:
    code = process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    memory = " (out of memory?)" if code == -9 else ""
    return DiedError(
        f"its worker process died {times} times, last by {how}{memory}; try fewer workers or a smaller batch_size"
    )


def _gpus() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES would name them; asked without starting CUDA."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [one.strip() for one in given.split(",") if one.strip() and one.strip() != "-1"]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
