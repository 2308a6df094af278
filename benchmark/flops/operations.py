"""Amounts of work: operations by kind, and bytes that must cross the memory for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Operations:
    """Work of one image or of many.

    Attributes:
        convolutions, products: 10^9 operations, a multiplication and an addition counted as two. Products are those of
            matrices, attention among them.
        gigabytes: read and written at least.
    """

    convolutions: float = 0.0
    products: float = 0.0
    gigabytes: float = 0.0

    @property
    def gflops(self) -> float:
        """All operations, 10^9."""
        return self.convolutions + self.products

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(
            self.convolutions + other.convolutions,
            self.products + other.products,
            self.gigabytes + other.gigabytes,
        )

    def __mul__(self, times: float) -> "Operations":
        return Operations(times * self.convolutions, times * self.products, times * self.gigabytes)

    __rmul__ = __mul__
