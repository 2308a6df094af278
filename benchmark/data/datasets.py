"""The catalogue: what each dataset is, one YAML a dataset in `configs/dataset/`, facts with their source there.

A dataset here is a description; its pixels come through `benchmark.data.ingest` from what `benchmark.data.readers`
reads. A dataset of one's own is described by a YAML file anywhere (`benchmark.data.own`, docs/add-your-dataset.md).
"""

from functools import cache
from pathlib import Path

import configs
from benchmark.data.dataset import SUFFIXES, Dataset
from encoders.errors import UserError, nearest, validate

RESERVED = ("all", "classification", "segmentation")
"""What `select` takes for several, so that no dataset may be called so."""


def names() -> list[str]:
    """The datasets there are, classification first, as GEO-Bench orders its benchmarks."""
    return list(_names())


def dataset(name: str) -> Dataset:
    """A dataset's description, by name or alias, or from the YAML file of one of one's own.

    Raises:
        UserError: no such dataset, and which names are near; or a file that describes none.
    """
    if name.endswith(SUFFIXES):
        from benchmark.data.own.description import describe

        described = describe(Path(name))
        _check_free(described.name, name)
        return described
    if name in names():
        return _described(name)
    for known in names():
        described = dataset(known)
        if name in described.aliases:
            return described
    raise UserError(f"no dataset '{name}'; {nearest(name, names())}")


def select(choice: str) -> list[str]:
    """What `dataset` takes, from `NAME,...`, `classification`, `segmentation` or `all`.

    `all` and the two tasks mean GEO-Bench's twelve; what is bundled, or one's own, is asked for by name or file.

    Raises:
        UserError: an unknown name, or a name given twice.
    """
    if choice in RESERVED:
        described = [dataset(name) for name in names()]
        return [d.name for d in described if not d.bundled and choice in ("all", d.task)]
    described = [dataset(name.strip()) for name in choice.split(",") if name.strip()]
    if not described:
        raise UserError("--dataset is empty; " + nearest("", names()))
    chosen = [one.name for one in described]
    if len(set(chosen)) < len(chosen):
        raise UserError(f"--dataset names {max(chosen, key=chosen.count)} twice; name each dataset once")
    return [one.given for one in described]


def _check_free(name: str, file: str) -> None:
    taken = {other for known in names() for other in (known, *_described(known).aliases)}
    if name in taken or name in RESERVED or name.endswith(SUFFIXES):
        raise UserError(f"{file}: 'name' is {name}, which means another dataset; give yours a name of its own")


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted((path.stem for path in (configs.ROOT / "dataset").glob("*.yaml")), key=_order))


@cache
def _described(name: str) -> Dataset:
    return validate(Dataset, configs.load(configs.ROOT / "dataset" / f"{name}.yaml"), f"configs/dataset/{name}.yaml")


def _order(name: str) -> tuple[bool, str]:
    text = (configs.ROOT / "dataset" / f"{name}.yaml").read_text()
    return ("segmentation_v1.0" in text, name.lower())
