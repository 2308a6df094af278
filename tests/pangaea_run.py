"""PANGAEA's own run.py in a process of its own, on the CPU, and what its log says."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import configs

ROOT = Path(__file__).parent.parent
PRINTED = r"Mean\s+([\d.]+)"
ON_CPU = ("-m", "benchmark.interop.pangaea_on_cpu")


@dataclass(frozen=True)
class Said:
    """What its log says.

    Attributes:
        test: of the kept checkpoint, by metric, in PANGAEA's unit (accuracy a fraction, IoU percent).
        losses: the mean over the latest epoch's length of steps, each time it was logged.
        log: the whole of it.
    """

    test: dict[str, float]
    losses: list[float]
    log: str

    @classmethod
    def of(cls, log: str) -> "Said":
        blocks = re.findall(rf"\[(\w+)\] -* (\S+) -*\n.*?{PRINTED}", log, re.DOTALL)
        return cls(
            test={metric: float(value) for split, metric, value in blocks if split == "test"},
            losses=[float(value) for value in re.findall(r"Loss [\d.]+ \(([\d.]+)\)", log)],
            log=log,
        )


def run(root: Path, geobench: Path, folder: Path, *overrides: str, script: Sequence[str] = ON_CPU) -> Said:
    """Train and score by run.py of the checkout `root`, with torchrun.

    Args:
        script: what torchrun starts it by.
    """
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
    options = ["--config-name=train", f"--config-dir={configs.ROOT / 'pangaea'}", f"work_dir={folder / 'work'}"]
    few = [f"hydra.run.dir={folder / 'hydra'}", "num_workers=0", "test_num_workers=0"]
    known = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(root)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GEO_BENCH_DIR": str(geobench),
        "WANDB_MODE": "disabled",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [*start, *script, "pangaea/run.py", *options, *few, *overrides],
        cwd=root, capture_output=True, text=True, check=False, env=os.environ | known,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"PANGAEA's run.py ended with {done.returncode}:\n{done.stderr[-4000:]}")
    (log,) = (folder / "work").glob("*/train.log-0")
    return Said.of(log.read_text())
