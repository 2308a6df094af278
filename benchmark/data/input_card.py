"""The input card: band by band, what goes into an encoder, and the picture the model sees.

Most wrong numbers in this field are inputs on the wrong scale. The card shows source, unit, mean and std before
and after scaling and the share of pixels cut off; what looks wrong raises a flag that stays in the record.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from benchmark.data.ingest import Split
from benchmark.data.input_transform import InputTransform
from benchmark.data.inputs import InputPlan

SAMPLE = 64
"""Images the card is computed from, evenly spread over train."""
CLIPPED_FLAG = 0.20
MEAN_FLAG_STD = 2.0


@dataclass(frozen=True)
class InputChannel:
    """One channel of the encoder's input, over the card's images.

    Attributes:
        wanted, wavelength_um: the band the encoder asks for, and the centre wavelength it is told, in micrometres;
            None for radar and pictures.
        source, stored_name: the dataset's band that answers or stands in, and its name in the files; None for a
            constant.
        unit: of the stored values (`encoders.spec.Unit`).
        filled: the rule by which something stands in (`benchmark.data.inputs.FILLS`); None where the band is there.
        rule: the value operations, in their order.
        mean_before, std_before: of the stored values, in `unit`; None for a constant.
        mean_after, std_after: of what comes out of the rule, before any resizing.
        share_clipped: share of pixels that the rule cuts off, from 0 to 1.
    """

    wanted: str
    wavelength_um: float | None
    source: str | None
    stored_name: str | None
    unit: str
    filled: str | None
    rule: str
    mean_before: float | None
    std_before: float | None
    mean_after: float
    std_after: float
    share_clipped: float


@dataclass(frozen=True)
class InputCard:
    """What goes into an encoder, from images evenly spread over train.

    Attributes:
        encoder_inputs: title of the input profile (`configs/inputs/`, or the encoder's own).
        dataset: its name.
        side, native: height and width fed; those of the stored images; in pixels.
        value_rule: whose choice the rule is on this dataset: `authors`, `ours` or `protocol`.
        notes: what the rules assume.
        images: how many the card was computed from.
        channels: in the encoder's order.
        flags: more than 20 % of a channel's pixels cut off, or its mean more than 2 std from that of pre-training.
    """

    encoder_inputs: str
    dataset: str
    side: int
    native: list[int]
    value_rule: str
    notes: list[str]
    images: int
    channels: list[InputChannel]
    flags: list[str]


def input_card(plan: InputPlan, transform: InputTransform, split: Split) -> dict[str, object]:
    """The plain data of an `InputCard`, ready for JSON."""
    native = np.asarray(split.images[spread(len(split.samples), SAMPLE)])
    after = transform.scaled(native).numpy()
    cut = np.abs(after - transform.scaled(native, clip=False).numpy()) > 1e-6
    channels: list[InputChannel] = []
    flags: list[str] = []
    for position, channel in enumerate(plan.channels):
        pixels = after[:, position]
        before = None if channel.index is None else native[:, channel.index].astype(np.float64)
        share = float(cut[:, position].mean())
        channels.append(
            InputChannel(
                wanted=channel.wanted.name,
                wavelength_um=channel.wanted.wavelength_um,
                source=channel.stored.band if channel.stored else None,
                stored_name=channel.stored.name if channel.stored else None,
                unit=channel.rule.unit,
                filled=channel.filled,
                rule=channel.describe().split(" | ", 1)[1],
                mean_before=None if before is None else _rounded(before.mean()),
                std_before=None if before is None else _rounded(before.std()),
                mean_after=_rounded(pixels.mean(dtype=np.float64)),
                std_after=_rounded(pixels.std(dtype=np.float64)),
                share_clipped=_rounded(share),
            )
        )
        flags += _flags(plan, channel.wanted.name, share, float(pixels.mean(dtype=np.float64)))
    card = InputCard(
        encoder_inputs=plan.title,
        dataset=plan.dataset.name,
        side=plan.side,
        native=list(plan.dataset.image_size),
        value_rule=plan.authority,
        notes=list(plan.notes),
        images=int(native.shape[0]),
        channels=channels,
        flags=flags,
    )
    return asdict(card)


def _flags(plan: InputPlan, band: str, clipped: float, mean: float) -> list[str]:
    flags = []
    if clipped > CLIPPED_FLAG:
        flags.append(f"input {band}: {100 * clipped:.0f} % of the pixels are cut off by the value rule")
    expected_mean, expected_std = plan.expected
    if expected_mean is not None and expected_std:
        distance = abs(mean - expected_mean) / expected_std
        if distance > MEAN_FLAG_STD:
            flags.append(f"input {band}: its mean lies {distance:.1f} std from what the model was trained on")
    return flags


def picture(plan: InputPlan, transform: InputTransform, split: Split, images: int = 8) -> Image.Image:
    """What the model sees: up to `images` images in a row, colours from the bands nearest to red, green, blue.

    Values are shown as they enter the encoder: the declared range, or the 1st to 99th percentile where the rule
    has no range, becomes black to white.
    """
    native = np.asarray(split.images[spread(len(split.samples), images)])
    row = np.concatenate(list(colours(plan, transform(native).numpy())), axis=1)
    return Image.fromarray((row * 255).round().astype(np.uint8))


def colours(plan: InputPlan, fed: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W) as they enter the encoder -> (N, H, W, 3) in [0, 1], shown as `picture` says."""
    seen = fed[:, _colours([channel.wanted.wavelength_um for channel in plan.channels])]
    low, high = plan.value_range or tuple(np.percentile(seen, (1, 99)))
    shown: np.ndarray = np.clip((seen - low) / max(high - low, 1e-12), 0, 1).transpose(0, 2, 3, 1)
    return shown


def _colours(wavelengths: Sequence[float | None]) -> list[int]:
    known = np.array([np.inf if wavelength is None else wavelength for wavelength in wavelengths])
    if np.isinf(known).all():  # the true-colour product alone: its channels are red, green and blue already
        return [0, min(1, len(known) - 1), min(2, len(known) - 1)]
    return [int(np.argmin(np.abs(known - target))) for target in (0.665, 0.56, 0.49)]


def spread(total: int, count: int) -> np.ndarray:
    """Up to `count` of `total` numbers, ascending, from the first to the last."""
    return np.unique(np.linspace(0, total - 1, min(total, count)).round().astype(int))


def _rounded(number: float) -> float:
    return float(f"{float(number):.6g}")
