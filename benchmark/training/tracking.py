"""What goes on in training, told to a tracker while it goes on: a series a trained decoder, and one a record.

A tracker is told, never asked: nothing of it enters a number or the identity of a run.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmark.records import Record, Run
from benchmark.request.tracker_options import NoTracker, Options, TensorBoard

if TYPE_CHECKING:
    from benchmark.training.bank import Epoch


class Series(Protocol):
    """Numbers by step, of one decoder or one record."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take the values of a step."""

    def close(self) -> None:
        """Nothing more will come."""


Open = Callable[[str, dict[str, object]], Series]
"""Begins a series: its name, with / between folders, and what it is of."""


class Tracker:
    """Tells a backend of every epoch and every record; without one, nobody."""

    def __init__(self, begin: Open | None = None) -> None:
        self._begin = begin
        self._open: dict[str, Series] = {}

    def epoch(self, run: Run, epoch: "Epoch") -> None:
        """A decoder of a run has gone through an epoch: its training loss, validation metric and learning rate."""
        rate = epoch.member.learning_rate
        values = {"train/loss": epoch.loss, "train/learning_rate": epoch.learning_rate}
        if epoch.validation is not None:
            values[f"validation/{run.dataset_facts['metric']}"] = epoch.validation
        self._log(f"{_name(run)}/lr{rate:g}", _config(run) | {"learning_rate": rate}, values, epoch.number)

    def score(self, record: Record) -> None:
        """A record has been written: its scores on test and what it cost."""
        values = {f"test/{name}": value for name, value in record.score.metrics.items()}
        values |= {"test/low": record.score.interval.low, "test/high": record.score.interval.high}
        values |= {f"validation/{record.score.headline}": record.score.validation}
        values |= {f"cost/{name}": float(value) for name, value in asdict(record.cost).items()}
        chosen = {f"chosen_{name}": value for name, value in record.score.chosen.items()}
        self._log(f"{_name(record.run)}/record", _config(record.run) | chosen, values, 0)

    def close(self) -> None:
        """Close every series."""
        for series in self._open.values():
            series.close()
        self._open.clear()

    def _log(self, name: str, config: dict[str, object], values: Mapping[str, float], step: int) -> None:
        if self._begin is None:
            return
        if name not in self._open:
            self._open[name] = self._begin(name, config)
        self._open[name].log(values, step)


@contextlib.contextmanager
def tracking(options: Options, output: Path) -> Iterator[Tracker]:
    """A tracker, closed at the end."""
    tracker = Tracker(_backend(options, output))
    try:
        yield tracker
    finally:
        tracker.close()


def _backend(options: Options, output: Path) -> Open | None:
    if isinstance(options, NoTracker):
        return None
    if isinstance(options, TensorBoard):
        folder = Path(options.folder).expanduser() if options.folder else output / "tensorboard"
        return lambda name, config: _EventFile(folder / name, config)
    return lambda name, config: _WandbRun(name, config, options.project, options.entity, output)


class _EventFile:
    def __init__(self, folder: Path, config: dict[str, object]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))
        # Indented, for TensorBoard shows text as Markdown.
        shown = json.dumps(config, indent=2, sort_keys=True)
        self._writer.add_text("config", "\n".join(f"    {line}" for line in shown.splitlines()))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _WandbRun:
    def __init__(self, name: str, config: dict[str, object], project: str, entity: str | None, output: Path) -> None:
        import wandb

        # Decoders are trained side by side, so several runs are open at once. The mode is $WANDB_MODE's.
        self._run: Any = wandb.init(
            project=project, entity=entity, name=name, group=str(config["key"]), config=config, dir=str(output),
            reinit="create_new",
        )  # fmt: skip

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def _config(run: Run) -> dict[str, object]:
    return asdict(run) | {"key": run.key}


def _name(run: Run) -> str:
    """Readable, and one a run: row, dataset, seed, key."""
    fused = "" if run.fusion == "none" else f"-{run.fusion}"
    parts = (f"{run.encoder}{fused}", run.dataset, f"seed{run.seed}-{run.key}")
    return "/".join(re.sub(r"[^A-Za-z0-9._-]+", "-", part) for part in parts)
