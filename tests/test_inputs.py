"""What each encoder is fed on each dataset: every cell of the table, and the pixels that come out."""

import numpy as np
import pytest
import torch

import configs
import encoders
from benchmark.data import datasets, input_transform, inputs
from benchmark.data.ingest import BandStatistics
from encoders.errors import UserError

S2_DN = ("m-bigearthnet", "m-eurosat", "m-cashew-plant")
AERIAL = ("m-pv4ger", "m-pv4ger-seg", "m-chesapeake", "m-NeonTree", "m-nz-cattle")
TWELVE = datasets.select("all")


def planned(profile: str, dataset: str, **options: object) -> inputs.InputPlan:
    return inputs.plan(datasets.dataset(dataset), encoders.input_spec(profile), **options)


def plan_or_reason(profile: str, dataset: str, track: str) -> object:
    try:
        return planned(profile, dataset, track=track).channels
    except UserError as reason:
        return len(str(reason)) > 30


def statistics(mean: float = 100.0, std: float = 50.0) -> dict[str, BandStatistics]:
    one = BandStatistics(mean=mean, std=std, min=0.0, max=1000.0, decibel_mean=-12.0, decibel_std=4.0)
    return {band.band: one for name in TWELVE for band in datasets.dataset(name).bands}


def value(profile: str, dataset: str, raw: float, channel: int = 0, **options: object) -> float:
    """What one raw value becomes in one channel."""
    plan = planned(profile, dataset, **options)
    bands = len(plan.dataset.main_bands)
    native = np.full((1, bands, 4, 4), raw)
    return float(input_transform.InputTransform(plan, statistics()).scaled(native)[0, channel, 0, 0])


@pytest.mark.parametrize(
    ("dataset", "raw", "scaled", "authority"),
    [
        ("m-bigearthnet", 2047.5, 0.5, "authors"),
        ("m-eurosat", 2047.5, 0.5, "authors"),
        ("m-brick-kiln", 2047.5, 0.5, "ours"),
        ("m-cashew-plant", 9999.0, 1.0, "ours"),
        ("m-so2sat", 0.20475, 0.5, "ours"),
        ("m-forestnet", 51.0, 0.2, "ours"),
        ("m-pv4ger", 51.0, 0.2, "ours"),
        ("m-pv4ger-seg", 51.0, 0.2, "ours"),
        ("m-SA-crop-type", 52.0, 0.5, "ours"),
        ("m-chesapeake", 0.7, 0.7, "authors"),
        ("m-NeonTree", 51.0, 0.2, "ours"),
        ("m-nz-cattle", 51.0, 0.2, "authors"),
    ],
)
def test_satdifuser_sees_the_official_or_our_scaling_on_every_dataset(
    dataset: str, raw: float, scaled: float, authority: str
) -> None:
    plan = planned("satdifuser", dataset)
    assert [channel.wanted.name for channel in plan.channels] == ["red", "green", "blue"]
    assert plan.authority == authority
    assert value("satdifuser", dataset, raw) == pytest.approx(scaled, rel=1e-6)


def test_satdifuser_is_fed_512_pixels_on_masks_of_more_than_256() -> None:
    sides = {name: planned("satdifuser", name).side for name in TWELVE}
    larger = {"m-pv4ger-seg", "m-NeonTree", "m-nz-cattle"}
    assert {name for name, side in sides.items() if side == 512} == larger
    assert set(sides.values()) == {256, 512}


def test_sa_crop_has_its_picture_reading_as_a_variant() -> None:
    assert value("satdifuser_8bit", "m-SA-crop-type", 51.0) == pytest.approx(0.2)


@pytest.mark.parametrize("dataset", TWELVE)
def test_red_is_the_first_channel_of_every_rgb_encoder(dataset: str) -> None:
    stored = planned("satdifuser", dataset).channels[0].stored
    assert stored is not None
    assert "red" in stored.name.lower()


@pytest.mark.parametrize(
    ("dataset", "present", "filled"),
    [
        ("m-bigearthnet", 12, {}),
        ("m-brick-kiln", 10, {"B06": "nearest", "B09": "mean"}),
        ("m-eurosat", 12, {}),
        ("m-so2sat", 10, {"B01": "mean", "B09": "mean"}),
        ("m-cashew-plant", 12, {}),
        ("m-SA-crop-type", 12, {}),
    ],
)
def test_croma_takes_twelve_bands_and_fills_what_is_missing(dataset: str, present: int, filled: dict[str, str]) -> None:
    plan = planned("croma_optical", dataset)
    assert len(plan.channels) == 12
    assert len(plan.channels) - len(plan.filled) == present
    assert {channel.wanted.name: channel.filled for channel in plan.filled} == filled
    assert not plan.marked
    assert plan.authority == "authors"


@pytest.mark.parametrize(("dataset", "present"), [("m-forestnet", 6), ("m-chesapeake", 4), ("m-pv4ger", 3)])
def test_three_or_more_filled_bands_mark_the_row(dataset: str, present: int) -> None:
    plan = planned("croma_optical", dataset)
    assert len(plan.channels) - len(plan.filled) == present
    assert plan.marked


def test_landsats_near_infrared_is_b8a_and_the_aerial_one_is_b08() -> None:
    def source(dataset: str, wanted: str) -> tuple[str | None, str | None]:
        channel = next(c for c in planned("croma_optical", dataset).channels if c.wanted.name == wanted)
        return (channel.stored.name if channel.stored else None), channel.filled

    assert source("m-forestnet", "B8A") == ("05 - NIR", None)
    assert source("m-chesapeake", "B08") == ("NearInfrared", None)


def test_croma_joint_takes_the_lee_filtered_intensities_in_decibels() -> None:
    plan = planned("croma_joint", "m-so2sat")
    stored = {c.wanted.name: c.stored.name for c in plan.channels if c.stored and c.wanted.name in ("VV", "VH")}
    assert stored == {"VV": "06 - VV.LEE Filtered", "VH": "05 - VH.LEE Filtered"}
    position = [c.wanted.name for c in plan.channels].index("VV")
    # 0.01 is -20 dB, two std (4 dB) below the mean of -12 dB, so it maps to 0.
    assert value("croma_joint", "m-so2sat", 0.01, position) == pytest.approx(0.0, abs=1e-6)
    assert value("croma_joint", "m-so2sat", 0.0, position) == 0.0


@pytest.mark.parametrize("dataset", [name for name in TWELVE if name != "m-so2sat"])
def test_croma_joint_is_impossible_without_radar(dataset: str) -> None:
    with pytest.raises(inputs.ImpossibleError, match="impossible"):
        planned("croma_joint", dataset)


@pytest.mark.parametrize(
    ("dataset", "bands"),
    [(name, 9) for name in (*S2_DN, "m-so2sat", "m-SA-crop-type")]
    + [("m-brick-kiln", 8), ("m-forestnet", 6)]
    + [(name, 3) for name in AERIAL],
)
def test_dofa_takes_what_there_is_and_fills_nothing(dataset: str, bands: int) -> None:
    plan = planned("dofa", dataset)
    assert len(plan.channels) == bands
    assert not plan.filled


def test_dofa_is_told_the_wavelengths_of_its_pretraining_and_of_landsat() -> None:
    assert [c.wanted.wavelength_um for c in planned("dofa", "m-eurosat").channels] == [
        0.665, 0.56, 0.49, 0.705, 0.74, 0.783, 0.842, 1.61, 2.19,
    ]  # fmt: skip
    assert planned("dofa", "m-forestnet").channels[3].wanted.wavelength_um == pytest.approx(0.8647)
    assert [c.wanted.name for c in planned("dofa_nir", "m-chesapeake").channels] == [
        "red",
        "green",
        "blue",
        "nir",
    ]


@pytest.mark.parametrize(
    ("dataset", "raw", "eight_bit"),
    [
        ("m-bigearthnet", 1250.0, 127.5),
        ("m-cashew-plant", 1250.0, 127.5),
        ("m-eurosat", 1779.0, 127.5),
        ("m-so2sat", 0.1779, 127.5),
        ("m-SA-crop-type", 31.875, 127.5),
        ("m-brick-kiln", 127.5, 127.5),
        ("m-forestnet", 127.5, 127.5),
        ("m-pv4ger", 127.5, 127.5),
        ("m-chesapeake", 0.5, 127.5),
    ],
)
def test_satmae_rgb_gets_true_colour_standardised_by_fmow(dataset: str, raw: float, eight_bit: float) -> None:
    expected = (eight_bit / 255 - 0.4182007) / 0.2877428
    assert value("satmae_rgb", dataset, raw) == pytest.approx(expected, rel=1e-5)


def test_brick_kilns_stored_true_colour_is_used_where_an_encoder_wants_it() -> None:
    for profile in ("satmae_rgb", "satlas_s2_rgb"):
        stored = [channel.stored.band for channel in planned(profile, "m-brick-kiln").channels if channel.stored]
        assert stored == ["TCI_R", "TCI_G", "TCI_B"]


@pytest.mark.parametrize(
    ("dataset", "filled"),
    [*((name, 0) for name in (*S2_DN, "m-so2sat", "m-SA-crop-type")), ("m-brick-kiln", 1)],
)
def test_satmae_group_takes_ten_bands(dataset: str, filled: int) -> None:
    plan = planned("satmae_group", dataset)
    assert (len(plan.channels), len(plan.filled)) == (10, filled)


def test_satmae_group_quantises_to_eight_bit_and_fills_with_127() -> None:
    # fMoW's B02: mean 1184.38, std 650.28: the mean maps to 0.5, which rounds down to 127/255.
    assert value("satmae_group", "m-eurosat", 1184.3824625) == pytest.approx(127 / 255, abs=1e-6)
    plan = planned("satmae_group", "m-brick-kiln", missing_bands=["mean"])
    assert plan.filled[0].constant == pytest.approx(127 / 255)
    forest = planned("satmae_group", "m-forestnet")
    assert forest.marked
    assert "digital numbers are lost" in forest.notes[0]


@pytest.mark.parametrize("dataset", AERIAL)
def test_satmae_group_is_impossible_on_aerial_images(dataset: str) -> None:
    with pytest.raises(inputs.ImpossibleError, match="ten Sentinel-2 bands"):
        planned("satmae_group", dataset)


@pytest.mark.parametrize(
    ("dataset", "present", "filled"),
    [*((name, 9, 0) for name in (*S2_DN, "m-so2sat", "m-SA-crop-type")), ("m-brick-kiln", 8, 1)],
)
def test_satlas_multispectral_takes_nine(dataset: str, present: int, filled: int) -> None:
    plan = planned("satlas_s2_ms", dataset)
    assert (len(plan.channels) - len(plan.filled), len(plan.filled)) == (present, filled)


def test_satlas_multispectral_scales_true_colour_and_the_other_bands_differently() -> None:
    assert value("satlas_s2_ms", "m-bigearthnet", 1250.0, 0) == pytest.approx(0.5, rel=1e-6)
    assert value("satlas_s2_ms", "m-bigearthnet", 4080.0, 3) == pytest.approx(0.5, rel=1e-6)
    assert value("satlas_s2_ms", "m-so2sat", 0.4080, 3) == pytest.approx(0.5, rel=1e-6)


def test_satlas_landsat_is_impossible_everywhere_and_forestnet_gets_the_rgb_model() -> None:
    for name in TWELVE:
        with pytest.raises(inputs.ImpossibleError):
            planned("satlas_landsat", name)
    assert value("satlas_s2_rgb", "m-forestnet", 51.0) == pytest.approx(0.2)


@pytest.mark.parametrize("dataset", AERIAL)
def test_satlas_aerial_takes_rgb_over_255(dataset: str) -> None:
    raw = 0.2 if dataset == "m-chesapeake" else 51.0
    assert value("satlas_aerial", dataset, raw) == pytest.approx(0.2)


@pytest.mark.parametrize("dataset", TWELVE)
def test_the_rgb_track_feeds_floors_exactly_red_green_blue(dataset: str) -> None:
    assert [c.wanted.common for c in planned("floor", dataset, track="rgb").channels] == [
        "red",
        "green",
        "blue",
    ]


def test_stored_names_feed_what_published_numbers_were_made_with() -> None:
    def source(names: str) -> str:
        plan = planned("croma_optical", "m-eurosat", band_names=names)
        channel = next(c for c in plan.channels if c.wanted.name == "B8A")
        assert channel.stored is not None
        return channel.stored.name

    assert source("corrected") == "12 - SWIR"
    assert source("stored") == "08A - Vegetation Red Edge"
    corrected, stored = (
        planned("croma_optical", "m-eurosat", band_names=n).describe() for n in ("corrected", "stored")
    )
    assert corrected != stored


def test_a_raw_zero_and_a_scaled_zero_are_two_things() -> None:
    raw = value("satmae_group", "m-brick-kiln", 500.0, 4, missing_bands=["zero_raw"])
    scaled = value("satmae_group", "m-brick-kiln", 500.0, 4, missing_bands=["zero_scaled"])
    # fMoW's B06 (mean 1645, std 1108): a raw zero lies above mean - 2 std.
    assert raw == pytest.approx(int(255 * (0 - (1645.40315151 - 2 * 1108.06650639)) / (4 * 1108.06650639)) / 255)
    assert scaled == 0.0


@pytest.mark.parametrize("profile", ["croma_optical", "satdifuser", "satmae_group", "satlas_s2_ms", "floor"])
@pytest.mark.parametrize(("scaling", "mean", "std"), [("dataset_zscore", 100.0, 50.0), ("pangaea", 928.2619, 286.8012)])
def test_a_protocols_scaling_standardises_every_encoders_band_alike(
    profile: str, scaling: str, mean: float, std: float
) -> None:
    plan = planned(profile, "m-eurosat", scaling=scaling)
    red = next(n for n, one in enumerate(plan.channels) if one.stored and one.stored.name == "04 - Red")
    expected = (2047.5 - mean) / std
    assert value(profile, "m-eurosat", 2047.5, red, scaling=scaling) == pytest.approx(expected, rel=1e-5)
    assert plan.authority == "protocol"
    assert (plan.value_range, plan.expected) == (None, (0.0, 1.0))
    assert plan.describe() != planned(profile, "m-eurosat").describe() or profile == "floor"


def test_pangaeas_constants_name_stored_bands_of_all_twelve_and_lack_no_optical_one() -> None:
    published = configs.load(configs.ROOT / "scaling" / "pangaea.yaml")
    assert set(published) == set(TWELVE)
    for name, constants in published.items():
        bands = datasets.dataset(name).main_bands
        assert set(constants) <= {band.name for band in bands}, name
        assert {band.name for band in bands if band.unit not in (None, "power")} <= set(constants), name
        assert all(std > 0 for _, std in constants.values()), name


def test_what_a_protocol_fills_is_zero_after_its_scaling() -> None:
    for scaling in ("dataset_zscore", "pangaea"):
        for fill in ("zero_scaled", "mean"):
            plan = planned("croma_optical", "m-chesapeake", scaling=scaling, missing_bands=[fill])
            assert [one.constant for one in plan.filled] == [0.0] * 8
        with pytest.raises(UserError, match=r"none of missing_bands=\[zero_raw\] applies"):
            planned("croma_optical", "m-chesapeake", scaling=scaling, missing_bands=["zero_raw"])


def test_what_a_protocols_source_does_not_read_is_not_offered() -> None:
    assert len(planned("floor", "m-so2sat", scaling="pangaea").channels) == 10
    with pytest.raises(inputs.ImpossibleError, match="it has no VV or VH"):
        planned("croma_joint", "m-so2sat", scaling="pangaea")
    with pytest.raises(UserError, match="no constants for real-neontree-crops; take dataset_zscore"):
        planned("floor", "real-neontree-crops", scaling="pangaea")


def test_a_missing_band_is_refused_when_asked_to() -> None:
    with pytest.raises(UserError, match=r"wants band B06, which m-brick-kiln doesn't have"):
        planned("croma_optical", "m-brick-kiln", missing_bands=["error"])
    with pytest.raises(UserError, match=r"wants band B09, .* none of missing_bands=\[nearest,error,mean\] applies"):
        planned("croma_optical", "m-brick-kiln", missing_bands=["nearest", "error", "mean"])
    with pytest.raises(UserError, match="did you mean nearest"):
        planned("croma_optical", "m-brick-kiln", missing_bands=["neerest"])


def test_a_unit_without_a_rule_is_an_error_that_names_the_fix() -> None:
    with pytest.raises(UserError, match=r"no value rule for unit 'dn'.*configs/inputs/"):
        planned("satdifuser_8bit", "m-eurosat")


def test_every_profile_answers_every_dataset_with_a_plan_or_a_reason() -> None:
    for path in sorted((configs.ROOT / "inputs").glob("*.yaml")):
        for name in TWELVE:
            for track in ("rgb", "authors"):
                assert plan_or_reason(path.stem, name, track)


def test_resizing_is_bilinear_with_antialiasing_as_torchvisions() -> None:
    from torchvision.transforms.v2.functional import resize as reference

    images = torch.rand(2, 3, 50, 50)
    for side in (32, 64):
        expected = reference(images, [side, side], antialias=True)
        assert torch.allclose(input_transform.resize(images, side), expected, atol=1e-6)


def test_a_constant_band_cannot_be_standardised() -> None:
    plan = planned("floor", "m-pv4ger")
    transform = input_transform.InputTransform(plan, statistics(std=0.0))
    with pytest.raises(UserError, match="constant over the train split"):
        transform(np.zeros((1, 3, 8, 8), np.uint8))


@pytest.mark.parametrize(
    ("profile", "dataset", "side"),
    [
        ("croma_optical", "m-eurosat", 120),
        ("croma_optical", "m-cashew-plant", 256),
        ("satmae_rgb", "m-NeonTree", 512),
        ("satdifuser", "m-NeonTree", 512),
        ("floor", "m-NeonTree", 400),
    ],
)
def test_classification_is_fed_at_the_pretraining_size_and_masks_at_the_same_for_all(
    profile: str, dataset: str, side: int
) -> None:
    assert planned(profile, dataset).side == side
