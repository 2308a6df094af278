"""What an encoder says of itself, as plain data: no tensor, no framework, cheap to import.

`EncoderCard` is its passport, `InputSpec` what it wants to be fed, `Level` one grid of its feature maps.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from encoders.bands import KNOWN, Band
from encoders.bounds import Bytes, Count, Finite, Free, NotNegative, Pixels
from encoders.errors import UserError, nearest, strict

Unit = Literal["dn", "reflectance", "byte", "dn8", "unit", "power"]
"""What a stored pixel value counts.

dn: Sentinel-2 digital number (reflectance x 10,000); reflectance: 0..~1; byte: 8-bit picture, 0..255;
dn8: digital numbers squeezed to 8 bit (assumed DN = v x 10,000/255); unit: 0..1; power: linear radar intensity.
"""

Sensor = Literal["sentinel2", "landsat8", "aerial"]
Side = int | Literal["native", "256_or_512"]
"""In pixels; `256_or_512` is 256 where the native side is at most 256, else 512."""

Task = Literal["classification", "segmentation"]
Operation = Literal["multiply", "divide", "clip", "zscore", "two_sigma", "eight_bit", "decibel", "true_colour"]
Authority = Literal["authors", "ours", "protocol"]


@strict
@dataclass(frozen=True)
class Step:
    """One value operation on one channel; the arithmetic stands in `encoders.scaling`.

    Attributes:
        by: factor of multiply and divide.
        low, high: bounds of clip.
        statistics: whose mean and std zscore and two_sigma use: `dataset` (exact train statistics of the band)
            or `fixed` (`mean` and `std` here, by wanted band, in the unit the value has at this step).
        white: the digital number that true_colour maps to 255, by product level (L1C, L2A).
    """

    op: Operation
    by: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    statistics: Literal["dataset", "fixed"] = "dataset"
    mean: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] = field(default_factory=dict)
    white: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lacking = {
            "by": self.op in ("multiply", "divide") and not self.by,
            "mean and std": self.statistics == "fixed" and not (self.mean and self.mean.keys() == self.std.keys()),
            "white": self.op == "true_colour" and not self.white,
            "low or high": self.op == "clip" and self.low is None and self.high is None,
        }
        for name in (name for name, is_lacking in lacking.items() if is_lacking):
            raise UserError(f"a step '{self.op}' needs {name}; give it in the input profile")


@strict
@dataclass(frozen=True)
class ValueRule:
    """The steps from one stored unit to what the encoder was trained on.

    Attributes:
        steps: applied in order, on native pixels, before any resizing.
        only: wanted bands this rule is for; empty means all.
        note: an assumption the reader of a number must know, empty where there is none.
    """

    unit: Unit
    steps: tuple[Step, ...] = ()
    only: tuple[str, ...] = ()
    note: str = ""


@strict
@dataclass(frozen=True)
class InputSpec:
    """What an encoder wants to be fed.

    Attributes:
        bands: wanted bands in channel order, by sensor of the dataset; `all` takes every band a dataset has.
        wavelengths_um: centre wavelengths the encoder was trained with, where they differ from the sensor's.
        rules: the first rule whose unit and band fit a stored band is the one applied.
        authors: datasets whose rule is the authors' own choice (`all` where the rule needs no choice);
            elsewhere it is ours.
        any_subset: True where the encoder takes whichever of its bands there are (DOFA), so none is ever filled.
        image_size: side fed for classification, where each encoder gets the one it was pre-trained at.
        segmentation_size: side fed for segmentation, where all get the same pixels, unless a model takes one size only.
        required: bands that nothing may stand in for.
        impossible: by sensor or dataset, the reason why nothing sensible can be fed.
        value_range: lowest and highest value the rules may give; None where unbounded (z-scores).
        expected_mean, expected_std: what the encoder saw in pre-training, after the rules; None if not known.
    """

    title: str
    bands: dict[Sensor, tuple[str, ...] | Literal["all"]]
    rules: tuple[ValueRule, ...]
    image_size: Side
    segmentation_size: Side = "256_or_512"
    authors: tuple[str, ...] | Literal["all"] = ()
    any_subset: bool = False
    required: tuple[str, ...] = ()
    impossible: dict[str, str] = field(default_factory=dict)
    wavelengths_um: dict[str, float] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None
    expected_mean: float | None = None
    expected_std: float | None = None

    def __post_init__(self) -> None:
        for size in (self.image_size, self.segmentation_size):
            if isinstance(size, int) and size < 1:
                raise UserError(f"{self.title}: a size is {size}; give pixels from 1 up, native or 256_or_512")
        for name in (name for names in self.bands.values() if names != "all" for name in names):
            if name not in KNOWN:
                raise UserError(f"{self.title}: bands name '{name}'; {nearest(name, KNOWN)}")
        named = {name for names in self.bands.values() if names != "all" for name in names}
        for step in (step for rule in self.rules for step in rule.steps if step.statistics == "fixed"):
            if not named & step.mean.keys():
                raise UserError(f"{self.title}: a fixed '{step.op}' has no mean for any of the bands; add them")

    def wanted(self, sensor: Sensor) -> tuple[Band, ...] | None:
        """The bands wanted from a sensor's images, in channel order; None for every band there is."""
        names = self.bands.get(sensor, ())
        return None if names == "all" else tuple(KNOWN[name] for name in names)

    def side(self, native: int, task: Task = "classification") -> int:
        """The side in pixels fed to the encoder for images of `native` pixels."""
        asked = self.image_size if task == "classification" else self.segmentation_size
        if asked == "native":
            return native
        if asked == "256_or_512":
            return 256 if native <= 256 else 512
        return asked

    def usual_bands(self) -> tuple[Band, ...]:
        """The bands of the first sensor that has a list, in channel order; red, green and blue where none has."""
        for sensor in self.bands:
            wanted = self.wanted(sensor)
            if wanted:
                return tuple(replace(band, wavelength_um=self.wavelength(band)) for band in wanted)
        return tuple(KNOWN[name] for name in ("red", "green", "blue"))

    def wavelength(self, band: Band) -> float | None:
        """The centre wavelength the encoder is told for a band, in micrometres; None for radar and pictures."""
        return self.wavelengths_um.get(band.name, band.wavelength_um)


@strict
@dataclass(frozen=True)
class Weights:
    """Where the weights come from.

    Attributes:
        files: paths under the weights folder (patterns: see `encoders.checkpoints`); empty where none are needed.
        source: a sentence that says where they are published.
        random: True where the weights are drawn from a seed; such rows are marked and never ranked.
        sha256: by path, where published; of some no more than the first digits are.
        urls: by path, where `fetch encoder NAME` gets it.
        archives: by folder, the zip whose files of the card `fetch encoder NAME` unpacks there.
        bytes: by path, exact size where published.
        gigabytes: of all files together, about.
    """

    files: tuple[str, ...] = ()
    source: str = ""
    random: bool = False
    sha256: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    archives: dict[str, str] = field(default_factory=dict)
    bytes: dict[str, Bytes] = field(default_factory=dict)
    gigabytes: NotNegative | None = None


@strict
@dataclass(frozen=True)
class EncoderCard:
    """An encoder's passport.

    Attributes:
        name: what it is called on the command line.
        title: what it is called in tables.
        adapter: which class puts it behind the interface (`encoders.ADAPTERS`), or `module:Class` of one's own.
        inputs: the file in `configs/inputs/` that says what it is fed, or the keys of an `InputSpec` themselves.
        version: raised by hand whenever the same image would give other numbers; part of a run's key.
        licence: of the weights; stands beside each row.
        role: `model`, `floor` (a trivial baseline) or `control` (an ablated model).
        paper: where it was published; words, or `arXiv` with a number.
        pretraining: what it was trained on, in words.
        pretraining_overlap: datasets of the benchmark whose imagery the model may have seen.
        parameters: number of frozen parameters at full size; None if it depends on the input.
        image_size: side in pixels it is fed whatever the task, where it isn't what `inputs` says.
        weights: where they come from (`Weights`); empty where none are needed.
        options: what the adapter's `from_card` reads, as `setup.card.options`; part of a run's key. Each adapter checks
            its own, nobody else does.
        home: folder of the YAML file of an encoder of one's own (`encoders.elsewhere`); empty for the others.
    """

    name: str
    title: str
    adapter: str
    inputs: str | Free
    version: Count
    licence: str
    role: Literal["model", "floor", "control"] = "model"
    paper: str = ""
    pretraining: str = ""
    pretraining_overlap: tuple[str, ...] = ()
    parameters: Bytes | None = None
    image_size: Pixels | None = None
    weights: Weights = field(default_factory=Weights)
    options: Free = field(default_factory=dict)
    home: str = ""


@dataclass(frozen=True)
class Setup:
    """What an encoder is built from and for: what an adapter's `from_card` is given.

    Attributes:
        bands: what the C input channels hold.
        image_size: side in pixels of the images to come.
        weights_dir: folder that holds the released weights; None where none is known.
        precision: dtype of the frozen weights, `float32` or `bfloat16`.
    """

    card: EncoderCard
    inputs: InputSpec
    bands: tuple[Band, ...]
    image_size: int
    weights_dir: Path | None = None
    precision: str = "float32"


@dataclass(frozen=True)
class Level:
    """One spatial grid of feature maps.

    Attributes:
        stride: input pixels a cell spans.
        modules: (name, channels) of the taps on this grid, in channel order.
    """

    stride: int
    modules: tuple[tuple[str, int], ...]

    @property
    def channels(self) -> int:
        """Channels of the level's map: all its modules, concatenated."""
        return sum(channels for _, channels in self.modules)
