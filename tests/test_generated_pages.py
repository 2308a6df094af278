"""Pages that are made of configs, cards and recordings: complete, and with a reason or source for everything."""

import json
import re
import tomllib
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

import configs
import encoders
from benchmark.data import datasets
from benchmark.protocol import Protocol
from docs.generate import api, commented, flow, fusers, protocol, site
from docs.generate import datasets as dataset_pages
from docs.generate import encoders as encoder_pages
from tests.documented import ROOT

DOCS = ROOT / "docs"
PARITY = json.loads((DOCS / "parity.json").read_text())
RECORDINGS = ROOT / "tests" / "parity" / "recordings"


def test_every_field_of_the_protocol_stands_in_the_table_with_a_reason() -> None:
    chosen = commented.choices(protocol.FOLDER / "frozen.yaml", protocol.LABELS)
    named = [name for choice in chosen for name, _ in choice.fields]
    assert set(named) == {field.name for field in fields(Protocol)} - set(protocol.LABELS)
    table = protocol.main_table()
    assert all(f"`{name}`" in table for name in named)
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    assert all(reason.strip() for first, value, reason in rows if value.strip())


def test_values_of_the_protocol_are_the_files_own() -> None:
    read = configs.load(protocol.FOLDER / "frozen.yaml")
    chosen = commented.choices(protocol.FOLDER / "frozen.yaml", protocol.LABELS)
    assert {name: yaml.safe_load(value) for choice in chosen for name, value in choice.fields} == {
        name: value for name, value in read.items() if name not in protocol.LABELS
    }


def test_a_line_that_is_neither_field_nor_comment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("# command\n# head\nname: p\nseeds: 5\n  - stray\n")
    with pytest.raises(ValueError, match="neither a field nor a comment"):
        commented.choices(path)


def test_every_dataset_has_a_page_with_its_bands_licence_and_traps() -> None:
    pages = dataset_pages.pages()
    assert len(datasets.select("all")) == 12
    for name in datasets.names():
        one, text = datasets.dataset(name), pages[f"datasets/{name}.md"]
        assert one.licence in text
        assert all(f"`{band.name}`" in text for band in one.bands)
        assert all(note[1:] in text for note in (*one.notes, one.leak) if note)
        assert f"[{name}]({name}.md)" in pages["datasets/index.md"]
    assert all(datasets.dataset(name).notes for name in datasets.select("all"))


def test_what_is_stored_is_said_of_all_twelve() -> None:
    for name in datasets.select("all"):
        one = datasets.dataset(name)
        assert one.pixels
        assert bool(one.masks) == (one.task == "segmentation")


def test_every_encoder_stands_on_one_page_with_its_licence_inputs_and_weights() -> None:
    pages = encoder_pages.pages()
    for name in encoders.built_in():
        card = encoders.card(name)
        holding = [
            page for page, text in pages.items() if re.search(rf"^\| `{name}` +\| {re.escape(card.title)}", text, re.M)
        ]
        assert len(holding) == 2, name
        text = pages[next(page for page in holding if page != "encoders/index.md")]
        assert card.licence in text
        assert encoders.inputs_of(card).title in text
        assert all(digits[:16] in text for digits in card.weights.sha256.values())
        assert all(overlap in text for overlap in card.pretraining_overlap)


def test_a_page_of_encoders_is_titled_by_its_module_and_shows_every_adapters_options() -> None:
    titles = {module: encoder_pages.title(module) for module in encoder_pages.modules()}
    known = {"croma": "CROMA", "satdifuser": "SatDiFuser", "satlas": "Satlas", "baselines": "Floors"}
    assert known.items() <= titles.items()
    long = [module for module, title in titles.items() if not 0 < len(title) <= 40]
    assert not long, f"begin the docstring of {long} with the model's name: it titles its page"
    assert list(titles).index("satmae") < list(titles).index("baselines")
    floors = encoder_pages.kind("baselines")
    assert "# Floors\n" in floors
    assert "Of `rcf`" in floors
    assert "options: {features: 512" in floors


def test_parity_figures_are_of_every_recording_and_within_their_tolerance() -> None:
    figures = PARITY["figures"]
    assert all(0 <= one["worst"] <= one["tolerance"] for one in figures)
    archives = {path.name.removesuffix(".tar.xz") for path in (RECORDINGS / "encoders").glob("*.tar.xz")}
    shown = {one["recording"] for one in figures}
    assert archives - {"preprocess"} <= shown
    assert {"satdifuser", "gw", "lw", "moe"} <= shown
    pages = encoder_pages.pages()
    for one in figures:
        if one["recording"].partition("_")[0] in encoder_pages.modules():
            assert f"{one['worst']:.1e}" in pages[f"encoders/{one['recording'].partition('_')[0]}.md"]


def test_the_reference_has_every_module_that_documents_something_public() -> None:
    text = "\n".join(api.pages().values())
    for module in ("encoders.base", "decoders.moe", "benchmark.grid.executors.slurm", "reports.page.data"):
        assert f"::: {module}\n" in text


def test_trained_parameters_are_those_of_the_official_code() -> None:
    """Counted there at Stable Diffusion 2.1's sizes: gw 10.85 and moe 71.5 million, 39.97 and 100.6 before UPerNet."""
    table = fusers.trained()
    assert re.search(r"`gw` +\| 10\.9 / 40 ", table)
    assert re.search(r"`moe` +\| 71\.5 / 101 ", table)
    assert re.search(r"`lw` .*\| - +\|$", table, re.MULTILINE), "one module and view a level leave nothing to weigh"


def test_the_navigation_has_every_page_once() -> None:
    (given,) = re.findall(r"^nav:\n.*", (ROOT / "mkdocs.yml").read_text(), re.DOTALL | re.MULTILINE)
    pages = [*(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")), *site.made()]
    complete = site.navigation(yaml.safe_load(given)["nav"], pages)
    assert sorted(site._named(complete)) == sorted(pages)
    assert next(one for one in complete if "Datasets" in one)["Datasets"][0] == "datasets/index.md"


def test_links_of_the_roots_files_lead_to_pages_or_name_files() -> None:
    text = "[a](docs/matrix.md) [b](CHANGELOG.md) [c](configs/family.yaml) [configs/x](configs/x) [d](https://e.f) ![p](docs/p.png)"
    assert site.from_the_root(text) == (
        "[a](matrix.md) [b](changelog.md) c (`configs/family.yaml`) `configs/x` [d](https://e.f) ![p](docs/p.png)"
    )


def test_the_navigation_names_the_pages_of_a_folder_and_loses_none() -> None:
    given = [{"A": "a.md"}, {"B": [{"C": "c.md"}, "made/"]}]
    assert site.navigation(given, ["a.md", "c.md", "made/index.md", "made/one.md", "lost.md"]) == [
        {"A": "a.md"},
        {"B": [{"C": "c.md"}, "made/index.md", "made/one.md"]},
        {"More": ["lost.md"]},
    ]


def test_the_picture_is_what_its_module_draws() -> None:
    remedy = "run: python -m docs.generate.flow > docs/assets/flow.svg"
    assert flow.picture() == (DOCS / "assets" / "flow.svg").read_text(), remedy


def test_pictures_are_small() -> None:
    assert all(path.stat().st_size < 200_000 for path in (DOCS / "assets").iterdir())


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_issue_forms_ask_for_what_an_encoder_needs() -> None:
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")}
    assert {"bug", "encoder", "question"} <= set(forms)
    asked = {field["id"] for field in forms["encoder"]["body"] if field["validations"]["required"]}
    assert {"weights", "licence", "inputs", "pretraining", "parity"} <= asked


def test_protocols_of_others_stand_side_by_side_in_every_field() -> None:
    said = protocol.published()
    for field in {field.name for field in fields(Protocol)} - {*protocol.LABELS, "version", "by"}:
        assert said.count(f"`{field}`") == 1, field
    row = next(line for line in said.splitlines() if line.startswith("| `epochs`"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["50", "40", "40", "50; 80 (segmentation)", "10", "50"]


def test_the_page_of_protocols_names_each_with_the_command_of_its_file() -> None:
    page = (site.ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    for name in protocol.PUBLISHED:
        command = (protocol.FOLDER / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
        assert f"\n{command.removeprefix('# ')}\n" in page
        assert f"**`{name}`**" in page


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/footguns.md", "docs/reliability.md"])
def test_every_test_that_a_promise_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:tests/)?[\w/]+\.py)(?:::(\w+?)(\.\.\.)?)?`", text)
    assert len(named) > 10
    for file, function, cut in named:
        found = [path for path in (ROOT / file, ROOT / "tests" / "faults" / file) if path.is_file()]
        assert found, file
        end = "" if cut else r"\("
        assert not function or re.search(f"def {function}{end}", found[0].read_text()), (file, function)


def test_the_architecture_page_names_every_module_in_its_room() -> None:
    text = (DOCS / "architecture.md").read_text()
    known, room = dict[str, list[str]](), ""
    for first, _ in re.findall(
        r"^\| (.+?) \| (.+) \|$", text[text.index("## Rooms") : text.index("## Contracts")], re.M
    ):
        names = re.findall(r"`([^`]+)`", first)
        if first.startswith("&nbsp;"):
            known[room] += names
        else:
            room = names[0] if names else ""
            known.setdefault(room, [])
    rooms = [one for one in known if one.endswith("/") and (ROOT / one).is_dir()]
    lacking = []
    for path in sorted(
        path
        for top in ("encoders", "decoders", "benchmark", "reports", "docs/generate")
        for path in (ROOT / top).rglob("*.py")
    ):
        relative = str(path.relative_to(ROOT))
        own = max((one for one in rooms if relative.startswith(one)), key=len)
        inside = relative.removeprefix(own)
        named = any(
            fnmatch(inside, name) or fnmatch(path.name, name) or inside.startswith(f"{name.rstrip('/')}/")
            for name in known[own]
        )
        if not named and path.name != "__init__.py":
            lacking.append(relative)
    assert not lacking, f"add to a row of docs/architecture.md: {', '.join(lacking)}"
