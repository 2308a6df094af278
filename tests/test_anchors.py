"""`anchors`: what can be measured here is set beside what is published, what cannot says what it lacks."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import evaluate
from benchmark.commands import anchors
from benchmark.commands.anchors import Anchor, Anchors, Measured
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.scoring import statistics
from benchmark.scoring.counts import from_counts
from benchmark.scoring.over_seeds import OverSeeds, over_seeds
from encoders.errors import UserError
from reports import literature
from reports.tables import tables
from tests.record_factory import PROVENANCE, make_record

MADE_UP: dict[str, Any] = {
    "row": "imagestats",
    "dataset": "real-chesapeake-patches",
    "bands": "rgb",
    "protocol": "frozen",
    "metric": "accuracy",
    "value": 0.5,
    "interval": [0.0, 1.0],
    "source": "a made-up paper",
    "url": "https://example.org",
    "differs": "everything",
    "reason": "a test",
}
FILE = [
    MADE_UP,
    MADE_UP | {"metric": "accuracy", "value": 0.01, "interval": [0.0, 0.02]},
    MADE_UP | {"value": 0.0, "interval": None},
    MADE_UP | {"dataset": "m-eurosat"},
    MADE_UP | {"row": "dofa_v1_base"},
    MADE_UP | {"row": "croma_base_sar"},
]
"""Inside, outside, without an interval, and what lacks data, weights and bands."""


def written(folder: Path, plain: object) -> str:
    path = folder / "anchors.yaml"
    path.write_text(yaml.safe_dump(plain))
    return str(path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path, str]:
    """Exit code, results folder and printed text of the made-up file."""
    folder = tmp_path_factory.mktemp("anchors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(folder / "home"))
        patch.delenv("GEO_BENCH_DIR", raising=False)
        shown: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: shown.extend(map(str, words)))
        patch.setattr("reports.console.print_table", lambda header, rows, console=None: shown.extend(map(repr, rows)))
        output = folder / "results"
        code = evaluate.main(
            ["anchors", "--anchors", written(folder, FILE), "--device", "cpu", "--output", str(output)]
        )
    return code, output, "\n".join(shown)


def test_inside_and_outside_are_told_with_both_intervals_and_the_difference(ran: tuple[int, Path, str]) -> None:
    code, output, shown = ran
    (record,) = RecordStore(output)
    ours = f"{100 * record.score.metrics['accuracy']:.1f}"
    interval = f"[{100 * record.score.interval.low:.1f}, {100 * record.score.interval.high:.1f}]"
    told = ["imagestats / real-chesapeake-patches / rgb", "frozen", "accuracy", ours, interval]
    assert repr([*told, "50.0", "[0.0, 100.0]", "inside its interval"]) in shown
    assert repr([*told, "1.0", "[0.0, 2.0]", "outside its interval"]) in shown
    assert "a made-up paper (https://example.org); everything." in shown
    assert code == anchors.OUTSIDE


def test_what_cannot_be_measured_says_what_brings_it(ran: tuple[int, Path, str]) -> None:
    _, _, shown = ran
    assert "the data of m-eurosat: `evaluate.py fetch dataset m-eurosat --data-root FOLDER` brings it" in shown
    assert re.search(r"weights of dofa_v1_base \(dofa/\S+ or \S+\): get them with `evaluate.py fetch encoder", shown)
    assert "croma_base_sar / real-chesapeake-patches / rgb" in shown
    assert "1 anchors inside, 2 outside, 0 failed, 3 not possible here." in shown


def test_records_land_in_the_output_folder_like_any_others(ran: tuple[int, Path, str]) -> None:
    _, output, _ = ran
    (record,) = RecordStore(output)
    assert record.rows == {"imagestats": "Image statistics"}
    assert evaluate.main(["verify", str(output)]) == 0


def test_nothing_to_measure_is_one_clear_sentence_and_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path))
    monkeypatch.delenv("GEO_BENCH_DIR", raising=False)
    assert evaluate.main(["anchors", "--output", str(tmp_path / "out")]) == anchors.NONE_RAN
    out = capsys.readouterr().out
    assert "None of the 8 anchors can be measured here; what each lacks, and what brings it, is above." in out
    assert out.count("weights of satdifuser") == 2
    assert not (tmp_path / "out").exists()


def measured(low: float, value: float, high: float, **changes: Any) -> Measured:
    anchor = Anchor(**{**MADE_UP, "value": 0.5, "interval": (0.4, 0.6), **changes})
    return Measured(anchor, OverSeeds(value, low, high, 1))


INSIDE, OUTSIDE = measured(0.3, 0.4, 0.5), measured(0.3, 0.39, 0.5)
LACKING = replace(INSIDE, ours=None, why="the data of m-eurosat")
FAILED = replace(LACKING, failed=True)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([INSIDE, LACKING], 0),
        ([INSIDE, OUTSIDE], 1),
        ([INSIDE, FAILED], 1),
        ([FAILED], 1),
        ([LACKING, LACKING], 3),
    ],
)
def test_the_code_is_that_of_what_ran(found: list[Measured], code: int) -> None:
    assert Anchors(found).code == code


def test_without_a_published_interval_ours_decides() -> None:
    assert measured(0.45, 0.7, 0.9, interval=None).is_inside
    assert not measured(0.55, 0.7, 0.9, interval=None).is_inside
    assert "no interval published" in measured(0.55, 0.7, 0.9, interval=None).row()[-1]


WRONG = {
    "percent": ([MADE_UP | {"value": 50.0}], "anchor 1: .*give fractions"),
    "outside itself": ([MADE_UP, MADE_UP | {"interval": [0.6, 0.7]}], "anchor 2: .*the value within the interval"),
    "metric": ([MADE_UP | {"metric": "miou"}], "anchor 1: 'metric' is 'miou'"),
    "no reason": ([{name: value for name, value in MADE_UP.items() if name != "reason"}], "'reason' is missing"),
    "no list": ({"row": "imagestats"}, "no list of anchors"),
}


@pytest.mark.parametrize(("plain", "message"), WRONG.values(), ids=WRONG)
def test_a_file_that_cannot_be_is_one_sentence(tmp_path: Path, plain: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        anchors.read(Path(written(tmp_path, plain)))


def test_each_shipped_anchor_is_a_published_number() -> None:
    shipped = anchors.read()
    assert len(shipped) == 8
    published = literature.read_all()
    for anchor in shipped:
        fits = [
            one for one in published
            if one.dataset == anchor.dataset and one.url == anchor.url and abs(one.fraction - anchor.value) < 1e-9
            and (anchor.interval is None or "[{:.4f},{:.4f}]".format(*anchor.interval) in one.protocol_note)
        ]  # fmt: skip
        assert fits, anchor.title


def test_several_seeds_are_one_number_and_another_miou_has_an_interval_of_its_own() -> None:
    records = [make_record(0.4, half_width=0.1, seed=0), make_record(0.6, half_width=0.2, seed=1)]
    together = over_seeds(records, "accuracy")
    assert (together.value, together.seeds) == (0.5, 2)
    assert together.half_width == pytest.approx(0.15)
    with pytest.raises(UserError, match="no metric 'miou_truth'"):
        over_seeds(records, "miou_truth")
    score = replace(
        records[0].score,
        headline="miou_truth",
        metrics={"miou_truth": 0.5, "miou_absent_zero": 0.25},
        group_counts=[[[10.0, 0.0, 20.0, 0.0, 10.0, 0.0], [5.0, 0.0, 20.0, 0.0, 5.0, 0.0]]],
    )
    other = over_seeds([replace(records[0], score=score)], "miou_absent_zero")
    assert (other.value, other.low, other.high) == (0.25, 0.125, 0.25)


def trained(seed: int, shift: float, **changes: Any) -> Record:
    """A segmentation of 40 test groups: two classes, the same groups for every seed, one better than another."""
    right = np.clip(np.linspace(20, 80, 40) + 100 * shift, 0, 100)
    counts = np.stack([right, right, *[np.full(40, 100.0)] * 4], axis=1)[None].round()
    drawn = statistics.resample(counts, "miou_truth", statistics.draw(1, 40, 500, np.random.default_rng(7)))
    metrics = {name: float(from_counts(name, counts[0].sum(axis=0))) for name in ("miou_truth", "miou_absent_zero")}
    protocol = {"protocol": {"bootstrap_seed": 7, "test_bootstraps": 500}}
    record = make_record(
        metric="miou_truth", seed=seed, task="segmentation", provenance=replace(PROVENANCE, config=protocol), **changes
    )
    score = replace(
        record.score,
        metrics=metrics,
        interval=statistics.interval_of(counts, "miou_truth", drawn, 0.95),
        resamples=statistics.pack(drawn),
        group_counts=counts.tolist(),
        n_groups=40,
    )
    return replace(record, score=score)


def test_the_interval_over_seeds_is_the_leaderboards_and_shows_how_seeds_differ() -> None:
    records = [trained(seed, shift) for seed, shift in enumerate((-0.1, 0.0, 0.1))]
    (table,) = tables(records)
    cell = table.rows[0].cells["m-eurosat"]
    found = over_seeds(records[::-1], "miou_truth")
    assert (found.value, found.low, found.high, found.seeds) == (cell.value, cell.low, cell.high, 3)
    of_each = np.mean([record.score.interval.high - record.score.interval.low for record in records])
    assert 2 * found.half_width > 1.1 * of_each


def test_another_miou_of_the_same_counts_has_the_headlines_draws() -> None:
    """Both classes are in the truth, so the two means are one number."""
    records = [trained(seed, shift) for seed, shift in enumerate((-0.1, 0.0, 0.1))]
    other, headline = over_seeds(records, "miou_absent_zero"), over_seeds(records, "miou_truth")
    assert (other.value, other.low, other.high) == pytest.approx((headline.value, headline.low, headline.high), 1e-6)


@pytest.mark.parametrize(("headline", "metric"), [("accuracy", "f1_macro"), ("miou_truth", "miou_labelled")])
def test_a_metric_that_the_counts_do_not_give_has_no_interval(headline: str, metric: str) -> None:
    record = make_record(0.5, metric=headline)
    record = replace(record, score=replace(record.score, metrics={headline: 0.5, metric: 0.25}))
    found = over_seeds([record], metric)
    assert (found.value, found.half_width) == (0.25, 0.0)
