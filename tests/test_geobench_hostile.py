"""Files made to harm: nothing they ask for happens, and each ends in one sentence."""

import io
import pickle
import pickletools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from benchmark.data import geobench, pickled
from encoders import pickles
from encoders.errors import UserError
from tests import hostile_pickles, writing
from tests.hostile_pickles import MARK

HOSTILE = hostile_pickles.HOSTILE | {"megabytes": b"\x80\x04N" + b"." * (pickled.MAX_BYTES + 1)}


@pytest.fixture(autouse=True)
def nothing_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    MARK.clear()
    modules = set(sys.modules)
    yield
    assert MARK == []
    assert not (tmp_path / "owned").exists()
    assert "antigravity" not in set(sys.modules) - modules
    assert pickled._record_class("Accuracy").name == "Accuracy"


def assert_one_sentence(error: UserError, *names: str) -> None:
    assert "\n" not in str(error)
    assert all(name in str(error) for name in names)
    assert "download it again" in str(error)
    assert len(str(error)) < 700


def sample_with(path: Path, attribute: object) -> Path:
    with h5py.File(path, "w") as file:
        file["Red"] = np.ones((4, 4), "u1")
        file.attrs["pickle"] = attribute
    return path


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_sample_metadata_is_refused(tmp_path: Path, data: bytes) -> None:
    path = sample_with(tmp_path / "s.hdf5", str(data))
    with pytest.raises(UserError) as caught:
        geobench.read_sample(path)
    assert_one_sentence(caught.value, "s.hdf5", "pickle" if data else "s.hdf5")


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_task_specs_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "task_specs.pkl").write_bytes(data)
    with pytest.raises(UserError) as caught:
        geobench.read_task_specs(tmp_path)
    assert_one_sentence(caught.value, "task_specs.pkl")


def test_the_hostile_pickles_would_do_harm_elsewhere() -> None:
    """So that the tests above prove something."""
    for name in ("reduce of our own function", "pickle inside a pickle", "protocol 0"):
        pickle.Unpickler(io.BytesIO(HOSTILE[name])).load()
    assert len(MARK) == 3
    MARK.clear()
    for name in ("os.system", "builtins.exec", "builtins.open", "INST", "OBJ", "GLOBAL", "a call from the memo"):
        pickle.Unpickler(io.BytesIO(HOSTILE[name])).load()
        Path(hostile_pickles.CANARY).unlink()


def test_there_are_more_than_forty_of_them() -> None:
    assert len(set(HOSTILE.values())) >= 60


@pytest.mark.parametrize(
    "attribute",
    [
        "__import__('os').system('touch owned')",
        "b'x' if open('owned', 'w') else b''",
        "[" * 10_000,
        "-" * 100_000 + "1",
        "b'a'" * 3,
        "b'\\d'",
        "b''''",
        "",
        7,
        np.array(["b''", "b''"], dtype=h5py.string_dtype()),
        np.void(b"\x00\x01"),
    ],
    ids=[
        *("call", "expression", "brackets", "minus signs", "concatenation", "escape", "quotes", "empty"),
        *("number", "two texts", "bytes"),
    ],
)
def test_an_attribute_that_is_no_bytes_literal_is_refused(tmp_path: Path, attribute: object) -> None:
    with pytest.raises(UserError) as caught:
        geobench.read_sample(sample_with(tmp_path / "s.hdf5", attribute))
    assert_one_sentence(caught.value, "s.hdf5", "attribute 'pickle'")


def external_link(file: h5py.File, other: Path) -> None:
    file["Green"] = h5py.ExternalLink(str(other), "/Red")


def soft_link(file: h5py.File, _: Path) -> None:
    file["Green"] = h5py.SoftLink("/Red")


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("Green", (4, 4), "u1", external=[(str(other), 0, 16)])


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((4, 4), "u1")
    layout[:] = h5py.VirtualSource(str(other), "Red", (4, 4))
    file.create_virtual_dataset("Green", layout)


def group(file: h5py.File, _: Path) -> None:
    file.create_group("Green")


def references(file: h5py.File, _: Path) -> None:
    file.create_dataset("Green", (4, 4), h5py.ref_dtype)


def records(file: h5py.File, _: Path) -> None:
    file["Green"] = np.zeros((4, 4), [("a", "u1"), ("b", "f4")])


def words(file: h5py.File, _: Path) -> None:
    file.create_dataset("Green", (4, 4), h5py.string_dtype())


def huge(file: h5py.File, _: Path) -> None:
    file.create_dataset("Green", (2**31, 2**31), "f8", chunks=(1024, 1024))


@pytest.mark.parametrize(
    "make", [external_link, soft_link, external_storage, virtual, group, references, records, words, huge]
)
def test_pixels_that_are_elsewhere_or_no_numbers_are_refused(
    tmp_path: Path, make: Callable[[h5py.File, Path], None]
) -> None:
    other = sample_with(tmp_path / "other.hdf5", str(writing.dumps({"label": 0})))
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["Red"] = np.ones((4, 4), "u1")
        make(file, other)
        file.attrs["pickle"] = str(writing.dumps({"label": 0}))
    with pytest.raises(UserError) as caught:
        geobench.read_sample(tmp_path / "s.hdf5")
    assert_one_sentence(caught.value, "s.hdf5", "Green")


def test_a_linked_label_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["Red"] = np.ones((4, 4), "u1")
        file["label"] = h5py.SoftLink("/Red")
        file.attrs["pickle"] = str(writing.dumps({"bands_order": ["Red"]}))
    with pytest.raises(UserError, match="'label' is a link"):
        geobench.read_sample(tmp_path / "s.hdf5")


@pytest.mark.parametrize("dtype", ["O", "V8", "M8[s]", "U4", "i2,i2"])
def test_label_arrays_of_other_than_numbers_are_refused(tmp_path: Path, dtype: str) -> None:
    path = sample_with(tmp_path / "s.hdf5", str(pickle.dumps({"label": np.zeros(3, dtype)}, protocol=4)))
    with pytest.raises(UserError, match=r"label|refused"):
        geobench.read_sample(path)


def test_a_label_array_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    honest = pickle.dumps({"label": np.zeros(7, "i8")}, protocol=4)
    path = sample_with(tmp_path / "s.hdf5", str(honest.replace(b"K\x07\x85", b"K\xff\x85")))
    with pytest.raises(UserError, match="field 'label' is neither"):
        geobench.read_sample(path)


def test_every_admitted_instruction_only_describes_data() -> None:
    callers = {"REDUCE", "NEWOBJ", "BUILD", "GLOBAL", "STACK_GLOBAL"}
    harmless = pickles.DATA - callers
    assert not harmless & {
        "INST",
        "OBJ",
        "NEWOBJ_EX",
        "EXT1",
        "EXT2",
        "EXT4",
        "PERSID",
        "BINPERSID",
        "DUP",
        "POP",
    }
    assert harmless <= {opcode.name for opcode in pickletools.opcodes}


def test_names_resolve_to_records_never_to_what_they_name() -> None:
    data = writing.dumps(writing.stub("geobench.dataset", "Sentinel2", name="04 - Red"))
    found = pickled.read(data, "here")
    assert isinstance(found, pickled.Record)
    assert found.field("name") == "04 - Red"
    unpickler = pickled._InertUnpickler(io.BytesIO())
    assert unpickler.find_class("datetime", "date").__module__ == "benchmark.data.pickled"


def test_a_hostile_file_ends_a_fresh_process_in_a_sentence(tmp_path: Path) -> None:
    path = sample_with(tmp_path / "s.hdf5", str(HOSTILE["hash that overflows the stack"]))
    code = f"from benchmark.data import geobench; from pathlib import Path; geobench.read_sample(Path({str(path)!r}))"
    root = Path(pickled.__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "UserError" in ended.stderr
