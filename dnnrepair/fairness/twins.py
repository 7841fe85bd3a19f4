"""People and their twins, who differ from them in the attribute alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.fairness.responses import Asking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.cohort import Cohort
    from dnnrepair.fairness.responses import Responses


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """The twins of a cohort, put to a network again and again.

    Attributes:
        askings: the cohort with each other value of the attribute, ready to be asked; empty where
            the objective compares groups.
    """

    askings: tuple[Asking, ...]

    @classmethod
    def of(cls, case: Case, cohort: Cohort) -> Twins:
        """Prepare to ask, where the objective compares twins."""
        wanted = () if case.disparity.rates else cohort.twins
        subject, names = case.subject, case.names
        return cls(askings=tuple(Asking.of(subject, cohort, names, twin) for twin in wanted))

    def flips(self, own: Responses, tensors: Mapping[str, Tensor] | None = None) -> float:
        """Return the mean largest change of the score with the attribute alone, in [0, 1].

        The score of CARE (Sun, Sun, Pham and Shi, ICSE 2022). NaN where the objective compares
        groups.

        Args:
            own: what the network decides for the cohort itself.
            tensors: parameters in place of the network's own, with which it decided so.
        """
        if not self.askings:
            return float("nan")
        others = [asking.responses(tensors).scores for asking in self.askings]
        return float(np.abs(np.stack(others) - own.scores).max(0).mean())
