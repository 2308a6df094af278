"""What the options of the command line ask for: grids to run, composed."""

import argparse

from benchmark.request import configuration
from benchmark.request.configuration import Request
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


def requests(options: argparse.Namespace) -> list[Request]:
    """The grids to run: as the options say, as the demo does where they are silent.

    Raises:
        UserError: nothing is asked for, or as `configuration.compose`.
    """
    if options.demo and not options.dataset:
        return [
            compose(options, options.encoder or rows, dataset, options.protocol or protocol)
            for rows, dataset, protocol in DEMO
        ]
    rows = options.encoder or (DEMO[0][0] if options.demo else "")
    if not rows or not options.dataset:
        raise UserError("say what to evaluate: --encoder NAME --dataset NAME, or --demo; `list` shows what there is")
    return [compose(options, rows, options.dataset)]


def compose(options: argparse.Namespace, rows: str, dataset: str, protocol: str | None = None) -> Request:
    """One grid, by the options of a command; those it hasn't are as by default. Raises as `configuration.compose`."""
    given = {name: getattr(options, name, None) for name in ("bands", "partition", "seeds", "device")}
    fusion = getattr(options, "fusion", None)
    return configuration.compose(
        rows=_names("--encoder", rows),
        fusions=_names("--fusion", fusion) if fusion else ("none",),
        dataset_choice=dataset,
        probe=getattr(options, "probe", None),
        protocol=protocol or options.protocol or FROZEN,
        settings={name: value for name, value in given.items() if value is not None},
        overrides=options.overrides,
        executor=getattr(options, "executor", None) or "inline",
    )


def _names(option: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f"{option} '{text}': name each once, separated by commas")
    return names
