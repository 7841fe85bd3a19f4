"""How varied a generator's outputs are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Spread of generated and of real samples, equally many of both.

    Attributes:
        samples: how many of each.
        distance: median Euclidean distance between two generated samples.
        real_distance: the same of real ones.
        rank: effective rank of the generated samples' covariance, exp(entropy of its spectrum).
        real_rank: the same of real ones.
        repeats: share of generated samples whose nearest other one is closer than a tenth of the
            median nearest distance of real ones.
    """

    samples: int
    distance: float
    real_distance: float
    rank: float
    real_rank: float
    repeats: float
