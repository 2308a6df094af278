"""What a row costs, from the records' costs; seconds and images a second mean something on one device alone."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from benchmark.records import Record
from reports.table import Efficiency


def efficiency(records: Sequence[Record]) -> Efficiency:
    """The costs of a row. Seconds, images a second and memory are of one device, that of most of its datasets.

    Args:
        records: one a dataset; seeds of a cell were trained together and say the same.
    """
    device = _device(records)
    timed = [record.cost for record in records if record.provenance.device == device]
    costs = [record.cost for record in records]
    encoded = [cost for cost in timed if cost.encode_seconds > 0]
    grids = [cost.finest_grid for cost in costs]
    return Efficiency(
        frozen_parameters=round(fmean(cost.frozen_parameters for cost in costs)),
        trained_parameters=round(fmean(cost.trained_parameters for cost in costs)),
        gflops=fmean(cost.flops_per_image for cost in costs) / 1e9,
        images_per_second=(
            sum(cost.images for cost in encoded) / sum(cost.encode_seconds for cost in encoded) if encoded else None
        ),
        peak_memory_bytes=max(cost.peak_memory_bytes for cost in timed),
        feature_bytes_per_image=round(fmean(cost.feature_bytes_per_image for cost in costs)),
        finest_grid=(min(grids), max(grids)),
        seconds=fmean(cost.encode_seconds + cost.train_seconds for cost in timed),
        # Means over other datasets compare with nobody's on all of them: by this name they stand apart.
        device=device if len(timed) == len(costs) else f"{device} ({len(timed)} of {len(costs)} datasets)",
    )


def _device(records: Sequence[Record]) -> str:
    """Which most of the records were made on; of several such the first by name."""
    counted = Counter(record.provenance.device for record in records)
    return min(counted, key=lambda name: (-counted[name], name))
