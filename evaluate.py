"""The commands: parse, compose the config, call benchmark and reports.

uv run evaluate.py --demo
uv run evaluate.py --encoder satdifuser --dataset m-eurosat
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # before anything that an older one can't read
    have = ".".join(map(str, sys.version_info[:3]))
    how = "`pip install uv && uv run evaluate.py ...` brings one"
    print(f"error: Python 3.11 or newer is needed, this is {have}; {how}", file=sys.stderr)
    sys.exit(2)

import argparse
import gc
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

OWN = ("benchmark", "configs", "decoders", "encoders", "reports")
"""This project's packages: one of them that is missing is a bug."""


def _not_installed(error: ModuleNotFoundError) -> str:
    how = "`uv run evaluate.py ...` brings what is needed, as does `pip install .` here"
    return f"the package {error.name} is not installed for {sys.executable}; {how}"


try:
    from benchmark.request.commandline import UsageError, parse
    from benchmark.stopping import HOW_TO_GO_ON, stoppable
except ModuleNotFoundError as absent:
    if str(absent.name).partition(".")[0] in OWN:
        raise
    print(f"error: {_not_installed(absent)}", file=sys.stderr)
    sys.exit(2)

if TYPE_CHECKING:
    from benchmark.places import Places

RESULTS = "results"
USER_ERROR = 2
CTRL_C = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all went well, 2 for a mistake the user can mend, 130 or 143 if stopped by a signal."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with stoppable() as stop_if_asked:
        try:
            command, options = parse(arguments)
            done = CALLS[command](options)
            stop_if_asked()
            return done
        except KeyboardInterrupt as stopped:
            code = getattr(stopped, "code", CTRL_C)
        except Exception as error:
            message = _user_message(error)
            if message is None:
                raise
            print(f"error: {message}", file=sys.stderr)
            return USER_ERROR
        # What was at work has ended by now: its frames, executors among them, went with the exception.
        print(HOW_TO_GO_ON, file=sys.stderr)
        return code


def _user_message(error: Exception) -> str | None:
    """The sentence for a mistake the user can mend; None for a bug, which keeps its traceback."""
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] not in OWN:
        return _not_installed(error)
    from encoders.errors import explain, one_line

    message = str(error) if isinstance(error, UsageError) else explain(error)
    return None if message is None else one_line(message)


def _run(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from benchmark.flops import devices
    from benchmark.grid import dry_run, sweep
    from benchmark.grid.cells import all_cells
    from benchmark.request import asked

    requests = asked.requests(options)
    cells = all_cells(requests)
    places = replace(_places(options), tracker=requests[0].tracker)
    if options.dry_run:
        on = devices.load(options.on) if options.on else None
        print("\n".join(dry_run.lines(cells, places, requests[0].executor, on)))
        return 0
    results = sweep.sweep(cells, places, requests[0].executor)
    finished = [result for result in results if result.outcome in ("done", "skipped")]
    where: list[str] = []
    try:
        if finished:
            where = _write_reports(options.output, [options.output])
    finally:
        rows = [row for request in requests for row in request.rows]
        print("\n".join(sweep.outcome_lines(results, rows, vars(options))), file=sys.stderr)
    for line in where:
        print(line)
    return USER_ERROR if not finished or any(result.outcome == "failed" for result in results) else 0


def _list(options: argparse.Namespace) -> int:
    from benchmark.commands.catalogue import LISTS
    from reports.console import print_table

    print_table(*LISTS[options.what](options.dataset))
    return 0


def _report(options: argparse.Namespace) -> int:
    from reports import paper_cells

    if options.reproduce is not None:
        paper_cells.load(options.reproduce)  # refused before anything is written
    folders = options.folders or [options.output or RESULTS]
    output = options.output or (folders[0] if len(folders) == 1 else RESULTS)
    print("\n".join(_write_reports(output, folders, draws=True, paper=options.reproduce or "")))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from benchmark.commands.doctor import examine
    from reports.console import print_table

    found = examine(_places(options), options.dataset, options.allow_code)
    print_table(["area", "state", "what"], [[one.area, one.state, one.text] for one in found])
    return 0


def _preview(options: argparse.Namespace) -> int:
    from benchmark.commands import preview
    from benchmark.grid.cells import cells
    from benchmark.request import asked
    from reports.console import print_table

    request, places, drawn = asked.compose(options, options.encoder, options.dataset), _places(options), []
    for cell in cells(request):
        if options.features or options.attention:
            from benchmark.pictures import looks
            from reports import figures

            # Before the picture: what cannot be drawn leaves no file.
            points = [looks.parse_point(point) for point in options.attention]
            looked = looks.look(cell, places, options.features, points)
            drawn = [f"Drawn: {figures.draw_looks(path, places.output)}" for path in looked]
        shown = preview.preview(cell, places)
        print_table(shown.header, shown.rows)
        print("\n".join([*shown.lines, *drawn]))
    return 0


def _profile(options: argparse.Namespace) -> int:
    from benchmark.commands import profile
    from reports.console import print_found

    for table in profile.profile(options, _places(options)):
        print_found(table.title, table.header, table.rows)
        print(table.text, end="")
    return 0


def _cache(options: argparse.Namespace) -> int:
    from benchmark.commands import cache
    from encoders.errors import UserError
    from reports.console import print_table

    folder = _places(options).features_dir
    if options.what == "verify":
        damaged = cache.verify(folder)
        print("\n".join(damaged) or f"{len(cache.entries(folder))} feature folders are whole")
        return USER_ERROR if damaged else 0
    if options.what == "clear" and not (options.encoder or options.dataset or options.all):
        raise UserError("cache clear: say what to delete: --encoder NAME, --dataset NAME or --all")
    found = cache.clear(folder, options.encoder, options.dataset) if options.what == "clear" else cache.entries(folder)
    print_table(cache.HEADER, [one.row() for one in found])
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from benchmark.fetching import bring, fetch
    from reports.console import print_table

    if options.synthetic:
        print(fetch.write_synthetic(options.what, options.synthetic, options.seed, options.signal))
        return 0
    places, sizes = _places(options), (options.size,) if options.size else fetch.SIZES
    plan = fetch.plan(options.what, options.names, places, sizes)
    if options.dry_run:
        print_table(*plan.table())
    else:
        for line in bring.carry_out(plan, places, ingest=options.ingest, keep_archive=options.keep_archive):
            print(line, flush=True)
    for line in plan.left_out:
        print(line)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from pathlib import Path

    from benchmark.commands.verification import HEADER, verify
    from reports.comparable import apart
    from reports.console import print_found

    found = verify([Path(folder) for folder in options.folders])
    print_found("", HEADER, [problem.row() for problem in found.problems])
    print_found("These sets of records share no table:", *apart(found.records))
    print(found.summary)
    return USER_ERROR if found.problems else 0


def _rerun(options: argparse.Namespace) -> int:
    from benchmark.commands.rerun import HEADER, rerun
    from reports.console import print_found

    own = (options.encoder, options.dataset, options.allow_code)
    found = rerun(options.record, _places(options), options.device, *own)
    print_found("", HEADER, [*found.run, *found.result])
    print_found("The environment differs in:", HEADER, found.environment)
    print(found.summary)
    return 0 if found.same else USER_ERROR


def _anchors(options: argparse.Namespace) -> int:
    from pathlib import Path

    from benchmark.commands import anchors
    from reports.console import print_found

    given = anchors.read(Path(options.anchors) if options.anchors else anchors.FILE)
    found = anchors.measure(given, _places(options), options.device, options.executor or "inline", options.allow_code)
    print_found("", anchors.HEADER, [one.row() for one in found.ran])
    for one in found.ran:
        print(f"{one.anchor.title}: {one.anchor.source} ({one.anchor.url}); {one.anchor.differs}.")
    lacking = [[one.anchor.title, one.why] for one in found.measured if one.ours is None]
    print_found("", anchors.MISSING_HEADER, lacking)
    print(found.summary)
    return found.code


def _places(options: argparse.Namespace) -> "Places":
    from benchmark.places import places

    return places(
        data_root=options.data_root,
        ingest_dir=options.ingest_dir,
        features_dir=options.features_dir,
        weights=options.weights,
        output=options.output,
    )


def _write_reports(output: str, folders: Sequence[str], draws: bool = False, paper: str = "") -> list[str]:
    """Write and print tables; lines that say where to look."""
    from pathlib import Path

    from reports import console, derived, experiments
    from reports.collector import without_collector
    from reports.rebuild import rebuild

    with without_collector():
        rebuilt = rebuild([Path(folder) for folder in folders], Path(output), draws, paper)
        console.print_tables(derived.main(rebuilt.tables))
        console.print_sheets(experiments.sheets(experiments.shown(rebuilt.merged.records)))
    lines = console.where_to_look(output, rebuilt.tables)
    if rebuilt.reproduced:
        _, text, table = rebuilt.reproduced
        lines.append(f"Beside the paper's cells: {text} and {table}")
    return lines


CALLS = {
    "run": _run,
    "list": _list,
    "report": _report,
    "doctor": _doctor,
    "preview": _preview,
    "cache": _cache,
    "verify": _verify,
    "rerun": _rerun,
    "anchors": _anchors,
    "fetch": _fetch,
    "profile": _profile,
}
"""What each of `benchmark.request.commandline.COMMANDS` calls."""


# Waiting threads that spin slow a busy machine tenfold; read by OpenMP when the framework is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Weights are local files or an error: no library may look for them elsewhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

if __name__ == "__main__":
    code = main()
    # Before it ends, Python would look once more through all that thousands of records left. Libraries that torch
    # loads count on that, and complain of what was not freed.
    if "torch" not in sys.modules:
        gc.freeze()
    sys.exit(code)
