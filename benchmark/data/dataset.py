"""What a dataset says of itself: bands with their units, task, classes, groups, checks, where its files come from."""

import re
from dataclasses import dataclass, field
from typing import Literal

from benchmark.scoring.counts import Headline
from encoders.bands import KNOWN, Band
from encoders.bounds import (
    Bytes,
    Classes,
    Correlation,
    Count,
    Finite,
    Label,
    Level,
    NotNegative,
    Pixels,
    Positive,
    Seed,
    Stored,
)
from encoders.errors import strict
from encoders.spec import Sensor, Unit

BandNames = Literal["corrected", "stored"]
SUFFIXES = (".yaml", ".yml")
"""What ends the name of a dataset of one's own where a dataset is named: its file's."""
OWN = "own"
"""The benchmark that datasets of one's own belong to."""


@strict
@dataclass(frozen=True)
class StoredBand:
    """One band as it lies in the files.

    Attributes:
        name: the stored name, without a date.
        band: what it really is (`encoders.bands.KNOWN`, or a name of its own for what no encoder takes).
        stored_as: what its stored name claims, where that is wrong.
        unit: what its values count; None for bands no encoder takes.
        gsd_m: metres a pixel.
        wavelength_um: centre wavelength as GEO-Bench gives it for what the band really is; None if none.
        ingest: False for what is never read (hyperspectral cubes).
        grid: (height, width) where it differs from the dataset's image size (m-NeonTree's canopy height).
    """

    name: str
    band: str
    unit: Unit | None = None
    gsd_m: Positive | None = None
    wavelength_um: Positive | None = None
    stored_as: str | None = None
    ingest: bool = True
    grid: tuple[Pixels, Pixels] | None = None

    def identity(self, band_names: BandNames) -> Band:
        """The spectral band it is taken for: what it is, or (`stored`) what its name claims."""
        name = self.stored_as if band_names == "stored" and self.stored_as else self.band
        known = KNOWN.get(name, Band(name))
        corrected = band_names == "corrected" or self.stored_as is None
        wavelength = self.wavelength_um if corrected and self.wavelength_um else known.wavelength_um
        return Band(known.name, known.common, wavelength)


@strict
@dataclass(frozen=True)
class Groups:
    """Which samples of a split are not independent of one another.

    Attributes:
        by: each sample alone, samples whose `pattern` (a regular expression, first group) finds the same in
            their name, or samples with the same mask; of a dataset of one's own, what its files say.
        reason: why, in a sentence.
    """

    by: Literal["sample", "name", "mask", "files"] = "sample"
    pattern: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        try:
            found = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"pattern '{self.pattern}' is no regular expression ({error})") from None
        if self.by == "name" and found != 1:
            raise ValueError(f"pattern '{self.pattern}' needs one pair of brackets around what tells groups apart")

    def of_name(self, name: str) -> str:
        """What a sample's name says of its group; the name itself where it says nothing."""
        match = re.search(self.pattern, name) if self.by == "name" else None
        return match.group(1) if match else name


@strict
@dataclass(frozen=True)
class RangeCheck:
    """A statistic of a band over a split that must lie within bounds; ingest refuses the data otherwise."""

    band: str
    statistic: Literal["min", "max", "mean"]
    low: float | None = None
    high: float | None = None
    because: str = ""


@strict
@dataclass(frozen=True)
class CorrelationCheck:
    """Two bands expected to move together: recorded as evidence, a warning below `at_least`."""

    bands: tuple[str, str]
    at_least: Correlation
    because: str = ""


@strict
@dataclass(frozen=True)
class Archive:
    """The zip file a dataset is published as.

    Attributes:
        url: of a fixed revision.
        sha256: empty where not published.
        bytes: exact size; None where not published.
        gigabytes: about; None where not known.
    """

    url: str
    sha256: str = ""
    bytes: Bytes | None = None
    gigabytes: NotNegative | None = None


@strict
@dataclass(frozen=True)
class Files:
    """Where the samples of a dataset of one's own come from; docs/add-your-dataset.md shows each key in use.

    Attributes:
        reader: `images` for GeoTIFF, PNG and JPEG files, or `torchgeo:NAME` for a NonGeoDataset of torchgeo's.
        root: folder of the files, relative to the YAML file's.
        images: where a sample's image lies below it, with `{name}` and, where the path says them, `{label}`,
            `{split}`, `{group}` and `{band}` (the stored name of a band in a file of its own).
        masks: where its mask lies, with the same words.
        table: a CSV file with what the path doesn't say, a row a sample.
        columns: the table's names for its columns, where they are not name, label, split and group.
        mask_values: what stands in masks for each class, in label order; empty for the class numbers themselves.
        pixels_without_data: what NaN and a GeoTIFF's declared no-data value are read as; None refuses them.
        splits: shares that are drawn, or, of torchgeo's, the arguments that give a split.
        draw: which of the draws that such shares allow.
        arguments: of the torchgeo dataset.
    """

    reader: str = "images"
    root: str = "."
    images: str = ""
    masks: str = ""
    table: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    mask_values: tuple[Stored, ...] = ()
    pixels_without_data: Finite | None = None
    splits: dict[str, Level | dict[str, object]] = field(default_factory=dict)
    draw: Seed = 0
    arguments: dict[str, object] = field(default_factory=dict)


@strict
@dataclass(frozen=True)
class Dataset:
    """One dataset.

    Attributes:
        task, multilabel: what is predicted.
        class_names: in label order; None where the dataset's own task_specs must say.
        image_size: native (height, width) in pixels.
        product_level: of Sentinel-2 data (L1C, L2A), inferred; None if it doesn't apply.
        pixels, masks: numpy dtype that most bands, and masks, are stored in; empty for what is bundled.
        splits: published sizes by stored split name (`valid`, not `val`); None where unknown.
        metric: headline metric, by its name in `benchmark.scoring.metrics`; a protocol may name another.
        no_data: label value of unlabelled pixels; None where there is none.
        normalizer: GEO-Bench's (min, max) of test scores over its baselines, for normalised aggregates.
        leak: why train and test are not independent; empty where they are.
        bundled: True where the pixels come with this package.
        size_gb: on disk, unpacked, computed from sizes and types where both are known.
        archive: where `evaluate.py fetch` gets it; None for what is bundled.
        notes: what leads astray, a clause each.
        files: of a dataset of one's own, where its samples come from; None for GEO-Bench's layout.
        file: the YAML file that describes a dataset of one's own; empty for the catalogue's.
    """

    name: str
    title: str
    benchmark: str
    task: Literal["classification", "segmentation"]
    num_classes: Classes
    image_size: tuple[Pixels, Pixels]
    sensor: Sensor
    bands: tuple[StoredBand, ...]
    metric: Headline
    licence: str
    splits: dict[Literal["train", "valid", "test"], Count | None]
    multilabel: bool = False
    class_names: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    product_level: Literal["L1C", "L2A"] | None = None
    pixels: str = ""
    masks: str = ""
    no_data: Label | None = None
    groups: Groups = field(default_factory=Groups)
    ranges: tuple[RangeCheck, ...] = ()
    correlations: tuple[CorrelationCheck, ...] = ()
    normalizer: tuple[float, float] | None = None
    leak: str = ""
    bundled: bool = False
    size_gb: NotNegative | None = None
    archive: Archive | None = None
    notes: tuple[str, ...] = ()
    files: Files | None = None
    file: str = ""

    @property
    def given(self) -> str:
        """What --dataset takes for it: its name, or the path of the file of one's own."""
        return self.file or self.name

    @property
    def described_in(self) -> str:
        """The file to correct where the description is wrong."""
        return self.file or f"configs/dataset/{self.name}.yaml"

    @property
    def main_bands(self) -> tuple[StoredBand, ...]:
        """The bands of the ingested array at native image size, in channel order."""
        return tuple(band for band in self.bands if band.ingest and band.grid is None)

    @property
    def folder(self) -> str:
        """Where it lies below the GEO-Bench root."""
        return f"{self.benchmark}/{self.name}"
