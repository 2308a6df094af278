"""A page a dataset, and the list of all: from `configs/dataset/*.yaml`, which says everything a run knows of them."""

import configs
from benchmark.data import datasets, matrix
from benchmark.data.dataset import Dataset, StoredBand
from docs.generate.markdown import bullets, code, codes, head_comment, page, sentence, shell, table

UNITS = {
    "dn": "digital number: reflectance x 10,000",
    "reflectance": "0 to about 1",
    "byte": "8-bit picture, 0 to 255",
    "dn8": "8-bit value taken for a digital number x 255/10,000",
    "unit": "0 to 1",
    "power": "linear radar intensity",
    None: "taken by no encoder",
}
"""`encoders.spec.Unit` in the words of a table."""
TRACKS = {"rgb": "colour bands only", "authors": "each encoder's own bands"}


def pages() -> dict[str, str]:
    """Path below the docs folder -> Markdown, for the twelve datasets, the bundled samples and their list."""
    described = sorted((datasets.dataset(name) for name in datasets.names()), key=lambda one: one.bundled)
    return {"datasets/index.md": index(described)} | {f"datasets/{one.name}.md": dataset_page(one) for one in described}


def index(described: list[Dataset]) -> str:
    """The list, classification first."""
    rows = [
        [
            f"[{one.name}]({one.name}.md)",
            one.title,
            _task(one),
            _sizes(one),
            f"{one.image_size[0]} px",
            one.sensor,
            one.metric,
            one.licence,
        ]
        for one in described
    ]
    return page(
        "# Datasets",
        "The twelve datasets of GEO-Bench v1, and two small samples of real images that come with the package. Each "
        "page says what lies in the files, what leads astray, and what every encoder is fed. `?` is unknown: nothing "
        "that was read here tells it.",
        table(["dataset", "what", "task", "train/valid/test", "side", "sensor", "metric", "licence"], rows),
        "Splits are GEO-Bench's own; beside `default` there are its `0.01x_train` to `1.00x_train`, five stratified "
        "draws of ours a fraction (`stratified_0.01_draw0` and so on) and, for m-cashew-plant, `spatial`. Names in "
        "older code (`m-cashew-plantation`, `m-chesapeake-landcover`) are accepted.",
        shell("uv run evaluate.py list datasets", "uv run evaluate.py fetch dataset all --dry-run"),
        "The whole of GEO-Bench is tagged CC-BY-SA-4.0 where it is published; the licences above are those of its "
        "parts, as the uploader of its version 0.9.1 gave them.",
    )


def dataset_page(one: Dataset) -> str:
    """Everything about a dataset."""
    _, said = head_comment(configs.ROOT / "dataset" / f"{one.name}.yaml")
    return page(
        f"# {one.name}",
        sentence(one.title),
        table(["", ""], _facts(one)),
        "## What leads astray\n\n" + bullets(_traps(one)) if _traps(one) else "",
        "## Bands\n\n" + _bands(one),
        "## Classes\n\n" + _classes(one),
        "## What ingest checks\n\n" + bullets(_checks(one)) if _checks(one) else "",
        "## What each encoder is fed\n\n" + _fed(one),
        "## Commands\n\n" + _commands(one),
        "## Where these facts are from\n\n" + sentence(said.removeprefix("Facts: ")) if said else "",
    )


def _facts(one: Dataset) -> list[list[str]]:
    height, width = one.image_size
    interval = one.normalizer
    return [
        [name, value]
        for name, value in (
            ("task", _task(one)),
            (
                "images",
                f"{height} x {width} px, {one.sensor}" + (f", {one.product_level}" if one.product_level else ""),
            ),
            ("stored as", code(one.pixels) + (f", masks {code(one.masks)}" if one.masks else "") if one.pixels else ""),
            ("train / valid / test", _sizes(one)),
            ("metric", f"[`{one.metric}`](../footguns.md#one-word-several-metrics)"),
            (
                "GEO-Bench's baselines",
                f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} on test" if interval else "",
            ),
            ("unlabelled pixels", f"value {one.no_data}" if one.no_data is not None else ""),
            ("licence", one.licence),
            ("on disk", f"{one.size_gb:g} GB unpacked" if one.size_gb else ""),
            ("also called", codes(one.aliases) if one.aliases else ""),
            ("published as", f"[a zip file]({one.archive.url})" if one.archive else "a part of this package"),
        )
        if value
    ]


def _traps(one: Dataset) -> list[str]:
    wrong = [band for band in one.bands if band.stored_as]
    named = ", ".join(f"`{band.name}` holds {band.band}" for band in wrong)
    group = {"name": "counted as one, found in their names", "mask": "counted as one, found by their masks"}
    return [
        *([f"**Train and test are not apart**: {one.leak}"] if one.leak else []),
        *(
            [
                f"**Band names are wrong** in the files: {named}. Corrected, and proven on the pixels; "
                "`band_names=stored` repeats numbers that were made with the wrong ones"
            ]
            if named
            else []
        ),
        *one.notes,
        *(
            [f"**Samples are not independent**: {one.groups.reason} ({group.get(one.groups.by, 'each counted alone')})"]
            if one.groups.reason
            else []
        ),
    ]


def _bands(one: Dataset) -> str:
    rows = [
        [
            str(channel),
            code(band.name),
            f"**{band.band}**" if band.stored_as else band.band,
            _unit(band),
            f"{band.wavelength_um:g}" if band.wavelength_um else "",
            f"{band.gsd_m:g}" if band.gsd_m else "",
        ]
        for channel, band in enumerate(one.bands)
    ]
    return table(["channel", "stored name", "what it is", "unit", "wavelength, µm", "m a pixel"], rows)


def _unit(band: StoredBand) -> str:
    return UNITS[band.unit] if band.ingest else "not read"


def _classes(one: Dataset) -> str:
    if one.class_names is None:
        return f"{one.num_classes} classes; their names are read from the dataset's own `task_specs.pkl`."
    rows = [[str(value), name] for value, name in enumerate(one.class_names)]
    return table(["label", "class"], rows)


def _checks(one: Dataset) -> list[str]:
    bounds = {"low": "at least", "high": "at most"}
    found = []
    for check in one.ranges:
        limits = [f"{bounds[end]} {value:g}" for end in bounds if (value := getattr(check, end)) is not None]
        found.append(
            f"the {check.statistic} of {check.band} is {' and '.join(limits)}, or the data is refused: {check.because}"
        )
    for pair in one.correlations:
        found.append(
            f"{pair.bands[0]} and {pair.bands[1]} correlate at {pair.at_least:g} or more, or a warning stands in every "
            f"record: {pair.because}"
        )
    return found


def _fed(one: Dataset) -> str:
    rows, reasons = [], list[str]()
    for profile in matrix.profiles():
        cells = []
        for track in matrix.TRACKS:
            fed = profile.fed(one, track)
            if isinstance(fed, str) and fed not in reasons:
                reasons.append(fed)
            cells.append(
                f"- ({reasons.index(fed) + 1})" if isinstance(fed, str) else matrix.count(fed, named=not fed.marked)
            )
        rows.append([profile.spec.title, *cells, codes(profile.encoders)])
    header = ["inputs", *(f"track `{track}`: {TRACKS[track]}" for track in matrix.TRACKS), "encoders"]
    notes = "\n".join(f"{number}. {sentence(reason)}" for number, reason in enumerate(reasons, start=1))
    return page(
        "Bands that come from the dataset, `+` those that are filled. `†`: three or more are filled, so the score is "
        "shown and not ranked. `*`: the value rule is ours, because the authors published none for this dataset.",
        table(header, rows),
        notes,
    )


def _commands(one: Dataset) -> str:
    preview = f"uv run evaluate.py preview imagestats {one.name} --bands authors"
    if one.bundled:
        return page("<!-- long -->", shell(preview))
    return page(
        shell(f"uv run evaluate.py fetch dataset {one.name} --dry-run"),
        "<!-- long -->",
        shell(f"uv run evaluate.py fetch dataset {one.name} --ingest", preview),
    )


def _task(one: Dataset) -> str:
    task = "multi-label classification" if one.multilabel else one.task
    return f"{task}, {one.num_classes} classes"


def _sizes(one: Dataset) -> str:
    return " / ".join(f"{size:,}" if (size := one.splits.get(split)) else "?" for split in ("train", "valid", "test"))
