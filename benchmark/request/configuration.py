"""What the user asked for, composed by Hydra and checked against the dataclasses.

`configs/config.yaml` and its groups say what there is; options and overrides change it. Each group choice is
composed once, however many cells a grid has. Every mistake names the key and the nearest valid ones.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import configs
import encoders
from benchmark.data import datasets, families
from benchmark.data.dataset import BandNames, Dataset
from benchmark.data.inputs import Track, check_fills
from benchmark.membership import Membership
from benchmark.protocol import Protocol
from benchmark.records import BY_GRADIENT
from benchmark.request import code, composing
from benchmark.request.composing import literal, set_all
from benchmark.request.executor_options import Options as ExecutorOptions
from benchmark.request.executor_options import parse as parse_executor
from benchmark.request.rows import Fusion, Row, check_distinct, check_own_name, load_fusion, split
from benchmark.request.tracker_options import Options as TrackerOptions
from benchmark.request.tracker_options import parse as parse_tracker
from encoders.bounds import Count, Few, Positive
from encoders.errors import UserError, nearest, strict, validate
from encoders.spec import EncoderCard

GROUPS = ("encoder", "fusion", "dataset", "probe", "protocol", "executor", "tracker")
Tier = Literal["maps", "stem", "none"]
UNFUSED = ("knn", "bn_linear")
"""Probes on the embedding, or on several poolings of an encoder's own maps."""
PROTOCOLS_OWN = ("band_names", "missing_bands")
"""Settings that are the protocol's where the user gives none."""
T = TypeVar("T")


@strict
@dataclass(frozen=True)
class Probe:
    """A trained part: one YAML each in `configs/probe/`."""

    name: str
    title: str
    version: Count
    tasks: tuple[Literal["classification", "segmentation"], ...]


@strict
@dataclass(frozen=True)
class Settings:
    """The options of a run beside its groups; what each means stands in `configs/config.yaml`."""

    bands: Track
    band_names: BandNames
    missing_bands: tuple[str, ...]
    partition: str
    seeds: Few | None
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    batch_size: Count
    feature_tier: Tier | None
    disk_budget_gb: Positive
    memory_budget_gb: Positive
    compile: bool = False

    @property
    def arithmetic(self) -> str:
        """What of the settings decides the last bits of features, as a run's key names it."""
        return f"{self.precision} compiled" if self.compile else self.precision

    def __post_init__(self) -> None:
        check_fills(self.missing_bands)


@dataclass(frozen=True)
class Part:
    """The part a grid has in an experiment.

    Attributes:
        told: what tells its cells from those of the experiment's other grids, in a few words.
        variant: what of that changes the rows themselves.
        membership: of its records, but for their row.
    """

    told: str
    variant: str
    membership: Membership


@dataclass(frozen=True)
class Request:
    """A grid of runs, composed and checked: every row (an encoder with a fuser) on every dataset.

    Attributes:
        part: in an experiment; None where the grid was asked for by itself.
    """

    settings: Settings
    protocol: Protocol
    rows: tuple[Row, ...]
    datasets: tuple[Dataset, ...]
    probe: Probe | None
    executor: ExecutorOptions
    tracker: TrackerOptions
    part: "Part | None" = None

    def probe_for(self, dataset: Dataset) -> Probe:
        """The probe asked for, or the task's default.

        Raises:
            UserError: the probe asked for doesn't fit the task or the fusion.
        """
        if self.probe is None:
            protocol = self.protocol
            usual = protocol.segmentation_probe if dataset.task == "segmentation" else protocol.classification_probe
            return self._fused(load_probe(usual))
        if dataset.task not in self.probe.tasks:
            fitting = [name for name in choices("probe") if dataset.task in load_probe(name).tasks]
            remedy = f"choose from: {', '.join(fitting)}"
            raise UserError(
                f"probe '{self.probe.name}' does not fit {dataset.name}, a {dataset.task} dataset; {remedy}"
            )
        return self._fused(self.probe)

    def _fused(self, probe: Probe) -> Probe:
        """The probe, if what is fused can go before it."""
        kinds = {row.fusion.kind for row in self.rows}
        if probe.name in UNFUSED and kinds != {"none"}:
            raise UserError(
                f"probe {probe.name} takes an encoder's own features, nothing is fused; choose --fusion none"
            )
        if probe.name in BY_GRADIENT and "pca" in kinds:
            raise UserError(f"probe {probe.name} is trained by gradient, fusion pca is for --probe linear; choose one")
        return probe


def choices(group: str) -> list[str]:
    """The names a config group offers."""
    return sorted(path.stem for path in (configs.ROOT / group).glob("*.yaml"))


def load_probe(name: str) -> Probe:
    """A probe's description, without Hydra.

    Raises:
        UserError: no such probe.
    """
    if name not in choices("probe"):
        raise UserError(f"no probe '{name}'; {nearest(name, choices('probe'))}")
    return validate(Probe, configs.load(configs.ROOT / "probe" / f"{name}.yaml"), f"probe {name}")


def compose(
    *,
    rows: Sequence[str],
    dataset_choice: str,
    probe: str | None,
    protocol: str,
    settings: Mapping[str, object],
    overrides: Sequence[str],
    fusions: Sequence[str] = ("none",),
    executor: str = "inline",
    point: Sequence[str] = (),
    allow_code: bool = False,
    runs: Literal["nothing", "data", "all"] = "all",
) -> Request:
    """Compose a request from options and Hydra overrides.

    Args:
        rows, fusions: as `benchmark.request.rows.split`.
        settings: values of `Settings` fields given as options.
        overrides: Hydra overrides; one into a group (`encoder.options.prompt=...`) applies to each choice of it.
        point: `key=value` of keys that exist, set last: many points of a grid are composed from one whole.
        allow_code: whether code may run that a YAML file of the user's own names (`benchmark.request.code`).
        runs: what the caller goes on to do: open datasets, or also build encoders.

    Raises:
        UserError: an unknown name, key or value; names the nearest. Or code that isn't allowed to run.
    """
    named = split(rows, fusions)
    _known("executor", executor, choices("executor"))
    _known("protocol", protocol, choices("protocol"))
    if probe is not None:
        _known("probe", probe, choices("probe"))
    for override in (*overrides, *point):
        _check_override(override)
        _check_family(override, [name for name, _ in named])
    chosen = datasets.select(dataset_choice)
    options = [f"{key}={literal(value)}" for key, value in settings.items()]
    whole = _Whole(
        card=encoders.card(families.choose(named[0][0], datasets.dataset(chosen[0]), "rgb")),
        dataset=chosen[0],
        fusion=named[0][1],
        fixed=(f"protocol={protocol}", f"executor={executor}", *([f"probe={probe}"] if probe else []), *options),
        overrides=tuple(overrides),
        point=tuple(point),
    )
    base = whole.composed()
    rules = validate(Protocol, base["protocol"], f"protocol {protocol}")
    plain = {key: value for key, value in base.items() if key not in GROUPS}
    plain |= {key: getattr(rules, key) for key in PROTOCOLS_OWN if plain[key] is None}
    checked = validate(Settings, plain, "options")
    described = [whole.read("dataset", Dataset, name, datasets.dataset(name)) for name in chosen]

    def fuser(name: str) -> Fusion:
        return whole.read("fusion", Fusion, name, load_fusion(name))

    asked = _rows(named, described, checked.bands, _cards(whole, rules, described), fuser)
    check_distinct(asked)
    built = [one for row in asked for one in row.cards.values()] if runs == "all" else []
    code.check(built, described if runs != "nothing" else [], allow_code)
    return Request(
        settings=checked,
        # Validation chooses one learning rate for all seeds: their number is part of the protocol.
        protocol=rules if checked.seeds is None else replace(rules, seeds=checked.seeds),
        rows=asked,
        datasets=tuple(described),
        probe=validate(Probe, base["probe"], f"probe {probe}") if probe else None,
        executor=parse_executor(base["executor"]),
        tracker=parse_tracker(base["tracker"]),
    )


@dataclass(frozen=True)
class _Whole:
    """A composition with the first encoder, dataset and fusion of a grid, any of which can be exchanged for another."""

    card: EncoderCard
    dataset: str
    fusion: str
    fixed: tuple[str, ...]
    overrides: tuple[str, ...]
    point: tuple[str, ...]

    def composed(self, **other: Any) -> dict[str, Any]:
        """As plain data; `other` takes the place of `card`, `dataset` or `fusion`."""
        one = replace(self, **other)
        return set_all(
            composing.composed(one.card, one.dataset, [f"fusion={one.fusion}", *one.fixed], one.overrides), one.point
        )

    def read(self, group: str, cls: type[T], name: str, plain: T, **other: Any) -> T:
        """A choice of a group, `plain` as its file says it, with the overrides into the group."""
        if not any(override.lstrip("+~").startswith(f"{group}.") for override in (*self.overrides, *self.point)):
            return plain
        return validate(cls, self.composed(**(other or {group: name}))[group], f"{group} {name}")


def _cards(whole: _Whole, rules: Protocol, described: Sequence[Dataset]) -> Callable[[str, Dataset], EncoderCard]:
    """An encoder's card on a dataset: as its file says, then as the protocol sets it, which the user may override."""
    by_dataset = {one.name: rules.on(one) for one in described}
    plain_card, known = functools.cache(encoders.card), list[tuple[EncoderCard, EncoderCard]]()

    def card(name: str, dataset: Dataset) -> EncoderCard:
        set_so = by_dataset[dataset.name].card(plain_card(name))
        if not any(one == set_so for one, _ in known):
            known.append((set_so, whole.read("encoder", EncoderCard, name, set_so, card=set_so)))
        return next(found for one, found in known if one == set_so)

    return card


def _rows(
    named: Sequence[tuple[str, str]],
    chosen: Sequence[Dataset],
    track: Track,
    card: Callable[[str, Dataset], EncoderCard],
    fuser: Callable[[str], Fusion],
) -> tuple[Row, ...]:
    """The rows named, each encoder and each fuser read once however many rows it stands in."""
    known = families.families()
    standing = {
        name: {dataset.name: families.choose(name, dataset, track) if name in known else name for dataset in chosen}
        for name, _ in named
    }
    by_name = {dataset.name: dataset for dataset in chosen}
    pairs = dict.fromkeys((encoder, name) for by_dataset in standing.values() for name, encoder in by_dataset.items())
    cards = {(encoder, name): card(encoder, by_name[name]) for encoder, name in pairs}
    for one in cards.values():
        check_own_name(one)
    fixed = {name: families.fixed(name) for name in standing}
    fusers = {fusion: fuser(fusion) for fusion in dict.fromkeys(fusion for _, fusion in named)}
    rows = []
    for name, fusion in named:
        own = cards[standing[name][chosen[0].name], chosen[0].name]
        label, title = (name, family.title) if (family := fixed[name]) else (own.name, own.title)
        given = name if fusion == "none" else f"{name}-{fusion}"
        by_dataset = {dataset: cards[encoder, dataset] for dataset, encoder in standing[name].items()}
        rows.append(Row(given, label, title, fusers[fusion], by_dataset))
    return tuple(rows)


def _known(group: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise UserError(f"no {group} '{name}'; {nearest(name, known)}")


def _check_override(override: str) -> None:
    key = override.split("=", 1)[0].lstrip("+~")
    if not key:
        raise UserError(f"override '{override}' has no key; write key=value")
    if "=" not in override and not override.startswith("~"):
        raise UserError(f"'{override}' is neither a command nor an override; write key=value, or see --help")
    if key == "tracker":
        _known("tracker", override.split("=", 1)[-1], choices("tracker"))
    elif key in (*GROUPS, "experiment"):
        raise UserError(f"'{override}': choose the {key} with --{key}")


def _check_family(override: str, rows: Sequence[str]) -> None:
    if not override.lstrip("+~").startswith("encoder."):
        return
    for name in rows:
        if families.fixed(name):
            raise UserError(f"'{override}': the checkpoints of family {name} are fixed; name an encoder to change it")
