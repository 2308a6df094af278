"""What the options of the command line ask for: grids to run, composed."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmark.membership import Membership
from benchmark.request import commandline, configuration, experiments
from benchmark.request.configuration import Part, Request
from benchmark.request.experiments import Combination, Experiment
from encoders.errors import UserError

DEMO = (
    (
        "imagestats,rcf,satdifuser:tiny,croma:tiny,dofa:tiny,satmae:tiny,satlas:tiny",
        "real-chesapeake-patches",
        "frozen",
    ),
    ("imagestats,satdifuser:tiny-gw", "real-neontree-crops", "demo"),
)
"""Rows, dataset and protocol of the bundled samples: the protocol runs on a CPU in a minute."""
FROZEN = "frozen"
SETTINGS = ("bands", "partition", "seeds", "device")
"""Options that are keys of `configs/config.yaml`, and so can be an axis of an experiment."""


def requests(options: argparse.Namespace) -> list[Request]:
    """The grids to run: as the options say, as an experiment or the demo does where they are silent.

    Raises:
        UserError: nothing is asked for, or as `configuration.compose`.
    """
    if options.on and not options.dry_run:
        raise UserError(f"--on {options.on} counts hours and runs nothing; add --dry-run, or leave it out")
    if options.experiment:
        if options.demo:
            raise UserError("--demo and --experiment are two things to run; give one")
        return list(_of_experiment(experiments.load(options.experiment), Path(options.experiment).stem, options))
    if options.demo and not options.dataset:
        return [
            compose(options, options.encoder or rows, dataset, options.protocol or protocol)
            for rows, dataset, protocol in DEMO
        ]
    rows = options.encoder or (DEMO[0][0] if options.demo else "")
    if not rows or not options.dataset:
        raise UserError(
            "say what to evaluate: --encoder NAME --dataset NAME, --experiment NAME, or --demo; `list` shows what "
            "there is"
        )
    return [compose(options, rows, options.dataset)]


def compose(options: argparse.Namespace, rows: str, dataset: str, protocol: str | None = None) -> Request:
    """One grid, by the options of a command; those it hasn't are as by default. Raises as `configuration.compose`."""
    fusion = getattr(options, "fusion", None)
    return _composed(
        options,
        _Asked(
            rows=_names("--encoder", rows),
            fusions=_names("--fusion", fusion) if fusion else ["none"],
            dataset=dataset,
            probe=getattr(options, "probe", None),
            protocol=protocol or options.protocol or FROZEN,
            settings=_settings(options),
            overrides=options.overrides,
        ),
    )


@dataclass(frozen=True)
class _Asked:
    """A grid, before it is composed."""

    rows: Sequence[str]
    fusions: Sequence[str]
    dataset: str
    probe: str | None
    protocol: str
    settings: dict[str, object]
    overrides: Sequence[str]


def _composed(options: argparse.Namespace, asked: _Asked, point: Sequence[str] = ()) -> Request:
    return configuration.compose(
        rows=asked.rows,
        fusions=asked.fusions,
        dataset_choice=asked.dataset,
        probe=asked.probe,
        protocol=asked.protocol,
        settings=asked.settings,
        overrides=asked.overrides,
        executor=getattr(options, "executor", None) or "inline",
        point=point,
        allow_code=options.allow_code,
        runs=_runs(options),
    )


def _runs(options: argparse.Namespace) -> Literal["nothing", "data", "all"]:
    """What the command goes on to do: a preview builds encoders only where it draws what they make of images."""
    if getattr(options, "dry_run", False):
        return "nothing"
    return "all" if getattr(options, "features", True) or options.attention else "data"


def _settings(options: argparse.Namespace) -> dict[str, object]:
    given = {name: getattr(options, name, None) for name in SETTINGS}
    return {name: value for name, value in given.items() if value is not None}


def _of_experiment(experiment: Experiment, name: str, options: argparse.Namespace) -> Iterator[Request]:
    """An experiment's grids at each combination of its points; options stand in place of what a grid says."""
    _check_free(experiment, name, options)
    tracks = {grid.bands for grid in experiment.grids}
    for grid in experiment.grids:
        asked = _Asked(
            rows=_names("--encoder", options.encoder) if options.encoder else grid.rows,
            fusions=_names("--fusion", options.fusion) if options.fusion else grid.fusions,
            dataset=options.dataset or ",".join(grid.datasets),
            probe=options.probe or grid.probe,
            protocol=options.protocol or grid.protocol,
            settings={"bands": grid.bands} | _settings(options),
            overrides=[*grid.overrides, *options.overrides],
        )
        plain = _composed(options, asked)
        for combination in experiment.combinations(grid):
            found = _composed(options, asked, combination.overrides) if combination.overrides else plain
            track = f"{grid.bands} bands" if len(tracks) > 1 and not options.bands else ""
            yield replace(found, part=_part(experiment, name, combination, plain, track))


def of_experiment(name: str) -> Iterator[Request]:
    """What an experiment asks for, as its file says. Raises as `requests`."""
    _, options = commandline.parse(["--experiment", name])
    return _of_experiment(experiments.load(name), Path(name).stem, options)


def of_all_experiments() -> Iterator[Request]:
    """What every experiment of the project asks for."""
    for name in experiments.names():
        yield from of_experiment(name)


def _part(experiment: Experiment, name: str, combination: Combination, plain: Request, track: str) -> Part:
    """The part of a combination; `plain` is its grid without it."""
    shared = {
        "protocol": plain.protocol.name,
        "protocol_hash": plain.protocol.hash,
        "bands": plain.settings.bands,
        "band_names": plain.settings.band_names,
        "partition": plain.settings.partition,
    }
    return Part(
        told=", ".join(one for one in (combination.title, track) if one),
        variant=combination.variant,
        membership=Membership(name, experiment.title, experiment.columns, "", combination.points, shared),
    )


def _check_free(experiment: Experiment, name: str, options: argparse.Namespace) -> None:
    """Check that nothing is set from outside that an axis is there to vary.

    Raises:
        UserError: something is.
    """
    given = {key: f"--{key}" for key in _settings(options)}
    given |= {override.partition("=")[0].lstrip("+~"): override for override in options.overrides}
    for axis in dict.fromkeys(axis for grid in experiment.grids for axis in grid.axes):
        for key in experiment.keys(axis):
            for other in given:
                if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                    raise UserError(f"experiment {name} varies {key} (axis '{axis}'); leave out {given[other]}")


def _names(option: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f"{option} '{text}': name each once, separated by commas")
    return names
