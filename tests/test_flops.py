"""Operations are those that PyTorch counts and the official code was counted at; hours follow from them and a data sheet."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import encoders
from benchmark import memory
from benchmark.commands import experiments_page
from benchmark.data import datasets, partitions
from benchmark.features import shapes
from benchmark.flops import counting, devices, needed, parts, table
from benchmark.flops.operations import Operations
from benchmark.flops.parts import Decoding, Grid, Trained
from benchmark.grid import dry_run
from benchmark.grid.cells import Cell, all_cells
from benchmark.grid.counted import Counting
from benchmark.grid.planning import Planner
from benchmark.places import Places
from benchmark.request import asked, commandline, experiments
from benchmark.request.executor_options import Inline
from decoders.fusion import build_fuser
from encoders.bands import KNOWN
from encoders.base import Level
from encoders.errors import UserError
from tests.test_experiments import cells_of

RGB = [KNOWN[name] for name in ("red", "green", "blue")]
GW = {"kind": "gw", "projection_dim": 384, "num_norm_groups": 32, "num_res_blocks": 1}
LW = GW | {"kind": "lw", "slicing": "official", "temperature": 1.0}
MOE = GW | {
    "kind": "moe", "num_experts": 8, "top_k": 2, "warmup_steps": 300, "counter": "official", "balance": "none",
    "balance_weight": 0.01,
}  # fmt: skip
H200 = devices.load("h200")


def satdifuser(*save_indices: int) -> encoders.spec.EncoderCard:
    """SatDiFuser at other save indices."""
    card = encoders.card("satdifuser")
    return replace(card, options=card.options | {"save_indices": list(save_indices)}) if save_indices else card


def decoding(side: int, fuser: Mapping[str, object], head: parts.Head) -> Decoding:
    """A decoder on SatDiFuser's maps."""
    sides, widths = (side // by for by in (8, 16, 32, 64)), (320, 640, 1280, 1280)
    levels = tuple(
        Grid(one, (width,) * (3 if width == 1280 and one == side // 64 else 6))
        for one, width in zip(sides, widths, strict=True)
    )
    return Decoding(levels, 3, fuser, head, 512)


@pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="long: what the file lacks is counted now")
@pytest.mark.parametrize(
    ("side", "call", "stopped", "vae", "gw", "dense", "top2", "upernet"),
    [(256, 181.1, 177.7, 273, 15.9, 90, 23.6, 26.6), (512, 804.3, 791.1, 1117, 63.7, 360, 94.6, 106)],
)
def test_satdifusers_operations_are_those_counted_from_the_official_code(
    side: int, call: float, stopped: float, vae: float, gw: float, dense: float, top2: float, upernet: float
) -> None:
    stems = {k: table.frozen(satdifuser(k), RGB, side).stem.gflops for k in (48, 47)}
    assert stems[47] - stems[48] == pytest.approx(call, rel=1e-3)
    assert stems[48] - call == pytest.approx(vae, rel=2e-3)
    whole = table.frozen(satdifuser(), RGB, side)
    assert whole.body.gflops / 3 == pytest.approx(stopped, rel=1e-3)
    assert whole.stem.gflops == pytest.approx(vae + 9 * call, rel=2e-3)
    found = {
        (str(fuser["kind"]), head): table.trained(decoding(side, fuser, head), 10)
        for fuser, head in ((GW, "pooled"), (LW, "pooled"), (MOE, "pooled"), (GW, "upernet"))
    }
    pooled = {name: one.forward.gflops for (name, head), one in found.items() if head == "pooled"}
    assert pooled == pytest.approx({"gw": gw, "lw": gw, "moe": top2}, rel=5e-3)
    assert found["gw", "upernet"].forward.gflops - pooled["gw"] == pytest.approx(upernet, rel=5e-3)
    # Six experts more in a forward pass, and in a step as much again for the weights' gradients: features have none.
    moe = found["moe", "pooled"]
    assert moe.dense.gflops / moe.step.gflops == pytest.approx((dense - top2) / top2, rel=0.05)
    parameters = {name: round(one.parameters / 1e6, 1) for (name, head), one in found.items() if head == "pooled"}
    assert parameters == {"gw": 10.9, "lw": 10.9, "moe": 71.5}


@pytest.mark.parametrize(("name", "side"), [("dofa_v1_large", 224), ("croma_large_optical", 120)])
def test_the_file_says_what_is_counted_now(name: str, side: int) -> None:
    card = encoders.card(name)
    lines = {size: one for size, one in table.written().encoders[name].items() if size.startswith(f"{side}x")}
    size, known = next(iter(lines.items()))
    bands = encoders.inputs_of(card).usual_bands()
    bands = bands if f"{side}x{len(bands)}" == size else RGB
    now = counting.frozen(card, bands, side)
    for one, said in ((now.stem, known.stem), (now.body, known.body)):
        assert (one.convolutions, one.products) == pytest.approx((said.convolutions, said.products), rel=1e-4)


def test_features_are_written_down_of_every_encoder_that_experiments_ask_for() -> None:
    found = {shapes.named(encoders.card(name)) for name in encoders.built_in()}
    found |= {shapes.named(shapes.shaped(cell.card)) for name in experiments.names() for cell in cells_of(name)}
    assert list(shapes.declared()) == sorted(found)


@pytest.mark.parametrize(
    ("kind", "head"),
    [("gw", "pooled"), ("lw", "upernet"), ("moe", "pooled"), ("none", "upernet"), ("concat", "linear")],
)
def test_operations_on_no_data_are_those_of_a_decoder_at_work(kind: str, head: parts.Head) -> None:
    fuser = {"gw": GW, "lw": LW, "moe": MOE}.get(kind, {"kind": kind})
    fuser = fuser | ({"projection_dim": 32, "num_norm_groups": 4} if "projection_dim" in fuser else {})
    what = Decoding((Grid(8, (6, 6)), Grid(4, (10,))), 2, fuser, head, 16)
    base, each = counting.trained(what)
    levels = [Level(8, (("a", 6), ("b", 6))), Level(16, (("c", 10),))]
    made = build_fuser(kind, levels, ("x", "y"), {key: value for key, value in fuser.items() if key != "kind"})
    decoder = {
        "pooled": lambda: counting.pooled_decoder(made, 3),
        "linear": lambda: counting.linear_decoder(made, 3),
        "upernet": lambda: counting.upernet_decoder(made, 3, channels=16, dropout=0.0, generator=torch.Generator()),
    }[head]()
    maps = (torch.randn(4, 2, 12, 8, 8), torch.randn(4, 2, 10, 4, 4))
    size = None if head == "pooled" else (8, 8)
    with FlopCounterMode(display=False) as counter:
        decoder(maps, size).sum().backward()
    counted = base.and_classes(3, each)
    # A mixture begins in its warm-up.
    assert counter.get_total_flops() / 4e9 == pytest.approx((counted.step + counted.dense).gflops, rel=1e-6)
    assert counted.parameters == sum(parameter.numel() for parameter in decoder.parameters())
    if kind == "moe":
        decoder.fuser.calls.count = 1000
        decoder.eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            decoder(maps, size)
        assert counter.get_total_flops() / 4e9 == pytest.approx(counted.forward.gflops, rel=1e-6)


def test_a_device_takes_as_long_as_the_slower_of_arithmetic_and_memory() -> None:
    work = Operations(convolutions=494.5e3, products=67e3)
    assert H200.seconds(work, "float32") == pytest.approx((494.5 + 67) / 67 / 0.3)
    assert H200.seconds(work, "bfloat16") == pytest.approx((494.5 + 67) / 989.5 / 0.3)
    assert H200.seconds(replace(work, gigabytes=10 * 4800), "float32") == pytest.approx(10 / 0.3)
    with pytest.raises(UserError, match=r"utilisation is 2.0; give a share"):
        replace(H200, utilisation=2.0)


def test_rates_are_those_of_dense_matrices_half_of_what_data_sheets_print_with_sparsity() -> None:
    for name in devices.names():
        flops = devices.load(name).flops
        assert flops == {"bfloat16": 1979e12 / 2, "float32": 67e12}


class Plain:
    """Knows one cost of everything: 1 GFLOP for a stem, 10 for a body, 2 for a forward pass, 6 for a step."""

    def frozen(self, *_: object) -> parts.Frozen:
        return parts.Frozen(Operations(1), Operations(10))

    def trained(self, *_: object) -> Trained:
        return Trained(Operations(2), Operations(6), 0)


def taken(cells: list[Cell], folder: Path) -> list[dict[str, float]]:
    """GFLOP of cells by stage, in the order they run in; of memory nothing, of a second one GFLOP."""
    planner = Planner(Places(None, folder, folder, folder, folder))
    slow = devices.Device("slow", "Slow", "made up", {"bfloat16": 1e9, "float32": 1e9}, 1e30, 1.0)
    counting_ = Counting(planner, slow, Plain())
    found = []
    for group in planner.groups(cells):
        found += [one.stages if one else {} for one in counting_.group([planner.plan(cell) for cell in group])]
    return found


def grid(*options: str) -> list[Cell]:
    _, given = commandline.parse(options)
    return all_cells(asked.requests(given))


def test_stages_are_images_epochs_rates_and_seeds(tmp_path: Path) -> None:
    asked_for = ("--encoder", "satdifuser-gw", "--dataset", "m-eurosat", "--protocol", "frozen", "seeds=2")
    (stages,) = taken(grid(*asked_for, "protocol.epochs=7", "protocol.min_steps=0"), tmp_path)
    members = 5 * 2
    assert stages == pytest.approx(
        {
            "encoding": 4000 * 11,
            "training": members * 7 * 2000 * 6,
            "validation": members * 7 * 1000 * 2,
            "test": 2 * 1000 * 2,
        }
    )


def test_maps_that_do_not_fit_on_disk_are_made_anew_in_every_epoch_and_pass(tmp_path: Path) -> None:
    shared = ("--encoder", "satdifuser-gw,satdifuser-lw", "--dataset", "m-eurosat", "seeds=1", "disk_budget_gb=1")
    first, second = taken(grid(*shared, "protocol.epochs=7", "protocol.min_steps=0"), tmp_path)
    assert first["encoding"] == 4000  # the stem alone
    assert "encoding" not in second
    anew = 7 * (2000 + 1000) * 10 + 2 * 1000 * 10
    assert first["maps made anew"] + second["maps made anew"] == pytest.approx(anew)
    assert len(list(memory.packed([20 * 5] * 10, 300))) == 4


def test_features_are_encoded_once_however_many_tracks_and_partitions_share_them(tmp_path: Path) -> None:
    rgb = grid("--encoder", "satdifuser", "--dataset", "m-eurosat")
    authors = grid("--encoder", "satdifuser", "--dataset", "m-eurosat", "--bands", "authors")
    first, second = taken([*rgb, *authors], tmp_path)
    assert (first, second) == ({"encoding": 4000 * 11}, {"encoding": 0})
    part = grid("--encoder", "satdifuser", "--dataset", "m-eurosat", "--partition", "stratified_0.10_draw0")
    _, few = taken([*rgb, *part], tmp_path)
    assert few == {"encoding": (200 + 200) * 11}  # the test split is there
    # Statistics of train enter CROMA's pixels, so another train split means other images.
    croma = [
        grid("--encoder", "croma_large_optical", "--dataset", "m-eurosat", "--partition", name)
        for name in ("default", "0.10x_train")
    ]
    _, other = taken([*croma[0], *croma[1]], tmp_path)
    assert other == {"encoding": (200 + 1000 + 1000) * 11}


def test_sizes_that_are_not_published_are_guessed_and_said(tmp_path: Path) -> None:
    eurosat, trees = datasets.dataset("m-eurosat"), datasets.dataset("m-NeonTree")
    assert partitions.published_sizes(eurosat, "default") == ({"train": 2000, "valid": 1000, "test": 1000}, False)
    assert partitions.published_sizes(eurosat, "0.01x_train")[0] == {"train": 20, "valid": 1000, "test": 1000}
    assert partitions.published_sizes(eurosat, "stratified_0.01_draw3")[0] == {"train": 20, "valid": 20, "test": 1000}
    assert partitions.published_sizes(trees, "default") == ({"train": 270, "valid": 270, "test": 270}, True)
    inline = Inline(name="inline", title="", kind="inline", threads=None)
    places = Places(None, tmp_path, tmp_path, tmp_path, tmp_path)
    said = dry_run.lines(
        grid("--encoder", "dofa_v1_large-gw", "--dataset", "m-NeonTree,m-eurosat"), places, inline, H200
    )
    assert "Sizes of splits of m-NeonTree are not published" in said[-1]
    assert any(
        line.startswith("On one NVIDIA H200, counted at 30 % of peak (assumed, not measured): ") for line in said
    )
    assert any(line.startswith("Most of it: dofa_v1_large-gw / m-") for line in said)
    assert "encode unknown" not in " ".join(said)


def test_what_is_done_or_cannot_be_counted_is_not_in_the_hours(tmp_path: Path) -> None:
    places = Places(None, tmp_path, tmp_path, tmp_path, tmp_path)
    inline = Inline(name="inline", title="", kind="inline", threads=None)
    said = dry_run.lines(grid("--encoder", "croma_base_sar", "--dataset", "m-eurosat"), places, inline, H200)
    assert said[-1] == "On one NVIDIA H200: nothing that could be counted is left to do."


def test_the_file_holds_what_the_experiments_ask_for_and_nothing_else() -> None:
    cells = {cell.label: cell for name in experiments.names() for cell in cells_of(name)}
    wanted, known = needed.asked(cells.values()), table.written()
    assert {(name, size) for name, sizes in known.encoders.items() for size in sizes} == set(wanted.encoders)
    assert set(known.decoders) == set(wanted.decoders)


@pytest.mark.parametrize("name", experiments.names())
def test_an_experiments_file_begins_with_the_hours_of_its_dry_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> None:
        raise AssertionError("the file of operations lacks a line")

    monkeypatch.setattr(counting, "frozen", no)
    monkeypatch.setattr(counting, "trained", no)
    assert experiments_page.with_hours(name) == (experiments.FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def test_the_page_of_experiments_says_what_is_counted() -> None:
    page = Path(__file__).parent.parent / "docs" / "experiments.md"
    assert page.read_text(encoding="utf-8") == experiments_page.page()
