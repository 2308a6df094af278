"""Whether the fields of a record's score fit one another; each alone is checked by its type (`benchmark.records`).

Reports add confusions up over seeds and pair resamples between rows, so what fits nothing must not reach them.
"""

from collections.abc import Mapping, Sequence

from benchmark.records import Score
from benchmark.scoring import statistics
from benchmark.scoring.packed import Nested

LOWEST, HIGHEST = -1.001, 2.001
"""Of `statistics.resample`, with room for rounding."""


def misfit(score: Score, facts: Mapping[str, object], counts: Sequence[int] | None, protocol: object) -> str:
    """What is wrong with the first field that doesn't fit the others, a clause; empty where all do.

    Args:
        facts: `Run.dataset_facts`.
        counts: the shape of its group counts, None where there is none (`shape_of`).
        protocol: of `Provenance.config`, if it is there.
    """
    if score.headline not in score.metrics:
        return f"'score.headline' is '{score.headline}', which is not among score.metrics"
    if score.interval.low > score.interval.high:
        return f"'score.interval' begins at {score.interval.low}, above its end {score.interval.high}"
    if counts is None:
        return "'score.group_counts' holds no counts, or lists of unequal lengths"
    if counts[1] != score.n_groups:
        return f"'score.n_groups' is {score.n_groups}, where score.group_counts has {counts[1]}"
    return _confusion(score, facts) or _resamples(score, protocol)


def shape_of(counts: Nested) -> tuple[int, int, int] | None:
    """(fits, groups, counts) of nested lists; None where lists of one depth differ in length, or are empty."""
    groups, width = {len(fit) for fit in counts}, {len(group) for fit in counts for group in fit}
    return (len(counts), groups.pop(), width.pop()) if len(groups) == len(width) == 1 and width != {0} else None


def _confusion(score: Score, facts: Mapping[str, object]) -> str:
    rows, classes = score.confusion, facts.get("num_classes", len(score.confusion))
    several = bool(facts.get("multilabel", isinstance(rows[0][0], list))) if rows else False
    # Of several labels each has a table of 2 x 2, which its type sees to.
    width = 2 if several else classes
    if len(rows) == classes and all(len(row) == width and isinstance(row[0], list) is several for row in rows):
        return ""
    shape = f"{classes} tables of 2 x 2" if several else f"{classes} x {classes}"
    return f"'score.confusion' has {len(rows)} rows and is not {shape}, as run.dataset_facts has it"


def _resamples(score: Score, protocol: object) -> str:
    try:
        drawn = statistics.unpack(score.resamples)
    except ValueError:
        return "'score.resamples' is no base64 of float32 numbers"
    asked = protocol.get("test_bootstraps") if isinstance(protocol, dict) else None
    wanted = 0 if score.n_groups < 2 else asked
    if wanted is not None and len(drawn) != wanted:
        return f"'score.resamples' holds {len(drawn)} numbers instead of {wanted}"
    # A metric plus the score less the mean of its refits, each in [0, 1]; False of what is no number.
    if len(drawn) and not (drawn.min() >= LOWEST and drawn.max() <= HIGHEST):
        return f"'score.resamples' holds a number that isn't between {LOWEST} and {HIGHEST}"
    return ""
