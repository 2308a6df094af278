"""Which samples a folder of images holds, and what paths and a table say of each; no image is opened for it."""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.dataset import Dataset, Files
from benchmark.data.own import patterns
from benchmark.data.own.patterns import SPLIT_NAMES
from benchmark.data.own.rasters import SUFFIXES
from benchmark.data.own.table import Table, read
from encoders.errors import UserError, nearest

LOOKED_AT = 1000
"""Files among which an example is looked for where none fits."""
LABELS = ";"
"""Between the labels of an image with several."""


@dataclass(frozen=True)
class Entry:
    """One sample.

    Attributes:
        images: its image file, or one for each band in the dataset's order.
        label: class number, or zeros and ones for each class; None for masks.
        split, group: where the files say so.
    """

    name: str
    images: tuple[Path, ...]
    mask: Path | None
    label: int | tuple[int, ...] | None
    split: str | None
    group: str | None


@dataclass(frozen=True)
class Index:
    """The samples of a dataset, by name in order, and how many images have no row in its table."""

    entries: Mapping[str, Entry]
    without_row: int = 0


def build(dataset: Dataset, root: Path) -> Index:
    """Find the samples.

    Raises:
        UserError: no file fits; names that occur twice or cannot be kept; a mask, band or row that is missing; a label
            or split that is none.
    """
    files = dataset.files
    assert files is not None
    images = patterns.parse(files.images, f"{dataset.file}: files.images")
    masks = patterns.parse(files.masks, f"{dataset.file}: files.masks")
    bands = [band.name for band in dataset.bands if band.ingest]
    found = _by_name(list(patterns.find(root, images, bands)), "band" in images.words)
    if not found:
        raise UserError(
            f"{root}: no file fits '{files.images}'{_instead(root)}; correct 'files.images' in {dataset.file}"
        )
    table = read(root / files.table, files.columns, dataset.class_names or ()) if files.table else None
    _check_said_once(dataset, files, images, table)
    told = [(name, said, paths) for name, (said, paths) in found.items() if table is None or name in table.rows]
    if table is not None:
        _check_rows(table, [name for name, *_ in told], files.images, list(found))
    entries = {}
    for name, said, paths in told:
        row = said | (dict(table.rows[name]) if table else {})
        where = table.where(name) if table else str(next(iter(paths.values())))
        entries[name] = Entry(
            name=name,
            images=_in_order(dataset, name, paths),
            split=_split(row["split"], where) if "split" in row else None,
            group=_group(row["group"], where) if "group" in row else None,
            label=_label(dataset, row, table, where),
            mask=_mask(root / masks.fill(said)) if files.masks else None,
        )
    return Index(entries, len(found) - len(entries))


_Found = dict[str, tuple[dict[str, str], dict[str, Path]]]


def _by_name(found: Sequence[tuple[Path, dict[str, str]]], by_band: bool) -> _Found:
    """What paths say of each sample, and its files by band (one under '' where all bands are in it)."""
    samples: _Found = {}
    for path, said in found:
        name, band = said["name"], said.get("band", "")
        if not name.isprintable():
            raise UserError(f"{str(path)!r}: its name holds characters that cannot be printed; rename the file")
        if name not in samples:
            samples[name] = said, {band: path}
            continue
        first, others = samples[name]
        if not by_band or band in others or first | {"band": band} != said:
            other = others.get(band, next(iter(others.values())))
            raise UserError(
                f"{path} and {other} are both called '{name}', by which samples are told apart; rename one, or, if "
                f"it is one image in two splits, take one out"
            )
        others[band] = path
    return dict(sorted(samples.items()))


def _instead(root: Path) -> str:
    """An example of what is there, an image if there is one among the first files."""
    files = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    there = sorted(itertools.islice(files, LOOKED_AT), key=lambda path: (path.suffix.lower() not in SUFFIXES, path))
    return f" ({there[0].relative_to(root)} is there, for example)" if there else ""


def _check_said_once(dataset: Dataset, files: Files, images: patterns.Pattern, table: Table | None) -> None:
    """Check that path and table don't both say the same, and that what is said is asked for."""
    columns = table.columns if table else frozenset[str]()
    for word in sorted((columns & images.words) - {"name"}):
        raise UserError(f"{dataset.file}: 'files.images' and the table both say the {word}; take one of them out")
    if (
        dataset.task == "classification"
        and not (table is not None and table.hot)
        and "label" not in columns | images.words
    ):
        wanted = "or one of zeros and ones for each class" if dataset.multilabel else "or 'files.images' `{label}`"
        raise UserError(f"{table.path if table else dataset.file}: has no column 'label'; add it, {wanted}")
    if ("group" in columns | images.words) != (dataset.groups.by == "files"):
        raise UserError(
            f"{dataset.file}: a column 'group' and `groups: {{by: files, ...}}` go together; write both or neither"
        )


def _check_rows(table: Table, named: Sequence[str], pattern: str, there: Sequence[str]) -> None:
    known = set(named)
    strangers = [name for name in table.rows if name not in known]
    if strangers:
        raise UserError(
            f"{table.where(strangers[0])}: '{strangers[0]}' has no image ({len(strangers)} such rows), where files "
            f"that fit '{pattern}' are named like '{there[0]}'; take the row out, or correct one of them"
        )


def _in_order(dataset: Dataset, name: str, paths: Mapping[str, Path]) -> tuple[Path, ...]:
    if "" in paths:
        return (paths[""],)
    bands = [band.name for band in dataset.bands if band.ingest]
    for band in bands:
        if band not in paths:
            raise UserError(
                f"{next(iter(paths.values())).parent}: sample '{name}' has no file of band '{band}'; add it"
            )
    return tuple(paths[band] for band in bands)


def _mask(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: the mask is missing; add it, or take its image out")
    return path


def _label(dataset: Dataset, row: Mapping[str, str], table: Table | None, where: str) -> int | tuple[int, ...] | None:
    if dataset.task == "segmentation":
        return None
    if not dataset.multilabel:
        return _class(row["label"], dataset, where)
    if table is not None and table.hot:
        return tuple(_zero_or_one(row[f"is {name}"], name, where) for name in table.hot)
    said = {_class(one.strip(), dataset, where) for one in row["label"].split(LABELS) if one.strip()}
    return tuple(int(number in said) for number in range(dataset.num_classes))


def _class(text: str, dataset: Dataset, where: str) -> int:
    """The number of a class, by its name; by the number itself where names are no numbers."""
    names = dataset.class_names or ()
    if text in names:
        return names.index(text)
    if not any(name.isdecimal() for name in names) and text.isdecimal() and int(text) < dataset.num_classes:
        return int(text)
    choices = names or [f"0 to {dataset.num_classes - 1}"]
    raise UserError(f"{where}: its label '{text}' is no class of {dataset.name}; {nearest(text, choices)}")


def _zero_or_one(text: str, name: str, where: str) -> int:
    if text not in ("0", "1"):
        raise UserError(f"{where}: column '{name}' holds '{text}'; write 0 or 1")
    return int(text)


def _split(text: str, where: str) -> str:
    if text.lower() not in SPLIT_NAMES:
        raise UserError(f"{where}: its split is '{text}'; {nearest(text.lower(), ('train', 'valid', 'test'))}")
    return SPLIT_NAMES[text.lower()]


def _group(text: str, where: str) -> str:
    if not text:
        raise UserError(f"{where}: its group is empty; name one, the sample's own name where it stands alone")
    return text
