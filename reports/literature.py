"""Numbers that others have published on GEO-Bench, one CSV a source in `reports/published/`.

They stand beside ours, each with its protocol, and are never ranked with them: between protocols one checkpoint on
one dataset scores from 20 to 65.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from encoders.errors import UserError, strict, validate

FOLDER = Path(__file__).parent / "published"


@strict
@dataclass(frozen=True)
class Published:
    """One published number; all texts in the words of its source.

    Attributes:
        table: in which it stands; encoder, variant: the model, and which of its rows.
        metric: with `(%)` where `value` and `std` are percent, else they are fractions.
        std: over the source's seeds; None where it gives none.
        protocol_note: what makes it comparable, or not.
    """

    source: str
    table: str
    encoder: str
    variant: str
    dataset: str
    task: Literal["classification", "multilabel", "segmentation"]
    metric: str
    value: float
    std: float | None
    protocol_note: str
    url: str

    def __post_init__(self) -> None:
        for name in ("source", "variant", "dataset", "metric", "url"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} is empty")
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"value {self.value} of '{self.metric}' is not in range")

    @property
    def fraction(self) -> float:
        """The value in [0, 1]."""
        return round(self.value / 100, 6) if "%" in self.metric else self.value

    @property
    def std_fraction(self) -> float:
        """The deviation over seeds on the scale of `fraction`; 0 where there is none."""
        return round((self.std or 0.0) / (100 if "%" in self.metric else 1), 6)


COLUMNS = [field.name for field in fields(Published)]


def read(path: Path) -> list[Published]:
    """The numbers of one file, in its order.

    Raises:
        UserError: names the file and line, and the column that is wrong in it.
    """
    try:
        with path.open(newline="", encoding="utf-8") as text:
            lines = csv.reader(text, strict=True)
            header = next(lines, [])
            if header != COLUMNS:
                raise UserError(f"{path}: its columns are {', '.join(header)} instead of {', '.join(COLUMNS)}")
            return [_row(path, lines.line_num, values) for values in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: cannot be read as a CSV file ({reason}); restore it") from None


def read_all(folder: Path = FOLDER) -> list[Published]:
    """The numbers of every file of a folder, by file name; raises as `read`."""
    return [one for path in sorted(folder.glob("*.csv")) for one in read(path)]


def _row(path: Path, line: int, values: Sequence[str]) -> Published:
    if len(values) != len(COLUMNS):
        raise UserError(f"{path} line {line}: {len(values)} values for {len(COLUMNS)} columns; quote those with commas")
    plain: dict[str, object] = dict(zip(COLUMNS, values, strict=True))
    plain["std"] = plain["std"] or None
    return validate(Published, plain, f"{path} line {line}")
