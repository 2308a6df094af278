"""What a protocol's fields must be together: each mistake in one sentence that names the field."""

from typing import TYPE_CHECKING

from benchmark.data import datasets
from benchmark.scoring.counts import THRESHOLD
from encoders.errors import UserError, nearest

if TYPE_CHECKING:
    from benchmark.protocol import Protocol


def check(one: "Protocol") -> None:
    """Check a protocol.

    Raises:
        UserError: a value that cannot be, or two that cannot be together.
    """
    where = f"protocol {one.name}"
    if one.linear_c.low > one.linear_c.high:
        raise UserError(f"{where}: linear_c needs low <= high, not {one.linear_c.low} and {one.linear_c.high}")
    if not one.knn_k:
        raise UserError(f"{where}: knn_k is empty; it needs numbers of neighbours from 1 up")
    if one.multi_label_threshold != THRESHOLD:
        raise UserError(
            f"{where}: multi_label_threshold is {one.multi_label_threshold}; {THRESHOLD} is the only one built"
        )
    if one.fuser_width % (4 * one.fuser_norm_groups):
        raise UserError(
            f"{where}: fuser_width is {one.fuser_width}; choose a multiple of {4 * one.fuser_norm_groups} "
            "(4 x fuser_norm_groups)"
        )
    _check_training(one, where)
    if one.fresh and one.augmentation != "none":
        raise UserError(f"{where}: augmentation keeps copies, fresh draws anew; choose one of them")
    if one.segmentation_view == "windows" and one.label_size != "native":
        raise UserError(f"{where}: windows are scored on native masks; set label_size: native")


def _check_training(one: "Protocol", where: str) -> None:
    rates = one.learning_rates
    if not rates or list(rates) != sorted(set(rates)):
        raise UserError(f"{where}: learning_rates is {list(rates)}; name positive rates, each once, ascending")
    if one.milestones != tuple(sorted(set(one.milestones))):
        raise UserError(f"{where}: milestones is {list(one.milestones)}; name fractions of training, ascending")
    if one.schedule == "multistep" and not one.milestones:
        raise UserError(f"{where}: schedule multistep needs milestones; name some, such as [0.6, 0.9]")
    if one.schedule == "warmup_cosine_by_epoch" and not one.warmup_epochs < one.epochs:
        raise UserError(f"{where}: warmup_epochs is {one.warmup_epochs}; choose fewer than epochs ({one.epochs})")
    if one.patience is not None and one.checkpoint == "last":
        raise UserError(f"{where}: patience waits for a better validation, which checkpoint last doesn't look for")


def check_by(one: "Protocol", varying: tuple[str, ...]) -> None:
    """Check what differs by task or dataset.

    Args:
        varying: the fields that may.

    Raises:
        UserError: no such task, dataset or field, or a value that cannot be.
    """
    if not one.by:
        return
    where = f"protocol {one.name}"
    described = [datasets.dataset(name) for name in datasets.names()]
    known = ("classification", "segmentation", *(dataset.name for dataset in described))
    for name, values in one.by.items():
        if name not in known:
            raise UserError(f"{where}: by names '{name}', neither a task nor a dataset; {nearest(name, known)}")
        for key in values:
            if key not in varying:
                raise UserError(f"{where}: by.{name} names '{key}', which cannot differ; {nearest(key, varying)}")
        one.on(next(dataset for dataset in described if name in (dataset.name, dataset.task)))
