"""Pictures within figures: images with predictions and errors, what fusers weigh, attention."""

import matplotlib as mpl
import numpy as np
import pytest

from reports.figures import examples, fusers, looks, mosaic, style
from reports.figures.mosaic import Picture


def test_error_maps_mark_wrong_pixels_and_no_unlabelled_ones() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    truth, answer = np.array([[0, 1, 2], [0, 1, 2]], np.uint8), np.array([[1, 1, 1], [0, 0, 2]], np.uint8)
    red = np.array([213, 94, 0])
    marked = (examples._errors(image, truth, answer, None) == red).all(axis=2)
    assert marked.tolist() == (truth != answer).tolist()
    marked = (examples._errors(image, truth, answer, 0) == red).all(axis=2)
    assert marked.tolist() == [[False, False, True], [False, True, False]]


def test_a_photograph_as_white_as_paper_has_an_edge() -> None:
    white = np.full((8, 8, 3), 255, np.uint8)
    framed, bare = mosaic._fitted(Picture(white, smooth=True), 20), mosaic._fitted(Picture(white), 20)
    grey = mosaic.bytes_of(style.EDGE)
    assert all((side == grey).all() for side in (framed[0], framed[-1], framed[:, 0], framed[:, -1]))
    assert (framed[1:-1, 1:-1] == 255).all()
    assert (bare == 255).all()
    shown = {"images": white[None], "truth": np.array([0]), "samples": np.array(["a"]), "classes": np.array(["x"])}
    (ax,) = examples.labels(shown, []).axes
    assert [patch.get_edgecolor() for patch in ax.patches] == [mpl.colors.to_rgba(style.EDGE)]


def test_attention_maps_have_a_scale() -> None:
    arrays = {"images": np.zeros((1, 8, 8, 3), np.uint8), "points": np.array([[0.5, 0.5]]), "views": np.array(["v"]),
              "strides": np.array([8]), "attention0": np.ones((1, 1, 1, 2, 2), np.float16)}  # fmt: skip
    made = looks.attention(arrays)
    assert [text.get_text() for text in made.legends[0].get_texts()] == ["0", "the most in its map"]


def test_weights_are_averaged_over_seeds_and_experts_are_not() -> None:
    seeds = [
        {"weights": np.array([[0.2]]), "picked": np.array([1])},
        {"weights": np.array([[0.4]]), "picked": np.array([9])},
    ]
    found = fusers.averaged(seeds)
    assert found["weights"].tolist() == [[pytest.approx(0.3)]]
    assert found["picked"].tolist() == [1]


def test_captions_say_what_letters_stand_for_and_which_scales_are_left_out() -> None:
    one = {
        "modules": np.array(["down.attn1", "down.conv2", "mid.conv2", "up.other"]),
        "views": np.array(["t=21", "t=61"]),
        "strides": np.array([8, 16, 32, 64]),
        **{f"gates{number}": np.zeros((1, 2, 1, 2, 2), np.float16) for number in range(4)},
    }
    told = fusers.legend(one)
    assert told == (
        "Across: modules by scale (A self-attention, C convolution, oth other), numbered within it; down: timesteps t."
    )
    assert fusers.left_out(one) == ", without scale 1/64"
    assert fusers.left_out({**one, "strides": one["strides"][:3]}) == ""
