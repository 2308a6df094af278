"""The same encoder, data and protocol `pangaea` through PANGAEA's run.py and through evaluate.py, side by side.

`PANGAEA_DIR=... python -m tests.pangaea_comparison FOLDER [CELL ...]` prints a row a cell, in Markdown; the interpreter must
have PANGAEA's requirements. Data are made up and learnable, models small and their weights drawn, so the numbers say
whether two programs do the same and nothing of a model. Two of PANGAEA's trainings draw as it does, from seeds of
its own; one draws as ours (`tests.pangaea_draws`), and has to go as ours does.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy.stats import t as student_t

import evaluate
from benchmark.data import synthetic
from benchmark.record_store import RecordStore
from benchmark.training.bank import Epoch, Trainee
from tests import pangaea_draws
from tests.pangaea_run import Said, run

SEEDS = (234, 235)
"""Of PANGAEA's own draws; 234 is also the first of ours."""

RATE = 1e-3
"""Ten times the protocol's: there are few steps."""

SIGNAL = 0.1
"""Of the made-up classes' looks: enough to learn from, too little for every answer to be right."""


@dataclass(frozen=True)
class Cell:
    """What is compared: an encoder and a decoder on a dataset.

    Attributes:
        encoder: as `--encoder` takes it; theirs, ours: options of run.py, and of evaluate.py, beyond the usual.
        metric: PANGAEA's name of the score; unit: what it is counted in.
        sizes: images of train, valid and test.
        epochs: trained for.
        seeds: of ours.
        learns: whether that is long enough for more than chance; of SatDiFuser, each of whose steps takes a processor a
            second, it isn't.
    """

    encoder: str
    dataset: str
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    metric: str
    unit: float
    sizes: tuple[int, int, int]
    epochs: int
    batch: int
    seeds: int = 8
    learns: bool = True


IMAGES = ("dataset=meurosat", "task=linear_classification", "preprocessing=cls_resize")
MASKS = ("dataset=mcashew-plantation", "task=segmentation", "preprocessing=seg_default")
NARROW = ("+decoder.options.projection_dim=64", "+decoder.options.num_norm_groups=4")
OUR_NARROW = ("protocol.fuser_width=64", "protocol.fuser_norm_groups=4")
CLASSES: dict[str, Any] = {"dataset": "m-eurosat", "metric": "Accuracy", "unit": 1} | {
    "sizes": (96, 40, 200), "epochs": 20, "batch": 16,
}  # fmt: skip
SEGMENTS: dict[str, Any] = {"dataset": "m-cashew-plant", "metric": "IoU", "unit": 100} | {
    "sizes": (16, 8, 24), "epochs": 30, "batch": 8,
}  # fmt: skip
CELLS = {
    "CROMA, linear": Cell("croma_tiny", theirs=(*IMAGES, "decoder=cls_linear"), ours=(), **CLASSES),
    "SatDiFuser gw, linear": Cell(
        "satdifuser_tiny",
        theirs=(*IMAGES, "decoder=cls_fused_linear", *NARROW),
        ours=OUR_NARROW,
        **CLASSES | {"sizes": (32, 16, 64), "epochs": 6, "seeds": 2, "learns": False},
    ),
    "CROMA, UPerNet": Cell(
        "croma_tiny",
        theirs=(*MASKS, "decoder=seg_upernet", "decoder.channels=32"),
        ours=("protocol.upernet_channels=32",),
        **SEGMENTS,
    ),
    "SatDiFuser gw, UPerNet": Cell(
        "satdifuser_tiny",
        theirs=(*MASKS, "decoder=seg_fused_upernet", *NARROW, "decoder.decoder.channels=32"),
        ours=(*OUR_NARROW, "protocol.upernet_channels=32"),
        **SEGMENTS | {"sizes": (8, 2, 6), "epochs": 10, "seeds": 2, "learns": False},
    ),
}


@dataclass(frozen=True)
class Ours:
    """What evaluate.py gives.

    Attributes:
        scores: on test, by seed.
        losses: of the first seed, the mean of each epoch.
        start: how it drew, for `tests.pangaea_draws`.
    """

    scores: list[float]
    losses: list[float]
    start: dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """Both sides of a cell; scores are fractions.

    Attributes:
        theirs: PANGAEA's scores with draws of its own, by seed.
        same: its training with our first seed's draws.
    """

    cell: Cell
    ours: Ours
    theirs: list[float]
    same: Said

    @property
    def difference(self) -> tuple[float, float]:
        """Mean of PANGAEA's own trainings minus that of ours, and half of its 95 % interval.

        The t interval of two means of one variance, over seeds: both sides are scored on the same test images.
        """
        sides = [np.asarray(one) for one in (self.theirs, self.ours.scores)]
        freedom = sum(len(one) - 1 for one in sides)
        variance = sum(float(((one - one.mean()) ** 2).sum()) for one in sides) / freedom
        error = (variance * sum(1 / len(one) for one in sides)) ** 0.5
        return float(sides[0].mean() - sides[1].mean()), float(student_t.ppf(0.975, freedom)) * error

    @property
    def agrees(self) -> bool:
        """Whether no difference lies in that interval, to the three digits that PANGAEA prints."""
        difference, half = self.difference
        return abs(difference) <= half + 0.0005

    @property
    def score_apart(self) -> float:
        """How far apart the two trainings of the same draws end on test."""
        return abs(self.same.test[self.cell.metric] / self.cell.unit - self.ours.scores[0])

    def losses_apart(self, epochs: int) -> float:
        """The most that their losses, means over an epoch, lie apart in so many first ones."""
        both = zip(self.same.losses[:epochs], self.ours.losses[:epochs], strict=True)
        return max(abs(one - other) for one, other in both)

    def row(self, name: str) -> str:
        """A row of the table."""
        ours = np.asarray(self.ours.scores)
        difference, half = self.difference
        values = (
            f"{ours.mean():.3f} ± {ours.std(ddof=1):.3f} ({len(ours)})",
            ", ".join(f"{one:.3f}" for one in self.theirs),
            f"{difference:+.3f} ± {half:.3f}",
            f"{self.ours.scores[0]:.3f}, {self.same.test[self.cell.metric] / self.cell.unit:.3f}",
            f"{self.losses_apart(FIRST):.4f}",
            f"{self.losses_apart(self.cell.epochs):.4f}",
        )
        return f"| {name} | {' | '.join(values)} |"


FIRST = 3
"""Epochs in which rounding has not grown yet."""

HEAD = """| | ours (seeds) | PANGAEA's | PANGAEA's - ours | same draws: ours, PANGAEA's | losses, 3 epochs | all epochs |
|---|---|---|---|---|---|---|"""


def compare(cell: Cell, pangaea: Path, folder: Path) -> Compared:
    """Train and score a cell on both sides, in a new folder."""
    root = folder / "geobench"
    synthetic.write_root(root, [cell.dataset], cell.sizes, signal=SIGNAL)
    ours = _ours(cell, root, folder / "ours")
    torch.save(ours.start, folder / "start.pt")
    steps = cell.sizes[0] // cell.batch
    overrides = (
        *cell.theirs, f"encoder={cell.encoder}", "encoder.values=pangaea", "criterion=cross_entropy",
        f"optimizer.lr={RATE}", f"task.trainer.n_epochs={cell.epochs}", f"task.trainer.log_interval={steps}",
        f"batch_size={cell.batch}", "test_batch_size=4",
    )  # fmt: skip
    script = (pangaea_draws.__file__, str(folder / "start.pt"))
    same = run(pangaea, root, folder / "same", *overrides, script=script)
    theirs = [
        run(pangaea, root, folder / f"seed{seed}", *overrides, f"seed={seed}").test[cell.metric] for seed in SEEDS
    ]
    return Compared(cell, ours, [one / cell.unit for one in theirs], same)


def _ours(cell: Cell, root: Path, folder: Path) -> Ours:
    """By `evaluate.py --protocol pangaea`, watched as it trains."""
    begun: list[tuple[int, dict[str, Any]]] = []
    told: list[Epoch] = []
    begin, tell = Trainee.__init__, Trainee.told

    def watched_begin(self: Trainee, member: Any, *arguments: Any, **named: Any) -> None:
        begin(self, member, *arguments, **named)
        begun.append((member.seed, {key: value.clone() for key, value in self.decoder.state_dict().items()}))

    def watched_tell(self: Trainee, epoch: int) -> Epoch:
        told.append(tell(self, epoch))
        return told[-1]

    epochs = "protocol.by.segmentation.epochs" if cell.metric == "IoU" else "protocol.epochs"
    command = [
        "--encoder", cell.encoder + ("-gw" if "satdifuser" in cell.encoder else ""), "--dataset", cell.dataset,
        "--bands", "authors", "--protocol", "pangaea", "--data-root", str(root), "--output", str(folder),
        "--device", "cpu", f"protocol.learning_rates=[{RATE}]", f"protocol.seeds={cell.seeds}",
        f"{epochs}={cell.epochs}", *cell.ours,
    ]  # fmt: skip
    with (
        patch.object(Trainee, "__init__", watched_begin),
        patch.object(Trainee, "told", watched_tell),
        redirect_stdout(StringIO()),
    ):
        code = evaluate.main(command)
    if code:
        raise RuntimeError(f"evaluate.py ended with {code}")
    records = sorted(RecordStore(folder), key=lambda one: one.run.seed)
    first = SEEDS[0]
    return Ours(
        scores=[one.score.metrics[one.score.headline] for one in records],
        losses=[one.loss for one in told if one.member.seed == first],
        start={
            "state": dict(begun)[first],
            # As `benchmark.training.bank.initialised` seeds it.
            "dropout_seed": int(np.random.SeedSequence([first, 1]).generate_state(1)[0]),
            "order_seed": SEEDS[0],
            "epochs": cell.epochs,
        },
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where everything is written")
    parser.add_argument("cells", nargs="*", default=list(CELLS), help=f"of {'; '.join(CELLS)}")
    parsed = parser.parse_args(arguments)
    print(HEAD, flush=True)
    for name in parsed.cells:
        folder = parsed.folder / name.replace(", ", "-").replace(" ", "-").lower()
        print(compare(CELLS[name], Path(os.environ["PANGAEA_DIR"]).resolve(), folder).row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
