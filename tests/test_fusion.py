"""Fusers on any encoder's levels and views; what the official code does is in tests/parity."""

import copy
import itertools

import pytest
import torch
from torch import Tensor

from decoders.fuser import Fuser
from decoders.fusion import build_fuser
from decoders.fusion_options import KINDS
from decoders.moe import MixtureOfExperts, Routing, balance_loss, chosen_rows
from decoders.weighted import GlobalWeighted, LocalWeighted
from encoders.base import Level
from encoders.errors import UserError

Shape = tuple[tuple[Level, ...], tuple[str, ...]]

DIFFUSION: Shape = (
    (Level(8, (("a", 3), ("b", 3))), Level(16, (("c", 4), ("d", 2), ("e", 4)))),
    ("t21", "t61", "t161"),
)
VIT: Shape = ((Level(16, tuple((f"block{n}", 6) for n in (2, 5, 8, 11))),), ("image",))
SWIN: Shape = (tuple(Level(4 * 2**n, ((f"stage{n}", 2 + n),)) for n in range(4)), ("image",))
ONE: Shape = ((Level(16, (("last", 6),)),), ("image",))
ENCODERS = {"diffusion": DIFFUSION, "vit": VIT, "swin": SWIN, "one": ONE}
REFUSED = {("lw", "swin"), ("lw", "one"), ("gw", "one")}
FUSERS = [name for name in KINDS if name != "pca"]
ACCEPTED = [pair for pair in itertools.product(FUSERS, ENCODERS) if pair not in REFUSED]

SMALL: dict[str, object] = {"projection_dim": 16, "num_norm_groups": 2}
FEW: dict[str, object] = SMALL | {"num_experts": 4, "warmup_steps": 0}

accepted = pytest.mark.parametrize(("name", "encoder"), ACCEPTED)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def build(name: str, encoder: Shape, **changed: object) -> Fuser:
    options = {"none": {}, "mean": {}, "concat": {}, "moe": FEW}.get(name, SMALL)
    return build_fuser(name, *encoder, options | changed)


def moe(encoder: Shape = DIFFUSION, **changed: object) -> MixtureOfExperts:
    fuser = build("moe", encoder, **changed)
    assert isinstance(fuser, MixtureOfExperts)
    return fuser


def features(encoder: Shape, batch: int = 2, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Maps that are not square."""
    levels, views = encoder
    finest = levels[0].stride
    return [
        torch.randn(batch, len(views), level.channels, 8 * finest // level.stride, 16 * finest // level.stride).to(
            dtype
        )
        for level in levels
    ]


@accepted
@pytest.mark.parametrize("batch", [1, 3])
def test_any_fuser_fuses_any_encoder(name: str, encoder: str, batch: int) -> None:
    fuser = build(name, ENCODERS[encoder])
    fused = fuser(features(ENCODERS[encoder], batch))
    finest = ENCODERS[encoder][0][0].stride
    assert len(fused) == len(fuser.strides) == len(fuser.widths)
    assert list(fuser.strides) == sorted(fuser.strides)
    for fused_map, stride, width in zip(fused, fuser.strides, fuser.widths, strict=True):
        assert fused_map.shape == (batch, width, 8 * finest // stride, 16 * finest // stride)
        assert torch.isfinite(fused_map).all()
    assert not fuser.additive or len(set(fuser.widths)) == 1


@accepted
def test_half_precision_features_are_fused_in_float32(name: str, encoder: str) -> None:
    fuser = build(name, ENCODERS[encoder]).eval()
    half = features(ENCODERS[encoder], dtype=torch.float16)
    for from_half, from_single in zip(fuser(half), fuser([x.float() for x in half]), strict=True):
        assert from_half.dtype == torch.float32
        torch.testing.assert_close(from_half, from_single, rtol=0, atol=0)


@accepted
def test_an_image_is_fused_the_same_in_any_batch(name: str, encoder: str) -> None:
    fuser = build(name, ENCODERS[encoder]).eval()
    maps = features(ENCODERS[encoder], batch=5)
    for number in range(5):
        alone = fuser([x[number : number + 1] for x in maps])
        for together, single in zip(fuser(maps), alone, strict=True):
            torch.testing.assert_close(together[number : number + 1], single, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FUSERS)
def test_features_of_another_encoder_are_refused(name: str) -> None:
    fuser = build(name, DIFFUSION)
    maps = features(DIFFUSION)
    for wrong in (maps[:1], maps[::-1], [x[:, :1] for x in maps], [x[:, 0] for x in maps]):
        with pytest.raises(ValueError, match="built for"):
            fuser(wrong)


def test_none_gives_each_module_of_the_last_view() -> None:
    maps = features(DIFFUSION)
    fuser = build("none", DIFFUSION)
    first, second, third, *_ = fuser(maps)
    assert fuser.strides == (8, 8, 16, 16, 16)
    torch.testing.assert_close(torch.cat([first, second], 1), maps[0][:, 2])
    torch.testing.assert_close(third, maps[1][:, 2, :4])


def test_mean_and_concat_keep_modules_apart() -> None:
    maps = features(DIFFUSION)
    for mean, x in zip(build("mean", DIFFUSION)(maps), maps, strict=True):
        torch.testing.assert_close(mean, (x[:, 0] + x[:, 1] + x[:, 2]) / 3)
    for joined, x in zip(build("concat", DIFFUSION)(maps), maps, strict=True):
        torch.testing.assert_close(joined, torch.cat([x[:, 0], x[:, 1], x[:, 2]], dim=1))


def test_global_weights_count_views_first_then_modules_over_all_levels() -> None:
    fuser = build("gw", DIFFUSION)
    assert isinstance(fuser, GlobalWeighted)
    torch.testing.assert_close(fuser.gate(), torch.full((15,), 1 / 15))
    maps = features(DIFFUSION)
    with torch.no_grad():
        fuser.mixing_weights.fill_(-1e4)
        # View 1, module 3 of all: the second module (channels 4 and 5) of the second level.
        fuser.mixing_weights[1 * 5 + 3] = 0.0
        finest, coarsest = fuser(maps)
        torch.testing.assert_close(finest, torch.zeros_like(finest))
        torch.testing.assert_close(coarsest, fuser.bottleneck_layers[3](maps[1][:, 1, 4:6]))


def read_channels(fuser: Fuser, encoder: Shape) -> list[list[bool]]:
    """Which channels of each level change the fused map."""
    maps = [x.requires_grad_() for x in features(encoder)]
    torch.stack([fused.square().sum() for fused in fuser(maps)]).sum().backward()
    return [(x.grad.abs().sum((0, 1, 3, 4)) > 0).tolist() for x in maps if x.grad is not None]


def test_local_weights_with_fixed_slicing_read_every_module() -> None:
    assert all(itertools.chain(*read_channels(build("lw", DIFFUSION, slicing="fixed"), DIFFUSION)))
    official = read_channels(build("lw", DIFFUSION), DIFFUSION)
    assert official == [[True] * 3 + [False] * 3, [True] * 4 + [False] * 6]


def test_local_weights_sum_to_one_at_each_pixel() -> None:
    fuser = build("lw", DIFFUSION, temperature=0.5)
    assert isinstance(fuser, LocalWeighted)
    for gate, x, count in zip(fuser.gates(features(DIFFUSION)), features(DIFFUSION), (2 * 3, 3 * 3), strict=True):
        assert gate.shape == (2, count, *x.shape[3:])
        torch.testing.assert_close(gate.sum(1), torch.ones_like(gate[:, 0]))


def test_blocks_in_a_row() -> None:
    assert len(build("gw", VIT, num_res_blocks=3).state_dict()) > 2 * len(build("gw", VIT).state_dict())
    build("gw", VIT, num_res_blocks=3)(features(VIT))


@pytest.mark.parametrize(("name", "encoder"), sorted(REFUSED))
def test_what_has_nothing_to_weigh_is_refused(name: str, encoder: str) -> None:
    with pytest.raises(UserError, match=r"one module and one view.*choose fusion"):
        build(name, ENCODERS[encoder])


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("gww", {}, r"'fusion' is 'gww'; did you mean gw"),
        ("mean", {"projection_dim": 8}, r"fusion mean: unknown key 'projection_dim'"),
        ("gw", {"projection": 8}, r"fusion gw: unknown key 'projection'; did you mean projection_dim"),
        ("gw", {"projection_dim": 100}, r"'projection_dim' is 100; choose a multiple of 128"),
        ("gw", {"num_res_blocks": 0}, r"'num_res_blocks' is 0; it must be at least 1"),
        ("lw", {"temperature": 0.0}, r"'temperature' is 0.0; it must be more than 0"),
        ("lw", {"slicing": "fix"}, r"'slicing' is 'fix'; did you mean fixed"),
        ("moe", {"top_k": 9}, r"'top_k' is 9 of 8 experts; choose 8 or fewer"),
        ("moe", {"warmup_steps": -1}, r"'warmup_steps' is -1; it must be at least 0"),
        ("moe", {"balance_weight": float("nan")}, r"'balance_weight' is nan; it must be a finite number"),
    ],
)
def test_a_mistaken_option_is_one_sentence(name: str, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build_fuser(name, *DIFFUSION, options)


@pytest.mark.parametrize("batch", [1, 2])
def test_an_expert_nobody_picks_gets_no_gradient(batch: int) -> None:
    fuser = moe(VIT, num_experts=6)
    maps = features(VIT, batch)
    picked = set(fuser.routes(maps)[0].top_index.flatten().tolist())
    fuser(maps)[0].sum().backward()
    (level,) = fuser.scale_moes
    for number, expert in enumerate(level.experts):  # type: ignore[arg-type]
        without = {parameter.grad is None for parameter in expert.parameters()}
        assert without == {number not in picked}
    assert len(picked) < 6


def test_all_experts_of_the_best_k_equal_the_warm_up() -> None:
    maps = features(DIFFUSION)
    best, all_of_them = moe(top_k=4), moe(top_k=1, warmup_steps=1000)
    all_of_them.load_state_dict(best.state_dict())
    for sparse, dense in zip(best(maps), all_of_them(maps), strict=True):
        torch.testing.assert_close(sparse, dense)


def test_the_warm_up_may_end_within_a_call() -> None:
    maps = features(DIFFUSION)
    fuser = moe(warmup_steps=3, top_k=1)
    level, x, routing = fuser.scale_moes[0], maps[0], fuser.routes(maps)[0]
    by_view = []
    for view, dense in enumerate([True, True, False]):
        alone = Routing(*(part[:, view : view + 1] for part in parts(routing)))
        by_view.append(level(x[:, view : view + 1], alone, [dense], chosen_rows([alone], [dense])[0]))
    torch.testing.assert_close(fuser(maps)[0], torch.stack(by_view).mean(0))
    assert fuser.calls.count == 3


def parts(routing: Routing) -> tuple[Tensor, ...]:
    return routing.logits, routing.probabilities, routing.top_index, routing.top_weight


@pytest.mark.parametrize("temperature", [-1.3, -1e-3, 0.0, 1e-9])
def test_a_temperature_at_or_below_zero_keeps_the_ranking(temperature: float) -> None:
    fuser, maps = moe(), features(DIFFUSION)
    ranking = [routing.top_index for routing in fuser.routes(maps)]
    with torch.no_grad():
        for level in fuser.scale_moes:
            level.temperature.fill_(temperature)  # type: ignore[operator]
    for routing, before in zip(fuser.routes(maps), ranking, strict=True):
        assert torch.equal(routing.top_index, before)
        assert torch.isfinite(routing.probabilities).all()
    fused = fuser(maps)
    torch.stack([x.sum() for x in fused]).sum().backward()
    gradients = [parameter.grad for parameter in fuser.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("temperature", [1.3, 0.01])
def test_a_positive_temperature_divides_as_it_is(temperature: float) -> None:
    fuser, maps = moe(VIT), features(VIT)
    with torch.no_grad():
        fuser.scale_moes[0].temperature.fill_(temperature)  # type: ignore[operator]
    (routing,) = fuser.routes(maps)
    expected = torch.softmax(routing.logits / torch.tensor(temperature), dim=-1)
    assert torch.equal(routing.probabilities, expected)


def test_evaluation_counts_officially_but_not_with_train_only() -> None:
    maps = features(DIFFUSION)
    official, ours = moe(warmup_steps=4), moe(warmup_steps=4, counter="train_only")
    for fuser in (official, ours):
        fuser.eval()(maps)
        fuser(maps)
    assert (official.calls.count, ours.calls.count) == (6, 0)
    ours.train()(maps)
    assert ours.calls.count == 3
    assert not any("calls" in key for key in official.state_dict())
    restored = moe(warmup_steps=4, counter="train_only")
    restored.load_state_dict(ours.state_dict())
    assert restored.calls.count == 3


def test_counting_training_calls_alone_makes_evaluation_repeatable() -> None:
    maps = features(DIFFUSION)
    fuser = moe(warmup_steps=2, counter="train_only").eval()
    for first, again in zip(fuser(maps), fuser(maps), strict=True):
        assert torch.equal(first, again)


def test_balance_loss_is_zero_for_even_use_and_grows_with_unevenness() -> None:
    def loss(*rows: list[float]) -> float:
        probabilities = torch.tensor([rows])
        return balance_loss([Routing(probabilities, probabilities, probabilities, probabilities)]).item()

    assert loss([1.0, 0.0], [0.0, 1.0]) == pytest.approx(0, abs=1e-7)
    assert 0 < loss([0.6, 0.4]) < loss([0.9, 0.1]) < loss([1.0, 0.0]) == pytest.approx(0.6931, abs=1e-4)


def test_balance_loss_comes_from_every_level_and_evens_out_use() -> None:
    maps = features(DIFFUSION, batch=4)
    fuser = moe(balance="load", balance_weight=1.0)
    optimiser = torch.optim.SGD(fuser.parameters(), lr=0.5)
    values = []
    for _ in range(5):
        optimiser.zero_grad()
        fuser(maps)
        loss = fuser.auxiliary_loss()
        assert loss is not None
        loss.backward()
        values.append(loss.item())
        gates = [level.gate_network[0].weight.grad for level in fuser.scale_moes]  # type: ignore[union-attr, index]
        assert all(gradient.abs().sum() > 0 for gradient in gates)
        optimiser.step()
    assert values == sorted(values, reverse=True)
    assert fuser.auxiliary_loss() is None
    copy.deepcopy(fuser)


def test_no_balance_loss_unless_asked_for_and_in_training() -> None:
    maps = features(DIFFUSION)
    plain, balanced = moe(), moe(balance="load").eval()
    plain(maps)
    balanced(maps)
    assert plain.auxiliary_loss() is None
    assert balanced.auxiliary_loss() is None
    assert build("gw", VIT).auxiliary_loss() is None
