"""What a reader finds behind a cell, as names and texts: protocol, run, input card, environment.

The parts of a record whose form is free (configuration, input card) are JSON that anybody may have edited, so nothing
here relies on their shape.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from benchmark.records import Provenance, Run

Facts = tuple[tuple[str, str], ...]
Plain = Mapping[str, Any]
CARD_COLUMNS = ("Wanted", "Fed with", "Unit", "Value rule", "Mean ± std stored", "Mean ± std fed", "Cut off, %")


def class_names(config: Plain) -> tuple[str, ...]:
    """Names of the dataset's classes in order; empty where the record has none."""
    names = _part(config, "dataset").get("class_names")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def protocol(run: Run, config: Plain) -> Facts:
    """Every field of the protocol, its hash first."""
    return _protocol(f"{run.protocol} ({run.protocol_hash})", json.dumps(_part(config, "protocol")))


@cache
def _protocol(name: str, fields: str) -> Facts:
    """From the fields as JSON: thousands of cells share a few protocols."""
    told = [(field.replace("_", " "), text(value)) for field, value in json.loads(fields).items() if field != "name"]
    return (("protocol", name), *told)


def run(run: Run, config: Plain) -> Facts:
    """What else can change the number: encoder, weights, channels, fuser, data; seeds stand apart."""
    card = _part(config, "card")
    known = {"paper": card.get("paper"), "pre-training": card.get("pretraining")}
    return (
        ("encoder", f"{run.encoder}, version {run.encoder_version}"),
        *((name, text(value)) for name, value in known.items() if value),
        ("options", text(run.encoder_options)),
        ("weights", text(run.weights)),
        ("precision", run.precision),
        ("image size", str(run.image_size)),
        ("channels", "\n".join(run.inputs)),
        ("fill rules for missing bands", text(list(run.missing_bands))),
        ("fusion", f"{run.fusion}: {text(run.fuser)}"),
        ("probe", f"{run.probe}, version {run.probe_version}"),
        ("content of the data", text(run.data)),
        ("facts of the dataset", text(run.dataset_facts)),
    )


def card(card: Plain) -> tuple[str, tuple[tuple[str, ...], ...], tuple[str, ...]] | None:
    """The input card: a sentence, a row of texts a channel, notes; None where there is none."""
    channels = card.get("channels")
    if not isinstance(channels, list):
        return None
    side = text(card.get("side"))
    lead = (
        f"{text(card.get('encoder_inputs'))} on {text(card.get('dataset'))}, {side} × {side} pixels; value rule: "
        f"{text(card.get('value_rule'))}. Statistics of {text(card.get('images'))} training images."
    )
    notes = tuple(text(note) for name in ("notes", "flags") for note in _list(card.get(name)))
    return lead, tuple(_channel(one) for one in channels if isinstance(one, dict)), notes


def environment(provenance: Provenance) -> Facts:
    """Code and machine; the host's name stays out of what is published."""
    dirty = " with changes that are in no commit" if provenance.git_dirty else ""
    return (
        ("commit", f"{provenance.git_commit or 'none'}{dirty}"),
        ("device", f"{provenance.device}, {provenance.threads} threads"),
        ("Python", provenance.python),
    )


def versions(packages: Mapping[str, str]) -> str:
    """Packages with their versions, by name."""
    return ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))


def text(value: object) -> str:
    """A value as people write it: dictionaries as `name value, name value`, lists with spaces, nothing as a dash."""
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " ".join(text(one) for one in value)
    return value if isinstance(value, str) else json.dumps(value)


def _channel(entry: Plain) -> tuple[str, ...]:
    length, stored, filled = (entry.get(name) for name in ("wavelength_um", "stored_name", "filled"))
    source = text(entry.get("source"))
    fed = source if not stored or stored == source else f"{source} ({text(stored)})"
    share = entry.get("share_clipped")
    return (
        text(entry.get("wanted")) + (f" {text(length)} µm" if length else ""),
        fed + (f", filled: {text(filled)}" if filled else ""),
        text(entry.get("unit")),
        text(entry.get("rule")),
        _spread(entry.get("mean_before"), entry.get("std_before")),
        _spread(entry.get("mean_after"), entry.get("std_after")),
        f"{100 * share:.1f}" if isinstance(share, int | float) else "–",
    )


def _spread(mean: object, std: object) -> str:
    if not isinstance(mean, int | float) or not isinstance(std, int | float):
        return "–"
    return f"{mean:.4g} ± {std:.3g}"


def _part(config: Plain, name: str) -> Plain:
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
