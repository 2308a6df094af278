"""`evaluate.py preview`: the input card as a table, and the picture the model sees as a file."""

import io
from dataclasses import dataclass

from benchmark.atomic import write_atomically
from benchmark.data import ingest
from benchmark.data.input_card import input_card, picture
from benchmark.data.input_transform import InputTransform
from benchmark.grid.cells import Cell, plan_inputs
from benchmark.places import Places


@dataclass(frozen=True)
class Preview:
    """A table, and the lines below it."""

    header: list[str]
    rows: list[list[str]]
    lines: list[str]


def preview(cell: Cell, places: Places) -> Preview:
    """Make a cell's input card and write its picture to `<output>/preview/`.

    Raises:
        UserError: the data are missing or damaged, or the encoder can't be fed.
    """
    plan = plan_inputs(cell)
    data = ingest.open_dataset(cell.dataset, places.data_root, places.ingest_dir, cell.settings.partition)
    transform = InputTransform(plan, data.statistics)
    train = data.splits["train"]
    card = input_card(plan, transform, train)

    buffer = io.BytesIO()
    picture(plan, transform, train).save(buffer, format="PNG")
    settings = cell.settings
    inputs = cell.card.inputs if isinstance(cell.card.inputs, str) else "own"
    name = f"{cell.card.name}-{inputs}-{cell.dataset.name}-{settings.bands}-{settings.band_names}.png"
    path = write_atomically(places.output / "preview" / name, buffer.getvalue())

    channels: list[dict[str, object]] = card["channels"]  # type: ignore[assignment]
    header = ["wanted", "source", "unit", "filled", "rule", "before", "after", "clipped"]
    rows = [
        [
            str(one["wanted"]),
            "-" if one["source"] is None else f"{one['source']} [{one['stored_name']}]",
            str(one["unit"]),
            str(one["filled"] or ""),
            str(one["rule"]),
            "-" if one["mean_before"] is None else f"{one['mean_before']:.4g} ± {one['std_before']:.4g}",
            f"{one['mean_after']:.3f} ± {one['std_after']:.3f}",
            f"{100 * float(str(one['share_clipped'])):.1f} %",
        ]
        for one in channels
    ]
    lines = [
        f"{plan.title} on {cell.dataset.name}: {plan.side} px from {'x'.join(map(str, cell.dataset.image_size))}, "
        f"value rule: {plan.authority}",
        *(f"note: {note}" for note in plan.notes),
        *(f"flag: {flag}" for flag in (*card["flags"], *data.warnings)),  # type: ignore[misc]
        f"The picture the model sees: {path}",
    ]
    return Preview(header, rows, lines)
