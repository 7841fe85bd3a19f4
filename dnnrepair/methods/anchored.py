"""The default method: retrain the last layer, held by what the network said before."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.methods.method import method
from dnnrepair.methods.reach import head_scope
from dnnrepair.methods.retraining import proposed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.methods.method import Problem, Proposal
    from dnnrepair.subject import Subject


@method("anchored")
@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """Retrains the last layer with the inputs to fix weighed up, anchored to the old outputs.

    ## What it does
    The last layer is trained on the inputs to fix and on those that were right, while the
    Kullback-Leibler divergence from what the network said before holds it back. Weights and
    anchors are swept, all in one batched training; the selection part chooses.
    ## Why
    A strong anchor with a strong weight moves the decision only where the inputs to fix are. At the
    same share of broken inputs it fixes more unseen ones than plain retraining or a search.
    ## Limits
    The network must end in a linear layer. Many numbers change, each a little.
    ## Source
    Distillation as a remedy against forgetting: Li and Hoiem, "Learning without Forgetting"
    (TPAMI 2018).
    """

    name: ClassVar[str] = "anchored"
    # of inputs to fix, times the anchor where that is above 1; above 0
    weights: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
    anchors: tuple[float, ...] = (1.0, 10.0)  # of the divergence from the old outputs, at least 0
    steps: int = 100  # of Adam over all inputs, at least 1

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the last layer; see :class:`Method`."""
        return head_scope(subject, layers)

    def propose(self, problem: Problem) -> list[Proposal]:
        """Return one change for each weight and anchor; see :class:`Method`."""
        wishes = [(max(a, 1.0) * w, a) for a, w in product(self.anchors, self.weights)]
        return proposed(problem, wishes, self.steps)
