"""Training decoders on frozen features: one pass over the features an epoch, for a whole bank of members.

`train` gives every member's outcome, `select` (benchmark.training.selection) lets validation choose among them. The
features of a batch are read once and shown to each member in turn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing

import numpy as np

from benchmark.protocol import Protocol
from benchmark.training.bank import Epoch, Member, Trained, Trainee
from benchmark.training.feeding import FeatureSource, Feed, Room
from benchmark.training.prediction import Task, predict_all
from decoders.decoder import Decoder

Build = Callable[..., Decoder]
"""Makes a decoder from its dropout generator; see `Member.build`."""


def members(builds: Mapping[str, Build], protocol: Protocol) -> list[Member]:
    """The bank the protocol asks for: every name at every learning rate and seed."""
    return [
        Member(name, seed, rate, build)
        for name, build in builds.items()
        for rate in protocol.learning_rates
        for seed in range(protocol.seeds)
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
) -> list[Trained]:
    """Train the members, each as if it were alone.

    Whether losses are finite is asked once an epoch: a diverged member wastes the rest of its epoch, and no
    step waits for the device. A member that diverged or stopped early leaves the bank. Members may be given to
    several calls instead of one, where they don't fit into memory together.

    Args:
        source, val_source: of train, which may hold flipped copies, and of validation.
        progress: wraps the epochs (0, 1, ...) of the given total, to show them.
        report: told how each member's epoch went.

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
    steps = epochs * protocol.steps_per_epoch(images)
    trainees = [Trainee(member, task, protocol, steps, device) for member in bank]
    room = Room(device)
    feed, val_feed = Feed(source, device, room), Feed(val_source, device, room)
    for epoch in progress(range(epochs), epochs):
        begun = live = [trainee for trainee in trainees if trainee.ended is None]
        if not live:
            break
        _pass(live, feed, data_order(protocol.order_seed, epoch, images, source.variants))
        for trainee in live:
            trainee.check_loss(epoch)
        live = [trainee for trainee in live if trainee.ended is None]
        predictions = predict_all(
            [trainee.decoder for trainee in live], task, val_feed, batch_size=protocol.decoder_batch
        )
        for trainee, prediction in zip(live, predictions, strict=True):
            trainee.validated(prediction, val_truth)
        if report:
            for trainee in begun:
                report(trainee.told(epoch))
    return [trainee.result() for trainee in trainees]


def data_order(order_seed: int, epoch: int, images: int, variants: int = 1) -> np.ndarray:
    """Rows (N,) int64, from the protocol's order seed and the epoch alone: every image once, in one of its copies."""
    rng = np.random.default_rng([order_seed, epoch])
    order = rng.permutation(images)
    return order if variants == 1 else order * variants + rng.integers(0, variants, images)


def _pass(live: list[Trainee], feed: Feed, order: np.ndarray) -> None:
    for trainee in live:
        trainee.decoder.train()
    with closing(feed.batches(order, live[0].protocol.decoder_batch)) as batches:
        for maps, truth in batches:
            for trainee in live:
                trainee.learn(maps, truth)


def _check_keys(bank: Sequence[Member]) -> None:
    keys = [member.key for member in bank]
    if not keys or len(set(keys)) != len(keys):
        raise ValueError(f"a bank needs members that differ in name, learning rate or seed, got {keys}")
