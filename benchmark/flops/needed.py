"""What the experiments need counted: `python -m benchmark.flops.needed > configs/flops.yaml` writes the file.

That takes about ten minutes. After a change to the shapes of features, write `configs/features.yaml` first.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark import progress
from benchmark.features import shapes
from benchmark.flops import devices, table
from benchmark.flops.operations import Operations
from benchmark.flops.table import Decoding, Frozen, Trained
from benchmark.grid.cells import Cell, all_cells
from benchmark.grid.counted import Counting
from benchmark.grid.planning import Planner
from benchmark.places import Places
from encoders.bands import Band
from encoders.errors import UserError
from encoders.spec import EncoderCard


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
        self.encoders[shapes.named(card), table.at(side, bands)] = (card, bands, side)
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


def page(cells: Iterable[Cell]) -> str:
    """`configs/flops.yaml` for cells, counted anew."""
    from benchmark.flops import counting

    wanted = asked(cells)
    encoders: dict[str, dict[str, Frozen]] = {}
    models = sorted(wanted.encoders.items())
    for (name, size), (card, bands, side) in progress.track(models, "encoders", len(models)):
        encoders.setdefault(name, {})[size] = counting.frozen(card, bands, side)
    decoders = {}
    for key, decoding in progress.track(sorted(wanted.decoders.items()), "decoders", len(wanted.decoders)):
        try:
            decoders[key] = counting.trained(decoding)
        except UserError:
            continue  # nothing to fuse there
    return table.page(encoders, decoders)


if __name__ == "__main__":
    from benchmark.request.asked import of_all_experiments

    print(page(all_cells(of_all_experiments())), end="")
