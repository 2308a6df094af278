"""Trained decoders: a bank of every learning rate and seed, validation choosing the rate, test scored per seed."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import torch

from benchmark import metrics, progress, training
from benchmark.bank import Trained
from benchmark.features import SplitFeatures
from benchmark.ingest import OpenDataset
from benchmark.measured import Measured, classification_predictions, npz, scored
from benchmark.prediction import Prediction, Task, headline
from benchmark.protocol import Protocol
from benchmark.selection import select
from decoders.decoder import Decoder, linear_decoder, pooled_decoder, upernet_decoder
from decoders.fusion import build_fuser
from encoders.base import Encoder

Kind = Literal["single_label", "multi_label", "segmentation"]


def train_and_score(
    name: str,
    fusion: str,
    options: Mapping[str, object],
    encoder: Encoder,
    data: OpenDataset,
    protocol: Protocol,
    features: Mapping[str, SplitFeatures],
    device: str,
) -> dict[int, Measured]:
    """Train a decoder's bank on the features of a frozen encoder.

    Args:
        name: `linear` or `upernet`.
        fusion, options: the fuser and its options.
        features: of every split, with maps.

    Returns:
        What each seed of the chosen learning rate measured on test.

    Raises:
        UserError: the fuser doesn't fit the encoder, or no learning rate trained every seed.
    """
    dataset, labels = data.dataset, {split: found.labels for split, found in data.splits.items()}
    kind: Kind = "segmentation" if dataset.task == "segmentation" else "single_label"
    kind = "multi_label" if dataset.multilabel else kind
    ignored = dataset.no_data if protocol.no_data == "ignored" else None
    task = Task(kind, dataset.num_classes, headline(kind, dataset.metric, dataset.no_data), ignored)

    def build(generator: torch.Generator) -> Decoder:
        fuser = build_fuser(fusion, encoder.levels, encoder.views, options)
        if kind != "segmentation":
            return pooled_decoder(fuser, dataset.num_classes)
        if name == "linear":
            return linear_decoder(fuser, dataset.num_classes)
        return upernet_decoder(
            fuser,
            dataset.num_classes,
            channels=protocol.upernet_channels,
            dropout=protocol.upernet_dropout,
            generator=generator,
        )

    def shown(epochs: Iterable[int], total: int) -> Iterable[int]:
        return progress.track(epochs, f"training {fusion} {name}, epochs", total=total)

    selection = select(
        training.train(
            training.members({fusion: build}, protocol),
            task,
            features["train"],
            labels["train"],
            features["valid"],
            labels["valid"],
            protocol=protocol,
            device=device,
            progress=shown,
        )
    )
    choice = selection.choices[fusion]
    measured = {}
    for trained in choice.chosen:
        prediction = selection.score_chosen(
            trained, task, features["test"], labels["test"], batch_size=protocol.decoder_batch, device=device
        )
        measured[trained.member.seed] = _measured(data, protocol, trained, prediction, choice.flags)
    return measured


def _measured(
    data: OpenDataset, protocol: Protocol, trained: Trained, prediction: Prediction, flags: tuple[str, ...]
) -> Measured:
    dataset, test, outcome = data.dataset, data.splits["test"], trained.outcome
    if prediction.scores is not None:
        found = metrics.classification_metrics(prediction.scores, test.labels, dataset.multilabel)
        counts = metrics.group_counts(dataset.metric, prediction.scores, test.labels, test.groups)
        predictions = classification_predictions(data, prediction.scores)
    else:
        assert prediction.confusions is not None
        assert prediction.masks is not None
        found = metrics.segmentation_metrics(prediction.confusions.sum(axis=0), dataset.no_data)
        counts = metrics.group_counts(dataset.metric, prediction.confusions, None, test.groups, dataset.no_data)
        predictions = npz(
            masks=prediction.masks, confusions=prediction.confusions, groups=test.groups, samples=np.array(test.samples)
        )
    score = scored(
        data,
        protocol,
        np.random.default_rng([protocol.bootstrap_seed, outcome.seed]),
        metrics_by_name=found,
        counts=counts[None],
        validation=float(outcome.validation or 0.0),
        chosen={"learning_rate": outcome.learning_rate, "best_epoch": float(outcome.best_epoch or 0)},
    )
    return Measured(score, predictions, outcome.trained_parameters, flags)
