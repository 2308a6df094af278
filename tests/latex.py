"""Compiles what a report wrote, with plain pdflatex, as its first lines say."""

import subprocess
from pathlib import Path


def compiled(folder: Path, name: str = "leaderboard") -> str:
    """pdflatex's output on a folder's NAME.tex; fails the test where it stops."""
    text = (folder / f"{name}.tex").read_text()
    paper = "\n".join(line.removeprefix("%   ") for line in text.splitlines() if line.startswith("%   "))
    (folder / "paper.tex").write_text(paper)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout
