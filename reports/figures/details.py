"""What figures need of a record and no table keeps: confusion, calibration, classes, predictions, pictures.

Read when asked for, and only these parts are kept: a folder may hold thousands of records.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.pictures import files
from benchmark.record_store import RecordStore
from benchmark.scoring import npz
from benchmark.scoring.counts import Array
from encoders.errors import UserError, printable

MOST_BYTES = 4 << 30
"""What the arrays of a predictions file may take in memory."""


@dataclass(frozen=True)
class Detail:
    """Parts of a record; `no_data` is the label of unlabelled pixels, if there is one."""

    confusion: Array
    calibration: Array
    classes: list[str]
    no_data: int | None
    dataset: str
    test: str


class Details:
    """Details by key of the records that some results folders hold.

    Args:
        folders: of each record, by its key.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders
        self._read: dict[str, Detail] = {}

    def of(self, key: str) -> Detail:
        """A record's parts. The record has been validated by whoever made the tables, so it is only parsed here."""
        if key not in self._read:
            plain = json.loads(RecordStore(self._folders[key]).path(key).read_bytes())
            score, run = plain["score"], plain["run"]
            dataset = plain["provenance"]["config"].get("dataset")
            named = dataset.get("class_names") if isinstance(dataset, dict) else None
            self._read[key] = Detail(
                confusion=np.asarray(score["confusion"], np.int64),
                calibration=np.asarray(score["calibration"], np.float64),
                classes=[str(name) for name in named] if isinstance(named, list) else [],
                no_data=run["dataset_facts"].get("no_data"),
                dataset=run["dataset"],
                test=run["data"]["test"],
            )
        return self._read[key]

    def confusion(self, keys: Sequence[str]) -> Array:
        """Added up over records; (K, K), or (K, 2, 2) of several labels."""
        summed: Array = np.sum([self.of(key).confusion for key in keys], axis=0)
        return summed

    def calibration(self, keys: Sequence[str]) -> Array:
        """(bins, 3), added up over records."""
        summed: Array = np.sum([self.of(key).calibration for key in keys], axis=0)
        return summed

    def classes(self, key: str) -> list[str]:
        """Class names, the catalogue's or those kept with the examples; empty where neither knows them."""
        found = self.of(key).classes
        if not found and (shown := self.examples(key)) is not None:
            found = [str(name) for name in shown["classes"]]
        return [printable(name) for name in found]

    def examples(self, key: str) -> dict[str, Array] | None:
        """A few test images of the record's dataset, where they were kept."""
        detail = self.of(key)
        return files.read(files.examples_path(self._folders[key], detail.dataset, detail.test))

    def seen(self, key: str) -> dict[str, Array] | None:
        """What the record's fuser looked at, where it was kept."""
        return files.read(files.fuser_path(self._folders[key], key))

    def predictions(self, key: str) -> dict[str, Array] | None:
        """The record's predictions; None where they didn't come along.

        Raises:
            UserError: the file is damaged.
        """
        path = RecordStore(self._folders[key]).predictions_path(key)
        try:
            return npz.read(path.read_bytes(), MOST_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}; see `evaluate.py verify`") from None
