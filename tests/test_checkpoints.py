"""Weights on disk: found or named, hashed once, loaded without running anything, refused unless they fit."""

import argparse
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from encoders.checkpoints import DIGESTS, find, fit, load_tensors, missing_files, read_json, weights_sha256
from encoders.errors import UserError
from encoders.spec import EncoderCard, Weights
from tests import hostile_pickles
from tests.hostile_pickles import HOSTILE

FILES = ("m/res{size}/config.json", "m/{part}/w.safetensors | m/{part}/w.bin", "m/extra.json ?")

# Which these tests write on purpose, and PyTorch tells of.
pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")


def card(**weights: Any) -> EncoderCard:
    source = Weights(files=FILES, source="Zenodo 1", **weights)
    options: dict[str, object] = {"part": "unet"}
    return EncoderCard("m", "M", "a", "i", 1, "none", weights=source, options=options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("m/res256/config.json", "m/unet/w.bin"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(path.encode())
    return tmp_path


def test_missing_files_are_listed_with_source_place_and_remedy(tmp_path: Path) -> None:
    missing = ["m/res256/config.json", "m/unet/w.safetensors or w.bin"]
    assert missing_files(card(), tmp_path, 256) == missing
    assert missing_files(card(), None, 256) == missing
    with pytest.raises(UserError) as error:
        find(card(), tmp_path, 256)
    for part in (*missing, "Zenodo 1", str(tmp_path), "--demo"):
        assert part in str(error.value)
    with pytest.raises(UserError, match="none was given"):
        find(card(), None, 256)


def test_first_alternative_wins_and_optional_files_count_where_they_are(folder: Path) -> None:
    assert list(find(card(), folder, 256)) == ["m/res256/config.json", "m/unet/w.bin"]
    (folder / "m/unet/w.safetensors").touch()
    (folder / "m/extra.json").touch()
    assert list(find(card(), folder, 256)) == ["m/res256/config.json", "m/unet/w.safetensors", "m/extra.json"]
    assert missing_files(card(), folder, 512) == ["m/res512/config.json"]


def test_digests_are_of_the_content_and_remembered_until_it_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {path: sha256(path.encode()).hexdigest() for path in ("m/res256/config.json", "m/unet/w.bin")}
    assert weights_sha256(card(), folder, 256) == expected
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed twice"))
        assert weights_sha256(card(), folder, 256) == expected
    (folder / "m/unet/w.bin").write_bytes(b"other content")
    assert weights_sha256(card(), folder, 256)["m/unet/w.bin"] == sha256(b"other content").hexdigest()
    assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize("content", [b"", b"{half", b"[]", b'{"m/unet/w.bin:1:1": 3}'])
def test_damaged_digest_cache_is_made_anew(folder: Path, content: bytes) -> None:
    (folder / DIGESTS).write_bytes(content)
    assert weights_sha256(card(), folder, 256)["m/unet/w.bin"] == sha256(b"m/unet/w.bin").hexdigest()


def test_digest_cache_that_cannot_be_written_is_done_without(folder: Path) -> None:
    (folder / DIGESTS).mkdir()
    assert len(weights_sha256(card(), folder, 256)) == 2
    assert not list(folder.glob("*.tmp"))


def test_published_digest_must_agree(folder: Path) -> None:
    digest = sha256(b"m/unet/w.bin").hexdigest()
    assert weights_sha256(card(sha256={"m/unet/w.bin": digest}), folder, 256)["m/unet/w.bin"] == digest
    assert weights_sha256(card(sha256={"m/unet/w.bin": digest[:8]}), folder, 256)["m/unet/w.bin"] == digest
    with pytest.raises(UserError, match=r"w\.bin: its sha256 is .* download it again"):
        weights_sha256(card(sha256={"m/unet/w.bin": "0" * 64}), folder, 256)


def test_drawn_weights_are_named_by_their_seed_and_no_weights_by_nothing() -> None:
    drawn = EncoderCard("m", "M", "a", "i", 1, "none", weights=Weights(random=True), options={"seed": 7})
    assert weights_sha256(drawn, None, 64) == {"random": "7"}
    assert weights_sha256(EncoderCard("m", "M", "a", "i", 1, "none"), None, 64) == {}


def test_import_loads_no_framework() -> None:
    code = "import sys, encoders.checkpoints, encoders.satdifuser_options; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin", "w.pt"])
def test_tensors_come_back_as_saved(tmp_path: Path, name: str) -> None:
    tensors = {"a.weight": torch.randn(2, 3), "b": torch.arange(4)}
    save = save_file if name.endswith("safetensors") else torch.save
    save(tensors, tmp_path / name)
    loaded = load_tensors(tmp_path / name)
    assert set(loaded) == set(tensors)
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin"])
@pytest.mark.parametrize("keep", [0, 7, 60, 300])
def test_truncated_file_is_named(tmp_path: Path, name: str, keep: int) -> None:
    path = tmp_path / name
    save = save_file if name.endswith("safetensors") else torch.save
    save({"a": torch.randn(64)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=name):
        load_tensors(path)


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle", "nested"])
def test_hostile_pickle_executes_nothing(tmp_path: Path, how: str) -> None:
    path, marker = tmp_path / "w.bin", tmp_path / "executed"
    content = {"a": torch.zeros(1), "b": Hostile(marker)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(Hostile(marker)))
    else:
        torch.save(
            {"state": content} if how == "nested" else content,
            path,
            _use_new_zipfile_serialization=how != "legacy",
        )
    with pytest.raises(UserError, match=r"w\.bin: refused"):
        load_tensors(path)
    assert not marker.exists()


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"a": 3}, {"a": {"b": 3}}, {1: torch.zeros(1)}])
def test_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.bin")
    with pytest.raises(UserError, match="something else than named tensors"):
        load_tensors(tmp_path / "w.bin")


def test_unreadable_file_and_config_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"w\.bin: cannot be read"):
        load_tensors(tmp_path / "w.bin")
    for content in (b"{", b"[]", b"\xff"):
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(UserError, match=r"config\.json.*download it again"):
            read_json(tmp_path / "config.json")


def test_tensors_must_fit_name_by_name() -> None:
    model = nn.BatchNorm1d(3)
    state = nn.BatchNorm1d(3).state_dict()
    fit(model, {**state, "weight": torch.full((3,), 2.0), "old": torch.zeros(1)}, "f.bin", drop={"old"})
    assert torch.equal(model.weight, torch.full((3,), 2.0))
    for name, wrong, message in (
        ("bias", None, "missing: bias"),
        ("extra", torch.zeros(1), "unexpected: extra"),
        ("weight", torch.zeros(4), r"of another shape or type: weight is \(4,\) float32, not \(3,\) float32"),
        ("weight", torch.zeros(3, dtype=torch.int64), r"of another shape or type: weight is \(3,\) int64"),
    ):
        changed = {key: tensor for key, tensor in {**state, name: wrong}.items() if tensor is not None}
        with pytest.raises(UserError, match=rf"f\.bin: not the weights of this model \({message}"):
            fit(nn.BatchNorm1d(3), changed, "f.bin")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_named(dtype: torch.dtype, value: float) -> None:
    model = nn.BatchNorm1d(3)
    state = {**model.state_dict(), "bias": torch.tensor([0.0, value, 0.0], dtype=dtype)}
    with pytest.raises(UserError, match=r"^f.bin: weights are NaN or infinite \(bias\); download"):
        fit(model, state, "f.bin")


def test_long_lists_of_faults_are_cut() -> None:
    with pytest.raises(UserError, match="missing: weight, bias, running_mean and 2 more"):
        fit(nn.BatchNorm1d(3), {}, "f.bin")


def test_nested_dictionaries_are_joined_and_one_part_can_be_taken(tmp_path: Path) -> None:
    one, other = torch.ones(2), torch.zeros(3)
    torch.save({"a": {"w": one}, "b": {"w": other}}, tmp_path / "two.pt")
    assert set(load_tensors(tmp_path / "two.pt")) == {"a/w", "b/w"}
    kept = {"model": {"w": one}, "optimizer": {"w": other}, "epoch": 3, "args": argparse.Namespace(lr=1.0)}
    torch.save(kept, tmp_path / "training.pt")
    with pytest.raises(UserError, match="more than tensors"):
        load_tensors(tmp_path / "training.pt", part="model")
    assert set(load_tensors(tmp_path / "training.pt", part="model", plain=[argparse.Namespace])) == {"w"}
    save_file({"model/w": one}, tmp_path / "flat.safetensors")
    assert set(load_tensors(tmp_path / "flat.safetensors", part="model")) == {"w"}


def test_a_dictionary_that_holds_itself_or_numbers_is_refused(tmp_path: Path) -> None:
    endless: dict[str, Any] = {"w": torch.ones(1)}
    endless["self"] = endless
    for content in (endless, {1: torch.ones(1)}, {"a": {1: torch.ones(1)}}):
        torch.save(content, tmp_path / "odd.pt")
        with pytest.raises(UserError, match="something else than named tensors"):
            load_tensors(tmp_path / "odd.pt")


# --- a stranger's pickles


@pytest.fixture
def nothing_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    hostile_pickles.MARK.clear()
    yield
    assert hostile_pickles.MARK == []
    assert not (tmp_path / hostile_pickles.CANARY).exists()


def repacked(path: Path, change: Callable[[str, bytes], bytes], packing: int = zipfile.ZIP_STORED) -> None:
    """A checkpoint whose zip holds other bytes."""
    torch.save({"a": torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        held = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in held.items():
            archive.writestr(name, change(name, content))


@pytest.mark.usefixtures("nothing_happened")
@pytest.mark.parametrize("how", ["as it is", "in torch's zip"])
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_pickle_in_a_checkpoint_runs_hangs_or_ends_the_process(tmp_path: Path, data: bytes, how: str) -> None:
    path = tmp_path / "w.pt"
    if how == "as it is":
        path.write_bytes(data)
    else:
        repacked(path, lambda name, content: data if name.endswith("data.pkl") else content)
    with pytest.raises(UserError, match=r"w\.pt: .*download it again") as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_is_packed_or_claims_more_than_it_holds_is_refused_before_memory_is_reserved(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.pt"
    repacked(path, lambda name, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="refused"):
        load_tensors(path)
    # A storage of 10**12 numbers, in words of the same length.
    many = b"\x8a\x06" + (10**12).to_bytes(6, "little")
    repacked(
        path, lambda name, content: content.replace(b"K\x02t", many + b"t") if name.endswith("data.pkl") else content
    )
    with pytest.raises(UserError, match=r"w\.pt: .*download it again"):
        load_tensors(path)


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 40]}}',
        b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": 3}',
        b"[" * 10_000,
        b"\xff\xff",
    ],
)
def test_a_safetensors_header_that_cannot_be_is_one_sentence(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(UserError, match=r"w\.safetensors: damaged"):
        load_tensors(path)
    path.write_bytes((2**62).to_bytes(8, "little") + header)
    with pytest.raises(UserError, match=r"w\.safetensors: damaged"):
        load_tensors(path)
