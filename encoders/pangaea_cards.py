"""Passports of PANGAEA's encoders, `pangaea:NAME`, written from `configs/encoder/NAME.yaml` of a checkout.

`$PANGAEA_DIR` names the checkout (VMarsocci/pangaea-bench; written against f20f3d3). **Naming one of its encoders runs
that checkout's code**, as starting its own `run.py` does; without the variable nothing of it is ever looked at. Nothing
here imports that code: a card, and what identifies the code in a run's key, are read off its files.
"""

import ast
import hashlib
import os
import re
from pathlib import Path
from typing import Any, get_args

import yaml

from encoders.bands import KNOWN
from encoders.errors import UserError, nearest
from encoders.spec import EncoderCard, Sensor, Side, Weights

VARIABLE = "PANGAEA_DIR"
RADAR = ("VV", "VH")
OPTICAL = tuple(name for name in KNOWN if re.fullmatch(r"B\d[\dA]", name))
"""The bands PANGAEA knows, by our names: Sentinel-2's; those of other sensors go by the one they are nearest to."""
FROM_DATASET: dict[str, object] = {
    "${dataset.bands}": None,
    "${dataset.img_size}": "native",
    # False of every dataset of the benchmark: one image a sample.
    "${dataset.multi_temporal}": False,
}
"""What a config leaves to the dataset, and how it is told here; None for whichever bands there are."""
RULES = [{"unit": unit, "steps": [{"op": "zscore"}]} for unit in ("dn", "reflectance", "dn8", "byte", "unit")]
RADAR_RULE = {"unit": "power", "steps": [{"op": "decibel"}, {"op": "zscore"}]}
OURS = ("_target_", "encoder_weights", "download_url", "input_size", "input_bands")
"""Keys of a config that the adapter gives the constructor itself."""


def checkout() -> Path:
    """The folder of PANGAEA.

    Raises:
        UserError: none is named, or the folder holds no PANGAEA.
    """
    given = os.environ.get(VARIABLE, "")
    folder = Path(given).expanduser()
    if not given or not (folder / "pangaea" / "encoders" / "base.py").is_file():
        state = f"{VARIABLE} is {given}, which holds no pangaea/encoders/base.py" if given else f"{VARIABLE} is not set"
        raise UserError(
            f"encoders named pangaea: are PANGAEA's own, and {state}; set it to a checkout of "
            "https://github.com/VMarsocci/pangaea-bench (docs/pangaea.md)"
        )
    return folder.resolve()


def card(name: str) -> EncoderCard:
    """The passport of one of PANGAEA's encoders.

    Args:
        name: of its config, such as `dofa`.

    Raises:
        UserError: no checkout, no such config, or one that asks for what a run here cannot give.
    """
    config = _config(name)
    weights = config.get("encoder_weights")
    if weights is not None and not Path(str(weights)).suffix:
        raise UserError(
            f"pangaea:{name}: its weights are torchvision's '{weights}', which it downloads as it is made, and a run "
            "downloads nothing; choose timm:resnet50.tv2_in1k, or pangaea:resnet50_scratch"
        )
    return EncoderCard(
        name=f"pangaea:{name}",
        title=f"PANGAEA {name}",
        adapter="pangaea",
        inputs=_inputs(name, config),
        version=1,
        licence="see source",
        pretraining=f"see configs/encoder/{name}.yaml of PANGAEA; its overlap with the datasets is unverified",
        weights=_weights(config),
        options={
            "arguments": {key: value for key, value in config.items() if key not in OURS},
            "partial_weights": False,
            "seed": 42,
        },
    )


def target(name: str) -> tuple[str, str]:
    """Module and class that a config of the checkout names; raises as `card`."""
    module, _, cls = str(_config(name)["_target_"]).rpartition(".")
    return module, cls


def sources(passport: EncoderCard) -> dict[str, str]:
    """What identifies PANGAEA's code in a run's key: file (of the class with its name) -> sha256.

    Counted are the class's own module and all modules of PANGAEA that it imports, directly or not.

    Raises:
        UserError: as `card`, or the module is not there.
    """
    root = checkout()
    module, cls = target(passport.name.partition(":")[2])
    first = _file(root, module)
    if first is None:
        raise UserError(f"{passport.name}: {root} has no module {module}; correct the checkout's config")
    found, waiting = {}, [first]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        text = path.read_bytes()
        found[path] = hashlib.sha256(text).hexdigest()
        waiting += _imported(root, path, text)
    return {
        f"code:{path.relative_to(root).as_posix()}{f':{cls}' if path == first else ''}": digest
        for path, digest in found.items()
    }


def pangaea_name(band: str) -> str:
    """PANGAEA's name of a band: B04 is B4."""
    return re.sub(r"^B0", "B", band)


def our_name(band: str, where: str) -> str:
    """Our name of a band of PANGAEA's: B4 is B04.

    Raises:
        UserError: a band that no dataset of the benchmark has.
    """
    name = re.sub(r"^B(\d)$", r"B0\1", band)
    if name not in (*OPTICAL, *RADAR):
        raise UserError(f"{where}: wants band {band}, which no dataset of the benchmark has; choose another encoder")
    return name


def _config(name: str) -> dict[str, Any]:
    folder = checkout() / "configs" / "encoder"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise UserError(f"PANGAEA has no encoder '{name}'; {nearest(name, known)}")
    path = folder / f"{name}.yaml"
    try:
        plain = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); restore it") from None
    if not isinstance(plain, dict) or not str(plain.get("_target_", "")).startswith("pangaea.encoders."):
        raise UserError(f"{path}: '_target_' names no class of pangaea.encoders; restore the file")
    for key, value in plain.items():
        if isinstance(value, str) and "${" in value:
            if value not in FROM_DATASET:
                raise UserError(f"{path}: '{key}' is {value}, which no dataset here can say; give it a value")
            plain[key] = FROM_DATASET[value]
    return plain


def _inputs(name: str, config: dict[str, Any]) -> dict[str, object]:
    """PANGAEA's way of feeding: the dataset's z-score, missing bands zero, one size for images and masks."""
    where = f"pangaea:{name}"
    asked = config.get("input_bands")
    fixed: dict[str, list[str]] = asked or {"optical": list(OPTICAL)}
    bands = [our_name(band, where) for modality in fixed.values() for band in modality]
    radar = [band for band in bands if band in RADAR]
    size: Side = config.get("input_size") or "native"
    sensors = ["sentinel2"] if radar else list(get_args(Sensor))
    return {
        "title": f"PANGAEA {name}",
        "bands": dict.fromkeys(sensors, bands),
        "any_subset": asked is None,
        "required": radar,
        "impossible": {sensor: "it holds no radar" for sensor in get_args(Sensor) if sensor not in sensors},
        "image_size": size,
        "segmentation_size": size,
        "authors": "all",
        "expected_mean": 0,
        "expected_std": 1,
        "rules": [*RULES, RADAR_RULE],
    }


def _weights(config: dict[str, Any]) -> Weights:
    given = config.get("encoder_weights")
    if given is None:
        return Weights(random=True)
    path, url = f"pangaea/{Path(str(given)).name}", str(config.get("download_url") or "")
    is_plain = url.startswith("https://") and "drive.google.com" not in url
    return Weights(files=(path,), source=url or "PANGAEA's README", urls={path: url} if is_plain else {})


def _file(root: Path, module: str) -> Path | None:
    inner = root.joinpath(*module.split("."))
    return next((path for path in (inner.with_suffix(".py"), inner / "__init__.py") if path.is_file()), None)


def _imported(root: Path, path: Path, text: bytes) -> list[Path]:
    """The files of PANGAEA's modules that a file of it imports."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise UserError(f"{path}: is no Python ({error.msg}, line {error.lineno}); restore it") from None
    package = path.relative_to(root).parent.parts
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    found = (_file(root, name) for name in dict.fromkeys(names) if name.split(".")[0] == "pangaea")
    return [one for one in found if one is not None]
