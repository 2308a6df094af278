"""What of each split a cell reads, as its protocol says: whole images, windows, or what each epoch makes of them."""

from benchmark.data.inputs import InputPlan
from benchmark.features.views import Fresh, Reading, View, Windows
from benchmark.grid.cells import Cell, is_fresh


def readings(cell: Cell, plan: InputPlan, train_images: int) -> dict[str, Reading]:
    """By split.

    Args:
        train_images: how many there are, which the number of epochs may hang on.
    """
    rules = cell.rules
    side = {"native": None, "input": plan.side}.get(str(rules.label_size), rules.label_size)
    grid = (side, side) if isinstance(side, int) and cell.dataset.task == "segmentation" else None
    whole: View | None = Windows(plan.side, plan.dataset.image_size) if plan.windows else None
    drawn: View | None = None
    if is_fresh(cell, plan):
        drawn = Fresh(
            epochs=rules.total_epochs(train_images),
            augments=rules.fresh,
            chance=rules.fresh_chance,
            crop=plan.side if plan.windows else None,
            seed=rules.order_seed,
            grid=grid,
        )
    means, embedding = cell.reads == "pooled", cell.probe.name == "bn_linear"
    views = {"train": drawn, "valid": whole, "test": whole}
    return {split: Reading(view, means, embedding, grid) for split, view in views.items()}
