"""Unpacking a stranger's zip: whole and inside its folder, or not at all."""

import stat
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from benchmark.fetching.archives import Entry, Limits, unpack
from encoders.errors import UserError

ROOMY = Limits(entries=100, bytes=1_000_000)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "data.zip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out" / "data"


def everything(entries: Sequence[Entry]) -> list[tuple[Entry, PurePosixPath]]:
    return [(entry, entry.path) for entry in entries]


def write(archive: Path, files: dict[str, bytes], mode: int = 0o644, **fields: int) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            info = zipfile.ZipInfo("placeholder")
            info.compress_type = zipfile.ZIP_DEFLATED
            info.filename, info.external_attr = name, (stat.S_IFREG | mode if mode < 0o10000 else mode) << 16
            for field, value in fields.items():
                setattr(info, field, value)
            opened.writestr(info, content)


def refused(archive: Path, folder: Path, limits: Limits = ROOMY) -> str:
    """The sentence; nothing may be left in or beside the folder, nor outside of it."""
    before = set(archive.parent.iterdir())
    with pytest.raises(UserError) as error:
        unpack(archive, folder, limits, everything)
    assert set(archive.parent.iterdir()) - before <= {folder.parent}
    assert not folder.parent.exists() or not list(folder.parent.iterdir())
    assert str(archive) in str(error.value)
    return str(error.value)


def test_files_arrive_as_packed(archive: Path, folder: Path) -> None:
    files = {"a.json": b"{}", "deep/er/b.hdf5": b"b" * 3000, "empty": b"", "Ä, [2016-2017].x": b"c"}
    write(archive, files)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.mkdir("folder")
    unpack(archive, folder, ROOMY, everything)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == files
    assert [path.name for path in folder.parent.iterdir()] == ["data"]


def test_only_what_is_chosen_is_unpacked_where_it_is_wanted(archive: Path, folder: Path) -> None:
    write(archive, {"run/1/unet.bin": b"u", "run/1/optimizer.bin": b"o" * 5000})
    unpack(
        archive, folder, ROOMY, lambda entries: [(entries[0], PurePosixPath("unet/w.bin"))], free=lambda _: 70_000_000
    )
    assert [path.name for path in folder.rglob("*")] == ["unet", "w.bin"]


def test_litter_of_other_systems_is_left_out(archive: Path, folder: Path) -> None:
    write(archive, {"a": b"", "__MACOSX/._a": b"", "sub/.DS_Store": b""})
    unpack(archive, folder, ROOMY, everything)
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../slip", "leads out"),
        ("a/../../slip", "leads out"),
        ("a//b", "leads out"),
        ("./a", "leads out"),
        ("", "leads out"),
        ("/etc/slip", "absolute"),
        ("C:/slip", "absolute or foreign"),
        ("a\\..\\slip", "foreign"),
        ("a\nb", "unreadable"),
        ("a\u202eb", "unreadable"),
        ("x" * 300, "unreadable"),
    ],
)
def test_names_that_lead_elsewhere_stop_everything(archive: Path, folder: Path, name: str, words: str) -> None:
    write(archive, {"good": b"1", name: b"2"})
    assert words in refused(archive, folder)


def test_a_name_cut_by_a_zero_byte_is_judged_as_stored(archive: Path, folder: Path) -> None:
    write(archive, {"good_bad": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"good_bad", b"good\0bad"))
    assert "unreadable" in refused(archive, folder)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_stop_everything(archive: Path, folder: Path, kind: int) -> None:
    write(archive, {"link": b"/etc/passwd"}, mode=kind | 0o777)
    assert "link or device" in refused(archive, folder)


def test_an_entry_that_is_there_twice_stops_everything(archive: Path, folder: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        _write_twice(archive)
    assert "'a' is there twice" in refused(archive, folder)


def _write_twice(archive: Path) -> None:
    write(archive, {"a": b"1"})
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("a", b"2")


def test_a_file_below_a_file_stops_everything(archive: Path, folder: Path) -> None:
    write(archive, {"a/b": b"1", "a": b"2"})
    assert "below a file" in refused(archive, folder)


def test_more_entries_or_bytes_than_expected_stop_everything(archive: Path, folder: Path) -> None:
    write(archive, {f"{number}": b"0" * 1000 for number in range(5)})
    assert "5 entries, more than the 4" in refused(archive, folder, Limits(4, 10**6))
    assert "5000 bytes, more than the 4999" in refused(archive, folder, Limits(5, 4999))
    unpack(archive, folder, Limits(5, 5000), everything)


@pytest.mark.parametrize("declared", [10, 9000])
def test_a_file_of_another_size_than_declared_stops_everything(archive: Path, folder: Path, declared: int) -> None:
    write(archive, {"bomb": b"0" * 5000})
    content, said, lie = archive.read_bytes(), struct.pack("<I", 5000), struct.pack("<I", declared)
    assert content.count(said) == 2
    archive.write_bytes(content.replace(said, lie))
    assert "damaged" in refused(archive, folder)


def test_a_changed_byte_stops_everything(archive: Path, folder: Path) -> None:
    write(archive, {"a": bytes(range(256)), "b": b"0123456789" * 3}, compress_type=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"0123456789", b"0123456780", 1))
    assert "damaged" in refused(archive, folder)


@pytest.mark.parametrize("length", [0, 10, 200, -1, -30])
def test_a_truncated_archive_stops_everything(archive: Path, folder: Path, length: int) -> None:
    write(archive, {"a": bytes(range(256)) * 4})
    archive.write_bytes(archive.read_bytes()[:length])
    assert "damaged or no zip file" in refused(archive, folder)


def test_encrypted_and_oddly_packed_entries_stop_everything(archive: Path, folder: Path) -> None:
    write(archive, {"a": b"1"}, compress_type=zipfile.ZIP_BZIP2)
    assert "unknown way" in refused(archive, folder)
    write(archive, {"a": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content)
    assert "is encrypted; it is not safe" in refused(archive, folder)


def test_a_small_disk_is_noticed_before_unpacking(archive: Path, folder: Path) -> None:
    write(archive, {"a": b"1" * 5000})
    with pytest.raises(UserError, match="5 kB are needed and 7 bytes are free"):
        unpack(archive, folder, ROOMY, everything, free=lambda _: 7)
    assert not folder.parent.exists()


def test_what_a_killed_process_left_is_replaced(archive: Path, folder: Path) -> None:
    left = folder.with_name(".data.unpacking")
    left.mkdir(parents=True)
    (left / "half").touch()
    write(archive, {"a": b"1"})
    unpack(archive, folder, ROOMY, everything)
    assert [path.name for path in folder.parent.rglob("*")] == ["data", "a"]


def test_an_interruption_leaves_nothing(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.sync", interrupted)
    write(archive, {"a": b"1"})
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, folder, ROOMY, everything)
    assert not list(folder.parent.iterdir())
