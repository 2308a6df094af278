"""Made-up records, to see reports with: five encoders x twelve datasets x five seeds, drawn, never measured.

`python -m tests.made_up DIR` writes them; with a number behind it, that many times under other encoders' names. Runs, inputs and what is impossible are the real ones; scores, costs and
samples are drawn so that encoders differ, images are hard for all alike, and seeds scatter. Every title and a flag say so.
"""

import functools
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmark.evaluation import _is_ranked
from benchmark.grid import failures
from benchmark.grid.cells import Cell, cells, plan_inputs
from benchmark.grid.identity import identify
from benchmark.record_store import RecordStore
from benchmark.records import CALIBRATION_BINS, Cost, Record, Run, Score
from benchmark.request import configuration
from benchmark.scoring import statistics
from benchmark.scoring.counts import class_counts, from_counts
from encoders.errors import UserError, to_json
from tests.record_factory import PREDICTIONS, PROVENANCE

FLAG = "made up: drawn by a script to try reports with, nothing was measured"
SKILL = {"satlas_s2_swinb_si_ms": 0.4, "satdifuser": 1.0, "dofa": 0.8, "croma": 0.75, "satlas": 0.4, "satmae": 0.1, "dinov2_vitb14": 0.3,
         "imagestats": -1.5, "rcf": -1.2, "unet_random": -0.9}  # fmt: skip
FUSER = {"none": 0.0, "mean": 0.05, "concat": 0.15, "lw": 0.25, "gw": 0.35, "moe": 0.4}
MILLIONS = {"satlas_s2_swinb_si_ms": (88, 31), "satdifuser": (866, 740), "dofa": (337, 120), "croma": (303, 70), "satlas": (88, 31), "satmae": (303, 80),
            "dinov2_vitb14": (86, 22), "imagestats": (0, 0), "rcf": (0, 1), "unet_random": (866, 740)}  # fmt: skip
"""Frozen parameters, and 10^9 operations an image."""
GROUPS = {"m-cashew-plant": 2, "m-NeonTree": 93, "m-nz-cattle": 65}
GROUPS_ELSEWHERE = 200
MAIN, FLOORS = ("satdifuser", "croma", "dofa", "satmae", "satlas"), ("imagestats", "rcf")
MEAN_IOUS = ("miou_truth", "miou_absent_zero", "miou_absent_excluded")
FRACTIONS = ("0.01", "0.10", "0.50")


def write(folder: Path, encoders: Sequence[str] = MAIN, extras: bool = True, copies: int = 1) -> int:
    """Write records, and error records of what is impossible.

    Args:
        extras: also floors, controls, other fusers, label fractions and stored band names.
        copies: of each record, all but the first of encoders called otherwise.

    Returns:
        How many records.
    """
    (folder / "records").mkdir(parents=True, exist_ok=True)
    (folder / "predictions").mkdir(exist_ok=True)
    written = 0
    for cell in _cells(encoders, extras):
        try:
            plan = plan_inputs(cell)
        except UserError as error:
            failures.keep(cell, error, folder)
            continue
        data = {name: _digits(cell.dataset.name, name, cell.settings.partition) for name in ("train", "valid")}
        weights = {"random": "0"} if cell.card.weights.random else {f"{cell.card.name}.pt": _digits(cell.card.name) * 4}
        runs = identify(cell, plan, weights, data | {"test": _digits(cell.dataset.name)})
        for run in runs:
            record = _record(cell, run, [channel.wanted.name for channel in plan.filled], _is_ranked(cell, plan))
            store = RecordStore(folder)
            for one in (record, *(_called_otherwise(record, number) for number in range(2, copies + 1))):
                store.path(one.key).write_bytes(to_json(one))
                store.predictions_path(one.key).write_bytes(PREDICTIONS)
                written += 1
    return written


def _cells(encoders: Sequence[str], extras: bool) -> Iterator[Cell]:
    others = [*FLOORS, "dinov2_vitb14", "unet_random"] if extras else []
    fused = [f"{name}-gw" for name in [*encoders, *others[2:]]]
    fusers = [f"{encoders[0]}-{fusion}" for fusion in ("mean", "concat", "lw", "moe")] if extras else []
    request = configuration.compose(
        rows=[*encoders, *others, *fused, *fusers],
        dataset_choice="all",
        probe=None,
        protocol="frozen",
        settings={"bands": "authors"},
        overrides=[],
    )
    for cell in cells(request):
        yield cell
        settings = cell.settings
        if extras and cell.fusion.name == "none" and cell.dataset.name in ("m-eurosat", "m-brick-kiln"):
            if len(plan_bands(cell)) > 3:
                yield replace(cell, settings=replace(settings, band_names="stored"))
            for fraction in FRACTIONS:
                for drawn in range(5):
                    yield replace(cell, settings=replace(settings, partition=f"stratified_{fraction}_draw{drawn}"))


def _called_otherwise(record: Record, number: int) -> Record:
    run = replace(record.run, encoder=f"{record.run.encoder}_{number}")
    rows = {f"{row}_{number}": f"{title} {number}" for row, title in record.rows.items()}
    return replace(record, run=run, key=run.key, rows=rows, title=f"{record.title} {number}")


def plan_bands(cell: Cell) -> tuple[object, ...]:
    """What the cell's encoder is fed; nothing where that is impossible."""
    try:
        return plan_inputs(cell).channels
    except UserError:
        return ()


def _record(cell: Cell, run: Run, filled: list[str], ranked: bool) -> Record:
    rng = np.random.default_rng([int(run.key, 16)])
    fits, confusion = _counts(cell, run, rng)
    whole = fits.sum(axis=1)
    headline = cell.dataset.metric
    drawn = statistics.resample(fits, headline, _draws(len(fits), fits.shape[1], cell.protocol.bootstrap_seed))
    value = float(from_counts(headline, whole[0]))
    flags = [FLAG]
    flags += [f"filled bands: {', '.join(f'{name} (mean)' for name in filled)}"] if filled else []
    if cell.dataset.name in cell.card.pretraining_overlap:
        flags.append("the encoder's pre-training data overlap with this dataset")
    flags += [cell.dataset.leak] if cell.dataset.leak else []
    flags += (
        ["the chosen learning rate lies at the edge of the grid"] if rng.random() < 0.05 and cell.is_trained else []
    )
    also = MEAN_IOUS if cell.dataset.task == "segmentation" else (headline,)
    score = Score(
        headline=headline,
        metrics={name: float(from_counts(name, whole[0])) for name in also} | {"made_up": value},
        validation=min(1.0, value + 0.01),
        chosen={"learning_rate": 1e-3} if cell.is_trained else {"C": 0.1},
        interval=statistics.interval_of(fits, headline, drawn, 0.95),
        resamples=statistics.pack(drawn),
        group_counts=fits.tolist(),
        confusion=confusion.astype(int).tolist(),
        calibration=_calibration(value),
        n_groups=fits.shape[1],
        n_train=1000,
        n_test=5 * fits.shape[1],
    )
    millions, gflops = MILLIONS[cell.row]
    speed = 2000 / (1 + gflops) * rng.uniform(0.9, 1.1)
    return Record(
        key=run.key,
        run=run,
        title=f"{cell.card.title} (made up)",
        rows={cell.row: f"{cell.row_title} (made up)"},
        role=cell.card.role,
        licence=cell.card.licence,
        pretraining_overlap=cell.card.pretraining_overlap,
        task=cell.dataset.task,
        ranked=ranked,
        flags=tuple(flags),
        score=score,
        input_card={"made up": True},
        predictions_sha256=hashlib.sha256(PREDICTIONS).hexdigest(),
        cost=Cost(
            encode_seconds=3000 / speed,
            train_seconds=rng.uniform(200, 900) if cell.is_trained else rng.uniform(5, 30),
            images=3000,
            peak_memory_bytes=int((1 + millions / 200) * 1e9),
            frozen_parameters=millions * 1_000_000,
            trained_parameters={"none": 7690, "moe": 71_500_000}.get(cell.fusion.name, 10_850_000),
            flops_per_image=gflops * 10**9,
            feature_bytes_per_image=21_000_000 if cell.reads == "maps" else 2048,
            finest_grid=run.image_size // 8 if "diffusion" in cell.card.adapter else run.image_size // 14,
        ),
        provenance=replace(PROVENANCE, device="made up", config=asdict(cell)),
    )


def _counts(cell: Cell, run: Run, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Counts (R, G, M) of each fit and test group, and a confusion table that fits them."""
    dataset = cell.dataset
    groups = GROUPS.get(dataset.name, GROUPS_ELSEWHERE)
    images = np.random.default_rng([int(_digits(dataset.name), 16)])  # the same for every row
    hardness, size = images.normal(0, 1, groups), images.integers(1, 9, groups)
    low, high = dataset.normalizer or (0.5, 0.7)
    fraction = -1.5 * (1 - float(run.partition.split("_")[1])) if "_" in run.partition else 0.0
    skill = SKILL[cell.row] + FUSER[cell.fusion.name] + fraction - 0.3 * (run.band_names == "stored")
    fits = 6 if cell.probe.name == "linear" and not cell.is_trained else 1
    own = hardness + rng.normal(0, 0.5, groups)
    rates = np.stack([_rate(low, high, skill + rng.normal(0, 0.12) + own) for _ in range(fits)])
    if dataset.metric == "miou_truth":
        return _pixels(dataset.num_classes, rates, images)
    right = rng.binomial(size, rates).astype(float)
    if dataset.metric == "f1_micro":
        wrong = size - right
        counts = np.stack([right, wrong * 0.6, wrong * 1.1], axis=2).round()
        return counts, np.array([[[5, 1], [1, 5]]] * dataset.num_classes)
    total, share = size.sum(), right[0].sum() / size.sum()
    confusion = np.full((dataset.num_classes,) * 2, total * (1 - share) / dataset.num_classes**2)
    np.fill_diagonal(confusion, total * share / dataset.num_classes)
    return np.stack([right, np.broadcast_to(size, right.shape)], axis=2), confusion


def _pixels(classes: int, rates: np.ndarray, images: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = (images.dirichlet(np.full(classes, 0.2), rates.shape[1]) * 65536).round()
    ratio = rates[0, :, None] * images.uniform(0.85, 1.0, classes)
    wrong = (truth * (1 - ratio) / (1 + ratio)).round()  # the IoU of equal areas is then `ratio`
    # What is missed of a class is taken for the others, by their share.
    shares = np.repeat(truth[:, None], classes, axis=1) * (1 - np.eye(classes))
    confusions = (wrong[..., None] * shares / np.maximum(shares.sum(axis=2, keepdims=True), 1)).round()
    confusions[:, np.arange(classes), np.arange(classes)] = truth - confusions.sum(axis=2)
    return class_counts(confusions, None)[None], confusions.sum(axis=0)


def _rate(low: float, high: float, skill: np.ndarray) -> np.ndarray:
    """A probability: between GEO-Bench's worst and best baseline for a skill around 0."""
    return np.clip(low + (high - low) / (1 + np.exp(-skill)), 0.02, 0.999)


def _calibration(value: float) -> list[list[float]]:
    """Bins of a model that is too sure of itself, the more so the lower its value."""
    sure = [(place + 0.5) / CALIBRATION_BINS for place in range(CALIBRATION_BINS)]
    return [[100.0, 100 * one, 100 * value * one**0.5] for one in sure]


@functools.lru_cache(maxsize=16)
def _draws(fits: int, groups: int, seed: int) -> statistics.Draws:
    return statistics.draw(fits, groups, 2000, np.random.default_rng(seed))


def _digits(*names: str) -> str:
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:16]


if __name__ == "__main__":
    print(f"{write(Path(sys.argv[1]), copies=int((*sys.argv[2:], 1)[0]))} made-up records in {sys.argv[1]}")
