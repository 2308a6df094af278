"""What was measured, as tables of words and numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch

from benchmark.profiling import official
from benchmark.profiling.costs import Costs
from benchmark.profiling.measurement import MATRIX, Measurement
from benchmark.profiling.parts import OFFICIAL_TRAINING, SINGLES, VAE
from benchmark.provenance import cpu_name

LEAST_CPU_SECONDS = 0.05
"""Some systems count CPU time in hundredths of a second: a ratio of less says nothing."""


@dataclass(frozen=True)
class Table:
    """A table with a title above it, or text that is one already."""

    title: str
    header: list[str]
    rows: list[list[str]]
    text: str = ""


def tables(found: Measurement) -> Iterator[Table]:
    """All tables of a measurement."""
    yield _rates(found)
    yield _device(found)
    yield _run(found)
    if any(part.startswith(OFFICIAL_TRAINING) for part in found.times.rounds):
        yield _against(found)
    if found.operations:
        yield Table("", [], [], found.operations)


def _rates(found: Measurement) -> Table:
    subject, counts = found.subject, found.counts
    stored = subject.shapes.row_bytes(subject.tier, subject.protocol.feature_dtype)
    native = subject.images.images[:1].nbytes
    bank = subject.bank
    training = counts.reading(subject) + sum(counts.train[member.name] for member in bank)
    validation = counts.reading(subject) + sum(counts.predict[member.name] for member in bank)
    kinds = subject.kinds
    one_of_each = counts.reading(subject) + sum(counts.train[member.name] for member in kinds)
    decoders = _decoders(len(bank))
    about: dict[str, tuple[str, float, int]] = {
        "reading": ("reading", 0, native),
        "scaling": ("scaling, resizing", 0, subject.shapes.image_bytes()),
        "encoding": ("encoding, nothing else", _encoding(found), 0),
        "storing": (f"storing, tier {subject.tier}", 0, stored),
        "extraction": ("extraction: all of that", _encoding(found), stored),
        "loading": ("loading features", counts.reading(subject), stored),
        "training": (f"training {decoders}", training, 0),
        SINGLES: (f"training {_decoders(len(kinds))}, one of each kind", one_of_each, 0),
        "validation": (f"validating {decoders}", validation, 0),
    }
    matrix = found.matrix / found.times.best(MATRIX)
    rows = []
    for part, (words, operations, size) in about.items():
        if part not in found.times.rounds:
            continue
        best, middle = (found.images / seconds for seconds in (found.times.best(part), found.times.median(part)))
        rate = operations * best
        rows.append(
            [
                words,
                f"{best:,.2f}",
                f"{middle:,.2f}",
                f"{operations / 1e9:,.2f}" if operations else "-",
                f"{rate / 1e9:,.1f}" if operations else "-",
                f"{100 * rate / matrix:.0f} %" if operations else "-",
                f"{size:,}" if size else "-",
                _beside(found, part),
            ]
        )
    card = subject.resolved.cell.card
    title = (
        f"{card.name} on {subject.resolved.cell.dataset.name}: {found.images} images of "
        f"{'x'.join(map(str, subject.shapes.image))}, best and middle of {found.rounds} rounds"
    )
    header = ["part", "images/s", "middle", "GFLOP/image", "GFLOP/s", "of matrix rate", "bytes/image", ""]
    return Table(title, header, rows)


def _encoding(found: Measurement) -> float:
    """Operations of the part `encoding`; where nothing is stored it is timed as training does it."""
    counts = found.counts
    return counts.stem if found.subject.tier == "stem" else counts.stem + counts.body


def _slower(found: Measurement) -> str:
    """Extraction beside the slower of encoder and writer, in the best rounds and the middle one."""
    times = found.times
    slower = "encoding" if times.best("encoding") > times.best("storing") else "storing"
    best = times.best(slower) / times.best("extraction")
    rounds = zip(times.series(slower), times.series("extraction"), strict=True)
    middle = median(alone / together for alone, together in rounds)
    return f"{100 * best:.0f} % of {slower} alone (middle {100 * middle:.0f} %)"


def _decoders(number: int) -> str:
    return f"{number} decoder" + "s" * (number != 1)


def _beside(found: Measurement, part: str) -> str:
    """What a part's rate is to be compared with, in words."""
    if part == "extraction":
        return _slower(found)
    if part != "training" or len(found.subject.bank) == len(found.subject.kinds):
        return ""
    rounds = zip(found.times.series(part), found.times.series(SINGLES), strict=True)
    middle = median(bank / singles for bank, singles in rounds)
    best = found.times.best(part) / found.times.best(SINGLES)
    words = f"{best:.1f} times as long as one of each kind (middle {middle:.1f})"
    computing = found.times.cpu_seconds(SINGLES)
    if found.subject.device != "cpu" or computing < LEAST_CPU_SECONDS:
        return words
    return f"{words}, {found.times.cpu_seconds(part) / computing:.1f} times the CPU time"


def _device(found: Measurement) -> Table:
    subject = found.subject
    on_gpu = subject.device == "cuda"
    name = torch.cuda.get_device_name() if on_gpu else f"{cpu_name()}, {torch.get_num_threads()} threads"
    rows = [
        ["device", name],
        ["precision", subject.resolved.cell.settings.arithmetic],
        ["matrix rate, GFLOP/s", f"{found.matrix / found.times.best(MATRIX) / 1e9:,.0f}"],
        *([f"busy in {part}", f"{100 * share:.0f} %"] for part, share in found.busy.items()),
        ["peak memory, GB", f"{found.peak / 1e9:.2f}" + (" on the device" if on_gpu else " resident")],
        ["private memory (RssAnon), GB", f"{found.private / 1e9:.2f}"],
    ]
    return Table("The device", ["what", "measured"], rows)


def _run(found: Measurement) -> Table:
    subject = found.subject
    work, images = subject.work, subject.work.train + subject.work.valid + subject.work.test
    size = images * subject.shapes.row_bytes(subject.tier, subject.protocol.feature_dtype)
    extract = found.times.best("extraction") / found.images if "extraction" in found.times.rounds else 0.0
    rows = [
        ["images: train, valid, test", f"{work.train:,}, {work.valid:,}, {work.test:,}"],
        ["features stored", f"{size / 1e9:,.2f} GB, tier {subject.tier}"],
        ["extraction", _time(images * extract)],
    ]
    if subject.bank:
        costs = found.costs()
        training = work.ours(costs) - images * extract
        rows += [
            ["decoders", f"{work.decoders}, {work.epochs} epochs each"],
            ["training, validation, test", _time(training)],
            ["together", _time(work.ours(costs))],
        ]
    else:
        rows.append(["fitting a probe", "not predicted: see a record's cost"])
    return Table(f"A run under protocol {subject.protocol.name} would take", ["what", "predicted"], rows)


def _against(found: Measurement) -> Table:
    subject, work = found.subject, found.subject.work
    names = " and ".join(sorted(found.counts.train))
    ways = {True: "with the VAE", False: "without the VAE"} if VAE in found.times.rounds else {True: ""}
    alone = "a run of its own" if work.decoders == 1 else f"{work.decoders} runs of their own"
    ratios: dict[str, Callable[[Costs], float]] = {"epoch of training": work.epoch_ratio, "whole run": work.run_ratio}
    rows = []
    for with_vae, words in ways.items():
        limits = found.counts.costs(subject, with_vae)
        for what, ratio in ratios.items():
            best, limit = ratio(found.costs(with_vae=with_vae)), ratio(limits)
            middle = median(ratio(found.costs(number, with_vae)) for number in range(found.rounds))
            rows.append(
                [
                    ", ".join(filter(None, (what, words))),
                    f"{best:.2f}",
                    f"{middle:.2f}",
                    f"{limit:.2f}",
                    f"{100 * best / limit:.0f} % (middle {100 * middle / limit:.0f} %)",
                ]
            )
    title = (
        f"Decoder {names} from tier {subject.tier}, {work.decoders} together, against "
        f"{official.said(subject.encoder)}, in {alone}"
    )
    return Table(title, ["what", "times faster", "middle", "limit by FLOPs", "of the limit"], rows)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
