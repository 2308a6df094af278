"""The parts of a run as calls that can be timed: each does its part for all profiled images, as a run does it."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from benchmark.features import arrays
from benchmark.features.arrays import SHARD, About
from benchmark.features.extraction import features_kept
from benchmark.features.store import FeatureStore, SplitFeatures
from benchmark.profiling import official
from benchmark.profiling.official import Recomputed
from benchmark.profiling.subject import Subject
from benchmark.training import loop
from benchmark.training.bank import Trainee
from benchmark.training.feeding import Feed, Room
from benchmark.training.prediction import predict_all
from benchmark.training.stacking import Stack, learners

Part = Callable[[], object]
OFFICIAL_TRAINING, OFFICIAL_VALIDATION = "official training, ", "official validation, "
VAE = "official VAE"
SINGLES = "training one of each"


class Parts:
    """The parts of a subject; what they store lies in a folder beside the features, removed by `close`."""

    def __init__(self, subject: Subject, features_dir: Path) -> None:
        self.subject, self._frozen = subject, subject.frozen
        features_dir.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="profile-", dir=features_dir))
        self._rows = [
            rows
            for start in range(0, len(self._frozen), SHARD)
            for rows in self._frozen.batches(slice(start, min(start + SHARD, len(self._frozen))))
        ]
        self._order = np.random.default_rng(0).permutation(len(self._frozen))
        self.features: SplitFeatures | None = None

    def close(self) -> None:
        """Remove what was stored."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def extraction(self) -> dict[str, Part]:
        """Reading, scaling, encoding, storing, and all of it at once as a run does it."""
        frozen, subject = self._frozen, self.subject
        native = [frozen.read(rows) for rows in self._rows]
        images = [frozen.images(batch) for batch in native]
        found: dict[str, Part] = {
            "reading": lambda: [frozen.read(rows) for rows in self._rows],
            "scaling": lambda: [frozen.images(batch) for batch in native],
        }
        stems_only = subject.tier == "stem"
        found["encoding"] = lambda: [self._bare(one, stems_only) for one in images]
        if subject.tier != "none":
            found["storing"] = self._storing(images[0])
            found["extraction"] = self._extract
        return found

    def training(self) -> dict[str, Part]:
        """Loading alone, training and validating the whole bank, from what extraction stored.

        Of a bank with several rates or seeds also one decoder of each kind.
        """
        if self.features is None:
            self._extract()
        assert self.features is not None
        feed = Feed(self.features, self.subject.device, Room(self.subject.device))
        bank = self.subject.trainees(self.subject.bank)
        learning = learners(bank)
        singles = self.subject.trainees(self.subject.kinds)
        found: dict[str, Part] = {"loading": lambda: self._load(feed), "training": lambda: self._train(learning, feed)}
        if len(singles) < len(bank):
            found[SINGLES] = lambda: self._train(singles, feed)
        return found | {"validation": lambda: self._predict(bank, feed)}

    def official(self) -> dict[str, Part]:
        """One decoder of each fuser, trained and asked the official way, on its own."""
        feed = Feed(Recomputed(self._frozen), self.subject.device)
        found: dict[str, Part] = {}
        for name, member in self.subject.singles.items():
            alone = self.subject.trainees([member])
            found[OFFICIAL_TRAINING + name] = lambda alone=alone: self._train(alone, feed)  # type: ignore[misc]
            found[OFFICIAL_VALIDATION + name] = lambda alone=alone: self._predict(alone, feed)  # type: ignore[misc]
        if official.walks(self.subject.encoder):
            images = [self._frozen.images(self._frozen.read(rows)) for rows in self._batches()]
            found[VAE] = lambda: [official.latents(self.subject.encoder, one) for one in images]
        return found

    def _batches(self) -> list[np.ndarray]:
        size = self.subject.protocol.decoder_batch
        return [np.arange(start, min(start + size, len(self._frozen))) for start in range(0, len(self._frozen), size)]

    def _bare(self, images: torch.Tensor, stem_only: bool) -> object:
        encoder = self.subject.encoder
        return encoder.stem(images) if stem_only else encoder(images)

    def _storing(self, images: torch.Tensor) -> Part:
        """Write the arrays of the first batch wherever a batch belongs, each shard vouched for."""
        frozen, tier = self._frozen, self.subject.tier
        stem = self.subject.encoder.stem(images)
        kept = {"stem": stem} if tier == "stem" else features_kept(frozen, tier, stem)
        values = {name: one.cpu().numpy() for name, one in kept.items()}
        stored = self.subject.shapes.stored(tier, str(frozen.dtype))
        about = About(
            "profile", "profile", "train", tier, 1, len(frozen),
            tuple((file, dtype, (len(frozen), *shape)) for file, dtype, shape in stored), {},
        )  # fmt: skip
        folder = self._folder / "storing"
        folder.mkdir()
        arrays.create(folder, about)
        opened = arrays.open_arrays(folder, about)

        def store() -> None:
            for rows in self._rows:
                for name, one in values.items():
                    opened.write(name, int(rows[0]), one[: len(rows)])
                if rows[-1] % SHARD == SHARD - 1 or rows[-1] == len(frozen) - 1:
                    opened.finish(int(rows[0]) // SHARD, 1.0)

        return store

    def _extract(self) -> float:
        """Into a fresh folder; the seconds it took once its files were there."""
        folder = self._folder / "extraction"
        shutil.rmtree(folder, ignore_errors=True)
        subject = self.subject
        self.features = FeatureStore(folder).open(
            subject.encoder,
            subject.transform,
            subject.images,
            identity={},
            dtype=subject.protocol.feature_dtype,
            batch_size=subject.resolved.cell.settings.batch_size,
            tier=subject.tier,
            reading=subject.reading,
        )
        return self.features.seconds

    def _load(self, feed: Feed) -> None:
        with closing(feed.batches(self._order, self.subject.protocol.decoder_batch)) as batches:
            for _ in batches:
                pass

    def _train(self, learning: Sequence[Trainee | Stack], feed: Feed) -> None:
        with closing(loop.one_pass(learning, feed, self._order, self.subject.protocol.decoder_batch)) as steps:
            for _ in steps:
                pass

    def _predict(self, bank: list[Trainee], feed: Feed) -> None:
        size = self.subject.protocol.decoder_batch
        predict_all([trainee.decoder for trainee in bank], self.subject.task, feed, batch_size=size)
