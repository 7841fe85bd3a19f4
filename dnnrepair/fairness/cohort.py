"""People in groups: the inputs of a part of the data, with group and label of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.data.spread import spread
from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.data import ArraySamples

    Whole = NDArray[np.int64]

SHARES = (0.5, 0.25, 0.25)  # to repair with, to select with, to judge by


@dataclass(frozen=True, kw_only=True, eq=False)
class Cohort:
    """Some of the data, by group and label.

    Attributes:
        name: "repair", "select" or "test".
        samples: n inputs; the targets are numbers of classes.
        groups: of each input, int64 ``(n,)``; -1 belongs to no group that counts.
        levels: names of the groups.
        positive: number of the class that is the favorable decision.
        attribute: by which people are grouped.
        twins: the same inputs with each other value of the attribute; empty if that is no input.
    """

    name: str
    samples: ArraySamples
    groups: Whole
    levels: tuple[str, ...]
    positive: int
    attribute: str
    twins: tuple[ArraySamples, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def classes(self) -> Whole:
        """The class of each input, int64 ``(n,)``.

        Raises:
            DataError: if there are no labels.
        """
        if self.samples.targets is None:
            message = f"{self.samples.name} has no labels; name their column with --label"
            raise DataError(message)
        return np.asarray(self.samples.targets.reshape(-1).long().cpu(), dtype=np.int64)

    @property
    def labels(self) -> Whole:
        """1 where the class is the positive one, else 0."""
        return np.equal(self.classes, self.positive).astype(np.int64)

    def at(self, places: Tensor, name: str) -> Cohort:
        """Return some of the inputs, in that order, int64 ``(m,)``."""
        index = places.cpu().numpy()
        return replace(
            self,
            name=name,
            samples=self.samples.subset(index, f"{self.samples.name}, {name} part"),
            groups=self.groups[index],
            twins=tuple(twin.subset(index, twin.name) for twin in self.twins),
        )

    def table(self, predicted: Whole) -> NDArray[np.float64]:
        """Count inputs by group, label and decision, ``(G, 2, 2)``.

        Args:
            predicted: the class answered, ``(n,)``.
        """
        decided = (predicted == self.positive).astype(np.int64)
        inside = self.groups >= 0
        flat = (self.groups * 4 + self.labels * 2 + decided)[inside]
        counts = np.bincount(flat, minlength=4 * len(self.levels)).astype(np.float64)
        return counts.reshape(-1, 2, 2)


def parted(
    cohort: Cohort, seed: int, shares: Sequence[float] = SHARES
) -> tuple[Cohort, Cohort, Cohort | None]:
    """Return the parts to repair, to select and to judge with.

    Each has its share of every group and label. Of two shares the last part is None.

    Raises:
        DataError: if a part is left empty.
    """
    strata = torch.from_numpy(cohort.groups * 2 + cohort.labels)
    parts = spread(strata, shares, seed)
    names = ("repair", "select", "test")
    for name, part in zip(names, parts, strict=False):
        if not len(part):
            message = (
                f"no row is left for the {name} part of {len(cohort)} rows; give more data, or "
                "other data with --test-data"
            )
            raise DataError(message)
    found = [cohort.at(part, name) for name, part in zip(names, parts, strict=False)]
    return found[0], found[1], found[2] if len(found) > 2 else None  # noqa: PLR2004


def overlap(first: Cohort, second: Cohort) -> int:
    """Return how many rows of the second, label and all, are also in the first."""
    known = set(_keys(first))
    return sum(key in known for key in _keys(second))


def _keys(cohort: Cohort) -> list[bytes]:
    """Return the bytes of each row."""
    parts = [x.reshape(len(cohort), -1).double() for x in cohort.samples.inputs]
    whole = torch.cat([*parts, torch.from_numpy(cohort.classes)[:, None].double()], 1)
    return [row.tobytes() for row in whole.cpu().numpy()]
