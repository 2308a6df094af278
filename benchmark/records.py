"""Run and Record: what was asked and what came out.

A run's key hashes everything that can change its number and nothing else. Reports see nothing but records;
`benchmark.record_store` keeps them on disk.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from benchmark.membership import Membership
from benchmark.scoring.packed import Packed
from encoders.errors import strict

SCHEMA = 3
"""Raised when a record's fields change meaning; older records are refused with the command that remakes them."""

CALIBRATION_BINS = 15
"""Of equal width over [0, 1], lower edges included; torchmetrics' default."""
_ROUNDING = 1e-6
"""By which sums in float32 pass 1: an average precision of 1 comes out as 1.0000001."""
_MOST = 2**53
"""Whole numbers up to here are exact as floats too, and hundreds of them add up in 64 bits."""

# Bounds alone, which pydantic checks without a call of Python: a folder may hold 10,000 records.
Fraction = Annotated[float, Field(ge=0, le=1 + _ROUNDING)]
Number = Annotated[int, Field(ge=0, le=_MOST)]
AtLeastOne = Annotated[int, Field(ge=1, le=_MOST)]
Amount = Annotated[float, Field(ge=0)]
Row = Annotated[list[Number], Field(min_length=1)]
Square = Annotated[list[Row], Field(min_length=1)]
Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]
Decisions = Annotated[list[Pair], Field(min_length=2, max_length=2)]
Bin = Annotated[list[Amount], Field(min_length=3, max_length=3)]
Bins = Annotated[list[Bin], Field(min_length=CALIBRATION_BINS, max_length=CALIBRATION_BINS)]

FITTED = ("none", "pca")
"""Kinds of fusers that no gradient trains: what they give, a probe is fitted on."""
BY_GRADIENT = ("pooled", "bn_linear")
"""Probes of classification that are trained by gradient whatever the fuser."""


def trains(task: str, kind: object, probe: str) -> bool:
    """Whether a decoder is trained by gradient, rather than a probe fitted.

    Args:
        kind: of the fuser.
    """
    return task == "segmentation" or kind not in FITTED or probe in BY_GRADIENT


@strict
@dataclass(frozen=True)
class Run:
    """The identity of a measurement: the allow-list of what can change its number.

    Attributes:
        encoder, adapter, encoder_version, encoder_options: card name, class behind it, version and resolved options.
        weights: sha256 by file, `{"random": seed}` where they are drawn, empty where there are none; of an encoder of
            one's own, and of PANGAEA's, the sha256 of its code too.
        inputs, image_size: resolved channels, one text each (source band, unit, value rule); the side fed, in pixels.
        precision: dtype of the frozen part, followed by `compiled` where it was.
        dataset, data: name, and content fingerprint of each split.
        dataset_facts: what of the dataset's description enters a number: metric, whether an image has several labels,
            number of classes, groups (what they go by, and its pattern), no-data value.
        partition: one that the dataset's files list (`default`, GEO-Bench's `0.01x_train`), a draw of ours
            (`stratified_0.01_draw0`) or `spatial` (`benchmark.data.partitions`).
        bands, band_names, missing_bands: track, stored or corrected names, fill rules.
        fusion, fuser: the row's name for its fuser, and what the fuser is: its kind and every option.
        probe, probe_version: what is fitted (`configs/probe/`), and the version raised whenever its numbers move.
        protocol, protocol_hash: name, and hash of all its fields but name and title.
        seed: of a trained decoder, counted from the protocol's `first_seed`; 0 for a fitted probe, which has none.
    """

    encoder: str
    adapter: str
    encoder_version: int
    encoder_options: dict[str, object]
    weights: dict[str, str]
    inputs: tuple[str, ...]
    image_size: int
    precision: str
    dataset: str
    data: dict[str, str]
    dataset_facts: dict[str, object]
    partition: str
    bands: Literal["rgb", "authors"]
    band_names: Literal["corrected", "stored"]
    missing_bands: tuple[str, ...]
    fusion: str
    fuser: dict[str, object]
    probe: str
    probe_version: int
    protocol: str
    protocol_hash: str
    seed: int

    @property
    def key(self) -> str:
        """16 hexadecimal digits of the sha256 over the canonical JSON of all fields."""
        # Its fields are plain data already: `asdict` would copy them, which is most of the time a record takes to read.
        canonical = json.dumps(vars(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@strict
@dataclass(frozen=True)
class Interval:
    """The interval of the headline metric, at the protocol's `interval_level` (0.95 in `frozen`).

    Attributes:
        low, high: fractions in [0, 1]; with one test group the range over the fits, of one fit its score.
        method: how it was made, a clause.
    """

    low: Fraction
    high: Fraction
    method: str


@strict
@dataclass(frozen=True)
class Score:
    """What the test split gave.

    Attributes:
        headline: name of the dataset's headline metric, a key of `metrics`.
        metrics: by named semantics (`benchmark.scoring.metrics`), fractions in [0, 1].
        validation: the headline metric on the validation split, by which the choice was made.
        chosen: what validation chose: `C` of the logistic regression, `k` of kNN, `learning_rate` and `best_epoch`
            (from 0) of a trained decoder.
        interval: of the headline metric.
        group_counts: the additive counts that the headline metric is computed from, [fit, group, count]: the fit that
            is reported, then refits on bootstraps of train (linear probe alone); groups as `numpy.unique` sorts those
            of the predictions; which counts is the metric's (`benchmark.scoring.counts.group_counts`). In the file
            whole numbers stand as `{"shape": [...], "whole": "1 1 0 ..."}` (`benchmark.scoring.packed`).
        confusion: images or pixels by [truth, prediction]; for multi-label a table of 2 x 2 each label.
        resamples: the headline metric in each bootstrap sample of the interval, base64 of little-endian float32
            (`benchmark.scoring.statistics.unpack`). Sample b drew the same groups in every record of one test split,
            probe and protocol. Empty with one group.
        calibration: by bin of confidence, 15 of equal width over [0, 1] from the lowest: how many, the sum of their
            confidences, how many correct. Of the highest score, with several labels of each label's probability.
        n_groups: number of independent test groups.
        n_train, n_test: images of these splits.
    """

    headline: str
    metrics: dict[str, Fraction]
    validation: Fraction
    chosen: dict[str, float]
    interval: Interval
    resamples: str
    group_counts: Packed
    confusion: Square | list[Decisions]
    calibration: Bins
    n_groups: AtLeastOne
    n_train: AtLeastOne
    n_test: AtLeastOne


@strict
@dataclass(frozen=True)
class Cost:
    """Seconds, images, bytes and operations; never part of a record's identity.

    Attributes:
        encode_seconds: of the frozen part, over all splits, whenever that was.
        train_seconds: of the probe; of a bank of decoders, an equal share for each of its rows.
        images: encoded in `encode_seconds`, flipped copies included.
        peak_memory_bytes: most in use since the cell began: what PyTorch held of the GPU, or on a CPU what the whole
            process held in memory.
        frozen_parameters, trained_parameters: of the encoder; of the probe, or of fuser and decoder.
        flops_per_image: of the frozen part on one image: matrix products, convolutions and attention, a
            multiplication and an addition counted as two (`torch.utils.flop_counter`).
        feature_bytes_per_image: of what is trained on (embedding, pooled means or maps) in the protocol's dtype,
            wherever it was kept.
        finest_grid: cells along a side of the encoder's finest feature map.
    """

    encode_seconds: Amount
    train_seconds: Amount
    images: Number
    peak_memory_bytes: Number
    frozen_parameters: Number
    trained_parameters: Number
    flops_per_image: Number
    feature_bytes_per_image: Number
    finest_grid: Number

    @property
    def images_per_second(self) -> float:
        """Of the frozen part; 0 where nothing had to be encoded."""
        return self.images / self.encode_seconds if self.encode_seconds else 0.0


@strict
@dataclass(frozen=True)
class Provenance:
    """Where and with what a record was made; never part of its identity.

    Attributes:
        created: UTC, ISO 8601.
        git_commit, git_dirty: of the checkout the code ran from, and whether it had changes; empty and false elsewhere.
        packages: version by name of those whose arithmetic enters a number (`benchmark.provenance.PACKAGES`).
        python: its version.
        device, threads: name of the GPU or CPU; PyTorch's threads.
        config: the cell as it was composed, most of the file: the plain data of `benchmark.grid.cells.Cell`, with the
            whole card, dataset, probe, fuser, protocol and settings. Reports read titles and class names from it,
            `verify` the protocol, `rerun` all of it. Outside the key, which `run` alone makes.
        host: name of the machine; empty where it isn't known.
    """

    created: str
    git_commit: str
    git_dirty: bool
    packages: dict[str, str]
    python: str
    device: str
    threads: int
    config: dict[str, object]
    host: str = ""


@strict
@dataclass(frozen=True)
class Record:
    """Run + scores + predictions + cost + provenance.

    Attributes:
        key: `run.key`, and the name of the file.
        run: what was measured.
        title, role, licence, pretraining_overlap: of the encoder's card, for the reports.
        rows: title by name of the rows it was asked for: its encoder's own, a family's, or both.
        variant: what an experiment changed about the row, in its words; empty where it was also asked for as it is.
        experiments: the experiments that asked for it.
        task: of the dataset.
        ranked: whether the number may be ranked, if its role is: floors and controls have it too and are ranked with
            nobody. False for drawn weights, more filled bands than the protocol ranks (`missing_bands_ranked`), label
            fractions, inputs fed otherwise than the protocol says, and protocols that are not ranked.
        flags: what a reader of the number must know, a sentence each.
        score: what the test split gave.
        input_card: what went in, band by band: `benchmark.data.input_card.InputCard`.
        predictions_sha256: of `predictions/<key>.npz` beside.
        cost: what it took.
        provenance: where and with what it was made.
        schema: of the file; another one is refused.
    """

    key: str
    run: Run
    title: str
    rows: Annotated[dict[str, str], Field(min_length=1)]
    role: Literal["model", "floor", "control"]
    licence: str
    pretraining_overlap: tuple[str, ...]
    task: Literal["classification", "segmentation"]
    ranked: bool
    flags: tuple[str, ...]
    score: Score
    input_card: dict[str, object]
    predictions_sha256: str
    cost: Cost
    provenance: Provenance
    variant: str = ""
    experiments: tuple[Membership, ...] = ()
    schema: int = field(default=SCHEMA)

    def also(self, rows: Mapping[str, str], variant: str, experiments: Iterable[Membership]) -> "Record":
        """The record, asked for once more: as these rows too, and in these experiments. Its identity stays."""
        return replace(
            self,
            rows=dict(rows) | self.rows,
            variant=self.variant if variant else "",
            experiments=(*self.experiments, *(one for one in experiments if one not in self.experiments)),
        )

    def light(self) -> "Record":
        """The record without what takes most of its memory and no table shows."""
        score = replace(self.score, group_counts=[], calibration=[])
        provenance = replace(self.provenance, config=shown_config(self.provenance.config), packages={})
        return replace(self, score=score, input_card={}, provenance=provenance)

    @property
    def protocol_title(self) -> str:
        """What its protocol calls itself; empty where its configuration doesn't say."""
        title = _protocol(self.provenance.config).get("title")
        return title if isinstance(title, str) else ""

    @property
    def seeds_asked(self) -> int:
        """How many seeds its protocol asks of its run: one where a probe is fitted; 0 where its configuration doesn't
        say."""
        seeds = _protocol(self.provenance.config).get("seeds") if self.is_trained else 1
        return seeds if isinstance(seeds, int) else 0

    @property
    def is_trained(self) -> bool:
        """Whether a decoder was trained by gradient, rather than a probe fitted."""
        return trains(self.task, self.run.fuser.get("kind"), self.run.probe)


def shown_config(config: Mapping[str, object]) -> dict[str, object]:
    """What tables show of a configuration: title and number of seeds of its protocol."""
    shown = {name: value for name, value in _protocol(config).items() if name in ("title", "seeds")}
    return {"protocol": shown} if shown else {}


def _protocol(config: Mapping[str, object]) -> Mapping[str, object]:
    protocol = config.get("protocol")
    return protocol if isinstance(protocol, dict) else {}
