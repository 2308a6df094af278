"""Against a real checkout of PANGAEA ($PANGAEA_DIR, written against f20f3d3), where there is one.

SATDIFUSER_BENCH_LONG=1 starts its own run.py, on the CPU where there is no GPU: an hour of one core. The interpreter must
have PANGAEA's requirements beside this package's (docs/pangaea.md).
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import configs
import encoders
import evaluate
from benchmark.data import datasets, inputs, synthetic
from benchmark.data.inputs import ImpossibleError
from benchmark.records import RecordStore
from encoders.errors import UserError
from tests.pangaea_checkout import checkout

PANGAEA = os.environ.get("PANGAEA_DIR", "")
ROOT = Path(__file__).parent.parent
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
        expected = inputs.InputTransform(plan, opened.statistics)(native)
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


RUNS = {
    "SatDiFuser, gw, linear": ["dataset=meurosat", "encoder=satdifuser_tiny", "decoder=cls_fused_linear"],
    "CROMA, linear": ["dataset=meurosat", "encoder=croma_tiny", "decoder=cls_linear"],
    "SatDiFuser, gw, UPerNet": ["dataset=mcashew-plantation", "encoder=satdifuser_tiny", "decoder=seg_fused_upernet"],
    "CROMA, UPerNet": ["dataset=mcashew-plantation", "encoder=croma_tiny", "decoder=seg_upernet"],
}
MASKS = [
    "preprocessing=seg_resize",
    "criterion=cross_entropy",
    "task=segmentation",
    "task.evaluator.inference_mode=whole",
]
IMAGES = ["preprocessing=native", *CLASSES]


def run_pangaea(root: Path, geobench: Path, folder: Path, *overrides: str) -> dict[str, float]:
    """What PANGAEA's own `run.py` says of the test split, by metric, in its unit."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", "--nproc_per_node=1", "--master_port=0"]
    script = (
        ["pangaea/run.py"]
        if torch.cuda.is_available()
        else ["-m", "benchmark.interop.pangaea_on_cpu", "pangaea/run.py"]
    )
    options = ["--config-name=train", f"--config-dir={configs.ROOT / 'pangaea'}", f"work_dir={folder / 'work'}"]
    few = [f"hydra.run.dir={folder / 'hydra'}", "num_workers=0", "test_num_workers=0", "test_batch_size=4"]
    known = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(root)]),
        "GEO_BENCH_DIR": str(geobench),
        "WANDB_MODE": "disabled",
    }
    done = subprocess.run(
        [*start, *script, *options, *few, *overrides],
        cwd=root, capture_output=True, text=True, check=False, env=os.environ | known,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found = re.findall(r"\[test\] -* (\S+) -*\n.*?Mean\s+([\d.]+)", done.stdout + done.stderr, re.DOTALL)
    return {name: float(value) for name, value in found}


@LONG
@pytest.mark.parametrize("overrides", RUNS.values(), ids=RUNS)
def test_pangaeas_own_run_trains_and_scores_our_encoders(
    overrides: list[str], root: Path, geobench: Path, tmp_path: Path
) -> None:
    for module in ("google.cloud.storage", "gdown", "wandb"):
        pytest.importorskip(module, reason="PANGAEA needs its requirements")
    is_mask = "UPerNet" in str(overrides) or "seg_" in str(overrides)
    width = "decoder.decoder.channels=32" if "fused" in str(overrides) else "decoder.channels=32"
    given = [*overrides, *(MASKS if is_mask else IMAGES), *([width] if is_mask else []), "task.trainer.n_epochs=2"]
    found = run_pangaea(root, geobench, tmp_path, *given, "batch_size=2")
    assert ("IoU" if is_mask else "Accuracy") in found
    log = next((tmp_path / "work").glob("*/train.log-0")).read_text()
    assert "random weights, a check of the machinery" in log
