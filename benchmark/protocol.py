"""A protocol: everything about training, choosing and scoring that two comparable numbers share.

Fields that name a rule accept only the rules that are built, so that a protocol cannot ask in vain.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any, Literal, get_args

from benchmark.data.dataset import BandNames, Dataset
from benchmark.data.value_rules import InputScaling
from benchmark.protocol_checks import check, check_by
from benchmark.protocol_parts import Augment, Chance, LogGrid
from benchmark.scoring.counts import Headline, MultiLabel, SingleLabel
from encoders.bounds import Count, Few, FewFrom0, Free, Level, NotNegative, Pixels, Positive, Seed, Share, Whole, Width
from encoders.errors import strict, validate
from encoders.spec import EncoderCard

__all__ = ["Augment", "LogGrid", "Protocol"]

MostFilled = Literal[2]
(MOST_FILLED,) = get_args(MostFilled)
"""Bands that may be filled before a row is shown and no longer ranked, in every protocol (decision 6)."""
LABELS = ("name", "title", "budget", "ranked")
"""The fields that change no number, and so stay out of the hash."""
USUAL_METRICS = ("accuracy", "f1_micro", "miou_truth")
"""Of one label, several, and masks; a dataset may have reasons for another."""
VARYING = (
    "weight_decay", "decoder_batch", "evaluation_batch", "learning_rates", "epochs", "min_steps", "patience",
    "schedule", "optimizer", "momentum", "checkpoint", "evaluate_every_epochs", "evaluate_every_steps", "drop_last",
    "fresh", "fresh_chance", "encoder_options", "classification_size", "segmentation_size",
)  # fmt: skip
"""What may differ between tasks or datasets (`Protocol.by`)."""


@strict
@dataclass(frozen=True)
class Protocol:
    """The fields of `configs/protocol/*.yaml`; the reason for each stands there.

    A field with a default came after numbers had been made without it: its default is what was done then, and at its
    default it stays out of the hash.

    Attributes:
        budget: how much training the numbers had; `quick` and `smoke` mark them.
        ranked: False for protocols made for trying things out.
        test_reads: what selection may touch; refit_on_validation: the probe on embeddings is fitted once more, on
            train and validation together, with what validation chose.
        feature_dtype: what features are rounded to, once, wherever they are kept.
        augmentation: of training images, as stored copies: their left-right mirror; and top-bottom, and both. A
            decoder sees each image once an epoch, in one of its copies drawn anew; a probe is fitted on all of them.
        classification_size, segmentation_size: side in pixels fed to an encoder: its pre-training size, the image's
            own, a number, or 256 where the native side is at most 256, else 512.
        label_size: the grid of masks in training and scoring: as stored, a number of pixels, or what the encoder is
            fed (nearest pixel).
        missing_bands_ranked: bands that may be filled before a row leaves ranks and aggregates.
        single_label_metric, multi_label_metric, segmentation_metric: headline metrics (`benchmark.scoring.metrics`).
        multi_label_threshold: a label is predicted where its probability is above.
        no_data: whether unlabelled pixels are a class of the loss, or left out of it.
        fraction_draws, fraction_strata, fraction_validation: label fractions, for curves only.
        linear_c: inverse regularisation strengths of the logistic regression.
        knn_k: numbers of neighbours.
        train_bootstraps: refits of the linear probe on bootstraps of train, for its interval.
        test_bootstraps: resamples of test groups, for every interval.
        optimizer, weight_decay, decoder_batch: training of a decoder; `adam` adds the decay to the gradient.
        schedule, warmup_fraction: see `decoders.schedule`.
        decoder_dtype: arithmetic of trained decoders: `bfloat16` is PyTorch's autocast around their forward pass, so
            that weights, optimiser, norms' statistics and losses stay float32.
        learning_rates: ascending; validation chooses one a cell.
        selection: by what, ties to the smaller rate; `checkpoint`: which evaluation of a member is kept.
        seeds: decoders trained at every rate, with seeds first_seed, first_seed + 1, ...
        epochs, min_steps: at least so many of each; see `total_epochs`.
        patience: evaluations without gain after which a decoder stops; None to go through all.
        order, order_seed: data order, the same for all decoders, from this seed.
        fuser_width, fuser_norm_groups: of every learned fuser; upernet_channels, upernet_dropout: of UPerNet.
        input_scaling: whose value rules (`benchmark.data.value_rules`).
        band_names, missing_bands: what stored bands are taken for, and what stands in for those that are missing,
            unless the run's settings say otherwise.
        antialias: whether images are resized with antialiasing.
        segmentation_view: `whole` images are fed; or `windows` at native resolution of the side an encoder is fed,
            where the image is larger: a crop drawn anew each epoch in training, a grid that covers the image in
            evaluation, logits averaged where windows overlap.
        fresh: changes of training images, in order, drawn anew for each image and epoch; the encoder runs on each.
        fresh_chance: share of images that are changed at all.
        encoder_options, encoder_sizes: by adapter, options of encoders and the side they are fed, whatever the task;
            the user's own go before.
        classification_probe, segmentation_probe: what is trained where the user names no probe (`configs/probe/`).
        head_channels: width of the heads `seg_conv`, `seg_fpn` and `seg_dpt`, and of the auxiliary FCN head.
        auxiliary_weight: of that head's loss.
        standardised: whether the logistic regression's features are; knn_distance: what near means.
        momentum: of SGD; rate_scaling: `batch_256` multiplies learning rates by decoder_batch / 256.
        warmup_epochs, initial_rate, final_rate, milestones: of schedules that have them.
        drop_last: whether an epoch's last, smaller batch is left out.
        evaluation_batch: images scored at once, the calls that an official mixture of experts counts; None for
            decoder_batch.
        evaluate_every_epochs, evaluate_every_steps: when validation is read: after so many epochs, and the last; or
            after so many steps, an epoch's at most.
        evaluate_untrained: also before the first epoch.
        calls_before_training: what an official mixture of experts has counted before its first step.
        reported: metrics beside those that every record holds.
        by: values of fields (`VARYING`) by task or dataset; a dataset's go before its task's.
    """

    name: str
    title: str
    version: Count
    budget: Literal["paper", "quick", "smoke"]
    ranked: bool
    test_reads: Literal["once"]
    refit_on_validation: bool
    feature_dtype: Literal["float16", "float32"]
    augmentation: Literal["none", "horizontal_flip", "flips"]
    classification_size: Literal["pretraining", "native", "256_or_512"] | Pixels
    segmentation_size: Literal["256_or_512", "pretraining", "native"] | Pixels
    label_size: Literal["native", "input"] | Pixels
    missing_bands_ranked: MostFilled
    single_label_metric: SingleLabel
    multi_label_metric: MultiLabel
    multi_label_threshold: float
    segmentation_metric: Literal["miou_truth", "miou_absent_zero", "miou_absent_excluded", "miou_per_image"]
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
    optimizer: Literal["adamw", "adam", "sgd"]
    weight_decay: NotNegative
    decoder_batch: Count
    decoder_dtype: Literal["float32", "bfloat16"]
    learning_rates: tuple[Positive, ...]
    schedule: Literal["warmup_cosine", "warmup_cosine_by_epoch", "multistep", "one_cycle", "constant"]
    warmup_fraction: Share
    selection: Literal["mean_validation_over_seeds"]
    checkpoint: Literal["best_validation", "last"]
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
    antialias: bool = True
    segmentation_view: Literal["whole", "windows"] = "whole"
    fresh: tuple[Augment, ...] = ()
    fresh_chance: Chance = 1.0
    encoder_options: dict[str, Free] = field(default_factory=dict)
    encoder_sizes: dict[str, Pixels] = field(default_factory=dict)
    classification_probe: Literal["linear", "pooled", "bn_linear"] = "linear"
    segmentation_probe: Literal["upernet", "upernet_fcn", "seg_linear", "seg_conv", "seg_fpn", "seg_dpt"] = "upernet"
    head_channels: Width = 256
    auxiliary_weight: NotNegative = 0.4
    standardised: bool = True
    knn_distance: Literal["cosine", "euclidean"] = "cosine"
    momentum: Share = 0.0
    rate_scaling: Literal["none", "batch_256"] = "none"
    warmup_epochs: Whole = 0
    initial_rate: NotNegative = 0.0
    final_rate: NotNegative = 0.0
    milestones: tuple[Level, ...] = ()
    drop_last: bool = False
    evaluation_batch: Count | None = None
    evaluate_every_epochs: Count = 1
    evaluate_every_steps: Count | None = None
    evaluate_untrained: bool = False
    calls_before_training: Literal["none", "validation_and_test"] = "none"
    first_seed: Seed = 0
    reported: tuple[Headline, ...] = ()
    by: dict[str, Free] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self)
        check_by(self, VARYING)

    def on(self, dataset: Dataset) -> "Protocol":
        """The protocol with what it says of a dataset and its task; no protocol of its own, and without a hash."""
        options = self.encoder_options
        changed: dict[str, Any] = {}
        for values in (self.by.get(dataset.task, {}), self.by.get(dataset.name, {})):
            options = _merged(options, values.get("encoder_options", {}))
            changed |= values | {"encoder_options": options}
        if options == self.encoder_options:
            changed.pop("encoder_options")
        return validate(Protocol, asdict(self) | changed | {"by": {}}, f"protocol {self.name}") if changed else self

    def metric(self, dataset: Dataset) -> Headline:
        """The headline metric of a dataset: its own where the protocol names the usual one."""
        asked: Headline = self.segmentation_metric
        if dataset.task == "classification":
            asked = self.multi_label_metric if dataset.multilabel else self.single_label_metric
        return dataset.metric if asked in USUAL_METRICS else asked

    def card(self, card: EncoderCard) -> EncoderCard:
        """An encoder's card as the protocol sets it."""
        options = self.encoder_options.get(card.adapter, {})
        side = self.encoder_sizes.get(card.adapter)
        if not options and side is None:
            return card
        return replace(card, options=card.options | options, image_size=card.image_size if side is None else side)

    @property
    def variants(self) -> int:
        """Stored copies of a training image."""
        return {"none": 1, "horizontal_flip": 2, "flips": 4}[self.augmentation]

    def is_evaluated(self, epoch: int, step: int, steps: int, epochs: int) -> bool:
        """Whether validation is read after step `step` (from 1) of `steps` of an epoch (from 0)."""
        if self.evaluate_every_steps is not None:
            return (epoch * steps + step) % min(self.evaluate_every_steps, steps) == 0
        return step == steps and ((epoch + 1) % self.evaluate_every_epochs == 0 or epoch + 1 == epochs)

    @property
    def rate_factor(self) -> float:
        """What learning rates are multiplied by."""
        return self.decoder_batch / 256 if self.rate_scaling == "batch_256" else 1.0

    def steps_per_epoch(self, images: int) -> int:
        """Batches of an epoch over `images` training images, the last one as small as it comes out, or left out."""
        if self.drop_last and images >= self.decoder_batch:
            return images // self.decoder_batch
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
    found = {}
    for one in fields(Protocol):
        if one.default is not MISSING or one.default_factory is not MISSING:
            default = one.default_factory() if one.default_factory is not MISSING else one.default
            found[one.name] = json.dumps(default, sort_keys=True)
    return found


def _merged(general: Mapping[str, dict[str, Any]], own: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {adapter: general.get(adapter, {}) | own.get(adapter, {}) for adapter in {*general, *own}}
