"""Names and order of datasets as in the literature, so that a table can be held beside a published one."""

from functools import cache

from benchmark.data import datasets

ORDER = (
    *("m-bigearthnet", "m-so2sat", "m-brick-kiln", "m-forestnet", "m-eurosat", "m-pv4ger"),
    *("m-pv4ger-seg", "m-nz-cattle", "m-NeonTree", "m-cashew-plant", "m-SA-crop-type", "m-chesapeake"),
)
"""Classification as in GEO-Bench's paper (Lacoste et al. 2023), segmentation as in SatDiFuser's (Jia et al. 2025)."""
_METRICS = {
    "accuracy": "accuracy",
    "f1_micro": "micro F1",
    "miou_truth": "mIoU",
    "miou_labelled": "mIoU of labelled pixels",
    "miou_absent_zero": "mIoU, absent as 0",
    "miou_absent_excluded": "mIoU, absent left out",
    "pixel_accuracy": "pixel accuracy",
}
FUSERS = {"gw": "GW", "lw": "LW", "moe": "MoE", "none": "unfused"}
"""Suffixes of SatDiFuser's rows there; any other fuser keeps its name."""
LEAKY = "m-cashew-plant"
"""Its chips stand in train and test with other dates: every aggregate is given without it too."""


def metric(name: str) -> str:
    """A metric as papers call it; one they don't know keeps its name."""
    return _METRICS.get(name, name)


def dataset_of(column: str) -> str:
    """The dataset of a column, which may say more (`reports.tables.column_names`)."""
    return column.split(" (", maxsplit=1)[0]


def in_order(columns: set[str]) -> list[str]:
    """Columns in the papers' order, others after them by name."""

    def place(column: str) -> tuple[int, str]:
        name = dataset_of(column)
        return (ORDER.index(name) if name in ORDER else len(ORDER), column.lower())

    return sorted(columns, key=place)


def normalizers(columns: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """GEO-Bench's (worst, best) of the columns it has one for."""
    found = {column: _normalizer(dataset_of(column)) for column in columns}
    return {column: ends for column, ends in found.items() if ends is not None}


@cache
def _normalizer(name: str) -> tuple[float, float] | None:
    return datasets.dataset(name).normalizer if name in ORDER else None
