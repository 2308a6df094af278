"""Where and with what a record was made: named as a reader would, and no part of its key."""

from dataclasses import fields
from importlib import metadata
from pathlib import Path

import pytest

from benchmark import provenance
from benchmark.records import Provenance, Run


def test_a_cpu_has_its_name_and_its_architecture_where_the_system_knows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "CPUS", tmp_path / "cpuinfo")
    monkeypatch.setattr(provenance.platform, "processor", lambda: "")
    monkeypatch.setattr(provenance.platform, "machine", lambda: "aarch64")
    assert provenance.cpu_name() == "aarch64"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: \nBogoMIPS\t: 50\n")
    assert provenance.cpu_name() == "aarch64"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 9654 \nprocessor\t: 1\nmodel name\t: B\n")
    assert provenance.cpu_name() == "AMD EPYC 9654"
    assert provenance.provenance("cpu", {}).device == "AMD EPYC 9654"


def test_the_package_that_counts_is_named_with_its_version() -> None:
    assert provenance.versions()["torchmetrics"] == metadata.version("torchmetrics")


def test_nothing_of_it_is_in_a_key() -> None:
    assert {one.name for one in fields(Provenance)} & {one.name for one in fields(Run)} == set()
