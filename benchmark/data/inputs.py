"""Which stored band answers each one an encoder wants: match, fill, value rule, side.

`plan` decides, on descriptions alone, which stored band answers each wanted one, by which value rule, and what
is filled; it is what `list`, `--dry-run`, a run's key and the input card read; `benchmark.data.input_transform` carries
it out on pixels. What doesn't fit ends in an error that names the fix; nothing is ever guessed in silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.data.dataset import BandNames, Dataset, StoredBand
from benchmark.data.value_rules import InputScaling, Rules
from benchmark.protocol import MOST_FILLED
from encoders.bands import Band, find, nearest_stand_in
from encoders.errors import UserError, nearest
from encoders.spec import Authority, InputSpec, Step, ValueRule

Track = Literal["rgb", "authors"]
FILLS = ("nearest", "mean", "zero_raw", "zero_scaled")
"""How a band the dataset lacks may be stood in for, each on a scale of its own.

nearest: the scaled channel of the band nearest in wavelength, within 40 nm; mean: what the mean of the
pre-training data becomes after scaling (0 after a z-score, 0.5 after mean +- 2 std); zero_raw: a stored value
of 0, scaled; zero_scaled: 0 after scaling. `error` refuses.
"""
COLOURS = ("red", "green", "blue")


class ImpossibleError(UserError):
    """Nothing sensible can be fed: the cell is listed with this reason and the sweep goes on."""


@dataclass(frozen=True)
class Channel:
    """One input channel of the encoder.

    Attributes:
        wanted: the band the encoder asks for, with the wavelength it is told.
        stored: the band that answers or stands in; None for a constant.
        index: its channel in the ingested array.
        filled: the fill rule used, or None where the band is there.
        constant: raw (zero_raw) or scaled value of a constant channel.
        level: product level of the dataset, which the true-colour stretch depends on.
    """

    wanted: Band
    rule: ValueRule
    stored: StoredBand | None
    index: int | None
    filled: str | None = None
    constant: float | None = None
    level: str | None = None

    def describe(self) -> str:
        """The channel in one line, complete: equal lines mean equal pixels."""
        source = "constant" if self.stored is None else f"{self.stored.band} [{self.stored.name}] {self.rule.unit}"
        fill = f" filled:{self.filled}" if self.filled else ""
        steps = " | ".join(_describe(step, self.statistics_name, self.level) for step in self.rule.steps)
        return f"{self.wanted.name}@{self.wanted.wavelength_um} <- {source}{fill} | {steps or 'as is'}"

    @property
    def statistics_name(self) -> str:
        """The band whose fixed statistics scale this channel: its own, or the stand-in's where it has any."""
        stand_in = self.stored.band if self.filled == "nearest" and self.stored else ""
        has_own = any(stand_in in step.mean for step in self.rule.steps)
        return stand_in if has_own else self.wanted.name


@dataclass(frozen=True)
class InputPlan:
    """What an encoder is fed on a dataset.

    Attributes:
        side: height and width fed, in pixels; images are resized bilinearly with antialiasing.
        authority: whether the value rule is the encoder's authors' choice for this dataset, ours, or the protocol's.
        value_range: lowest and highest value the rules may give; None where unbounded.
        expected: mean and std of what the model saw in pre-training, after the rules; None where not known.
        antialias: whether resizing is antialiased.
        windows: whether images are fed in windows of `side` at native resolution.
    """

    dataset: Dataset
    title: str
    channels: tuple[Channel, ...]
    side: int
    authority: Authority
    notes: tuple[str, ...]
    value_range: tuple[float, float] | None
    expected: tuple[float | None, float | None]
    antialias: bool = True
    windows: bool = False

    @property
    def filled(self) -> tuple[Channel, ...]:
        """The channels that something stands in for."""
        return tuple(channel for channel in self.channels if channel.filled)

    @property
    def marked(self) -> bool:
        """Whether so many bands are filled that the row is shown but not ranked."""
        return len(self.filled) > MOST_FILLED

    @property
    def uses_statistics(self) -> bool:
        """Whether any channel is scaled by the dataset's own train statistics."""
        return any(needs_statistics(channel.rule.steps) for channel in self.channels)

    @property
    def looks(self) -> int:
        """How often an encoder looks at an image: once, or at as few windows as cover it."""
        height, width = self.dataset.image_size
        return -(-height // self.side) * -(-width // self.side) if self.windows else 1

    def describe(self) -> tuple[str, ...]:
        """One line a channel, for a run's key."""
        told = "" if self.antialias else " | resized without antialiasing"
        told += f" | in windows of {self.side}" if self.windows else ""
        return tuple(channel.describe() + told for channel in self.channels)

    def summary(self) -> str:
        """A cell of the matrix of datasets and encoders."""
        here = len(self.channels) - len(self.filled)
        mark = "† " if self.marked else ""
        return f"{mark}{here}" + (f", {self.stand_ins()}" if self.filled else "")

    def stand_ins(self) -> str:
        """Which bands are filled, and by what."""
        return ", ".join(f"{channel.wanted.name} filled by {channel.filled}" for channel in self.filled)


def check_fills(rules: Sequence[str]) -> None:
    """Check fill rules.

    Raises:
        UserError: an unknown one; names the nearest.
    """
    for rule in rules:
        if rule not in (*FILLS, "error"):
            raise UserError(f"missing_bands: unknown rule '{rule}'; {nearest(rule, (*FILLS, 'error'))}")


def plan(
    dataset: Dataset,
    spec: InputSpec,
    *,
    track: Track = "authors",
    band_names: BandNames = "corrected",
    missing_bands: Sequence[str] = ("nearest", "mean"),
    scaling: InputScaling = "authors",
    side: int | None = None,
    antialias: bool = True,
    windows: bool = False,
    profile: str = "its file in configs/inputs/",
) -> InputPlan:
    """Decide what an encoder is fed on a dataset.

    Args:
        track: `rgb` offers the encoder the colour bands only, `authors` all it knows.
        band_names: which identity a stored band is taken for (m-eurosat, m-brick-kiln are mis-named).
        missing_bands: fill rules in the order they are tried; `error` refuses.
        scaling: whose value rule; see `benchmark.data.value_rules`.
        side: in pixels; None for what the encoder's profile says.
        windows: whether an image larger than `side` is fed in windows of it, at native resolution.
        profile: where `spec` stands (`encoders.profile_of`), for errors.

    Raises:
        ImpossibleError: nothing sensible can be fed, or a band is missing and no fill rule applies; says why.
        UserError: a unit has no value rule; names the fix.
    """
    check_fills(missing_bands)
    reason = spec.impossible.get(dataset.name) or spec.impossible.get(dataset.sensor)
    if reason:
        raise ImpossibleError(f"{spec.title} on {dataset.name} is impossible: {reason}")
    rules = Rules(spec, dataset, scaling, profile)
    stored = _offered(rules, track, band_names)
    wanted = spec.wanted(dataset.sensor)
    if wanted is None:
        wanted = tuple(band for band, *_ in stored)
        if track == "rgb":
            colours = [band for band in wanted if band.common in COLOURS]
            wanted = tuple(sorted(colours, key=lambda band: COLOURS.index(str(band.common))))
    if spec.any_subset:
        wanted = tuple(band for band in wanted if find(band, [offered for offered, *_ in stored]))
    it_has = "it has" if track == "authors" else "on the rgb track it has"
    lacking = [name for name in spec.required if name not in [band.name for band, *_ in stored]]
    if lacking:
        raise ImpossibleError(f"{spec.title} on {dataset.name} is impossible: {it_has} no {' or '.join(lacking)}")
    if not any(find(band, [offered for offered, *_ in stored]) for band in wanted):
        raise ImpossibleError(f"{spec.title} on {dataset.name} is impossible: {it_has} none of the bands wanted")
    offering = dataset.name if track == "authors" else f"{dataset.name} on the rgb track"
    channels = tuple(_channel(band, rules, stored, missing_bands, offering) for band in wanted)
    own = scaling == "authors"
    side = side or spec.side(max(dataset.image_size), dataset.task)
    return InputPlan(
        dataset=dataset,
        title=spec.title,
        channels=channels,
        side=side,
        authority=rules.authority,
        notes=tuple(dict.fromkeys(channel.rule.note for channel in channels if channel.rule.note)),
        value_range=spec.value_range if own else None,
        expected=(spec.expected_mean, spec.expected_std) if own else (0.0, 1.0),
        antialias=antialias,
        windows=windows and side < min(dataset.image_size),
    )


_Offer = tuple[Band, StoredBand, int]


def _offered(rules: Rules, track: Track, band_names: BandNames) -> list[_Offer]:
    offers = [
        (band.identity(band_names), band, index)
        for index, band in enumerate(rules.dataset.main_bands)
        if band.unit is not None and rules.reads(band)
    ]
    if track == "rgb":
        pictures = ("TCI_R", "TCI_G", "TCI_B")
        return [offer for offer in offers if offer[0].common in COLOURS or offer[0].name in pictures]
    return offers


def _channel(wanted: Band, rules: Rules, offers: list[_Offer], missing_bands: Sequence[str], offering: str) -> Channel:
    spec, dataset = rules.spec, rules.dataset
    bands = [band for band, *_ in offers]
    told = Band(wanted.name, wanted.common, spec.wavelength(wanted))
    match = find(wanted, bands)
    if match is not None:
        _, stored, index = offers[bands.index(match)]
        return Channel(told, rules.of(stored, wanted), stored, index, level=dataset.product_level)
    for fill in missing_bands:
        if fill == "error":
            break
        if fill == "nearest" and (stand_in := nearest_stand_in(wanted, bands)) is not None:
            _, stored, index = offers[bands.index(stand_in)]
            return Channel(told, rules.of(stored, wanted), stored, index, fill, level=dataset.product_level)
        rule = rules.of_missing([stored for _, stored, _ in offers], wanted)
        if fill == "mean" and (constant := _scaled_mean(rule.steps)) is not None:
            return Channel(told, rule, None, None, fill, constant, dataset.product_level)
        if fill == "zero_scaled" or (fill == "zero_raw" and not needs_statistics(rule.steps)):
            return Channel(told, rule, None, None, fill, 0.0, dataset.product_level)
    raise ImpossibleError(
        f"{spec.title} wants band {wanted.name}, which {offering} doesn't have, and none of "
        f"missing_bands=[{','.join(missing_bands)}] applies; choose from {', '.join(FILLS)}"
    )


def _scaled_mean(steps: Sequence[Step]) -> float | None:
    value = None
    for step in steps:
        if step.op == "zscore":
            value = 0.0
        elif step.op == "two_sigma":
            value = 0.5
        elif step.op == "eight_bit" and value is not None:
            value = int(value * 255) / 255
    return value


def needs_statistics(steps: Sequence[Step]) -> bool:
    """Whether a rule scales by the dataset's own statistics."""
    return any(step.op in ("zscore", "two_sigma") and step.statistics == "dataset" for step in steps)


def _describe(step: Step, band: str, level: str | None) -> str:
    numbers = {
        "by": step.by,
        "low": step.low,
        "high": step.high,
        "mean": step.mean.get(band),
        "std": step.std.get(band),
        "white": step.white.get(level or ""),
    }
    given = " ".join(f"{name}={value}" for name, value in numbers.items() if value is not None)
    of = f"({step.statistics})" if step.op in ("zscore", "two_sigma") else ""
    return " ".join(part for part in (step.op + of, given) if part)
