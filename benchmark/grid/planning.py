"""A grid becomes a plan: what is known of each cell before anything runs, and which cells belong together.

Each question is asked once however many cells it concerns: what an encoder wants and is fed on a dataset, the digests
of its weights, the fingerprints of a dataset. No deep-learning framework is imported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from benchmark.data import ingest
from benchmark.data.inputs import ImpossibleError, InputPlan
from benchmark.grid.cells import Cell, check_fusion, plan_inputs
from benchmark.grid.identity import identify
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.records import Run
from benchmark.request.rows import fuser_options
from encoders import checkpoints, inputs_of
from encoders.errors import UserError

State = Literal["done", "runs", "impossible", "waits"]
T = TypeVar("T")


@dataclass(frozen=True)
class Planned:
    """A cell and what is known of it.

    Attributes:
        state: `done` where all its records are there, as far as can be told without reading data anew; `impossible`
            where nothing can be fed; `waits` where data or weights are missing.
        why: of what is impossible or waits, with the remedy.
        lacks: of what waits: `data`, `weights` or `value rule`.
        fed: None where nothing is.
        runs: of what is done.
    """

    cell: Cell
    state: State
    why: str = ""
    lacks: str = ""
    fed: InputPlan | None = None
    runs: tuple[Run, ...] = ()


class Planner:
    """Plans cells against folders, as these are when a question is first asked."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._store = RecordStore(places.output)
        self._keys = {path.stem for path in (places.output / "records").glob("*.json")}
        self._known = _Answers()

    def plan(self, cell: Cell) -> Planned:
        """What is known of a cell; never raises for what is wrong with it."""
        fed = self.fed(cell)
        if isinstance(fed, Exception):
            if isinstance(fed, ImpossibleError):
                return Planned(cell, "impossible", str(fed))
            return Planned(cell, "waits", str(fed), "value rule")
        lacks, why = self._missing(cell, fed)
        if lacks:
            return Planned(cell, "waits", why, lacks, fed)
        runs = self._recorded(cell, fed)
        return Planned(cell, "done" if runs else "runs", fed=fed, runs=runs)

    def fed(self, cell: Cell) -> InputPlan | Exception:
        """What a cell's encoder is fed, or why nothing can be."""
        try:
            check_fusion(cell)
        except ImpossibleError as error:
            return error

        def wanted() -> Any:
            return _or_error(lambda: inputs_of(cell.card))

        def plan() -> InputPlan | Exception:
            spec = self._known.answer("wants", (cell.card,), wanted)
            if isinstance(spec, Exception):
                return spec
            return _or_error(lambda: plan_inputs(cell, spec))

        return self._known.answer("fed", (cell.card, cell.dataset, cell.settings, cell.protocol), plan)

    def sizes(self, cell: Cell) -> dict[str, int] | None:
        """Images by split; None where only reading them would tell."""
        return self._known.answer(
            "sizes",
            (cell.dataset, cell.settings.partition),
            lambda: ingest.sizes_if_known(
                cell.dataset, self.places.data_root, self.places.ingest_dir, cell.settings.partition
            ),
        )

    def number(self, thing: object) -> int:
        """Equal numbers for equal parts of cells."""
        return self._known.number(thing)

    def groups(self, cells: Sequence[Cell]) -> list[list[Cell]]:
        """Cells that are evaluated together, wherever they stand: those that differ in fuser and row alone.

        Groups that need the same features follow one another; else all is in the order of first appearance.
        """
        number = self._known.number
        found: dict[tuple[int, ...], dict[tuple[int, ...], list[Cell]]] = {}
        for cell in cells:
            features = (number(cell.card), number(cell.dataset), number(cell.settings))
            # A probe on embeddings is fitted for each fuser alone.
            fitted = -1 if cell.is_trained else number(cell.fusion)
            training = (number(cell.probe), number(cell.protocol), fitted, number(cell.reads))
            found.setdefault(features, {}).setdefault(training, []).append(cell)
        return [group for sharing in found.values() for group in sharing.values()]

    def _missing(self, cell: Cell, fed: InputPlan) -> tuple[str, str]:
        """What must come before the cell can run, in a word and in a sentence; empty where all is there."""
        root, weights = self.places.data_root, self.places.weights_dir
        folder = self._known.answer(
            "folder", (cell.dataset,), lambda: _or_error(lambda: ingest.source_folder(cell.dataset, root))
        )
        if isinstance(folder, Exception):
            return "data", str(folder)

        def files() -> tuple[str, str]:
            missing = checkpoints.missing_files(cell.card, weights, fed.side)
            how = checkpoints.how_to_get(cell.card, weights, fed.side)
            said = f"{cell.card.name} at {fed.side} px: {len(missing)} weight files are missing; {how}"
            return ("weights", said) if missing else ("", "")

        return self._known.answer("files", (cell.card, fed.side), files)

    def _recorded(self, cell: Cell, fed: InputPlan) -> tuple[Run, ...]:
        """The cell's runs if all their records are there, else none."""
        if not self._keys:
            return ()
        runs = self.runs(cell, fed)
        return runs if runs and all(run.key in self._keys and self._store.has(run.key) for run in runs) else ()

    def runs(self, cell: Cell, fed: InputPlan) -> tuple[Run, ...]:
        """The cell's runs; none where its data are not ingested, or its weights or options cannot be."""
        places, partition = self.places, cell.settings.partition

        def fingerprints() -> dict[str, str] | None:
            return ingest.fingerprints_if_ingested(cell.dataset, places.data_root, places.ingest_dir, partition)

        def first(data: dict[str, str]) -> Run | Exception:
            digests = self._known.answer(
                "weights",
                (cell.card, fed.side),
                lambda: _or_error(lambda: checkpoints.weights_sha256(cell.card, places.weights_dir, fed.side)),
            )
            if isinstance(digests, Exception):
                return digests
            return _or_error(lambda: identify(cell, fed, digests, data)[0])

        data = self._known.answer("data", (cell.dataset, partition), fingerprints)
        if data is None:
            return ()
        # Cells that differ in the fuser have the same run but for it.
        run = self._known.answer(
            "run", (cell.card, cell.dataset, cell.settings, cell.probe, cell.protocol), lambda: first(data)
        )
        options = self._known.answer(
            "fuser",
            (cell.fusion, cell.dataset.task, cell.protocol),
            lambda: _or_error(lambda: fuser_options(cell.fusion, cell.dataset.task, cell.protocol)),
        )
        if isinstance(run, Exception) or isinstance(options, Exception):
            return ()
        return tuple(replace(run, fusion=cell.fusion.name, fuser=options, seed=seed) for seed in cell.seeds)


class _Answers:
    """Answers to questions about things, each asked once; equal things are one thing."""

    def __init__(self) -> None:
        self._distinct: list[object] = []
        self._numbers: dict[int, tuple[int, object]] = {}
        self._answers: dict[tuple[object, ...], Any] = {}

    def number(self, thing: object) -> int:
        """Equal numbers for equal things, whether they can be hashed or not."""
        known = self._numbers.get(id(thing))
        if known is None:
            alike = (n for n, one in enumerate(self._distinct) if type(one) is type(thing) and one == thing)
            number = next(alike, len(self._distinct))
            if number == len(self._distinct):
                self._distinct.append(thing)
            # Kept with its number, for an id is one thing's only as long as that lives.
            known = self._numbers[id(thing)] = (number, thing)
        return known[0]

    def answer(self, question: str, things: tuple[object, ...], find: Callable[[], T]) -> T:
        """The answer to a question about things: what `find` returned the first time."""
        key = (question, *map(self.number, things))
        if key not in self._answers:
            self._answers[key] = find()
        found: T = self._answers[key]
        return found


def _or_error(find: Callable[[], T]) -> T | Exception:
    """What is wrong is said where the cell runs; a plan only has to know that something is."""
    try:
        return find()
    except (UserError, OSError) as error:
        return error
