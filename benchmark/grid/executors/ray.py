"""Tasks on a Ray cluster that is there already, with parts of GPUs; results come back through Ray's object store.

Where the cluster has room for more tasks than there are groups, these encode images for the groups.
"""

import functools
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from benchmark.grid.executors import Group
from benchmark.grid.executors.threads import VARIABLES, use_threads
from benchmark.grid.work import CellResult, DiedError, assist, failed, work
from benchmark.places import Places
from benchmark.request.executor_options import Ray
from encoders.errors import UserError

SECONDS_TO_ANSWER = 10.0
Done = TypeVar("Done")


class RayExecutor:
    """See `benchmark.grid.executors.Executor`."""

    def __init__(self, options: Ray) -> None:
        try:
            import ray  # noqa: F401
        except ImportError:
            raise UserError(
                "--executor ray needs Ray; install the extra: uv sync --extra ray, or pip install ray"
            ) from None
        self.options = options

    def run(self, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        """The results of each group, as its task ends.

        Raises:
            UserError: no cluster answers.
        """
        import ray

        threads = {} if self.options.threads is None else dict.fromkeys(VARIABLES, str(self.options.threads))
        # Workers import this project from where this process does.
        environment = {"env_vars": {"PYTHONPATH": ":".join(path for path in sys.path if path), **threads}}
        try:
            _knock(self.options.address)
            ray.init(address=self.options.address, runtime_env=environment, log_to_driver=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no Ray cluster at '{self.options.address}' ({str(error).splitlines()[0]}); start one with "
                "`ray start --head`, or name its address with executor.address"
            ) from None
        try:
            task = ray.remote(_task).options(
                num_gpus=self.options.gpus, num_cpus=self.options.cpus, max_retries=self.options.retries
            )
            start = functools.partial(task.remote, places=places, threads=self.options.threads)
            group_of = {start(work, group): group for group in groups}
            spare = self._room(ray.cluster_resources()) - len(groups)
            assistants = [start(assist, groups[number % len(groups)]) for number in range(spare)]
            while group_of:
                (done,), _ = ray.wait(list(group_of), num_returns=1)
                group = group_of.pop(done)
                try:
                    yield ray.get(done)
                except ray.exceptions.RayError as error:
                    reason = str(error).strip().splitlines()[0]
                    yield [failed(cell, DiedError(f"its Ray task died ({reason})"), places) for cell in group]
            for assistant in assistants:
                ray.cancel(assistant, force=True)
        finally:
            ray.shutdown()

    def _room(self, resources: Mapping[str, float]) -> int:
        """How many tasks the cluster can run at once."""
        asked = {"GPU": self.options.gpus, "CPU": self.options.cpus}
        return min((int(resources.get(name, 0) / share) for name, share in asked.items() if share), default=0)


def _knock(address: str) -> None:
    """Raise an OSError where nothing listens at host:port: Ray itself would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()


def _task(do: Callable[[Group, Places], Done], group: Group, places: Places, threads: int | None) -> Done:
    use_threads(threads)
    return do(group, places)
