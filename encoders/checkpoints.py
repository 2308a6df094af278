"""Released weights on disk: which files an encoder needs, whether they are there and whole, and safe loading.

A checkpoint is a stranger's file. Nothing in it is ever executed (safetensors, or torch's weights-only
reader), its names and shapes must be exactly those of the model, and what is wrong ends in one sentence.
Importing this module loads no deep-learning framework: a run's key needs digests, not tensors.

A path of a card's `weights.files` may hold `{size}` and `{option}` (a text option of the card), give
alternatives (`a.safetensors | a.bin`, the first that exists is used) and end in ` ?` (used if it is there).
"""

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import UserError
from encoders.pickles import DATA, RefusedError, scan
from encoders.spec import EncoderCard

if TYPE_CHECKING:
    from torch import Tensor, nn

DIGESTS = ".sha256.json"
"""Name of the digest cache in a weights folder: gigabytes are hashed once, not once a run."""
ZIP = b"PK\x03\x04"
LEGACY_PICKLES = 5
"""Magic number, protocol, system, content, names of storages: torch's format before 1.6."""
MOST_PICKLED = 64 * 2**20
"""Bytes that describe tensors, without theirs; a thousand tensors take a tenth of a megabyte."""
IN_CHECKPOINTS = DATA | {"BINPERSID", "EMPTY_SET", "SHORT_BINSTRING"}
"""What torch's weights-only reader obeys."""
DEEPEST = 3
"""Dictionaries in dictionaries of released files: no more than two (CROMA's)."""


def wanted(card: EncoderCard, size: int) -> list[tuple[list[str], bool]]:
    """(alternatives, whether required) of each file a card names, placeholders filled in."""
    fill = {"size": str(size)} | {key: value for key, value in card.options.items() if isinstance(value, str)}
    files = []
    for pattern in card.weights.files:
        text = pattern.removesuffix("?")
        for key, value in fill.items():
            text = text.replace("{" + key + "}", value)
        files.append(([part.strip() for part in text.split("|")], not pattern.endswith("?")))
    return files


def _absent(card: EncoderCard, weights_dir: Path | None, size: int) -> list[list[str]]:
    return [
        paths
        for paths, required in wanted(card, size)
        if required and not (weights_dir and any((weights_dir / path).is_file() for path in paths))
    ]


def missing_files(card: EncoderCard, weights_dir: Path | None, size: int) -> list[str]:
    """Required files that are not there, relative to the weights folder; alternatives joined by ` or `.

    Args:
        size: side in pixels of the images, which `{size}` in a path stands for.
    """
    absent = [] if card.weights.random else _absent(card, weights_dir, size)
    return [" or ".join([paths[0], *(Path(path).name for path in paths[1:])]) for paths in absent]


def address(card: EncoderCard, paths: Sequence[str]) -> tuple[str, str] | None:
    """What brings the first of alternative files that has an address: (the file, or the archive's folder; address)."""
    for path in paths:
        if path in card.weights.urls:
            return path, card.weights.urls[path]
    for folder, url in card.weights.archives.items():
        if any(path.startswith(f"{folder}/") for path in paths):
            return folder, url
    return None


def how_to_get(card: EncoderCard, weights_dir: Path | None, size: int) -> str:
    """A clause that says how the missing weights come: by a command, if all have an address, and by hand."""
    known = all(address(card, paths) for paths in _absent(card, weights_dir, size))
    command = f"with `evaluate.py fetch encoder {card.name}` or " if known else ""
    where = f"the weights folder {weights_dir}" if weights_dir else "a weights folder (none was given)"
    return f"get them {command}from {card.weights.source or 'their publisher'} and put them under {where}"


def find(card: EncoderCard, weights_dir: Path | None, size: int) -> dict[str, Path]:
    """The files a card names, relative path -> path; of alternatives, the first that exists.

    Raises:
        UserError: files are missing; says which, where they are published and where to put them.
    """
    missing = missing_files(card, weights_dir, size)
    if missing or weights_dir is None:
        raise UserError(
            f"{card.name}: {len(missing)} of its weight files are missing: {', '.join(missing)}; "
            f"{how_to_get(card, weights_dir, size)}, or run with --demo, which needs none"
        )
    found = {}
    for paths, _ in wanted(card, size):
        for path in paths:
            if (weights_dir / path).is_file():
                found[path] = weights_dir / path
                break
    return found


def weights_sha256(card: EncoderCard, weights_dir: Path | None, size: int) -> dict[str, str]:
    """What identifies an encoder's weights in a run's key.

    Returns:
        relative path -> sha256; `{"random": seed}` where weights are drawn; empty where there are none.

    Raises:
        UserError: files are missing, or a digest is not the published one.
    """
    if card.weights.random:
        return {"random": str(card.options.get("seed", "default"))}
    if not card.weights.files:
        return {}
    files = find(card, weights_dir, size)
    assert weights_dir is not None
    digests = _digests(weights_dir, files)
    for path, published in card.weights.sha256.items():
        if not digests.get(path, published).startswith(published):
            raise UserError(
                f"{weights_dir / path}: its sha256 is {digests[path][:12]}... where {published[:12]}... is "
                "published; the download is damaged or another release: download it again"
            )
    return digests


def _digests(folder: Path, files: Mapping[str, Path]) -> dict[str, str]:
    cache = folder / DIGESTS
    try:
        known = json.loads(cache.read_bytes())
        known = known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        known = {}
    digests, stale = {}, False
    for name, path in files.items():
        status = path.stat()
        key = f"{name}:{status.st_size}:{status.st_mtime_ns}"
        if not isinstance(known.get(key), str):
            with path.open("rb") as file:
                known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            stale = True
        digests[name] = known[key]
    if stale:
        _keep(cache, known)
    return digests


def _keep(cache: Path, digests: dict[str, str]) -> None:
    # A weights folder is often read-only; then each process hashes anew. Named as `benchmark.atomic` names them, a
    # temporary file of a killed process is removed by the next sweep.
    host = platform.node().replace(".", "-") or "localhost"
    temporary = cache.with_name(f"{cache.name}.{host}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(digests, indent=1, sort_keys=True))
        temporary.replace(cache)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, such as a released model's config.

    Raises:
        UserError: the file cannot be read or holds no JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); download it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no JSON object; download it again")
    return content


def load_tensors(path: Path, *, part: str = "", plain: Sequence[type] = ()) -> "dict[str, Tensor]":
    """Named tensors of a file, on the CPU: `.safetensors`, else torch's own format, weights only.

    Args:
        part: the entry of the outermost dictionary that holds the weights (`model` beside `optimizer`); a file
            without it is taken for the weights themselves. Names in other nested dictionaries are joined by `/`.
        plain: classes that hold no more than plain data, allowed beside tensors.

    Raises:
        UserError: the file is damaged, or holds anything but named tensors (which is never executed).
    """
    import pickle

    import torch
    from safetensors.torch import load_file

    content: Any
    try:
        if path.suffix == ".safetensors":
            content = load_file(path, device="cpu")
        else:
            look_ahead(path)
            with torch.serialization.safe_globals(list(plain)):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the file") from None
    except (pickle.UnpicklingError, RefusedError):
        raise UserError(
            f"{path}: refused, because it is damaged or holds more than tensors; download it again from its publisher"
        ) from None
    except Exception as error:  # a damaged file can raise nearly anything in its reader
        raise UserError(f"{path}: damaged ({type(error).__name__}); download it again") from None
    if part and isinstance(content, dict) and isinstance(content.get(part), dict):
        content = content[part]
    flat = _flat(content)
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in flat.items()
    ):
        raise UserError(f"{path}: holds something else than named tensors; download it again from its publisher")
    return {name.removeprefix(f"{part}/") if part else name: tensor for name, tensor in flat.items()}


def look_ahead(path: Path) -> None:
    """Follow what a file of torch's would have its reader do, before it does any of it.

    Raises:
        RefusedError: it does what no file of tensors does, or unpacks to more than it holds.
    """
    import io
    import zipfile

    import torch

    with path.open("rb") as file:
        head = file.read(MOST_PICKLED)
    if not head.startswith(ZIP):
        # Five pickles, then the tensors' bytes as they are.
        stream = io.BytesIO(head)
        try:
            for _ in range(LEGACY_PICKLES):
                scan(stream, IN_CHECKPOINTS)
        except (ValueError, KeyError):
            raise RefusedError("it is cut short, or no file of torch's") from None
        return
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise RefusedError("it is packed, which torch does not do")
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise RefusedError("it says to hold more bytes than there are")
        if (
            max((one.file_size for one in archive.infolist() if one.filename.endswith(".pkl")), default=0)
            > MOST_PICKLED
        ):
            raise RefusedError("it describes its tensors in more bytes than there can be")
    # By torch's own reader, so that no other entry can stand for this one.
    scan(io.BytesIO(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")), IN_CHECKPOINTS)


def _flat(content: object, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Nested dictionaries as one, names joined by `/`; what is no dictionary of names stays as it is."""
    # A hostile file can hold a dictionary that holds itself.
    if depth == DEEPEST or not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        return {prefix.removesuffix("/"): content}
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}/", depth + 1)
    return flat


def fit(model: "nn.Module", state: "Mapping[str, Tensor]", where: str | Path, *, drop: Collection[str] = ()) -> None:
    """Put finite tensors into a model whose names, shapes and kinds must be theirs exactly.

    Args:
        model: may stand on the meta device: the tensors themselves become its weights.
        where: the file, for the message.
        drop: names that may be there and are left out.

    Raises:
        UserError: names what is missing, unexpected or of another shape, or which weights are NaN or infinite.
    """
    from encoders.finite import all_finite

    given = {name: tensor for name, tensor in state.items() if name not in drop}
    expected = model.state_dict()
    other = [
        f"{name} is {_kind(given[name])}, not {_kind(tensor)}"
        for name, tensor in expected.items()
        if name in given
        and (tensor.shape, tensor.is_floating_point()) != (given[name].shape, given[name].is_floating_point())
    ]
    faults = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape or type": other,
    }
    if any(faults.values()):
        told = "; ".join(f"{what}: {_some(names)}" for what, names in faults.items() if names)
        raise UserError(f"{where}: not the weights of this model ({told}); download the released file again")
    # A buffer may be infinite by right: a mask of attention. Tensors of names and shapes alone hold nothing.
    weights = {name: given[name] for name, _ in model.named_parameters() if not given[name].is_meta}
    infinite = [name for name, tensor in weights.items() if not all_finite(tensor)]
    if infinite:
        raise UserError(f"{where}: weights are NaN or infinite ({_some(infinite)}); download the released file again")
    model.load_state_dict(given, strict=True, assign=True)


def _kind(tensor: "Tensor") -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _some(names: list[str]) -> str:
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")
