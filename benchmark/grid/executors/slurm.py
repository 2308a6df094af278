"""A job array on a SLURM cluster, through submitit; results come back through the shared results folder.

A job that is preempted or runs out of time is queued again and goes on where it was: what has records is skipped,
shards of features that are done stay done.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark import progress
from benchmark.grid.executors import Group
from benchmark.grid.executors.threads import use_threads
from benchmark.grid.work import CellResult, DiedError, failed, work
from benchmark.places import Places
from benchmark.request.executor_options import Slurm
from encoders.errors import UserError


class Task:
    """A group of cells as a job."""

    def __init__(self, group: Group, places: Places, threads: int | None) -> None:
        self.group, self.places, self.threads = group, places, threads

    def __call__(self) -> list[CellResult]:
        """Run in the job."""
        use_threads(self.threads)
        return work(self.group, self.places)

    def checkpoint(self) -> Any:
        """What submitit queues in place of a job that was stopped: the same task."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmExecutor:
    """See `benchmark.grid.executors.Executor`."""

    def __init__(self, options: Slurm) -> None:
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise UserError(
                "--executor slurm needs submitit; install the extra: uv sync --extra slurm, or pip install submitit"
            ) from None
        self.options = options

    def run(self, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        """The results of each group, as its job ends.

        Raises:
            UserError: there is no SLURM here, or it refuses the jobs.
        """
        import submitit

        try:
            executor = submitit.AutoExecutor(
                folder=places.output / "jobs", cluster=self.options.cluster, slurm_max_num_timeout=self.options.requeues
            )
        except RuntimeError:
            raise UserError(
                "--executor slurm: there is no `srun` here; run it on a login node of the cluster, or here with "
                "--executor local"
            ) from None
        executor.update_parameters(**self._parameters())
        # SLURM holds an array back itself; on this machine all jobs would start at once.
        together = self.options.parallel if self.options.cluster == "local" else len(groups)
        for start in range(0, len(groups), together):
            yield from self._submitted(executor, groups[start : start + together], places)

    def _submitted(self, executor: Any, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        import submitit

        try:
            with executor.batch():
                jobs = [executor.submit(Task(group, places, self.options.threads)) for group in groups]
        except submitit.core.utils.FailedJobError as error:
            refusal = " ".join(str(error).split())
            raise UserError(
                f"SLURM refuses the jobs ({refusal}); see executor.* in configs/executor/slurm.yaml"
            ) from None
        progress.say(f"{len(jobs)} jobs, their logs in {places.output / 'jobs'}")
        group_of = {id(job): group for job, group in zip(jobs, groups, strict=True)}
        try:
            for job in submitit.helpers.as_completed(jobs, poll_frequency=1 if self.options.cluster == "local" else 20):
                yield self._results(job, group_of[id(job)], places)
        except BaseException:
            for job in jobs:
                job.cancel(check=False)
            raise

    def _parameters(self) -> dict[str, Any]:
        options = self.options
        parameters: dict[str, Any] = {
            "name": "satdifuser-bench",
            "timeout_min": options.minutes,
            "cpus_per_task": options.cpus,
            "mem_gb": options.memory_gb,
            "slurm_array_parallelism": options.parallel,
            "slurm_setup": list(options.setup),
        }
        given = {"slurm_partition": options.partition, "slurm_account": options.account, "gpus_per_node": options.gpus}
        return parameters | {name: value for name, value in given.items() if value}

    def _results(self, job: Any, group: Group, places: Places) -> list[CellResult]:
        error = job.exception()
        if error is None:
            results: list[CellResult] = job.result()
            return results
        last = " ".join(str(error).split())[-300:]
        died = DiedError(f"job {job.job_id} ended without a result ({last}); its log: {job.paths.stderr}")
        return [failed(cell, died, places) for cell in group]
