"""Everything that `profile` times and counts of a subject, in one process and in turns."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmark.profiling.busy import busy_shares, top_operations
from benchmark.profiling.costs import Costs
from benchmark.profiling.counting import Counts, count
from benchmark.profiling.parts import OFFICIAL_TRAINING, OFFICIAL_VALIDATION, VAE, Parts
from benchmark.profiling.subject import Subject
from benchmark.profiling.timing import Times, in_turns, matrix_product, private_bytes
from benchmark.provenance import peak_memory_bytes, reset_peak_memory
from encoders.assembly import PRECISIONS

MATRIX = "matrix product"


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        times: of each part, for all images.
        matrix: operations of the matrix product.
        busy: share of the time in which the device computed, by part.
        peak, private: bytes: the most in use on the device; memory of the process that is no file, at the end.
        operations: the profiler's table, empty unless asked for.
    """

    subject: Subject
    counts: Counts
    times: Times
    matrix: int
    busy: dict[str, float]
    peak: int
    private: int
    operations: str

    @property
    def images(self) -> int:
        """On which each part was timed."""
        return len(self.subject.images.samples)

    @property
    def rounds(self) -> int:
        """How often."""
        return len(next(iter(self.times.rounds.values())))

    def costs(self, number: int | None = None, with_vae: bool = True) -> Costs:
        """Seconds of one image: from the best time of each part, or from round `number`.

        Args:
            with_vae: False leaves out what the VAE takes, of both ways.
        """

        def seconds(part: str) -> float:
            return (self.times.best(part) if number is None else self.times.series(part)[number]) / self.images

        def mean(prefix: str) -> float:
            return fmean(seconds(part) for part in self.times.rounds if part.startswith(prefix))

        def whole_bank(part: str) -> float:
            # Of a bank in several passes one was timed, whose features are read for each pass anew.
            return seconds(part) * self.subject.work.decoders / len(self.subject.bank)

        vae = 0.0 if with_vae else seconds(VAE)
        extracts = "extraction" in self.times.rounds
        against = any(part.startswith(OFFICIAL_TRAINING) for part in self.times.rounds)
        return Costs(
            extract=seconds("extraction") - vae if extracts else 0.0,
            train=whole_bank("training"),
            predict=whole_bank("validation"),
            official_train=mean(OFFICIAL_TRAINING) - vae if against else 0.0,
            official_predict=mean(OFFICIAL_VALIDATION) - vae if against else 0.0,
        )


def measure(subject: Subject, features_dir: Path, rounds: int, recompute: bool, top: int) -> Measurement:
    """Time the parts of a subject in turns.

    Args:
        features_dir: a folder beside it is filled, and removed at the end.
        recompute: also the official way.
        top: how many of the operations that take longest are shown.
    """
    reset_peak_memory(subject.device)
    counts = count(subject)
    product, operations = matrix_product(subject.device, PRECISIONS[subject.resolved.cell.settings.precision])
    with closing(Parts(subject, features_dir)) as parts:
        timed = {MATRIX: product} | parts.extraction()
        if subject.bank:
            timed |= parts.training()
        if subject.bank and recompute:
            timed |= parts.official()
        times = in_turns(timed, rounds, subject.device)
        watched = {name: do for name, do in timed.items() if name in ("encoding", "extraction", "training")}
        busy = busy_shares(watched, times, subject.device)
        table = top_operations(watched, top, subject.device) if top else ""
        return Measurement(
            subject, counts, times, operations, busy, peak_memory_bytes(subject.device), private_bytes(), table
        )
