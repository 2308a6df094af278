"""kill -9 at random moments of every stage, then the same command: the records of an undisturbed run.

A chain of kills goes along the way of the data in one home, each attempt going on where the last one was killed; the
attempt at its end is left alone. SATDIFUSER_BENCH_KILLS=200 makes it long, SATDIFUSER_BENCH_SEED draws other moments.
"""

import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

from tests.faults.attempt import STAGES, Attempt, Event
from tests.faults.whole import Results, check_finished, check_interrupted, command, litter

KILLS = int(os.environ.get("SATDIFUSER_BENCH_KILLS", "0"))
SEED = int(os.environ.get("SATDIFUSER_BENCH_SEED", "0"))
A_CHAIN = 8
"""Kills in one home."""
CHANCE = {"ingest": 0.3, "extraction": 0.15, "training": 0.6, "record": 0.2, "report": 0.4}
"""That a place is the one, of those that an attempt comes by. Of a short run it is the first."""


def killed_in(stage: str, attempt: Attempt, seconds: dict[str, float], moments: random.Random) -> str:
    """Kill an attempt at a random moment of a stage; where it fell, as `Attempt.kill`.

    Args:
        seconds: that a place takes at most; the moment is drawn from these after it is entered.
    """
    entered: Event | None
    while (entered := attempt.next()) is not None:
        if entered.entered and entered.stage == stage and (not KILLS or moments.random() < CHANCE[stage]):
            rest = entered.time + moments.uniform(0, seconds[entered.place]) - time.monotonic()
            time.sleep(max(0.0, rest))
            return attempt.kill()
    assert attempt.end() == 0, attempt.said
    return "ended"


def test_killed_at_random_moments_the_same_command_gives_the_same_records(
    root: Path, undisturbed_attempt: Attempt, undisturbed: Results, tmp_path: Path
) -> None:
    moments = random.Random(SEED)
    fell: Counter[str] = Counter()
    left_temporary = chains = 0
    wanted = KILLS or len(STAGES)
    least = wanted // (2 * len(STAGES))
    started = time.monotonic()
    while fell.total() - fell["ended"] < wanted or min(fell[stage] for stage in STAGES) < least:
        chains += 1
        home, output = tmp_path / f"home{chains}", tmp_path / f"home{chains}" / "out"
        # Of a long run each chain draws its stages anew; a short one goes through all of them.
        stages = moments.choices(list(STAGES), k=A_CHAIN) if KILLS else list(STAGES)
        for stage in sorted(stages, key=list(STAGES).index):
            where = killed_in(stage, Attempt(command(root, output), home), undisturbed_attempt.seconds, moments)
            fell[where] += 1
            left_temporary += any(path.name.endswith(".tmp") for path in litter(home))
            check_interrupted(output, undisturbed)
            if where == "ended":
                break
        else:
            attempt = Attempt(command(root, output), home)
            assert attempt.end() == 0, attempt.said
        check_finished(output, home, undisturbed)
        shutil.rmtree(home)
        print(f"after chain {chains}: {dict(fell)}, {left_temporary} left a temporary file", flush=True)
    minutes = (time.monotonic() - started) / 60
    kills = {stage: fell[stage] for stage in (*STAGES, "between")}
    print(f"\nseed {SEED}: {sum(kills.values())} kills in {chains} chains, {minutes:.1f} minutes")
    print("\n".join(f"{stage:<12}{count:>5}" for stage, count in kills.items()))
    print(f"{left_temporary} kills left a temporary file; {fell['ended']} attempts ended before their moment")
