"""Against a real checkout of PANGAEA ($PANGAEA_DIR, written against f20f3d3), where there is one.

SATDIFUSER_BENCH_LONG=1 starts its own run.py, on the CPU, beside ours (`tests.pangaea_comparison`). The interpreter must have
PANGAEA's requirements beside this package's (docs/pangaea.md).
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

import configs
import encoders
import evaluate
from benchmark.data import datasets, input_transform, inputs, synthetic
from benchmark.data.inputs import ImpossibleError
from benchmark.record_store import RecordStore
from decoders.decoder import upernet_decoder
from decoders.fusion import build_fuser
from encoders.base import Features
from encoders.errors import UserError
from tests.pangaea_checkout import checkout
from tests.pangaea_comparison import CELLS, FIRST, HEAD, compare
from tests.pangaea_draws import renamed

PANGAEA = os.environ.get("PANGAEA_DIR", "")
pytestmark = pytest.mark.skipif(not PANGAEA, reason="set PANGAEA_DIR to a checkout of PANGAEA")
LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="long; set SATDIFUSER_BENCH_LONG=1")
NAMES = sorted(path.stem for path in Path(PANGAEA or "/nowhere").glob("configs/encoder/*.yaml"))
LOADERS = {
    "m-bigearthnet": "mbigearthnet",
    "m-brick-kiln": "mbrickkiln",
    "m-eurosat": "meurosat",
    "m-forestnet": "mforestnet",
    "m-pv4ger": "mpv4ger",
    "m-so2sat": "mso2sat",
    "m-cashew-plant": "mcashew-plantation",
    "m-chesapeake": "mchesapeake-landcover",
    "m-NeonTree": "mneontree",
    "m-nz-cattle": "mnz-cattle",
    "m-pv4ger-seg": "mpv4ger-seg",
    "m-SA-crop-type": "msa-crop-type",
}
"""GEO-Bench's sets -> their configs in PANGAEA."""


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    with checkout(Path(PANGAEA).resolve(), monkeypatch) as folder:
        monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path / "home"))
        yield folder


@pytest.fixture(scope="module")
def geobench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    folder = tmp_path_factory.mktemp("geobench")
    synthetic.write_root(folder, sizes=(3, 2, 2))
    return folder


def drawn(name: str, **arguments: Any) -> encoders.EncoderCard:
    card = encoders.card(f"pangaea:{name}")
    given: Any = card.options["arguments"]
    return replace(
        card, weights=replace(card.weights, random=True), options=card.options | {"arguments": given | arguments}
    )


SMALL = {"embed_dim": 64, "depth": 4, "num_heads": 4, "output_layers": [0, 1, 2, 3], "output_dim": 64}


@pytest.mark.parametrize("name", NAMES)
def test_each_of_its_encoders_is_planned_or_refused_in_a_sentence(name: str) -> None:
    if name == "resnet50_pretrained":
        with pytest.raises(UserError, match="which it downloads as it is made"):
            encoders.card(f"pangaea:{name}")
        return
    card = encoders.card(f"pangaea:{name}")
    planned = []
    for dataset in datasets.select("all"):
        with contextlib.suppress(ImpossibleError):
            planned.append(inputs.plan(datasets.dataset(dataset), encoders.inputs_of(card)))
    # One dataset holds radar.
    wants_radar = any(part in name for part in ("sar", "joint", "terramind"))
    assert len(planned) == (1 if wants_radar else 12)
    assert encoders.sources(card)


def test_its_dofa_is_ours_from_the_same_file(tmp_path: Path) -> None:
    """But for the last block, to which PANGAEA applies the file's norm; checked at DOFA's tiny sizes."""
    card = drawn("dofa", **SMALL)
    spec = encoders.input_spec("dofa")
    bands = spec.usual_bands()
    theirs = encoders.build(card, bands=bands, image_size=224)
    own = encoders.card("dofa_tiny")
    (tmp_path / "dofa").mkdir()
    torch.save(theirs.network.state_dict(), tmp_path / "dofa" / "file.pth")
    weights = replace(own.weights, random=False, files=("dofa/file.pth",))
    layers = {"layers": [0, 1, 2, 3], "kernel_layout": "new"}
    ours = encoders.build(
        replace(own, weights=weights, options=own.options | layers), bands=bands, image_size=224, weights_dir=tmp_path
    )
    # PANGAEA tells it other wavelengths of two bands than DOFA was trained with: 0.832 um of B8, 2.20 of B12.
    theirs.network.wv_list = [band.wavelength_um for band in bands]
    batch = torch.randn(2, len(bands), 224, 224)
    mine, other = ours(batch).maps[0][:, 0].split(64, dim=1), theirs(batch).maps[0][:, 0].split(64, dim=1)
    for block in range(3):
        assert torch.allclose(mine[block], other[block], atol=1e-4)
    normed = torch.nn.functional.layer_norm(mine[3].movedim(1, -1), (64,), eps=1e-6).movedim(-1, 1)
    assert torch.allclose(normed, other[3], atol=1e-3)


@pytest.mark.parametrize("name", ["vit", "vit_scratch", "dofa"])
def test_its_plain_vit_and_dofa_run_here(name: str, tmp_path: Path) -> None:
    overrides = [f"encoder.options.arguments.{key}={value}".replace(" ", "") for key, value in SMALL.items()]
    command = ["--encoder", f"pangaea:{name}", "--dataset", "real-chesapeake-patches", "--protocol", "smoke"]
    code = evaluate.main([*command, "--output", str(tmp_path), "encoder.weights.random=true", *overrides])
    (record,) = RecordStore(tmp_path)
    assert (code, record.run.adapter, record.run.image_size) == (0, "pangaea", 224)
    assert any(key.startswith("code:pangaea/encoders/") for key in record.run.weights)


def composed(root: Path, *overrides: str) -> Any:
    search = f"hydra.searchpath=[file://{configs.ROOT / 'pangaea'}]"
    with initialize_config_dir(str(root / "configs"), version_base=None):
        return compose("train", overrides=[search, *overrides])


CLASSES = ["criterion=cross_entropy", "task=linear_classification"]


@pytest.mark.parametrize(("name", "loader"), LOADERS.items())
def test_what_its_loaders_and_preprocessing_hand_on_becomes_what_is_fed_here(
    name: str, loader: str, root: Path, geobench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every dataset, by PANGAEA's own code from file to tensor: bands, order, units and statistics are as here."""
    pytest.importorskip("google.cloud.storage", reason="PANGAEA's datasets need its requirements")
    from pangaea.datasets.base import GeoFMDataset

    monkeypatch.setenv("GEO_BENCH_DIR", str(geobench))
    encoder = ["encoder=satdifuser_bench", "encoder.name=croma_tiny", "encoder.input_size=64", "decoder=cls_linear"]
    cfg = composed(root, *encoder, f"dataset={loader}", "preprocessing=native", *CLASSES)
    preprocessor = instantiate(
        cfg.preprocessing.test, dataset_cfg=cfg.dataset, encoder_cfg=cfg.encoder, _recursive_=False
    )
    samples = GeoFMDataset(instantiate(cfg.dataset, split="test"), preprocessor)
    images = torch.stack([samples[number]["image"]["optical"] for number in range(2)])
    frozen = instantiate(cfg.encoder)

    from benchmark.data.ingest import open_dataset

    dataset = datasets.dataset(name)
    opened = open_dataset(dataset, geobench, Path(os.environ["SATDIFUSER_BENCH_HOME"]) / "data")
    for which in ("croma_optical", "satdifuser", "dofa"):
        spec = replace(encoders.input_spec(which), image_size=64, segmentation_size=64)
        plan = inputs.plan(dataset, spec)
        native = np.asarray(opened.splits["test"].images[:2])
        expected = input_transform.InputTransform(plan, opened.statistics)(native)
        fed = type(frozen.inputs)(spec, frozen.inputs.told, frozen.input_bands, 64, frozen.inputs.choices)
        assert torch.allclose(fed({"optical": images[:, :, 0]}), expected, atol=1e-3), which


@pytest.mark.parametrize("name", ["satdifuser_tiny", "croma_tiny", "satlas_tiny_ms", "dofa_tiny", "imagestats"])
@pytest.mark.parametrize("decoder", ["cls_linear", "seg_upernet"])
def test_its_own_decoders_take_our_encoders(
    name: str, decoder: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEO_BENCH_DIR", "/nowhere")
    chosen = ["encoder=satdifuser_bench", f"encoder.name={name}", "encoder.input_size=64", "encoder.values=pangaea"]
    cfg = composed(root, *chosen, f"decoder={decoder}", "dataset=meurosat", "preprocessing=cls_resize", *CLASSES)
    made = instantiate(cfg.decoder, encoder=instantiate(cfg.encoder), **({"channels": 16} if "seg" in decoder else {}))
    images = {"optical": torch.randn(2, 13, 1, 64, 64)}
    logits = made.eval()(images, output_shape=torch.Size((50, 50)))
    assert logits.shape == ((2, 10) if decoder == "cls_linear" else (2, 10, 50, 50))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", ["croma_tiny", "satdifuser_tiny"])
def test_its_upernet_is_ours_to_the_last_digits(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights and maps, in float64: logits, loss and every gradient, fuser and neck included."""
    monkeypatch.setenv("GEO_BENCH_DIR", "/nowhere")
    # The synchronised one is for GPUs alone.
    monkeypatch.setattr(nn, "SyncBatchNorm", nn.BatchNorm2d)
    fused = name == "satdifuser_tiny"
    options = {"projection_dim": 16, "num_norm_groups": 4, "num_res_blocks": 1} if fused else {}
    wide = ["decoder.decoder.channels=16", "+decoder.options={projection_dim: 16, num_norm_groups: 4}"]
    decoder = ["decoder=seg_fused_upernet", *wide] if fused else ["decoder=seg_upernet", "decoder.channels=16"]
    chosen = ["encoder=satdifuser_bench", f"encoder.name={name}", "encoder.input_size=64", "encoder.values=pangaea"]
    cfg = composed(root, *chosen, *decoder, "dataset=meurosat", "preprocessing=cls_resize", *CLASSES)
    encoder = instantiate(cfg.encoder)
    images = {"optical": torch.randn(2, 13, 1, 64, 64)}
    maps = tuple(torch.randn(one.shape).double() for one in encoder.features(images).maps)
    monkeypatch.setattr(encoder, "features", lambda _: Features(maps, torch.empty(0)))
    theirs = instantiate(cfg.decoder, encoder=encoder).double().train()
    theirs.dropout.p = 0
    fuser = build_fuser("gw" if fused else "none", encoder.frozen.levels, encoder.frozen.views, options)
    ours = upernet_decoder(fuser, 10, channels=16, dropout=0.0, generator=torch.Generator()).double().train()
    missing, unexpected = theirs.load_state_dict({renamed(n): t for n, t in ours.state_dict().items()}, strict=False)
    assert not unexpected
    assert all("frozen" in one for one in missing)
    masks = torch.randint(10, (2, 64, 64))
    # Our fusers make float32 of what they are given.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    losses = [nn.functional.cross_entropy(logits, masks) for logits in (theirs(images), ours(maps, (64, 64)))]
    for loss in losses:
        loss.backward()
    assert torch.allclose(*losses, rtol=1e-12)
    gradients = {one: tensor.grad for one, tensor in theirs.named_parameters() if tensor.grad is not None}
    for one, tensor in ours.named_parameters():
        assert tensor.grad is not None
        # A bias before a norm has none but rounding.
        assert torch.allclose(gradients.pop(renamed(one)), tensor.grad, rtol=1e-9, atol=1e-12), one
    assert not gradients


@LONG
@pytest.mark.parametrize("name", CELLS)
def test_its_own_run_trains_our_encoders_to_the_scores_they_have_here(name: str, root: Path, tmp_path: Path) -> None:
    """Step by step where both draw alike, and within the interval where each draws as it does."""
    for module in ("geobench", "google.cloud.storage", "gdown", "wandb"):
        pytest.importorskip(module, reason="PANGAEA needs its requirements")
    found = compare(CELLS[name], root, tmp_path)
    print(f"\n{HEAD}\n{found.row(name)}")
    assert "random weights, a check of the machinery" in found.same.log
    assert len(found.ours.losses) == CELLS[name].epochs
    assert found.losses_apart(FIRST) < 1e-3
    # A linear layer goes the same way to the end; batch norm and AdamW make much of a last digit.
    tolerance = 0.01 if "linear" in name else 0.05
    assert found.score_apart < tolerance
    assert found.agrees
    if CELLS[name].learns:
        assert min(found.ours.scores + found.theirs) > 2 / datasets.dataset(CELLS[name].dataset).num_classes
