"""Start-up times the project promises: --help under 0.7 s, list under 2 s (best of three, warm)."""

import subprocess
import sys
import time
from pathlib import Path

LIMITS = {("--help",): 0.7, ("list", "encoders"): 2.0, ("list", "datasets"): 2.0}
EVALUATE = Path(__file__).parent.parent / "evaluate.py"


def seconds(arguments: tuple[str, ...]) -> float:
    """Best of three runs after one to warm up."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        subprocess.run([sys.executable, str(EVALUATE), *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times[1:])


measured = {arguments: seconds(arguments) for arguments in LIMITS}
for arguments, limit in LIMITS.items():
    print(f"evaluate.py {' '.join(arguments)}: {measured[arguments]:.2f} s, limit {limit} s")
sys.exit(any(measured[arguments] > limit for arguments, limit in LIMITS.items()))
