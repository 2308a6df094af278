"""Every command in README, CONTRIBUTING and docs runs as it stands, or says why it can't; none is forgotten."""

import contextlib
import importlib.util
import os
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import evaluate
from benchmark.data import datasets
from benchmark.request import commandline
from docs.generate import datasets as dataset_pages
from docs.generate import encoders as encoder_pages
from docs.generate import site
from tests import documented, writing
from tests.documented import ROOT, Block, Page
from tests.pangaea_checkout import STAND_IN

LONG = "SATDIFUSER_BENCH_LONG" in os.environ
WRITTEN = [documented.read(path) for path in documented.pages()]
GENERATED = [documented.parse(name, text) for name, text in {**dataset_pages.pages(), **encoder_pages.pages()}.items()]
PAGES = WRITTEN + GENERATED
BLOCKS = [block for page in PAGES for block in page.blocks]
OWN = {
    name: text for page in WRITTEN if Path(page.name).stem.startswith("add-your") for name, text in page.files.items()
}
"""The files of an encoder and a dataset of one's own, which other pages name; the encoder also as my_encoder."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OTHERS_OPTIONS = {"--extra", "--group", "--strict", "--python", "--change", "--base", "--hours"}
"""Options of other programs that pages name."""


def known_options() -> set[str]:
    """Every option of every command."""
    parsers = [commandline.parser(name) for name in commandline.COMMANDS]
    return {option for parser in parsers for action in parser._actions for option in action.option_strings}


def programs(command: str) -> list[str]:
    """The parts of a command that `&&` joins, without what only brings the environment."""
    return [part.strip() for part in command.split("&&") if not part.strip().startswith("pip install uv")]


def libraries(command: str) -> list[str]:
    """Libraries whose models a command names; importing them takes seconds."""
    return re.findall(r"(?:^|[ ,])(timm|torchgeo):", command)


def missing_extras(command: str) -> list[str]:
    """Packages of the extras a command asks for that are not installed here."""
    wanted = re.findall(r"--extra (\w+)", command) + libraries(command)
    packages = [{"slurm": "submitit"}.get(extra, extra) for extra in wanted]
    return [name for name in packages if importlib.util.find_spec(name) is None]


def ids(blocks: list[Block]) -> list[str]:
    return [block.where for block in blocks]


@pytest.fixture(scope="session")
def geobench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies in ~/geobench: m-eurosat, and where long commands run all twelve, with a few samples each."""
    root = tmp_path_factory.mktemp("documented") / "geobench"
    for name in datasets.select("all") if LONG else ["m-eurosat"]:
        classes = datasets.dataset(name).num_classes
        writing.write_dataset(root, name, n=(2 * classes, classes, classes))
    return root


@pytest.fixture
def home(
    geobench: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The home and current folder of a user who has data and no released weights."""
    (tmp_path / "geobench").symlink_to(geobench)
    (tmp_path / "pangaea-bench").symlink_to(STAND_IN)
    monkeypatch.setenv("PANGAEA_DIR", str(tmp_path / "pangaea-bench"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GEO_BENCH_DIR", str(tmp_path / "geobench"))
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path_factory.getbasetemp() / "documented-home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextlib.contextmanager
def settings(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The words of a command with its variables set and `~` and `$NAME` put in."""
    while words and re.match(r"\w+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        monkeypatch.setenv(name, os.path.expanduser(value))  # noqa: PTH111
    yield [os.path.expandvars(os.path.expanduser(word)) for word in words]  # noqa: PTH111


def write_own(home: Path) -> None:
    """What a reader has who followed the pages about an encoder and a dataset of one's own."""
    for name, text in OWN.items():
        (home / name).write_text(text)
        (home / name.replace("local_contrast", "my_encoder")).write_text(text)
    if LONG:
        runpy.run_path(str(home / "make_images.py"))


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in programs(command):
        with settings(shlex.split(program), monkeypatch) as words:
            if words[0] == "export":
                monkeypatch.setenv(*words[1].split("=", 1))
                continue
            if words[:3] == ["uv", "run", "python"] and Path(words[3]).is_file():
                runpy.run_path(words[3])
                continue
            assert "evaluate.py" in words, (
                f"`{command}` cannot be run by this test; mark it `run by .ci/run` or `not run`"
            )
            given = words[words.index("evaluate.py") + 1 :]
            assert evaluate.main(given) == 0, command


def walk(
    page: Page, how: tuple[str, ...], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run a page's commands in order; those that are not run are skipped, their checks are elsewhere."""
    write_own(home)
    for name, text in page.files.items():
        (home / name).write_text(text)
    for block in page.blocks:
        if block.how not in how:
            continue
        capsys.readouterr()
        for command in block.commands:
            run(command, monkeypatch)
        printed = "\n".join(capsys.readouterr())
        lacking = documented.missing(block.output, printed)
        assert not lacking, f"{block.where}: not printed: {lacking}; printed was:\n{printed}"


def having(how: str) -> list[Page]:
    return [page for page in PAGES if any(block.how == how for block in page.blocks)]


SHORT = [page for page in having("run") if not (LONG and page in having("long"))]
"""With the long commands of a page run its short ones, so that these need not run again."""


@pytest.mark.parametrize("page", SHORT, ids=lambda page: page.name)
def test_a_pages_short_commands_run(
    page: Page, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk(page, ("run",), home, monkeypatch, capsys)


@pytest.mark.skipif(not LONG, reason="long; set SATDIFUSER_BENCH_LONG=1")
@pytest.mark.parametrize("page", having("long"), ids=lambda page: page.name)
def test_a_pages_long_commands_run(
    page: Page, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if any("--synthetic" in command for block in page.blocks for command in block.commands):
        pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    walk(page, ("run", "long"), home, monkeypatch, capsys)


@pytest.mark.parametrize(
    "block", marked := [block for block in BLOCKS if block.how.startswith("run by")], ids=ids(marked)
)
def test_a_command_that_others_run_stands_there(block: Block) -> None:
    """In a script of CI, the command itself; in a test, or what it imports, the name of the page."""
    named = block.how.removeprefix("run by ")
    script = (ROOT / named).read_text()
    if named.startswith("tests/"):
        helpers = re.findall(r"^from tests import (\w+)$", script, re.MULTILINE)
        texts = [script, *((ROOT / "tests" / f"{helper}.py").read_text() for helper in helpers)]
        assert any(Path(block.page).name in text for text in texts)
        return
    for command in block.commands:
        assert command in script or all(part in script for part in programs(command)), command


@pytest.mark.parametrize(
    "block", unrun := [block for block in BLOCKS if block.how.startswith("not run")], ids=ids(unrun)
)
def test_a_command_that_is_not_run_is_planned(
    block: Block, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its names, options and overrides exist: a run and a fetch are asked what they would do."""
    write_own(home)
    for command in block.commands:
        given = documented.arguments(command)
        if given is None:
            continue
        name, _ = commandline.parse(given)
        if missing_extras(command) or (libraries(command) and not LONG):
            continue
        if name in ("run", "fetch"):
            dry = [] if "--dry-run" in given or "--synthetic" in given else ["--dry-run"]
            assert evaluate.main([os.path.expanduser(word) for word in given] + dry) == 0, command  # noqa: PTH111


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_exist(page: Page) -> None:
    for line, text in page.inline:
        words = shlex.split(re.sub(r"\s+", " ", text), posix=False)
        where = f"{page.name}:{line}: `{text}`"
        given = words[words.index("evaluate.py") + 1 :] if "evaluate.py" in words else []
        if given and given[0] != "->":
            commandline.parse(given)
        if module := re.search(r"python -m ([\w.]+)(?: > (\S+))?", text):
            assert importlib.util.find_spec(module[1]), where
            assert not module[2] or (ROOT / module[2]).is_file(), where
        for option in re.findall(r"(?<!\S)--[a-z][\w-]+", text):
            assert option in known_options() | OTHERS_OPTIONS, where


def test_extras_that_pages_ask_for_exist() -> None:
    texts = [path.read_text() for path in documented.pages()]
    asked = {extra for text in texts for extra in re.findall(r"--extra (\w+)", text)}
    assert asked <= set(PROJECT["project"]["optional-dependencies"])
    groups = {group for text in texts for group in re.findall(r"--group (\w+)", text)}
    assert groups <= set(PROJECT["dependency-groups"])


def test_a_forgotten_command_is_found() -> None:
    text = (
        "Say\n\n```sh\nuv run evaluate.py --encoder no_such --dataset demo\n```\n\n    export A=B\n    uv run pytest\n"
    )
    first, second = documented.parse("page.md", text).blocks
    assert (first.how, first.commands, first.line) == (
        "run",
        ["uv run evaluate.py --encoder no_such --dataset demo"],
        4,
    )
    assert second.commands == ["export A=B", "uv run pytest"]


def test_a_mark_holds_for_the_next_block_alone() -> None:
    text = (
        "<!-- not run: needs a GPU -->\n```sh\nuv run x\n```\n\n```sh\nuv run y\n```\n\n```text\nscore 84.3 ...\n```\n"
    )
    first, second = documented.parse("page.md", text).blocks
    assert (first.how, second.how) == ("not run: needs a GPU", "run")
    assert second.output == ["score 84.3 ..."]
    assert documented.missing(second.output, "begin\n score   84.9 [80.1, 90.0]\nend") == []
    assert documented.missing(["score 84.3"], "score 94.3") == ["score 84.3"]
    assert documented.missing(["b", "a"], "a\nb") == ["a"]


def test_every_place_for_something_generated_is_known() -> None:
    texts = "\n".join(path.read_text() for path in documented.pages())
    assert set(site.MARK.findall(texts)) == set(site.PLACES)
