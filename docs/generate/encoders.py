"""A page a kind of encoder, and the list of all: from the cards, the input profiles and the measured parity."""

import ast
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import configs
import encoders
from benchmark.data import families
from benchmark.features.shapes import Declared, declared
from docs.generate.markdown import bullets, code, codes, head_comment, link_arxiv, page, sentence, shell, table
from encoders.spec import EncoderCard, InputSpec, Step

HERE = Path(__file__).parent.parent
WORDS = {"sentinel2": "Sentinel-2", "landsat8": "Landsat-8", "aerial": "aerial"}
UNTRAINED = (
    "With small networks and drawn weights, in float32 on a CPU, our code against recordings of the authors' own; no "
    "released weights were at hand, so no score of a trained model has been checked."
)


def pages() -> dict[str, str]:
    """Path below the docs folder -> Markdown."""
    return {"encoders/index.md": index()} | {f"encoders/{module}.md": kind(module) for module in modules()}


def modules() -> list[str]:
    """The modules in `encoders/` that hold an adapter of built-in encoders, a page each; floors and controls last."""
    first: dict[str, EncoderCard] = {}
    for card in map(encoders.card, encoders.built_in()):
        known = first.setdefault(_module(card), card)
        first[_module(card)] = card if card.role == "model" else known
    return sorted(first, key=lambda module: (first[module].role != "model", module))


def title(module: str) -> str:
    """A page's title: what its adapter's module calls itself, the words before the first `(`, `:`, `.` or `behind`."""
    return re.split(r" \(|:|\.| behind ", _first_words(module), maxsplit=1)[0]


def index() -> str:
    """Every built-in encoder in one table."""
    rows = [
        [
            code(card.name),
            card.title,
            f"[{_module(card)}]({_module(card)}.md)",
            _millions(card),
            _needs(card),
            card.licence,
        ]
        for card in (encoders.card(name) for name in encoders.built_in())
    ]
    return page(
        "# Encoders",
        "Built in, by name. A **family** (`croma`, `dofa`, `satmae`, `satlas`, `satdifuser`) is a row whose checkpoint "
        "on each dataset was fixed before any result; `croma:tiny` and so on are the same with small drawn models. "
        "What each is fed on each dataset is [a matrix](../matrix.md). Any model of timm or torchgeo runs by name, and "
        "[one of your own](../add-your-encoder.md) by its file.",
        shell("uv run evaluate.py list encoders", "uv run evaluate.py list families"),
        table(["encoder", "title", "page", "million parameters", "weights", "licence"], rows),
        "Licences are those of the weights; a run shows them beside each row.",
    )


def kind(module: str) -> str:
    """The page of the encoders of one adapter module."""
    cards = [card for card in map(encoders.card, encoders.built_in()) if _module(card) == module]
    profiles = dict.fromkeys(card.inputs for card in cards if isinstance(card.inputs, str))
    released = [card for card in cards if card.weights.files]
    return page(
        f"# {title(module)}",
        link_arxiv(_first_words(module)),
        "## Models\n\n" + _models(cards),
        _family([card.name for card in cards]),
        "## What they are fed\n\n" + "\n\n".join(_profile(name) for name in profiles),
        "## Weights\n\n" + _weights(released) if released else "",
        "## What they saw, and the benchmark\n\n" + _seen(cards) if any(card.pretraining for card in cards) else "",
        _options(cards),
        "## Parity\n\n" + parity(_recordings(module)) if _recordings(module) else "",
    )


def parity(recordings: Iterable[str]) -> str:
    """How near recordings of these names were met, as `docs/parity.json` has it."""
    rows = [
        [
            code(one["recording"]),
            one["what"],
            str(one["tensors"]),
            f"{one['worst']:.1e}",
            f"{one['tolerance']:.0e}",
            one["scale"],
        ]
        for one in _measured()["figures"]
        if one["recording"] in set(recordings)
    ]
    return page(
        UNTRAINED,
        table(["recording", "what", "numbers compared", "largest error", "passes below", "error is"], rows),
        f"Measured with torch {_measured()['torch']} by `{_measured()['command']}`; the tests compare anew in every "
        "run, and `PARITY_DIR` names another folder of recordings.",
    )


@cache
def _measured() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / "parity.json").read_text())
    return content


def _recordings(module: str) -> list[str]:
    found = dict.fromkeys(one["recording"] for one in _measured()["figures"])
    return [name for name in found if name.partition("_")[0] == module]


def _module(card: EncoderCard) -> str:
    return encoders.ADAPTERS[card.adapter].partition(":")[0].rpartition(".")[2]


def _first_words(module: str) -> str:
    """What the adapter's module says of itself, without the line breaks."""
    text = ast.get_docstring(ast.parse((HERE.parent / "encoders" / f"{module}.py").read_text())) or ""
    return "\n\n".join(" ".join(block.split()) for block in text.split("\n\n"))


def _models(cards: Sequence[EncoderCard]) -> str:
    rows = [
        [
            code(card.name),
            card.title,
            card.role,
            _millions(card),
            _levels(_shapes(card)),
            str(_shapes(card).embedding) + (" a band" if _shapes(card).a_band else ""),
            card.licence,
            str(card.version),
        ]
        for card in cards
    ]
    header = [
        "name",
        "title",
        "role",
        "million parameters",
        "modules x channels, at stride",
        "embedding",
        "licence",
        "version",
    ]
    papers = dict.fromkeys(card.paper for card in cards if card.paper)
    return page(table(header, rows), "Paper: " + link_arxiv("; ".join(papers)) + "." if papers else "")


def _shapes(card: EncoderCard) -> Declared:
    """What its features look like.

    Raises:
        KeyError: `configs/features.yaml` doesn't say.
    """
    if card.name not in declared():
        raise KeyError(f"{card.name}: run python -m benchmark.features.shapes > configs/features.yaml")
    return declared()[card.name]


def _levels(one: Declared) -> str:
    grids = [f"{_times(modules)} at {stride}" for stride, *modules in one.levels]
    return "<br>".join([*grids, f"in {one.views} views"] if one.views > 1 else grids)


def _times(modules: Sequence[int]) -> str:
    """`4 x 768` where modules are as wide as one another."""
    alike = len(modules) > 1 and len(set(modules)) == 1
    return f"{len(modules)} x {modules[0]:,}" if alike else " + ".join(f"{channels:,}" for channels in modules)


def _millions(card: EncoderCard) -> str:
    return "?" if card.parameters is None else f"{card.parameters / 1e6:,.1f}".removesuffix(".0")


def _needs(card: EncoderCard) -> str:
    return "drawn, never ranked" if card.weights.random else "released" if card.weights.files else "none needed"


def _family(names: Sequence[str]) -> str:
    rows = [
        [code(family), ", ".join(choice.where), choice.bands or "both", code(choice.encoder), choice.reason]
        for family, one in families.full().items()
        for choice in one.choices
        if choice.encoder in names
    ]
    if not rows:
        return ""
    return page(
        "## The family's row",
        "Fixed before any result; the first line that names the dataset or its sensor, and the track, is taken.",
        table(["family", "on", "track", "encoder", "why"], rows),
    )


def _profile(name: str) -> str:
    path = configs.ROOT / "inputs" / f"{name}.yaml"
    spec, (_, said) = encoders.input_spec(name), head_comment(path)
    rows = [
        [
            code(rule.unit),
            ", ".join(rule.only) or "all",
            " → ".join(map(_step, rule.steps)) or "as is",
            sentence(rule.note) if rule.note else "",
        ]
        for rule in spec.rules
    ]
    return page(
        f"### {spec.title}",
        sentence(said) if said else "",
        table(["", ""], _wanted(spec)),
        table(["stored unit", "bands", "steps, on native pixels", "assumed"], rows) if rows else "",
        bullets(f"nothing is fed on {WORDS.get(where, where)}: {why}" for where, why in spec.impossible.items()),
        f"The profile is `configs/inputs/{path.name}`.",
    )


def _wanted(spec: InputSpec) -> list[list[str]]:
    sizes = {"native": "the dataset's own", "256_or_512": "256 px where the native side is at most 256, else 512"}
    sides = [sizes.get(str(side), f"{side} px") for side in (spec.image_size, spec.segmentation_size)]
    whose = {"all": "of every dataset: the rule leaves nothing to choose"}
    bounds = spec.value_range
    facts = [
        *(
            (f"bands, {WORDS[sensor]}", "every band" if names == "all" else ", ".join(names))
            for sensor, names in spec.bands.items()
        ),
        ("bands that are missing", "are left out" if spec.any_subset else "are filled, at most two for a ranked row"),
        ("nothing stands in for", ", ".join(spec.required)),
        ("side, images / masks", " / ".join(sides)),
        ("values", f"{bounds[0]:g} to {bounds[1]:g}" if bounds else "unbounded"),
        ("the authors' own rule", whose.get(str(spec.authors), ", ".join(spec.authors) or "of none of the datasets")),
    ]
    return [[name, value] for name, value in facts if value]


def _step(step: Step) -> str:
    words = {
        "multiply": f"x {step.by:g}" if step.by else "",
        "divide": f"/ {step.by:g}" if step.by else "",
        "clip": f"clip to {step.low:g}..{step.high:g}" if step.low is not None and step.high is not None else "clip",
        "zscore": "z-score",
        "two_sigma": "mean ± 2 std to 0..1, clipped",
        "eight_bit": "rounded down to 8 bit",
        "decibel": "10 log10",
        "true_colour": "8-bit true colour: "
        + ", ".join(f"{white:g} of {level}" for level, white in step.white.items())
        + " to 255",
    }[step.op]
    moments = {"dataset": " with the train split's moments", "fixed": " with the authors' constants"}[step.statistics]
    return words + (moments if step.op in ("zscore", "two_sigma") else "")


def _weights(cards: Sequence[EncoderCard]) -> str:
    rows = []
    for card in cards:
        given = card.weights
        known = "<br>".join(f"{code(Path(path).name)} {digits[:16]}" for path, digits in given.sha256.items())
        size = f"{given.gigabytes:g}" if given.gigabytes else "?"
        rows.append([code(card.name), sentence(given.source), size, known or "of the first download"])
    names = ",".join(card.name for card in cards if card.weights.urls or card.weights.archives)
    fetch = shell(f"uv run evaluate.py fetch encoder {names} --dry-run") if names else ""
    return page(
        "Looked for in the weights folder (`--weights`); `doctor` says where each file is expected. The command says "
        "what comes from where, and without `--dry-run` brings it.",
        fetch,
        table(["encoder", "published", "GB", "sha256 begins"], rows),
    )


def _seen(cards: Sequence[EncoderCard]) -> str:
    alike: dict[str, list[str]] = {}
    for card in cards:
        overlap = ", ".join(card.pretraining_overlap)
        alike.setdefault(f"{sentence(card.pretraining)}|{overlap}", []).append(card.name)
    rows = [[*key.split("|"), codes(names)] for key, names in alike.items()]
    return table(["pre-training", "datasets whose imagery it may have seen", "encoders"], rows)


def _options(cards: Sequence[EncoderCard]) -> str:
    """The options of each adapter's first card that has any, as its file has them, comments and all."""
    first: dict[str, EncoderCard] = {}
    for card in cards:
        if card.options:
            first.setdefault(card.adapter, card)
    parts = []
    for card in first.values():
        text = (configs.ROOT / "encoder" / f"{card.name}.yaml").read_text(encoding="utf-8")
        found = text[text.index("\noptions:") + 1 :].rstrip()
        parts += [
            f"Of `{card.name}`; each can be overridden, as `encoder.options.KEY=VALUE`:",
            f"```yaml\n{found}\n```",
        ]
    return page("## Options", *parts) if parts else ""
