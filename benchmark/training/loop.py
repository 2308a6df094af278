"""Training decoders on frozen features: one pass over the features an epoch, for a whole bank of members.

`train` gives every member's outcome, `select` (benchmark.training.selection) lets validation choose among them. The
features of a batch are read once and shown to each member in turn.
"""

import functools
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TypeVar

import numpy as np

from benchmark.protocol import Protocol
from benchmark.training.bank import Epoch, Member, Trained, Trainee
from benchmark.training.feeding import FeatureSource, Feed, Room
from benchmark.training.prediction import Task, predict_all
from benchmark.training.stacking import Stack, learners
from decoders.decoder import Decoder

Learner = TypeVar("Learner", Trainee, Trainee | Stack)
Build = Callable[..., Decoder]
"""Makes a decoder from its dropout generator; see `Member.build`."""


def members(builds: Mapping[str, Build], protocol: Protocol, candidates: Sequence[str] = ("",)) -> list[Member]:
    """The bank the protocol asks for: every name with every candidate head at every learning rate and seed.

    Args:
        builds: by name; called with the candidate too, where there are several.
    """
    return [
        Member(name, seed, rate, functools.partial(build, candidate=candidate) if candidate else build, candidate)
        for name, build in builds.items()
        for candidate in candidates
        for rate in protocol.learning_rates
        for seed in range(protocol.first_seed, protocol.first_seed + protocol.seeds)
    ]


def train(
    bank: Sequence[Member],
    task: Task,
    source: FeatureSource,
    val_source: FeatureSource,
    *,
    protocol: Protocol,
    device: str = "cpu",
    progress: Callable[[Iterable[int], int], Iterable[int]] = lambda epochs, total: epochs,
    report: Callable[[Epoch], None] | None = None,
    fresh: bool = False,
    test_images: int = 0,
) -> list[Trained]:
    """Train the members, each as if it were alone.

    Whether losses are finite is asked once an epoch: a diverged member wastes the rest of its epoch, and no
    step waits for the device. A member that diverged or stopped early leaves the bank. Members may be given to
    several calls instead of one, where they don't fit into memory together.

    Args:
        source, val_source: of train, which may hold flipped copies, and of validation.
        progress: wraps the epochs (0, 1, ...) of the given total, to show them.
        report: told how each member's epoch went.
        fresh: whether copy n of an image of `source` is what epoch n makes of it.
        test_images: how many there are, for protocols in which a mixture of experts has counted them beforehand.

    Returns:
        One result a member, in their order.

    Raises:
        UserError: an empty split.
        ValueError: two members of one key, or labels that do not fit.
    """
    _check_keys(bank)
    task.check(source, "train")
    task.check(val_source, "validation")
    val_truth = task.truth(val_source)
    images = len(source) // source.variants
    epochs = protocol.total_epochs(images)
    steps = protocol.steps_per_epoch(images)
    evaluation_batch = protocol.evaluation_batch or protocol.decoder_batch
    trainees = [Trainee(member, task, protocol, epochs * steps, device, steps) for member in bank]
    learning = learners(trainees)
    room = Room(device)
    # What is drawn anew is never asked for twice.
    feed, val_feed = Feed(source, device, None if fresh else room), Feed(val_source, device, room)
    if protocol.calls_before_training == "validation_and_test":
        batches_before = sum(math.ceil(one / evaluation_batch) for one in (len(val_source), test_images))
        for trainee in trainees:
            trainee.count_calls(batches_before)

    def evaluate(epoch: int) -> None:
        for trainee in _live(trainees):
            trainee.check_loss(epoch)
        live = _live(trainees)
        predictions = predict_all([one.decoder for one in live], task, val_feed, batch_size=evaluation_batch)
        for trainee, prediction in zip(live, predictions, strict=True):
            trainee.validated(prediction, val_truth, epoch)

    if protocol.evaluate_untrained:
        evaluate(-1)
    for epoch in progress(range(epochs), epochs):
        begun = _live(trainees)
        if not begun:
            break
        order = data_order(protocol.order_seed, epoch, images, source.variants, fresh)
        with closing(one_pass(learning, feed, order[: steps * protocol.decoder_batch], protocol.decoder_batch)) as made:
            for step in made:
                if protocol.is_evaluated(epoch, step, steps, epochs):
                    evaluate(epoch)
        for trainee in begun:
            if trainee.ended is None:
                trainee.check_loss(epoch)
            if report:
                report(trainee.told(epoch))
    for one in learning:
        if isinstance(one, Stack):
            one.part()
    return [trainee.result() for trainee in trainees]


def data_order(order_seed: int, epoch: int, images: int, variants: int = 1, fresh: bool = False) -> np.ndarray:
    """Rows (N,) int64, from the protocol's order seed and the epoch alone: every image once, in one of its copies.

    Args:
        fresh: copy n of an image is what epoch n makes of it, else any of them is drawn.
    """
    rng = np.random.default_rng([order_seed, epoch])
    order = rng.permutation(images)
    if fresh:
        return order * variants + epoch
    return order if variants == 1 else order * variants + rng.integers(0, variants, images)


def one_pass(
    learning: Sequence[Trainee | Stack], feed: Feed, order: np.ndarray, size: int
) -> Generator[int, None, None]:
    """Each step (from 1) of an epoch, once those who have not ended have made it; close it where it is left early.

    Args:
        size: images of a step.
    """
    with closing(feed.batches(order, size)) as batches:
        for step, (maps, truth) in enumerate(batches, start=1):
            live = _live(learning)
            if not live:
                return
            for one in live:
                one.learn(maps, truth)
            yield step


def _live(learning: Sequence[Learner]) -> list[Learner]:
    """Those that neither diverged nor stopped early."""
    return [one for one in learning if one.ended is None]


def _check_keys(bank: Sequence[Member]) -> None:
    keys = [member.key for member in bank]
    if not keys or len(set(keys)) != len(keys):
        raise ValueError(f"a bank needs members that differ in name, learning rate or seed, got {keys}")
