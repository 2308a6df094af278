"""YAML and CSV files of the user's own, given by path: an encoder, a dataset, an experiment, anchors, tables."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from reports import literature
from tests.bad_inputs.case import Case, Ended, Place, Spoil

SAMPLE = "real-chesapeake-patches"
ENCODER: dict[str, Any] = {
    "name": "mine", "title": "Mine", "_target_": "mine:Mine", "inputs": "satdifuser", "version": 1, "licence": "none",
}  # fmt: skip
DATASET: dict[str, Any] = {
    "name": "mine", "task": "classification", "class_names": ["a", "b"], "image_size": 8, "sensor": "aerial",
    "bands": [{"band": "red", "unit": "byte"}, {"band": "green", "unit": "byte"}, {"band": "blue", "unit": "byte"}],
    "files": {"images": "{label}/{name}.png", "splits": {"train": 0.6, "valid": 0.2, "test": 0.2}},
}  # fmt: skip
GRID: dict[str, Any] = {"rows": ["imagestats"], "datasets": [SAMPLE], "protocol": "smoke"}
EXPERIMENT: dict[str, Any] = {"title": "T", "question": "Q", "reading": "R", "grids": [GRID]}
ANCHOR: dict[str, Any] = {
    "row": "imagestats", "dataset": SAMPLE, "bands": "rgb", "protocol": "smoke", "metric": "accuracy", "value": 0.5,
    "interval": None, "source": "s", "url": "u", "differs": "d", "reason": "r",
}  # fmt: skip
KINDS: dict[str, tuple[object, tuple[str, ...]]] = {
    "encoder": (ENCODER, ("--dataset", SAMPLE, "--allow-code", "--encoder")),
    "dataset": (DATASET, ("--encoder", "imagestats", "--dataset")),
    "experiment": (EXPERIMENT, ("--experiment",)),
    "anchors": ([ANCHOR], ("anchors", "--anchors")),
}
"""What is a whole file of each kind, and the command that takes it."""
LAUGHS = "\n".join([f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" if n else "a0: &a0 [x]" for n in range(10)])
DAMAGE: dict[str, bytes] = {
    "is empty": b"",
    "is a comment": b"# nothing\n",
    "is a text": b"nothing",
    "is a number": b"3",
    "is null": b"~",
    "has a tab": b"name:\n\t- x\n",
    "has an open bracket": b"name: [mine\n",
    "has an open quote": b'name: "mine\n',
    "is two documents": b"name: mine\n---\nname: mine\n",
    "is no text": bytes(range(128, 256)),
    "holds a zero byte": b"name: mi\0ne\n",
    "is nested without end": b"[" * 100_000,
    "is nested deep": b"a: " + b"[" * 900 + b"]" * 900,
    "laughs a billion times": LAUGHS.encode(),
    "holds itself": b"&a [*a]",
    "has an alias to nothing": b"name: *nobody\n",
    "calls os.system": b"!!python/object/apply:os.system ['touch canary']\n",
    "makes an object": b"name: !!python/object/new:pathlib.Path [canary]\n",
    "names a module": b"name: !!python/name:os.system ''\n",
    "has a tag of its own": b"name: !mine x\n",
    "has a key twice": b"name: mine\nname: other\n",
    "has a key that is a number": b"3: mine\n",
    "has a key that is a list": b"? [a]\n: b\n",
    "holds a date": b"name: 2020-01-01\n",
    "holds bytes": b"name: !!binary aGFsbG8=\n",
    "holds NaN": b"name: .nan\n",
    "is JSON that is cut": b'{"name": "mine", ',
    "is megabytes": b"# " + b"x" * 2**20 + b"\nname: mine\n",
}


def argv(kind: str) -> tuple[str, ...]:
    return (*KINDS[kind][1], "{folder}/mine.yaml", "--output", "{output}")


def content(data: bytes) -> Spoil:
    def spoil(place: Place) -> None:
        (place.folder / "mine.yaml").write_bytes(data)
        (place.folder / "mine.py").write_text("raise RuntimeError('it ran')\n")

    return spoil


def damaged() -> Iterator[Case]:
    for kind in KINDS:
        for name, data in DAMAGE.items():
            yield Case(f"{kind}: {name}", argv(kind), ("mine.yaml",), content(data))
        yield Case(f"{kind}: is missing", argv(kind), ("mine.yaml",))
        yield Case(
            f"{kind}: is a folder", argv(kind), ("mine.yaml",), lambda place: (place.folder / "mine.yaml").mkdir()
        )


def changed(kind: str, path: str, value: object) -> bytes:
    """A whole file with one value another, or, where that is None, without it."""
    plain: Any = yaml.safe_load(yaml.safe_dump(KINDS[kind][0]))
    inner = plain[0] if kind == "anchors" else plain
    *parents, last = path.split(".")
    for parent in parents:
        inner = inner[int(parent) if parent.isdigit() else parent]
    inner.update({last: value})
    if value is None:
        del inner[last]
    return yaml.safe_dump(plain, allow_unicode=True).encode()


WRONG: dict[str, list[tuple[str, object, str]]] = {
    "encoder": [
        ("name", None, "name"), ("name", "rcf", "rcf"), ("name", "a b", "a b"), ("name", "../x", "../x"), ("name", "null", "null"),
        ("name", "x-gw", "x-gw"), ("name", "croma", "croma"), ("_target_", None, "_target_"), ("_target_", "os", "_target_"),
        ("_target_", "../x:Y", "_target_"), ("_target_", "no_such_module:Y", "no_such_module"), ("adapter", "rcf", "adapter"),
        ("home", "/", "home"), ("version", None, "version"), ("version", 0, "version"), ("version", "one", "version"),
        ("inputs", "satdifusr", "satdifusr"), ("inputs", {"titel": 1}, "title"), ("inputs", 3, "inputs"), ("license", "x", "licence"),
        ("role", "modell", "role"), ("image_size", -1, "image_size"), ("options", [1], "options"), ("weights", "w.pt", "weights"),
        ("weights", {"files": "w.pt"}, "files"), ("title", "${oc.env:HOME}", "${"), ("parameters", 1e30, "parameters"),
    ],
    "dataset": [
        ("name", None, "name"), ("name", "m-eurosat", "m-eurosat"), ("task", "clasification", "task"), ("task", None, "task"),
        ("class_names", ["a", "a"], "class_names"), ("class_names", ["a"], "num_classes"), ("num_classes", 10**9, "num_classes"),
        ("image_size", 0, "image_size"), ("image_size", [8], "image_size"), ("image_size", 10**9, "image_size"), ("sensor", "arial", "sensor"),
        ("bands", [], "bands"), ("bands", [{"band": "red"}], "bands"), ("bands", [{"band": "red", "unit": "bite"}], "unit"),
        ("files.images", None, "files.images"), ("files.images", "{label}/x.png", "{name}"), ("files.images", "{lable}/{name}.png", "lable"),
        ("files.images", "../../{label}/{name}.png", "files.images"), ("files.reader", "torchgo:X", "files.reader"),
        ("files.splits", {"train": 0.6, "valid": 0.6, "test": 0.6}, "files.splits"), ("files.splits", {"val": 0.2}, "val"),
        ("archive", {"url": "https://example.org/x.zip"}, "archive"), ("bundled", True, "bundled"),
    ],
    "experiment": [
        ("question", None, "question"), ("grids", [], "grid"), ("grids.0.rows", [], "rows"), ("grids.0.rows", ["imagestat"], "imagestat"),
        ("grids.0.datasets", ["m-eurosatt"], "m-eurosatt"), ("grids.0.protocol", "smok", "smok"), ("grids.0.axes", {"a": "all"}, "axis 'a'"),
        ("grids.0.overrides", ["batch_size"], "batch_size"), ("grids.0.overrides", ["batch_size=0"], "batch_size"), ("columns", "row", "columns"),
        ("grids.0.overrides", ["executor.setup=[touch canary]"], "executor"), ("axes", {"a": {"x": {"overrides": 3}}}, "overrides"),
    ],
    "anchors": [
        ("row", "imagestat", "imagestat"), ("dataset", "all", "all"), ("dataset", None, "dataset"), ("bands", "rbg", "bands"), ("metric", "acc", "metric"),
        ("value", 50, "value"), ("value", "half", "value"), ("interval", [0.6, 0.9], "interval"), ("interval", [0.1], "interval"), ("url", 3, "url"),
    ],
}  # fmt: skip


def wrong() -> Iterator[Case]:
    for kind, values in WRONG.items():
        for number, (path, value, part) in enumerate(values):
            name = f"{kind}: {path}={str(value)[:30]} ({number})"
            yield Case(name, argv(kind), (part,), content(changed(kind, path, value)))


# --- CSV


def images(place: Place) -> None:
    """Twelve images of two classes, and a table that names them all."""
    rows = []
    for number in range(12):
        path = place.folder / "ab"[number % 2] / f"s{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(path)
        rows.append(f"s{number},{'ab'[number % 2]},{('train', 'valid', 'test')[number % 3]}")
    (place.folder / "t.csv").write_text("\n".join(["name,label,split", *rows]) + "\n")
    plain = DATASET | {"files": {"images": "*/{name}.png", "table": "t.csv"}}
    (place.folder / "mine.yaml").write_text(yaml.safe_dump(plain))


def table(change: Callable[[str], str | bytes]) -> Spoil:
    def spoil(place: Place) -> None:
        images(place)
        path = place.folder / "t.csv"
        changed = change(path.read_text())
        path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())

    return spoil


TABLES: dict[str, tuple[Spoil, str]] = {
    "is empty": (table(lambda text: ""), "t.csv"),
    "has a header alone": (table(lambda text: text.splitlines()[0]), ""),
    "has no header": (table(lambda text: text.split("\n", 1)[1]), "t.csv"),
    "has semicolons": (table(lambda text: text.replace(",", ";")), "t.csv"),
    "lacks the names": (table(lambda text: text.replace("name,", "id,")), "t.csv"),
    "lacks the labels": (table(lambda text: text.replace("label,", "klass,")), "label"),
    "has a short line": (table(lambda text: text.replace("s3,b,train", "s3")), "t.csv"),
    "has a long line": (table(lambda text: text.replace("s3,b,train", "s3,b,train,x,y")), "t.csv"),
    "names a sample twice": (table(lambda text: text + "s3,b,train\n"), "s3"),
    "names a sample that is missing": (table(lambda text: text + "s99,b,train\n"), "s99"),
    "has a class there isn't": (table(lambda text: text.replace("s3,b", "s3,c")), "c"),
    "has a class out of range": (table(lambda text: text.replace("s3,b", "s3,7")), "7"),
    "has a split there isn't": (table(lambda text: text.replace("s3,b,train", "s3,b,trian")), "trian"),
    "has no test": (table(lambda text: text.replace("test", "train")), "test"),
    "has an open quote": (table(lambda text: text.replace("s3,b", '"s3,b')), "t.csv"),
    "is no text": (table(lambda text: bytes(range(128, 256))), "t.csv"),
    "holds a zero byte": (table(lambda text: text.replace("s3", "s\0")), "t.csv"),
    "is missing": (lambda place: (images(place), (place.folder / "t.csv").unlink())[1], "t.csv"),
    "is JSON": (table(lambda text: '{"name": "s1"}'), "t.csv"),
}


def tables() -> list[Case]:
    return [Case(name, argv("dataset"), (part,), spoil) for name, (spoil, part) in TABLES.items()]


HEADER = ",".join(literature.COLUMNS)
ROW = "s,t,e,v,m-eurosat,classification,accuracy (%),70.0,,p,u"
PUBLISHED: dict[str, str | bytes] = {
    "is empty": "",
    "lacks a column": f"{HEADER.replace('metric,', '')}\n{ROW}",
    "has a short line": f"{HEADER}\n{ROW}\na,b\n",
    "has a number in words": f"{HEADER}\n{ROW.replace('70.0', 'high')}",
    "has a number out of range": f"{HEADER}\n{ROW.replace('70.0', '170')}",
    "has NaN": f"{HEADER}\n{ROW.replace('70.0', 'nan')}",
    "has a task there isn't": f"{HEADER}\n{ROW.replace('classification', 'clasification')}",
    "has an open quote": f'{HEADER}\n{ROW}\n"x',
    "is no text": bytes(range(128, 256)),
}


@pytest.mark.parametrize("case", [*damaged(), *wrong()], ids=str)
def test_a_yaml_file_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended], place: Place) -> None:
    refuses(case)
    assert not (place.work / "canary").exists()


@pytest.mark.parametrize("case", tables(), ids=str)
def test_a_table_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(case)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_that_cannot_be_are_one_sentence(name: str, tmp_path: Path) -> None:
    """They come with the package, and no option takes others."""
    path = tmp_path / "p.csv"
    path.write_text(f"{HEADER}\n{ROW}\n")
    assert len(literature.read(path)) == 1
    spoilt = PUBLISHED[name]
    path.write_bytes(spoilt if isinstance(spoilt, bytes) else spoilt.encode())
    with pytest.raises(literature.UserError, match=r"p\.csv") as caught:
        literature.read(path)
    assert "\n" not in str(caught.value)
