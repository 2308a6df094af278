"""The wheel: built, installed into another project's fresh environment, and used there as the source is here."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmark.record_store import RecordStore

ROOT = Path(__file__).parent.parent
LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")
PACKAGES = ("encoders", "decoders", "benchmark", "configs", "reports")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/library.md").read_text(), re.DOTALL | re.MULTILINE)
COMMAND = "satdifuser-bench"
pytestmark = LONG


def call(*command: str | Path, cwd: Path, **variables: str) -> str:
    """What a command prints, run outside the source tree and its environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=inherited | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, so that this is whole too."""
    folder = tmp_path_factory.mktemp("dist")
    call("uv", "build", "--out-dir", folder, ROOT, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def interpreter(version: str) -> str | None:
    """A Python of this version: pyenv's, as .ci/run looks for it, or one that uv finds."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for python in sorted(versions.glob(f"{version}.*/bin/python"), reverse=True):
        return str(python)
    found = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


@pytest.fixture(scope="module", params=["3.11", "3.12", "3.13"])
def project(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another project with an environment of its own, `.venv`, into which the wheel is installed."""
    folder = tmp_path_factory.mktemp(f"other-{request.param}")
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"needs Python {request.param}")
    call("uv", "venv", "--python", python, ".venv", cwd=folder)
    call("uv", "pip", "install", "--python", ".venv/bin/python", wheel, cwd=folder)
    (folder / "other_project.py").write_text("from benchmark import evaluate\nfrom encoders import build\n")
    return folder


def installed(project: Path, *arguments: str) -> str:
    return call(project / ".venv/bin" / COMMAND, *arguments, cwd=project, SATDIFUSER_BENCH_HOME=str(project / "home"))


def from_source(project: Path, *arguments: str) -> str:
    """The same by `evaluate.py` of the source tree, with the same packages."""
    python = project / ".venv/bin/python"
    return call(python, ROOT / "evaluate.py", *arguments, cwd=project, SATDIFUSER_BENCH_HOME=str(project / "home2"))


def test_the_wheel_holds_packages_configs_and_images_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    tracked = call("git", "ls-files", *PACKAGES, cwd=ROOT).splitlines()
    assert held >= {*tracked, "evaluate.py"}
    others = {name for name in held - set(tracked) if ".dist-info/" not in name}
    assert others == {"evaluate.py"}
    assert wheel.stat().st_size < 5e6


def test_the_command_is_evaluate_py(project: Path) -> None:
    for arguments in (["--help"], ["list", "encoders"], ["list", "datasets"], ["run", "--help"], ["fetch", "--help"]):
        assert installed(project, *arguments) == from_source(project, *arguments)


def test_the_library_works_in_another_project(project: Path) -> None:
    lines = [snippet for snippet in SNIPPETS if "pandas" not in snippet]
    (project / "script.py").write_text("import other_project\n" + "\n".join(lines))
    said = call(project / ".venv/bin/python", "script.py", cwd=project, SATDIFUSER_BENCH_HOME=str(project / "home"))
    assert "accuracy 0." in said
    assert "did you mean imagestats" in said
    where = call(project / ".venv/bin/python", "-c", "import configs; print(configs.__file__)", cwd=project)
    assert where.startswith(str(project / ".venv"))


def test_the_demo_gives_the_same_records(project: Path) -> None:
    if ".venv/lib/python3.12" not in str(next((project / ".venv/lib").iterdir())):
        pytest.skip("on one Python alone: it takes minutes")
    installed(project, "--demo", "--device", "cpu", "--output", "wheel")
    from_source(project, "--demo", "--device", "cpu", "--output", "source")
    first, second = (list(RecordStore(project / name)) for name in ("wheel", "source"))
    assert len(first) > 8
    assert [(one.run, one.score, one.predictions_sha256) for one in first] == [
        (one.run, one.score, one.predictions_sha256) for one in second
    ]


def test_what_the_wheel_reads_lies_where_it_is_installed(project: Path) -> None:
    shutil.rmtree(project / "moved", ignore_errors=True)
    assert "real-chesapeake-patches" in installed(project, "list", "datasets")
    assert sys.prefix not in installed(project, "doctor")
