"""An activation after the last layer that the loss applies once more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError
from dnnrepair.loss import guess_loss
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.operation import Edited, Operation, Swapped, operation

if TYPE_CHECKING:
    import torch

    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

_REMOVED = {"softmax": "softmax", "log_softmax": "log-softmax", "sigmoid": "sigmoid"}
_WANTED = {"bce": "sigmoid", "nll": "log_softmax"}  # losses that need what comes before them


@operation("remove-softmax")
@dataclass(frozen=True, kw_only=True)
class RemoveSoftmax(Operation):
    """The softmax (or sigmoid) after the last layer goes, because the loss holds its own.

    Of two in a row the last one goes. The class that an input gets stays the same; outputs become
    logits.
    """

    def apply(self, subject: Subject, where: Where, generator: torch.Generator) -> Swapped:
        """Return the network without it, and with the loss that fits; see Operation.apply."""
        found = super().apply(subject, where, generator)
        facts = found.subject.facts
        if not facts.loss_given:
            sites = found.subject.running.sites
            op = sites[str(sites.output)].op
            facts = replace(facts, loss=guess_loss(facts.task, op, facts.classes))
        return replace(found, subject=replace(found.subject, facts=facts))

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Take it out; see :meth:`Operation.edit`."""
        del where, generator
        sites = subject.running.sites
        last = sites[str(sites.output)]
        if last.op not in _REMOVED:
            message = f"the last operation is {last.op}, no softmax or sigmoid: nothing to remove"
            raise SettingError(message)
        before = sites.source(last)
        twice = before is not None and before.op in _REMOVED
        if not twice and _WANTED.get(subject.facts.loss) == last.op and subject.facts.loss_given:
            message = f"the loss {subject.facts.loss} needs the {last.op} at the end"
            raise SettingError(message)
        node = draft.node(last.name)
        draft.reroute(node, node.all_input_nodes[0])
        draft.structural = True
        what = _REMOVED[last.op]
        swap = Swap(
            operation=self.name,
            layers=(last.layer,),
            summary=f"{'second ' if twice else ''}{what} after the last layer removed",
            promise=Promise.CHANGES,
            reason="every input keeps its class; outputs are "
            + ("what came before the second one" if twice else "logits now"),
        )
        return Edited(swaps=(swap,))
