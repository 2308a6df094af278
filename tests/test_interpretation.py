"""What fusers look at is gathered on the one way over test, and is what they use; examples are chosen by labels alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.ingest import OpenDataset, Split
from benchmark.pictures import examples, files
from benchmark.pictures.interpretation import Watched
from benchmark.pictures.looks import feature_colours, parse_point
from benchmark.training.prediction import predict
from decoders.decoder import Decoder, pooled_decoder
from decoders.fusion import build_fuser
from decoders.moe import MixtureOfExperts
from decoders.weighted import GlobalWeighted, LocalWeighted
from encoders import build, card
from encoders.attention import attention_maps
from encoders.errors import UserError
from encoders.satdifuser import SatDiFuser
from tests.decoder_factory import FEW, LEVELS, SINGLE, SMALL, VIEWS, Features, split

IMAGES = 11
SHOWN = [1, 5]


def decoder(name: str, options: dict[str, object]) -> Decoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return pooled_decoder(build_fuser(name, LEVELS, VIEWS, options), 3).eval()


def watched(one: Decoder, features: Features) -> dict[str, np.ndarray]:
    with Watched(one, SHOWN) as seen:
        predict(one, SINGLE, features, batch_size=4)
    return seen.arrays()


def test_global_weights_are_the_softmax_the_fuser_uses() -> None:
    one = decoder("gw", SMALL)
    assert isinstance(one.fuser, GlobalWeighted)
    with torch.no_grad():
        one.fuser.mixing_weights.copy_(torch.arange(6.0))
    found = watched(one, split(SINGLE, IMAGES, 1))
    assert found["weights"].shape == (2, 3)
    np.testing.assert_allclose(found["weights"].ravel(), one.fuser.gate().detach().numpy(), rtol=1e-6)
    assert found["modules"].tolist() == ["a", "b", "c"]
    assert found["level"].tolist() == [0, 0, 1]
    assert found["strides"].tolist() == [4, 8]


def test_local_gates_are_averaged_over_every_image_and_kept_of_those_shown() -> None:
    one, features = decoder("lw", SMALL), split(SINGLE, IMAGES, 1)
    assert isinstance(one.fuser, LocalWeighted)
    found = watched(one, features)
    with torch.no_grad():
        gates = one.fuser.gates(features.read(np.arange(IMAGES)))
    for number, (gate, modules) in enumerate(zip(gates, ([0, 1], [2]), strict=True)):
        mean = gate.mean((0, 2, 3)).view(2, -1).numpy()
        np.testing.assert_allclose(found["weights"][:, modules], mean, atol=1e-6)
        assert found["weights"][:, modules].sum() == pytest.approx(1, abs=1e-5)
        expected = gate[SHOWN].unflatten(1, (2, -1)).numpy()
        np.testing.assert_allclose(found[f"gates{number}"], expected, atol=1e-3)
    assert found["shown"].tolist() == SHOWN


def test_expert_counts_are_the_routes_of_every_test_image() -> None:
    one, features = decoder("moe", FEW | {"warmup_steps": 0}), split(SINGLE, IMAGES, 1)
    assert isinstance(one.fuser, MixtureOfExperts)
    found = watched(one, features)
    with torch.no_grad():
        routes = one.fuser.routes(features.read(np.arange(IMAGES)))
    for picked, probability, route in zip(found["picked"], found["probability"], routes, strict=True):
        for view in range(2):
            counts = np.bincount(route.top_index[:, view].numpy().ravel(), minlength=3)
            assert picked[view].tolist() == counts.tolist()
        np.testing.assert_allclose(probability, route.probabilities.mean(0).numpy(), atol=1e-6)
    assert found["picked"].sum(axis=2).tolist() == [[2 * IMAGES] * 2] * 2


@pytest.mark.parametrize(("name", "options"), [("gw", SMALL), ("lw", SMALL), ("moe", FEW | {"warmup_steps": 0})])
def test_watching_reads_each_image_once_and_changes_no_prediction(name: str, options: dict[str, object]) -> None:
    one, alone, seen = decoder(name, options), split(SINGLE, IMAGES, 1), split(SINGLE, IMAGES, 1)
    expected = predict(one, SINGLE, alone, batch_size=4)
    with Watched(one, SHOWN):
        found = predict(one, SINGLE, seen, batch_size=4)
    assert found.scores is not None
    assert expected.scores is not None
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert np.concatenate(seen.reads).tolist() == list(range(IMAGES))
    assert not any(module._forward_hooks for module in one.modules())


def test_a_fuser_without_weights_has_no_picture() -> None:
    with Watched(decoder("mean", {}), SHOWN) as seen:
        pass
    assert seen.arrays() == {}


def masks(labels: np.ndarray) -> OpenDataset:
    from benchmark.data.datasets import dataset

    described = dataset("real-neontree-crops")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (len(labels), 3, *labels.shape[1:])).astype(np.uint8)
    count = len(labels)
    one = Split(
        dataset=described, name="test", samples=tuple(f"s{number}" for number in range(count)), images=images,
        bands=described.bands[:3], labels=labels, groups=np.arange(count, dtype=np.int32), fingerprint="ab" * 32,
        rows=np.arange(count), default_fingerprint="ab" * 32,
    )  # fmt: skip
    return OpenDataset(described, "default", {"test": one}, {}, ("no tree", "tree"), ())


def test_examples_are_the_images_of_mixed_truth_and_are_small(tmp_path: Path) -> None:
    labels = np.zeros((10, 600, 300), np.uint8)
    for row, share in ((2, 300), (5, 280), (7, 150), (9, 80)):
        labels[row, :share] = 1
    data = masks(labels)
    assert examples.choose(data.splits["test"]).tolist() == [2, 5, 7, 9]
    examples.keep(data, tmp_path)
    path = files.examples_path(tmp_path, "real-neontree-crops", "ab" * 32)
    first = path.read_bytes()
    found = files.read(path)
    assert found is not None
    assert found["images"].shape == (4, 256, 128, 3)
    assert found["truth"].shape == (4, 256, 128)
    assert found["truth"][0].mean() == pytest.approx(0.5, abs=0.01)
    assert found["samples"].tolist() == ["s2", "s5", "s7", "s9"]
    examples.keep(data, tmp_path)
    assert path.read_bytes() == first


def test_examples_of_labels_show_as_many_classes_as_there_are_places() -> None:
    data = masks(np.zeros((12, 4, 4), np.uint8))
    classes = dataclasses.replace(data.splits["test"].dataset, task="classification")
    one = dataclasses.replace(data.splits["test"], dataset=classes, labels=np.array([0] * 8 + [1, 1, 2, 3]))
    assert [int(one.labels[row]) for row in examples.choose(one)].count(0) == 4
    assert {int(one.labels[row]) for row in examples.choose(one)} == {0, 1, 2, 3}


def test_a_damaged_picture_is_a_sentence_and_a_missing_one_none(tmp_path: Path) -> None:
    path = files.fuser_path(tmp_path, "0123")
    assert files.read(path) is None
    path.parent.mkdir()
    path.write_bytes(b"no zip")
    with pytest.raises(UserError, match="delete it"):
        files.read(path)


@pytest.fixture(scope="module")
def tiny() -> SatDiFuser:
    built = build(card("satdifuser_tiny"))
    assert isinstance(built, SatDiFuser)
    return built


def test_attention_maps_are_those_of_diffusers_at_the_point(tiny: SatDiFuser) -> None:
    images = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    found = attention_maps(tiny, images, [(0.0, 0.0), (0.99, 0.6)])
    asked: dict[str, torch.Tensor] = {}
    names = [name for name, _ in tiny.levels[0].modules if name.endswith(".attn1")]
    handles = [
        dict(tiny.unet.named_modules())[name].register_forward_pre_hook(
            lambda module, inputs, kwargs, name=name: asked.update({name: (inputs or (kwargs["hidden_states"],))[0]}),
            with_kwargs=True,
        )
        for name in names
    ]
    tiny(images)
    for handle in handles:
        handle.remove()
    whole = []
    for name in names:
        module = dict(tiny.unet.named_modules())[name]
        with torch.no_grad():
            query, key = (module.head_to_batch_dim(part(asked[name])) for part in (module.to_q, module.to_k))
            scores = module.get_attention_scores(query, key).unflatten(0, (6, -1)).mean(1)
        whole.append(scores.unflatten(0, (2, 3)))
    expected = torch.stack(whole).mean(0)
    side = found[0].shape[-1]
    for number, cell in enumerate((0, int(0.6 * side) * side + side - 1)):
        torch.testing.assert_close(found[0][:, number].flatten(2), expected[:, :, cell], atol=1e-5, rtol=1e-4)
    assert list(found) == [0, 1, 2]
    assert all(torch.allclose(one.sum((3, 4)), torch.ones(()), atol=1e-5) for one in found.values())


def test_attention_of_an_encoder_without_it_is_refused() -> None:
    floor = build(card("imagestats"), bands=None)
    with pytest.raises(UserError, match="diffusion encoders"):
        attention_maps(floor, torch.zeros((1, 3, 8, 8)), [(0.5, 0.5)])
    with pytest.raises(UserError, match=r"--attention '1\.5,0': give a point"):
        parse_point("1.5,0")


def test_feature_colours_are_the_same_whatever_an_eigenvector_points_at(tiny: SatDiFuser) -> None:
    images = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    found = feature_colours(tiny, images)
    assert [one.shape for one in found.values()] == [(2, side, side, 3) for side in (8, 4, 2, 1)]
    again = feature_colours(tiny, images)
    assert all(np.array_equal(found[name], again[name]) for name in found)
