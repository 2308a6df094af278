"""A protocol: everything about training, choosing and scoring that two comparable numbers share.

Fields that name a rule accept only the rules that are built, so that a protocol cannot ask in vain.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache, cached_property
from typing import Literal, get_args

import numpy as np

from benchmark.data.datasets import BandNames
from benchmark.data.value_rules import InputScaling
from benchmark.scoring.counts import THRESHOLD
from encoders.bounds import Count, Few, FewFrom0, Level, NotNegative, Positive, Seed, Share, Whole, Width
from encoders.errors import UserError, strict

MostFilled = Literal[2]
(MOST_FILLED,) = get_args(MostFilled)
"""Bands that may be filled before a row is shown and no longer ranked, in every protocol (decision 6)."""
LABELS = ("name", "title", "budget", "ranked")
"""The fields that change no number, and so stay out of the hash."""


@strict
@dataclass(frozen=True)
class LogGrid:
    """`values` numbers from `low` to `high`, evenly spaced in their logarithm."""

    low: Positive
    high: Positive
    values: Few

    def numbers(self) -> list[float]:
        """The grid, ascending."""
        return [float(number) for number in np.geomspace(self.low, self.high, self.values)]


@strict
@dataclass(frozen=True)
class Protocol:
    """The fields of `configs/protocol/*.yaml`; the reason for each stands there.

    A field with a default came after numbers had been made without it: its default is what was done then, and at its
    default it stays out of the hash.

    Attributes:
        budget: how much training the numbers had; `quick` and `smoke` mark them.
        ranked: False for protocols made for trying things out.
        test_reads, refit_on_validation: what selection may touch.
        feature_dtype: what features are rounded to, once, wherever they are kept.
        augmentation: of training images, as stored copies: their left-right mirror; and top-bottom, and both. A
            decoder sees each image once an epoch, in one of its copies drawn anew; a probe is fitted on all of them.
        classification_size, segmentation_size: side in pixels fed to an encoder: its pre-training size; 256
            where the native side is at most 256, else 512.
        label_size: the grid that masks are scored on.
        missing_bands_ranked: bands that may be filled before a row leaves ranks and aggregates.
        single_label_metric, multi_label_metric, segmentation_metric: headline metrics (`benchmark.scoring.metrics`).
        multi_label_threshold: a label is predicted where its probability is above.
        no_data: whether unlabelled pixels are a class of the loss, or left out of it.
        fraction_draws, fraction_strata, fraction_validation: label fractions, for curves only.
        linear_c: inverse regularisation strengths of the logistic regression.
        knn_k: numbers of neighbours.
        train_bootstraps: refits of the linear probe on bootstraps of train, for its interval.
        test_bootstraps: resamples of test groups, for every interval.
        optimizer, weight_decay, decoder_batch, schedule, warmup_fraction: training of a decoder.
        decoder_dtype: arithmetic of trained decoders.
        learning_rates: ascending; validation chooses one a cell.
        selection: by what, ties to the smaller rate; `checkpoint`: which epoch of a member is kept.
        seeds: decoders trained at every rate, with seeds 0, 1, ...
        epochs, min_steps: at least so many of each; see `total_epochs`.
        patience: epochs without gain after which a decoder stops; None to go through all.
        order, order_seed: data order, the same for all decoders, from this seed.
        fuser_width, fuser_norm_groups: of every learned fuser; upernet_channels, upernet_dropout: of UPerNet.
        input_scaling: whose value rules (`benchmark.data.value_rules`).
        band_names, missing_bands: what stored bands are taken for, and what stands in for those that are missing,
            unless the run's settings say otherwise.
    """

    name: str
    title: str
    version: Count
    budget: Literal["paper", "quick", "smoke"]
    ranked: bool
    test_reads: Literal["once"]
    refit_on_validation: Literal[False]
    feature_dtype: Literal["float16", "float32"]
    augmentation: Literal["none", "horizontal_flip", "flips"]
    classification_size: Literal["pretraining"]
    segmentation_size: Literal["256_or_512"]
    label_size: Literal["native"]
    missing_bands_ranked: MostFilled
    single_label_metric: Literal["accuracy"]
    multi_label_metric: Literal["f1_micro"]
    multi_label_threshold: float
    segmentation_metric: Literal["miou_truth"]
    no_data: Literal["class", "ignored"]
    fraction_draws: Few
    fraction_strata: Literal["label"]
    fraction_validation: Literal["cut_to_train"]
    linear_c: LogGrid
    knn_k: tuple[Count, ...]
    train_bootstraps: FewFrom0
    test_bootstraps: Count
    interval_level: Level
    bootstrap_seed: Seed
    optimizer: Literal["adamw"]
    weight_decay: NotNegative
    decoder_batch: Count
    decoder_dtype: Literal["float32"]
    learning_rates: tuple[Positive, ...]
    schedule: Literal["warmup_cosine"]
    warmup_fraction: Share
    selection: Literal["mean_validation_over_seeds"]
    checkpoint: Literal["best_validation"]
    seeds: Few
    epochs: Count
    min_steps: Whole
    patience: Count | None
    order: Literal["shared"]
    order_seed: Seed
    fuser_width: Width
    fuser_norm_groups: Width
    upernet_channels: Width
    upernet_dropout: Share
    input_scaling: InputScaling = "authors"
    band_names: BandNames = "corrected"
    missing_bands: tuple[str, ...] = ("nearest", "mean")

    def __post_init__(self) -> None:
        where = f"protocol {self.name}"
        if self.linear_c.low > self.linear_c.high:
            raise UserError(f"{where}: linear_c needs low <= high, not {self.linear_c.low} and {self.linear_c.high}")
        if not self.knn_k:
            raise UserError(f"{where}: knn_k is empty; it needs numbers of neighbours from 1 up")
        rates = self.learning_rates
        if not rates or list(rates) != sorted(set(rates)):
            raise UserError(f"{where}: learning_rates is {list(rates)}; name positive rates, each once, ascending")
        if self.fuser_width % (4 * self.fuser_norm_groups):
            raise UserError(
                f"{where}: fuser_width is {self.fuser_width}; choose a multiple of {4 * self.fuser_norm_groups} "
                "(4 x fuser_norm_groups)"
            )
        if self.multi_label_threshold != THRESHOLD:
            raise UserError(
                f"{where}: multi_label_threshold is {self.multi_label_threshold}; {THRESHOLD} is the only one built"
            )

    @property
    def variants(self) -> int:
        """Stored copies of a training image."""
        return {"none": 1, "horizontal_flip": 2, "flips": 4}[self.augmentation]

    def steps_per_epoch(self, images: int) -> int:
        """Batches of an epoch over `images` training images, the last one as small as it comes out."""
        return math.ceil(images / self.decoder_batch)

    def total_epochs(self, images: int) -> int:
        """Epochs over `images` training images: `epochs`, or as many as `min_steps` steps take, if more."""
        return max(self.epochs, math.ceil(self.min_steps / self.steps_per_epoch(images)))

    @cached_property
    def hash(self) -> str:
        """12 hexadecimal digits over every field that changes a number: all but `LABELS`, and defaults."""
        return hash_of(asdict(self))


def hash_of(plain: Mapping[str, object]) -> str:
    """`Protocol.hash` from a protocol's fields, as a record keeps them."""
    defaults = _defaults()
    numbers = {
        name: value
        for name, value in plain.items()
        if name not in LABELS and not (name in defaults and json.dumps(value, sort_keys=True) == defaults[name])
    }
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:12]


@cache
def _defaults() -> dict[str, str]:
    """The defaults of the fields that have one, as JSON: a tuple and the list a record makes of it are one."""
    with_default = [field for field in fields(Protocol) if field.default is not MISSING]
    return {field.name: json.dumps(field.default, sort_keys=True) for field in with_default}
