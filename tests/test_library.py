"""As a library: the page's snippets as they stand, silence, errors, imports, types, and other programs' Hydra."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_type

import pytest
import torch

import encoders
from benchmark import Unfinished, evaluate
from benchmark.progress import Step
from benchmark.record_store import RecordStore
from benchmark.records import Record
from encoders.base import Features
from encoders.errors import UserError
from tests import own_data

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "library.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
DATASET = "real-chesapeake-patches"
LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the module's home."""
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(home))
    monkeypatch.delenv("GEO_BENCH_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_snippets_run_in_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    said = []
    for number, snippet in enumerate(SNIPPETS):
        exec(compile(snippet, f"docs/library.md, snippet {number + 1}", "exec"), namespace)
        said.append(capsys.readouterr())
    assert not any(one.err for one in said)
    features, wanted, embedding, score, table, mistakes = (one.out for one in said)
    assert features.startswith("[(2, 1, ")
    assert "'B12'" in wanted
    assert "torch.Size([4, " in embedding
    assert score.startswith("accuracy 0.")
    assert "Image statistics" in table
    assert "no encoder 'imagestat'; did you mean imagestats" in mistakes
    assert "1 {'imagestats / m-eurosat / linear': " in mistakes


@LONG
def test_one_line_gives_features_of_a_released_model(home: Path, here: Path) -> None:
    """At its full size, from a file in the layout of the authors' and where `fetch` puts it; its numbers are drawn."""
    card = encoders.card("croma_base")
    state = encoders.build(replace(card, weights=encoders.card("croma_tiny").weights)).network.state_dict()
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    path = home / "weights" / "croma" / "CROMA_base.pt"
    path.parent.mkdir(parents=True)
    torch.save(parts, path)
    del state, parts
    features = encoders.build("croma_base")(torch.rand(2, 12, 120, 120))
    assert (features.maps[0].shape[0], features.maps[0].shape[-2:]) == (2, (15, 15))
    assert features.embedding.shape == (2, 768)
    assert torch.isfinite(features.embedding).all()


def test_a_measurement_says_nothing_and_is_the_commands_own(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import evaluate as command

    steps: list[Step] = []
    first = evaluate(["imagestats"], DATASET, protocol="smoke", output=here / "r", on_step=steps.append, seeds=None)
    again = evaluate(Path("none.yaml").with_name("imagestats").name, [DATASET], protocol="smoke", output=here / "r")
    assert capfd.readouterr() == ("", "")
    assert {step.stage for step in steps} >= {"start", "train"}
    assert first == again == list(RecordStore(here / "r"))
    arguments = ("--encoder", "imagestats", "--dataset", DATASET, "--protocol", "smoke", "--output", str(here / "r"))
    assert command.main(list(arguments)) == 0
    assert "1 were there before" in capfd.readouterr().err


def test_datasets_and_encoders_of_ones_own_are_given_as_paths(here: Path) -> None:
    path = own_data.described(own_data.write(here))
    (record,) = evaluate("imagestats", path, protocol="smoke", output=here / "r")
    assert (record.run.dataset, record.score.n_test) == ("mine", 4)


def test_what_fails_leaves_the_others_their_records(here: Path) -> None:
    path = own_data.described(own_data.write(here))
    (here / "test/crop/s10.png").write_bytes(b"no image")
    with pytest.raises(Unfinished, match=r"imagestats / mine / linear: .*s10.png: damaged") as caught:
        evaluate("imagestats", [DATASET, path], protocol="smoke", output=here / "r")
    assert [record.run.dataset for record in caught.value.records] == [DATASET]
    assert list(caught.value.reasons) == ["imagestats / mine / linear"]
    with pytest.raises(Unfinished, match="is impossible"):
        evaluate("satmae_group_tiny", DATASET, protocol="smoke", bands="authors", output=here / "none")
    # Where something was measured, what can't be fed is no failure, as for the command.
    found = evaluate(["imagestats", "satmae_group_tiny"], DATASET, protocol="smoke", bands="authors", output=here / "r")
    assert [record.run.encoder for record in found] == ["imagestats"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoders": "imagestat"}, "no encoder 'imagestat'; did you mean imagestats"),
        ({"datasets": "m-eurosta"}, "no dataset 'm-eurosta'; did you mean m-eurosat"),
        ({"encoders": []}, "encoders is []; name each once"),
        ({"datasets": "m-eurosat,m-eurosat"}, "datasets is 'm-eurosat,m-eurosat'; name each once"),
        ({"protocol": "frosen"}, "no protocol 'frosen'; did you mean frozen"),
        ({"bands": "all"}, "'bands' is 'all'; "),
        ({"overrides": ["batch_sise=1"]}, "unknown key 'batch_sise'; did you mean batch_size"),
        ({"output": "/proc/none"}, "/proc/none"),
        ({"seeds": 0}, "'seeds' is 0; it must be at least 1"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: dict[str, Any], message: str, here: Path) -> None:
    whole = {"encoders": "imagestats", "datasets": DATASET, "protocol": "smoke"} | arguments
    with pytest.raises(UserError) as caught:
        evaluate(**whole)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_short_name_is_the_encoder_it_means_and_says_where_its_weights_belong(here: Path, home: Path) -> None:
    for short, name in encoders.ALIASES.items():
        assert encoders.card(short) == encoders.card(name)
        assert encoders.is_named(short)
        assert short not in encoders.names()
    with pytest.raises(UserError, match="croma_base_optical: 1 of its weight files are missing") as caught:
        encoders.build("croma_base")
    assert f"put them under the weights folder {home / 'weights'}" in str(caught.value)
    with pytest.raises(UserError, match="precision is 'float8'; did you mean float32 or bfloat16"):
        encoders.build("croma_tiny", precision="float8")  # type: ignore[arg-type]


def test_what_is_public_has_types() -> None:
    encoder = encoders.build("croma_tiny")
    assert_type(encoder(torch.rand(1, 12, 32, 32)), Features)
    for package in ("encoders", "decoders", "benchmark", "configs", "reports"):
        assert (ROOT / package / "py.typed").is_file()


def test_a_caller_is_checked_against_the_types() -> None:
    """By the checks' own mypy, which takes minutes the first time; a refused argument that it let pass would fail there."""
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert "tests/typed_caller.py" in checked["files"]
    assert checked["warn_unused_ignores"]
    compile((ROOT / "tests/typed_caller.py").read_text(), "tests/typed_caller.py", "exec")


def test_importing_the_library_is_cheap() -> None:
    heavy = (
        "[one for one in ('torch', 'numpy', 'pandas', 'hydra', 'sklearn', 'h5py', 'rasterio') if one in sys.modules]"
    )
    code = f"import sys; from benchmark import evaluate; from encoders import build, card; print({heavy})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"


def test_a_program_that_uses_hydra_itself_finds_it_as_it_was(here: Path) -> None:
    from hydra import compose, initialize_config_dir

    (here / "own").mkdir()
    (here / "own" / "mine.yaml").write_text("x: 1\n")
    with initialize_config_dir(str(here / "own"), version_base="1.3"):
        records: list[Record] = evaluate("imagestats", DATASET, protocol="smoke", output=here / "r")
        assert compose("mine") == {"x": 1}
    assert len(records) == 1
