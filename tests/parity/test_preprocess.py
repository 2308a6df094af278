"""Value rules against what the authors' normalisation codes put out (recordings/encoders/README.md).

Where an input profile holds the authors' rule, the profile's own steps are run; variants that no profile offers
are composed of the same closed set of operations.
"""

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor

import encoders
from encoders import scaling
from encoders.scaling import Moments
from encoders.spec import Step, Unit
from tests.parity.recorded import Recording

Inputs = Mapping[str, Tensor]
Steps = Mapping[str, Sequence[Step]]

S2_13 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
TCI = ("TCI_R", "TCI_G", "TCI_B")
RGB = ("red", "green", "blue")
LANDSAT = tuple(f"B{number}" for number in range(1, 12))

# normalize_dataset.py of zhu-xlab/DOFA: Sentinel-2 as 8-bit pictures.
DOFA_S2 = ("B04", "B03", "B02", "B05", "B06", "B07", "B08", "B11", "B12")
DOFA_MEAN = (114.110, 114.818, 126.640, 84.335, 97.848, 103.945, 101.436, 72.328, 56.665)
DOFA_STD = (77.844, 69.968, 67.425, 64.570, 61.725, 61.342, 60.297, 47.885, 42.559)


def scale(images: Tensor, bands: Sequence[str], steps: Steps, *, moments_of: Tensor | None = None) -> Tensor:
    """Each channel of (B, C, H, W) by its band's steps, with a channel's mean and std over a whole batch if given."""
    scaled = []
    for number, band in enumerate(bands):
        sample = None if moments_of is None else moments_of[:, number]
        statistics = None if sample is None else Moments(sample.mean().item(), sample.std().item())
        channel = images[:, number].float()
        scaled.append(scaling.apply(channel, steps[band], wanted=band, level="L1C", statistics=statistics))
    return torch.stack(scaled, dim=1)


def profile(name: str, units: Mapping[str, Unit]) -> dict[str, tuple[Step, ...]]:
    """An input profile's steps for bands stored in these units."""
    rules = encoders.input_spec(name).rules
    return {
        band: next(rule.steps for rule in rules if rule.unit == unit and (not rule.only or band in rule.only))
        for band, unit in units.items()
    }


def wanted(name: str) -> tuple[str, ...]:
    bands = encoders.input_spec(name).bands["sentinel2"]
    assert isinstance(bands, tuple)
    return bands


def fixed(bands: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> dict[str, tuple[Step, ...]]:
    means, stds = (dict(zip(bands, numbers, strict=True)) for numbers in (mean, std))
    return dict.fromkeys(bands, (Step("zscore", statistics="fixed", mean=means, std=stds),))


def then(steps: Steps, last: Step, bands: Sequence[str]) -> dict[str, tuple[Step, ...]]:
    """The steps with one more for some bands."""
    return {band: (*own, last) if band in bands else tuple(own) for band, own in steps.items()}


def satmae_group(inputs: Inputs) -> Tensor:
    bands = wanted("satmae_group")
    images = inputs["s2_dn_13"][:, [S2_13.index(band) for band in bands]]
    return scale(images, bands, profile("satmae_group", dict.fromkeys(bands, "dn")))


def satmae_rgb(inputs: Inputs) -> Tensor:
    return scale(inputs["rgb_uint8"], RGB, profile("satmae_rgb", dict.fromkeys(RGB, "byte")))


def croma_optical(inputs: Inputs, *last: Step) -> Tensor:
    bands = wanted("croma_optical")
    steps = profile("croma_optical", dict.fromkeys(bands, "dn"))
    for step in last:
        steps = then(steps, step, bands)
    images = inputs["s2_dn_13"][:, [S2_13.index(band) for band in bands]].float()
    return scale(images, bands, steps, moments_of=images)


def croma_radar(inputs: Inputs) -> Tensor:
    # Datasets store power; the statistics of a radar channel are those of its decibels.
    decibels = inputs["sar_db_vv_vh"]
    power = (10 ** (decibels.double() / 10)).float()
    return scale(power, ("VV", "VH"), profile("croma_joint", {"VV": "power", "VH": "power"}), moments_of=decibels)


def satlas_multispectral(inputs: Inputs, *last: Step) -> Tensor:
    bands = wanted("satlas_s2_ms")
    units: dict[str, Unit] = {band: "byte" if band in TCI else "dn" for band in bands}
    steps = profile("satlas_s2_ms", units)
    for step in last:
        steps = then(steps, step, [band for band in bands if band not in TCI])
    images = torch.cat((inputs["tci_uint8_rgb"].float(), inputs["s2_dn_B05_B06_B07_B08_B11_B12"].float()), dim=1)
    return scale(images, bands, steps)


def satlas_landsat(inputs: Inputs) -> Tensor:
    steps = then(fixed(LANDSAT, [4000] * 11, [16320] * 11), Step("clip", low=0, high=1), LANDSAT)
    return scale(inputs["landsat_dn_11"], LANDSAT, steps)


def dofa(inputs: Inputs) -> Tensor:
    assert wanted("dofa") == DOFA_S2
    return scale(inputs["dofa_s2_uint8_9"], DOFA_S2, fixed(DOFA_S2, DOFA_MEAN, DOFA_STD))


RULES: dict[str, Callable[[Inputs], Tensor]] = {
    "satmae_group10": satmae_group,
    "satmae_rgb": satmae_rgb,
    "croma_optical_float": croma_optical,
    "croma_optical_8bit": lambda inputs: croma_optical(inputs, Step("eight_bit")),
    "croma_sar_float": croma_radar,
    "satlas_ms9_float": satlas_multispectral,
    # As Satlas was trained: DN // 32, at most 255, which is the float rule (DN / 8160 = DN / 32 / 255) in whole steps.
    "satlas_ms9_8bit": lambda inputs: satlas_multispectral(inputs, Step("eight_bit")),
    "satlas_landsat11": satlas_landsat,
    "dofa_s2_9": dofa,
}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording("preprocess")


@pytest.mark.parametrize("key", RULES)
def test_values_are_those_of_the_authors(key: str, recording: Recording) -> None:
    recording.compare(key, RULES[key](recording.inputs))


def test_every_recorded_tensor_has_its_rule(recording: Recording) -> None:
    assert set(RULES) == set(recording.expected)


def test_eight_bit_steps_are_those_of_integer_division_at_every_digital_number() -> None:
    numbers = torch.arange(2**16)
    steps = (Step("divide", by=8160), Step("clip", low=0, high=1), Step("eight_bit"))
    scaled = scaling.apply(numbers.float(), steps, wanted="B08", level=None, statistics=None)
    assert torch.equal((scaled * 255).round().long(), (numbers // 32).clamp(max=255))
