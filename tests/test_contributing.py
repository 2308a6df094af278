"""What CONTRIBUTING.md asks of a new encoder is there, and a step that was forgotten is told with its remedy."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import encoders
from docs.generate.__main__ import FILES
from tests.documented import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHECKLIST = TEXT[TEXT.index("## Add an encoder") : TEXT.index("## Generated files")]
GENERATED = TEXT[TEXT.index("## Generated files") : TEXT.index("## Add a dataset")]


def forgotten(adapters: dict[str, str], forbidden: list[str]) -> str:
    """What to add where decoders may import an adapter; empty where they may import none."""
    lacking = sorted({where.partition(":")[0] for where in adapters.values()} - set(forbidden))
    return (
        f"pyproject.toml, contract 'Decoders know ...': add {', '.join(lacking)} to forbidden_modules"
        if lacking
        else ""
    )


def _forbidden() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [one["forbidden_modules"] for one in contracts if one.get("source_modules") == ["decoders"]]
    assert all(isinstance(name, str) for name in found)
    return list(found)


def test_decoders_may_import_no_adapter() -> None:
    assert (said := forgotten(encoders.ADAPTERS, _forbidden())) == "", said
    assert forgotten({"new": "encoders.new:New", "old": "encoders.croma:CROMA"}, _forbidden()) == (
        "pyproject.toml, contract 'Decoders know ...': add encoders.new to forbidden_modules"
    )


def test_what_decoders_may_not_import_is_there() -> None:
    assert [name for name in _forbidden() if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize("name", FILES)
def test_generated_files_are_what_they_are_made_of(name: str) -> None:
    assert FILES[name]() == (ROOT / name).read_text(encoding="utf-8"), "run: python -m docs.generate"


def test_files_and_modules_that_the_steps_name_are_there() -> None:
    named = re.findall(r"`([\w/]+/|[\w/.]+\.(?:py|yaml|json|toml))`", CHECKLIST + GENERATED)
    placeholders = {"encoders/NAME.py", "NAME_tiny.yaml"}
    assert len(named) > 10
    assert [name for name in named if name not in placeholders and not (ROOT / name).exists()] == []
    commands = re.findall(r"`python -m ([\w.]+)", GENERATED)
    assert len(commands) > 4
    for one in commands:
        found = importlib.util.find_spec(one)
        assert found is not None, one
        main = importlib.util.find_spec(f"{one}.__main__") if found.submodule_search_locations else found
        assert main is not None, one
        assert main.origin is not None
        text = Path(main.origin).read_text(encoding="utf-8")
        assert '__name__ == "__main__"' in text, one


def test_the_form_of_a_pull_request_leads_to_the_steps() -> None:
    form = (ROOT / ".github" / "pull_request_template.md").read_text(encoding="utf-8")
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)}
    linked = re.findall(r"\.\./blob/HEAD/CONTRIBUTING\.md#([\w-]+)", form)
    assert {"add-an-encoder", "generated-files"} == set(linked)
    assert set(linked) <= anchors
