"""A dataset of one's own, from its YAML file: the keys of the catalogue's files, and `files` for where samples lie.

Whatever cannot be is refused here, before any image is looked at; docs/add-your-dataset.md shows whole files.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.data.dataset import OWN, Dataset, Files
from benchmark.data.own.patterns import WORDS, Pattern, parse
from benchmark.data.own.table import USUAL
from benchmark.data.readers import SPLITS
from encoders import elsewhere
from encoders.errors import UserError, nearest, validate
from encoders.spec import Unit

OURS = ("benchmark", "bundled", "archive", "normalizer", "splits", "aliases", "size_gb", "pixels", "masks", "file")
"""Keys of the catalogue's files that say what only GEO-Bench's datasets have."""
MAX_CLASSES = {"classification": 1000, "segmentation": 256}
"""Masks are kept in 8 bits."""
MEASURED: tuple[Unit, ...] = ("dn", "reflectance", "dn8")
"""Units of Sentinel-2 whose true-colour stretch depends on the product level."""
NO_DATA = "no data"
TORCHGEO = "torchgeo:"


def describe(path: Path) -> Dataset:
    """The dataset that a YAML file describes.

    Raises:
        UserError: the file cannot be read, or says what cannot be; names the key.
    """
    plain = elsewhere.load(path)
    for key in (one for one in OURS if one in plain):
        where = "write it under 'files'" if key in ("splits", "masks") else "GEO-Bench's alone have it, leave it out"
        raise UserError(f"{path}: '{key}' is not a key of datasets of your own; {where}")
    elsewhere.check_name(path, plain)
    found = validate(Dataset, _filled_in(plain, path), str(path))
    for what in _faults(found):
        raise UserError(f"{path}: {what}")
    return found


def _filled_in(plain: dict[str, Any], path: Path) -> dict[str, Any]:
    """The keys of `Dataset`, with what a file of one's own may leave out."""
    given = dict(plain)
    files = dict(given["files"]) if isinstance(given.get("files"), dict) else given.get("files", {})
    classes, size = given.get("class_names"), given.get("image_size")
    if isinstance(classes, list) and "num_classes" not in given:
        given["num_classes"] = len(classes)
    if isinstance(size, int):
        given["image_size"] = [size, size]
    if isinstance(given.get("bands"), list):
        given["bands"] = [_named(band) for band in given["bands"]]
    if given.get("task") == "segmentation" and isinstance(files, dict):
        _count_no_data(given, files)
    metrics = {"segmentation": "miou_truth" if given.get("no_data") is None else "miou_labelled"}
    by_label = "f1_micro" if given.get("multilabel") else "accuracy"
    usual = {
        "title": given["name"],
        "licence": "not stated",
        "metric": metrics.get(str(given.get("task")), by_label),
        "files": files,
        "benchmark": OWN,
        "splits": {"train": None, "valid": None, "test": None},
        "file": str(path.resolve()),
    }
    return usual | given | {"files": files}


def _named(band: object) -> object:
    return {"name": band.get("band")} | band if isinstance(band, dict) else band


def _count_no_data(given: dict[str, Any], files: dict[str, Any]) -> None:
    """Make what stands in masks for unlabelled pixels a class: its own, or one more behind the others."""
    value, classes = given.get("no_data"), given.get("num_classes")
    if type(value) is not int or type(classes) is not int or not 0 < classes <= MAX_CLASSES["segmentation"]:
        return
    values = list(files.get("mask_values") or range(classes))
    if value not in values:
        values.append(value)
        given["num_classes"] = classes + 1
        if isinstance(given.get("class_names"), list):
            given["class_names"] = [*given["class_names"], NO_DATA]
    files["mask_values"] = values
    given["no_data"] = values.index(value)


def _faults(found: Dataset) -> Iterable[str]:
    """What cannot be, a sentence each with its remedy."""
    assert found.files is not None
    yield from _band_faults(found)
    yield from _class_faults(found)
    fitting = {"segmentation": ("miou_truth", "miou_labelled")}.get(found.task) or (
        ("f1_micro",) if found.multilabel else ("accuracy",)
    )
    if found.metric not in fitting:
        yield f"'metric' is {found.metric}; for this task choose from: {', '.join(fitting)}"
    reader = found.files.reader
    if reader.startswith(TORCHGEO):
        yield from _torchgeo_faults(found, found.files)
    elif reader == "images":
        yield from _image_faults(found, found.files)
    else:
        yield f"'files.reader' is '{reader}'; write images, or torchgeo: and the name of a dataset there"
    yield from _split_faults(found.files)


def _band_faults(found: Dataset) -> Iterable[str]:
    for what, values in (("name", [one.name for one in found.bands]), ("band", [one.band for one in found.bands])):
        double = [value for value, count in Counter(values).items() if count > 1]
        if double:
            yield f"'bands' have the {what} '{double[0]}' twice; each is one channel, give each its own"
    if not any(one.ingest and one.unit for one in found.bands):
        yield "'bands' have no band with a unit, so no encoder could be fed; say what values count (`unit: byte`)"
    for band in found.bands:
        if band.grid or band.stored_as:
            yield f"'bands': {band.name} has a grid or a stored_as, which GEO-Bench's alone have; leave it out"
    known = [one.band for one in found.bands if one.ingest]
    checked = [check.band for check in found.ranges] + [name for check in found.correlations for name in check.bands]
    for name in checked:
        if name not in known:
            yield f"'ranges' or 'correlations' name the band '{name}'; {nearest(name, known)}"
    if found.sensor == "sentinel2" and found.product_level is None and any(b.unit in MEASURED for b in found.bands):
        yield "'product_level' is missing; add L1C or L2A, which the true-colour stretch of Sentinel-2 depends on"


def _class_faults(found: Dataset) -> Iterable[str]:
    least, most = 1 if found.multilabel else 2, MAX_CLASSES[found.task]
    if not least <= found.num_classes <= most:
        yield f"'num_classes' is {found.num_classes}; give {least} to {most}, or 'class_names'"
    elif found.class_names is not None and len(found.class_names) != found.num_classes:
        yield f"'class_names' are {len(found.class_names)}, 'num_classes' is {found.num_classes}; make them agree"
    elif found.class_names is not None and len(set(found.class_names)) < len(found.class_names):
        double = max(found.class_names, key=found.class_names.count)
        yield f"'class_names' hold '{double}' twice; give each class a name of its own"
    if found.multilabel and found.task == "segmentation":
        yield "'multilabel' is for classification; leave it out"
    if found.no_data is not None and found.task == "classification":
        yield "'no_data' is for masks; leave it out"


def _image_faults(found: Dataset, files: Files) -> Iterable[str]:
    if files.arguments:
        yield "'files.arguments' are for torchgeo's datasets; leave them out"
    if not files.images:
        yield "'files.images' is missing; say where images lie, such as `images: images/{label}/{name}.tif`"
        return
    paths = {"images": parse(files.images, "files.images"), "masks": parse(files.masks, "files.masks")}
    images, masks = paths["images"], paths["masks"]
    yield from _word_faults(found, images, masks)
    if (found.task == "segmentation") != bool(files.masks):
        needed = "is missing; say where masks lie, such as `masks: masks/{name}.png`"
        yield f"'files.masks' {needed if found.task == 'segmentation' else 'is for segmentation; leave it out'}"
    labelled = "label" in images.words or bool(files.table)
    if found.task == "classification" and not labelled:
        yield "nothing says what an image shows; write `{label}` for the folder that does, or give a 'files.table'"
    if (found.groups.by == "files") != ("group" in images.words) and not files.table:
        yield "'groups' and `{group}` in 'files.images' go together: write both (`groups: {by: files, ...}`) or neither"
    for key in (key for key in files.columns if key not in USUAL):
        yield f"'files.columns' names a column for '{key}'; {nearest(key, USUAL)}"
    if files.columns and not files.table:
        yield "'files.columns' names columns, but there is no 'files.table'; add it, or leave them out"
    values = files.mask_values
    if values and (len(set(values)) != len(values) or len(values) != found.num_classes):
        yield f"'files.mask_values' are {list(values)}; give {found.num_classes} different ones, in class order"
    if any(isinstance(share, dict) for share in files.splits.values()):
        yield "'files.splits' hold arguments, which torchgeo's datasets take; give shares of 1, such as `valid: 0.2`"


def _word_faults(found: Dataset, images: Pattern, masks: Pattern) -> Iterable[str]:
    if "name" not in images.words:
        yield "'files.images' has no `{name}`, by which samples are told apart; write it where their names stand"
    for word in sorted(masks.words - (images.words - {"band"})):
        yield f"'files.masks' has `{{{word}}}`, which 'files.images' doesn't say; use its words: {_list(images.words)}"
    if "*" in masks.text:
        yield "'files.masks' has a `*`; write the words of 'files.images', so that each image has one mask"
    if "label" in images.words and (found.task == "segmentation" or found.multilabel):
        yield "'files.images' has `{label}`, but a label here is no single class; write `*` for that folder"


def _torchgeo_faults(found: Dataset, files: Files) -> Iterable[str]:
    if not files.reader.removeprefix(TORCHGEO).isidentifier():
        yield f"'files.reader' is '{files.reader}'; write torchgeo: and the name of a dataset there"
    for key in ("images", "masks", "table", "columns", "pixels_without_data"):
        if getattr(files, key) not in ("", {}, None):
            yield f"'files.{key}' is for images; torchgeo's datasets know where their files lie, leave it out"
    for key in ("root", "download", "transforms", "transform"):
        given = [files.arguments, *(one for one in files.splits.values() if isinstance(one, dict))]
        if any(key in one for one in given):
            told = "give it as 'files.root'" if key == "root" else "nothing is downloaded or changed here, leave it out"
            yield f"the arguments hold '{key}'; {told}"
    if found.groups.by in ("files", "name"):
        yield "'groups' by files or name are for images; torchgeo's samples have no names, choose sample or mask"
    arguments = [one for one in files.splits.values() if isinstance(one, dict)]
    if any(arguments.count(one) > 1 for one in arguments):
        yield "'files.splits' give two splits the same arguments, so they would be the same images; tell them apart"


def _split_faults(files: Files) -> Iterable[str]:
    for name in (name for name in files.splits if name not in SPLITS):
        yield f"'files.splits' has '{name}'; {nearest(name, SPLITS)}"
    shares = {name: share for name, share in files.splits.items() if isinstance(share, float)}
    if len(shares) == 3 and abs(sum(shares.values()) - 1) > 1e-6:
        yield f"the shares in 'files.splits' add up to {sum(shares.values()):g}; make that 1"
    whole = len(shares) == 3 or len(shares) == 0 or list(shares) == ["valid"]
    if not whole:
        yield "'files.splits' is neither shares of train, valid and test, nor one of train's images for valid alone"


def _list(words: Iterable[str]) -> str:
    return ", ".join(f"{{{word}}}" for word in WORDS if word in words)
