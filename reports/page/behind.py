"""What stands in a record's file and is not kept in memory when many are merged; and confusions, added over seeds.

The file was validated when it was merged; it is read again as plain JSON, of which nothing but its shape is relied on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from benchmark.record_store import RecordStore
from encoders.errors import UserError

MOST_CLASSES = 64
"""Of more classes a page keeps hits, truths and predictions of each, and no matrix."""


@dataclass(frozen=True)
class Behind:
    """Parts of a record's file, as plain JSON."""

    card: Mapping[str, Any]
    config: Mapping[str, Any]
    packages: Mapping[str, str]


def read(folder: Path, key: str) -> Behind:
    """Read the record of a results folder again.

    Raises:
        UserError: it is gone or damaged since it was merged.
    """
    path = RecordStore(folder).path(key)
    try:
        plain = from_json(path.read_bytes())
        provenance = plain["provenance"]
        return Behind(plain["input_card"], provenance["config"], provenance["packages"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: changed while it was read ({error}); run `report` again") from None


def added(confusions: Sequence[list[Any]]) -> dict[str, Any] | None:
    """Confusions added over seeds; None where their shapes differ.

    Returns:
        `cells` row by row: all K x K numbers [truth, prediction] (`kind` matrix), or hits, truths and predictions of
        each class (`kind` counts); `size` is K.
    """
    tables = [np.asarray(one, dtype=np.int64) for one in confusions]
    if any(table.shape != tables[0].shape for table in tables) or tables[0].ndim not in (2, 3):
        return None
    total = np.sum(tables, axis=0)
    if total.ndim == 2 and len(total) <= MOST_CLASSES:
        return {"kind": "matrix", "size": len(total), "cells": total.ravel().tolist()}
    if total.ndim == 2:
        counts = np.stack([total.diagonal(), total.sum(axis=1), total.sum(axis=0)], axis=1)
    else:
        counts = np.stack([total[:, 1, 1], total[:, 1].sum(axis=1), total[:, :, 1].sum(axis=1)], axis=1)
    return {"kind": "counts", "size": len(total), "cells": counts.ravel().tolist()}
