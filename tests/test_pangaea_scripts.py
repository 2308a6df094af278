"""Beside PANGAEA's own scripts: names of packages stay ours, and a script that asks for CUDA runs on the CPU."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import encoders
from benchmark.interop import pangaea_on_cpu
from encoders.errors import UserError

ROOT = Path(__file__).parent.parent
CPU = ROOT / "benchmark" / "interop" / "pangaea_on_cpu.py"


def python(*arguments: str, cwd: Path, path: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    known = {name: value for name, value in os.environ.items() if name != "PANGAEA_DIR"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env=known | {"PYTHONPATH": str(path)} | environment,
    )  # fmt: skip


def test_beside_pangaeas_scripts_our_packages_keep_their_names(tmp_path: Path) -> None:
    """`python pangaea/run.py` has PANGAEA's folders `encoders` and `decoders` first on its path."""
    for name in ("encoders", "decoders"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise AssertionError('PANGAEA's')\n".replace("'s'", "s'"))
    (tmp_path / "run.py").write_text(
        "import benchmark.interop, encoders, decoders.schedule; print(encoders.built_in()[0])\n"
    )
    done = python(str(tmp_path / "run.py"), cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, encoders.built_in()[0]), done.stderr
    (tmp_path / "encoders" / "__init__.py").write_text("")
    (tmp_path / "late.py").write_text("import encoders, benchmark.interop\n")
    done = python(str(tmp_path / "late.py"), cwd=tmp_path)
    assert "the name 'encoders' is taken by" in done.stderr


SCRIPT = """
import os, sys, torch
from torch import nn
device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
torch.cuda.set_device(device)
torch.distributed.init_process_group(backend="nccl")
model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.SyncBatchNorm(2)).to(device)
model = torch.nn.parallel.DistributedDataParallel(model, device_ids=[0], output_device=0)
model(torch.ones(2, 1, 2, 2, device=device)).sum().backward()
assert isinstance(device, torch.device) and isinstance(torch.ones(1).device, torch.device)
print(device, torch.distributed.get_backend(), type(model.module[1]).__name__, sys.argv[1:])
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_script_that_asks_for_cuda_runs_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.py").write_text(SCRIPT)
    replaced: list[tuple[Any, str]] = [(torch, "device"), (torch.cuda, "set_device"), (nn, "SyncBatchNorm")]
    replaced += [(torch.distributed, "init_process_group"), (nn.parallel, "DistributedDataParallel")]
    replaced += [(sys, "argv"), (sys, "path")]
    for owner, name in replaced:
        # Put back after the test.
        now = getattr(owner, name)
        monkeypatch.setattr(owner, name, list(now) if isinstance(now, list) else now)
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    try:
        pangaea_on_cpu.main([str(tmp_path / "run.py"), "a=1"])
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert capsys.readouterr().out.split("\n")[0] == "cpu gloo BatchNorm2d ['a=1']"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_what_cannot_run_on_the_cpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.py").write_text("raise AssertionError\n")
    with pytest.raises(UserError, match=r"'nothing\.py' is no script; give PANGAEA's, such as pangaea/run\.py"):
        pangaea_on_cpu.main(["nothing.py"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="give torchrun --nproc_per_node=1"):
        pangaea_on_cpu.main([str(tmp_path / "run.py")])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match="this machine has a GPU"):
        pangaea_on_cpu.main([str(tmp_path / "run.py")])
