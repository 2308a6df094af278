"""Weights that are missing, damaged, of another shape or of another model, as a run meets them.

`croma_tiny` with `weights.random=false` stands for a released model: the same code reads its file.
"""

import functools
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import encoders
from tests.bad_inputs.case import Case, Ended, Place, Spoil
from tests.hostile_pickles import CANARY, HOSTILE

DATASET = "m-eurosat"
READ = ("--data-root", "{shared}/root", "--ingest-dir", "{shared}/data")
Change = Callable[[bytes], bytes]
Tensors = dict[str, Any]


def argv(file: str, *more: str) -> tuple[str, ...]:
    return (
        "--encoder", "croma_tiny", "--dataset", DATASET, "--bands", "authors", *READ, "--weights", "{weights}",
        "--output", "{output}", "encoder.weights.random=false", f"encoder.weights.files=[{file}]", "encoder.weights.source=nowhere", *more,
    )  # fmt: skip


@functools.cache
def drawn(name: str) -> Tensors:
    """A model's tensors."""
    model = encoders.build(name)
    return dict(getattr(model, "network", model).state_dict())


def whole() -> Tensors:
    """The tensors of the model, in the layout of its authors' file."""
    parts: Tensors = {}
    for name, tensor in drawn("croma_tiny").items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor.clone()
    return parts


def saved(path: Path, content: Any, **options: Any) -> None:
    torch.save(content, path, **options)


def content(change: Change, **options: Any) -> Spoil:
    """Spoil the bytes of a whole file."""

    def spoil(place: Place) -> None:
        path = place.weights / "w.pt"
        saved(path, whole(), **options)
        path.write_bytes(change(path.read_bytes()))

    return spoil


def tensors(change: Callable[[Tensors], Any]) -> Spoil:
    """Spoil what a file holds."""

    def spoil(place: Place) -> None:
        parts = whole()
        changed = change(parts)
        saved(place.weights / "w.pt", parts if changed is None else changed)

    return spoil


def first(parts: Tensors) -> tuple[Tensors, str]:
    part = parts[next(iter(parts))]
    return part, next(iter(part))


def put(value: Callable[[torch.Tensor], Any]) -> Callable[[Tensors], None]:
    def change(parts: Tensors) -> None:
        part, name = first(parts)
        part[name] = value(part[name])

    return change


def drop(parts: Tensors) -> None:
    part, name = first(parts)
    del part[name]


def flipped(position: float) -> Change:
    def change(data: bytes) -> bytes:
        spoilt = bytearray(data)
        spoilt[int(position * (len(data) - 1))] ^= 0x10
        return bytes(spoilt)

    return change


def raw(data: bytes, name: str = "w.pt") -> Spoil:
    return lambda place: (place.weights / name).write_bytes(data) and None


def other_model(place: Place) -> None:
    saved(place.weights / "w.pt", drawn("satmae_tiny"))


def safetensors(change: Change) -> Spoil:
    def spoil(place: Place) -> None:
        path = place.weights / "w.safetensors"
        save_file(
            {f"{part}/{name}": one.contiguous() for part, held in whole().items() for name, one in held.items()}, path
        )
        path.write_bytes(change(path.read_bytes()))

    return spoil


def looped(place: Place) -> None:
    path = place.weights / "w.pt"
    path.symlink_to(path)


def packed(place: Place) -> None:
    path = place.weights / "w.pt"
    saved(path, whole())
    with zipfile.ZipFile(path) as archive:
        held = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            archive.writestr(name, data)


FILES: dict[str, tuple[Spoil, str]] = {
    "is missing": (lambda place: None, "w.pt"),
    "is empty": (raw(b""), "w.pt"),
    "is one byte": (raw(b"P"), "w.pt"),
    "is HTML": (raw(b"<html>404 Not Found</html>"), "w.pt"),
    "is zeros": (raw(bytes(1000)), "w.pt"),
    "is a pointer of Git LFS": (raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), "w.pt"),
    "ends in its header": (content(lambda data: data[:60]), "w.pt"),
    "ends in its middle": (content(lambda data: data[: len(data) // 2]), "w.pt"),
    "lacks its last bytes": (content(lambda data: data[:-20]), "w.pt"),
    "begins later": (content(lambda data: data[1000:]), "w.pt"),
    "a bit of its header flipped": (content(flipped(0)), "w.pt"),
    "a bit of its directory flipped": (content(lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x12", 1)), "w.pt"),
    "old format, cut": (content(lambda data: data[: len(data) // 2], _use_new_zipfile_serialization=False), "w.pt"),
    "old format, flipped": (content(flipped(0), _use_new_zipfile_serialization=False), "w.pt"),
    "is packed": (packed, "w.pt"),
    "is a folder": (lambda place: (place.weights / "w.pt").mkdir(), "w.pt"),
    "links to itself": (looped, "w.pt"),
    "links to nowhere": (lambda place: (place.weights / "w.pt").symlink_to("none"), "w.pt"),
    "of another model": (other_model, "w.pt"),
    "lacks a tensor": (tensors(drop), "missing"),
    "has one more": (tensors(lambda parts: first(parts)[0].update(more=torch.zeros(1))), "unexpected"),
    "a tensor of another shape": (tensors(put(lambda one: one[..., :1])), "another shape"),
    "a tensor turned": (tensors(put(lambda one: one.reshape(-1))), "another shape"),
    "a tensor of whole numbers": (tensors(put(lambda one: one.long())), "another shape or type"),
    "a number for a tensor": (tensors(put(lambda one: 3)), "named tensors"),
    "a text for a tensor": (tensors(put(lambda one: "x")), "named tensors"),
    "a tensor of NaN": (tensors(put(lambda one: one * torch.nan)), "NaN"),
    "a tensor of infinity": (tensors(put(lambda one: one + torch.inf)), "NaN"),
    "a list of tensors": (tensors(lambda parts: list(parts.values())), "named tensors"),
    "one tensor": (tensors(lambda parts: torch.zeros(3)), "named tensors"),
    "no tensors": (tensors(lambda parts: {}), "missing"),
    "a whole model": (lambda place: saved(place.weights / "w.pt", torch.nn.Linear(2, 2)), "refused"),
    "numbers for names": (tensors(lambda parts: dict(enumerate(parts.values()))), "named tensors"),
}  # fmt: skip
SAFE: dict[str, Spoil] = {
    "safetensors: is empty": safetensors(lambda data: b""),
    "safetensors: cut in its header": safetensors(lambda data: data[:100]),
    "safetensors: cut in its tensors": safetensors(lambda data: data[:-100]),
    "safetensors: header flipped": safetensors(flipped(0.0001)),
    "safetensors: longer": safetensors(lambda data: data + b"x"),
    "safetensors: header of exabytes": safetensors(lambda data: b"\xff" * 7 + b"\x0f" + data[8:]),
    "safetensors: is a pickle": safetensors(lambda data: HOSTILE["os.system"]),
}


def cases() -> Iterator[Case]:
    for name, (spoil, part) in FILES.items():
        yield Case(name, argv("w.pt"), ("w.pt" if part != "NaN" else "croma_tiny", part), spoil, read=(DATASET,))
    for name, spoil in SAFE.items():
        yield Case(name, argv("w.safetensors"), ("w.safetensors",), spoil, read=(DATASET,))
    for name in ("os.system", "builtins.exec", "INST", "BUILD", "NEWOBJ_EX", "key nested in torch's words"):
        yield Case(f"hostile: {name}", argv("w.pt"), ("w.pt",), raw(HOSTILE[name]), read=(DATASET,))
    digest = "encoder.weights.sha256={w.pt: '" + "0" * 64 + "'}"
    yield Case(
        "has another digest",
        argv("w.pt", f"++{digest}"),
        ("w.pt", "sha256"),
        content(lambda data: data),
        read=(DATASET,),
    )
    yield Case("a folder above", argv("../w.pt"), ("w.pt",), None, read=(DATASET,))
    yield Case("none named", argv(""), ("croma_tiny",), None, read=(DATASET,))


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_weights_that_cannot_be_are_one_line(case: Case, refuses: Callable[[Case], Ended], place: Place) -> None:
    refuses(case)
    assert not (place.work / CANARY).exists()


JSON: dict[str, bytes] = {
    "is empty": b"", "is cut": b'{"a": ', "is a list": b"[]", "is no text": b"\xff\xfe", "holds nothing": b"{}",
    "is nested without end": b"[" * 100_000, "names a class": json.dumps({"_class_name": "os.system"}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", JSON)
def test_a_released_config_that_cannot_be_is_one_line(name: str, refuses: Callable[[Case], Ended]) -> None:
    def spoil(place: Place) -> None:
        for paths, _ in encoders.checkpoints.wanted(encoders.card("satdifuser"), 256):
            path = place.weights / paths[0].rstrip(" ?")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(JSON[name] if path.name.endswith("config.json") else b"")

    argv = (
        "--encoder",
        "satdifuser",
        "--dataset",
        DATASET,
        *READ,
        "--weights",
        "{weights}",
        "--output",
        "{output}",
    )
    # What is JSON all the same is found out by the tensors that don't fit it.
    part = "config.json" if name not in ("holds nothing", "names a class") else "satdifuser"
    refuses(Case(name, argv, (part,), spoil, read=(DATASET,)))
