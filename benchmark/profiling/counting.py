"""Operations of each part of a run on one image, counted while it runs once."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.flops.running import counted
from benchmark.profiling import official
from benchmark.profiling.costs import Costs
from benchmark.profiling.subject import Subject

IMAGES = 2
"""A decoder is counted on; a batch norm wants more than one."""


@dataclass(frozen=True)
class Counts:
    """Operations on one image.

    Attributes:
        stem, body: of the encoder.
        official: of the encoder the official way; `vae` of it the VAE, 0 without one.
        train, predict: of a decoder, by fuser; `train` with its backward pass.
    """

    stem: int
    body: int
    official: int
    vae: int
    train: dict[str, float]
    predict: dict[str, float]

    def encoding(self, subject: Subject) -> int:
        """Of what extraction computes."""
        return {"stem": self.stem, "none": 0}.get(subject.tier, self.stem + self.body)

    def reading(self, subject: Subject) -> int:
        """Of what makes maps of what is stored, whenever they are read."""
        return {"stem": self.body, "none": self.stem + self.body}.get(subject.tier, 0)

    def costs(self, subject: Subject, with_vae: bool = True) -> Costs:
        """As `Costs`: what the measured ratio can be at most where every operation takes the same time."""
        by_fuser = len(self.train) or 1
        times = subject.work.decoders / by_fuser
        frozen = self.official - (0 if with_vae else self.vae)
        return Costs(
            extract=self.encoding(subject) - (0 if with_vae or subject.tier == "none" else self.vae),
            train=self.reading(subject) + times * sum(self.train.values()),
            predict=self.reading(subject) + times * sum(self.predict.values()),
            official_train=frozen + sum(self.train.values()) / by_fuser,
            official_predict=frozen + sum(self.predict.values()) / by_fuser,
        )


def count(subject: Subject) -> Counts:
    """Run each part once and count."""
    encoder, frozen = subject.encoder, subject.frozen
    image = frozen.images(frozen.read(np.arange(1)))
    stem, of_stem = counted(lambda: encoder.stem(image))
    _, of_body = counted(lambda: encoder.body(stem))
    vae, of_official = 0, of_stem + of_body
    if subject.bank and official.walks(encoder):
        _, vae = counted(lambda: official.latents(encoder, image))
        _, of_official = counted(lambda: official.encoded(encoder, image))
    train, predict = {}, {}
    for name in subject.singles:
        train[name], predict[name] = _decoder(subject, name)
    return Counts(of_stem, of_body, of_official, vae, train, predict)


def _decoder(subject: Subject, name: str) -> tuple[float, float]:
    (trainee,) = subject.trainees([subject.singles[name]])
    reading = subject.reading
    shapes = [(*shape[:2], 1, 1) if reading.means else shape for shape in subject.shapes.maps]
    shapes += [(1, subject.encoder.embedding_dim, 1, 1)] if reading.embedding else []
    maps = tuple(torch.rand(IMAGES, *shape, device=subject.device) for shape in shapes)
    labels = torch.from_numpy(np.resize(subject.images.labels, (IMAGES, *subject.images.labels.shape[1:])))
    labels = labels.to(subject.device)

    def forward() -> Tensor:
        with torch.no_grad():
            return subject.task.logits(trainee.decoder.eval(), maps, labels)

    trainee.decoder.train()
    _, train = counted(lambda: trainee.learn(maps, labels))
    _, predict = counted(forward)
    return train / IMAGES, predict / IMAGES
