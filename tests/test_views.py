"""Images changed anew each epoch, windows that cover an image, and masks that move with both."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from benchmark.features.augmentation import draw
from benchmark.features.views import Fresh, WholeImages, Windows, regrid
from benchmark.protocol_parts import Augment

FLIPS = (Augment("horizontal_flip", p=0.5), Augment("vertical_flip", p=0.5))
CROP = Augment("resized_crop", scale=(0.8, 1.0), ratio=(3 / 4, 4 / 3))
JITTER = Augment("colour_jitter", brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1)
SIDE = 24


class Plain:
    """A transform that feeds pixels as they are, at a side of its own."""

    def __init__(self, side: int = SIDE) -> None:
        self.side = side

    def scaled(self, native: np.ndarray | torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(native).float()

    def resized(self, scaled: torch.Tensor) -> torch.Tensor:
        if scaled.shape[-1] == self.side == scaled.shape[-2]:
            return scaled
        return interpolate(scaled, size=(self.side, self.side), mode="bilinear", antialias=True)


def numbered(count: int, side: int = SIDE, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Images whose every pixel tells where it was, and masks that say the same."""
    mask = np.arange(count * side * side).reshape(count, side, side)
    return np.repeat(mask[:, None], channels, axis=1).astype(np.float32), mask


def fresh(*augments: Augment, **changed: object) -> Fresh:
    given: dict[str, object] = {"epochs": 4, "augments": augments, "chance": 1.0, "crop": None, "seed": 3}
    return Fresh(**(given | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("augments", "crop"),
    [(FLIPS, None), (FLIPS, 9), ((), 9), ((Augment("rotation", degrees=90),), None)],
    ids=["flips", "flips of a crop", "crop", "rotation"],
)
def test_a_mask_shows_the_pixels_of_its_image(augments: tuple[Augment, ...], crop: int | None) -> None:
    view = fresh(*augments, crop=crop)
    images, masks = numbered(5)
    rows = np.arange(5) * 4 + 1
    fed = view.images(Plain(crop or SIDE), images, rows)
    moved = view.masks(masks, rows)
    np.testing.assert_array_equal(fed[:, 0].numpy(), moved)
    assert moved.shape[1:] == ((crop, crop) if crop else (SIDE, SIDE))
    assert not np.array_equal(moved, masks)


def test_a_resized_crop_shows_image_and_mask_the_same_part() -> None:
    images, masks = numbered(6)
    # Two halves that nothing but their position tells apart.
    masks = (masks % SIDE >= SIDE // 2).astype(np.uint8)
    images[:, :] = masks[:, None]
    view = fresh(CROP, grid=(32, 32))
    rows = np.arange(6) * 4
    fed, moved = view.images(Plain(32), images, rows), view.masks(masks, rows)
    assert moved.shape == (6, 32, 32)
    disagree = (fed[:, 0].numpy() > 0.5) != (moved > 0)
    assert disagree.mean() < 0.04  # a column at the border, where one interpolates and the other doesn't


def test_what_is_drawn_hangs_on_seed_epoch_and_image_alone() -> None:
    images, _ = numbered(6)
    images /= images.max()
    view, rows = fresh(*FLIPS, JITTER, CROP), np.arange(6) * 4 + 2
    together = view.images(Plain(), images, rows)
    order = np.array([4, 0, 5, 2, 1, 3])
    alone = torch.cat([view.images(Plain(), images[one : one + 1], rows[one : one + 1]) for one in order])
    torch.testing.assert_close(alone, together[torch.from_numpy(order)], rtol=0, atol=0)
    assert not torch.equal(view.images(Plain(), images, rows + 1), together)
    other = dataclasses.replace(view, seed=4)
    assert not torch.equal(other.images(Plain(), images, rows), together)
    # More epochs are more of the same: the first ones stay as they were.
    longer = dataclasses.replace(view, epochs=9)
    torch.testing.assert_close(longer.images(Plain(), images, np.arange(6) * 9 + 2), together, rtol=0, atol=0)


def test_chances_are_as_often_as_they_say() -> None:
    pixels = torch.arange(4.0).view(1, 2, 2)
    drawn = [draw(FLIPS, 0.5, (2, 2), None, np.random.default_rng([7, n])) for n in range(2000)]
    changed = [one.image(pixels) for one in drawn]
    flips = {name: pixels.flip(axes) for name, axes in (("none", ()), ("left", -1), ("top", -2), ("both", (-1, -2)))}
    shares = {name: np.mean([torch.equal(one, image) for one in changed]) for name, image in flips.items()}
    assert shares["none"] == pytest.approx(0.5 + 0.125, abs=0.05)
    assert [shares[name] for name in ("left", "top", "both")] == pytest.approx([0.125] * 3, abs=0.04)


def test_crops_of_an_area_and_aspect_are_within_their_bounds() -> None:
    images, _ = numbered(1, side=64, channels=1)
    pixels = torch.from_numpy(images[0])
    shapes = [draw((CROP,), 1.0, (64, 64), None, np.random.default_rng(n)).image(pixels).shape[1:] for n in range(300)]
    areas = np.array([high * wide / 64**2 for high, wide in shapes])
    aspects = np.array([wide / high for high, wide in shapes])
    assert areas.min() >= 0.78
    assert areas.max() <= 1
    assert 0.73 <= aspects.min() < 0.9
    assert 1.1 < aspects.max() <= 1.36


def test_colours_change_within_their_bounds_and_a_picture_stays_one() -> None:
    pixels = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    for number in range(20):
        drawn = draw((JITTER,), 1.0, (16, 16), None, np.random.default_rng(number))
        changed = drawn.image(pixels)
        assert float(changed.min()) >= 0
        assert float(changed.max()) <= 1
        assert 0 < float((changed - pixels).abs().max()) < 0.6
        np.testing.assert_array_equal(drawn.mask(np.eye(16)), np.eye(16))


@pytest.mark.parametrize(("size", "side"), [((256, 256), 120), ((500, 500), 224), ((96, 128), 64), ((64, 64), 48)])
def test_windows_are_as_few_as_cover_an_image_and_overlaps_are_averaged(size: tuple[int, int], side: int) -> None:
    windows = Windows(side, size)
    assert windows.variants == -(-size[0] // side) * -(-size[1] // side)
    seen = np.zeros(size)
    for top, left in windows.corners:
        assert 0 <= top <= size[0] - side
        assert 0 <= left <= size[1] - side
        seen[top : top + side, left : left + side] += 1
    assert seen.min() == 1
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2 * windows.variants, 3, side, side, generator=generator)
    expected, times = torch.zeros(2, 3, *size), torch.from_numpy(seen).float()
    for number, (top, left) in enumerate(windows.corners):
        expected[..., top : top + side, left : left + side] += logits[number :: windows.variants]
    torch.testing.assert_close(windows.merged(logits), expected / times)


def test_windows_of_an_image_put_together_are_the_image() -> None:
    images, masks = numbered(3)
    windows = Windows(10, (SIDE, SIDE))
    rows = windows.rows(np.arange(3))
    each = np.repeat(images, windows.variants, axis=0)
    fed = windows.images(Plain(10), each, rows)
    torch.testing.assert_close(windows.merged(fed), torch.from_numpy(images))
    cut = windows.masks(np.repeat(masks, windows.variants, axis=0), rows)
    np.testing.assert_array_equal(fed[:, 0].numpy(), cut)


def test_images_are_asked_of_windows_image_by_image() -> None:
    windows = Windows(10, (SIDE, SIDE))

    class Rows:
        def read(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
            return (torch.from_numpy(rows).float().view(-1, 1, 1, 1, 1),)

    whole = WholeImages(windows, Rows(), numbered(4)[1])
    (maps,) = whole.read(np.array([2, 0]))
    assert maps.shape == (2, windows.variants, 1, 1, 1, 1)
    assert maps[0].flatten().tolist() == [2 * windows.variants + n for n in range(windows.variants)]
    assert (len(whole), whole.labels(np.array([1])).shape) == (4, (1, SIDE, SIDE))


@pytest.mark.parametrize("side", [7, 24, 50])
def test_masks_are_regridded_as_pytorchs_nearest(side: int) -> None:
    mask = np.random.default_rng(0).integers(0, 9, (2, 30, 30)).astype(np.uint8)
    expected = interpolate(torch.from_numpy(mask)[:, None].float(), size=(side, side), mode="nearest")[:, 0]
    np.testing.assert_array_equal(regrid(mask, (side, side)), expected.numpy())
