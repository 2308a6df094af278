"""Where things lie and go: GEO-Bench's root, ingested data, features, weights, results, a tracker."""

import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.request.tracker_options import NO_TRACKER
from benchmark.request.tracker_options import Options as Tracker
from encoders.home import folder, home, weights_folder

DATA_VARIABLE = "GEO_BENCH_DIR"


@dataclass(frozen=True)
class Places:
    """Folders of one call; none needs to exist beforehand.

    Attributes:
        data_root: GEO-Bench's root, which holds `classification_v1.0/` and `segmentation_v1.0/`; None if not given.
        output: results: records, predictions, pictures, leaderboards.
        tracker: who is told of what goes on.
    """

    data_root: Path | None
    ingest_dir: Path
    features_dir: Path
    weights_dir: Path
    output: Path
    tracker: Tracker = NO_TRACKER


def places(
    *,
    data_root: str | Path | None = None,
    ingest_dir: str | Path | None = None,
    features_dir: str | Path | None = None,
    weights: str | Path | None = None,
    output: str | Path = "results",
) -> Places:
    """The folders, from options, then environment, then defaults."""
    root = data_root or os.environ.get(DATA_VARIABLE)
    return Places(
        data_root=folder(root) if root else None,
        ingest_dir=folder(ingest_dir) if ingest_dir else home() / "data",
        features_dir=folder(features_dir) if features_dir else home() / "features",
        weights_dir=folder(weights) if weights else weights_folder(),
        output=folder(output),
    )
