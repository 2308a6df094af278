"""A sweep's progress: a table in a terminal, lines elsewhere; whatever ends it, the terminal is left as it was."""

import io
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from benchmark import progress
from benchmark.commands.catalogue import LISTS
from benchmark.grid import display
from benchmark.grid.cells import Cell, cells, title
from benchmark.grid.display import LiveTable
from benchmark.grid.work import CellResult
from benchmark.progress import Step
from benchmark.request import configuration
from reports.console import print_table


def asked() -> list[Cell]:
    request = configuration.compose(
        rows=["imagestats", "imagestats-gw", "imagestats-moe", "rcf"],
        dataset_choice="real-neontree-crops,real-chesapeake-patches",
        probe=None,
        protocol="smoke",
        settings={},
        overrides=[],
    )
    return cells(request)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(display, "time", made)
    monkeypatch.setattr(progress, "time", made)
    return made


def table(total: int, at_once: list[CellResult]) -> LiveTable:
    return LiveTable(total, at_once, Console(file=io.StringIO(), width=80))


def drawn(live: LiveTable) -> list[str]:
    with live.console.capture() as captured:
        live.console.print(live)
    lines = captured.get().splitlines()
    assert all(cell_len(line) <= 80 for line in lines), lines
    return [line.rstrip() for line in lines]


def test_the_table_has_a_row_a_running_group_with_its_stage_and_totals_below(clock: Clock) -> None:
    found = asked()
    group, other = found[:3], found[3:4]
    live = table(10, [CellResult(found[4], "skipped"), CellResult(found[5], "impossible", "why")])
    live.step(Step("start", group=title(group)))
    clock.now += 5
    live.step(Step("encode", 3, 12, title(group)))
    live.step(Step("train", group=title(other)))
    header, first, second, totals = drawn(live)
    assert header.split() == ["running", "stage", "done", "for"]
    assert first.startswith("imagestats with none, gw, moe / real-neontree-crop")
    assert first.split()[-3:] == ["encode", "3/12", "0:00:05"]
    assert second.split()[-2:] == ["train", "0:00:00"]
    assert totals == "0:00:05  0 done, 1 there before, 1 impossible, 8 left"


def test_the_time_to_go_is_judged_by_what_was_run(clock: Clock) -> None:
    found = asked()
    live = table(8, [CellResult(found[7], "skipped")])
    live.step(Step("start", group=title(found[:3])))
    clock.now += 30
    assert "to go" not in drawn(live)[-1]
    live.ended([CellResult(found[0], "done"), CellResult(found[1], "failed", "why"), CellResult(found[2], "done")])
    header, totals = drawn(live)
    assert header.startswith("running")
    assert totals == "0:00:30  2 done, 1 there before, 1 failed, 4 left, about 0:00:40 to go"
    printed = live.console.file.getvalue()
    assert "[3/8] imagestats-gw / real-neontree-crops / upernet: failed" in printed
    live.ended([CellResult(cell, "done") for cell in found[3:7]])
    assert "to go" not in drawn(live)[-1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("is_plain", [True, False])
def test_ctrl_c_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch, is_plain: bool) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if is_plain:
        monkeypatch.setenv("NO_COLOR", "1")
    found = asked()

    def interrupted() -> None:
        with display.shown(8, []) as shown:
            progress.begin(title(found[:1]))
            shown.ended([CellResult(found[0], "failed", "why")])
            progress.begin(title(found[1:2]))
            print("a warning of a library", file=sys.stderr)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    written = terminal.getvalue()
    assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")
    assert "[1/8] imagestats / real-neontree-crops / upernet: failed" in written
    assert "a warning of a library" in written
    assert ("\x1b[31m" in written) == (not is_plain)
    assert written.endswith("\x1b[2K")  # the table's last line is gone
    assert sys.stderr is terminal
    assert not progress.is_heard()


@pytest.mark.parametrize("term", ["dumb", None])
def test_elsewhere_there_is_a_line_for_each_thing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], term: str | None
) -> None:
    if term:  # a terminal that can't
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    found = asked()
    with display.shown(8, [CellResult(found[7], "skipped")]) as shown:
        progress.begin(title(found[:3]))
        shown.ended([CellResult(found[0], "done"), CellResult(found[1], "failed", "why")])
    assert capsys.readouterr().err.splitlines() == [
        "running imagestats with none, gw, moe / real-neontree-crops / upernet",
        "[2/8] imagestats / real-neontree-crops / upernet: done",
        "[3/8] imagestats-gw / real-neontree-crops / upernet: failed",
    ]


def test_a_listener_is_told_of_every_stage_and_nothing_is_shown(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[Step] = []
    with progress.heard_by(steps.append):
        progress.begin("a")
        for _ in progress.track(range(3), "images", 5, done=2, stage="encode"):
            clock.now += 1
        progress.begin("b")
        progress.tell(Step("train"))
    assert steps == [
        Step("start", group="a"),
        *(Step("encode", done, 5, "a") for done in (2, 3, 4, 5)),
        Step("start", group="b"),
        Step("train", group="b"),
    ]
    assert capsys.readouterr().err == ""


def printed(width: int, header: list[str], rows: list[list[object]]) -> list[str]:
    made = Console(file=io.StringIO(), width=width, force_terminal=True)
    print_table(header, rows, made)
    found = made.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in Text.from_ansi(found).plain.splitlines()]


@pytest.mark.parametrize("what", sorted(LISTS))
@pytest.mark.parametrize("width", [80, 200])
def test_no_word_of_a_list_is_broken_and_no_line_is_too_wide(what: str, width: int) -> None:
    header, rows = LISTS[what](None)
    lines = printed(width, list(header), [list(row) for row in rows])
    words = {word for line in lines for word in line.replace(";", " ").split()}
    assert max(map(cell_len, lines)) <= width
    for row in rows:
        missing = {word for value in row for word in str(value).replace(";", " ").split()} - words
        assert not missing


def test_a_table_that_is_too_wide_for_whole_words_is_a_paragraph_a_row() -> None:
    header = ["name", "one", "two", "three"]
    row: list[object] = ["a_name_of_twenty_letters", "x" * 20, "", "y" * 60]
    assert printed(200, header, [row])[3].split() == [str(value) for value in row if value]
    assert printed(80, header, [row]) == [str(row[0]), f"  one {row[1]}; three", f"  {row[3]}"]


def test_a_pipe_gets_neither_colours_nor_folded_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["area", "what"], [["x", "word " * 30]])
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert ("word " * 30).strip() in said
