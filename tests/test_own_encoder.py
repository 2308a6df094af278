"""Encoders that are not built in: the documented example as it stands, its identity, and every mistake in one sentence."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml

import encoders
import evaluate
from benchmark.request import configuration
from benchmark.request.rows import split
from docs.generate import card as card_page
from encoders import elsewhere
from encoders.errors import UserError
from encoders.spec import EncoderCard, Unit, Weights

PAGE = Path(__file__).parent.parent / "docs" / "add-your-encoder.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def write_example(folder: Path) -> Path:
    """The page's two files, written under the names in their first lines; the YAML file's path."""
    for _, text in BLOCKS:
        if named := re.match(r"# (local_contrast\.\w+)\n", text):
            (folder / named[1]).write_text(text)
    return folder / "local_contrast.yaml"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return write_example(tmp_path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command in the home; the error's sentence, empty if all went well."""
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(home))

    def call(*arguments: str) -> str:
        capsys.readouterr()
        code = evaluate.main(list(arguments))
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert (code, len(errors)) in ((0, 0), (2, 1))
        return errors[0] if errors else ""

    return call


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_page_adds_an_encoder_in_40_lines() -> None:
    files = [text for _, text in BLOCKS if text.startswith("# local_contrast.")]
    assert len(files) == 2
    assert sum(bool(line.strip()) for text in files for line in text.splitlines()) <= 40


def test_the_pages_command_makes_a_record_and_changed_code_makes_another(
    example: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.parent)
    (command,) = [
        shlex.split(text.removeprefix("uv run evaluate.py"))
        for kind, text in BLOCKS
        if kind == "sh" and example.name in text
    ]
    records = example.parent / "results" / "records"

    assert run(*command) == ""
    (first,) = records.iterdir()
    assert '"encoder": "local_contrast"' in first.read_text()
    assert run(*command) == ""
    assert len(list(records.iterdir())) == 1

    edit(example.with_suffix(".py"), "(4, 8, 16, 32)", "(4, 8, 16)")
    assert run(*command) == ""
    assert len(list(records.iterdir())) == 2


def give_inputs(example: Path, inputs: object = None) -> dict[str, Any]:
    """Give the example the page's own profile, or another; the profile."""
    (own,) = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml" and text.startswith("inputs:")]
    plain: dict[str, Any] = yaml.safe_load(example.read_text()) | own | ({"inputs": inputs} if inputs else {})
    example.write_text(yaml.safe_dump(plain))
    profile: dict[str, Any] = plain["inputs"]
    return profile


def test_the_pages_own_profile_runs_on_the_bundled_images(
    example: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.parent)
    give_inputs(example)
    asked = ("--dataset", "real-chesapeake-patches", "--bands", "authors", "--protocol", "smoke", "--allow-code")
    assert run("--encoder", example.name, *asked) == ""
    assert len(list((example.parent / "results" / "records").iterdir())) == 1
    text = PAGE.read_text()
    assert all(
        f"`{unit}`" in text[text.index("Units are") : text.index("## Released weights")] for unit in get_args(Unit)
    )


def test_a_unit_without_a_rule_names_the_users_own_file_or_the_profile_it_names(
    example: Path, run: Callable[..., str]
) -> None:
    profile = give_inputs(example)
    give_inputs(example, profile | {"rules": [one for one in profile["rules"] if one["unit"] != "unit"]})
    asked = ("real-chesapeake-patches", "--bands", "authors")
    error = run("preview", str(example), *asked)
    assert "has no value rule for unit 'unit' (band 'NearInfrared' of real-chesapeake-patches)" in error
    assert f"add one to inputs.rules in the YAML file of local_contrast (in {example.parent})" in error
    give_inputs(example, "satdifuser_8bit")
    named = "configs/inputs/satdifuser_8bit.yaml, or give rules of its own under 'inputs:' in its YAML file"
    assert encoders.profile_of(encoders.card(str(example))) == named
    assert encoders.profile_of(encoders.card("satdifuser")) == "configs/inputs/satdifuser.yaml"


def test_the_table_of_keys_is_that_of_the_card() -> None:
    assert card_page.filled(PAGE.read_text()) == PAGE.read_text(), f"run: {card_page.COMMAND}"
    told = "\n".join(line.split("|")[1] for line in card_page.table().splitlines())
    keys = {card_page.OURS.get(one.name, one.name) for one in fields(EncoderCard)} - {""}
    assert set(re.findall(r"`([\w.]+)`", told)) == keys | {f"weights.{one.name}" for one in fields(Weights)}


def test_the_table_says_needed_of_what_a_file_cannot_lack(example: Path) -> None:
    plain = yaml.safe_load(example.read_text())
    needed = re.findall(r"^\| `(\w+)` \| \*\*needed", card_page.table(), re.MULTILINE)
    assert needed
    whole = {key: plain[key] for key in needed}
    example.write_text(yaml.safe_dump(whole))
    card = encoders.card(str(example))
    defaults = {one.name: one.default for one in fields(EncoderCard) if one.default is not MISSING} | {
        "home": card.home
    }
    assert {name: getattr(card, name) for name in defaults} == defaults
    for key in needed:
        example.write_text(yaml.safe_dump({name: value for name, value in whole.items() if name != key}))
        with pytest.raises(UserError, match=f"'{key}' is"):
            encoders.card(str(example))


# What would run, by command: the file is given to each.
RUNS = (
    ("--dataset", "real-chesapeake-patches", "--encoder"),
    ("preview", "--features", "real-chesapeake-patches"),
    ("preview", "--attention", "0.5,0.5", "real-chesapeake-patches"),
)
LOOKS = (
    ("--dataset", "real-chesapeake-patches", "--dry-run", "--encoder"),
    ("preview", "real-chesapeake-patches"),
)


@pytest.mark.parametrize("command", [*RUNS, *LOOKS], ids=" ".join)
def test_code_that_a_yaml_file_names_runs_only_where_the_user_says_so(
    command: tuple[str, ...], example: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.parent)
    canary = example.parent / "canary"
    code = example.with_suffix(".py")
    code.write_text(f"from pathlib import Path\nPath({str(canary)!r}).touch()\n{code.read_text()}")
    first, *rest = command
    given = (first, str(example), *rest) if first == "preview" else (*command, str(example))
    error = run(*given)
    assert not canary.exists()
    if command in LOOKS:
        assert error == ""
        return
    for part in ("this would run", str(code), "local_contrast", "read that code, then add --allow-code"):
        assert part in error
    run(*given, "--allow-code", "--protocol", "smoke")
    assert canary.exists()


def test_what_a_file_names_in_its_turn_is_no_consent_either(
    example: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.parent)
    example.with_suffix(".py").write_text("raise RuntimeError('it ran')\n")
    grid = {"rows": [example.name], "datasets": ["real-chesapeake-patches"], "protocol": "smoke"}
    experiment = {"title": "T", "question": "Q", "reading": "R", "grids": [grid]}
    Path("experiment.yaml").write_text(yaml.safe_dump(experiment))
    assert "add --allow-code" in run("--experiment", "experiment.yaml")
    hidden = grid | {
        "rows": ["rcf"],
        "overrides": [f"encoder.home={example.parent}", "encoder.adapter=local_contrast:X"],
    }
    Path("experiment.yaml").write_text(yaml.safe_dump(experiment | {"grids": [hidden]}))
    assert "add --allow-code" in run("--experiment", "experiment.yaml")
    for override in ("executor.setup=[touch canary]", "tracker=wandb"):
        Path("experiment.yaml").write_text(yaml.safe_dump(experiment | {"grids": [grid | {"overrides": [override]}]}))
        assert "give it on the command line" in run("--experiment", "experiment.yaml", "--executor", "slurm")
    anchor = {"row": example.name, "dataset": "real-chesapeake-patches", "bands": "rgb", "protocol": "smoke"} | {
        "metric": "accuracy", "value": 0.5, "interval": None, "source": "s", "url": "u", "differs": "d", "reason": "r",
    }  # fmt: skip
    Path("anchors.yaml").write_text(yaml.safe_dump([anchor]))
    assert "add --allow-code" in run("anchors", "--anchors", "anchors.yaml")


def test_a_dataset_that_has_torchgeo_run_needs_the_users_word_and_images_do_not(
    tmp_path: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torchgeo", None)
    plain = {
        "name": "mine", "task": "classification", "class_names": ["a", "b"], "image_size": 8, "sensor": "aerial",
        "bands": [{"band": "red", "unit": "byte"}], "files": {"reader": "torchgeo:EuroSAT100", "root": "."},
    }  # fmt: skip
    Path("mine.yaml").write_text(yaml.safe_dump(plain))
    for command in (("--encoder", "imagestats", "--dataset"), ("preview", "imagestats")):
        error = run(*command, "mine.yaml")
        assert "this would run torchgeo:EuroSAT100, which" in error
        assert "if you trust both, add --allow-code" in error
    assert "torchgeo" not in run("--encoder", "imagestats", "--dataset", "mine.yaml", "--dry-run")
    assert "it cannot be imported" in run("--encoder", "imagestats", "--dataset", "mine.yaml", "--allow-code")


def test_the_folder_is_no_part_of_the_identity_and_the_code_is(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        found.append(elsewhere.sources(encoders.card(str(write_example(tmp_path / name)))))
    assert found[0] == found[1]
    assert list(found[0]) == ["code:local_contrast.py"]
    assert elsewhere.sources(encoders.card("imagestats")) == {}


def test_the_key_of_an_encoder_of_ones_own_needs_no_framework(example: Path) -> None:
    code = f"import sys, encoders; print(encoders.elsewhere.sources(encoders.card({str(example)!r})), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PAGE.parent.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("False")


def test_a_module_is_run_anew_for_each_folder_and_content(tmp_path: Path) -> None:
    widths = []
    for name, strides in (("a", "(4,)"), ("b", "(8, 16)")):
        (tmp_path / name).mkdir()
        path = write_example(tmp_path / name)
        edit(path.with_suffix(".py"), "(4, 8, 16, 32)", strides)
        widths.append(encoders.build(str(path)).embedding_dim)
    assert widths == [6, 12]


def test_a_module_may_import_what_lies_beside_it_and_shadows_nothing_of_pythons(example: Path) -> None:
    (example.parent / "beside_my_encoder.py").write_text("GRIDS = (4, 8)\n")
    (example.parent / "colorsys.py").write_text("raise RuntimeError('shadowed')\n")
    edit(
        example.with_suffix(".py"),
        "STRIDES = (4, 8, 16, 32)",
        "import colorsys\nfrom beside_my_encoder import GRIDS as STRIDES",
    )
    assert len(encoders.build(str(example)).levels) == 2


def test_two_encoders_of_one_name_are_told_apart_before_anything_runs(example: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_example(tmp_path / "other")
    shared: dict[str, Any] = {"dataset_choice": "m-chesapeake", "probe": None, "protocol": "smoke", "settings": {}}
    shared["allow_code"] = True
    with pytest.raises(UserError, match="are both called local_contrast; give one another name"):
        configuration.compose(rows=[str(example), str(other)], overrides=[], **shared)
    relative = f"{example.parent}/./{example.name}"
    with pytest.raises(UserError, match="are one encoder on every dataset asked for; name one"):
        configuration.compose(rows=[str(example), relative], overrides=[], **shared)


def test_an_option_and_an_own_profile_reach_the_encoder_through_overrides(example: Path) -> None:
    give_inputs(example)
    example.write_text(example.read_text() + "options: {strides: [4]}\n")
    request = configuration.compose(
        rows=[f"{example}-gw", "imagestats"],
        dataset_choice="m-chesapeake",
        probe=None,
        protocol="smoke",
        settings={"bands": "authors"},
        overrides=["++encoder.options.strides=[8]", "encoder.image_size=64"],
        fusions=["none"],
        allow_code=True,
    )
    own_row, other = request.rows
    card = own_row.cards["m-chesapeake"]
    assert (own_row.name, own_row.fusion.name, card.options, other.name) == (
        "local_contrast",
        "gw",
        {"strides": [8]},
        "imagestats",
    )
    inputs = encoders.inputs_of(card)
    assert (inputs.wanted("aerial") or ())[0].name == "nir"
    assert inputs.image_size == 64
    assert encoders.build(card)(torch.rand(1, 3, 64, 64)).embedding.shape == (1, 24)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("timm:vit-x.y-gw", ("timm:vit-x.y", "gw")),
        ("timm:vit-x.y", ("timm:vit-x.y", "none")),
        ("torchgeo:a:B-lw-fixed", ("torchgeo:a:B", "lw-fixed")),
        ("my-folder/my-own.yaml", ("my-folder/my-own.yaml", "none")),
        ("my-folder/my-own.yaml-moe-balanced", ("my-folder/my-own.yaml", "moe-balanced")),
        ("imagestats-gw", ("imagestats", "gw")),
    ],
)
def test_only_a_fusers_name_ends_a_row(row: str, expected: tuple[str, str]) -> None:
    assert split([row], ["none"]) == [expected]


def test_an_installed_package_offers_encoders_by_name(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example.parent / "offering.py").write_text(
        f"PATH = {str(example)!r}\ndef passport():\n    return PATH\ndef broken():\n    raise ValueError('no disk')\n"
    )
    monkeypatch.syspath_prepend(example.parent)
    offered = {
        name: EntryPoint(name, f"offering:{attribute}", elsewhere.GROUP)
        for name, attribute in (("local_contrast", "passport"), ("bad", "broken"), ("other-name", "PATH"))
    }
    monkeypatch.setattr(elsewhere, "installed", lambda: offered)
    assert {"local_contrast", "imagestats"} <= set(encoders.names())
    assert encoders.build("local_contrast").embedding_dim == 24
    assert split(["local_contrast-gw", "other-name"], ["none"]) == [("local_contrast", "gw"), ("other-name", "none")]
    with pytest.raises(
        UserError, match=r"encoder 'bad', offered by offering:broken, gives no YAML file \(ValueError: no disk"
    ):
        encoders.card("bad")
    with pytest.raises(UserError, match="'name' is local_contrast, its package offers it as other-name"):
        encoders.card("other-name")


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        (".yaml", "LocalContrast\n", "LocalContrasts\n", "has no class 'LocalContrasts'; did you mean LocalContrast?"),
        (".yaml", "local_contrast:L", "local_contras:L", "local_contrast: there is no module 'local_contras': neither"),
        (".yaml", "local_contrast:L", "no_such_package.encoders:L", "there is no module 'no_such_package.encoders'"),
        (".yaml", "local_contrast:LocalContrast", "LocalContrast", "'_target_' is 'LocalContrast'; write my_module:MyEncoder"),
        (".yaml", "local_contrast:LocalContrast", "../x:Y", "'_target_' is '../x:Y'; write my_module:MyEncoder"),
        (".yaml", "_target_", "target", "'_target_' is missing; add"),
        (".yaml", "version: 1", "adapter: rcf", "'adapter' is not for encoders of your own"),
        (".yaml", "version: 1\n", "", "'version' is missing; add it"),
        (".yaml", "version: 1", "version: 1\nlicense: x", "unknown key 'license'; did you mean licence"),
        (".yaml", "name: local_contrast", "name: rcf", "'name' is rcf, which is another encoder's"),
        (".yaml", "name: local_contrast", "name: a b", "'name' is 'a b'; begin with a letter"),
        (".yaml", "name: local_contrast", "name: [", "cannot be read as YAML"),
        (".yaml", "inputs: satdifuser ", "inputs: satdifusr ", "no input profile 'satdifusr'; did you mean satdifuser"),
        (".yaml", "inputs: satdifuser ", "inputs: {titel: x} ", "local_contrast: inputs: 'title' is missing"),
        (".py", "class LocalContrast(Encoder)", "class LocalContrast", "LocalContrast is not an Encoder; derive it"),
        (".py", "def from_card", "def from_crad", "LocalContrast has no from_card; write it as"),
        (".py", "import torch\n", "import torhc\n", r"local_contrast.py: cannot be imported (ModuleNotFoundError: No module"),
        (".py", "import torch\n", "import torch)\n", "cannot be imported (SyntaxError"),
        (".py", "2 * channels),)", "channels),)", "local_contrast: its adapter declares maps"),
        (".py", "one[:, None]", "one", "local_contrast: its adapter declares maps"),
        (".py", "embedding_dim = 2", "embedding_dim = 3", "local_contrast: its adapter declares embeddings of width 36"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(
    suffix: str, old: str, new: str, message: str, example: Path, run: Callable[..., str]
) -> None:
    edit(example.with_suffix(suffix), old, new)
    output = ("--output", str(example.parent / "results"))
    fusion = ("--fusion", "gw") if "maps" in message else ()
    error = run(
        "--encoder", str(example), "--allow-code", *fusion, "--dataset", "real-chesapeake-patches", "--protocol", "smoke", *output
    )  # fmt: skip
    assert message in error


def test_a_path_that_is_not_there_is_one_sentence(run: Callable[..., str], tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    error = run("--encoder", str(missing), "--dataset", "real-chesapeake-patches", "--dry-run")
    assert error == f"error: {missing}: cannot be read as YAML (No such file or directory); check the file"
