"""SatDiFuser's controls: untrained at full size, and Stable Diffusion 2.1 from its own folder layout."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import encoders
from encoders.checkpoints import find, weights_sha256
from encoders.errors import UserError
from encoders.satdifuser import SatDiFuser
from tests.test_diffusionsat import released

__all__ = ["released"]

SD21, UNTRAINED, SATDIFUSER = map(encoders.card, ("sd21", "unet_random", "satdifuser"))
KEPT = ("num_steps", "save_indices", "save_timesteps", "modules", "guidance", "mode", "prediction", "seed")


def test_controls_differ_from_satdifuser_in_their_weights_alone() -> None:
    for card in (SD21, UNTRAINED):
        assert {key: card.options[key] for key in KEPT} == {key: SATDIFUSER.options[key] for key in KEPT}
        assert (card.role, card.inputs, card.parameters) == ("control", SATDIFUSER.inputs, SATDIFUSER.parameters)
    assert SD21.options["prompt"] == SATDIFUSER.options["prompt"]


def test_the_untrained_unet_has_stable_diffusions_sizes() -> None:
    with torch.device("meta"):
        built = encoders.build("unet_random")
    assert isinstance(built, SatDiFuser)
    assert sum(parameter.numel() for parameter in built.parameters()) == UNTRAINED.parameters
    assert [level.channels for level in built.levels] == [1920, 3840, 7680, 3840]
    assert sum(len(level.modules) for level in built.levels) == 21
    assert weights_sha256(UNTRAINED, None, 256) == {"random": "42"}


@pytest.fixture
def sd21(released: Path, tmp_path: Path) -> Path:
    """A weights folder with a tiny Stable Diffusion in the layout of diffusers."""
    source, target = released / "satdifuser" / "resolution256", tmp_path / "sd21"
    for part in ("scheduler", "text_encoder", "tokenizer", "vae"):
        shutil.copytree(source / part, target / part)
    shutil.copytree(source / "checkpoint-150000" / "unet", target / "unet")
    return tmp_path


def test_stable_diffusion_is_read_from_its_own_folders(sd21: Path, released: Path) -> None:
    assert {Path(path).parts[0] for path in find(SD21, sd21, 512)} == {"sd21"}
    card = replace(SD21, options=SD21.options | {"prompt": "a at"})
    built = encoders.build(card, weights_dir=sd21)
    twin = replace(SATDIFUSER, options=SATDIFUSER.options | {"prompt": "a at"})
    same = encoders.build(twin, image_size=256, weights_dir=released)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(built(images).embedding, same(images).embedding, rtol=0, atol=0)
    shutil.rmtree(sd21 / "sd21" / "unet")
    with pytest.raises(UserError, match=r"sd21/unet/config\.json.*stabilityai/stable-diffusion-2-1"):
        encoders.build(card, weights_dir=sd21)


def test_stable_diffusion_is_fed_what_satdifuser_is() -> None:
    assert encoders.inputs_of(SD21) == encoders.inputs_of(SATDIFUSER)


def test_dinov2_is_timms_model_at_224_pixels() -> None:
    pytest.importorskip("timm", reason="needs the extra timm")
    card = encoders.card("dinov2_vitb14")
    built = encoders.build(replace(card, weights=replace(card.weights, random=True)))
    assert sum(parameter.numel() for parameter in built.parameters()) == card.parameters
    assert encoders.inputs_of(card).side(400, "segmentation") == encoders.inputs_of(card).side(64) == 224
    (maps,) = built(torch.zeros(1, 3, 224, 224)).maps
    assert maps.shape == (1, 1, 4 * 768, 16, 16)
