"""Hydra: the chosen files of `configs/` and overrides become plain data; what it refuses becomes one sentence."""

import contextlib
import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import configs
from benchmark.data import datasets
from encoders.errors import UserError, nearest
from encoders.spec import EncoderCard

CHOSEN = ("fusion", "probe", "protocol", "executor", "tracker")
"""Groups of which Hydra reads the file that is named; the card and the dataset come whole."""
MOST_TOLD = 200
"""Characters of an override in a message."""


def composed(card: EncoderCard, dataset: str, others: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """The config of an encoder on a dataset with other choices of groups and overrides.

    Files are read once for each choice of groups: it takes a quarter of a second, which an experiment of fifty points
    can't spend on each.

    Args:
        card: of the encoder, whole, so that what its file leaves out can be overridden too.
        dataset: as `datasets.dataset` takes it.
        others: `fusion=gw` and so on.

    Raises:
        UserError: an override that can't be; names the key and the nearest.
    """
    whole = {"encoder": json.dumps(asdict(card)), "dataset": json.dumps(asdict(datasets.dataset(dataset)))}
    return _composed(str(configs.ROOT.resolve()), tuple(whole.items()), tuple(others), tuple(overrides))


def set_all(plain: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy of composed plain data with keys set: `key=value` in Hydra's notation, `+key=value` for a new key.

    Raises:
        UserError: a key that isn't there, or a value that can't be read.
    """
    found = copy.deepcopy(plain)
    for change in changes:
        (parsed,) = _parsed([change])
        value = parsed.value()
        *parents, leaf = str(parsed.key_or_group).split(".")
        inside = found
        for name in parents:
            if not isinstance(inside.get(name), dict):
                raise UserError(f"override '{change}': unknown key '{name}'; {nearest(name, inside)}")
            inside = inside[name]
        if leaf not in inside and not change.startswith("+"):
            raise UserError(f"override '{change}': unknown key '{leaf}'; {nearest(leaf, inside)}")
        # As Hydra does it: a dictionary is merged into one that is there.
        merges = isinstance(value, dict) and isinstance(inside.get(leaf), dict)
        inside[leaf] = inside[leaf] | value if merges else value
    return found


def literal(value: object) -> str:
    """A value in Hydra's notation."""
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(literal(item) for item in value) + "]"
    return json.dumps(value)


@contextlib.contextmanager
def _hydra(root: str) -> Iterator[None]:
    """Within it Hydra composes the files of `root`; a caller that uses Hydra itself finds it as it was afterwards."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    one = GlobalHydra.instance()
    before, one.hydra = one.hydra, None
    try:
        with initialize_config_dir(root, version_base="1.3"):
            yield
    finally:
        one.hydra = before


@cache
def _composed(
    root: str, whole: tuple[tuple[str, str], ...], others: tuple[str, ...], overrides: tuple[str, ...]
) -> dict[str, Any]:
    """`whole`: by group, what no file of `configs/` says in full, as JSON."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    named = [one for one in (*others, *overrides) if _key(one) in CHOSEN]
    set_here = [one for one in (*others, *overrides) if _key(one) not in CHOSEN]
    try:
        known = copy.deepcopy(_files(root, tuple(named)))
        with open_dict(known):
            for group, text in whole:
                known[group] = json.loads(text)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(_refused(named, error)) from None
    found = copy.deepcopy(known)
    try:
        # What Hydra itself does with overrides once it has read the files.
        ConfigLoaderImpl._apply_overrides_to_config(_parsed(set_here), found)
        return dict(OmegaConf.to_container(found, resolve=True))
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UserError(_explain(error, known, json.loads(whole[0][1])["name"], overrides)) from None


@cache
def _files(root: str, named: tuple[str, ...]) -> Any:
    """The files chosen, `fusion=gw` and so on, as one DictConfig; not to be changed."""
    from hydra import compose as hydra_compose

    with _hydra(root):
        return hydra_compose("config", overrides=list(named))


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _parsed(overrides: Sequence[str]) -> list[Any]:
    """Overrides as Hydra reads them; raises UserError where it can't, or where one gives several values."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    found = list[Any]()
    for override in overrides:
        try:
            found += OverridesParser.create().parse_overrides([override])
        except HydraException as error:
            raise UserError(_refused([override], error)) from None
        if found[-1].is_sweep_override():
            raise UserError(f"override '{override[:MOST_TOLD]}' gives several values; quote it if it is one")
    return found


def _explain(error: Exception, known: Any, name: str, overrides: Sequence[str]) -> str:
    """One sentence for what Hydra refuses: which override, which key, which keys are near."""
    from omegaconf import DictConfig, OmegaConf

    for override in overrides:
        parent, _, leaf = _key(override).rpartition(".")
        siblings = OmegaConf.select(known, parent) if parent else known
        if not isinstance(siblings, DictConfig):
            where = f"encoder={name} and dataset={known.dataset.name}"
            return f"override '{override}': {where} have no '{parent}'; {nearest(parent, map(str, known))}"
        if leaf not in siblings:
            return f"override '{override}': unknown key '{leaf}'; {nearest(leaf, map(str, siblings))}"
    return _refused(overrides, error)


def _refused(overrides: Sequence[str], error: Exception) -> str:
    first = str(error).strip().splitlines()[0][:MOST_TOLD]
    told = " ".join(override[:MOST_TOLD] for override in overrides)
    return f"overrides {told}: {first}; quote values that hold spaces or brackets"
