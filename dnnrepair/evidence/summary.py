"""What the numbers of a parameter or buffer look like."""

from __future__ import annotations

from dataclasses import dataclass

LOW_BIT_LEVELS = 256  # an 8-bit grid
LOW_BIT_SIZE = 1024  # smaller tensors may repeat values by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSummary:
    """Statistics of all numbers of one tensor; those of order from at most a million of them.

    Attributes:
        count: how many numbers.
        nans: of them NaN.
        infinite: of them infinite.
        negative_infinite: of them minus infinity.
        first: index of the first that is not finite, () if all are.
        zero_share: share of exact zeros, in [0, 1].
        tiny_share: share of denormal numbers, 0 < abs w < the type's smallest normal number.
        max_abs: largest magnitude.
        median_abs: median magnitude of those that are not 0.
        norm: Euclidean norm.
        stds: standard deviation of each block (a gate of a recurrent layer).
        gains: fan_in times mean square, of each block; those of weights only, else ().
        levels: how many different values.
        unique_share: different values over values looked at.
        grid_cv: coefficient of variation of the gaps between neighboring values (middle half).
    """

    count: int
    nans: int = 0
    infinite: int = 0
    negative_infinite: int = 0
    first: tuple[int, ...] = ()
    zero_share: float = 0.0
    tiny_share: float = 0.0
    max_abs: float = 0.0
    median_abs: float = 0.0
    norm: float = 0.0
    stds: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    levels: int = 0
    unique_share: float = 1.0
    grid_cv: float = float("inf")

    @property
    def nonfinite(self) -> int:
        """How many numbers are NaN or infinite."""
        return self.nans + self.infinite

    @property
    def low_bit(self) -> bool:
        """The numbers lie on a coarse even grid: they are quantized."""
        if self.levels < 2 or not self.grid_cv < 0.1:  # noqa: PLR2004 - one value is no grid
            return False
        few = self.levels <= LOW_BIT_LEVELS and self.count >= LOW_BIT_SIZE
        return few or self.unique_share < 1e-3  # noqa: PLR2004 - the reference's limit
