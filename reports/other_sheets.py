"""What stands beside a leaderboard and is never ranked, as sheets: published numbers, costs, label fractions, bands."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from reports import paper
from reports.beside import Beside, Line
from reports.derived import Curve, Difference, Point
from reports.efficiency import measured_on
from reports.literature import Published
from reports.sheet import Ink, Sheet, count, grid, number, ours
from reports.table import NOT_RANKED, Efficiency, Row, Table, kind, letter

PUBLISHED = (
    "Percent. Ours: the headline metric and its interval, from the table of the same name. Every other column is "
    "another protocol's (see its note): it doesn't compare with ours nor with its neighbours, and is never ranked"
)


def of_published(found: Sequence[Beside]) -> list[Sheet]:
    """Published numbers: a sheet a table, a section a dataset, a column a protocol."""
    return [_of_published(one, number) for number, one in enumerate(found, start=1)]


def _of_published(one: Beside, number: int) -> Sheet:
    table, notes = one.table, one.notes
    heads = [Ink(protocol.name, notes=mark) for protocol, mark in zip(one.protocols, notes, strict=False)]
    fused = any(line.row and line.row.fusion != "none" for lines in one.lines.values() for line in lines)
    body = [
        (f"{column}, {paper.metric(table.metrics[column])}",
         tuple(_published_line(line, column, fused, one) for line in lines))
        for column, lines in one.lines.items()
    ]  # fmt: skip
    return Sheet(
        name=f"published-{number}",
        title=f"{kind(table)} beside published numbers: {table.title}",
        head=(Ink("Encoder"), *([Ink("Fuser")] if fused else []), Ink("Ours"), *heads),
        labels=1 + fused,
        body=tuple(body),
        lines=(f"{PUBLISHED}.", *_signs(one)),
        notes=(*_dagger(one), *((mark, note.rstrip(".")) for mark, note in notes.items())),
    )


def _signs(one: Beside) -> list[str]:
    every = [number for lines in one.lines.values() for line in lines for number in line.published]
    deviates = any(number and number.std is not None for number in every)
    return [
        "--: no row of ours, or not published.",
        *(["± of a published number: deviation over its seeds."] if deviates else []),
    ]


def _dagger(one: Beside) -> list[tuple[str, str]]:
    cells = [line.cell(column) for column, lines in one.lines.items() for line in lines]
    return [("†", NOT_RANKED)] if any(cell and not cell.ranked for cell in cells) else []


def _published_line(line: Line, column: str, fused: bool, one: Beside) -> tuple[Ink, ...]:
    cell = line.cell(column)
    fuser = [Ink(paper.FUSERS.get(line.row.fusion, line.row.fusion) if line.row else "")] if fused else []
    numbers = [Ink("--") if number is None else _published(number, one) for number in line.published]
    return (Ink(line.title), *fuser, Ink("--") if cell is None else ours(cell), *numbers)


def _published(number: Published, one: Beside) -> Ink:
    std = "" if number.std is None else f" ± {100 * number.std_fraction:.1f}"
    return Ink(f"{100 * number.fraction:.1f}{std}", notes=one.marks(number))


def of_costs(tables: Sequence[Table]) -> list[Sheet]:
    """What rows cost: a sheet a table, device and datasets measured on it, for seconds of others don't compare."""
    sheets: list[Sheet] = []
    for table in tables:
        if table.settings["band_names"] == "stored":  # the same models, fed the same number of bands
            continue
        costed = [(row, row.efficiency) for row in table.rows if row.efficiency]
        kinds = {(cost.device, cost.timed) for _, cost in costed}
        for device, timed in sorted(kinds, key=lambda one: (one[0], -len(one[1]), one[1])):
            alike = [(row, cost) for row, cost in costed if (cost.device, cost.timed) == (device, timed)]
            lines = tuple(_cost_line(row, cost, table) for row, cost in alike)
            place = measured_on(device, timed, table.columns)
            names = ["Frozen", "Trained", "GFLOPs", "Images/s", "Memory", "Features", "Grid", "Seconds"]
            labels = ["Encoder", *(["Fuser"] if table.has_fusion else [])]
            sheets.append(
                Sheet(
                    name=f"costs-{len(sheets) + 1}",
                    title=f"{kind(table)}, what it costs on {place}: {table.title}",
                    head=tuple(Ink(name) for name in [*labels, *names, "Licence", "Overlap"]),
                    labels=len(labels),
                    body=(("", lines),),
                    lines=(COSTS,),
                )
            )
    return sheets


COSTS = (
    "Frozen, Trained: parameters; GFLOPs and Images/s: of the frozen part, a multiplication and an addition counted as "
    "two operations; Memory: the highest of a cell; Features: bytes an image of what is trained on; Grid: side of the "
    "finest feature map, in cells; Seconds: a cell, extraction and training. Means over a row's datasets, but of "
    "Images/s, Memory and Seconds over those alone that were measured on the title's device, of Images/s where "
    "something had to be encoded. Overlap: datasets whose imagery the pre-training data may hold."
)


def _cost_line(row: Row, cost: Efficiency, table: Table) -> tuple[Ink, ...]:
    speed = "--" if cost.images_per_second is None else number(cost.images_per_second)
    texts = [
        row.title + (" (random weights)" if row.random else ""),
        *([paper.FUSERS.get(row.fusion, row.fusion)] if table.has_fusion else []),
        count(cost.frozen_parameters),
        count(cost.trained_parameters),
        number(cost.gflops),
        speed,
        f"{count(cost.peak_memory_bytes)}B",
        f"{count(cost.feature_bytes_per_image)}B",
        grid(cost),
        number(cost.seconds),
        row.licence,
        ", ".join(row.overlap) or "none known",
    ]
    return tuple(Ink(text) for text in texts)


def of_curves(curves: Sequence[Curve]) -> list[Sheet]:
    """Label fractions: a sheet a set of comparable curves, a section a dataset."""
    sheets: list[Sheet] = []
    for (settings, origin), found in groupby(
        sorted(curves, key=lambda curve: (curve.settings, curve.origin)), lambda curve: (curve.settings, curve.origin)
    ):
        own = list(found)
        fractions = sorted({point.fraction for curve in own for point in curve.points})
        fused = any(curve.fusion != "none" for curve in own)
        throughout = set.intersection(*(set(curve.notes) for curve in own))
        notes = dict.fromkeys(note for curve in own for note in curve.notes if note not in throughout)
        letters = {note: letter(number) for number, note in enumerate(notes)}
        body = [
            (f"{dataset}, {paper.metric(metric)}",
             tuple(_curve_line(curve, fractions, fused, letters) for curve in of_dataset))
            for (dataset, metric), of_dataset in groupby(own, lambda curve: (curve.dataset, curve.metric))
        ]  # fmt: skip
        s = dict(settings)
        drawn = "stratified draws of our own" if origin == "ours" else "GEO-Bench's one draw"
        sheets.append(
            Sheet(
                name=f"fractions-{len(sheets) + 1}",
                title=f"Label fractions, {drawn}: {s['probe']} probe, protocol {s['protocol']} "
                f"({s['protocol_hash']}), {s['bands']} bands, {s['band_names']} band names",
                head=(Ink("Encoder"), *([Ink("Fuser")] if fused else []), *(Ink(f"{100 * f:g}%") for f in fractions)),
                labels=1 + fused,
                body=tuple(body),
                lines=(
                    *(f"Throughout: {note.rstrip('.')}." for note in sorted(throughout)),
                    "Percent: mean ± deviation over draws and seeds. Never ranked.",
                ),
                notes=tuple((mark, note.rstrip(".")) for note, mark in letters.items()),
            )
        )
    return sheets


def _curve_line(curve: Curve, fractions: list[float], fused: bool, letters: Mapping[str, str]) -> tuple[Ink, ...]:
    points = {point.fraction: point for point in curve.points}
    title = curve.title + (" (random weights)" if curve.random else "")
    marks = ",".join(mark for note, mark in letters.items() if note in curve.notes)
    labels = [Ink(title, notes=marks), *([Ink(paper.FUSERS.get(curve.fusion, curve.fusion))] if fused else [])]
    return (*labels, *(_point(points[one]) if one in points else Ink("--") for one in fractions))


def _point(point: Point) -> Ink:
    mean, std, draws = 100 * point.mean, 100 * point.std, point.draws
    return Ink(f"{mean:.1f} ± {std:.1f}" if draws > 1 else f"{mean:.1f}")


def of_differences(differences: Sequence[Difference]) -> list[Sheet]:
    """Corrected minus stored band names: a sheet a set of comparable records."""
    sheets: list[Sheet] = []
    for settings, found in groupby(sorted(differences, key=lambda one: one.settings), lambda one: one.settings):
        own = list(found)
        datasets = paper.in_order({one.dataset for one in own})
        s = dict(settings)
        lines = []
        for title, fusion in dict.fromkeys((one.title, one.fusion) for one in own):
            here = {one.dataset: one for one in own if (one.title, one.fusion) == (title, fusion)}
            cells = [_difference(here[name]) if name in here else Ink("--") for name in datasets]
            lines.append((Ink(title), Ink(paper.FUSERS.get(fusion, fusion)), *cells))
        sheets.append(
            Sheet(
                name=f"bands-{len(sheets) + 1}",
                title=f"Corrected minus stored band names, in points: {s['task']}, {s['probe']} probe, protocol "
                f"{s['protocol']} ({s['protocol_hash']}), {s['bands']} bands, {s['partition']} partition",
                head=tuple(Ink(name) for name in ["Encoder", "Fuser", *datasets]),
                labels=2,
                body=(("", tuple(lines)),),
                lines=("Interval: 95% paired bootstrap over test groups.",),
            )
        )
    return sheets


def _difference(one: Difference) -> Ink:
    interval = (100 * one.low, 100 * one.high) if one.low < one.high else None
    return Ink(f"{100 * one.value:+.1f}", interval=interval)
