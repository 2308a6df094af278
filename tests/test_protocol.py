"""Protocols: the YAMLs are whole, what is not built is refused, and the hash follows the numbers."""

import dataclasses
import json
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import yaml

import configs
from benchmark.data import datasets
from benchmark.protocol import LABELS, LogGrid, Protocol, hash_of
from benchmark.request import configuration
from benchmark.scoring import counts
from encoders.errors import UserError, to_json

NAMES = ("frozen", "frozen_quick", "smoke")
RULES = [
    name
    for name, hint in get_type_hints(Protocol).items()
    if get_origin(hint) is Literal and isinstance(get_args(hint)[0], str)
]


def protocol(name: str = "frozen", *overrides: str) -> Protocol:
    return configuration.compose(
        rows=["imagestats"],
        dataset_choice="real-chesapeake-patches",
        probe=None,
        protocol=name,
        settings={},
        overrides=list(overrides),
    ).protocol


@pytest.fixture(scope="module")
def frozen() -> Protocol:
    return protocol()


def test_every_protocol_of_the_config_folder_is_valid_and_named_after_its_file() -> None:
    found = {name: protocol(name) for name in configuration.choices("protocol")}
    assert set(NAMES) <= found.keys()
    assert [one.name for one in found.values()] == list(found)
    assert len({one.hash for one in found.values()}) == len(found)


def test_frozen_is_decision_two() -> None:
    one = protocol()
    assert (one.optimizer, one.weight_decay, one.decoder_batch) == ("adamw", 0.05, 16)
    assert one.learning_rates == (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    assert (one.epochs, one.min_steps, one.warmup_fraction, one.seeds) == (50, 3000, 0.05, 5)
    assert (one.fuser_width, one.upernet_channels, one.augmentation) == (384, 512, "none")
    assert one.linear_c == LogGrid(1e-6, 1e4, 21)


def test_budgets_are_marked_and_differ_from_frozen_where_they_say() -> None:
    def differing(name: str) -> set[str]:
        base, other = protocol(), protocol(name)
        names = [field.name for field in dataclasses.fields(base)]
        return {name for name in names if getattr(base, name) != getattr(other, name)}

    labels = {"name", "title", "budget"}
    assert differing("frozen_quick") == labels | {"learning_rates", "seeds", "epochs", "min_steps"}
    cut = {"fuser_width", "fuser_norm_groups", "upernet_channels", "linear_c", "train_bootstraps", "test_bootstraps"}
    assert differing("smoke") == differing("frozen_quick") | cut | {"ranked"}
    assert [protocol(name).budget for name in NAMES] == ["paper", "quick", "smoke"]
    assert not protocol("smoke").ranked


def test_epochs_last_at_least_the_minimum_of_steps(frozen: Protocol) -> None:
    assert frozen.total_epochs(20000) == 50
    assert frozen.steps_per_epoch(270) == 17
    assert frozen.total_epochs(270) == 177  # 177 x 17 = 3009 steps
    assert frozen.total_epochs(1) == 3000


def test_what_the_protocol_states_is_what_the_code_holds(frozen: Protocol) -> None:
    assert frozen.multi_label_threshold == counts.THRESHOLD
    for name in datasets.names():
        one = datasets.dataset(name)
        stated = frozen.multi_label_metric if one.multilabel else frozen.single_label_metric
        assert one.metric == (frozen.segmentation_metric if one.task == "segmentation" else stated)


def test_the_hash_changes_with_every_number_and_with_no_label(frozen: Protocol) -> None:
    for field in dataclasses.fields(Protocol):
        changed = dataclasses.replace(frozen)
        # Past the checks: what other value a rule takes some day is not the point here.
        object.__setattr__(changed, field.name, "another")
        assert (changed.hash == frozen.hash) == (field.name in LABELS), field.name


def test_a_field_at_its_default_stays_out_of_the_hash() -> None:
    """So that a new field moves no key of a run that was made before there was a choice."""
    hashes = {"frozen": "6462ecfa273e", "frozen_quick": "25280eb5e568", "smoke": "0f65cdde9cf8", "demo": "352c2fc49be7"}
    assert {name: protocol(name).hash for name in hashes} == hashes
    plain = json.loads(to_json(protocol()))
    later = {field.name for field in dataclasses.fields(Protocol) if field.default is not dataclasses.MISSING}
    assert hash_of({name: value for name, value in plain.items() if name not in later}) == protocol().hash
    assert hash_of(plain | {"input_scaling": "dataset_zscore"}) != protocol().hash


def test_the_file_of_frozen_states_every_field() -> None:
    stated = yaml.safe_load((configs.ROOT / "protocol" / "frozen.yaml").read_text())
    assert set(stated) == {field.name for field in dataclasses.fields(Protocol)}


@pytest.mark.parametrize("field", RULES)
def test_a_rule_that_is_not_built_is_refused(field: str) -> None:
    with pytest.raises(UserError, match=f"'{field}' is 'unheard-of'"):
        protocol("frozen", f"protocol.{field}=unheard-of")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("missing_bands_ranked=3", "'missing_bands_ranked' is 3; choose from: 2"),
        ("learning_rates=[]", "learning_rates is .*ascending"),
        ("learning_rates=[1e-3,1e-4]", "learning_rates is .*ascending"),
        ("learning_rates=[1e-3,1e-3]", "learning_rates is .*each once"),
        ("learning_rates=[0]", "'learning_rates.0' is 0; it must be more than 0"),
        ("seeds=0", "'seeds' is 0; it must be at least 1"),
        ("decoder_batch=0", "'decoder_batch' is 0"),
        ("epochs=0", "'epochs' is 0"),
        ("min_steps=-1", "'min_steps' is -1; it must be at least 0"),
        ("weight_decay=-1", "'weight_decay' is -1"),
        ("warmup_fraction=1", "'warmup_fraction' is 1"),
        ("upernet_dropout=1", "'upernet_dropout' is 1"),
        ("patience=0", "'patience' is 0; it must be at least 1"),
        ("fuser_width=100", "fuser_width is 100; choose a multiple of 128"),
        ("multi_label_threshold=0.4", "multi_label_threshold is 0.4; 0.5 is the only one built"),
        ("epoch=3", "unknown key 'epoch'; did you mean epochs|unknown key 'epoch'"),
        ("classification_size=224.5", "'classification_size' is 224.5"),
        ("segmentation_size=0", "'segmentation_size' is 0; choose from"),
        ("label_size=nativ", "'label_size' is 'nativ'; did you mean native"),
        ("milestones=[0.9,0.6]", "milestones is .*ascending"),
        ("schedule=multistep", "schedule multistep needs milestones"),
        ("momentum=1", "'momentum' is 1"),
        ("reported=[accurracy]", "'reported.0' is 'accurracy'; did you mean accuracy"),
        ("evaluate_every_epochs=0", "'evaluate_every_epochs' is 0"),
        ("evaluation_batch=0", "'evaluation_batch'.* is 0"),
        ("fresh_chance=0", "'fresh_chance' is 0"),
        ("fresh=[{op: rotate}]", "'fresh.0.op' is 'rotate'; did you mean rotation"),
        ("fresh=[{op: rotation}]", "augmentation rotation needs degrees"),
        ("fresh=[{op: resized_crop, scale: [0.8, 2], ratio: [1, 1]}]", "'fresh.0.scale.1' is 2"),
        ("+encoder_sizes.croma=0", "'encoder_sizes.croma' is 0"),
        ("+by.m-eurosatt.epochs=1", "by names 'm-eurosatt', neither a task nor a dataset; did you mean m-eurosat"),
        ("+by.m-eurosat.seeds=1", "by.m-eurosat names 'seeds', which cannot differ"),
        ("+by.m-eurosat.epochs=many", "'epochs' is 'many'"),
    ],
)
def test_a_wrong_value_is_one_sentence(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        protocol("frozen", f"+protocol.{override[1:]}" if override.startswith("+") else f"protocol.{override}")


def test_what_differs_by_task_and_dataset_is_said_once_and_hashed_once() -> None:
    general = [f"+protocol.encoder_options.{one}=1" for one in ("croma.a", "croma.b", "dofa.c")]
    own = ["segmentation.epochs=80", "m-chesapeake.epochs=90", "m-chesapeake.encoder_options.croma.a=2"]
    one = protocol("frozen", *general, *(f"+protocol.by.{value}" for value in own))
    on = {name: one.on(datasets.dataset(name)) for name in ("m-eurosat", "m-nz-cattle", "m-chesapeake")}
    assert {name: rules.epochs for name, rules in on.items()} == {
        "m-eurosat": 50,
        "m-nz-cattle": 80,
        "m-chesapeake": 90,
    }
    assert on["m-eurosat"] is one
    assert on["m-chesapeake"].encoder_options == {"croma": {"a": 2, "b": 1}, "dofa": {"c": 1}}
    assert on["m-nz-cattle"].encoder_options == one.encoder_options
    assert one.hash != protocol().hash
    assert {dataclasses.replace(one, title="another").hash} == {one.hash}


def test_patience_may_be_none_or_a_number() -> None:
    assert protocol().patience is None
    assert protocol("frozen", "protocol.patience=10").patience == 10
