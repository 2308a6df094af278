"""`--dry-run`: what a sweep would do, a line a cell in the order they would run, and what it would take in all."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.flops.devices import Device
from benchmark.grid import rates
from benchmark.grid.cells import Cell
from benchmark.grid.counted import Taken
from benchmark.grid.estimates import Estimate, Estimator, device_of
from benchmark.grid.planning import Planned, Planner
from benchmark.grid.prediction import Prediction, predict
from benchmark.grid.rates import Rates
from benchmark.places import Places
from benchmark.request.executor_options import Options

UNKNOWN = "unknown"


def lines(cells: Sequence[Cell], places: Places, executor: Options, on: Device | None = None) -> list[str]:
    """What a sweep over cells would do, without doing any of it.

    Args:
        on: a device to count the hours for, in place of those measured on this one.
    """
    planner = Planner(places)
    groups = planner.groups(cells)
    plan = [[planner.plan(cell) for cell in group] for group in groups]
    measured = Rates() if on else rates.read(places.output, device_of(executor, cells[0].settings.device))
    counted = predict(plan, planner, on) if on else None
    estimator = Estimator(planner, measured)
    found = [
        (one, estimator.estimate(one) if one.state in ("runs", "waits") else None) for group in plan for one in group
    ]
    if counted:
        found = [(one, _on_device(known, taken)) for (one, known), (_, taken) in zip(found, counted.cells, strict=True)]
    reasons = list(dict.fromkeys(one.why for one, _ in found if one.why))
    trainings = sum(any(one.state == "runs" for one in group) for group in plan)
    return [
        *(_line(*one, reasons) for one in found),
        *(f"[{number}] {reason}" for number, reason in enumerate(reasons, start=1)),
        *_summary(found, trainings, places, executor, measured, counted),
    ]


def _on_device(estimate: Estimate | None, taken: Taken | None) -> Estimate | None:
    """An estimate with seconds as counted."""
    if estimate is None or taken is None:
        return estimate
    return replace(estimate, encode_seconds=taken.encode_seconds, train_seconds=taken.train_seconds)


def _line(planned: Planned, estimate: Estimate | None, reasons: Sequence[str]) -> str:
    fed = planned.fed
    told = f"{fed.summary()} bands, {fed.side} px, value rule: {fed.authority}" if fed else ""
    state = {"done": "done", "runs": "would run", "impossible": "impossible", "waits": f"waits for {planned.lacks}"}
    said = state[planned.state] + (f" [{reasons.index(planned.why) + 1}]" if planned.why else "")
    takes = _takes(estimate) if estimate and fed else ""
    return f"{planned.cell.title}: " + "; ".join(part for part in (said, told, takes) if part)


def _takes(estimate: Estimate) -> str:
    tier = f" ({estimate.tier})" if estimate.tier else ""
    return (
        f"features {size(estimate.bytes)}{tier}, encode {duration(estimate.encode_seconds)}, "
        f"train {duration(estimate.train_seconds)}"
    )


def _summary(
    found: Sequence[tuple[Planned, Estimate | None]],
    trainings: int,
    places: Places,
    executor: Options,
    measured: Rates,
    counted: Prediction | None,
) -> list[str]:
    states = Counter(planned.state for planned, _ in found)
    left = [estimate for planned, estimate in found if planned.state == "runs" and estimate]
    told = [
        f"{len(found)} cells: {states['done']} done, {states['runs']} would run in {trainings} groups, "
        f"{states['impossible']} impossible, {states['waits']} wait for data or weights.",
    ]
    if not left:
        return [*told, *(counted.lines() if counted else [])]
    known_bytes = [one.bytes for one in left if one.bytes is not None]
    free = shutil.disk_usage(_existing(places.features_dir)).free
    told.append(
        f"Features to be written in {places.features_dir}: {size(sum(known_bytes))}{_part(known_bytes, left)}; "
        f"{size(free)} are free."
    )
    if counted:
        return [*told, *counted.lines()]
    known = [one.seconds for one in left if one.seconds is not None]
    if known:
        told.append(f"Time on {measured.device}: {_hours(sum(known), executor)}{_part(known, left)}.")
    else:
        told.append(f"Time: {UNKNOWN}.")
    return [*told, _source(measured, places.output)]


def _hours(seconds: float, executor: Options) -> str:
    workers = {"inline": 1, "local": getattr(executor, "workers", None), "slurm": getattr(executor, "parallel", None)}
    side_by_side = workers.get(executor.kind)
    wall = f", {duration(seconds / side_by_side)} on {side_by_side} of it" if side_by_side not in (None, 1) else ""
    return f"about {duration(seconds)} ({seconds / 3600:.2g} device-hours){wall}"


def _part(known: Sequence[object], left: Sequence[object]) -> str:
    return "" if len(known) == len(left) else f" for {len(known)} of {len(left)} cells, {UNKNOWN} for the others"


def _source(measured: Rates, output: Path) -> str:
    if not measured.cells:
        on = f" on {measured.device}" if measured.device else ""
        said = f"No cell that could tell how fast things are has run{on} with its records in {output}"
    else:
        threads = "/".join(map(str, sorted(measured.threads)))
        said = (
            f"Times are those of {measured.cells} cells in {output}, run on {measured.device} with {threads} threads, "
            f"scaled by images; {UNKNOWN} is what has not run there with the same encoder, size, fuser and protocol"
        )
    return f"{said}. `--protocol smoke` measures encoding in a short run."


def _existing(folder: Path) -> Path:
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())


def size(count: int | None) -> str:
    """Bytes as people say them."""
    if count is None:
        return UNKNOWN
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} B"


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return UNKNOWN
    for unit, factor in (("h", 3600.0), ("min", 60.0)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds:.2g} s"
