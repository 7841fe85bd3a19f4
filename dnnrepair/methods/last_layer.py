"""The baseline that repairs have to beat: retrain the last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.methods.method import method
from dnnrepair.methods.reach import head_scope
from dnnrepair.methods.retraining import proposed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.methods.method import Problem, Proposal
    from dnnrepair.subject import Subject


@method("last-layer")
@dataclass(frozen=True, slots=True, kw_only=True)
class LastLayer:
    """Retrains the last layer on the inputs to fix and on those that were right.

    ## What it does
    Trains the last layer by its loss, the inputs to fix weighed up; plain (anchor 0), and with the
    Kullback-Leibler divergence from the old outputs added once (anchor 1).
    ## Why
    It is what one would try first, and hard to beat.
    ## Limits
    The network must end in a linear layer.
    ## Source
    Kirichenko, Izmailov and Wilson, "Last Layer Re-Training is Sufficient for Robustness to
    Spurious Correlations" (ICLR 2023); the anchor: Li and Hoiem, "Learning without Forgetting"
    (TPAMI 2018).
    """

    name: ClassVar[str] = "last-layer"
    weights: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)  # of inputs to fix, above 0
    anchors: tuple[float, ...] = (0.0, 1.0)  # of the divergence from the old outputs, at least 0
    steps: int = 200  # of Adam over all inputs, at least 1

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the last layer; see :class:`Method`."""
        return head_scope(subject, layers)

    def propose(self, problem: Problem) -> list[Proposal]:
        """Return one change for each weight and anchor; see :class:`Method`."""
        wishes = [(weight, anchor) for anchor in self.anchors for weight in self.weights]
        return proposed(problem, wishes, self.steps)
