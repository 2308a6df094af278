"""The options of every command, and its line in --help: argparse alone, so that --help is there at once.

What can be chosen is shown by `evaluate.py list`.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

LISTED = ("encoders", "families", "fusions", "datasets", "probes", "protocols", "experiments")
"""What `list` can show."""


class UsageError(Exception):
    """An option argparse refuses, as one sentence."""


@dataclass(frozen=True)
class Number:
    """The type of an option that takes a number within bounds; its error names them."""

    of: type[int] | type[float]
    low: float
    high: float

    def __call__(self, text: str) -> float:
        """The number a text is, or `ArgumentTypeError`."""
        try:
            value: float = self.of(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:
            kind = "whole number" if self.of is int else "number"
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is no {kind} from {self.low:,} to {self.high:,}; give one")
        return value


COUNT, SEED, FACTOR = Number(int, 1, 1_000_000_000), Number(int, 0, 2**32 - 1), Number(float, 0, 1000)
SEEDS = Number(int, 1, 1000)


class Parser(argparse.ArgumentParser):
    """argparse that ends in one sentence instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`, naming the command that lists the options."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def parse(arguments: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The command, `run` where none is named, and its options.

    Raises:
        UsageError: no such command or option, or a value that is empty or cannot be.
    """
    given = list(arguments)
    command = given.pop(0) if given and given[0].isalpha() else "run"
    if command not in COMMANDS:
        raise UsageError(f"no command '{command}'; choose from: {', '.join(COMMANDS)}")
    reader = parser(command)
    options = reader.parse_intermixed_args(given)
    for action in reader._actions:
        # What a shell makes of a variable that isn't set would else stand for the default.
        value = getattr(options, action.dest, None)
        if value == "" or (isinstance(value, list) and "" in value):
            name = "/".join(action.option_strings) or action.metavar
            raise UsageError(f"argument {name} is empty; give a value, or leave it out; see `{reader.prog} --help`")
    return command, options


def parser(command: str) -> Parser:
    """The options of a command."""
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
    run.add_argument("--experiment", metavar="NAME", help="grids that answer one question; see `list experiments`")
    run.add_argument("--executor", metavar="NAME", help="inline, local, slurm or ray (default: inline)")
    run.add_argument("--dry-run", action="store_true", help="say what would run, and do nothing")
    _code_option(run)
    run.add_argument("--on", metavar="DEVICE", help="with --dry-run: hours counted for a device, such as h200")


def _list_options(listing: Parser) -> None:
    listing.add_argument("what", choices=LISTED)
    listing.add_argument(
        "--dataset", metavar="NAME", help="with encoders: what each would be fed; with datasets: it alone"
    )


def _report_options(report: Parser) -> None:
    report.add_argument("folders", nargs="*", metavar="DIR", help="results folders to merge (default: --output)")
    report.add_argument("--output", metavar="DIR", help="where tables go (default: the one folder, or results)")
    report.add_argument("--reproduce", metavar="NAME", help="also set our records beside a paper's cells: satdifuser")


def _doctor_options(doctor: Parser) -> None:
    doctor.add_argument("--dataset", metavar="FILE,...", help="also look at datasets of your own, by their YAML files")
    _code_option(doctor)
    _place_options(doctor)


def _preview_options(preview: Parser) -> None:
    preview.add_argument("encoder", metavar="ENCODER")
    preview.add_argument("dataset", metavar="DATASET")
    preview.add_argument("--features", action="store_true", help="also draw its feature maps, as colours")
    preview.add_argument(
        "--attention", action="append", default=[], metavar="X,Y", help="also draw what this point attends to, 0 to 1"
    )
    _shared_options(preview)
    _code_option(preview)
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
    fetch.add_argument("--seed", type=SEED, default=0, metavar="N", help="of what these show (default: 0)")
    fetch.add_argument("--signal", type=FACTOR, default=1.0, metavar="X", help="how learnable; 0 is noise (default: 1)")
    _place_options(fetch)


def _profile_options(profile: Parser) -> None:
    profile.add_argument(
        "names", nargs="+", metavar="NAME", help="ENCODER DATASET, then overrides KEY=VALUE; DATASET alone: geobench"
    )
    profile.add_argument(
        "--against",
        choices=("recompute", "geobench"),
        help="recompute: the same work the official way, the encoder in every epoch; geobench: reading alone",
    )
    profile.add_argument("--images", type=COUNT, default=64, metavar="N", help="of train, to be timed on (default: 64)")
    profile.add_argument("--rounds", type=COUNT, default=5, metavar="N", help="each part is timed (default: 5)")
    profile.add_argument("--top", type=COUNT, metavar="N", help="also the N operations that take longest")
    profile.add_argument("--samples", type=COUNT, default=2000, metavar="N", help="read with geobench (default: 2000)")
    profile.add_argument("--probe", metavar="NAME", help="see `list probes` (default: linear; upernet on masks)")
    profile.add_argument("--fusion", metavar="A,B", help="fusers, see `list fusions` (default: none)")
    profile.add_argument("--seeds", type=SEEDS, metavar="N", help="seeds of trained decoders (default: the protocol's)")
    _composed_options(profile)
    _code_option(profile)
    _place_options(profile)


def _verify_options(verify: Parser) -> None:
    verify.add_argument("folders", nargs="+", metavar="DIR", help="results folders")


def _rerun_options(rerun: Parser) -> None:
    rerun.add_argument("record", metavar="RECORD.json", help="a record file, or the key of one in --output")
    rerun.add_argument("--encoder", metavar="FILE", help="YAML file of the record's encoder, where it is your own")
    rerun.add_argument("--dataset", metavar="FILE", help="YAML file of its dataset, where that is your own")
    rerun.add_argument("--device", metavar="NAME", help="auto, cpu or cuda (default: as recorded)")
    _code_option(rerun)
    _place_options(rerun)


def _anchors_options(anchors: Parser) -> None:
    anchors.add_argument("--anchors", metavar="FILE", help="a file of your own like configs/anchors.yaml")
    anchors.add_argument("--device", metavar="NAME", help="auto, cpu or cuda (default: auto)")
    anchors.add_argument("--executor", metavar="NAME", help="inline, local, slurm or ray (default: inline)")
    _code_option(anchors)
    _place_options(anchors)


def _grid_options(run: Parser) -> None:
    run.add_argument("--encoder", metavar="A,B-gw", help="encoders, or rows ENCODER-FUSION; see `list encoders`")
    run.add_argument(
        "--dataset", metavar="NAME,...", help="datasets, or classification, segmentation, all, or FILE.yaml"
    )
    run.add_argument("--probe", metavar="NAME", help="see `list probes` (default: linear; upernet on masks)")
    run.add_argument(
        "--fusion", metavar="A,B", help="fusers of encoders without one, see `list fusions` (default: none)"
    )
    run.add_argument("--seeds", type=SEEDS, metavar="N", help="seeds of trained decoders (default: the protocol's)")
    run.add_argument("--partition", metavar="NAME", help="default, or GEO-Bench's 0.01x_train ... 1.00x_train")
    _shared_options(run)


def _shared_options(command: Parser) -> None:
    _composed_options(command)
    command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides of any config value")


def _composed_options(command: Parser) -> None:
    command.add_argument("--bands", metavar="TRACK", help="rgb or authors (default: rgb)")
    command.add_argument("--protocol", metavar="NAME", help="see `list protocols` (default: frozen)")
    command.add_argument("--device", metavar="NAME", help="auto, cpu or cuda (default: auto)")


def _code_option(command: Parser) -> None:
    command.add_argument("--allow-code", action="store_true", help="run the code that a YAML file given here names")


def _place_options(command: Parser) -> None:
    command.add_argument("--data-root", metavar="DIR", help="GEO-Bench root (default: $GEO_BENCH_DIR)")
    command.add_argument("--ingest-dir", metavar="DIR", help="ingested data (default: in $SATDIFUSER_BENCH_HOME)")
    command.add_argument("--features-dir", metavar="DIR", help="features (default: in $SATDIFUSER_BENCH_HOME)")
    command.add_argument("--weights", metavar="DIR", help="weights (default: in $SATDIFUSER_BENCH_HOME)")
    command.add_argument("--output", default="results", metavar="DIR", help="results folder (default: results)")


@dataclass(frozen=True)
class Command:
    """A command: its line in --help and its options."""

    help: str
    options: Callable[[Parser], None]


COMMANDS = {
    "run": Command("evaluate encoders on datasets", _run_options),
    "list": Command("the encoders, families, datasets, protocols or experiments there are", _list_options),
    "report": Command("rebuild every table from the records", _report_options),
    "doctor": Command("what is installed, found and missing, and what brings it", _doctor_options),
    "preview": Command("what an encoder is fed on a dataset, with the picture it sees", _preview_options),
    "cache": Command("list, clear or verify stored features", _cache_options),
    "verify": Command("check every record of results folders, and what can't be compared", _verify_options),
    "rerun": Command("repeat one record's cell elsewhere and compare, changing nothing", _rerun_options),
    "anchors": Command("measure cells that have published values, and say inside or outside", _anchors_options),
    "fetch": Command("download weights and datasets, checked; or write made-up data", _fetch_options),
    "profile": Command("measure how fast a run is, part by part, and beside the official way", _profile_options),
}
