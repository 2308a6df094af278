"""With what a record was made: commit, packages, device, threads. None of it is part of a record's identity."""

import platform
import re
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from benchmark.records import Provenance

PACKAGES = ("torch", "diffusers", "transformers", "numpy", "scikit-learn", "scipy", "torchmetrics", "h5py", "geobench")
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
CPUS = Path("/proc/cpuinfo")
CHECKOUT = Path(__file__).parent.parent


def provenance(device: str, config: dict[str, object]) -> Provenance:
    """The provenance of a record made now, in this process, on `device`."""
    import torch

    commit, dirty = git_state()
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        git_commit=commit,
        git_dirty=dirty,
        packages=versions(),
        python=platform.python_version(),
        device=torch.cuda.get_device_name() if device == "cuda" else cpu_name(),
        threads=torch.get_num_threads(),
        config=config,
        host=platform.node(),
    )


def cpu_name() -> str:
    """What this machine's CPU is called; its architecture where the system has no name for it."""
    try:
        named = re.search(
            r"^model name[ \t]*:[ \t]*(\S.*)$", CPUS.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Installed versions of the packages whose arithmetic enters a number."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> tuple[str, bool]:
    """Commit of the checkout this code runs from and whether it has changes; ("", False) outside a checkout."""
    if not (CHECKOUT / ".git").exists():
        return "", False
    command = ["git", "-C", str(CHECKOUT)]
    try:
        commit = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run([*command, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return commit.stdout.strip(), bool(status.stdout.strip())


def reset_peak_memory(device: str) -> None:
    """Start counting anew, so that a run's peak is its own; where the system can't, the process's peak stays."""
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5")


def peak_memory_bytes(device: str) -> int:
    """Most memory in use since `reset_peak_memory`: of the GPU, or resident in this process."""
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    if STATUS.exists():
        peaks = [line.split() for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(peaks[0][1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
