"""Our numbers as GEO-Bench's own tools read them: `geobench_results.csv`, in the columns of its baseline results.

`geobench.plot_tools` takes it as it takes GEO-Bench's file: a row a run, `test metric` in its semantics, so that its
normaliser, bootstraps and plots apply. GEO-Bench's segmentation baselines, seed by seed, stand below ours; they are
another protocol's (fine-tuned, 224 pixels) and rank with nothing here.
"""

import csv
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data import datasets
from benchmark.data.dataset import Dataset
from benchmark.records import Record
from reports.table import Row, Table
from reports.tables import has_random_weights

if TYPE_CHECKING:
    import pandas as pd

BASELINES = Path(__file__).parent / "published" / "geobench_v1" / "segmentation_seeds.csv"
COLUMNS = (
    "model generator module name", "encoder type", "decoder type", "encoder weights", "desired input size",
    "pretrained", "lr backbone", "lr head", "optimizer", "hidden size", "batch size", "log segmentation masks",
    "in chans", "input size", "generate experiment dir", "experiment name", "experiment type", "benchmark dir",
    "benchmark name", "partition name", "tasks", "seed", "log dir", "best step", "score", "convergence time",
    "train loss", "epoch", "test FBeta", "val loss", "val metric", "val FBeta", "test loss", "test metric",
    "train metric", "train FBeta", "dataset", "exp dir", "csv log dir", "model", "date str", "date",
)  # fmt: skip
"""Of `baseline_segmentation_results.csv` (ServiceNow/geo-bench at 4777011), in its order."""
KINDS = {"seed": int, "val metric": float, "test metric": float, "test FBeta": float}
OURS = ("source", "metric", "protocol", "protocol hash", "probe", "bands", "band names", "ranked", "key")
"""What GEO-Bench's tools pass over and a reader needs: whose run it is, and of which rules."""
METRICS = ("accuracy", "f1_micro", "miou_absent_excluded")
"""Ours that GEO-Bench's `test metric` is: micro accuracy, micro F1 at 0.5 of multi-label sets, macro Jaccard index."""


def rows(records: Iterable[Record], tables: Sequence[Table]) -> list[dict[str, Any]]:
    """A row a record and row of a table it stands in, then GEO-Bench's own runs on those datasets.

    `model` is a row's title with its fuser and what sets its table apart, so that no two rows are taken for one model.
    Columns that mean nothing of a frozen encoder are empty. No rows where no record is of GEO-Bench's twelve.
    """
    by_key = {record.key: record for record in records}
    twelve = {name: datasets.dataset(name) for name in datasets.select("all")}
    ours = [
        _row(by_key[key], twelve[by_key[key].run.dataset], f"{_title(row)} ({settings})", cell.ranked)
        for table, settings in zip(tables, _settings(tables), strict=True)
        for row in table.rows
        for cell in row.cells.values()
        for key in cell.keys
        if by_key[key].run.dataset in twelve
    ]
    ours.sort(key=lambda row: [row[name] for name in ("model", "dataset", "partition name", "seed", "key")])
    plain = dict.fromkeys((*COLUMNS, *OURS))
    return [plain | row for row in [*ours, *baselines({row["dataset"] for row in ours})]]


def baselines(wanted: Container[str]) -> list[dict[str, Any]]:
    """GEO-Bench's own segmentation runs on some datasets, every partition and seed, as they are published."""
    with BASELINES.open(newline="") as file:
        found = [row for row in csv.DictReader(file) if row["dataset"] in wanted]
    return [
        {name: KINDS.get(name, str)(value) for name, value in row.items()}
        | {"source": "GEO-Bench baseline", "ranked": False}
        for row in found
    ]


def frame(records: Iterable[Record], tables: Sequence[Table]) -> "pd.DataFrame":
    """`rows`, as `geobench.plot_tools` takes them from Python."""
    import pandas as pd  # a second, which no report needs

    return pd.DataFrame(rows(records, tables), columns=[*COLUMNS, *OURS])


def _title(row: Row) -> str:
    return row.title if row.fusion == "none" else f"{row.title} {row.fusion}"


def _settings(tables: Sequence[Table]) -> list[str]:
    """What sets each table's models apart in the legend of a plot, partition aside, which has a column of its own."""
    names = ("probe", "protocol", "bands", "band_names", "features")
    plain = [", ".join(text for name in names if (text := _told(name, table.settings))) for table in tables]
    hashes: dict[str, set[str]] = {}
    for text, table in zip(plain, tables, strict=True):
        hashes.setdefault(text, set()).add(table.settings["protocol_hash"] + table.settings["probe_version"])
    return [
        f"{text}, {table.settings['protocol_hash']}" if len(hashes[text]) > 1 else text
        for text, table in zip(plain, tables, strict=True)
    ]


def _told(name: str, settings: Mapping[str, str]) -> str:
    if name == "band_names":
        return "" if settings[name] == "corrected" else f"{settings[name]} names"
    return settings[name]


def _row(record: Record, dataset: Dataset, model: str, is_ranked: bool) -> dict[str, Any]:
    run, score = record.run, record.score
    metric = next(name for name in METRICS if name in score.metrics)
    random = has_random_weights(record)
    return {
        "encoder type": run.encoder,
        "decoder type": run.probe if run.fusion == "none" else f"{run.fusion} {run.probe}",
        "encoder weights": "random" if random else " ".join(run.weights),
        "desired input size": run.image_size,
        "pretrained": not random and record.role != "floor",
        "lr head": score.chosen.get("learning_rate"),
        "in chans": len(run.inputs),
        "input size": str([len(run.inputs), run.image_size, run.image_size]),
        "experiment name": run.protocol,
        "experiment type": "frozen encoder",
        "benchmark name": dataset.benchmark.replace("_", " "),
        "partition name": run.partition.replace("_", " "),
        "seed": run.seed,
        "epoch": score.chosen.get("best_epoch"),
        # Micro F2 an image, averaged over images of one size: the share of pixels that are right.
        "test FBeta": score.metrics.get("pixel_accuracy"),
        "val metric": score.validation if score.headline == metric else None,
        "test metric": score.metrics[metric],
        "dataset": run.dataset,
        "model": model,
        "date": record.provenance.created[:10],
        "source": "satdifuser-bench",
        "metric": metric,
        "protocol": run.protocol,
        "protocol hash": run.protocol_hash,
        "probe": run.probe,
        "bands": run.bands,
        "band names": run.band_names,
        "ranked": is_ranked,
        "key": record.key,
    }
