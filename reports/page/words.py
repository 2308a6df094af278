"""What the page says of all its records: labels that tell its tables apart, the first lines and the last."""

from collections.abc import Sequence

from benchmark.records import Record
from reports.table import Table

ALWAYS = ("task", "probe", "features", "bands")
"""Settings that a label names even where all tables share them."""
HASH = "protocol_hash"
"""Named where nothing else tells tables apart."""
USUAL = {"band_names": "corrected", "partition": "default"}
"""Values that go without saying where others name theirs."""


def labels(tables: Sequence[Table]) -> list[str]:
    """A label a table: its task, probe and bands, and other settings in which tables differ."""
    settings = [table.settings for table in tables]
    names = [name for name in (settings[0] if settings else ()) if name not in ALWAYS]
    varying = [name for name in names if len({one.get(name) for one in settings}) > 1]
    found = [_label(one, [name for name in varying if name != HASH]) for one in settings]
    return found if len(set(found)) == len(found) else [_label(one, varying) for one in settings]


def _label(settings: dict[str, str], varying: Sequence[str]) -> str:
    fused = f" on {settings['features']} features" if settings.get("features") else ""
    parts = [f"{settings['task'].capitalize()}, {settings['probe']} probe{fused}", f"{settings['bands']} bands"]
    told = [name for name in varying if settings.get(name, "") not in ("", USUAL.get(name))]
    parts += [f"{name.replace('_', ' ')} {settings[name]}" for name in told]
    return " · ".join(parts)


def lead(records: Sequence[Record], tables: Sequence[Table]) -> str:
    """What is shown, in one sentence with its counts: encoders as the tables' rows name them, floors apart."""
    rows = [row for table in tables for row in table.rows]
    floors = {row.encoder for row in rows if row.section == "floors"}
    encoders, datasets = {row.encoder for row in rows} - floors, {record.run.dataset for record in records}
    counted = [_count(len(one), name) for one, name in ((encoders, "encoder"), (floors, "floor")) if one]
    shown = f"{' and '.join(counted)} on {_count(len(datasets), 'dataset')}"
    return (
        f"{shown}, from {_count(len(records), 'record')}. Every encoder is frozen and meets each image once; rows "
        "rank only within one protocol, band track, partition and probe, and every score stands beside its interval."
    )


def foot(records: Sequence[Record]) -> str:
    """What the page was made of: when its records were made, and with which code."""
    made = sorted(record.provenance.created[:10] for record in records)
    commits = sorted({record.provenance.git_commit[:8] for record in records if record.provenance.git_commit})
    code = f" with code at {', '.join(commits[:8])}{' and others' if len(commits) > 8 else ''}" if commits else ""
    when = f"on {made[0]}" if made[0] == made[-1] else f"from {made[0]} to {made[-1]}"
    return f"Written by satdifuser-bench from records made {when}{code}. This file holds everything it shows."


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
