"""What a run costs from what one image costs: one sum, for seconds that were measured and for operations counted.

So a measured ratio and the limit that the operations set to it are made alike.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Of one image, in seconds or in operations.

    Attributes:
        extract: the frozen part, once, into what is stored.
        train: of all decoders for one step's image, with what makes maps of what is stored.
        predict: alike, without a backward pass.
        official_train, official_predict: of one decoder (the mean over fusers), with the frozen part the official way.
    """

    extract: float
    train: float
    predict: float
    official_train: float
    official_predict: float


@dataclass(frozen=True)
class Work:
    """What a run is.

    Attributes:
        train, valid, test: images of each split.
        decoders: fusers times learning rates times seeds.
        scored: those of one learning rate, which meet the test split.
    """

    train: int
    valid: int
    test: int
    epochs: int
    decoders: int
    scored: int

    def ours(self, costs: Costs) -> float:
        """Extraction, and every epoch from what is stored for all decoders together."""
        images = self.train + self.valid + self.test
        epochs = self.epochs * (self.train * costs.train + self.valid * costs.predict)
        return images * costs.extract + epochs + self.test * costs.predict

    def official(self, costs: Costs) -> float:
        """Every decoder in a run of its own."""
        epoch = self.train * costs.official_train + self.valid * costs.official_predict
        return self.decoders * self.epochs * epoch + self.scored * self.test * costs.official_predict

    def run_ratio(self, costs: Costs) -> float:
        """How many times faster a whole run is, extraction included."""
        return self.official(costs) / self.ours(costs)

    def epoch_ratio(self, costs: Costs) -> float:
        """How many times faster training's part of an epoch is."""
        return self.decoders * costs.official_train / costs.train
