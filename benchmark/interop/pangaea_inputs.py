"""What PANGAEA hands an encoder -> what the encoder's authors fed it.

PANGAEA standardises every dataset with the mean and std of its config, under stored band names. So a model that was
trained on something else (SatDiFuser on colours in [0, 1], CROMA on mean +- 2 std) sees values it never saw. Here the
standardisation is undone, each channel is taken for what it is, and the encoder's own value rule is applied
(`benchmark.data.inputs`), as in this project's own runs. `values: pangaea` leaves PANGAEA's numbers as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from benchmark.data import datasets, ingest, input_transform, inputs
from benchmark.data.dataset import BandNames, Dataset, StoredBand
from benchmark.data.input_transform import InputTransform
from benchmark.data.inputs import Track
from benchmark.data.moments import BandStatistics
from benchmark.places import places
from encoders.bands import KNOWN
from encoders.errors import UserError, nearest, strict
from encoders.pangaea_cards import RADAR, our_name
from encoders.spec import InputSpec, Unit, ValueRule

Values = Literal["authors", "pangaea"]
Statistics = Literal["exact", "config"]
LIMITS: dict[Unit, tuple[float, float]] = {
    "dn": (-1, 65536),
    "reflectance": (-0.01, 10),
    "byte": (-1, 256),
    "dn8": (-1, 256),
    "unit": (-0.01, 1.01),
}
"""What a stored value can be, by unit, and a little more."""


@strict
@dataclass(frozen=True)
class Told:
    """PANGAEA's dataset config, as far as an encoder must know it; all by modality (`optical`, `sar`).

    Attributes:
        name: its `dataset_name`.
        bands: as the dataset hands them on; mean, std: what each is standardised with.
    """

    name: str
    bands: dict[str, tuple[str, ...]]
    mean: dict[str, tuple[float, ...]]
    std: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for modality, names in self.bands.items():
            for what in (self.mean, self.std):
                if len(what.get(modality, ())) != len(names):
                    raise UserError(
                        f"dataset {self.name}: {len(names)} bands but {len(what.get(modality, ()))} means or standard "
                        f"deviations of modality {modality}; correct its config"
                    )


@strict
@dataclass(frozen=True)
class Choices:
    """How an encoder is fed.

    Attributes:
        values: `authors` as its authors did, or `pangaea` as PANGAEA standardises.
        normalised: whether what PANGAEA hands on is standardised; False with preprocessing that leaves it out.
        statistics: of rules that need a dataset's mean and std: `exact` of the train split of GEO-Bench's sets (read
            once, kept in this project's home), or the `config`'s, which are the only ones known of other sets.
        band_names: `corrected` or `stored`, for m-eurosat and m-brick-kiln; with values `pangaea` they are stored.
        missing_bands: fill rules in order; with values `pangaea` they are zero after scaling.
        bands: `authors`, or `rgb` to show the encoder colours alone.
        unit: of the pixels of a dataset that isn't GEO-Bench's.
    """

    values: Values = "authors"
    normalised: bool = True
    statistics: Statistics = "exact"
    band_names: BandNames = "corrected"
    missing_bands: tuple[str, ...] = ("nearest", "mean")
    bands: Track = "authors"
    unit: Unit | None = None


@dataclass(frozen=True)
class Taken:
    """A channel that comes: the modality it is of, its number there, and PANGAEA's name of it."""

    modality: str
    at: int
    name: str

    def of(self, told: Told, what: Mapping[str, Sequence[float]]) -> float:
        """Its number in a list that has one a band of the dataset."""
        return what[self.modality][told.bands[self.modality].index(self.name)]


class Inputs(nn.Module):
    """PANGAEA's tensors -> the encoder's.

    Attributes:
        plan: which band goes where, by which rule.
        side: height and width given to the encoder.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, spec: InputSpec, told: Told, handed: Mapping[str, Sequence[str]], side: int, choices: Choices
    ) -> None:
        """
        Args:
            spec: what the encoder wants.
            handed: PANGAEA's names of the channels that come, by modality (`input_bands`): the dataset's own, or others
                of which those it lacks are zeros.

        Raises:
            UserError: a dataset that cannot feed the encoder, or of which too little is known.
        """
        super().__init__()
        self.told, self.choices = told, choices
        self._known = known_dataset(told.name)
        as_handed = choices.values == "pangaea"
        self._taken = self._in_order(handed)
        if not self._taken:
            raise UserError(f"dataset {told.name} has none of the bands {dict(handed)}; set encoder.input_bands")
        self.plan = inputs.plan(
            self._as_handed() if as_handed else self._described(),
            replace(_plain(spec) if as_handed else spec, image_size=side, segmentation_size=side),
            track=choices.bands,
            band_names="stored" if as_handed else choices.band_names,
            missing_bands=("zero_scaled",) if as_handed else choices.missing_bands,
        )
        self.side = side
        mean = torch.tensor([one.of(told, told.mean) for one in self._taken])
        std = torch.tensor([one.of(told, told.std) for one in self._taken])
        # No part of a checkpoint: they stand in the config.
        self.register_buffer("mean", mean.view(-1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(-1, 1, 1), persistent=False)
        self._transform = InputTransform(self.plan, self._statistics() if self.plan.uses_statistics else {})
        self._checked = False

    def forward(self, images: Mapping[str, Tensor]) -> Tensor:
        """(B, C, H, W) by modality, as PANGAEA's decoders hand them -> (B, channels, side, side) float32.

        Raises:
            UserError: values that the dataset's unit does not have, so that what `normalised` says is wrong.
        """
        native = torch.stack([images[one.modality][:, one.at] for one in self._taken], dim=1).float()
        if self.choices.values == "authors":
            if self.choices.normalised:
                native = native * self.std + self.mean
            if not self._checked:
                self._check(native)
                self._checked = True
            native = self._intensities(native)
        return input_transform.resize(self._transform.scaled(native), self.side)

    def _in_order(self, handed: Mapping[str, Sequence[str]]) -> list["Taken"]:
        """The channels the dataset really has; of GEO-Bench's sets in stored order, as in this project's own runs."""
        taken = [
            Taken(modality, at, name)
            for modality, names in handed.items()
            for at, name in enumerate(names)
            if name in self.told.bands.get(modality, ())
        ]
        known = self._known
        if known is None or self.choices.values == "pangaea":
            return taken
        return sorted(taken, key=lambda one: known.main_bands.index(stored_band(known, one.name)))

    def _described(self) -> Dataset:
        """The dataset with the bands that come, for what they are."""
        if self._known is not None:
            return replace(self._known, bands=tuple(stored_band(self._known, one.name) for one in self._taken))
        if self.choices.unit is None and any(one.name not in RADAR for one in self._taken):
            raise UserError(
                f"dataset {self.told.name} is none of GEO-Bench's, so the unit of its pixels is not known; set "
                f"encoder.unit ({', '.join(get_args(Unit))}), or encoder.values=pangaea"
            )
        return self._as_handed()

    def _as_handed(self) -> Dataset:
        """The dataset with the bands that come, for what PANGAEA calls them."""
        names = (our_name(one.name, f"dataset {self.told.name}") for one in self._taken)
        unit = self.choices.unit or "dn"
        bands = tuple(StoredBand(name, name, "power" if name in RADAR else unit) for name in names)
        if self._known is not None:
            return replace(self._known, bands=bands)
        return Dataset(
            name=self.told.name,
            title=self.told.name,
            benchmark="",
            task="classification",
            num_classes=1,
            image_size=(1, 1),
            sensor="sentinel2",
            bands=bands,
            metric="accuracy",
            licence="",
            splits={},
        )

    def _statistics(self) -> dict[str, BandStatistics]:
        if self.choices.statistics == "exact" and self._known is not None:
            where = places()
            return ingest.train_statistics(self._known, where.data_root, where.ingest_dir)
        found = {}
        for stored, one in zip(self.plan.dataset.bands, self._taken, strict=True):
            mean, std = one.of(self.told, self.told.mean), one.of(self.told, self.told.std)
            decibel = (mean, std) if one.name in RADAR else (None, None)
            found[stored.band] = BandStatistics(mean, std, 0, 0, *decibel)
        return found

    def _intensities(self, native: Tensor) -> Tensor:
        """Radar, which PANGAEA's datasets hold in decibels, as the linear intensities that value rules begin with."""
        for number, one in enumerate(self._taken):
            if one.name in RADAR:
                native[:, number] = 10 ** (native[:, number] / 10)
        return native

    def _check(self, native: Tensor) -> None:
        for number, band in enumerate(self.plan.dataset.bands):
            # Datasets whose unit the user gave may have offsets of their own.
            if self._known is None or band.unit not in LIMITS:
                continue
            low, high = LIMITS[band.unit]
            least, most = (float(one) for one in native[:, number].aminmax())
            if not low <= least <= most <= high:
                state, needed = ("undone", "with") if self.choices.normalised else ("not undone", "without")
                raise UserError(
                    f"dataset {self.told.name}: band {band.name} goes from {least:g} to {most:g}, where its unit "
                    f"'{band.unit}' goes from {low:g} to {high:g}; PANGAEA's standardisation was {state}: choose a "
                    f"preprocessing {needed} NormalizeMeanStd, or set encoder.normalised={not self.choices.normalised}"
                )


def known_dataset(name: str) -> Dataset | None:
    """GEO-Bench's dataset of PANGAEA's `dataset_name`; None for others."""
    try:
        found = datasets.dataset(name)
    except UserError:
        return None
    return None if found.bundled else found


def stored_band(dataset: Dataset, name: str) -> StoredBand:
    """The stored band of one of GEO-Bench's sets that PANGAEA hands on under a name of Sentinel-2's.

    PANGAEA reads by stored name, right or wrong; of Landsat and aerial images it names a band by its colour, and the
    near infrared B8 on any sensor.

    Raises:
        UserError: there is none.
    """
    where = f"dataset {dataset.name}"
    wanted = our_name(name, where)
    claimed = {band.stored_as or band.band: band for band in dataset.main_bands}
    if wanted in claimed:
        return claimed[wanted]
    common = {KNOWN[wanted].common} | ({"nir08"} if wanted == "B08" else set())
    for band in dataset.main_bands:
        if band.band in KNOWN and KNOWN[band.band].common in common - {None}:
            return band
    raise UserError(f"{where}: has no band {name}; {nearest(name, claimed)}")


def _plain(spec: InputSpec) -> InputSpec:
    """What an encoder wants, with every value as it comes."""
    return replace(
        spec, rules=tuple(ValueRule(unit) for unit in get_args(Unit)), value_range=None, expected_mean=0, expected_std=1
    )
