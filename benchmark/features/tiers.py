"""What of the frozen part's output is kept on disk, and how many bytes that takes: the storage tiers.

- `embedding`: the embedding only, for linear probes and kNN on it.
- `pooled`: the embedding, and each module's spatial mean a view: what pooled `mean` and `concat` need.
- `maps`: the embedding and the maps of every level.
- `stem`: the encoder's stem; `body` makes the maps anew whenever they are read.
- `none`: nothing; images are read and encoded whenever maps are.

A tier never changes a number: maps are rounded to the protocol's dtype once, wherever they come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np

from encoders.errors import UserError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.data.ingest import Split
    from benchmark.data.input_transform import InputTransform
    from encoders.base import Encoder

Tier = Literal["embedding", "pooled", "maps", "stem", "none"]
TIERS: tuple[Tier, ...] = get_args(Tier)
VARIANTS = (1, 2, 4)
"""Stored copies of an image: itself; and left-right; and top-bottom, and both."""

BATCH = 16
"""Images of which a training step holds the maps at once."""


@dataclass(frozen=True)
class Shapes:
    """Shapes of one image's way through an encoder, without the batch dimension, from a dry run of one image.

    Attributes:
        flops: operations on that way, a multiplication and an addition counted as two.
    """

    image: tuple[int, ...]
    stem: tuple[int, ...]
    maps: tuple[tuple[int, ...], ...]
    embedding: int
    flops: int = 0

    def image_bytes(self) -> int:
        """Bytes of an image as the encoder is fed it, float32."""
        return 4 * int(np.prod(self.image))

    def stem_bytes(self) -> int:
        """Bytes of an image's stem, float32."""
        return 4 * int(np.prod(self.stem))

    def map_values(self) -> int:
        """Numbers in an image's maps, all levels and views."""
        return sum(int(np.prod(shape)) for shape in self.maps)

    def stored(self, tier: Tier, dtype: str) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
        """(file, dtype, shape) a row of the arrays of a tier."""
        rounded = np.dtype(dtype).str
        embedding = ("embedding.npy", rounded, (self.embedding,))
        views, channels = self.maps[0][0], sum(shape[1] for shape in self.maps)
        if tier == "embedding":
            return (embedding,)
        if tier == "pooled":
            # Means of rounded values, in float32: what pooling the `maps` tier gives.
            return embedding, ("pooled.npy", "<f4", (views, channels))
        if tier == "maps":
            return embedding, *((f"level{i}.npy", rounded, shape) for i, shape in enumerate(self.maps))
        return (("stem.npy", "<f4", self.stem),) if tier == "stem" else ()

    def row_bytes(self, tier: Tier, dtype: str) -> int:
        """Bytes a row takes on disk in a tier."""
        return sum(np.dtype(kind).itemsize * int(np.prod(shape)) for _, kind, shape in self.stored(tier, dtype))


_measured: "WeakKeyDictionary[Encoder, dict[tuple[int, ...], Shapes]]" = WeakKeyDictionary()


def measure(encoder: "Encoder", transform: "InputTransform", split: "Split") -> Shapes:
    """The shapes of an encoder's outputs on a split, by running its first image.

    Once for an encoder and a shape of images: counting operations on a walk of 200 steps takes minutes.
    """
    image = transform(np.asarray(split.images[:1])).to(encoder.device)
    known = _measured.setdefault(encoder, {})
    if tuple(image.shape) not in known:
        known[tuple(image.shape)] = _run(encoder, image)
    return known[tuple(image.shape)]


def _run(encoder: "Encoder", image: "Tensor") -> Shapes:
    from benchmark.flops.running import counted

    stem, stem_flops = counted(lambda: encoder.stem(image))
    features, body_flops = counted(lambda: encoder.body(stem))

    def shape(tensor: "Tensor") -> tuple[int, ...]:
        return tuple(tensor.shape[1:])

    maps = tuple(shape(one) for one in features.maps)
    return Shapes(shape(image), shape(stem), maps, encoder.embedding_dim, stem_flops + body_flops)


def choose_tier(
    encoder_shapes: Shapes,
    counts: Mapping[str, int],
    disk_budget_bytes: int,
    memory_budget_bytes: int,
    override: Tier | None = None,
    *,
    dtype: str = "float16",
) -> Tier:
    """The tier whose features are read as maps with the least work, within the user's budgets.

    With n the images of all splits (times variants):

    1. `maps` where n x (maps + embedding in `dtype`) fits the disk budget;
    2. else `stem` where a stem is smaller than its image and n x stem (float32) fits the disk budget;
    3. else `none`.

    SatDiFuser at 256 pixels: 21 MB of maps an image against 49 kB of stem and 786 kB of image. The memory budget
    bounds what no tier can avoid: the float32 maps of one batch of 16. What only needs `embedding` or `pooled` is
    known from the probe, not from bytes: ask for it by `override`.

    Args:
        counts: rows by split.
        override: a tier by name; returned if there is one.

    Raises:
        UserError: no such tier, or a batch of maps that the memory budget cannot hold.
    """
    if override is not None and override not in TIERS:
        raise UserError(f"no feature tier '{override}'; {nearest(override, TIERS)}")
    if override in ("embedding", "pooled"):
        return override
    batch = 4 * BATCH * encoder_shapes.map_values()
    if batch > memory_budget_bytes:
        raise UserError(
            f"a batch of {BATCH} images has {batch / 1e9:.2f} GB of feature maps, the memory budget is "
            f"{memory_budget_bytes / 1e9:.2f} GB; raise it, or choose a probe on the embedding"
        )
    if override is not None:
        return override
    rows = sum(counts.values())
    if rows * encoder_shapes.row_bytes("maps", dtype) <= disk_budget_bytes:
        return "maps"
    smaller = encoder_shapes.stem_bytes() < encoder_shapes.image_bytes()
    return "stem" if smaller and rows * encoder_shapes.stem_bytes() <= disk_budget_bytes else "none"
