"""Rows with what a network says of them, for other methods to start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import ModelError, SettingError
from dnnrepair.fairness.responses import BATCH, Asking
from dnnrepair.methods.heads import Head, entering

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.cohort import Cohort

    Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Rows that fit a method, or judge it.

    Attributes:
        cohort: n rows, all in groups that count.
        scores: probability of the positive class, ``(n,)``.
        features: what enters the last layer, ``(n, d)``; None if that is not linear.
    """

    cohort: Cohort
    scores: Numbers
    features: Numbers | None

    @classmethod
    def of(cls, case: Case, cohort: Cohort) -> Scored:
        """Ask the untouched network about the rows whose groups count."""
        inside = torch.from_numpy(cohort.groups >= 0).nonzero()[:, 0]
        own = cohort.at(inside, cohort.name)
        scores = Asking.of(case.subject, own).responses().scores
        return cls(cohort=own, scores=scores, features=_features(case, own))

    def standard(self, other: Scored) -> tuple[Numbers, Numbers] | None:
        """Return features of these rows and others, with mean 0 and deviation 1 in these."""
        if self.features is None or other.features is None:
            return None
        mean, std = self.features.mean(0), self.features.std(0) + 1e-6
        return (self.features - mean) / std, (other.features - mean) / std


def _features(case: Case, cohort: Cohort) -> Numbers | None:
    """Return what enters the last layer, ``(n, d)``; None if it is not linear."""
    try:
        head = Head.of(case.subject)
    except (ModelError, SettingError):
        return None
    size = case.subject.running.batch_size or BATCH
    parts = [
        entering(case.subject, batch.inputs, head)[0].reshape(len(batch), -1)
        for batch in cohort.samples.batches(size)
    ]
    found: Numbers = torch.cat(parts).double().cpu().numpy()
    return found
