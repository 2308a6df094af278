"""`python -m docs.generate` writes every generated file of `docs/` that needs neither weights nor minutes."""

from collections.abc import Callable
from pathlib import Path

from benchmark.commands import experiments_page
from benchmark.data import matrix
from docs.generate import card, flow, record

ROOT = Path(__file__).parent.parent.parent
FILES: dict[str, Callable[[], str]] = {
    "docs/matrix.md": matrix.page,
    "docs/experiments.md": experiments_page.page,
    "docs/record.md": record.record_page,
    "docs/add-your-encoder.md": lambda: card.filled(card.PAGE.read_text(encoding="utf-8")),
    "docs/assets/flow.svg": flow.picture,
}

if __name__ == "__main__":
    for name, text in FILES.items():
        (ROOT / name).write_text(text(), encoding="utf-8")
