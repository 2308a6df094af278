"""What can be chosen about a tracker (`configs/tracker/`), checked without importing one."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from encoders.errors import UserError, nearest, strict, validate


@strict
@dataclass(frozen=True, kw_only=True)
class NoTracker:
    """Nothing but records."""

    name: str = "none"
    title: str = ""
    kind: Literal["none"] = "none"


@strict
@dataclass(frozen=True, kw_only=True)
class TensorBoard:
    """Event files in `folder`; None for `tensorboard/` in the results folder."""

    name: str
    title: str
    kind: Literal["tensorboard"]
    folder: str | None


@strict
@dataclass(frozen=True, kw_only=True)
class Wandb:
    """Runs of a project on wandb; what else its environment variables say, holds."""

    name: str
    title: str
    kind: Literal["wandb"]
    project: str
    entity: str | None


NO_TRACKER = NoTracker()
Options = NoTracker | TensorBoard | Wandb
KINDS: dict[str, type[Options]] = {"none": NoTracker, "tensorboard": TensorBoard, "wandb": Wandb}


def parse(plain: Mapping[str, object]) -> Options:
    """Options of a tracker from plain data.

    Raises:
        UserError: an unknown kind or key, a value that cannot be, or the extra that brings the tracker is missing.
    """
    kind = str(plain.get("kind"))
    if kind not in KINDS:
        raise UserError(f"tracker: 'kind' is '{kind}'; {nearest(kind, KINDS)}")
    options: Options = validate(KINDS[kind], plain, f"tracker {plain.get('name')}")
    if kind != "none" and find_spec(kind) is None:
        remedy = f"install the extra: uv sync --extra {kind}, or pip install {kind}"
        raise UserError(f"tracker={kind} needs the package {kind}; {remedy}")
    return options
