"""The logits of a network and its loss on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.errors import DataError
from dnnrepair.loss import losses
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import Facts
    from dnnrepair.sites import Site, Sites

_ON_LOGITS = {  # by what makes probabilities of logits, and the loss of these
    ("softmax", "cross_entropy"): "cross_entropy",
    ("softmax", "nll"): "cross_entropy",
    ("log_softmax", "cross_entropy"): "cross_entropy",
    ("log_softmax", "nll"): "cross_entropy",
    ("sigmoid", "bce"): "bce_logits",
}


@dataclass(frozen=True, slots=True)
class Head:
    """How the network ends.

    Attributes:
        loss: name of the loss of the logits.
        squashing: name of the site that makes probabilities of logits, "" if the network returns
            the logits themselves.
        note: what the user should know of it, "" if nothing.
    """

    loss: str
    squashing: str = ""
    note: str = ""

    @classmethod
    def of(cls, sites: Sites, facts: Facts) -> Head:
        """Return how a network ends that was trained with the loss that ``facts`` name."""
        last = _last(sites)
        loss = _ON_LOGITS.get((last.op, facts.loss)) if last else None
        if last is None or loss is None:
            return cls(facts.loss)
        note = f"the network ends in a {last.op}; the logits in front of it were used"
        return cls(loss, last.name, note)

    def total_loss(self, logits: Tensor, targets: Tensor | None) -> Tensor:
        """Return the sum of all samples' losses.

        Raises:
            DataError: if there are no labels.
        """
        if targets is None:
            message = "suspects are found by the loss, and the data have no labels; give labels"
            raise DataError(message)
        return losses(self.loss, logits, targets.to(logits.device)).sum()


def _last(sites: Sites) -> Site | None:
    """Return the operation that computed the prediction, seen through views."""
    if sites.output is None:
        return None
    site = sites[sites.output]
    return sites.source(site) if site.kind is Kind.VIEW else site
