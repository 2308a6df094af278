"""Fixtures many tests share."""

import os
import shutil
import tarfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

# Tests run side by side, one thread each: two frameworks fighting for the cores slow each other tenfold.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
if "SATDIFUSER_BENCH_LONG" in os.environ:  # some take half an hour, all of them less than this
    os.environ.setdefault("PYTEST_TIMEOUT", "7200")

from benchmark.data import geobench
from benchmark.records import Record
from tests import writing

SKIPS_FAIL = "SATDIFUSER_BENCH_SKIPS_FAIL" in os.environ
"""Set where everything is installed that a test may need (.ci/full), so that none is passed over unseen."""

DATA = Path(__file__).parent / "data"
SIZES = (12, 4, 5)
"""Train, valid and test of the written m-eurosat."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _unskipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _unskipped((yield))


def _unskipped(report: Any) -> Any:
    if SKIPS_FAIL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks() -> Iterator[None]:
    """Files are whole without it unless the power fails, and it took a fifth of the time of many tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def global_generator_left_alone() -> Iterator[None]:
    """Drawing weights leaves the caller's random state as it was."""
    import torch

    state = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), state)


@pytest.fixture(scope="session")
def geobench_real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GEO-Bench root with real files of four datasets (tests/data/README.md); not to be changed."""
    root = tmp_path_factory.mktemp("geobench-real")
    with tarfile.open(DATA / "geobench-real.tar.xz") as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.fixture(scope="session")
def geobench_written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GEO-Bench root with a small m-eurosat; not to be changed."""
    root = tmp_path_factory.mktemp("geobench-written")
    writing.write_dataset(root, "m-eurosat", SIZES)
    return root


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium; without one, or without playwright, what needs it is skipped."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def geobench_copy(geobench_written: Path, tmp_path: Path) -> Path:
    """A GEO-Bench root with a small m-eurosat that may be changed."""
    return Path(shutil.copytree(geobench_written, tmp_path / "root"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the samples read from now on, in order."""
    seen: list[str] = []
    original = geobench.read_sample

    def counting(path: Path, *arguments: Any) -> geobench.Sample:
        seen.append(path.name.removesuffix(".hdf5"))
        return original(path, *arguments)

    monkeypatch.setattr(geobench, "read_sample", counting)
    return seen


@pytest.fixture
def cluster() -> Iterator[str]:
    """A Ray on 127.0.0.1 with two CPUs."""
    pytest.importorskip("ray", reason="needs the ray extra")
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield started.address
    started.shutdown()


@pytest.fixture
def visit(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page of some records, `pages.RECORDS` unless others are given; complaints and requests fail the test."""
    from tests import pages

    opened = []

    def go(records: Sequence[Record] = pages.RECORDS, **options: Any) -> pages.Visit:
        opened.append(pages.Visit(chromium, pages.page_of(tmp_path, records), **options))
        return opened[-1]

    yield go
    for one in opened:
        one.close()
