"""Records on disk: one JSON file a run, its predictions beside it.

A record is written atomically and validated whenever it is read.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock
from pydantic_core import from_json

from benchmark.atomic import write_atomically
from benchmark.membership import Membership
from benchmark.record_fit import misfit, shape_of
from benchmark.records import SCHEMA, Record, shown_config
from benchmark.scoring import packed
from encoders.errors import UserError, to_json, validate, validate_json

REMEDY = "delete it and run the same command again"
"""For every record that is not whole."""


class RecordStore:
    """The records of a results folder: `records/<key>.json`, `predictions/<key>.npz`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing records or reports here meanwhile, where the file system has locks."""
        with contextlib.ExitStack() as stack:
            if self.folder.is_dir():
                try:
                    stack.enter_context(FileLock(self.folder / ".lock"))
                except NotImplementedError:
                    pass
                except OSError as error:
                    error.filename = str(self.folder)  # the lock is nothing a user knows of
                    raise
            yield

    def path(self, key: str) -> Path:
        """Where the record of a run lies, or would lie."""
        return self.folder / "records" / f"{key}.json"

    def predictions_path(self, key: str) -> Path:
        """Where the predictions of a run lie, or would lie."""
        return self.folder / "predictions" / f"{key}.npz"

    def has(self, key: str) -> bool:
        """Whether a whole record lies there, with the predictions it was made with; a damaged one counts as none."""
        try:
            predictions = self.predictions_path(key).read_bytes()
            return self.read(key).predictions_sha256 == hashlib.sha256(predictions).hexdigest()
        except (OSError, UserError):
            return False

    def write(self, record: Record, predictions: bytes) -> Path:
        """Write predictions, then the record, each atomically: whatever stops the process, no half record is seen.

        Of two processes that write the same run, neither gets the other's predictions.
        """
        if hashlib.sha256(predictions).hexdigest() != record.predictions_sha256:
            raise ValueError(f"record {record.key}: predictions_sha256 is not that of its predictions")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.alone():
            write_atomically(self.predictions_path(record.key), predictions)
            return write_atomically(self.path(record.key), to_json(record))

    def ask(self, key: str, rows: Mapping[str, str], variant: str, experiments: Iterable[Membership]) -> None:
        """Let a record that is there stand where it is asked for once more (`Record.also`).

        Raises:
            UserError: as `read`.
        """
        wanted = tuple(experiments)
        record = self.read(key)
        if record.also(rows, variant, wanted) == record:
            return
        with self.alone():
            write_atomically(self.path(key), to_json(self.read(key).also(rows, variant, wanted)))

    def read(self, key: str) -> Record:
        """Read and validate one record; raises as `read_record`."""
        return read_record(self.path(key))

    def read_light(self, key: str) -> Record:
        """`read`, and `Record.light` of it, in a third of the time; raises as `read_record`."""
        return _read_light(self.path(key))

    def keys(self) -> list[str]:
        """Of all records, sorted; none has been looked at."""
        return sorted(path.stem for path in (self.folder / "records").glob("*.json"))

    def __iter__(self) -> Iterator[Record]:
        """All records, sorted by file name, validated one by one."""
        return map(self.read, self.keys())


def read_record(path: Path) -> Record:
    """Read and validate the record in a file.

    Raises:
        UserError: the file is damaged, of another schema, its key is not that of its run, or its fields don't fit one
            another.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None
    try:
        record = validate_json(Record, text, str(path))
    except UserError as error:
        # The fields of another schema would be refused one by one, as if mistyped.
        _check_schema(_schema(text), path)
        raise UserError(f"{error}; {REMEDY}") from None
    _check_identity(record, path)
    _check_fit(record, shape_of(record.score.group_counts), record.provenance.config.get("protocol"), path)
    return record


def _read_light(path: Path) -> Record:
    """`Record.light` of a record whose bulk is looked at and never turned into objects."""
    try:
        plain = from_json(path.read_bytes())
        score, provenance = plain["score"], plain["provenance"]
        shape = None
        if isinstance(score["group_counts"], dict):
            shape, _ = packed.check(score["group_counts"])
            score["group_counts"] = []
        # Their form is free: all that can be wrong is that they are something else.
        if isinstance(plain["input_card"], dict):
            plain["input_card"] = {}
        protocol = None
        if isinstance(provenance["config"], dict):
            protocol = provenance["config"].get("protocol")
            provenance["config"] = shown_config(provenance["config"])
        record = validate(Record, plain, str(path))
        _check_identity(record, path)
        _check_fit(record, shape or shape_of(record.score.group_counts), protocol, path)
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return read_record(path).light()  # says what is wrong
    return record.light()


def _check_identity(record: Record, path: Path) -> None:
    _check_schema(record.schema, path)
    if record.key != record.run.key or record.key != path.stem:
        raise UserError(f"{path}: its key is not that of its run, so it was edited; {REMEDY}")


def _check_fit(record: Record, counts: Sequence[int] | None, protocol: object, path: Path) -> None:
    if wrong := misfit(record.score, record.run.dataset_facts, counts, protocol):
        raise UserError(f"{path}: {wrong}; {REMEDY}")


def _check_schema(schema: object, path: Path) -> None:
    if schema != SCHEMA:
        raise UserError(f"{path}: record schema {schema}, this version reads {SCHEMA}; {REMEDY}")


def _schema(text: bytes) -> object:
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return SCHEMA
    return plain.get("schema", SCHEMA) if isinstance(plain, dict) else SCHEMA
