"""Trained decoders: a bank of every fuser, rate and seed; validation chooses the rate, test is scored a seed."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from benchmark import progress
from benchmark.data.ingest import OpenDataset, Split
from benchmark.features.store import SplitFeatures
from benchmark.features.views import WholeImages, Windows
from benchmark.memory import BYTES_A_PARAMETER, Portions, packed
from benchmark.pictures import examples
from benchmark.pictures.interpretation import Watched
from benchmark.protocol import Protocol
from benchmark.scoring.measured import Fitted, Measured, classification, segmentation
from benchmark.training import loop
from benchmark.training.bank import Epoch, Member, Trained
from benchmark.training.prediction import Prediction, Task, headline
from benchmark.training.selection import select
from benchmark.training.stacking import units
from decoders.batchnorm_linear import CANDIDATES, BatchNormLinear
from decoders.decoder import Decoder, layers_decoder, linear_decoder, pooled_decoder, upernet_decoder
from decoders.fusion import build_fuser
from decoders.layer_heads import SEGMENTATION_HEADS
from encoders.base import Encoder
from encoders.errors import UserError

Kind = Literal["single_label", "multi_label", "segmentation"]


def train_and_score(
    head: str,
    fusers: Mapping[str, Mapping[str, object]],
    encoder: Encoder,
    data: OpenDataset,
    protocol: Protocol,
    features: Mapping[str, SplitFeatures],
    device: str,
    memory_bytes: int,
    report: Callable[[Epoch], None] | None = None,
) -> dict[str, dict[int, Measured] | UserError]:
    """Train the decoders of several fusers on one stream of a frozen encoder's features.

    Args:
        head: name of a probe that is trained by gradient.
        fusers: kind and options of each (`Run.fuser`), by the row's name for it.
        features: of every split, with maps.
        memory_bytes: that decoders in training may take; a bank of more is trained in several passes. A pass that
            runs out of memory all the same is begun again with half of its decoders.

    Returns:
        By name, what each seed of the chosen learning rate measured on test, or why nothing could be: the
        fuser doesn't fit the encoder, or no learning rate trained every seed.
    """
    task = task_of(data, protocol, features["test"].windows)
    candidates = CANDIDATES if head == "bn_linear" else ("",)
    builds: dict[str, Callable[[torch.Generator], Decoder]] = {}
    found: dict[str, dict[int, Measured] | UserError] = {}
    sizes = {}
    for name, fuser in fusers.items():
        build = functools.partial(make_decoder, head, fuser, encoder, data, protocol)
        try:
            # The widest of its candidates is the last.
            sizes[name] = parameters_of(functools.partial(build, candidate=candidates[-1]))
        except UserError as error:
            found[name] = error
        else:
            builds[name] = build
    title = f"training {' '.join(builds)}"
    sources = {split: _whole(features[split], data.splits[split]) for split in features}
    train = functools.partial(
        loop.train, task=task, source=sources["train"], val_source=sources["valid"], protocol=protocol,
        device=device, progress=lambda epochs, total: progress.track(epochs, f"{title}, epochs", total, stage="train"),
        report=report, fresh=features["train"].fresh, test_images=len(sources["test"]),
    )  # fmt: skip
    trained: list[Trained] = []
    portions = Portions()
    for together in passes(units(loop.members(builds, protocol, candidates), head), sizes, memory_bytes):
        for _, part in portions.of(together, lambda some: train(flat(some)), f"{title}: decoders"):
            trained += part
    selection = select(trained)
    found |= selection.failures
    shown = examples.choose(data.splits["test"]).tolist()
    for name, choice in selection.choices.items():
        with ExitStack() as stack:
            watched = [stack.enter_context(Watched(one.decoder, shown)) for one in choice.chosen if one.decoder]
            batch = protocol.evaluation_batch or protocol.decoder_batch
            predictions = selection.score_chosen(choice.chosen, task, sources["test"], batch_size=batch, device=device)
        measured = [
            _measured(data, protocol, one, prediction, choice.flags)
            for one, prediction in zip(choice.chosen, predictions, strict=True)
        ]
        # Of windows there is no picture of an image.
        pictures = [seen.arrays() if task.windows is None else {} for seen in watched]
        found[name] = {
            one.member.seed: replace(scored, pictures=seen)
            for one, scored, seen in zip(choice.chosen, measured, pictures, strict=True)
        }
    return found


def _whole(features: SplitFeatures, split: Split) -> SplitFeatures | WholeImages:
    """Features as those of whole images, where they are of windows."""
    return features if features.windows is None else WholeImages(features.windows, features, split.labels)


def task_of(data: OpenDataset, protocol: Protocol, windows: Windows | None) -> Task:
    dataset = data.dataset
    kind: Kind = "segmentation" if dataset.task == "segmentation" else "single_label"
    kind = "multi_label" if dataset.multilabel else kind
    ignored = dataset.no_data if protocol.no_data == "ignored" else None
    return Task(
        kind,
        dataset.num_classes,
        headline(kind, dataset.metric, dataset.no_data),
        ignored,
        windows,
        protocol.decoder_dtype,
    )


def make_decoder(
    head: str,
    options: Mapping[str, object],
    encoder: Encoder,
    data: OpenDataset,
    protocol: Protocol,
    generator: torch.Generator,
    candidate: str = "",
) -> Decoder:
    if candidate:
        width, classes = encoder.embedding_dim, data.dataset.num_classes
        return BatchNormLinear(encoder.levels, encoder.views, width, candidate, classes)
    kept = {key: value for key, value in options.items() if key != "kind"}
    fuser = build_fuser(str(options["kind"]), encoder.levels, encoder.views, kept)
    classes = data.dataset.num_classes
    if data.dataset.task == "classification":
        return pooled_decoder(fuser, classes)
    if head == "linear":
        return linear_decoder(fuser, classes)
    if head in SEGMENTATION_HEADS:
        return layers_decoder(fuser, classes, head, protocol.head_channels)
    dropout = protocol.upernet_dropout
    build = functools.partial(upernet_decoder, fuser, classes, channels=protocol.upernet_channels, dropout=dropout)
    if head == "upernet":
        return build(generator=generator)
    return build(generator=generator, auxiliary=(protocol.head_channels, protocol.auxiliary_weight))


def parameters_of(build: Callable[[torch.Generator], Decoder]) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(torch.Generator()).parameters())


def passes(
    together: Sequence[list[Member]], sizes: Mapping[str, int], memory_bytes: int
) -> Iterator[list[list[Member]]]:
    """The units (`stacking.units`), as many at a time as the memory holds, at least one."""
    needed = [BYTES_A_PARAMETER * sum(sizes[member.name] for member in unit) for unit in together]
    for some in packed(needed, memory_bytes):
        yield list(together[some.start : some.stop])


def flat(some: Sequence[list[Member]]) -> list[Member]:
    """The members of units."""
    return [member for unit in some for member in unit]


def _measured(
    data: OpenDataset, protocol: Protocol, trained: Trained, prediction: Prediction, flags: tuple[str, ...]
) -> Measured:
    outcome = trained.outcome
    rng = np.random.default_rng(protocol.bootstrap_seed)  # whatever the seed: test groups are drawn alike for all
    fitted = Fitted(
        validation=float(outcome.validation or 0.0),
        chosen={"learning_rate": outcome.learning_rate, "best_epoch": float(outcome.best_epoch or 0)},
        trained_parameters=outcome.trained_parameters,
        flags=flags,
    )
    if prediction.scores is not None:
        return classification(data, protocol, rng, fitted, [prediction.scores])
    assert prediction.confusions is not None
    assert prediction.masks is not None
    assert prediction.calibration is not None
    return segmentation(data, protocol, rng, fitted, prediction.confusions, prediction.masks, prediction.calibration)
