"""What can be chosen about an executor (`configs/executor/`), checked without importing one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from encoders.errors import UserError, nearest, strict, validate


@strict
@dataclass(frozen=True, kw_only=True)
class Inline:
    """Options of `inline`: threads of the framework, None for its default."""

    name: str
    title: str
    kind: Literal["inline"]
    threads: int | None


@strict
@dataclass(frozen=True, kw_only=True)
class Local:
    """Options of `local`.

    Attributes:
        workers: processes; None for one a GPU, or without one, one for every four cores.
        retries: how often the cells of a worker that died are tried again.
    """

    name: str
    title: str
    kind: Literal["local"]
    workers: int | None
    threads: int | None
    retries: int


@strict
@dataclass(frozen=True, kw_only=True)
class Slurm:
    """Options of `slurm`; see `configs/executor/slurm.yaml`."""

    name: str
    title: str
    kind: Literal["slurm"]
    cluster: Literal["slurm", "local"]
    partition: str | None
    account: str | None
    minutes: int
    gpus: int
    cpus: int
    memory_gb: int
    parallel: int
    requeues: int
    setup: tuple[str, ...]
    threads: int | None


@strict
@dataclass(frozen=True, kw_only=True)
class Ray:
    """Options of `ray`; see `configs/executor/ray.yaml`."""

    name: str
    title: str
    kind: Literal["ray"]
    address: str
    gpus: float
    cpus: float
    retries: int
    threads: int | None


Options = Inline | Local | Slurm | Ray
KINDS: dict[str, type[Options]] = {"inline": Inline, "local": Local, "slurm": Slurm, "ray": Ray}


def parse(plain: Mapping[str, object]) -> Options:
    """Options of an executor from plain data.

    Raises:
        UserError: an unknown kind or key, or a value that cannot be.
    """
    kind = str(plain.get("kind"))
    if kind not in KINDS:
        raise UserError(f"executor: 'kind' is '{kind}'; {nearest(kind, KINDS)}")
    options: Options = validate(KINDS[kind], plain, f"executor {plain.get('name')}")
    for name in ("threads", "workers", "minutes", "cpus", "memory_gb", "parallel"):
        value = getattr(options, name, None)
        if value is not None and not value > 0:
            raise UserError(f"executor.{name} is {value}; it must be more than 0")
    for name in ("retries", "requeues", "gpus"):
        value = getattr(options, name, None)
        if value is not None and value < 0:
            raise UserError(f"executor.{name} is {value}; it must be at least 0")
    return options
