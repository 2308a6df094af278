"""Samples that are damaged, or are not what their dataset says: HDF5 files, their pixels, labels and metadata."""

import os
import pickle
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from benchmark.data import datasets
from tests import writing
from tests.bad_inputs.case import Case, Ended, Place, own, replace

RED, NIR = "04 - Red", "08 - NIR"
SINGLE, MASKS, MULTI = "m-eurosat", "m-pv4ger-seg", "m-bigearthnet"
SAMPLES = {SINGLE: "id_0003", MASKS: "50.1001,8.2001", MULTI: "id_0001"}
"""Of the train split, never its first."""
Edit = Callable[[h5py.File], None]
Spoil = Callable[[Place, str], None]
"""Makes a sample of a dataset bad."""


def argv(dataset: str, runs: bool) -> tuple[str, ...]:
    """The command that reads a dataset and does no more, or a whole run."""
    root = ("--data-root", "{root}", "--output", "{output}")
    if runs:
        return ("--encoder", "imagestats", "--dataset", dataset, *root)
    return ("fetch", "dataset", dataset, "--ingest", *root)


def content(change: Callable[[bytes], bytes]) -> Spoil:
    """Spoil a sample's bytes."""

    def spoil(place: Place, dataset: str) -> None:
        path = place.dataset(dataset) / f"{SAMPLES[dataset]}.hdf5"
        replace(path, change(path.read_bytes()))

    return spoil


def edit(change: Edit) -> Spoil:
    """Spoil what a sample's file holds."""

    def spoil(place: Place, dataset: str) -> None:
        with h5py.File(own(place.dataset(dataset) / f"{SAMPLES[dataset]}.hdf5"), "r+") as file:
            change(file)

    return spoil


def every(change: Edit) -> Spoil:
    """Spoil every sample alike, so that the first fixes no other dtype or shape."""

    def spoil(place: Place, dataset: str) -> None:
        for path in place.dataset(dataset).glob("*.hdf5"):
            with h5py.File(own(path), "r+") as file:
                change(file)

    return spoil


def stored(name: str, pixels: object, **options: object) -> Edit:
    """Store another array under a name."""

    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, data=pixels, **options)

    return change


def gone(name: str) -> Edit:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def attribute(value: object) -> Edit:
    def change(file: h5py.File) -> None:
        del file.attrs["pickle"]
        file.attrs["pickle"] = value

    return change


def metadata(**fields: object) -> Edit:
    return attribute(str(writing.dumps({"bands_order": [RED], **fields})))


def no_metadata(file: h5py.File) -> None:
    del file.attrs["pickle"]


def flipped(position: int) -> Callable[[bytes], bytes]:
    """One bit another, at a place that matters; counted from the end where negative."""

    def change(data: bytes) -> bytes:
        spoilt = bytearray(data)
        spoilt[position] ^= 0x10
        return bytes(spoilt)

    return change


def flipped_in(what: bytes) -> Callable[[bytes], bytes]:
    """A bit flipped within the first occurrence of some bytes."""
    return lambda data: flipped(data.index(what) + 1)(data)


def swapped(place: Place, _: str) -> None:
    """Two datasets' samples under each other's name."""
    ours, other = (place.dataset(name) / f"{SAMPLES[name]}.hdf5" for name in (SINGLE, MULTI))
    mine = ours.read_bytes()
    replace(ours, other.read_bytes())
    replace(other, mine)


def float_pixels(value: float, everywhere: bool = False) -> Edit:
    pixels = np.full((120, 120), 1000, np.float32)
    pixels[0 if not everywhere else ...] = value
    return stored(NIR, pixels)


def linked(file: h5py.File) -> None:
    del file[RED]
    file[RED] = h5py.SoftLink(f"/{NIR}")


def elsewhere(file: h5py.File) -> None:
    del file[RED]
    file[RED] = h5py.ExternalLink("/etc/passwd", "/x")


def looped(place: Place, _: str) -> None:
    path = place.dataset() / f"{SAMPLES[SINGLE]}.hdf5"
    path.unlink()
    path.symlink_to(path)


def dangling(place: Place, _: str) -> None:
    path = place.dataset() / f"{SAMPLES[SINGLE]}.hdf5"
    path.unlink()
    path.symlink_to("nowhere.hdf5")


def a_folder(place: Place, _: str) -> None:
    path = place.dataset() / f"{SAMPLES[SINGLE]}.hdf5"
    path.unlink()
    path.mkdir()


def a_pipe(place: Place, _: str) -> None:
    path = place.dataset() / f"{SAMPLES[SINGLE]}.hdf5"
    path.unlink()
    os.mkfifo(path)


def missing(place: Place, _: str) -> None:
    (place.dataset() / f"{SAMPLES[SINGLE]}.hdf5").unlink()


def two_dates(file: h5py.File) -> None:
    file[f"{RED}_2017-01-01"] = file[RED][()]


RUNS = ("ends in its middle", "label is one too high", "labels of one class")
"""Cases that are met in a run; the others are met the same way, and reading alone takes a third of the time."""
SIDE = np.ones((64, 64), np.int16)
MASK = np.zeros((320, 320), np.uint8)
FILES: dict[str, tuple[str, Spoil, str]] = {
    "is empty": (SINGLE, content(lambda data: b""), ""),
    "is one byte": (SINGLE, content(lambda data: data[:1]), ""),
    "ends in its header": (SINGLE, content(lambda data: data[:40]), ""),
    "ends in its middle": (SINGLE, content(lambda data: data[: len(data) // 2]), ""),
    "lacks its last bytes": (SINGLE, content(lambda data: data[:-100]), ""),
    "is zeros": (SINGLE, content(lambda data: bytes(len(data))), ""),
    "is text": (SINGLE, content(lambda data: b"<html>404 Not Found</html>"), ""),
    "is a zip": (SINGLE, content(lambda data: b"PK\x03\x04" + data[4:]), ""),
    "begins later": (SINGLE, content(lambda data: b"\n" + data), ""),
    "signature flipped": (SINGLE, content(flipped(1)), ""),
    "superblock flipped": (SINGLE, content(flipped(9)), ""),
    "end of file flipped": (SINGLE, content(flipped(43)), ""),
    "root's address flipped": (SINGLE, content(flipped(66)), ""),
    "tree flipped": (SINGLE, content(flipped_in(b"TREE")), ""),
    "heap flipped": (SINGLE, content(flipped_in(b"HEAP")), ""),
    "symbols flipped": (SINGLE, content(flipped_in(b"SNOD")), ""),
    "a band's name flipped": (SINGLE, content(flipped_in(b"04 - Red")), "HDF5"),
    "attribute's name flipped": (SINGLE, content(flipped_in(b"pickle")), "attribute 'pickle'"),
    "metadata flipped": (SINGLE, content(flipped_in(b"\\x80\\x04")), "attribute 'pickle'"),
    "another dataset's": (SINGLE, swapped, ""),
    "other way round": (MULTI, swapped, ""),
    "is missing": (SINGLE, missing, ""),
    "links to itself": (SINGLE, looped, ""),
    "links to nowhere": (SINGLE, dangling, ""),
    "is a folder": (SINGLE, a_folder, ""),
    "is a pipe": (SINGLE, a_pipe, ""),
}
CONTENT: dict[str, tuple[str, Spoil, str]] = {
    "a band is missing": (SINGLE, edit(gone(RED)), RED),
    "a band is missing everywhere": (SINGLE, every(gone(RED)), RED),
    "a band at two dates": (SINGLE, edit(two_dates), RED),
    "a band is a link": (SINGLE, edit(linked), RED),
    "a band lies elsewhere": (SINGLE, edit(elsewhere), RED),
    "a band of another dtype": (SINGLE, edit(stored(RED, SIDE.astype(np.int32))), RED),
    "a band of unsigned numbers": (SINGLE, edit(stored(RED, SIDE.astype(np.uint16))), RED),
    "a band of floats": (SINGLE, edit(stored(RED, SIDE.astype(np.float64))), RED),
    "a band of complex numbers": (SINGLE, edit(stored(RED, SIDE.astype(np.complex64))), RED),
    "a band of switches": (SINGLE, edit(stored(RED, SIDE > 0)), RED),
    "a band of texts": (SINGLE, edit(stored(RED, np.array([[b"a"] * 64] * 64))), RED),
    "a band of records": (SINGLE, edit(stored(RED, np.zeros((64, 64), "i2,f4"))), RED),
    "a band of another byte order": (SINGLE, edit(stored(RED, SIDE.astype(">i4"))), RED),
    "a band of half the size": (SINGLE, edit(stored(RED, SIDE[::2, ::2])), RED),
    "a band one row short": (SINGLE, edit(stored(RED, SIDE[1:])), RED),
    "a band one column wide": (SINGLE, edit(stored(RED, SIDE[:, :1])), RED),
    "a band without rows": (SINGLE, edit(stored(RED, SIDE[:0])), RED),
    "a band of one number": (SINGLE, edit(stored(RED, np.int16(1))), RED),
    "a band in one dimension": (SINGLE, edit(stored(RED, SIDE.ravel())), RED),
    "a band in three": (SINGLE, edit(stored(RED, SIDE[:, :, None].repeat(3, 2))), RED),
    "a band in four": (SINGLE, edit(stored(RED, SIDE[None, None])), RED),
    "every band of another size": (SINGLE, every(stored(RED, SIDE[::2, ::2])), RED),
    "a claim of exabytes": (SINGLE, edit(stored(RED, None, shape=(2**31, 2**31), dtype="i2", chunks=(64, 64))), RED),
    "a bomb of zeros": (SINGLE, edit(stored(RED, None, shape=(16000, 16000), dtype="i2", chunks=(1000, 1000), compression="gzip")), RED),
    "a group for a band": (SINGLE, edit(lambda file: (gone(RED)(file), file.create_group(RED))[0]), RED),
    "NaN in one pixel": (MULTI, edit(stored(NIR, np.pad(np.full((1, 1), np.nan, np.float32), 119)[119:239, 119:239])), "NaN"),
    "NaN in every pixel": (MULTI, edit(float_pixels(np.nan, True)), NIR),
    "infinity in a row": (MULTI, edit(float_pixels(np.inf)), NIR),
    "minus infinity in a row": (MULTI, edit(float_pixels(-np.inf)), NIR),
    "values no image has": (SINGLE, every(stored("09 - Water vapour", np.full((64, 64), 30000, np.int16))), "B10"),
    "no metadata": (SINGLE, edit(no_metadata), "attribute 'pickle'"),
    "metadata is a number": (SINGLE, edit(attribute(7)), "attribute 'pickle'"),
    "metadata is an array": (SINGLE, edit(attribute(np.arange(4))), "attribute 'pickle'"),
    "metadata is empty": (SINGLE, edit(attribute("")), "attribute 'pickle'"),
    "metadata is a call": (SINGLE, edit(attribute("__import__('os').getcwd()")), "attribute 'pickle'"),
    "metadata is JSON": (SINGLE, edit(attribute('{"label": 1}')), "attribute 'pickle'"),
    "metadata is a list": (SINGLE, edit(attribute(str(writing.dumps([1, 2])))), "attribute 'pickle'"),
    "metadata is cut": (SINGLE, edit(attribute(str(writing.dumps({"label": 1})[:-4]))), "attribute 'pickle'"),
    "metadata is of protocol 0": (SINGLE, edit(attribute(str(pickle.dumps({"label": 1}, protocol=0)))), "attribute 'pickle'"),
    "label is missing": (SINGLE, edit(metadata()), "label"),
    "label is missing everywhere": (SINGLE, every(metadata()), "label"),
    "label is a text": (SINGLE, edit(metadata(label="Forest")), "label"),
    "label is a fraction": (SINGLE, edit(metadata(label=1.5)), "label"),
    "label is a switch": (SINGLE, edit(metadata(label=True)), "label"),
    "label is nothing": (SINGLE, edit(metadata(label=None)), "label"),
    "label is a list": (SINGLE, edit(metadata(label=[1])), "label"),
    "label is negative": (SINGLE, edit(metadata(label=-1)), "label"),
    "label is one too high": (SINGLE, edit(metadata(label=10)), "label"),
    "label is huge": (SINGLE, edit(metadata(label=2**70)), "label"),
    "label is multi-hot": (SINGLE, edit(metadata(label=np.eye(10, dtype=np.int64)[0])), "label"),
    "labels of one class": (SINGLE, every(metadata(label=3)), "class"),
    "labels are a number": (MULTI, edit(metadata(label=3)), "label"),
    "labels are too few": (MULTI, edit(metadata(label=np.ones(42, np.int64))), "label"),
    "labels are too many": (MULTI, edit(metadata(label=np.ones(44, np.int64))), "label"),
    "labels are a table": (MULTI, edit(metadata(label=np.ones((1, 43), np.int64))), "label"),
    "labels hold a two": (MULTI, edit(metadata(label=np.full(43, 2))), "label"),
    "labels hold half": (MULTI, edit(metadata(label=np.full(43, 0.5))), "label"),
    "labels hold NaN": (MULTI, edit(metadata(label=np.full(43, np.nan))), "label"),
    "labels are none": (MULTI, edit(metadata(label=np.ones(0, np.int64))), "label"),
    "mask is missing": (MASKS, edit(gone("label")), "label"),
    "mask is half the size": (MASKS, edit(stored("label", MASK[::2, ::2])), "label"),
    "mask is one row short": (MASKS, edit(stored("label", MASK[1:])), "label"),
    "mask of floats": (MASKS, edit(stored("label", MASK.astype(np.float32))), "label"),
    "mask with a class too high": (MASKS, edit(stored("label", MASK + 2)), "label"),
    "mask with a negative class": (MASKS, edit(stored("label", MASK.astype(np.int16) - 1)), "label"),
    "mask in three dimensions": (MASKS, edit(stored("label", np.zeros((320, 320, 3), np.uint8))), "label"),
    "mask at two dates": (MASKS, edit(stored("label_2017-01-01", MASK)), "label"),
    "mask is a link": (MASKS, edit(lambda file: (gone("label")(file), file.__setitem__("label", h5py.SoftLink("/Red")))[0]), "label"),
}  # fmt: skip


def case(name: str, dataset: str, spoil: Spoil, part: str) -> Case:
    sample = (
        SAMPLES[dataset] if "everywhere" not in name and not name.startswith(("every", "labels of", "values")) else ""
    )
    needed = (SINGLE, MULTI) if spoil is swapped else (dataset,)
    return Case(name, argv(dataset, name in RUNS), (sample, part), lambda place: spoil(place, dataset), needed)


@pytest.mark.parametrize("one", [case(name, *told) for name, told in (FILES | CONTENT).items()], ids=str)
def test_a_sample_that_cannot_be_is_one_line(one: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(one)


def test_every_class_of_the_catalogue_is_within_the_labels_written() -> None:
    """So that the labels above are out of range by what the catalogue says."""
    assert [datasets.dataset(name).num_classes for name in (SINGLE, MULTI, MASKS)] == [10, 43, 2]
