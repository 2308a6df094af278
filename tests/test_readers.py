"""Readers of strangers' files meet anything and whole files a little changed: they return, or say one line."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.readers import READERS, Reader

EXAMPLES = 40
"""A reader, always the same ones; `.ci/full` has a fuzzer that learns go on for a minute each."""


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Bytes of any kind, or a whole file of which pieces were overwritten, left out, put in or said twice."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.sampled_from((0, 1, 1, 2, 8, len(data))))
        data[at:end] = draw(st.one_of(st.binary(max_size=4), st.just(bytes(data[at:end]) * 2)))
    return draw(st.one_of(st.just(bytes(data)), st.just(bytes(data)), st.binary(max_size=60)))


@pytest.fixture(autouse=True)
def nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if not reader.native])
def test_a_reader_returns_or_says_one_line_whatever_it_is_fed(name: str, tmp_path: Path) -> None:
    reader = READERS[name]

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(damaged(reader.seeds()))
    def feed(data: bytes) -> None:
        reader(data, tmp_path)

    feed()


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.native])
def test_behind_a_c_library_it_does_the_same(name: str, tmp_path: Path) -> None:
    """Damage that is the same everywhere: hypothesis draws values from whatever code is loaded, and on some HDF5 loops."""
    reader, chance = READERS[name], random.Random(0)
    for _ in range(EXAMPLES):
        data = bytearray(chance.choice(reader.seeds()))
        for _ in range(chance.randint(1, 4)):
            at, length = chance.randrange(len(data)), chance.choice((1, 2, 8))
            data[at : at + length] = chance.randbytes(length)
        reader(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]), tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_what_a_reader_begins_from_is_taken_or_refused(name: str, tmp_path: Path) -> None:
    for seed in READERS[name].seeds():
        READERS[name](seed, tmp_path)


def test_a_reader_that_fails_otherwise_is_found(tmp_path: Path) -> None:
    def careless(path: Path) -> object:
        return path.read_bytes().decode()

    with pytest.raises(UnicodeDecodeError):
        Reader("x", careless, lambda: [b"x"])(b"\xff", tmp_path)
    with pytest.raises(AssertionError, match="it wrote"):
        Reader("x", lambda path: path.with_name("other").write_text(""), lambda: [])(b"", tmp_path)
