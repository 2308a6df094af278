"""Records without a measurement: every field sensible, each one replaceable by keyword."""

import hashlib
from dataclasses import fields, replace
from typing import Any

import numpy as np

from benchmark.records import CALIBRATION_BINS, Cost, Interval, Provenance, Record, Run, Score
from benchmark.scoring import statistics

PREDICTIONS = b"predictions"

RUN = Run(
    encoder="croma",
    adapter="croma",
    encoder_version=1,
    encoder_options={},
    weights={"croma.safetensors": "ab" * 32},
    inputs=("red 04 /10000",),
    image_size=120,
    precision="float32",
    dataset="m-eurosat",
    data={"train": "1111", "valid": "2222", "test": "3333"},
    dataset_facts={"metric": "accuracy", "num_classes": 2},
    partition="default",
    bands="rgb",
    band_names="corrected",
    missing_bands=("nearest", "mean"),
    fusion="none",
    fuser={"kind": "none"},
    probe="linear",
    probe_version=1,
    protocol="frozen",
    protocol_hash="0123456789ab",
    seed=0,
)

COST = Cost(
    encode_seconds=2.0,
    train_seconds=1.0,
    images=100,
    peak_memory_bytes=1 << 20,
    frozen_parameters=1000,
    trained_parameters=7690,
    flops_per_image=2_000_000_000,
    feature_bytes_per_image=1536,
    finest_grid=15,
)

PROVENANCE = Provenance(
    created="2026-01-01T00:00:00+00:00",
    git_commit="0" * 40,
    git_dirty=False,
    packages={"torch": "2.9.0"},
    python="3.12.0",
    device="cpu",
    threads=1,
    config={},
)

_RUN_FIELDS = {field.name for field in fields(Run)}


def make_record(value: float = 0.9, *, half_width: float = 0.02, metric: str = "accuracy", **changes: Any) -> Record:
    """A valid record scoring `value`; `changes` are fields of Run or of Record."""
    run = replace(RUN, **{name: changes.pop(name) for name in list(changes) if name in _RUN_FIELDS})
    score = Score(
        headline=metric,
        metrics={metric: value, "f1_macro": value / 2},
        validation=value,
        chosen={"C": 0.1},
        interval=Interval(max(value - half_width, 0.0), min(value + half_width, 1.0), "95% percentile bootstrap"),
        resamples="",
        group_counts=[[[value * 100, 100.0], [value * 100, 100.0]]],
        confusion=[[100, 0], [0, 100]],
        calibration=[[0.0, 0.0, 0.0]] * (CALIBRATION_BINS - 1) + [[200.0, 180.0, 200.0 * value]],
        n_groups=2,
        n_train=100,
        n_test=200,
    )
    title = changes.pop("title", run.encoder.upper())
    record = Record(
        key=run.key,
        run=run,
        title=title,
        rows={run.encoder: title},
        role="model",
        licence="MIT",
        pretraining_overlap=(),
        task="classification",
        ranked=True,
        flags=(),
        score=score,
        input_card={},
        predictions_sha256=hashlib.sha256(PREDICTIONS).hexdigest(),
        cost=COST,
        provenance=PROVENANCE,
    )
    return replace(record, **changes)


def measured(correct: np.ndarray, **changes: Any) -> Record:
    """A record of one classifier on test groups of ten images each, with its bootstrap samples.

    Args:
        correct: (G,) how many of each group's images it got right.
    """
    counts = np.stack([correct, np.full(len(correct), 10)], axis=1)[None].astype(float)
    drawn = statistics.draw(1, len(correct), 1000, np.random.default_rng(0))
    samples = statistics.resample(counts, "accuracy", drawn)
    record = make_record(float(correct.mean() / 10), **changes)
    score = replace(
        record.score,
        interval=statistics.interval_of(counts, "accuracy", samples, 0.95),
        resamples=statistics.pack(samples),
        group_counts=counts.tolist(),
        n_groups=len(correct),
    )
    return replace(record, score=score)
