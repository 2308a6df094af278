"""What can be chosen about an executor (`configs/executor/`), checked without importing one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from encoders.bounds import Count, Few, FewFrom0, NotNegative, Positive
from encoders.errors import UserError, nearest, strict, validate


@strict
@dataclass(frozen=True, kw_only=True)
class Inline:
    """Options of `inline`: threads of the framework, None for its default."""

    name: str
    title: str
    kind: Literal["inline"]
    threads: Few | None


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
    workers: Few | None
    threads: Few | None
    retries: FewFrom0


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
    minutes: Count
    gpus: FewFrom0
    cpus: Few
    memory_gb: Count
    parallel: Count
    requeues: FewFrom0
    setup: tuple[str, ...]
    threads: Few | None


@strict
@dataclass(frozen=True, kw_only=True)
class Ray:
    """Options of `ray`; see `configs/executor/ray.yaml`."""

    name: str
    title: str
    kind: Literal["ray"]
    address: str
    gpus: NotNegative
    cpus: Positive
    retries: FewFrom0
    threads: Few | None


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
    return options
