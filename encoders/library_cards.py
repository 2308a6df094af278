"""Passports of models that other libraries hold: `timm:NAME` and `torchgeo:FACTORY:WEIGHTS`, written on the fly.

What they say is the library's own: where the weights are published, the licence if it names one, mean and standard
deviation of the images the model was trained on. Weights are local files under the weights folder, never
downloaded from here; `encoder.weights.random=true` draws them instead, and such rows are never ranked.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, get_args

import encoders
from encoders.bands import KNOWN
from encoders.errors import UserError, nearest
from encoders.spec import EncoderCard, Sensor, Weights

PICTURE = {"red": "TCI_R", "green": "TCI_G", "blue": "TCI_B"}
"""Colours of a picture -> the channels of Sentinel-2's 8-bit true-colour product."""
STRETCH = {"op": "true_colour", "white": {"L1C": 3558, "L2A": 2500}}
"""Digital numbers to 0..255, as in configs/inputs/satmae_rgb.yaml."""
FROM_DN8 = {"op": "multiply", "by": 39.21568627450980}
FROM_REFLECTANCE = {"op": "multiply", "by": 10000}
DN8_NOTE = "the 8-bit values are assumed to be digital numbers x 255/10000"
PUBLISHED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
"""The first digits of its sha256 in a file's name, as torch.hub reads them."""
WINDOW = 7
"""Of torchvision's Swin transformers, as torchgeo makes them without weights."""
BYTE_STD = 500
"""A standard deviation below it is of pixels of 0..255, one above it of digital numbers."""

Scale = tuple[Sequence[float], Sequence[float]]
"""Mean and std by channel, subtracted and divided by."""


def card(library: str, model: str) -> EncoderCard:
    """The passport of a library's model.

    Args:
        library: `timm` or `torchgeo`.
        model: as the library names it; of torchgeo `FACTORY:WEIGHTS`.

    Raises:
        UserError: the library isn't installed, has no such model, or one that images of the benchmark cannot feed.
    """
    return _timm(model) if library == "timm" else _torchgeo(model)


def library(name: str) -> ModuleType:
    """A library, imported.

    Raises:
        UserError: it isn't installed; names the extra that brings it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"encoders named {name}: need the library {name}, which cannot be imported ({error}); "
            f"install it with the extra: satdifuser-bench[{name.partition('.')[0]}]"
        ) from None


def _timm(model: str) -> EncoderCard:
    timm = library("timm")
    published = timm.list_pretrained()
    if model not in published and model not in timm.list_models():
        raise UserError(f"timm has no model '{model}'; {_close(model, [*published, *timm.list_models()])}")
    about = timm.get_pretrained_cfg(model)
    if about is None or about.input_size[0] != 3:
        raise UserError(f"timm:{model}: timm does not say which colour images it was trained on; choose another")
    name = f"{about.architecture}.{about.tag}" if about.tag else about.architecture
    safetensors = f"timm/{name}.safetensors"
    hub = f"https://huggingface.co/{about.hf_hub_id}" if about.hf_hub_id else ""
    return EncoderCard(
        name=f"timm:{name}",
        title=f"timm {name}",
        adapter="timm",
        inputs=_inputs(
            f"timm {name}",
            about.input_size[-1],
            about.fixed_input_size,
            {"sentinel2": list(PICTURE.values()), "landsat8": list(PICTURE), "aerial": list(PICTURE)},
            _picture_rules([((0,) * 3, (255,) * 3), (about.mean, about.std)]),
        ),
        version=1,
        licence=about.license or "see source",
        paper=", ".join(_texts(about.paper_ids)).replace("arXiv:", "arXiv "),
        pretraining=f"timm's tag: {about.tag or 'none'}; its overlap with the datasets is unverified",
        weights=Weights(
            files=(f"{safetensors} | timm/{name}.pth",),
            source=f"{hub} (model.safetensors)" if hub else about.url or "nobody: timm lists no weights of this model",
            urls={safetensors: f"{hub}/resolve/main/model.safetensors"} if hub else {},
        ),
        options={"architecture": name, "layers": None, "seed": 42, "arguments": {}},
    )


def _torchgeo(model: str) -> EncoderCard:
    models = library("torchgeo.models")
    factory, _, member = model.partition(":")
    if factory not in models.list_models():
        raise UserError(f"torchgeo has no model '{factory}'; {_close(factory, models.list_models())}")
    try:
        released = {weights.name: weights for weights in models.get_model_weights(factory)}
    except KeyError:
        raise UserError(f"torchgeo publishes no weights of '{factory}'; choose another model") from None
    if member not in released:
        raise UserError(f"torchgeo:{factory}: no weights '{member}'; {nearest(member, released)}")
    weights = released[member]
    file = weights.url.rpartition("/")[2]
    # What is built in is checked against the authors' code, and takes torchgeo's file too.
    own = [passport for passport in map(encoders.card, encoders.built_in()) if _holds(passport, file)]
    if len(own) > 1:
        raise UserError(f"torchgeo:{model} is built in; choose {' or '.join(passport.name for passport in own)}")
    if own:
        return own[0]
    if weights.meta.get("window_size", WINDOW) != WINDOW:
        raise UserError(
            f"torchgeo:{model}: torchgeo makes its network, of windows of {weights.meta['window_size']}, only while it "
            "downloads the weights; choose another model"
        )
    digest = PUBLISHED_DIGEST.search(file)
    path = f"torchgeo/{file}"
    return EncoderCard(
        name=f"torchgeo:{model}",
        title=f"torchgeo {factory} {member}",
        adapter="torchgeo",
        inputs=_torchgeo_inputs(model, weights),
        version=1,
        licence=weights.meta.get("license") or "see source",
        paper=str(weights.meta.get("publication") or ""),
        pretraining=f"{weights.meta.get('dataset') or 'see source'}; its overlap with the datasets is unverified",
        weights=Weights(
            files=(path,),
            source=weights.url,
            sha256={path: digest[1]} if digest else {},
            urls={path: weights.url},
        ),
        options={"architecture": factory, "weights": member, "layers": None, "seed": 42, "arguments": {}},
    )


def _holds(passport: EncoderCard, file: str) -> bool:
    return any(file in pattern for pattern in passport.weights.files)


def _torchgeo_inputs(model: str, weights: Any) -> dict[str, object]:
    """What torchgeo's weights want: their bands, and the normalisations of their transforms in that order.

    Raises:
        UserError: bands that no dataset of the benchmark can give in the unit wanted, or no normalisation.
    """
    steps = list(weights.transforms.modules()) if hasattr(weights.transforms, "modules") else []
    channels = int(weights.meta.get("in_chans") or 0)
    scales = [(_wide(step.mean, channels), _wide(step.std, channels)) for step in steps if hasattr(step, "std")]
    bands = [_band(str(name)) for name in weights.meta.get("bands") or ("R", "G", "B")]
    if not scales or len(bands) != channels:
        raise UserError(
            f"torchgeo:{model}: torchgeo does not say how its images are scaled; write an encoder of your own"
        )
    if len(set(bands)) < len(bands):
        raise UserError(f"torchgeo:{model}: wants images of several dates, a sample has one; choose other weights")
    sides = [step.size[0] for step in steps if hasattr(step, "size")]
    # Cropping and resizing both end in the size the model was trained at.
    size, fixed = sides[-1] if sides else 224, "resnet" not in model.partition(":")[0]
    title = f"torchgeo {model}"
    picture = max(scales[0][1]) < BYTE_STD
    sensor = weights.name.partition("_")[0]
    if picture and max(scales[0][1]) <= 1:
        scales = [((0,) * channels, (255,) * channels), *scales]
    if picture and set(bands) in ({"red", "green", "blue"}, {"B04", "B03", "B02"}):
        colours = [KNOWN[band].common or "" for band in bands]
        fed = {"aerial": colours, "landsat8": colours, "sentinel2": [PICTURE[colour] for colour in colours]}
        kept = {"NAIP": ("aerial",), "SENTINEL2": ("sentinel2", "landsat8")}.get(sensor, tuple(fed))
        return _inputs(title, size, fixed, {name: fed[name] for name in kept}, _picture_rules(scales, colours))
    if picture and set(bands) == {"red", "green", "blue", "nir"}:
        return _inputs(title, size, fixed, {"aerial": bands}, _byte_rules(_steps(scales, bands)))
    if sensor == "SENTINEL2" and not picture and set(bands) <= KNOWN.keys():
        return _inputs(title, size, fixed, {"sentinel2": bands}, _number_rules(scales, bands))
    if sensor == "SENTINEL1" and min(scales[0][0]) < 0 and set(bands) == {"VV", "VH"}:
        rules: list[dict[str, object]] = [{"unit": "power", "steps": [{"op": "decibel"}, *_steps(scales, bands)]}]
        return _inputs(title, size, fixed, {"sentinel2": bands}, rules) | {"required": bands}
    raise UserError(
        f"torchgeo:{model}: no dataset of the benchmark holds its bands ({', '.join(bands)}) in the unit it wants; "
        "choose other weights"
    )


def _inputs(
    title: str, size: int, fixed: bool, bands: dict[str, list[str]], rules: list[dict[str, object]]
) -> dict[str, object]:
    """An input profile in plain data. A model of fixed size gets that size for segmentation too."""
    return {
        "title": title,
        "bands": bands,
        "image_size": size,
        "segmentation_size": size if fixed else "256_or_512",
        "impossible": {
            sensor: f"the model was made for {' and '.join(bands)} images"
            for sensor in get_args(Sensor)
            if sensor not in bands
        },
        "rules": rules,
    }


def _picture_rules(scales: Sequence[Scale], colours: Sequence[str] = tuple(PICTURE)) -> list[dict[str, object]]:
    """From any stored unit to 8-bit colour, as profile `satmae_rgb`, then the scales in order."""
    products = [PICTURE[colour] for colour in colours]
    # Both names of a colour: on Sentinel-2 it is a channel of the true-colour product.
    both = [(tuple(mean) * 2, tuple(std) * 2) for mean, std in scales]
    last = _steps(both, [*colours, *products])
    return [
        {"unit": "dn", "steps": [STRETCH, *last]},
        {"unit": "reflectance", "steps": [FROM_REFLECTANCE, STRETCH, *last]},
        {"unit": "dn8", "steps": [FROM_DN8, STRETCH, *last], "note": DN8_NOTE},
        *_byte_rules(last),
    ]


def _byte_rules(last: list[dict[str, object]]) -> list[dict[str, object]]:
    """From 0..255, or 0..1, to the last steps."""
    return [
        {"unit": "byte", "steps": last},
        {"unit": "unit", "steps": [{"op": "multiply", "by": 255}, *last]},
    ]


def _number_rules(scales: Sequence[Scale], bands: Sequence[str]) -> list[dict[str, object]]:
    """From digital numbers, or what they can be had from, to the scales in order."""
    last = _steps(scales, bands)
    return [
        {"unit": "dn", "steps": last},
        {"unit": "reflectance", "steps": [FROM_REFLECTANCE, *last]},
        {"unit": "dn8", "steps": [FROM_DN8, *last], "note": DN8_NOTE},
    ]


def _steps(scales: Sequence[Scale], bands: Sequence[str]) -> list[dict[str, object]]:
    """Value rules of scales. What only divides is no z-score: 0 is not the mean of its images."""
    return [
        {"op": "divide", "by": float(std[0])}
        if not any(mean) and len(set(std)) == 1
        else {
            "op": "zscore",
            "statistics": "fixed",
            "mean": dict(zip(bands, map(float, mean), strict=True)),
            "std": dict(zip(bands, map(float, std), strict=True)),
        }
        for mean, std in scales
    ]


def _wide(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """One number a channel, where the library gives one for all."""
    return tuple(values) * channels if len(values) == 1 else tuple(values)


def _band(name: str) -> str:
    """Our name of a band: B4 is B04, B8a is B8A, R is red."""
    colours = {"R": "red", "G": "green", "B": "blue", "NIR": "nir"}
    return colours.get(name) or re.sub(r"^B(\d)$", r"B0\1", name.upper())


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)] if value else []


def _close(wrong: str, known: Iterable[str]) -> str:
    """`nearest` for a list too long to be shown."""
    close = difflib.get_close_matches(wrong, list(known), n=3, cutoff=0.5)
    return nearest(wrong, close) if close else "the library's list_models() names them all"
