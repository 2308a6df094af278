"""Composing what the user asked for: every mistake names the key and the nearest valid ones."""

import pytest

import encoders
from benchmark.request import configuration
from encoders.errors import UserError


def compose(*overrides: str, **changed: object) -> configuration.Request:
    asked: dict[str, object] = {
        "rows": ["imagestats"],
        "dataset_choice": "real-chesapeake-patches",
        "probe": None,
        "protocol": "frozen",
        "settings": {},
        "overrides": list(overrides),
    }
    return configuration.compose(**(asked | changed))


def test_defaults_are_those_of_the_config_files() -> None:
    request = compose()
    (row,) = request.rows
    assert (row.name, row.fusion.name) == ("imagestats", "none")
    assert row.cards == {"real-chesapeake-patches": encoders.card("imagestats")}
    assert request.protocol.name == "frozen"
    assert request.settings.missing_bands == ("nearest", "mean")
    assert request.settings.bands == "rgb"


def test_band_names_and_fills_are_the_protocols_unless_given() -> None:
    other = ("protocol.band_names=stored", "protocol.missing_bands=[zero_scaled]")
    settings = compose(*other).settings
    assert (settings.band_names, settings.missing_bands) == ("stored", ("zero_scaled",))
    settings = compose(*other, "band_names=corrected", "missing_bands=[mean]").settings
    assert (settings.band_names, settings.missing_bands) == ("corrected", ("mean",))


def test_an_override_into_a_group_reaches_every_choice_of_it() -> None:
    request = compose("batch_size=3", "encoder.options.seed=7", rows=["rcf", "satdifuser_tiny"])
    assert request.settings.batch_size == 3
    assert [card.options["seed"] for row in request.rows for card in row.cards.values()] == [7, 7]


def test_what_a_card_leaves_out_is_overridden_as_what_it_says() -> None:
    request = compose(
        "encoder.image_size=64",
        "encoder.weights.random=true",
        rows=["imagestats", "croma_large_sar", "satdifuser_tiny"],
    )
    cards = [card for row in request.rows for card in row.cards.values()]
    assert [(card.name, card.image_size, card.weights.random) for card in cards] == [
        ("imagestats", 64, True),
        ("croma_large_sar", 64, True),
        ("satdifuser_tiny", 64, True),
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["batchsize=3"], "unknown key 'batchsize'; did you mean batch_size"),
        (
            ["encoder.optoins.seed=1"],
            "^override '.*': encoder=imagestats and dataset=real-.* have no 'encoder.optoins'",
        ),
        (["encoder.options.seed=1"], "unknown key 'seed'; there is none to choose, leave it out"),
        (["protocol.linear_c.hi=1"], "unknown key 'hi'; did you mean high"),
        (["+colour=red"], "unknown key 'colour'"),
        (["batch_size=many"], "'batch_size' is 'many'"),
        (["batch_size=0"], "'batch_size' is 0; it must be at least 1"),
        (["batch_size=["], "quote values"),
        (["bands=rbg"], "'bands' is 'rbg'; did you mean rgb"),
        (["precision=float16"], "did you mean bfloat16|did you mean float32"),
        (["missing_bands=[nearly]"], "unknown rule 'nearly'; did you mean nearest"),
        (["=3"], "has no key"),
        (["dataset.metric=f1"], "choose from: accuracy, f1_macro, f1_micro"),
        (["dataset.groups.pattern=(", "dataset.groups.by=name"], "quote values|no regular expression"),
        (["dataset.groups.pattern=id_"], "one pair of brackets"),
        (["encoder=rcf"], "choose the encoder with --encoder"),
        (["nonsense"], "neither a command nor an override"),
        (["protocol.linear_c.low=-1"], "'linear_c.low' is -1; it must be more than 0"),
        (["protocol.interval_level=2"], "'interval_level' is 2; it must be less than 1"),
        (["protocol.knn_k=[]"], "knn_k is empty; it needs"),
        (["dataset.sensor=sentinel3"], "did you mean sentinel2"),
    ],
)
def test_a_wrong_override_is_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        compose(*overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rows": ["satdifusr"]}, "no encoder 'satdifusr'; did you mean satdifuser"),
        ({"dataset_choice": "eurosatt"}, "no dataset 'eurosatt'; did you mean m-eurosat"),
        ({"dataset_choice": "m-eurosat,m-eurosat"}, "m-eurosat twice"),
        ({"dataset_choice": ","}, "--dataset is empty"),
        ({"probe": "liner"}, "no probe 'liner'; did you mean linear"),
        ({"protocol": "frozn"}, "no protocol 'frozn'; did you mean frozen"),
        ({"fusions": ["gv"]}, "no fusion 'gv'; did you mean gw"),
        ({"settings": {"seeds": 0}}, "'seeds' is 0"),
    ],
)
def test_a_wrong_choice_names_the_nearest(changed: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(**changed)


def test_aliases_name_datasets_too() -> None:
    assert [dataset.name for dataset in compose(dataset_choice="eurosat").datasets] == ["m-eurosat"]


def test_all_means_geobenchs_twelve_and_not_the_bundled_sample() -> None:
    assert len(compose(dataset_choice="all").datasets) == 12
    assert len(compose(dataset_choice="classification").datasets) == 6
    assert all(dataset.task == "segmentation" for dataset in compose(dataset_choice="segmentation").datasets)


def test_a_probe_that_does_not_fit_the_task_is_refused() -> None:
    request = compose(probe="knn", dataset_choice="m-chesapeake")
    with pytest.raises(UserError, match="does not fit m-chesapeake, a segmentation dataset"):
        request.probe_for(request.datasets[0])


def test_the_protocols_hash_is_over_numbers_not_names() -> None:
    import dataclasses

    protocol = compose().protocol
    assert dataclasses.replace(protocol, title="another").hash == protocol.hash
    assert dataclasses.replace(protocol, train_bootstraps=6).hash != protocol.hash
    assert dataclasses.replace(protocol, version=99).hash != protocol.hash
