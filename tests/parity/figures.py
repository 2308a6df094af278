"""How far our models are from what their authors' codes put out: gathered while the comparisons of this folder run.

`python -m tests.parity > docs/parity.json` runs them all and writes the figures that the documentation prints.
"""

from dataclasses import asdict, dataclass


@dataclass
class Figure:
    """The worst of some comparisons.

    Attributes:
        recording: what was compared with, a file or folder of `recordings`.
        what: the kind of tensors.
        tensors: how many were compared.
        worst: the largest error, on `scale`.
        tolerance: the largest that passes.
        scale: what an error is measured in: `absolute`, `of the largest value` of its tensor, or `relative`.
    """

    recording: str
    what: str
    tensors: int
    worst: float
    tolerance: float
    scale: str


_FOUND: dict[tuple[str, str], Figure] = {}


def note(recording: str, what: str, error: float, tolerance: float, scale: str) -> None:
    """Add a comparison that passed."""
    figure = _FOUND.setdefault((recording, what), Figure(recording, what, 0, 0.0, tolerance, scale))
    figure.tensors += 1
    figure.worst = max(figure.worst, error)


def found() -> list[dict[str, object]]:
    """What was noted, ready for JSON: by recording and kind, errors to two digits."""
    return [asdict(_FOUND[key]) | {"worst": float(f"{_FOUND[key].worst:.1e}")} for key in sorted(_FOUND)]
