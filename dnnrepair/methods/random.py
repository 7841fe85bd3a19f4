"""The baseline that any search has to beat: random values of random weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.methods.arachne import Arachne
from dnnrepair.methods.method import method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.methods.method import Problem, Proposal
    from dnnrepair.subject import Subject


@method("random")
@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """The best of many random patches of random weights.

    ## What it does
    Draws as many candidates as Arachne's search evaluates from its first population's distribution,
    for as many weights chosen at random, and keeps the fittest.
    ## Why
    It shows what localization and evolution are worth.
    ## Limits
    It is a yardstick, not a repair.
    ## Source
    The random baseline of Sohn, Kang and Yoo (TOSEM 2023).
    """

    name: ClassVar[str] = "random"
    alphas: tuple[float, ...] = (10.0,)  # weights of inputs to fix, above 0
    count: int = 10  # of weights, at least 1
    candidates: int = 10000  # at least 4

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the kernels among which it draws; see :class:`Method`."""
        return Arachne().scope(subject, layers)

    def propose(self, problem: Problem) -> list[Proposal]:
        """Return the fittest change for each alpha; see :class:`Method`."""
        drawn = Arachne(
            alphas=self.alphas,
            candidates=self.candidates,
            generations=0,
            localizer="random",
            count=self.count,
        )
        return list(drawn.propose(replace(problem, checkpoint=None)))
