"""`docs/experiments.md` from `configs/experiment/`; with `--hours` also the hours in these files, as a dry run counts.

`python -m benchmark.commands.experiments_page > docs/experiments.md`; before `--hours` comes `configs/flops.yaml`.
"""

import re
import sys
from functools import cache
from pathlib import Path

from benchmark.flops import devices
from benchmark.grid.cells import all_cells
from benchmark.grid.planning import Planner
from benchmark.grid.prediction import Prediction, predict, told
from benchmark.places import Places
from benchmark.request import asked, experiments
from benchmark.request.experiments import FOLDER, Experiment, Grid

DEVICE = "h200"
HOURS = re.compile(r"^h200_hours: .*\n", re.MULTILINE)
QUESTION = re.compile(r"^question: .*\n", re.MULTILINE)
HEAD = """\
# Experiments

An experiment is a few grids that answer one question: rows on datasets, at named points of axes that are crossed. It
runs as one sweep, so that features are shared, what is done is skipped, and every executor can take it:

    uv run evaluate.py list experiments
    uv run evaluate.py --experiment fusion_ablation --dry-run

<!-- long -->
    uv run evaluate.py --experiment fusion_ablation --dry-run --on h200

<!-- not run: needs released weights -->
    uv run evaluate.py --experiment fusion_ablation --data-root ~/geobench --executor local

**Options beside it** stand in place of what its grids say, in all of them: `--dataset`, `--encoder`, `--fusion`,
`--bands`, `--probe`, `--protocol`, `--seeds` and overrides. What an axis varies can't be set as well. So the same
question of another model, on one dataset, in minutes, is

<!-- long -->
    uv run evaluate.py --experiment timesteps --encoder satdifuser_tiny --dataset m-eurosat --protocol smoke

**Its table** stands in `leaderboard.md` and `.tex` and in the terminal, behind the leaderboards; where an axis is one
of numbers, `report` draws it as a curve. A run that is part of an experiment keeps that in its record, with its point
on every axis, beside what makes its number; its key doesn't know of it, so an experiment shares runs with anything else
that asks for them. A row that an experiment changes (other timesteps, another size) is named with its point in the
leaderboards, stands there under *variants*, and competes in the experiment's table alone.

**Hours** are counted, not measured: operations of the frozen part, of decoders' training steps and of their predictions
(PyTorch's counter on models without data, `configs/flops.yaml`), and the bytes these move at least, at an assumed share
of what the device's maker states (`configs/devices/`). Float32 is float32, never TF32, as everywhere here. Maps that
exceed `disk_budget_gb` are made anew in every epoch, which the hours hold. Probes, which are fitted on the CPU, and
reading are not in them. `--dry-run` without `--on` gives hours from what records have measured on this machine.

**One of your own** is a file like those in `configs/experiment/`, given by its path:

```yaml
# filters.yaml
title: Filters
question: How many random filters are enough?
reading: A column a number of filters.
columns: filters                    # datasets, fusers or an axis
axes:
  filters:
    "64": {value: 64, overrides: [encoder.options.features=64]}
    "512": {value: 512}
grids:
  - rows: [rcf]
    datasets: [m-eurosat]
    axes: {filters: all}
```

<!-- long -->
    uv run evaluate.py --experiment filters.yaml --protocol smoke

This page is written by `python -m benchmark.commands.experiments_page > docs/experiments.md`.
"""


@cache
def predicted(name: str) -> Prediction:
    """What an experiment takes on one H200, with nothing on disk."""
    nowhere = Path("nowhere")
    planner = Planner(Places(None, nowhere, nowhere, nowhere, nowhere))
    groups = planner.groups(all_cells(asked.of_experiment(name)))
    return predict([[planner.plan(cell) for cell in group] for group in groups], planner, devices.load(DEVICE))


def page() -> str:
    """`docs/experiments.md`."""
    return "\n".join([HEAD, *(_section(name) for name in experiments.names())])


def with_hours(name: str) -> str:
    """An experiment's file, with the hours that are counted now behind its question."""
    text = HOURS.sub("", (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return QUESTION.sub(lambda found: f"{found[0]}h200_hours: {told(predicted(name).hours)}\n", text)


def _section(name: str) -> str:
    one, device = experiments.load(name), devices.load(DEVICE)
    hours = "GPU-hours: not counted yet; `--dry-run --on h200` counts them."
    if one.h200_hours is not None:
        percent = f"{100 * device.utilisation:g} % of peak, not measured"
        hours = f"About {one.h200_hours:g} GPU-hours on one {device.title}, counted at {percent}."
    command = f"    uv run evaluate.py --experiment {name}"
    lines = [
        f"## {one.title}",
        "",
        "<!-- not run: needs released weights -->",
        command,
        "",
        one.question,
        "",
        hours,
        "",
    ]
    return "\n".join([*lines, *_grids(one), "", f"**Read**: {one.reading.strip()}", ""])


def _grids(one: Experiment) -> list[str]:
    return [f"- {_grid(one, grid)}" for grid in one.grids]


def _grid(one: Experiment, grid: Grid) -> str:
    rows = f"{', '.join(grid.rows)} with {', '.join(grid.fusions)} on {', '.join(grid.datasets)}, {grid.bands} bands"
    rows += f", protocol {grid.protocol}" if grid.protocol != "frozen" else ""
    rows += f", {', '.join(grid.overrides)}" if grid.overrides else ""
    for axis, labels in grid.axes.items():
        chosen = one.axes[axis] if labels == "all" else labels
        rows += f"; {axis}: {' / '.join(chosen)}"
    return rows


if __name__ == "__main__":
    for each in experiments.names() if "--hours" in sys.argv[1:] else ():
        (FOLDER / f"{each}.yaml").write_text(with_hours(each), encoding="utf-8")
    print(page(), end="")
