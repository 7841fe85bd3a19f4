"""What comes out of the network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.observation import Task
from dnnrepair.repairing.recipes import GENTLE
from dnnrepair.repairing.treatment import (
    Case,
    Cost,
    Treated,
    Treatment,
    operated,
    treatment,
)
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.draft import Draft
from dnnrepair.swapping.operation import finished
from dnnrepair.swapping.operations.softmax import RemoveSoftmax
from dnnrepair.swapping.operations.temperature import Temperature
from dnnrepair.swapping.where import Where

if TYPE_CHECKING:
    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject


@treatment("remove output activation and train", "OUT001", cost=Cost.TRAINED)
class OutputActivationRemoved(Treatment):
    """What follows the last layer (softmax, sigmoid, ReLU, tanh) goes, and training goes on.

    The class of every input stays at first, but what was learned was learned against the wrong
    outputs: without training, confidence is not to be trusted.
    """

    # Of 16 networks trained with softmax or ReLU before cross entropy, all were still learning
    # when GENTLE's 12 epochs were over.
    recipe = replace(GENTLE, epochs=30)

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        sites = case.subject.running.sites
        last = sites[str(sites.output)]
        if last.op in ("relu", "tanh", "softplus") and case.subject.facts.task is Task.CLASSIFY:
            return _uncovered(case.subject, last)
        return operated(case, RemoveSoftmax(), Where())


@treatment("temperature", "OUT003", cost=Cost.EXACT)
class Tempered(Treatment):
    """Outputs are divided by the temperature that fits the data; no class changes."""

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, Temperature(), Where())


def _uncovered(subject: Subject, last: Site) -> Treated:
    """Return the network without the activation that bounds its outputs."""
    draft = Draft.of(subject.running)
    node = draft.node(last.name)
    draft.reroute(node, node.all_input_nodes[0])
    draft.structural = True
    summary = f"{last.op} after the last layer removed"
    swap = Swap(
        operation="remove-output-activation",
        layers=(last.layer,),
        summary=summary,
        promise=Promise.CHANGES,
    )
    return Treated(
        subject=finished(subject, draft), done=(summary,), swaps=(swap,), structural=True
    )
