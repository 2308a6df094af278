"""A bad input as a user meets it: a command line, and what was done to the folders before; and what must follow.

Whatever the case, the command ends with exit code 2 and one line of error, which names the file or field and a
remedy. No folder holds a new file but what `_allowed` says: whole things, and locks.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import evaluate
from benchmark.scoring import npz
from encoders.checkpoints import DIGESTS

ROOT = Path(__file__).parents[2]
LONGEST_LINE = 1500
"""Characters of a line of error; paths of tests are long."""
LARGEST_PICTURES = 10**8
REMEDIES = (
    *("choose", "give", "download", "delete", "did you mean", "it must", "must be", "see `", "add", "leave", "name ", "say "),
    *("write", "fetch", "correct", "check", "make room", "restore", "mend", "set ", "run ", "use ", "make some", "quote"),
    *("begin with", "save it", "put ", "try", "needs", "change", "read ", "install", "remove"),
)  # fmt: skip
"""Words that tell what to do; an error without any of them leaves its reader alone."""


def floor(root: str) -> tuple[str, ...]:
    """The command of the quickest run there is, on the m-eurosat of a root."""
    return (
        *("--encoder", "imagestats", "--dataset", "m-eurosat", "--data-root", root),
        *("--output", "{output}", "--probe", "knn"),
    )


@dataclass(frozen=True)
class Place:
    """The folders of one case, all below one; each is compared before and after.

    Attributes:
        shared: a folder of all cases, not to be changed: `root`, and `data`, which is read already.
    """

    folder: Path
    shared: Path

    def __post_init__(self) -> None:
        for name in ("home", "weights", "tmp", "work"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        """GEO-Bench's root."""
        return self.folder / "root"

    @property
    def home(self) -> Path:
        """`$SATDIFUSER_BENCH_HOME`."""
        return self.folder / "home"

    @property
    def weights(self) -> Path:
        """`--weights`."""
        return self.folder / "weights"

    @property
    def output(self) -> Path:
        """`--output`, and what `results` is from the working folder."""
        return self.folder / "work" / "results"

    @property
    def tmp(self) -> Path:
        """The system's folder for temporary files."""
        return self.folder / "tmp"

    @property
    def work(self) -> Path:
        """The working folder."""
        return self.folder / "work"

    def dataset(self, name: str = "m-eurosat") -> Path:
        """The folder of a dataset of the root."""
        (found,) = self.root.glob(f"*/{name}")
        return found

    def environment(self) -> dict[str, str]:
        """What differs from this process's environment."""
        return {"SATDIFUSER_BENCH_HOME": str(self.home), "TMPDIR": str(self.tmp)}


Spoil = Callable[[Place], None]
"""Makes the input bad."""


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        name: unique within its family.
        argv: the command line; `{root}`, `{home}`, `{weights}`, `{output}` and `{folder}` stand for the place's.
        names: what the line must hold: the file or field at least. Placeholders as in `argv`.
        spoil: what was done to the folders before; None where the command line itself is bad.
        datasets: what the root holds.
        read: what the shared root holds, and is read already: for cases that go wrong later.
    """

    name: str
    argv: tuple[str, ...]
    names: tuple[str, ...]
    spoil: Spoil | None = None
    datasets: tuple[str, ...] = ()
    read: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def filled(self, texts: Iterable[str], place: Place) -> list[str]:
        """Texts with their placeholders filled in."""
        known = {name: str(getattr(place, name)) for name in ("root", "home", "weights", "output", "folder", "shared")}
        return [re.sub(r"\{(\w+)\}", lambda one: known.get(one[1], one[0]), text) for text in texts]


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    changes: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """The lines of error."""
        return [line for line in self.err.splitlines() if line.startswith(("error: ", "impossible: "))]


def copy_root(source: Path, target: Path) -> None:
    """A dataset's folder as hard links: `replace` gives a file content of its own."""
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


def prepare(case: Case, place: Place, written: Callable[[str], Path]) -> list[str]:
    """Make a case's folders; its command line."""
    for name in case.datasets:
        source = written(name)
        copy_root(source, place.root / source.parent.name / name)
    if case.spoil:
        case.spoil(place)
    return case.filled(case.argv, place)


def replace(path: Path, content: bytes) -> None:
    """Write a file anew; another name of the old content keeps it."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def own(path: Path) -> Path:
    """The file, as a copy that may be changed."""
    replace(path, path.read_bytes())
    return path


def snapshot(folder: Path) -> dict[str, str]:
    """Every file and link below a folder, and what tells its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            try:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                found[name] = str(error.errno)
    return found


def changes(before: dict[str, str], place: Place) -> list[str]:
    """What a command left in the folders that it should not have."""
    after = snapshot(place.folder)
    gone = [f"{name} is gone" for name in before if name not in after and not _may_go(name)]
    changed = [f"{name} was changed" for name in before if after.get(name, before[name]) != before[name]]
    new = [f"{name} is new" for name in after if name not in before and not _allowed(place, name)]
    return gone + changed + new


def _may_go(name: str) -> bool:
    """Litter of an earlier process."""
    return name.endswith(".tmp")


def _allowed(place: Place, name: str) -> bool:
    """Whether a new file is a lock, or of a kind that may stay, and whole."""
    path = place.folder / name
    if path.name in ("lock", "claims") or path.name.endswith(".lock"):
        return True
    return any(path.is_relative_to(folder) and whole(path) for folder, whole in _may_stay(place).items())


def _may_stay(place: Place) -> dict[Path, Callable[[Path], bool]]:
    """Where a failed run may leave files, and what makes one whole."""
    return {
        place.output / "errors": lambda path: bool(json.loads(path.read_text())["message"]),
        place.output / "pictures": lambda path: bool(npz.read(path.read_bytes(), LARGEST_PICTURES)),
        place.weights / DIGESTS: lambda path: all(len(one) == 64 for one in json.loads(path.read_text()).values()),
        place.home / "data": lambda path: (
            path.parent.suffix != ".partial" and (path.parent / "manifest.json").is_file()
        ),
        place.home / "features": lambda path: (path.parent / "about.json").is_file(),
    }


def run(argv: list[str], place: Place, capsys: Any) -> Ended:
    """The command in this process; environment and working folder are the caller's to set."""
    before = snapshot(place.folder)
    capsys.readouterr()
    code = evaluate.main(argv)
    said = capsys.readouterr()
    return Ended(code, said.out, said.err, changes(before, place))


def run_as_process(argv: list[str], place: Place) -> Ended:
    """The command as a user's shell runs it."""
    before = snapshot(place.folder)
    done = subprocess.run(
        [sys.executable, str(ROOT / "evaluate.py"), *argv],
        cwd=place.work,
        env={key: value for key, value in os.environ.items() if key != "GEO_BENCH_DIR"} | place.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr, changes(before, place))


def check(case: Case, ended: Ended, place: Place) -> None:
    """Assert what must be so after any bad input."""
    shown = f"{case.name}: {ended.out[-2000:]}\n{ended.err[-3000:]}"
    assert "Traceback" not in ended.out + ended.err, shown
    assert ended.code == evaluate.USER_ERROR, shown
    assert len(ended.errors) == 1, shown
    (line,) = ended.errors
    for name in case.filled(case.names, place):
        assert name in line, f"the line does not name {name!r}: {line}"
    assert "bug of this project" not in line, shown
    assert any(remedy in line for remedy in REMEDIES), f"the line names no remedy: {line}"
    assert line.isprintable(), f"the line would steer a terminal: {line!r}"
    assert len(line) <= LONGEST_LINE, line
    assert ended.changes == [], ended.changes
