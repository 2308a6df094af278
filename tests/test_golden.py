"""A number that moves without a version being raised is a bug: golden records of the bundled sample."""

import json
from pathlib import Path

import pytest

from tests.golden import CELLS, GOLDEN, measure

# One of 51 test images on the other side of a boundary: what another CPU or BLAS may do, and no more.
ONE_IMAGE = 1 / 51 + 1e-9


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", "restored afterwards")
        return measure(tmp_path_factory.mktemp("golden"))


def _metrics_moved(now: dict[str, float], golden: dict[str, float]) -> str:
    """What to do where other metrics are measured; empty where they are the same."""
    changed = ", ".join(sorted(now.keys() ^ golden.keys()))
    return f"metrics added or gone: {changed}; if meant, run `python -m tests.golden`" if changed else ""


def test_other_metrics_are_told_with_the_remedy() -> None:
    said = _metrics_moved({"accuracy": 0.5, "kappa": 0.4}, {"accuracy": 0.5, "ece": 0.1})
    assert said == "metrics added or gone: ece, kappa; if meant, run `python -m tests.golden`"
    assert _metrics_moved({"accuracy": 0.5}, {"accuracy": 0.6}) == ""


@pytest.mark.parametrize("cell", ["/".join(cell) for cell in CELLS])
def test_numbers_move_only_with_a_version(measured: dict[str, dict[str, object]], cell: str) -> None:
    golden = json.loads(Path(GOLDEN).read_text())[cell]
    now = json.loads(json.dumps(measured[cell]))
    assert now["versions"] == golden["versions"], "a version was raised: write the new golden numbers"
    assert now["data"] == golden["data"]
    assert now["inputs"] == golden["inputs"]
    assert now["chosen"] == golden["chosen"]
    assert not (said := _metrics_moved(now["metrics"], golden["metrics"])), said
    assert now["metrics"] == pytest.approx(golden["metrics"], abs=3 * ONE_IMAGE)
    assert now["metrics"]["accuracy"] == pytest.approx(golden["metrics"]["accuracy"], abs=ONE_IMAGE)
    assert now["interval"] == pytest.approx(golden["interval"], abs=3 * ONE_IMAGE)
    for row, expected in zip(now["scores"], golden["scores"], strict=True):
        assert row == pytest.approx(expected, abs=2e-3)
