"""The matrix of datasets and encoders: what each is fed, which bands are filled, and why a cell is impossible.

Encoders that are fed alike share a line. `python -m benchmark.data.matrix > docs/matrix.md` writes the page; the
table is what a run does, for both read `benchmark.data.inputs.plan`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import encoders
from benchmark.data import datasets, families, inputs
from benchmark.data.dataset import Dataset
from benchmark.data.inputs import InputPlan, Track
from encoders.errors import UserError
from encoders.spec import InputSpec

TRACKS: tuple[Track, ...] = get_args(Track)


@dataclass(frozen=True)
class Profile:
    """Encoders that are fed alike: the file in `configs/inputs/` that says how, what it says, and their names."""

    name: str
    spec: InputSpec
    encoders: tuple[str, ...]

    def fed(self, dataset: Dataset, track: Track) -> InputPlan | str:
        """What they are fed on a dataset, or the reason why nothing can be."""
        try:
            return inputs.plan(dataset, self.spec, track=track)
        except UserError as error:
            sentence, found, reason = str(error).partition(" is impossible: ")
            # A band that is not there and not filled: alike on every dataset of a track.
            return reason if found else sentence.partition(";")[0].replace(dataset.name, "the dataset")


def profiles() -> list[Profile]:
    """Every input profile of `configs/inputs/` that an encoder uses, by name."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in encoders.names():
        given = encoders.card(name).inputs
        if isinstance(given, str):
            alike[given].append(name)
    return [Profile(name, encoders.input_spec(name), tuple(alike[name])) for name in sorted(alike)]


def page() -> str:
    """The whole matrix as Markdown."""
    known, twelve = profiles(), [datasets.dataset(name) for name in datasets.select("all")]
    reasons: list[str] = []
    grids = [f"## Track `{track}`\n\n{_grid(known, twelve, track, reasons)}" for track in TRACKS]
    parts = [
        INTRODUCTION,
        *grids,
        "## Why nothing is fed\n\n" + "\n".join(f"{n}. {reason}" for n, reason in enumerate(reasons, start=1)),
        "## Bands that are filled\n\n" + _filled(known, twelve),
        "## Which encoders are fed how\n\n"
        + _table(["inputs", "what", "encoders"], [[p.name, p.spec.title, _listed(p.encoders)] for p in known]),
        "## Families: the checkpoint of each row, fixed beforehand\n\n" + _families(),
    ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
# What each encoder is fed on each dataset

<!-- Generated: python -m benchmark.data.matrix > docs/matrix.md -->

A number is how many bands the encoder gets from the dataset; `+2` is how many more are filled, by the nearest band or
by the mean. `†`: three or more are filled, so the score is shown and not ranked. `*`: the value rule is ours, because
the authors published none for this dataset. `-` and a number: nothing is fed, for the reason of that number. Track
`rgb` offers the colour bands only, track `authors` all bands the encoder knows.
`uv run evaluate.py preview ENCODER DATASET` shows one cell band by band, with the picture that the model sees."""


def _grid(known: Sequence[Profile], columns: Sequence[Dataset], track: Track, reasons: list[str]) -> str:
    rows = []
    for profile in known:
        row = [profile.name]
        for dataset in columns:
            fed = profile.fed(dataset, track)
            if isinstance(fed, str):
                if fed not in reasons:
                    reasons.append(fed)
                row.append(f"- {reasons.index(fed) + 1}")
            else:
                row.append(count(fed))
        rows.append(row)
    return _table(["inputs", *(dataset.name for dataset in columns)], rows)


def count(plan: InputPlan, *, named: bool = False) -> str:
    """A cell: bands of the dataset, `+` those filled, `†` where unranked for it, `*` where the value rule is ours.

    Args:
        named: whether to say which bands are filled.
    """
    filled = len(plan.filled)
    return (
        ("† " if plan.marked else "")
        + str(len(plan.channels) - filled)
        + (f"+{filled}" if filled else "")
        + ("*" if plan.authority == "ours" else "")
        + (f", {plan.stand_ins()}" if named and filled else "")
    )


def _filled(known: Sequence[Profile], columns: Sequence[Dataset]) -> str:
    """A line for each profile and set of filled bands, with the datasets it is so on."""
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for profile in known:
        for track in TRACKS:
            for dataset in columns:
                fed = profile.fed(dataset, track)
                if not isinstance(fed, str) and fed.filled:
                    bands = ", ".join(f"{channel.wanted.name} ({channel.filled})" for channel in fed.filled)
                    alike[profile.name, track, bands].append(dataset.name)
    return _table(
        ["inputs", "track", "datasets", "filled"],
        [[name, track, ", ".join(fed_so), bands] for (name, track, bands), fed_so in alike.items()],
    )


def _families() -> str:
    rows = [
        [name, ", ".join(choice.where), choice.bands or "both", choice.encoder, choice.reason]
        for name, family in families.full().items()
        for choice in family.choices
    ]
    note = "The first line that names the dataset or its sensor, and the track, is taken.\n\n"
    return note + _table(["family", "on", "track", "encoder", "why"], rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
