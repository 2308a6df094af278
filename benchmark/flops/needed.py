"""What the experiments need counted: `python -m benchmark.flops.needed` writes `configs/flops.yaml`.

It counts what the file lacks, line by line, so that it can be stopped; `--anew` counts everything. After a change to
the shapes of features, write `configs/features.yaml` first.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar
from unittest import mock

from benchmark.atomic import write_atomically
from benchmark.flops import devices, table
from benchmark.flops.operations import Operations
from benchmark.flops.parts import Decoding, Frozen, Trained
from benchmark.flops.table import Counts
from benchmark.grid.cells import Cell, all_cells
from benchmark.grid.counted import Counting
from benchmark.grid.planning import Planner
from benchmark.places import Places
from benchmark.request.asked import of_all_experiments
from encoders.bands import Band
from encoders.errors import UserError
from encoders.spec import EncoderCard

T = TypeVar("T")


class Asked:
    """Stands in for `benchmark.flops.table`, and remembers what it was asked.

    Attributes:
        encoders: card, bands and side, by encoder and size as the file names them.
        decoders: by key.
    """

    def __init__(self) -> None:
        self.encoders: dict[tuple[str, str], tuple[EncoderCard, Sequence[Band], int]] = {}
        self.decoders: dict[str, Decoding] = {}

    def frozen(self, card: EncoderCard, bands: Sequence[Band], side: int) -> Frozen:
        """Remember an encoder."""
        self.encoders[table.named(card), table.at(side, bands)] = (card, bands, side)
        return Frozen(Operations(), Operations())

    def trained(self, decoding: Decoding, classes: int) -> Trained:
        """Remember a decoder."""
        self.decoders[decoding.key] = decoding
        return Trained(Operations(), Operations(), 0)


def asked(cells: Iterable[Cell]) -> Asked:
    """What counting cells asks for, where nothing is on disk."""
    nowhere = Path("nowhere")
    planner, found = Planner(Places(None, nowhere, nowhere, nowhere, nowhere)), Asked()
    counting = Counting(planner, devices.load(devices.names()[0]), found)
    for group in planner.groups(list(cells)):
        counting.group([planner.plan(cell) for cell in group])
    return found


def count(cells: Iterable[Cell], known: Counts) -> Iterator[Counts]:
    """What cells ask for, more of it each time; what is known isn't counted again."""
    from benchmark.flops import counting

    wanted = asked(cells)
    encoders: dict[str, dict[str, Frozen]] = {}
    decoders = {}
    for name, size in wanted.encoders:
        if size in known.encoders.get(name, {}):
            encoders.setdefault(name, {})[size] = known.encoders[name][size]
    for key in wanted.decoders:
        if key in known.decoders:
            decoders[key] = known.decoders[key]
    for (name, size), (card, bands, side) in wanted.encoders.items():
        if size not in encoders.get(name, {}):
            encoders.setdefault(name, {})[size] = counting.frozen(card, bands, side)
            yield Counts(_sorted(encoders), _sorted(decoders))
    for key, decoding in wanted.decoders.items():
        if key not in decoders:
            with contextlib.suppress(UserError):  # nothing to fuse there
                decoders[key] = counting.trained(decoding)
                yield Counts(_sorted(encoders), _sorted(decoders))
    yield Counts(_sorted(encoders), _sorted(decoders))


def _sorted(found: dict[str, T]) -> dict[str, T]:
    return {name: found[name] for name in sorted(found)}


def write(anew: bool) -> None:
    """Write the file after each line that is counted."""
    from encoders import satdifuser

    known = Counts({}, {}) if anew else table.written()
    # Its variants have one network, which takes long to build.
    with mock.patch.object(satdifuser, "draw", cache(satdifuser.draw)):
        for number, counts in enumerate(count(all_cells(of_all_experiments()), known)):
            write_atomically(table.FILE, table.page(counts).encode())
            print(f"{number} counted", file=sys.stderr, flush=True)


if __name__ == "__main__":
    write("--anew" in sys.argv[1:])
