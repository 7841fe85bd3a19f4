"""The smallest change of the last layer that provably does all that is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.answers import Examination
from dnnrepair.errors import NoChangeError, SettingError
from dnnrepair.methods.demands import Demands
from dnnrepair.methods.heads import Head
from dnnrepair.methods.method import Proposal, method
from dnnrepair.methods.programs import Conflict, Solution, smallest
from dnnrepair.methods.reach import head_scope
from dnnrepair.methods.rows import rows_of
from dnnrepair.observation import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.methods.method import Part, Problem
    from dnnrepair.subject import Subject

NORMS = ("l1", "linf")
_SHOWN = 5  # inputs named in a proof


@method("exact")
@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """Finds the smallest change of the last layer that fixes all targets and breaks nothing.

    ## What it does
    The outputs are linear in the last layer, so fixing every input to fix of the search part and
    keeping every protected one are linear inequalities. A linear program (HiGHS) finds the smallest
    change that meets them, and the network itself is asked whether it does; or a few inequalities
    prove that no change within the box can. Then the closest change that still keeps all protected
    inputs is proposed.
    ## Why
    It is the only method here that promises something.
    ## Limits
    The promise holds for the search part. Others may break; the held-out part tells how many. The
    network must end in a linear layer.
    ## Source
    Goldberger, Katz, Adi and Keshet, "Minimal Modifications of Deep Neural Networks using
    Verification" (LPAR 2020); Sotoudeh and Thakur, "Provable Repair of Deep Neural Networks" (PLDI
    2021). Cutting planes: Kelley (1960).
    """

    name: ClassVar[str] = "exact"
    norm: str = "l1"  # what is smallest: "l1" the sum of all moves, "linf" the largest
    margin: float = 0.01  # by which a label must lead, in units of the outputs, above 0
    box: float = 1.0  # how far a number may move, in the layer's largest, above 0
    relax: bool = True  # if not all can be fixed, propose what comes closest

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the last layer; see :class:`Method`."""
        return head_scope(subject, layers)

    def propose(self, problem: Problem) -> list[Proposal]:
        """Return the smallest change, or the closest; see :class:`Method`.

        Raises:
            NoChangeError: no change in the box does what is asked, with the proof.
        """
        if self.norm not in NORMS:
            message = f"no norm is called {self.norm!r}; known: {', '.join(NORMS)}"
            raise SettingError(message)
        if problem.subject.facts.task is Task.REGRESS and self.margin >= problem.tolerance:
            message = f"the margin {self.margin:g} leaves nothing of the tolerance; give less"
            raise SettingError(message)
        head = Head.of(problem.subject, problem.layers)
        search = problem.search
        places = (search.targets | search.protected).nonzero()[:, 0]
        part = search.at(places)
        rows = rows_of(problem.subject, part.samples, head)
        demands = Demands.of(
            rows, rows.of(part.targets), margin=self.margin, tolerance=problem.tolerance
        )
        reach = self.box * float(head.matrix(problem.subject.tensors).abs().max())
        found = smallest(demands, reach, self.norm, problem.progress)
        if isinstance(found, Solution):
            return [self._proposal(problem, part, head, found, "smallest")]
        proof = _told(found, places[rows.owner.cpu()], reach)
        if not self.relax:
            message = f"{proof}; fix or protect fewer, or allow a larger box"
            raise NoChangeError(message)
        closest = smallest(demands, reach, self.norm, problem.progress, relaxed=True)
        if isinstance(closest, Conflict):
            message = f"{_told(closest, places[rows.owner.cpu()], reach)}; protect fewer inputs"
            raise NoChangeError(message)
        name = "closest, none fixes all"
        return [self._proposal(problem, part, head, closest, name, proof=proof)]

    def _proposal(
        self,
        problem: Problem,
        part: Part,
        head: Head,
        found: Solution,
        name: str,
        **more: str,
    ) -> Proposal:
        """Return the change, with what the network itself says of it."""
        change = torch.from_numpy(found.change).to(problem.subject.device)
        tensors = head.changed(problem.subject.tensors, change)
        asked = Examination.of(
            problem.subject, part.samples, names=tensors, tolerance=problem.tolerance
        )
        right = asked.answers(tensors).correct
        fixed, kept = right & part.targets, right & part.protected
        return Proposal(
            name=name,
            tensors=tensors,
            settings={
                "norm": self.norm,
                "margin": self.margin,
                "size": float(change.abs().sum() if self.norm == "l1" else change.abs().max()),
                "certified": bool(right.all()),
                "search targets fixed": f"{int(fixed.sum())} of {int(part.targets.sum())}",
                "search protected kept": f"{int(kept.sum())} of {int(part.protected.sum())}",
                **more,
            },
        )


def _told(found: Conflict, owner: torch.Tensor, reach: float) -> str:
    """Return the proof in words; ``owner (m,)`` is the input that each row belongs to."""
    inputs = owner[torch.from_numpy(found.demands[:, 0])].unique().tolist()
    named = ", ".join(map(str, inputs[:_SHOWN]))
    few = named if len(inputs) <= _SHOWN else f"such as {named}"
    return (
        f"no change of the last layer by at most {reach:.3g} a number fixes all targets and keeps "
        f"all protected inputs: the demands of {len(inputs)} inputs ({few} of the search part) "
        f"contradict each other, by {found.excess:.3g}"
    )
