"""SatDiFuser's own pictures, from what fusers looked at (`pictures.interpretation`): weights over timesteps, modules
and scales, gates as maps, and which experts are asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.scoring.counts import Array
from encoders.errors import printable
from reports.figures.mosaic import Picture, ends, mosaic, painted
from reports.figures.style import COLUMN, PAGE, SEQUENTIAL, SHADES, SMALL, figure

Seen = Mapping[str, Mapping[str, Array]]
"""Arrays of `pictures/<key>.npz` by dataset, seeds averaged."""
LETTERS = {"attn1": ("A", "self-attention"), "attn2": ("X", "cross-attention"), "conv2": ("C", "convolution")}
"""Of a module's kind in SatDiFuser's UNet, and what it is."""
SCALES = 3
"""Of the gates that a page is wide enough for, the finest ones."""
EXPERTS = "Across: experts, whose order means nothing; down: scales, each with its views (t: timestep); first seed."
"""What the axes of `experts` are, in a caption."""
LEAST = 0.05
"""Range of weights that a colour scale spans at least, so that noise around 1 does not look like a choice."""


def averaged(seeds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """A dataset's arrays over seeds: weights averaged; the rest is the first seed's, as experts have no order."""
    first = dict(seeds[0])
    if "weights" in first:
        first["weights"] = np.mean([one["weights"] for one in seeds], axis=0)
    return first


def _mapped(one: Mapping[str, Array]) -> list[int]:
    return [number for number in range(len(one["strides"])) if f"gates{number}" in one]


def left_out(one: Mapping[str, Array]) -> str:
    """What `gates` has no room for, in a caption: `, without scale 1/64`; nothing where it shows all."""
    missing = ", ".join(f"1/{one['strides'][number]}" for number in _mapped(one)[SCALES:])
    return f", without scale {missing}" if missing else ""


def legend(one: Mapping[str, Array]) -> str:
    """What the letters under `weights` stand for, in a caption."""
    kinds = list(dict.fromkeys(map(_kind, one["modules"])))
    told = [f"{LETTERS[kind][0]} {LETTERS[kind][1]}" for kind in kinds if kind in LETTERS]
    told += [f"{kind[:3]} {kind}" for kind in kinds if kind not in LETTERS]
    return f"Across: modules by scale ({', '.join(told)}), numbered within it; down: {_views(one)}."


def _views(one: Mapping[str, Array]) -> str:
    return "timesteps t" if all(str(view).startswith("t=") for view in one["views"]) else "views"


def weights(seen: Seen) -> Any:
    """A panel a dataset: weight of every module (across, by scale) in every view (down), 1 = all alike."""
    relative = {}
    for dataset, one in seen.items():
        # gw's weights sum to 1 over all, lw's in each level.
        modules = np.bincount(one["level"])[one["level"]] if str(one["kind"]) == "lw" else len(one["level"])
        relative[dataset] = one["weights"] * modules * len(one["views"])
    low = min([1 - LEAST, *(float(np.min(values)) for values in relative.values())])
    high = max([1 + LEAST, *(float(np.max(values)) for values in relative.values())])
    across = 1 if len(seen) == 1 else 2
    down = -(-len(seen) // across)
    some = next(iter(seen.values()))
    left, over, under, foot = 0.45, 0.17, 0.3, 0.32
    rows, columns = some["weights"].shape
    each = (PAGE - across * left - 0.1) / across
    tall = max(0.14 * rows, 0.3)
    total = down * (over + tall + under) + foot
    made = figure(PAGE, total)
    image = None
    for number, (dataset, one) in enumerate(seen.items()):
        line, place = divmod(number, across)
        x = left + place * (each + left)
        y = total - (line + 1) * (over + tall + under) + under
        ax = made.add_axes((x / PAGE, y / total, each / PAGE, tall / total))
        image = ax.imshow(relative[dataset], cmap=SHADES, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
        ax.set_yticks(range(rows), [str(view) for view in one["views"]], fontsize=SMALL)
        ax.set_xticks(range(columns), _short(one), fontsize=4)
        ax.tick_params(length=0, pad=1.5)
        ax.set_title(printable(dataset), pad=2.5)
        _scales(ax, one)
    bar = made.add_axes((0.3, 0.2 / total, 0.4, 0.06 / total))
    made.colorbar(image, cax=bar, orientation="horizontal")
    bar.set_title("weight, relative to all being alike", fontsize=SMALL, pad=2)
    return made


def _scales(ax: Any, one: Mapping[str, Array]) -> None:
    """White lines between scales, and their names under the axis."""
    for number, stride in enumerate(one["strides"]):
        places = np.flatnonzero(one["level"] == number)
        if number:
            ax.axvline(places[0] - 0.5, color="#777777", linewidth=0.7)
        ax.annotate(
            f"1/{stride}", (places.mean(), 0), xytext=(0, -9), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", fontsize=SMALL, annotation_clip=False,
        )  # fmt: skip


def _short(one: Mapping[str, Array]) -> list[str]:
    """Modules by kind, counted within their scale: A1 A2 for self-attentions, C1 for convolutions."""
    names, counted = [], dict[tuple[int, str], int]()
    for name, level in zip(one["modules"], one["level"], strict=True):
        kind = _kind(name)
        letter = LETTERS[kind][0] if kind in LETTERS else kind[:3]
        counted[int(level), letter] = counted.get((int(level), letter), 0) + 1
        names.append(f"{letter}{counted[int(level), letter]}")
    return names


def _kind(module: object) -> str:
    return str(module).rpartition(".")[2] or str(module)


def experts(seen: Seen) -> Any:
    """A panel a dataset: share of test images that each expert (across) is asked about, by scale and view (down)."""
    across = min(4, len(seen))
    down = -(-len(seen) // across)
    some = next(iter(seen.values()))
    levels, views, count = some["picked"].shape
    left, gap, over, under, foot = 0.62, 0.1, 0.17, 0.14, 0.42
    width = PAGE if across > 1 else COLUMN
    each = (width - left - gap * across) / across
    tall = 0.09 * levels * views + 0.1
    total = down * (over + tall + under) + foot
    made = figure(width, total)
    image = None
    for number, (dataset, one) in enumerate(seen.items()):
        line, place = divmod(number, across)
        x, y = left + place * (each + gap), total - (line + 1) * (over + tall + under) + under
        ax = made.add_axes((x / width, y / total, each / width, tall / total))
        share = 100 * one["picked"].reshape(levels * views, count) / max(int(one["images"]), 1)
        image = ax.imshow(share, cmap=SHADES, vmin=0, vmax=100, aspect="auto", interpolation="nearest")
        names = [f"1/{stride}, {view}" for stride in one["strides"] for view in one["views"]]
        ax.set_yticks(range(levels * views), names, fontsize=4.5) if not place else ax.set_yticks([])
        ax.set_xticks(range(count), range(1, count + 1), fontsize=SMALL)
        ax.tick_params(length=0, pad=1.5)
        for level in range(1, levels):
            ax.axhline(level * views - 0.5, color="#777777", linewidth=0.7)
        ax.set_title(printable(dataset), pad=2.5)
    bar = made.add_axes((0.3, 0.2 / total, 0.4, 0.06 / total))
    made.colorbar(image, cax=bar, orientation="horizontal")
    alike = 100 * int(some["top_k"]) / count
    bar.set_title(f"test images an expert is among the best {int(some['top_k'])} for (%); all alike: {alike:.0f}",
                  fontsize=SMALL, pad=2)  # fmt: skip
    return made


def gates(one: Mapping[str, Array], images: Array) -> Any:
    """A dataset's images with the weight that each pixel gives to each view, at the finest scales, modules summed."""
    levels = _mapped(one)[:SCALES]
    maps = {number: one[f"gates{number}"].astype(np.float32).sum(axis=2) for number in levels}
    low = min(float(np.min(found)) for found in maps.values())
    high = max(float(np.max(found)) for found in maps.values())
    columns = ["image", *(f"1/{one['strides'][n]}, {view}" for n in levels for view in one["views"])]
    shown = min(len(images), len(one["shown"]), 4)
    cells: list[list[Picture | None]] = [
        [
            Picture(images[row], smooth=True),
            *(
                Picture(painted(maps[n][row, v], SEQUENTIAL, low, high))
                for n in levels
                for v in range(len(one["views"]))
            ),
        ]
        for row in range(shown)
    ]
    return mosaic(cells, columns=columns, key=ends(SEQUENTIAL, f"{low:.2f}", f"{high:.2f}"))
