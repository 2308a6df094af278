"""What a decoder is trained for and what it predicts, streamed over stored features.

Classification keeps the scores of a split; segmentation counts each image's confusions as it goes, so that
logits at the labels' size live no longer than their batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.features.views import Windows
from benchmark.scoring import counts
from benchmark.scoring.calibration import calibration_counts
from benchmark.scoring.counts import Array
from benchmark.training.feeding import FeatureSource, Feed
from decoders.decoder import Decoder
from encoders.errors import UserError

Headline = Callable[[Array, Array], float]
"""Scores (N, K) float32 and labels, or for segmentation confusions (N, K, K) int64 and masks -> higher is better."""

CHECKED_AT_ONCE = 256
"""Labels looked at together: masks of a whole split would fill memory."""

UNFINISHED = "its predictions are NaN or infinite"


@dataclass(frozen=True)
class Task:
    """What is learnt.

    Attributes:
        kind: labels are (N,) integers in [0, K), (N, K) of 0 and 1, or (N, H, W) uint8 masks of classes in [0, K).
        headline: the metric validation chooses by; see `headline`.
        ignored: the class left out of the loss, where the protocol says so; None for none.
        windows: what evaluation sees of an image, where that isn't the whole; training sees one at a time.
        dtype: arithmetic of decoders; `bfloat16` by autocast: the optimiser keeps its weights in float32, and nobody
            keeps a second copy of them.
    """

    kind: Literal["single_label", "multi_label", "segmentation"]
    num_classes: int
    headline: Headline
    ignored: int | None = None
    windows: Windows | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"

    def arithmetic(self, device: torch.device) -> torch.autocast:
        """Context manager: what decoders compute in on a device."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.dtype == "bfloat16")

    def check(self, source: FeatureSource, split: str) -> None:
        """Check a split's labels.

        Raises:
            UserError: the split is empty.
            ValueError: labels of another number or shape, or classes outside [0, K).
        """
        if not len(source):
            raise UserError(f"the {split} split is empty; take a larger label fraction")
        expected = {"single_label": 1, "multi_label": 2, "segmentation": 3}[self.kind]
        highest = 1 if self.kind == "multi_label" else self.num_classes - 1
        if self.kind == "segmentation" and self.num_classes > 256:
            raise ValueError(f"{self.num_classes} classes do not fit masks of one byte")
        for rows in batches(np.arange(0, len(source), source.variants), CHECKED_AT_ONCE):
            labels = source.labels(rows)
            if len(labels) != len(rows) or labels.ndim != expected:
                raise ValueError(f"{split}: {self.kind} labels {labels.shape} for {len(rows)} images")
            if self.kind == "multi_label" and labels.shape[1] != self.num_classes:
                raise ValueError(f"{split}: multi-label targets {labels.shape} for {self.num_classes} classes")
            if labels.min() < 0 or labels.max() > highest:
                raise ValueError(f"{split}: labels must lie in [0, {highest}]")

    def truth(self, source: FeatureSource) -> Array:
        """What `headline` compares scores with: every label of a classification; confusions hold that of masks."""
        return source.labels(np.arange(0 if self.kind == "segmentation" else len(source)))

    def logits(self, decoder: Decoder, maps: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """A decoder's logits, float32: (B, K), or (B, K, H, W) at the labels' size."""
        with self.arithmetic(maps[0].device):
            return self._logits(decoder, maps, labels).float()

    def _logits(self, decoder: Decoder, maps: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        if self.windows is not None and maps[0].ndim == 6:  # as `WholeImages` gives them
            each = tuple(one.flatten(0, 1) for one in maps)
            return self.windows.merged(decoder(each, (self.windows.side,) * 2))
        logits: Tensor = decoder(maps, tuple(labels.shape[1:])) if self.kind == "segmentation" else decoder(maps)
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy, over pixels for segmentation; binary cross entropy for multi-label; a mean, ()."""
        if self.kind == "multi_label":
            return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        target = labels.long()
        if self.ignored is None:
            return F.cross_entropy(logits, target)
        # Where a whole batch is unlabelled, the plain mean over nothing would be NaN and end the member.
        counted = (target != self.ignored).sum().clamp(min=1)
        return F.cross_entropy(logits, target, ignore_index=self.ignored, reduction="sum") / counted

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """`loss` of several decoders' classification logits (n, B, K): (n,)."""
        if self.kind == "multi_label":
            targets = labels.to(logits.dtype).expand_as(logits)
            return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((1, 2))
        assert self.kind == "single_label"
        assert self.ignored is None
        each = F.cross_entropy(logits.flatten(0, 1), labels.long().repeat(len(logits)), reduction="none")
        return each.view(len(logits), -1).mean(1)

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (B, K) float32 of classification logits."""
        return logits.sigmoid() if self.kind == "multi_label" else logits.softmax(1)


def headline(kind: str, name: str, no_data: int | None = None) -> Headline:
    """The metric `name` of `benchmark.scoring.counts` as a `Headline`; `no_data` as in `segmentation_metrics`."""
    return lambda scored, labels: counts.headline(name, scored, None if kind == "segmentation" else labels, no_data)


@dataclass(frozen=True)
class Prediction:
    """A decoder's answer on a split.

    Attributes:
        scores: (N, K) float32 probabilities; None for segmentation.
        confusions: (N, K, K) int64, an image's pixels by [truth, prediction]; None for classification.
        masks: (N, H, W) uint8 predicted classes; None for classification, and where they were not asked for.
        calibration: (bins, 3) counts over the pixels that the loss counts (`scoring.calibration`); None as masks.
    """

    scores: Array | None = None
    confusions: Array | None = None
    masks: Array | None = None
    calibration: Array | None = None

    def headline(self, task: Task, labels: Array) -> float:
        """The headline metric against the split's labels."""
        scored = self.confusions if self.scores is None else self.scores
        assert scored is not None
        return float(task.headline(scored, labels))


class Collector:
    """Gathers one decoder's logits batch by batch; results stay on the device until `finish`."""

    def __init__(self, task: Task, keep_masks: bool) -> None:
        self.task = task
        self.keep_masks = keep_masks
        self._finite: list[Tensor] = []
        self._gathered: list[Tensor] = []
        self._masks: list[Tensor] = []
        self._calibration: list[Tensor] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Take a batch: logits as `Task.logits` gives them, and its labels."""
        self._finite.append(torch.isfinite(logits).all())
        if self.task.kind != "segmentation":
            self._gathered.append(self.task.scores(logits))
            return
        predicted = logits.argmax(1)
        self._gathered.append(confusions(predicted, labels, self.task.num_classes))
        if self.keep_masks:
            # To the host at once: a split of predicted masks is no small thing on a device.
            self._masks.append(predicted.to(torch.uint8).cpu())
            counted = labels != -1 if self.task.ignored is None else labels != self.task.ignored
            confidence, correct = logits.softmax(1).amax(1)[counted], (predicted == labels)[counted]
            self._calibration.append(calibration_counts(confidence, correct))

    def finish(self) -> Prediction | None:
        """What was gathered; None where a logit was NaN or infinite."""
        if not bool(torch.stack(self._finite).all()):
            return None
        gathered = torch.cat(self._gathered).cpu().numpy()
        if self.task.kind != "segmentation":
            return Prediction(scores=gathered)
        if not self.keep_masks:
            return Prediction(confusions=gathered)
        calibration = torch.stack(self._calibration).sum(0).cpu().numpy()
        return Prediction(confusions=gathered, masks=torch.cat(self._masks).numpy(), calibration=calibration)


def confusions(predicted: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """Pixels by [truth, prediction] of each image, from two (B, H, W) of classes: (B, K, K) int64."""
    batch, cells = len(truth), num_classes**2
    image = torch.arange(batch, device=truth.device).view(-1, 1, 1) * cells
    index = (image + truth.long() * num_classes + predicted).flatten()
    # `bincount` would ask a GPU for the largest value, and wait for the answer.
    counted = torch.zeros(batch * cells, dtype=torch.int64, device=truth.device)
    counted.scatter_add_(0, index, torch.ones_like(index))
    return counted.view(batch, num_classes, num_classes)


def batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """`rows` in their order, `size` at a time, the rest as a last batch."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@torch.no_grad()
def predict_all(
    decoders: Sequence[Decoder], task: Task, feed: Feed, *, batch_size: int, keep_masks: bool = False
) -> list[Prediction | None]:
    """Each decoder's prediction, in one pass over the features; None for one not finite."""
    collectors = [Collector(task, keep_masks) for _ in decoders]
    for decoder in decoders:
        decoder.eval()
    with closing(feed.batches(np.arange(len(feed.source)), batch_size)) as batches_of_split:
        for maps, truth in batches_of_split:
            for decoder, collector in zip(decoders, collectors, strict=True):
                collector.add(task.logits(decoder, maps, truth), truth)
    return [collector.finish() for collector in collectors]


def predict_each(
    decoders: Sequence[Decoder], task: Task, source: FeatureSource, *, batch_size: int, device: str = "cpu"
) -> list[Prediction]:
    """Decoders' predictions with masks, in one pass over the split; in evaluation mode, leaving them there.

    Raises:
        UserError: the split is empty, or a prediction is not finite.
        ValueError: labels that do not fit.
    """
    task.check(source, "predicted")
    for decoder in decoders:
        decoder.to(device)
    found = predict_all(decoders, task, Feed(source, device), batch_size=batch_size, keep_masks=True)
    finite = [prediction for prediction in found if prediction is not None]
    if len(finite) < len(found):
        raise UserError(f"a trained decoder cannot be scored: {UNFINISHED}; try smaller learning rates")
    return finite


def predict(decoder: Decoder, task: Task, source: FeatureSource, *, batch_size: int, device: str = "cpu") -> Prediction:
    """One decoder's prediction, as `predict_each`."""
    (found,) = predict_each([decoder], task, source, batch_size=batch_size, device=device)
    return found
