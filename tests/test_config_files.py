"""The config files: each begins with a command that uses it, and the command can be run."""

import shlex
from pathlib import Path

import pytest

import configs
import encoders
from benchmark.data import datasets, families, inputs
from benchmark.request import commandline

COMMAND = "evaluate.py "
TWELVE = datasets.select("all")
PANGAEA = sorted((configs.ROOT / "pangaea").rglob("*.yaml"))
FILES = sorted(set(configs.ROOT.rglob("*.yaml")) - set(PANGAEA))


def command(path: Path) -> tuple[str, dict[str, object]]:
    """The command of a file's first line, parsed, and its options."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first.startswith("# uv run "), first
    name, options = commandline.parse(shlex.split(first.partition(COMMAND)[2]))
    return name, vars(options)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(configs.ROOT)))
def test_a_file_begins_with_a_command_that_can_be_parsed(path: Path) -> None:
    name, options = command(path)
    assert name in commandline.COMMANDS
    if name == "run" and not options["experiment"]:
        assert options["encoder"]
        assert options["dataset"]


@pytest.mark.parametrize("path", PANGAEA, ids=lambda path: str(path.relative_to(configs.ROOT)))
def test_a_file_for_pangaea_begins_with_a_command_that_chooses_it(path: Path) -> None:
    """Whole, but for the folder of this package; tests/test_pangaea_real.py runs such commands."""
    script, options = path.read_text(encoding="utf-8").partition("\n")[0].split(" --config-name=train ")
    folder, *overrides = shlex.split(options)
    assert (script, folder) == ("# torchrun pangaea/run.py", "--config-dir=BENCH/configs/pangaea")
    chosen = dict(override.split("=", 1) for override in overrides)
    assert chosen[path.parent.name] == path.stem
    assert {"dataset", "encoder", "decoder", "preprocessing", "criterion", "task"} <= chosen.keys()


@pytest.mark.parametrize("name", encoders.built_in())
def test_an_encoders_command_names_it_and_feeds_it_bands_of_its_own(name: str) -> None:
    verb, options = command(configs.ROOT / "encoder" / f"{name}.yaml")
    if verb == "fetch":
        # No dataset of the benchmark can feed it.
        assert options["names"] == name
        spec = encoders.inputs_of(encoders.card(name))
        assert all(one in spec.impossible or datasets.dataset(one).sensor in spec.impossible for one in TWELVE)
        return
    assert str(options["encoder"]).removesuffix("-gw") == name
    plan = inputs.plan(
        datasets.dataset(str(options["dataset"])),
        encoders.inputs_of(encoders.card(name)),
        track="authors" if options["bands"] == "authors" else "rgb",
    )
    assert not plan.marked


@pytest.mark.parametrize("path", sorted((configs.ROOT / "inputs").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_input_profiles_command_shows_that_profile(path: Path) -> None:
    verb, options = command(path)
    if verb == "list":
        assert options["dataset"] in datasets.names()
        return
    assert verb == "preview"
    given = encoders.card(families.members(str(options["encoder"]))[0]).inputs
    overrides = options["overrides"]
    assert path.stem == given or overrides == [f"encoder.inputs={path.stem}"]
    assert options["dataset"] in datasets.names()
