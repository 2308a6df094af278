"""Hydra: the chosen files of `configs/` and overrides become plain data; what it refuses becomes one sentence."""

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import configs
import encoders
from encoders.errors import UserError, nearest

WHOLE = "card:"
"""What stands in Hydra's group before an encoder's name; without it, that is the file in `configs/encoder/`."""


def composed(encoder: str, others: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """The config of an encoder with other choices of groups and overrides.

    Each is composed once: it takes a quarter of a second, which an experiment of fifty points can't spend on each.

    Args:
        encoder: as `encoders.card` takes it.
        others: `dataset=m-eurosat` and so on.

    Raises:
        UserError: an override that can't be; names the key and the nearest.
    """
    plain = json.dumps(asdict(encoders.card(encoder)))
    return _composed(str(configs.ROOT.resolve()), plain, tuple(others), tuple(overrides))


def set_all(plain: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy of composed plain data with keys set: `key=value` in Hydra's notation, `+key=value` for a new key.

    Raises:
        UserError: a key that isn't there, or a value that can't be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    found = copy.deepcopy(plain)
    for change in changes:
        try:
            (parsed,) = OverridesParser.create().parse_overrides([change])
            value = parsed.value()
        except HydraException as error:
            raise UserError(_refused([change], error)) from None
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


def _hydra(root: str) -> Any:
    from hydra import initialize_config_dir

    return initialize_config_dir(root, version_base="1.3")


@cache
def _composed(root: str, card: str, others: tuple[str, ...], overrides: tuple[str, ...]) -> dict[str, Any]:
    """`card` is all of the encoder's, so that what its file leaves out can be overridden too."""
    from hydra import compose as hydra_compose
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    node = json.loads(card)
    ConfigStore.instance().store(name=WHOLE + node["name"], group="encoder", node=node)
    choice = [f"encoder={WHOLE}{node['name']}", *others]
    with _hydra(root):
        try:
            found = hydra_compose("config", overrides=[*choice, *overrides])
            return dict(OmegaConf.to_container(found, resolve=True))
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(_explain(error, choice, overrides)) from None


def _explain(error: Exception, choice: list[str], overrides: Sequence[str]) -> str:
    """One sentence for what Hydra refuses: which override, which key, which keys are near."""
    from hydra import compose as hydra_compose
    from omegaconf import DictConfig, OmegaConf

    known = hydra_compose("config", overrides=choice)
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        parent, _, leaf = key.rpartition(".")
        siblings = OmegaConf.select(known, parent) if parent else known
        if not isinstance(siblings, DictConfig):
            where = " and ".join(choice[:2]).replace(WHOLE, "")
            return f"override '{override}': {where} have no '{parent}'; {nearest(parent, map(str, known))}"
        if leaf not in siblings:
            return f"override '{override}': unknown key '{leaf}'; {nearest(leaf, map(str, siblings))}"
    return _refused(overrides, error)


def _refused(overrides: Sequence[str], error: Exception) -> str:
    first = str(error).strip().splitlines()[0]
    return f"overrides {' '.join(overrides)}: {first}; quote values that hold spaces or brackets"
