"""Run the frozen part once an image, keep the result, go on where a killed extraction stopped.

`FeatureStore.open` gives the features of a split in one of the storage tiers (`benchmark.features.tiers`), computing
what isn't there yet. Batches are cut by the shards of `benchmark.features.arrays` and never cross one, so an extraction
that was resumed, or shared by several processes, meets the same batches as an undisturbed one. On the CPU, tiers that
encode while reading meet them too: the last bits of a convolution depend on the batch, and a tier must not change a
number. Only where memory runs out are batches halved; features then stay what they are to the tolerance that
`docs/architecture.md` states.
"""

import functools
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from benchmark import progress
from benchmark.data.ingest import Split
from benchmark.data.inputs import InputTransform
from benchmark.features import arrays
from benchmark.features.arrays import About, FeatureArrays, features_key
from benchmark.features.claims import Claims
from benchmark.features.frozen_part import FrozenPart, flip
from benchmark.features.tiers import TIERS, VARIANTS, Shapes, Tier, measure
from benchmark.memory import Portions
from encoders.base import Encoder
from encoders.errors import UserError, nearest


class SplitFeatures:
    """The features of a split in one tier.

    Row r is image r // variants; with variants, r % variants says how it is flipped.

    Attributes:
        tier: where `read` takes the maps from.
        variants: stored copies of an image.
        embedding: (rows, D) in the protocol's feature dtype, memory-mapped; None in tiers `stem` and `none`.
        pooled: (rows, views, channels of all levels) float32, each module's spatial mean; None in other tiers.
        seconds: spent extracting what is stored, whenever that was.
        bytes: on disk.
    """

    def __init__(self, tier: Tier, frozen: FrozenPart, stored: FeatureArrays | None) -> None:
        self.tier, self.variants, self._frozen = tier, frozen.variants, frozen
        self._arrays = stored.arrays if stored else {}
        self.embedding, self.pooled = self._arrays.get("embedding"), self._arrays.get("pooled")
        self.seconds = float(stored.seconds().sum()) if stored else 0.0
        self.bytes = stored.about.bytes if stored else 0

    def __len__(self) -> int:
        return len(self._frozen)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The labels of rows, as `Split.labels`; masks are flipped with their images."""
        found = np.asarray(self._frozen.split.labels[rows // self.variants])
        if self._frozen.split.dataset.task == "segmentation":
            for variant in range(1, self.variants):
                here = rows % self.variants == variant
                found[here] = flip(found[here], variant)
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
        rows = np.asarray(rows, np.int64)
        if self.tier == "maps":
            levels = range(len(self._arrays) - 1)
            return tuple(torch.from_numpy(self._arrays[f"level{i}"][rows]).float() for i in levels)
        if self.tier == "pooled":
            means = torch.from_numpy(self._arrays["pooled"][rows])[..., None, None]
            return means.split([level.channels for level in self._frozen.encoder.levels], dim=2)
        if self.tier == "embedding":
            raise UserError("feature tier 'embedding' holds no maps; use pooled, maps, stem or none")
        return self._encode(rows)

    def _encode(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        frozen = self._frozen
        if frozen.encoder.device.type != "cpu":
            chunks = [rows[start : start + frozen.batch_size] for start in range(0, len(rows), frozen.batch_size)]
            parts = [maps for chunk in chunks for _, maps in frozen.encode(chunk, self._maps)]
            return tuple(torch.cat(level) for level in zip(*parts, strict=True))
        # Whole batches of the extraction, of which the rows asked for are kept.
        batches = {int(batch[0]): batch for batch in map(frozen.batch_of, rows.tolist())}
        place: dict[int, int] = {}
        kept: list[tuple[Tensor, ...]] = []
        for batch in batches.values():
            for portion, maps in frozen.encode(batch, self._maps):
                wanted = np.intersect1d(portion, rows)
                place.update({int(row): len(place) + i for i, row in enumerate(wanted)})
                kept.append(tuple(one[wanted - portion[0]] for one in maps))
        order = torch.tensor([place[row] for row in rows.tolist()])
        return tuple(torch.cat(level)[order] for level in zip(*kept, strict=True))

    def _maps(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        frozen = self._frozen
        if self.tier == "stem":
            stem = torch.from_numpy(self._arrays["stem"][rows]).to(frozen.encoder.device)
        else:
            stem = frozen.stem(rows)
        return tuple(one.float() for one in frozen.rounded(frozen.encoder.body(stem)).maps)


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
    ) -> SplitFeatures:
        """The features of a split, encoding only what isn't there yet.

        Args:
            identity: everything that determines the features but tier and variants; their key, kept beside them.
            dtype: `float16` or `float32`.
            batch_size: images encoded at once, cut at shards.
            variants: 1, 2 (left-right mirror) or 4 (top-bottom and both too) rows an image.

        Raises:
            UserError: no such tier or number of variants, no space, damage, a feature too large for `dtype`, or
                an image too large for the memory.
        """
        if tier not in TIERS:
            raise UserError(f"no feature tier '{tier}'; {nearest(tier, TIERS)}")
        if variants not in VARIANTS:
            raise UserError(f"variants is {variants}; choose from {', '.join(map(str, VARIANTS))}")
        frozen = FrozenPart(encoder, transform, split, np.dtype(dtype), batch_size, variants, self._portions)
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
            self._fill(frozen, tier, stored, claims)
        return SplitFeatures(tier, frozen, arrays.open_arrays(folder, about))

    def _fill(self, frozen: FrozenPart, tier: Tier, stored: FeatureArrays, claims: Claims) -> None:
        todo, total = stored.todo(), stored.about.shards
        turns: Iterable[int] = claims.turns(todo, wait=not self.assists)
        if not self.assists:  # else the process that is assisted shows it
            turns = progress.track(turns, frozen.title, total=total, done=total - len(todo), stage="encode")
        for shard in turns:
            if stored.seconds()[shard] > 0:
                continue  # another process did it
            start = time.monotonic()
            self._encode(frozen, tier, stored, stored.rows(shard))
            stored.finish(shard, time.monotonic() - start)

    def _encode(self, frozen: FrozenPart, tier: Tier, stored: FeatureArrays, shard: slice) -> None:
        for batch in frozen.batches(shard):
            for rows, kept in frozen.encode(batch, functools.partial(_kept, frozen, tier)):
                for name, values in kept.items():
                    stored.write(name, int(rows[0]), values)


def _kept(frozen: FrozenPart, tier: Tier, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What a tier keeps of rows, by array."""
    stem = frozen.stem(rows)
    if tier == "stem":
        return {"stem": stem.cpu().numpy()}
    features = frozen.rounded(frozen.encoder.body(stem))
    kept = {"embedding": features.embedding}
    if tier == "pooled":
        kept["pooled"] = torch.cat([one.float().mean((3, 4)) for one in features.maps], dim=2)
    elif tier == "maps":
        kept |= {f"level{index}": one for index, one in enumerate(features.maps)}
    return {name: values.cpu().numpy() for name, values in kept.items()}


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
