"""What a row costs, from the records' costs; seconds and images a second mean something on one device alone."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from benchmark.records import Record
from reports import paper
from reports.table import Efficiency


def efficiency(records: Sequence[Record]) -> Efficiency:
    """The costs of a row. Seconds, images a second and memory are of one device, that of most of its datasets.

    Args:
        records: one a dataset.
    """
    device = _device(records)
    timed = [record for record in records if record.provenance.device == device]
    encoded = [record for record in timed if record.cost.encode_seconds > 0]
    costs = [record.cost for record in records]
    grids = [cost.finest_grid for cost in costs]
    return Efficiency(
        frozen_parameters=round(fmean(cost.frozen_parameters for cost in costs)),
        trained_parameters=round(fmean(cost.trained_parameters for cost in costs)),
        gflops=fmean(cost.flops_per_image for cost in costs) / 1e9,
        images_per_second=_speed(encoded) if encoded else None,
        peak_memory_bytes=max(record.cost.peak_memory_bytes for record in timed),
        feature_bytes_per_image=round(fmean(cost.feature_bytes_per_image for cost in costs)),
        finest_grid=(min(grids), max(grids)),
        seconds=fmean(record.cost.encode_seconds + record.cost.train_seconds for record in timed),
        device=device,
        timed=_datasets(timed),
        encoded=_datasets(encoded),
    )


def measured_on(device: str, datasets: Sequence[str], columns: Sequence[str]) -> str:
    """A device, and where it wasn't all of a table's datasets that were measured on it, which: `H200 (2 of 3 datasets:
    all but m-eurosat)`.

    Args:
        columns: of the table.
    """
    every = list(dict.fromkeys(paper.dataset_of(column) for column in columns))
    others = [name for name in every if name not in datasets]
    if not others:
        return device
    named = f"all but {', '.join(others)}" if len(others) < len(datasets) else ", ".join(datasets)
    return f"{device} ({len(datasets)} of {len(every)} datasets{f': {named}' if named else ''})"


def _device(records: Sequence[Record]) -> str:
    """Which most of the records were made on; of several such the first by name."""
    counted = Counter(record.provenance.device for record in records)
    return min(counted, key=lambda name: (-counted[name], name))


def _speed(records: Sequence[Record]) -> float:
    return sum(record.cost.images for record in records) / sum(record.cost.encode_seconds for record in records)


def _datasets(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(paper.in_order({record.run.dataset for record in records}))
