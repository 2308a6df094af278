"""Run the frozen part once an image, keep the result, go on where a killed extraction stopped.

`FeatureStore.open` gives the features of a split in one of the storage tiers (`benchmark.features.tiers`), computing
what isn't there yet. Batches are cut by the shards of `benchmark.features.arrays` and never cross one, so an extraction
that was resumed, or shared by several processes, meets the same batches as an undisturbed one. On the CPU, tiers that
encode while reading meet them too: the last bits of a convolution depend on the batch, and a tier must not change a
number (`benchmark.features.company`). Only where memory runs out are batches halved; features then stay what they are
to the tolerance that `docs/architecture.md` states.
"""

from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from benchmark.data.ingest import Split
from benchmark.data.input_transform import InputTransform
from benchmark.features import arrays
from benchmark.features.arrays import About, FeatureArrays, features_key
from benchmark.features.claims import Claims
from benchmark.features.company import Gathering
from benchmark.features.extraction import Extraction
from benchmark.features.frozen_part import Batch, FrozenPart, flip
from benchmark.features.tiers import TIERS, VARIANTS, Shapes, Tier, measure
from benchmark.features.views import WHOLE, Reading, Windows, regrid
from benchmark.memory import Portions
from benchmark.transfer import send
from encoders.base import Encoder
from encoders.errors import UserError, nearest


class SplitFeatures:
    """The features of a split in one tier.

    Row r is image r // variants; with variants, r % variants says how it is flipped.

    Attributes:
        tier: where `read` takes the maps from.
        variants: stored copies of an image, or forms of a view.
        fresh: whether form n of an image is what epoch n makes of it; windows: else, what rows are of.
        embedding: (rows, D) in the protocol's feature dtype, memory-mapped; None in tiers `stem` and `none`.
        pooled: (rows, views, channels of all levels) float32, each module's spatial mean; None in other tiers.
        seconds: spent extracting what is stored, whenever that was.
        bytes: on disk.
    """

    def __init__(self, tier: Tier, frozen: FrozenPart, stored: FeatureArrays | None) -> None:
        self.tier, self.variants, self._frozen = tier, frozen.variants, frozen
        self.fresh = frozen.reading.fresh
        self.windows = frozen.reading.view if isinstance(frozen.reading.view, Windows) else None
        self._arrays = stored.arrays if stored else {}
        self.embedding, self.pooled = self._arrays.get("embedding"), self._arrays.get("pooled")
        self.seconds = float(stored.seconds().sum()) if stored else 0.0
        self.bytes = stored.about.bytes if stored else 0
        self._gather = Gathering(frozen, self._encode)

    @property
    def together(self) -> int | None:
        """Rows that are best asked for at once, where they are encoded as they are read; None where any number is."""
        return self._frozen.batch_size if self.tier in ("stem", "none") else None

    def __len__(self) -> int:
        return len(self._frozen)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The labels of rows, as `Split.labels`; masks are flipped with their images."""
        found = np.asarray(self._frozen.split.labels[rows // self.variants])
        reading = self._frozen.reading
        if self._frozen.split.dataset.task == "segmentation":
            if reading.view is not None:
                return reading.view.masks(found, rows)
            for variant in range(1, self.variants):
                here = rows % self.variants == variant
                found[here] = flip(found[here], variant)
            found = found if reading.grid is None else regrid(found, reading.grid)
        return found

    def read(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """The maps of rows, finest level first, rounded to the feature dtype, as float32.

        Args:
            rows: (B,) integers, in any order.

        Returns:
            (B, views, C_l, H_l, W_l) a level: on the CPU where they are stored, else on the encoder's device. In
            tier `pooled` H_l and W_l are 1: the spatial means.

        Raises:
            UserError: tier `embedding` has no maps, or a feature is too large for the feature dtype.
        """
        return tuple(one.float() for one in self.maps(self.fetch(np.asarray(rows, np.int64))))

    def fetch(self, rows: np.ndarray) -> Batch:
        """What `maps` are made from, in host memory; may be called in a thread beside.

        Raises:
            UserError: tier `embedding` has no maps.
        """
        if self.tier == "embedding":
            raise UserError("feature tier 'embedding' holds no maps; use pooled, maps, stem or none")
        if self.tier in ("stem", "none") and self._frozen.encoder.device.type == "cpu":
            return Batch(rows, None)  # other rows too may be encoded with them
        if self.tier == "none":
            return self._frozen.read(rows)
        return self._frozen.prepared(rows, lambda: self._stored(rows))

    def maps(self, batch: Batch) -> tuple[Tensor, ...]:
        """The maps of a batch as `read` says, in the feature dtype, and where the batch's values are.

        Args:
            batch: of `fetch`; its values may have been sent to the encoder's device.
        """
        if self.tier not in ("stem", "none"):
            values = tuple(map(torch.from_numpy, self._stored(batch.rows))) if batch.values is None else batch.values
            if self.tier == "maps":
                return values
            means = values[0].split([level.channels for level in self._frozen.encoder.levels], dim=2)
            return self._frozen.means_of(means, lambda: values[1])
        on_cpu = self._frozen.encoder.device.type == "cpu"
        return self._gather(batch.rows) if on_cpu and not self.fresh else self._encoded(batch)

    def _stored(self, rows: np.ndarray) -> list[np.ndarray]:
        names: list[str] = [self.tier]
        if self.tier == "maps":
            names = [f"level{i}" for i in range(len(self._arrays) - 1)]
        elif self._frozen.reading.embedding:
            names = ["pooled", "embedding"]
        return [self._arrays[name][rows] for name in names]

    def _encode(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        return self._encoded(Batch(rows, None))

    def _encoded(self, batch: Batch) -> tuple[Tensor, ...]:
        """Maps, computed now: by batches of the extraction's size on a GPU, at once on the CPU."""
        frozen = self._frozen
        size = frozen.batch_size
        chunks = [batch[start : start + size] for start in range(0, len(batch), size)]
        parts = [maps for chunk in chunks for _, maps in frozen.encode(chunk, self._body)]
        return parts[0] if len(parts) == 1 else tuple(torch.cat(level) for level in zip(*parts, strict=True))

    def _body(self, batch: Batch) -> tuple[Tensor, ...]:
        frozen = self._frozen
        if self.tier == "none":
            stem = frozen.stem(batch)
        else:
            (stored,) = batch.values or map(torch.from_numpy, self._stored(batch.rows))
            stem = send(stored, frozen.encoder.device)
        return frozen.given(frozen.rounded(frozen.encoder.body(stem)))


class FeatureStore:
    """Features on disk: `<folder>/<key>/`, laid out as `benchmark.features.arrays` says.

    Processes that open the same features at once share the work, shard by shard.

    Attributes:
        assists: encode only what no other process is at, and don't wait for these: what `open` gives need not be
            complete.
    """

    def __init__(self, folder: Path, assists: bool = False) -> None:
        self.folder, self.assists = folder, assists
        self._portions = Portions()

    def open(
        self,
        encoder: Encoder,
        transform: InputTransform,
        split: Split,
        *,
        identity: dict[str, object],
        dtype: str,
        batch_size: int,
        tier: Tier,
        variants: int = 1,
        reading: Reading = WHOLE,
    ) -> SplitFeatures:
        """The features of a split, encoding only what isn't there yet.

        Args:
            identity: everything that determines the features but tier and variants; their key, kept beside them.
            dtype: `float16` or `float32`.
            batch_size: images encoded at once, cut at shards.
            variants: 1, 2 (left-right mirror) or 4 (top-bottom and both too) rows an image, without a view.
            reading: a view instead, one whose rows can't be kept in tier `none`; and what is read.

        Raises:
            UserError: no such tier or number of variants, no space, damage, a feature too large for `dtype`, or
                an image too large for the memory.
        """
        if tier not in TIERS:
            raise UserError(f"no feature tier '{tier}'; {nearest(tier, TIERS)}")
        if reading.fresh and tier != "none":
            raise ValueError(f"{split.name}: what is drawn anew each epoch is kept in no tier, {tier} was asked for")
        if variants not in VARIANTS:
            raise UserError(f"variants is {variants}; choose from {', '.join(map(str, VARIANTS))}")
        variants = variants if reading.view is None else reading.view.variants
        kind = np.dtype(dtype)
        frozen = FrozenPart(encoder, transform, split, kind, batch_size, variants, self._portions, reading)
        if tier == "none":
            return SplitFeatures(tier, frozen, None)
        identity = arrays.stored_identity(identity, tier, variants)
        folder = self.folder / features_key(identity)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            about = arrays.read_about(folder)
            if about is None:
                about = _about(frozen, tier, identity)
                arrays.create(folder, about)
            stored = arrays.open_arrays(folder, about)
            if about.rows != len(frozen):
                raise UserError(f"{folder}: feature files of another shape; delete the folder and run again")
            claims = Claims(folder)
        with claims:
            Extraction(frozen, tier, stored, claims, self.assists).run()
        return SplitFeatures(tier, frozen, arrays.open_arrays(folder, about))


def _about(frozen: FrozenPart, tier: Tier, identity: dict[str, object]) -> About:
    encoder, split = frozen.encoder, frozen.split
    if tier == "embedding":
        # Known without running the encoder.
        shapes = Shapes((), (), ((0, 0, 0, 0),), encoder.embedding_dim)
    else:
        shapes = measure(encoder, frozen.transform, split)
    return About(
        encoder=encoder.card.name,
        dataset=split.dataset.name,
        split=split.name,
        tier=tier,
        variants=frozen.variants,
        rows=len(frozen),
        arrays=tuple(
            (file, dtype, (len(frozen), *shape)) for file, dtype, shape in shapes.stored(tier, str(frozen.dtype))
        ),
        identity=identity,
    )
