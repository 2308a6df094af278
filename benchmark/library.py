"""The measurement as a function: `from benchmark import evaluate`. Says nothing, never exits, raises `UserError`.

What it does is what `evaluate.py` does: the same cells, features, records and keys on the same folders, so that either
skips what the other has done.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from encoders.errors import UserError, one_line

if TYPE_CHECKING:
    from benchmark.data.inputs import Track
    from benchmark.grid.cells import Cell
    from benchmark.grid.work import CellResult
    from benchmark.places import Places
    from benchmark.progress import Step
    from benchmark.records import Record

Names = str | Path | Sequence[str | Path]
"""One or several, in a list or separated by commas."""


class Unfinished(UserError):
    """Some cells have no record; the message says which, and why.

    Attributes:
        records: of the cells that have some.
        reasons: why a cell has none, by its title; `impossible` ones among them.
    """

    def __init__(self, message: str, records: "list[Record]", reasons: dict[str, str]) -> None:
        super().__init__(message)
        self.records, self.reasons = records, reasons


def evaluate(
    encoders: Names,
    datasets: Names,
    *,
    fusion: Names = "none",
    probe: Literal["linear", "knn", "upernet"] | None = None,
    protocol: str = "frozen",
    bands: "Track" = "rgb",
    partition: str = "default",
    seeds: int | None = None,
    overrides: Sequence[str] = (),
    output: str | Path = "results",
    data_root: str | Path | None = None,
    weights: str | Path | None = None,
    ingest_dir: str | Path | None = None,
    features_dir: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    executor: Literal["inline", "local", "slurm", "ray"] = "inline",
    on_step: "Callable[[Step], None] | None" = None,
) -> "list[Record]":
    """Evaluate every encoder on every dataset; what has a record in `output` is not run again.

    Args:
        encoders: names (`croma_base`), rows (`croma_base-gw`), families (`croma`), `timm:NAME`,
            `torchgeo:FACTORY:WEIGHTS`, `pangaea:NAME`, or YAML files of one's own.
        datasets: names, `classification`, `segmentation`, `all`, or YAML files of one's own.
        fusion: fusers of encoders that don't name theirs.
        probe: default by task: linear on images, UPerNet on masks.
        protocol: of `configs/protocol/`.
        bands: `rgb`, or `authors` for all that each encoder's authors fed it.
        partition: `default`, a file's name, or one of our draws.
        seeds: of trained decoders; default the protocol's number.
        overrides: Hydra overrides of any config value, `key=value`.
        output: results folder; created. Reports read it: `evaluate.py report OUTPUT`.
        data_root: GEO-Bench's root; default `$GEO_BENCH_DIR`.
        weights, ingest_dir, features_dir: default in `$SATDIFUSER_BENCH_HOME`.
        device: `auto` is the GPU where there is one.
        executor: where cells run; all but `inline` start processes, so call them under `if __name__ == "__main__":`.
        on_step: told how far each cell is, from the calling thread.

    Returns:
        Records (`benchmark.records.Record`), one a cell and seed, in the order asked for. Cells that nothing can be
        fed in have none.

    Raises:
        Unfinished: a cell failed, or none could be run; the others have their records.
        UserError: an unknown name, key or value, or a folder that can't be used; nothing was computed.
    """
    from benchmark.grid.cells import cells as cells_of
    from benchmark.grid.sweep import sweep
    from benchmark.places import places
    from benchmark.progress import silent
    from benchmark.request import configuration

    settings = {"bands": bands, "partition": partition, "device": device}
    request = configuration.compose(
        rows=_listed(encoders, "encoders"),
        dataset_choice=",".join(_listed(datasets, "datasets")),
        fusions=_listed(fusion, "fusion"),
        probe=probe,
        protocol=protocol,
        settings=settings if seeds is None else settings | {"seeds": seeds},
        overrides=list(overrides),
        executor=executor,
    )
    where = places(
        data_root=data_root, ingest_dir=ingest_dir, features_dir=features_dir, weights=weights, output=output
    )
    with silent(on_step):
        try:
            results = sweep(cells_of(request), where, request.executor)
        except OSError as error:
            raise UserError(f"{error.filename or output}: {error.strerror or error}; name another folder") from None
        records = _records([one.cell for one in results if one.outcome in ("done", "skipped")], where)
    _check_finished(results, records)
    return records


def _listed(names: Names, what: str) -> list[str]:
    given = names.split(",") if isinstance(names, str) else [names] if isinstance(names, Path) else list(names)
    found = [str(name).strip() for name in given]
    if not found or not all(found) or len(set(found)) < len(found):
        raise UserError(f"{what} is {names!r}; name each once, in a list or separated by commas")
    return found


def _records(finished: "Sequence[Cell]", where: "Places") -> "list[Record]":
    from benchmark.grid.planning import Planner
    from benchmark.record_store import RecordStore

    planner, store = Planner(where), RecordStore(where.output)
    return [store.read(run.key) for cell in finished for run in planner.plan(cell).runs]


def _check_finished(results: "Sequence[CellResult]", records: "list[Record]") -> None:
    """As the exit code of the command: impossible cells are no mistake, unless there is nothing else."""
    lacking = [one for one in results if one.outcome in ("failed", "impossible")]
    failed = [one for one in lacking if one.outcome == "failed"]
    if not failed and records:
        return
    told = failed or lacking
    others = f" (and {len(told) - 1} more: see `reasons`)" if len(told) > 1 else ""
    message = f"{told[0].cell.title}: {one_line(told[0].message)}{others}"
    raise Unfinished(message, records, {one.cell.title: one.message for one in lacking})
