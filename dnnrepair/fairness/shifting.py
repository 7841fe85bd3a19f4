"""Candidates that differ by one number: how ready the network is to decide positively.

A shift of all margins is a change of the last layer's bias. What each of many shifts would do is
read off the sorted margins, without running the network again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import ModelError, SettingError
from dnnrepair.methods.heads import Head

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.fairness.candidate import Candidate
    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.cohort import Cohort

    Numbers = NDArray[np.float64]

_TWO = 2  # outputs
STEPS = 41  # shifts that are tried
REACH = 0.3  # of the margins' spread, in both directions


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifter:
    """The bias that shifts all margins.

    Attributes:
        case: whose network.
        bias: name of the tensor.
        index: of the number in it.
        sign: of its effect on the margins.
    """

    case: Case
    bias: str
    index: int
    sign: float

    @classmethod
    def of(cls, case: Case) -> Shifter | None:
        """Return it; None if there is none that may change, or more than two classes.

        With more classes a shift also changes which of the others is answered.
        """
        try:
            bias = Head.of(case.subject, case.names).bias
        except (ModelError, SettingError):
            return None
        if bias is None or bias not in case.names:
            return None
        outputs = case.subject.tensors[bias].numel()
        positive = case.repair.positive
        if outputs > _TWO:
            return None
        index = positive if outputs == _TWO else 0
        if not bool(torch.as_tensor(case.masks.get(bias, 1.0)).expand(outputs)[index]):
            return None
        return cls(
            case=case, bias=bias, index=index, sign=-1.0 if outputs == 1 and not positive else 1.0
        )

    @property
    def exact(self) -> bool:
        """Whether a network with a shifted bias decides as its shifted margins say.

        Not where coarse numbers are stored, or a bound cuts the shift.
        """
        own = self.case.subject.tensors[self.bias].dtype
        stored = self.case.subject.stored.get(self.bias, own)
        return self.case.bound is None and stored in (torch.float32, torch.float64)

    def shifts(self, spread: float) -> Numbers:
        """Return the shifts to try, given the spread of the network's margins."""
        return np.linspace(-REACH, REACH, STEPS) * spread

    def shifted(self, candidate: Candidate, by: float) -> Candidate:
        """Return a candidate with all margins shifted, as far as the bound on changes allows."""
        tensors = dict(candidate.tensors)
        moved = tensors[self.bias].clone()
        moved.view(-1)[self.index] += self.sign * by
        if self.case.bound is not None:
            own = self.case.subject.tensors[self.bias]
            moved = moved.clamp(own - self.case.bound, own + self.case.bound)
        tensors[self.bias] = moved
        return replace(
            candidate,
            name=f"{candidate.name}, shift {by:+.2f}",
            tensors=self.case.storable(tensors),
            settings={**candidate.settings, "shift": by},
        )


def tables(cohort: Cohort, margins: Numbers, shifts: Numbers) -> Tensor:
    """Return what a cohort would be decided with each shift, counts ``(S, G, 2, 2)``.

    Args:
        cohort: n rows.
        margins: of the positive decision, ``(n,)``.
        shifts: added to all of them, ``(S,)``.
    """
    found = np.zeros((len(shifts), len(cohort.levels), 2, 2))
    for group in range(len(cohort.levels)):
        for label in (0, 1):
            inside = (cohort.groups == group) & (cohort.labels == label)
            below = np.searchsorted(np.sort(margins[inside]), -shifts, side="right")
            found[:, group, label, 0] = below
            found[:, group, label, 1] = inside.sum() - below
    return torch.from_numpy(found)
