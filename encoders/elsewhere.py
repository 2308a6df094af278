"""Encoders that are not built in: a YAML file beside a class of one's own, or offered by an installed package.

The file is an `EncoderCard` with `_target_: my_module:MyEncoder` in place of `adapter`. The class stands in
`my_module.py` beside the file, else in an importable package. **Building such an encoder runs its module**, as giving
Python a script does; the command line asks for --allow-code first (`benchmark.request.code`), and reading a card runs
nothing. `docs/add-your-encoder.md` shows a whole one.
"""

import hashlib
import importlib.util
import json
import re
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from encoders import yaml_files
from encoders.errors import UserError, nearest, validate
from encoders.spec import EncoderCard

GROUP = "satdifuser_bench.encoders"
"""Entry points of this group offer encoders: NAME -> the path of its YAML file, or a function that gives it."""
SUFFIXES = (".yaml", ".yml")
NAME = re.compile(r"(?!(?:null|true|false)$)[A-Za-z][A-Za-z0-9_.-]*")
"""What stands on command lines, in tables and in file names."""


def installed() -> dict[str, EntryPoint]:
    """What installed packages offer, by name; nothing of theirs is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def installed_card(name: str) -> EncoderCard:
    """The passport of an encoder that an installed package offers.

    Raises:
        UserError: the package gives no YAML file, or one of another name.
    """
    point = installed()[name]
    try:
        given = point.load()
        path = Path(given() if callable(given) else given)
    except Exception as error:  # a stranger's package can raise anything while it is imported
        raise UserError(
            f"encoder '{name}', offered by {point.value}, gives no YAML file ({type(error).__name__}: {error}); "
            "mend or uninstall its package"
        ) from None
    card = card_of(path)
    if card.name != name:
        raise UserError(f"{path}: 'name' is {card.name}, its package offers it as {name}; give both the same name")
    return card


def card_of(path: Path) -> EncoderCard:
    """The passport in a YAML file; its `home` is the file's folder.

    Raises:
        UserError: the file cannot be read, or is no passport of a class.
    """
    plain = load(path)
    if "_target_" not in plain:
        raise UserError(f"{path}: '_target_' is missing; add `_target_: my_module:MyEncoder`, the class to run")
    target = str(plain.pop("_target_"))
    module, _, cls = target.partition(":") if ":" in target else target.rpartition(".")
    if not module or not all(part.isidentifier() for part in (*module.split("."), cls)):
        raise UserError(f"{path}: '_target_' is '{target}'; write my_module:MyEncoder")
    for key in {"adapter", "home"} & plain.keys():
        raise UserError(f"{path}: '{key}' is not for encoders of your own; leave it out, `_target_` names the class")
    check_name(path, plain)
    given = {"adapter": f"{module}:{cls}", "home": str(path.resolve().parent)}
    return validate(EncoderCard, plain | given, str(path))


def load(path: Path) -> dict[str, Any]:
    """What a YAML file of the user's own says, an encoder's or a dataset's, as plain data.

    Raises:
        UserError: the file cannot be read, or holds no keys with values, or what Hydra would not take as it is.
    """
    plain = yaml_files.read(path, "check the file")
    if not isinstance(plain, dict):
        raise UserError(f"{path}: holds no keys with values; write `key: value` lines")
    if "${" in json.dumps(plain):
        raise UserError(f"{path}: holds '${{', which Hydra would resolve; write values as they are")
    return plain


def check_name(path: Path, plain: dict[str, Any]) -> None:
    """Check `name`, which stands on command lines, in tables and in file names.

    Raises:
        UserError: it is missing, or holds what these can't.
    """
    if not NAME.fullmatch(str(plain.get("name", ""))):
        raise UserError(
            f"{path}: 'name' is {plain.get('name')!r}; begin with a letter, go on with letters, digits, '_', '.' or '-'"
        )


def sources(card: EncoderCard) -> dict[str, str]:
    """What identifies the code of an encoder of one's own in a run's key: file name -> sha256; of others nothing.

    The one file that holds the class counts; for what it imports, raise the card's `version`.

    Raises:
        UserError: there is no such module.
    """
    if not card.home:
        return {}
    path = source(card)
    return {f"code:{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()}


def load_class(card: EncoderCard) -> type:
    """The class a card names; runs its module.

    Raises:
        UserError: no such module or class, the module cannot be imported, or the class is no whole `Encoder`.
    """
    from encoders.base import Encoder

    path = source(card)
    module_name, _, cls = card.adapter.partition(":")
    try:
        module = _run(path) if path.parent == Path(card.home) else import_module(module_name)
    except Exception as error:  # the user's module can raise anything
        line = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be imported ({type(error).__name__}: {line}); mend it") from error
    if not hasattr(module, cls):
        known = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise UserError(f"{path}: has no class '{cls}'; {nearest(cls, known)}")
    found = getattr(module, cls)
    if not (isinstance(found, type) and issubclass(found, Encoder)):
        raise UserError(f"{path}: {cls} is not an Encoder; derive it from encoders.base.Encoder")
    if not hasattr(found, "from_card"):
        raise UserError(f"{path}: {cls} has no from_card; write it as docs/add-your-encoder.md shows")
    return found


def source(card: EncoderCard) -> Path:
    """The file that holds the class; found without importing anything, for that may load a framework.

    Raises:
        UserError: there is no such module.
    """
    module = card.adapter.partition(":")[0]
    beside = Path(card.home) / f"{module}.py"
    if beside.is_file():
        return beside
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    folders = spec.submodule_search_locations if spec else None
    candidates = [Path(spec.origin)] if spec and spec.origin and not rest else []
    for folder in folders or ():
        inner = Path(folder).joinpath(*rest)
        candidates += [inner.with_suffix(".py"), inner / "__init__.py"] if rest else []
    for path in candidates:
        if path.is_file():
            return path
    raise UserError(
        f"{card.name}: there is no module '{module}': neither {beside} nor an installed package holds it; "
        "put it there or correct '_target_'"
    )


def _run(path: Path) -> ModuleType:
    """The module in a file, run once for each content; modules beside it can be imported from it."""
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]
    name = f"{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    # At the end: a user's `types.py` must not stand in for Python's.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
