"""The command line: parse, compose the config, call benchmark and reports.

uv run evaluate.py --demo
uv run evaluate.py --encoder satdifuser --dataset m-eurosat
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from benchmark.configuration import Request
    from benchmark.places import Places

DEMO = (
    (
        "imagestats,rcf,satdifuser_tiny,croma:tiny,dofa:tiny,satmae:tiny,satlas:tiny",
        "real-chesapeake-patches",
        "frozen",
    ),
    ("imagestats,satdifuser_tiny-gw", "real-neontree-crops", "demo"),
)
"""Rows, dataset and protocol of the bundled samples: the protocol runs on a CPU in a minute."""
FROZEN = "frozen"
USER_ERROR = 2
STOPPED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all went well, 2 for a mistake the user can mend, 130 if stopped."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments.pop(0) if arguments and arguments[0].isalpha() else "run"
    # A scheduler's SIGTERM ends a run as Ctrl-C does.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if command not in COMMANDS:
            raise UsageError(f"no command '{command}'; choose from: {', '.join(COMMANDS)}")
        options = parser(command).parse_intermixed_args(arguments)
        return COMMANDS[command].call(options)
    except KeyboardInterrupt:
        print("stopped; run the same command to go on, nothing finished is done twice", file=sys.stderr)
        return STOPPED
    except Exception as error:
        message = _user_message(error)
        if message is None:
            raise
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return USER_ERROR


def _user_message(error: Exception) -> str | None:
    """The sentence for a mistake the user can mend; None for a bug, which keeps its traceback."""
    from encoders.errors import explain

    return str(error) if isinstance(error, UsageError) else explain(error)


class UsageError(Exception):
    """An option argparse refuses, as one sentence."""


class Parser(argparse.ArgumentParser):
    """argparse that ends in one sentence instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`, naming the command that lists the options."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def parser(command: str) -> Parser:
    """The options of a command; what can be chosen is shown by `list`, so that --help imports nothing."""
    about = COMMANDS[command]
    if command != "run":
        made = Parser(prog=f"evaluate.py {command}", description=about.help.capitalize() + ".", allow_abbrev=False)
    else:
        others = "\n".join(f"  {name:<9} {one.help}" for name, one in COMMANDS.items())
        made = Parser(
            prog="evaluate.py",
            description="Frozen-encoder evaluation of geospatial foundation models on GEO-Bench.",
            epilog=f"commands, the first one by default:\n{others}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    about.options(made)
    return made


def _run_options(run: Parser) -> None:
    _grid_options(run)
    _place_options(run)
    run.add_argument("--demo", action="store_true", help="bundled real images, no weights or downloads needed")
    run.add_argument("--executor", metavar="NAME", help="inline, local, slurm or ray (default: inline)")
    run.add_argument("--dry-run", action="store_true", help="say what would run, and do nothing")


def _list_options(listing: Parser) -> None:
    listing.add_argument("what", choices=("encoders", "families", "fusions", "datasets", "probes", "protocols"))
    listing.add_argument("--dataset", metavar="NAME", help="with encoders: what each would be fed on it")


def _report_options(report: Parser) -> None:
    report.add_argument("--output", default="results", metavar="DIR", help="results folder (default: results)")


def _preview_options(preview: Parser) -> None:
    preview.add_argument("encoder", metavar="ENCODER")
    preview.add_argument("dataset", metavar="DATASET")
    _shared_options(preview)
    _place_options(preview)


def _cache_options(cache: Parser) -> None:
    cache.add_argument("what", choices=("list", "clear", "verify"))
    cache.add_argument("--encoder", metavar="NAME", help="with clear: of this encoder")
    cache.add_argument("--dataset", metavar="NAME", help="with clear: of this dataset")
    cache.add_argument("--all", action="store_true", help="with clear: everything")
    _place_options(cache)


def _fetch_options(fetch: Parser) -> None:
    fetch.add_argument("what", choices=("encoder", "dataset", "all"))
    fetch.add_argument("names", nargs="?", metavar="NAME,...", help="or all; of datasets also a task")
    fetch.add_argument("--size", type=int, choices=(256, 512), help="weights for images of this side (default: both)")
    fetch.add_argument("--ingest", action="store_true", help="also read each dataset into arrays")
    fetch.add_argument("--keep-archive", action="store_true", help="keep the zip beside what was unpacked")
    fetch.add_argument("--dry-run", action="store_true", help="say what, from where, how big, which licence")
    fetch.add_argument("--synthetic", metavar="DIR", help="instead: write a miniature GEO-Bench root of made-up images")
    fetch.add_argument("--seed", type=int, default=0, metavar="N", help="of what these show (default: 0)")
    fetch.add_argument("--signal", type=float, default=1.0, metavar="X", help="how learnable; 0 is noise (default: 1)")
    _place_options(fetch)


def _profile_options(profile: Parser) -> None:
    profile.add_argument("dataset", metavar="DATASET")
    profile.add_argument("--against", choices=("geobench",), default="geobench", help="whom to compare with")
    profile.add_argument("--samples", type=int, default=2000, metavar="N", help="samples read (default: 2000)")
    _place_options(profile)


def _grid_options(run: Parser) -> None:
    run.add_argument("--encoder", metavar="A,B-gw", help="encoders, or rows ENCODER-FUSION; see `list encoders`")
    run.add_argument("--dataset", metavar="NAME,...", help="datasets, or classification, segmentation, all")
    run.add_argument("--probe", metavar="NAME", help="linear, knn or upernet (default: linear; upernet on masks)")
    run.add_argument(
        "--fusion", metavar="A,B", help="fusers of encoders without one, see `list fusions` (default: none)"
    )
    run.add_argument("--seeds", type=int, metavar="N", help="seeds of trained decoders (default: the protocol's)")
    run.add_argument("--partition", metavar="NAME", help="default, or GEO-Bench's 0.01x_train ... 1.00x_train")
    _shared_options(run)


def _shared_options(command: Parser) -> None:
    command.add_argument("--bands", metavar="TRACK", help="rgb or authors (default: rgb)")
    command.add_argument("--protocol", metavar="NAME", help="see `list protocols` (default: frozen)")
    command.add_argument("--device", metavar="NAME", help="auto, cpu or cuda (default: auto)")
    command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides of any config value")


def _place_options(command: Parser) -> None:
    command.add_argument("--data-root", metavar="DIR", help="GEO-Bench root (default: $GEO_BENCH_DIR)")
    command.add_argument("--ingest-dir", metavar="DIR", help="ingested data (default: in $SATDIFUSER_BENCH_HOME)")
    command.add_argument("--features-dir", metavar="DIR", help="features (default: in $SATDIFUSER_BENCH_HOME)")
    command.add_argument("--weights", metavar="DIR", help="weights (default: in $SATDIFUSER_BENCH_HOME)")
    command.add_argument("--output", default="results", metavar="DIR", help="results folder (default: results)")


def _run(options: argparse.Namespace) -> int:
    from benchmark import sweep
    from benchmark.cells import cells as cells_of

    requests = [_compose(options, rows, data, options.probe, protocol) for rows, data, protocol in _asked(options)]
    cells, places = [cell for request in requests for cell in cells_of(request)], _places(options)
    if options.dry_run:
        print("\n".join(sweep.plan_lines(cells, places)))
        return 0
    results = sweep.sweep(cells, places, requests[0].executor)
    finished = [result for result in results if result.outcome in ("done", "skipped")]
    if finished:
        _write_reports(options.output)
    for result in results:
        if result.message and result.outcome != "skipped":
            prefix = "error" if result.outcome == "failed" else result.outcome
            print(f"{prefix}: {result.cell.title}: {' '.join(result.message.split())}", file=sys.stderr)
    skipped = sum(result.outcome == "skipped" for result in results)
    print(
        f"{len(finished)} of {len(results)} cells have records ({skipped} were there before).",
        file=sys.stderr,
    )
    if finished:
        print(f"Look at {options.output}/leaderboard.csv and {options.output}/leaderboard.tex")
    return USER_ERROR if any(result.outcome == "failed" for result in results) or not finished else 0


def _asked(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Rows, dataset and protocol of each grid to run: as the options say, as the demo does where they are silent."""
    from encoders.errors import UserError

    if options.demo and not options.dataset:
        return [(options.encoder or rows, data, options.protocol or protocol) for rows, data, protocol in DEMO]
    rows = options.encoder or (DEMO[0][0] if options.demo else "")
    if not rows or not options.dataset:
        raise UserError("say what to evaluate: --encoder NAME --dataset NAME, or --demo; `list` shows what there is")
    return [(rows, options.dataset, options.protocol or FROZEN)]


def _list(options: argparse.Namespace) -> int:
    from benchmark.catalogue import LISTS
    from reports.console import print_table

    print_table(*LISTS[options.what](options.dataset))
    return 0


def _report(options: argparse.Namespace) -> int:
    _write_reports(options.output)
    print(f"Look at {options.output}/leaderboard.csv and {options.output}/leaderboard.tex")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from benchmark.doctor import examine
    from reports.console import print_table

    print_table(["area", "state", "what"], [[one.area, one.state, one.text] for one in examine(_places(options))])
    return 0


def _preview(options: argparse.Namespace) -> int:
    from benchmark import preview
    from benchmark.cells import cells
    from reports.console import print_table

    request = _compose(options, options.encoder, options.dataset, None, options.protocol or FROZEN)
    for cell in cells(request):
        shown = preview.preview(cell, _places(options))
        print_table(shown.header, shown.rows)
        print("\n".join(shown.lines))
    return 0


def _profile(options: argparse.Namespace) -> int:
    from benchmark import profile
    from reports.console import print_table

    print_table(*profile.reading(options.dataset, _places(options), options.samples))
    return 0


def _cache(options: argparse.Namespace) -> int:
    from benchmark import cache
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
    from benchmark import bring, fetch
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


def _compose(options: argparse.Namespace, encoders: str, dataset: str, probe: str | None, protocol: str) -> "Request":
    from benchmark import configuration

    given = {name: getattr(options, name, None) for name in ("bands", "partition", "seeds", "device")}
    fusion = getattr(options, "fusion", None)
    return configuration.compose(
        rows=_names("--encoder", encoders),
        fusions=_names("--fusion", fusion) if fusion else ("none",),
        dataset_choice=dataset,
        probe=probe,
        protocol=protocol,
        settings={name: value for name, value in given.items() if value is not None},
        overrides=options.overrides,
        executor=getattr(options, "executor", None) or "inline",
    )


def _names(option: str, text: str) -> list[str]:
    from encoders.errors import UserError

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f"{option} '{text}': name each once, separated by commas")
    return names


def _places(options: argparse.Namespace) -> "Places":
    from benchmark.places import places

    return places(
        data_root=options.data_root,
        ingest_dir=options.ingest_dir,
        features_dir=options.features_dir,
        weights=options.weights,
        output=options.output,
    )


def _write_reports(output: str) -> None:
    from pathlib import Path

    from benchmark.records import RecordStore
    from reports import console, leaderboard

    records = list(RecordStore(Path(output)))
    leaderboard.write(records, Path(output))
    console.print_leaderboard(records)


@dataclass(frozen=True)
class Command:
    """A command: its line in --help, its options, what it calls."""

    help: str
    options: Callable[[Parser], None]
    call: Callable[[argparse.Namespace], int]


COMMANDS = {
    "run": Command("evaluate encoders on datasets", _run_options, _run),
    "list": Command("the encoders, families, datasets, probes or protocols there are", _list_options, _list),
    "report": Command("rebuild every table from the records", _report_options, _report),
    "doctor": Command("what is installed, found and missing, and what brings it", _place_options, _doctor),
    "preview": Command("what an encoder is fed on a dataset, with the picture it sees", _preview_options, _preview),
    "cache": Command("list, clear or verify stored features", _cache_options, _cache),
    "fetch": Command("download weights and datasets, checked; or write made-up data", _fetch_options, _fetch),
    "profile": Command("measure how fast samples are read, against the geobench package", _profile_options, _profile),
}


# Waiting threads that spin slow a busy machine tenfold; read by OpenMP when the framework is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Weights are local files or an error: no library may look for them elsewhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

if __name__ == "__main__":
    sys.exit(main())
