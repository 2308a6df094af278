"""Frozen models: image -> feature maps. Knows nothing of datasets, training or results.

    from encoders import build
    features = build("croma_base")(images)        # images (B, 12, H, W) float32, scaled as `inputs_of` says

`features.maps` are feature maps, `features.embedding` is one vector an image (`encoders.base.Features`). Importing this
package loads no deep-learning framework; building an encoder does. docs/library.md shows more.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import configs
from encoders import elsewhere, pangaea_cards
from encoders.bands import Band
from encoders.errors import UserError, nearest, validate
from encoders.home import weights_folder
from encoders.spec import EncoderCard, InputSpec, Setup

if TYPE_CHECKING:
    from encoders.base import Encoder

__all__ = [
    "Band",
    "EncoderCard",
    "InputSpec",
    "UserError",
    "build",
    "built_in",
    "card",
    "input_spec",
    "inputs_of",
    "is_named",
    "names",
    "profile_of",
    "sources",
]

ADAPTERS = {
    "croma": "encoders.croma:CROMA",
    "dofa": "encoders.dofa:DOFA",
    "imagestats": "encoders.baselines:ImageStats",
    "pangaea": "encoders.pangaea:PangaeaModel",
    "rcf": "encoders.baselines:RandomConvolutionalFeatures",
    "satdifuser": "encoders.satdifuser:SatDiFuser",
    "satlas": "encoders.satlas:Satlas",
    "satmae": "encoders.satmae:SatMAE",
    "timm": "encoders.libraries:TimmModel",
    "torchgeo": "encoders.libraries:TorchGeoModel",
}
"""Adapter name -> where its class stands; a name is imported when it is built, not before."""
PRECISIONS = ("float32", "bfloat16")
ALIASES = {"croma_base": "croma_base_optical", "croma_large": "croma_large_optical"}
"""What an encoder is called for short, where one of several is meant as a rule."""
LIBRARIES = ("timm:", "torchgeo:", "pangaea:")
"""What stands before a library's, or PANGAEA's, own name of a model."""


def built_in() -> list[str]:
    """The encoders of this project, one YAML each in `configs/encoder/`."""
    return list(_built_in())


def names() -> list[str]:
    """The encoders that can be listed: built in, or offered by installed packages."""
    return sorted({*built_in(), *elsewhere.installed()})


def is_named(name: str) -> bool:
    """Whether `card` knows where to look: a name of `names()`, a library's model or a path of a YAML file."""
    if name.startswith(LIBRARIES) or name.endswith(elsewhere.SUFFIXES):
        return True
    # What is installed is asked last: that reads a file of every installed package.
    return name in built_in() or name in ALIASES or name in elsewhere.installed()


def card(name: str) -> EncoderCard:
    """An encoder's passport.

    Args:
        name: of `names()` or `ALIASES`, `timm:NAME`, `torchgeo:FACTORY:WEIGHTS`, `pangaea:NAME`, or the path of a
            YAML file of one's own.

    Raises:
        UserError: no such encoder; names the nearest. Or a file that is no passport, or a library that is missing.
    """
    if name.startswith(LIBRARIES):
        library, _, model = name.partition(":")
        if library == "pangaea":
            return pangaea_cards.card(model)
        found: EncoderCard = import_module("encoders.library_cards").card(library, model)
        return found
    if name.endswith(elsewhere.SUFFIXES):
        own = elsewhere.card_of(Path(name))
        if own.name in names():
            raise UserError(f"{name}: 'name' is {own.name}, which is another encoder's; give yours a name of its own")
        return own
    if name in _built_in() or name in ALIASES:
        return _built_in_card(ALIASES.get(name, name))
    if name in elsewhere.installed():
        return elsewhere.installed_card(name)
    raise UserError(f"no encoder '{name}'; {nearest(name, names())}")


@cache
def _built_in() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (configs.ROOT / "encoder").glob("*.yaml")))


@cache
def _built_in_card(name: str) -> EncoderCard:
    return validate(
        EncoderCard, configs.load(configs.ROOT / "encoder" / f"{name}.yaml"), f"configs/encoder/{name}.yaml"
    )


def input_spec(name: str) -> InputSpec:
    """What an input profile of `configs/inputs/` wants to be fed.

    Raises:
        UserError: no such profile.
    """
    path = configs.ROOT / "inputs" / f"{name}.yaml"
    known = [other.stem for other in (configs.ROOT / "inputs").glob("*.yaml")]
    if name not in known:
        raise UserError(f"no input profile '{name}'; {nearest(name, known)}")
    return validate(InputSpec, configs.load(path), f"configs/inputs/{path.name}")


def inputs_of(passport: EncoderCard) -> InputSpec:
    """What an encoder wants to be fed: its input profile, at its own image size if it has one.

    Raises:
        UserError: no such profile, or a key or value that cannot be in one.
    """
    given, side = passport.inputs, passport.image_size
    spec = input_spec(given) if isinstance(given, str) else validate(InputSpec, given, f"{passport.name}: inputs")
    return spec if side is None else replace(spec, image_size=side, segmentation_size=side)


def profile_of(passport: EncoderCard) -> str:
    """Where a value rule is added to what an encoder wants to be fed, for a sentence."""
    if isinstance(passport.inputs, str):
        here = f"configs/inputs/{passport.inputs}.yaml"
        return f"{here}, or give rules of its own under 'inputs:' in its YAML file" if passport.home else here
    if passport.home:
        return f"inputs.rules in the YAML file of {passport.name} (in {passport.home})"
    maker = "pangaea_cards" if passport.adapter == "pangaea" else "library_cards"
    return f"what encoders/{maker}.py makes of its library's scaling"


def sources(passport: EncoderCard) -> dict[str, str]:
    """What identifies code that is not this project's in a run's key: file -> sha256; nothing of what is built in.

    Raises:
        UserError: that code is not there.
    """
    return pangaea_cards.sources(passport) if passport.adapter == "pangaea" else elsewhere.sources(passport)


def build(
    encoder: str | EncoderCard,
    *,
    bands: Sequence[Band] | None = None,
    image_size: int | None = None,
    weights_dir: str | Path | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> "Encoder":
    """Build a frozen encoder, ready to call: `build("croma_base")(images)` gives `Features`.

    Args:
        encoder: a name as `card` takes it, or a card whose options were changed.
        bands: what the C input channels hold, for encoders that take any; default the bands it was trained on.
        image_size: side in pixels of the images to come; default the encoder's own.
        weights_dir: folder that holds the released weights; default where `evaluate.py fetch` puts them.
        precision: dtype of the frozen weights, `float32` or `bfloat16`.

    Raises:
        UserError: unknown encoder or option, or weights that are missing or damaged.
    """
    passport = card(encoder) if isinstance(encoder, str) else encoder
    if precision not in PRECISIONS:
        raise UserError(f"{passport.name}: precision is '{precision}'; {nearest(precision, PRECISIONS)}")
    spec = inputs_of(passport)
    fed = spec.usual_bands() if bands is None else tuple(bands)
    weights = weights_folder() if weights_dir is None else Path(weights_dir)
    setup = Setup(passport, spec, fed, image_size or spec.side(256), weights, precision)
    built: Encoder = _class_of(passport).from_card(setup)
    return built


def _class_of(passport: EncoderCard) -> Any:
    if passport.home:
        return elsewhere.load_class(passport)
    if passport.adapter not in ADAPTERS:
        raise UserError(f"{passport.name}: unknown adapter '{passport.adapter}'; {nearest(passport.adapter, ADAPTERS)}")
    module, _, cls = ADAPTERS[passport.adapter].partition(":")
    return getattr(import_module(module), cls)
